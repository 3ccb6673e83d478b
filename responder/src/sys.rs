//! The system calls as thin, safe functions with types. All `unsafe` code of this library is here. The callers decide what
//! an error means.
//!
//! `asm.rs` and `libc.rs` are the two ways to call the kernel; `startup.rs` reads arguments and environment from the
//! stack. A descriptor is a plain number: using a wrong one gives the error EBADF and cannot corrupt memory.
#![allow(unsafe_code)]

#[cfg_attr(
    all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(agentcheck_std)
    ),
    path = "sys/asm.rs"
)]
#[cfg_attr(
    not(all(
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(agentcheck_std)
    )),
    path = "sys/libc.rs"
)]
mod kernel;
mod startup;

pub use startup::{Startup, Strings};

use agentcheck_common::BootTime;
use core::ffi::{c_int, c_long};
use core::time::Duration;
use kernel::number;

/// An error number of the kernel (1 to 4095). As wide as a register, like [`Descriptor`], so that a function returns a
/// [`Result`] in two registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub usize);

#[rustfmt::skip]
impl Errno {
    /// No such file or directory.
    pub const NOENT: Self = Self(2);
    /// A signal interrupted the call.
    pub const INTR: Self = Self(4);
    /// The file cannot be opened: it is a socket.
    pub const NXIO: Self = Self(6);
    /// No such descriptor.
    pub const BADF: Self = Self(9);
    /// The call would block.
    pub const AGAIN: Self = Self(11);
    /// An argument is invalid.
    pub const INVAL: Self = Self(22);
    /// The system has no descriptor left.
    pub const NFILE: Self = Self(23);
    /// The process has no descriptor left.
    pub const MFILE: Self = Self(24);
    /// The pipe has no reader.
    pub const PIPE: Self = Self(32);
    /// Not a socket.
    pub const NOTSOCK: Self = Self(88);
    /// The address family is not available: IPv6 is disabled.
    pub const AFNOSUPPORT: Self = Self(97);
    /// The address is in use, or the path exists.
    pub const ADDRINUSE: Self = Self(98);
    /// The host does not have the address.
    pub const ADDRNOTAVAIL: Self = Self(99);
    /// The peer has reset the connection.
    pub const CONNRESET: Self = Self(104);
    /// No process listens on the address.
    pub const CONNREFUSED: Self = Self(111);
}

/// The result of a system call.
pub type Result<T> = core::result::Result<T, Errno>;

/// A file descriptor's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub usize);

impl Descriptor {
    /// Standard input, where a launcher puts the connection.
    pub const STDIN: Self = Self(0);
    /// Standard output, where the reply goes if standard input is not a socket.
    pub const STDOUT: Self = Self(1);
    /// Standard error, where messages go if it is not the connection.
    pub const STDERR: Self = Self(2);

    /// No descriptor: a number that the kernel never uses.
    pub const NONE: Self = Self(usize::MAX);

    fn raw(self) -> usize {
        self.0
    }
}

/// Makes a system call with at most four arguments.
///
/// # Safety
/// As for [`kernel::call`].
#[inline(always)]
unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> Result<usize> {
    let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: the caller guarantees it. The kernel ignores arguments that a call does not have.
    unsafe { call_with_four(argument(0), argument(1), argument(2), argument(3), number) }
}

/// One function for all calls, because every copy makes the program larger. The number is the last parameter, so that the
/// arguments already have their registers. No call with four arguments needs another value than 0 after them.
#[inline(never)]
unsafe fn call_with_four(a: usize, b: usize, c: usize, d: usize, number: usize) -> Result<usize> {
    // SAFETY: as above.
    checked(unsafe { kernel::call(number, [a, b, c, d, 0, 0]) })
}

fn checked(result: isize) -> Result<usize> {
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno(result.unsigned_abs())),
    }
}

/// A system call whose arguments contain no address.
#[inline(always)]
fn call_without_pointers<const N: usize>(number: usize, arguments: [usize; N]) -> Result<usize> {
    // SAFETY: private to this module and used only for calls whose arguments contain no address.
    unsafe { call(number, arguments) }
}

