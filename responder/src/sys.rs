//! The system calls: thin, safe functions with types, and the only room of this library with `unsafe`
//! in it. No decisions: what an error means is for the caller to say.
//!
//! `asm.rs` and `libc.rs` are the two ways into the kernel, `startup.rs` reads what it left on the
//! stack. Descriptors are plain numbers that nobody closes behind anybody's back: a wrong one is an
//! error of the kernel (EBADF), never a matter of memory.
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
use kernel::{call, number};

/// The kernel's number of an error (1 to 4095). As wide as a register, like [`Descriptor`], so that a
/// [`Result`] of these is handed back in two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub usize);

#[rustfmt::skip]
impl Errno {
    /// No such file or directory.
    pub const NOENT: Self = Self(2);
    /// A signal came first.
    pub const INTR: Self = Self(4);
    /// It cannot be opened at all: a socket.
    pub const NXIO: Self = Self(6);
    /// No such descriptor.
    pub const BADF: Self = Self(9);
    /// It would have to wait.
    pub const AGAIN: Self = Self(11);
    /// Nonsense asked.
    pub const INVAL: Self = Self(22);
    /// The system has no file left.
    pub const NFILE: Self = Self(23);
    /// The process has no descriptor left.
    pub const MFILE: Self = Self(24);
    /// The reader of a pipe is gone.
    pub const PIPE: Self = Self(32);
    /// Not a socket.
    pub const NOTSOCK: Self = Self(88);
    /// The address family is not there: IPv6 switched off.
    pub const AFNOSUPPORT: Self = Self(97);
    /// Somebody listens there already, or did.
    pub const ADDRINUSE: Self = Self(98);
    /// The address is no address of this host.
    pub const ADDRNOTAVAIL: Self = Self(99);
    /// The peer has reset the connection.
    pub const CONNRESET: Self = Self(104);
    /// Nobody listens there.
    pub const CONNREFUSED: Self = Self(111);
}

/// What a system call gives.
pub type Result<T> = core::result::Result<T, Errno>;

/// A file descriptor's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor(pub usize);

impl Descriptor {
    /// Where a launcher puts the connection.
    pub const STDIN: Self = Self(0);
    /// Where the reply goes if that is not a socket.
    pub const STDOUT: Self = Self(1);
    /// Where messages go, if it is not the connection.
    pub const STDERR: Self = Self(2);

    /// None: the kernel knows no such number.
    pub const NONE: Self = Self(usize::MAX);

    fn raw(self) -> usize {
        self.0
    }
}

fn checked(result: isize) -> Result<usize> {
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno(result.unsigned_abs())),
    }
}

fn descriptor(result: isize) -> Result<Descriptor> {
    checked(result).map(Descriptor)
}

/// A call without addresses among its arguments.
fn plain(number: usize, arguments: [usize; 6]) -> isize {
    // SAFETY: private to this file, and used only for calls none of whose arguments is an address.
    unsafe { call(number, arguments) }
}

const CLOEXEC: usize = 0o2_000_000;
const NONBLOCK: usize = 0o4_000;
const AT_FDCWD: usize = -100_isize as usize;

/// A path for the kernel: bytes that end in a NUL.
#[derive(Clone, Copy, Debug)]
pub struct Path<'b>(&'b [u8]);

impl<'b> Path<'b> {
    /// The path in `bytes`, up to the first NUL; `None` where the last byte is none.
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

/// Opens a file to be read: never waiting for anybody (FIFOs, devices), never following a symbolic
/// link in the last component, never taking a terminal.
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
    // SAFETY: the path ends in NUL and outlives the call.
    descriptor(unsafe {
        call(
            number::OPENAT,
            [AT_FDCWD, path.0.as_ptr() as usize, flags, 0, 0, 0],
        )
    })
}

/// What is known of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Kind and permissions.
    pub mode: u32,
    /// Length in bytes.
    pub size: u64,
    /// Together with `inode`: which file it is.
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

/// What `descriptor` is.
///
/// # Errors
/// The kernel's; [`Errno::BADF`] where it is closed.
#[inline(never)]
pub fn status(descriptor: Descriptor) -> Result<Status> {
    kernel::status(descriptor.raw()).map_err(|refused| Errno(refused.unsigned_abs()))
}

/// Reads what is there, at most the buffer's length; 0 at the end.
///
/// # Errors
/// The kernel's.
#[inline(never)]
pub fn read(from: Descriptor, buffer: &mut [u8]) -> Result<usize> {
    let (to, room) = (buffer.as_mut_ptr() as usize, buffer.len());
    // SAFETY: the kernel writes at most `room` bytes into the buffer.
    checked(unsafe { call(number::READ, [from.raw(), to, room, 0, 0, 0]) })
}

