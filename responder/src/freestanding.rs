//! What a C library's start-up files do for other programs: the entry point and the end after a panic.
//! The functions that the compiler calls on its own are in `memory.rs`.
#![allow(unsafe_code)]

use agentcheck_responder::{run, sys};

// The kernel enters with the arguments on the stack and nothing in the registers to rely on. The frame
// pointer is cleared so that a backtrace ends here; the stack pointer goes on as the first argument.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    // Aligned by the ABI already; a kernel or a launcher that gets it wrong costs a fault in SSE code.
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    // The architecture faults on a misaligned stack pointer, so the kernel never hands one over.
    "bl {entry}",
    "brk #1",
    entry = sym entry,
);

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: called by _start alone, with the stack pointer as the kernel set it at exec.
    let startup = unsafe { sys::Startup::from_stack(stack) };
    sys::exit(run::run(startup.arguments(), startup.environment()))
}

/// Ends the process. Nothing panics that we know of; if something does, no text of it may reach a
/// connection, and HAProxy keeps its state when it gets no reply.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(run::STATUS_PANIC)
}

// core is compiled for unwinding and debug builds keep its references to the unwinder.
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    sys::exit(run::STATUS_PANIC)
}