const CLOEXEC: usize = 0o2_000_000;
const NONBLOCK: usize = 0o4_000;
const AT_FDCWD: usize = -100_isize as usize;

/// A path for the kernel: bytes that end with a NUL.
#[derive(Clone, Copy, Debug)]
pub struct Path<'b>(&'b [u8]);

impl<'b> Path<'b> {
    /// The path in `bytes`, up to the first NUL. Returns `None` unless the last byte is a NUL.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Option<Self> {
        (bytes.last() == Some(&0)).then_some(Self(bytes))
    }

    /// The path without its last NUL.
    #[must_use]
    pub fn as_bytes(self) -> &'b [u8] {
        self.0.strip_suffix(b"\0").unwrap_or(self.0)
    }
}

/// Opens a file for reading. Does not block (FIFOs, devices), does not follow a symbolic link in the last component, and
/// does not acquire a controlling terminal.
///
/// # Errors
/// The kernel's; `ELOOP` (40) for a symbolic link.
#[inline(never)]
pub fn open_to_read(path: Path<'_>) -> Result<Descriptor> {
    const NOCTTY: usize = 0o400;
    const NOFOLLOW: usize = if cfg!(any(
        target_arch = "aarch64",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "powerpc64"
    )) {
        0o100_000
    } else {
        0o400_000
    };
    let flags = NOFOLLOW | NONBLOCK | NOCTTY | CLOEXEC;
    // SAFETY: the path ends with a NUL and outlives the call.
    unsafe { call(number::OPENAT, [AT_FDCWD, path.0.as_ptr() as usize, flags]) }.map(Descriptor)
}

/// The status of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Kind and permissions.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// Identifies the file together with `inode`.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
}