/// Writes to a pipe, terminal or file; may wait where the other end is slow.
///
/// # Errors
/// The kernel's.
pub fn write(to: Descriptor, bytes: &[u8]) -> Result<usize> {
    let (from, count) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: the kernel reads `count` bytes of the slice.
    checked(unsafe { call(number::WRITE, [to.raw(), from, count, 0, 0, 0]) })
}

/// Closes. The descriptor is gone whatever the kernel says of it.
#[inline(never)]
pub fn close(descriptor: Descriptor) {
    plain(number::CLOSE, [descriptor.raw(), 0, 0, 0, 0, 0]);
}

/// Another descriptor of the same file.
///
/// # Errors
/// The kernel's; [`Errno::MFILE`] where there is none left.
#[inline(never)]
pub fn duplicate(of: Descriptor) -> Result<Descriptor> {
    const DUPFD_CLOEXEC: usize = 1030;
    // From 3 up: the standard three may be closed and must not come to mean something.
    descriptor(plain(number::FCNTL, [of.raw(), DUPFD_CLOEXEC, 3, 0, 0, 0]))
}

/// Makes an inherited socket one that never waits.
///
/// # Errors
/// The kernel's.
pub fn set_nonblocking(descriptor: Descriptor) -> Result<()> {
    const GETFL: usize = 3;
    const SETFL: usize = 4;
    let flags = checked(plain(number::FCNTL, [descriptor.raw(), GETFL, 0, 0, 0, 0]))?;
    let flags = flags | NONBLOCK;
    checked(plain(
        number::FCNTL,
        [descriptor.raw(), SETFL, flags, 0, 0, 0],
    ))
    .map(|_| ())
}

/// Now.
#[must_use]
pub fn boot_time() -> BootTime {
    const BOOTTIME: usize = 7;
    let mut time: [c_long; 2] = [0; 2];
    // SAFETY: the kernel writes one `struct timespec`: two longs.
    unsafe {
        call(
            number::CLOCK_GETTIME,
            [BOOTTIME, time.as_mut_ptr() as usize, 0, 0, 0, 0],
        )
    };
    // It cannot fail: the clock is there since Linux 2.6.39. If it did, the zero would make every state
    // file one from the future, which is refused.
    let [seconds, nanoseconds] = time.map(|part| part.max(0).unsigned_abs());
    // No cast on 64 bits, a widening one on 32.
    #[allow(clippy::unnecessary_cast)]
    BootTime::from_timespec(seconds as u64, nanoseconds as u64)
}

/// This process's id.
#[must_use]
pub fn process_id() -> u32 {
    u32::try_from(plain(number::GETPID, [0; 6])).unwrap_or(0)
}

/// Ends the process.
pub fn exit(status: u8) -> ! {
    loop {
        plain(number::EXIT_GROUP, [usize::from(status), 0, 0, 0, 0, 0]);
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There is something to read, or the end.
    ToRead,
    /// There is room to write.
    ToWrite,
}

/// Waits until `descriptor` is ready or has an error to tell, or `at_most` is over; false in the
/// latter case.
///
/// # Errors
/// The kernel's.
#[inline(never)]
pub fn wait(descriptor: Descriptor, ready: Ready, at_most: Duration) -> Result<bool> {
    #[repr(C)]
    struct PollFd {
        descriptor: c_int,
        events: i16,
        returned: i16,
    }
    let mut set = PollFd {
        // Fits an int, or is one that the kernel does not know either way.
        descriptor: descriptor.0 as c_int,
        events: match ready {
            Ready::ToRead => 0x1,
            Ready::ToWrite => 0x4,
        },
        returned: 0,
    };
    let timeout = [
        c_long::try_from(at_most.as_secs()).unwrap_or(c_long::MAX),
        c_long::from(i32::try_from(at_most.subsec_nanos()).unwrap_or(0)),
    ];
    let (set, timeout) = (&raw mut set as usize, timeout.as_ptr() as usize);
    // SAFETY: one `struct pollfd` and one `struct timespec`, both alive; no signal mask.
    checked(unsafe { call(number::PPOLL, [set, 1, timeout, 0, 0, 0]) }).map(|ready| ready > 0)
}

mod signals;
mod sockets;

pub use signals::{Signals, block, signal_descriptor};
pub use sockets::{
    Epoll, Event, Events, Peer, SocketAddress, accept, bind, connect, is_listening, listen,
    receive, send, set_option, shutdown_sending, socket, unlink,
};
