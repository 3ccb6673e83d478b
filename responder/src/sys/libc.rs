//! Calls the kernel on all other targets, through the C library that std links anyway.
//!
//! The interface is that of `asm.rs`: calls by number, here by a number of this module. Only for targets whose Linux has
//! the common constants for flags and socket options (not MIPS, SPARC, Alpha, PA-RISC).
#![allow(unsafe_code)]

use super::Status;
use core::ffi::{c_char, c_int, c_long, c_uint, c_void};
use core::mem::MaybeUninit;

#[cfg(any(
    target_arch = "mips",
    target_arch = "mips64",
    target_arch = "sparc",
    target_arch = "sparc64"
))]
compile_error!("flags and socket options have other values here: sys.rs needs a table of them");

/// The length of a set of signals.
pub(super) const SIGNAL_SET_BYTES: usize = 128;

#[rustfmt::skip]
pub(super) mod number {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 2;
    pub(crate) const SIGPROCMASK: usize = 3;
    pub(crate) const GETPID: usize = 4;
    pub(crate) const SOCKET: usize = 5;
    pub(crate) const CONNECT: usize = 6;
    pub(crate) const SENDTO: usize = 7;
    pub(crate) const RECVFROM: usize = 8;
    pub(crate) const SHUTDOWN: usize = 9;
    pub(crate) const BIND: usize = 10;
    pub(crate) const LISTEN: usize = 11;
    pub(crate) const SETSOCKOPT: usize = 12;
    pub(crate) const GETSOCKOPT: usize = 13;
    pub(crate) const FCNTL: usize = 14;
    pub(crate) const CLOCK_GETTIME: usize = 15;
    pub(crate) const EXIT_GROUP: usize = 16;
    pub(crate) const EPOLL_CTL: usize = 17;
    pub(crate) const OPENAT: usize = 18;
    pub(crate) const UNLINKAT: usize = 19;
    pub(crate) const PPOLL: usize = 20;
    pub(crate) const EPOLL_PWAIT: usize = 21;
    pub(crate) const ACCEPT4: usize = 22;
    pub(crate) const SIGNALFD4: usize = 23;
    pub(crate) const EPOLL_CREATE1: usize = 24;
    pub(crate) const PREAD64: usize = 25;
    pub(crate) const CLOSE_RANGE: usize = 26;
}