impl Status {
    /// Whether it is a regular file.
    #[must_use]
    pub fn is_regular_file(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether it is a terminal or another character device.
    #[must_use]
    pub fn is_character_device(&self) -> bool {
        self.mode & 0o170_000 == 0o020_000
    }

    /// Whether it is the same file as `other`.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// The status of the file of `descriptor`.
///
/// # Errors
/// The kernel's; [`Errno::BADF`] if the descriptor is closed.
#[inline(never)]
pub fn status(descriptor: Descriptor) -> Result<Status> {
    kernel::status(descriptor.raw()).map_err(|refused| Errno(refused.unsigned_abs()))
}

/// Reads at most as many bytes as the buffer has. Returns 0 at the end.
///
/// # Errors
/// The kernel's.
#[inline(never)]
pub fn read(from: Descriptor, buffer: &mut [u8]) -> Result<usize> {
    let (to, room) = (buffer.as_mut_ptr() as usize, buffer.len());
    // SAFETY: the kernel writes at most `room` bytes into the buffer.
    unsafe { call(number::READ, [from.raw(), to, room]) }
}

/// Reads at most as many bytes as the buffer has, from this offset of a file. Returns 0 at the end.
///
/// # Errors
/// The kernel's.
pub fn read_at(from: Descriptor, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let (to, room) = (buffer.as_mut_ptr() as usize, buffer.len());
    // A document is far smaller than the address space.
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    // SAFETY: the kernel writes at most `room` bytes into the buffer.
    unsafe { call(number::PREAD64, [from.raw(), to, room, offset]) }
}

/// Writes to a pipe, terminal or file; may block if the reader is slow.
///
/// # Errors
/// The kernel's.
#[inline(never)]
pub fn write(to: Descriptor, bytes: &[u8]) -> Result<usize> {
    let (from, count) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: the kernel reads `count` bytes of the slice.
    unsafe { call(number::WRITE, [to.raw(), from, count]) }
}

/// Closes the descriptor. An error of the kernel changes nothing: the descriptor is closed in any case.
#[inline(never)]
pub fn close(descriptor: Descriptor) {
    let _ = call_without_pointers(number::CLOSE, [descriptor.raw()]);
}

/// Closes all descriptors from `first` on.
pub fn close_from(first: Descriptor) {
    /// The usual limit on a system whose kernel has no close_range (before Linux 5.9).
    const USUAL_LIMIT: usize = 4096;
    let last = c_int::MAX as usize;
    let arguments = [first.raw(), last, 0];
    if call_without_pointers(number::CLOSE_RANGE, arguments).is_err() {
        for number in first.raw()..USUAL_LIMIT {
            close(Descriptor(number));
        }
    }
}

/// Creates another descriptor of the same file.
///
/// # Errors
/// The kernel's; [`Errno::MFILE`] if no descriptor is left.
#[inline(never)]
pub fn duplicate(of: Descriptor) -> Result<Descriptor> {
    const DUPFD_CLOEXEC: usize = 1030;
    // Numbers from 3: the standard descriptors may be closed, and their numbers must not be used again.
    call_without_pointers(number::FCNTL, [of.raw(), DUPFD_CLOEXEC, 3]).map(Descriptor)
}

/// Sets an inherited socket to non-blocking mode.
///
/// # Errors
/// The kernel's.
pub fn set_nonblocking(descriptor: Descriptor) -> Result<()> {
    const GETFL: usize = 3;
    const SETFL: usize = 4;
    let flags = call_without_pointers(number::FCNTL, [descriptor.raw(), GETFL])? | NONBLOCK;
    call_without_pointers(number::FCNTL, [descriptor.raw(), SETFL, flags]).map(|_| ())
}

/// The current boot time.
#[must_use]
pub fn boot_time() -> BootTime {
    const BOOTTIME: usize = 7;
    let mut time: [c_long; 2] = [0; 2];
    // SAFETY: the kernel writes one `struct timespec`: two longs.
    let _ = unsafe {
        call(
            number::CLOCK_GETTIME,
            [BOOTTIME, time.as_mut_ptr() as usize],
        )
    };
    // It cannot fail: Linux has this clock since 2.6.39. If it failed, the time would be 0. Then every state file would be
    // from the future, and refused.
    let [seconds, nanoseconds] = time.map(|part| part.max(0).unsigned_abs());
    // The cast changes nothing on 64 bits, and widens on 32 bits.
    #[allow(clippy::unnecessary_cast)]
    BootTime::from_timespec(seconds as u64, nanoseconds as u64)
}

/// This process's id.
#[must_use]
pub fn process_id() -> u32 {
    call_without_pointers(number::GETPID, []).map_or(0, |id| id as u32)
}

/// Ends the process.
pub fn exit(status: u8) -> ! {
    loop {
        let _ = call_without_pointers(number::EXIT_GROUP, [usize::from(status)]);
    }
}

/// The event to wait for, with its number for poll and epoll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There are bytes to read, or the end: POLLIN.
    ToRead = 0x1,
    /// There is room to write: POLLOUT.
    ToWrite = 0x4,
}

/// Waits until `descriptor` is ready or has an error. Returns 1, or 0 if that takes longer than `at_most`.
///
/// # Errors
/// The kernel's.
#[inline(never)]
pub fn wait(descriptor: Descriptor, ready: Ready, at_most: Duration) -> Result<usize> {
    #[repr(C)]
    struct PollFd {
        descriptor: c_int,
        events: i16,
        returned: i16,
    }
    let mut set = PollFd {
        // Fits an int; a larger number is invalid for the kernel in any case.
        descriptor: descriptor.0 as c_int,
        events: ready as i16,
        returned: 0,
    };
    let timeout = [
        c_long::try_from(at_most.as_secs()).unwrap_or(c_long::MAX),
        c_long::from(i32::try_from(at_most.subsec_nanos()).unwrap_or(0)),
    ];
    let (set, timeout) = (&raw mut set as usize, timeout.as_ptr() as usize);
    // SAFETY: the kernel reads one `struct pollfd` and one `struct timespec`, which both outlive the call; there is no
    // signal mask.
    unsafe { call(number::PPOLL, [set, 1, timeout, 0]) }
}

mod signals;
mod sockets;

pub use signals::{Signals, block, set_blocked, signal_descriptor};
pub use sockets::{
    Epoll, Event, Events, Family, PeerAddress, SocketAddress, accept, bind, connect, is_listening,
    listen, receive, send, set_option, shutdown_sending, socket, unlink,
};
