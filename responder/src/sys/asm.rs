//! Calls the kernel on x86_64 and aarch64: one instruction, and the numbers of the calls.
//!
//! The tests use it, too, although they have a C library: they run the code that is shipped.
#![allow(unsafe_code)]

use super::Status;
use core::mem::MaybeUninit;

/// The length of a set of signals.
pub(super) const SIGNAL_SET_BYTES: usize = 8;

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
pub(super) mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const FSTAT: usize = 5;
    pub(crate) const SIGPROCMASK: usize = 14;
    pub(crate) const PREAD64: usize = 17;
    pub(crate) const GETPID: usize = 39;
    pub(crate) const SOCKET: usize = 41;
    pub(crate) const CONNECT: usize = 42;
    pub(crate) const SENDTO: usize = 44;
    pub(crate) const RECVFROM: usize = 45;
    pub(crate) const SHUTDOWN: usize = 48;
    pub(crate) const BIND: usize = 49;
    pub(crate) const LISTEN: usize = 50;
    pub(crate) const SETSOCKOPT: usize = 54;
    pub(crate) const GETSOCKOPT: usize = 55;
    pub(crate) const FCNTL: usize = 72;
    pub(crate) const CLOCK_GETTIME: usize = 228;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const EPOLL_CTL: usize = 233;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const UNLINKAT: usize = 263;
    pub(crate) const PPOLL: usize = 271;
    pub(crate) const EPOLL_PWAIT: usize = 281;
    pub(crate) const ACCEPT4: usize = 288;
    pub(crate) const SIGNALFD4: usize = 289;
    pub(crate) const EPOLL_CREATE1: usize = 291;
    pub(crate) const CLOSE_RANGE: usize = 436;
}

#[cfg(target_arch = "aarch64")]
#[rustfmt::skip]
pub(super) mod number {
    pub(crate) const EPOLL_CREATE1: usize = 20;
    pub(crate) const EPOLL_CTL: usize = 21;
    pub(crate) const EPOLL_PWAIT: usize = 22;
    pub(crate) const FCNTL: usize = 25;
    pub(crate) const UNLINKAT: usize = 35;
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const PREAD64: usize = 67;
    pub(crate) const PPOLL: usize = 73;
    pub(crate) const SIGNALFD4: usize = 74;
    pub(crate) const FSTAT: usize = 80;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const CLOCK_GETTIME: usize = 113;
    pub(crate) const SIGPROCMASK: usize = 135;
    pub(crate) const GETPID: usize = 172;
    pub(crate) const SOCKET: usize = 198;
    pub(crate) const BIND: usize = 200;
    pub(crate) const LISTEN: usize = 201;
    pub(crate) const CONNECT: usize = 203;
    pub(crate) const SENDTO: usize = 206;
    pub(crate) const RECVFROM: usize = 207;
    pub(crate) const SETSOCKOPT: usize = 208;
    pub(crate) const GETSOCKOPT: usize = 209;
    pub(crate) const SHUTDOWN: usize = 210;
    pub(crate) const ACCEPT4: usize = 242;
    pub(crate) const CLOSE_RANGE: usize = 436;
}

/// Makes a system call. A negative result is the negated number of an error.
///
/// # Safety
/// `arguments` must be all arguments that this call has. If one of them is an address, the kernel may read or write the
/// memory there as the call's documentation describes.
#[inline(always)]
pub(super) unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> isize {
    let result: isize;
    // Loads only the registers of the arguments: the other ones would need one instruction each.
    macro_rules! syscall {
        ($($register:tt $index:tt),*) => {{
            // SAFETY: the registers are those of the kernel's calling convention, the overwritten ones are declared,
            // and memory is not declared as untouched. The caller guarantees the rest.
            #[cfg(target_arch = "x86_64")]
            unsafe {
                core::arch::asm!(
                    "syscall",
                    inlateout("rax") number => result,
                    $(in($register) argument(&arguments, $index),)*
                    lateout("rcx") _, lateout("r11") _,
                    options(nostack, preserves_flags),
                );
            }
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            unsafe {
                core::arch::asm!(
                    "svc 0",
                    in("x8") number,
                    $(in($register) argument(&arguments, $index),)*
                    lateout("x0") result,
                    options(nostack, preserves_flags),
                );
            }
        }};
    }
    #[cfg(target_arch = "x86_64")]
    match N {
        0 => syscall!(),
        1 => syscall!("rdi" 0),
        2 => syscall!("rdi" 0, "rsi" 1),
        3 => syscall!("rdi" 0, "rsi" 1, "rdx" 2),
        4 => syscall!("rdi" 0, "rsi" 1, "rdx" 2, "r10" 3),
        5 => syscall!("rdi" 0, "rsi" 1, "rdx" 2, "r10" 3, "r8" 4),
        _ => syscall!("rdi" 0, "rsi" 1, "rdx" 2, "r10" 3, "r8" 4, "r9" 5),
    }
    #[cfg(target_arch = "aarch64")]
    match N {
        0 => syscall!(),
        1 => syscall!("x0" 0),
        2 => syscall!("x0" 0, "x1" 1),
        3 => syscall!("x0" 0, "x1" 1, "x2" 2),
        4 => syscall!("x0" 0, "x1" 1, "x2" 2, "x3" 3),
        5 => syscall!("x0" 0, "x1" 1, "x2" 2, "x3" 3, "x4" 4),
        _ => syscall!("x0" 0, "x1" 1, "x2" 2, "x3" 3, "x4" 4, "x5" 5),
    }
    result
}

/// The argument at `index`, which is a constant below the length.
#[inline(always)]
fn argument(arguments: &[usize], index: usize) -> usize {
    arguments.get(index).copied().unwrap_or(0)
}

/// The kernel's `struct stat`, with names for the fields that are used.
#[repr(C)]
#[cfg(target_arch = "x86_64")]
struct Stat {
    device: u64,
    inode: u64,
    links: u64,
    mode: u32,
    owner: [u32; 3],
    special: u64,
    size: i64,
    rest: [u64; 11],
}

/// The kernel's `struct stat`, with names for the fields that are used.
#[repr(C)]
#[cfg(target_arch = "aarch64")]
struct Stat {
    device: u64,
    inode: u64,
    mode: u32,
    links: u32,
    owner: [u32; 2],
    special: [u64; 2],
    size: i64,
    rest: [u64; 9],
}

// The kernel writes 144 and 128 bytes.
const _: () = assert!(
    size_of::<Stat>()
        == if cfg!(target_arch = "x86_64") {
            144
        } else {
            128
        }
);

/// The result of `fstat`, or the negated number of the error.
pub(super) fn status(descriptor: usize) -> Result<Status, isize> {
    let mut stat = MaybeUninit::<Stat>::uninit();
    let arguments = [descriptor, stat.as_mut_ptr() as usize];
    // SAFETY: the kernel writes one `struct stat`, and `stat` has room for it.
    let result = unsafe { call(number::FSTAT, arguments) };
    if result < 0 {
        return Err(result);
    }
    // SAFETY: the call succeeded, so the kernel has initialized it.
    let stat = unsafe { stat.assume_init() };
    Ok(Status {
        mode: stat.mode,
        size: stat.size.max(0).unsigned_abs(),
        device: stat.device,
        inode: stat.inode,
    })
}