unsafe extern "C" {
    safe fn __errno_location() -> *mut c_int;
    fn read(descriptor: c_int, to: *mut c_void, count: usize) -> isize;
    fn pread64(descriptor: c_int, to: *mut c_void, count: usize, offset: i64) -> isize;
    fn write(descriptor: c_int, from: *const c_void, count: usize) -> isize;
    safe fn close(descriptor: c_int) -> c_int;
    fn sigprocmask(how: c_int, set: *const c_void, old: *mut c_void) -> c_int;
    safe fn getpid() -> c_int;
    safe fn socket(family: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn connect(descriptor: c_int, address: *const c_void, length: c_uint) -> c_int;
    fn send(descriptor: c_int, from: *const c_void, count: usize, flags: c_int) -> isize;
    fn recv(descriptor: c_int, to: *mut c_void, count: usize, flags: c_int) -> isize;
    safe fn shutdown(descriptor: c_int, how: c_int) -> c_int;
    fn bind(descriptor: c_int, address: *const c_void, length: c_uint) -> c_int;
    safe fn listen(descriptor: c_int, backlog: c_int) -> c_int;
    fn setsockopt(
        d: c_int,
        level: c_int,
        name: c_int,
        value: *const c_void,
        length: c_uint,
    ) -> c_int;
    fn getsockopt(
        d: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        length: *mut c_uint,
    ) -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    fn clock_gettime(clock: c_int, to: *mut c_void) -> c_int;
    fn _exit(status: c_int) -> !;
    fn epoll_ctl(epoll: c_int, what: c_int, descriptor: c_int, event: *mut c_void) -> c_int;
    fn openat(directory: c_int, path: *const c_char, flags: c_int, ...) -> c_int;
    fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int;
    fn ppoll(set: *mut c_void, count: usize, timeout: *const c_void, mask: *const c_void) -> c_int;
    fn epoll_wait(epoll: c_int, events: *mut c_void, room: c_int, timeout: c_int) -> c_int;
    fn accept4(d: c_int, address: *mut c_void, length: *mut c_uint, flags: c_int) -> c_int;
    fn signalfd(descriptor: c_int, set: *const c_void, flags: c_int) -> c_int;
    safe fn epoll_create1(flags: c_int) -> c_int;
    fn statx(
        directory: c_int,
        path: *const c_char,
        flags: c_int,
        mask: c_uint,
        to: *mut c_void,
    ) -> c_int;
}

fn last_error() -> isize {
    // SAFETY: the C library returns the address of this thread's errno.
    let error = unsafe { *__errno_location() };
    -(error as isize)
}

/// Calls the C library. A negative result is the negated number of an error.
///
/// # Safety
/// If an argument of this call is an address, the function may read or write the memory there as its documentation
/// describes.
pub(super) unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> isize {
    let mut all = [0; 6];
    for (slot, argument) in all.iter_mut().zip(arguments) {
        *slot = argument;
    }
    let [a, b, c, d, e, _] = all;
    let descriptor = a as c_int;
    let int = |value: c_int| value as isize;
    // SAFETY: the caller guarantees that the arguments are those of the function of the same name, in their order. The
    // casts restore the pointers from which the addresses were made.
    let result = unsafe {
        match number {
            number::READ => read(descriptor, b as *mut c_void, c),
            number::PREAD64 => pread64(descriptor, b as *mut c_void, c, d as i64),
            // Not in every C library; the caller then closes the descriptors one by one.
            number::CLOSE_RANGE => return -38,
            number::WRITE => write(descriptor, b as *const c_void, c),
            number::CLOSE => int(close(descriptor)),
            number::SIGPROCMASK => int(sigprocmask(
                a as c_int,
                b as *const c_void,
                c as *mut c_void,
            )),
            number::GETPID => int(getpid()),
            number::SOCKET => int(socket(a as c_int, b as c_int, c as c_int)),
            number::CONNECT => int(connect(descriptor, b as *const c_void, c as c_uint)),
            number::SENDTO => send(descriptor, b as *const c_void, c, d as c_int),
            number::RECVFROM => recv(descriptor, b as *mut c_void, c, d as c_int),
            number::SHUTDOWN => int(shutdown(descriptor, b as c_int)),
            number::BIND => int(bind(descriptor, b as *const c_void, c as c_uint)),
            number::LISTEN => int(listen(descriptor, b as c_int)),
            number::SETSOCKOPT => int(setsockopt(
                descriptor,
                b as c_int,
                c as c_int,
                d as *const c_void,
                e as c_uint,
            )),
            number::GETSOCKOPT => int(getsockopt(
                descriptor,
                b as c_int,
                c as c_int,
                d as *mut c_void,
                e as *mut c_uint,
            )),
            number::FCNTL => int(fcntl(descriptor, b as c_int, c as c_long)),
            number::CLOCK_GETTIME => int(clock_gettime(a as c_int, b as *mut c_void)),
            number::EXIT_GROUP => _exit(a as c_int),
            number::EPOLL_CTL => int(epoll_ctl(
                descriptor,
                b as c_int,
                c as c_int,
                d as *mut c_void,
            )),
            number::OPENAT => int(openat(descriptor, b as *const c_char, c as c_int)),
            number::UNLINKAT => int(unlinkat(descriptor, b as *const c_char, c as c_int)),
            number::PPOLL => int(ppoll(
                a as *mut c_void,
                b,
                c as *const c_void,
                d as *const c_void,
            )),
            number::EPOLL_PWAIT => int(epoll_wait(
                descriptor,
                b as *mut c_void,
                c as c_int,
                d as c_int,
            )),
            number::ACCEPT4 => int(accept4(
                descriptor,
                b as *mut c_void,
                c as *mut c_uint,
                d as c_int,
            )),
            number::SIGNALFD4 => int(signalfd(descriptor, b as *const c_void, d as c_int)),
            number::EPOLL_CREATE1 => int(epoll_create1(a as c_int)),
            // ENOSYS. All numbers of the list above are handled.
            _ => return -38,
        }
    };
    if result == -1 { last_error() } else { result }
}

/// The kernel's `struct statx`, which is the same on all architectures, unlike `struct stat`.
#[repr(C)]
struct Statx {
    head: [u32; 7],
    mode: u16,
    spare: u16,
    inode: u64,
    size: u64,
    blocks: u64,
    attributes: u64,
    times: [u64; 8],
    special: [u32; 2],
    device_major: u32,
    device_minor: u32,
    rest: [u64; 14],
}

const _: () = assert!(size_of::<Statx>() == 256);

/// The result of `statx`, or the negated number of the error.
pub(super) fn status(descriptor: usize) -> Result<Status, isize> {
    const EMPTY_PATH: c_int = 0x1000;
    const BASIC: c_uint = 0x7ff;
    let mut stat = MaybeUninit::<Statx>::uninit();
    // SAFETY: the path is empty and ends with a NUL; `stat` has room for the one `struct statx` that is written.
    let result = unsafe {
        statx(
            descriptor as c_int,
            c"".as_ptr(),
            EMPTY_PATH,
            BASIC,
            stat.as_mut_ptr().cast(),
        )
    };
    if result < 0 {
        return Err(last_error());
    }
    // SAFETY: the call succeeded, so `stat` is initialized.
    let stat = unsafe { stat.assume_init() };
    Ok(Status {
        mode: u32::from(stat.mode),
        size: stat.size,
        device: (u64::from(stat.device_major) << 32) | u64::from(stat.device_minor),
        inode: stat.inode,
    })
}
