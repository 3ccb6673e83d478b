//! The five functions that compiled code calls to copy, fill and compare memory, and `strlen`, which newer compilers
//! generate for a loop. They are simple: the program copies a few hundred bytes.
//!
//! The compiler would recognize a plain loop, and compile it into a call of the function itself. So the functions use
//! assembly, or volatile reads where that is shorter.
#![allow(unsafe_code)]
// Each function has the safety contract of the C function of the same name; only compiled code calls it.
#![allow(clippy::missing_safety_doc)]

use core::ffi::c_int;

#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller owns `count` bytes at both; the direction flag is clear by the ABI.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags),
        );
    }
    to
}

#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, count: usize) -> *mut u8 {
    // SAFETY: the caller owns `count` bytes at `to`; the direction flag is clear by the ABI.
    unsafe {
        core::arch::asm!(
            "rep stosb",
            inout("rcx") count => _, inout("rdi") to => _, in("eax") byte,
            options(nostack, preserves_flags),
        );
    }
    to
}

#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= count {
        // SAFETY: `to` does not lie within the source, so copying upwards never reads an overwritten byte.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: as memcpy, from the last byte down; the direction flag is clear again afterwards.
    unsafe {
        core::arch::asm!(
            "std",
            "rep movsb",
            "cld",
            inout("rcx") count => _,
            inout("rdi") to.wrapping_add(count).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(count).wrapping_sub(1) => _,
            options(nostack),
        );
    }
    to
}

// Byte by byte: a state file is a few hundred bytes long.
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl memcpy",
    "memcpy:",
    "mov x3, x0",
    "cbz x2, 2f",
    "1: ldrb w4, [x1], #1",
    "strb w4, [x3], #1",
    "subs x2, x2, #1",
    "b.ne 1b",
    "2: ret",
    ".globl memset",
    "memset:",
    "mov x3, x0",
    "cbz x2, 4f",
    "3: strb w1, [x3], #1",
    "subs x2, x2, #1",
    "b.ne 3b",
    "4: ret",
    ".globl memmove",
    "memmove:",
    // Upwards unless the destination lies within the source.
    "sub x3, x0, x1",
    "cmp x3, x2",
    "b.hs memcpy",
    "cbz x2, 6f",
    "5: sub x2, x2, #1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "cbnz x2, 5b",
    "6: ret",
);

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    for at in 0..count {
        // SAFETY: the caller owns `count` bytes at both.
        let (l, r) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if l != r {
            return c_int::from(l) - c_int::from(r);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: as memcmp.
    unsafe { memcmp(left, right, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller's text ends with a NUL, and no byte after it is read.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}
