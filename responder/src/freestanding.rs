//! Replaces a C library's start-up files: the entry point and the panic handler. `mem.rs` contains the functions that
//! the compiler itself calls.
#![allow(unsafe_code)]

use agentcheck_responder::{run, sys};

// The kernel puts the arguments on the stack; the registers have no defined content. The frame pointer is cleared so
// that a backtrace ends here. The stack pointer becomes the first argument of `entry`.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    // The ABI guarantees this alignment; without it SSE instructions would fault.
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
    // The kernel always aligns the stack pointer: the architecture faults on a misaligned one.
    "bl {entry}",
    "brk #1",
    entry = sym entry,
);

extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: only _start calls this function, with the stack pointer as the kernel set it at exec.
    let startup = unsafe { sys::Startup::from_stack(stack) };
    sys::exit(run::run(startup.arguments(), startup.environment()))
}

/// Ends the process without output: a panic message must not reach a connection. HAProxy keeps the server's state when
/// it gets no reply. No known input leads to a panic.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(run::STATUS_PANIC)
}

// core is compiled for unwinding, and debug builds keep its references to the unwinder.
#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[cfg(debug_assertions)]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    sys::exit(run::STATUS_PANIC)
}
