//! Sockets and epoll. Nothing here ever waits but [`Epoll::wait`], and nothing raises SIGPIPE.
#![allow(unsafe_code)]

use super::{
    AT_FDCWD, CLOEXEC, Descriptor, Errno, NONBLOCK, Path, Result, call, checked, descriptor,
    number, plain,
};
use core::ffi::c_int;

const SOL_SOCKET: usize = 1;

/// Whether the socket listens; where it does not, it is a connection.
///
/// # Errors
/// [`Errno::NOTSOCK`] or [`Errno::BADF`] where it is no socket.
#[inline(never)]
pub fn is_listening(descriptor: Descriptor) -> Result<bool> {
    const ACCEPTCONN: usize = 30;
    let mut value: c_int = 0;
    let mut length: u32 = 4;
    let (to, room) = ((&raw mut value) as usize, (&raw mut length) as usize);
    // SAFETY: the kernel writes one int and the length of it.
    let result = unsafe {
        call(
            number::GETSOCKOPT,
            [descriptor.raw(), SOL_SOCKET, ACCEPTCONN, to, room, 0],
        )
    };
    checked(result).map(|_| value != 0)
}

const DONTWAIT: usize = 0x40;
const NOSIGNAL: usize = 0x4000;

/// Sends what there is room for, in one piece where there is room for all.
///
/// # Errors
/// The kernel's; [`Errno::NOTSOCK`] where it is no socket.
#[inline(never)]
pub fn send(to: Descriptor, bytes: &[u8]) -> Result<usize> {
    let (from, count) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: the kernel reads `count` bytes of the slice; no address is given.
    checked(unsafe {
        call(
            number::SENDTO,
            [to.raw(), from, count, DONTWAIT | NOSIGNAL, 0, 0],
        )
    })
}

/// What has arrived, at most the buffer's length; 0 where the peer has finished.
///
/// # Errors
/// [`Errno::AGAIN`] where nothing has arrived, and the kernel's.
#[inline(never)]
pub fn receive(from: Descriptor, buffer: &mut [u8]) -> Result<usize> {
    let (to, room) = (buffer.as_mut_ptr() as usize, buffer.len());
    // SAFETY: the kernel writes at most `room` bytes into the buffer; no address is asked for.
    checked(unsafe { call(number::RECVFROM, [from.raw(), to, room, DONTWAIT, 0, 0]) })
}

/// Tells the peer that nothing more comes. It may be gone already, which is as good.
pub fn shutdown_sending(descriptor: Descriptor) {
    const WRITE: usize = 1;
    plain(number::SHUTDOWN, [descriptor.raw(), WRITE, 0, 0, 0, 0]);
}

/// The next connection of a listening socket.
///
/// # Errors
/// [`Errno::AGAIN`] where there is none, [`Errno::MFILE`] and [`Errno::NFILE`] where there is no
/// descriptor for it, and whatever became of the connection meanwhile.
pub fn accept(listener: Descriptor) -> Result<Descriptor> {
    // SAFETY: no address is asked for.
    descriptor(unsafe { call(number::ACCEPT4, [listener.raw(), 0, 0, CLOEXEC, 0, 0]) })
}

/// Families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Sockets in the file system.
    Unix = 1,
    /// IPv4.
    V4 = 2,
    /// IPv6.
    V6 = 10,
}

/// A socket's address in the kernel's form.
#[derive(Clone, Copy, Debug)]
pub struct SocketAddress {
    bytes: [u8; SocketAddress::MAX],
    length: usize,
}

impl SocketAddress {
    /// The longest: a family and 108 bytes of path.
    const MAX: usize = 110;
    /// The longest path of a unix socket, in bytes, its NUL not counted.
    pub const MAX_PATH: usize = 107;

    #[inline(never)]
    fn of(family: Peer, parts: &[&[u8]]) -> Self {
        let mut address = Self {
            bytes: [0; Self::MAX],
            length: 0,
        };
        address.push(&(family as u16).to_ne_bytes());
        for part in parts {
            address.push(part);
        }
        address
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        // Always fits: the longest part is a path, whose length its maker has looked at.
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(part);
            self.length = end;
        }
    }

    /// An IPv4 address.
    #[must_use]
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        Self::of(Peer::V4, &[&port.to_be_bytes(), &address, &[0; 8]])
    }

    /// An IPv6 address without a zone.
    #[must_use]
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        Self::of(Peer::V6, &[&port.to_be_bytes(), &[0; 4], &address, &[0; 4]])
    }

    /// A path of at most [`Self::MAX_PATH`] bytes without NUL; what is longer gives an address that the
    /// kernel refuses.
    #[must_use]
    pub fn unix(path: &[u8]) -> Self {
        Self::of(Peer::Unix, &[path, &[0]])
    }
}

/// A stream socket that never waits.
///
/// # Errors
/// The kernel's; [`Errno::AFNOSUPPORT`] where the family is switched off.
#[inline(never)]
pub fn socket(family: Peer) -> Result<Descriptor> {
    const STREAM: usize = 1;
    let kind = STREAM | CLOEXEC | NONBLOCK;
    descriptor(plain(number::SOCKET, [family as usize, kind, 0, 0, 0, 0]))
}

/// Switches an option of SOL_SOCKET (level 1), IPPROTO_IPV6 (level 41) and the like.
///
/// # Errors
/// The kernel's.
pub fn set_option(descriptor: Descriptor, level: u8, option: u8, on: bool) -> Result<()> {
    let value = c_int::from(on);
    let (level, option) = (usize::from(level), usize::from(option));
    let from = (&raw const value) as usize;
    // SAFETY: the kernel reads one int.
    let result = unsafe {
        call(
            number::SETSOCKOPT,
            [descriptor.raw(), level, option, from, 4, 0],
        )
    };
    checked(result).map(|_| ())
}

/// Gives the socket its address.
///
/// # Errors
/// The kernel's; [`Errno::ADDRINUSE`] where it is taken.
#[inline(never)]
pub fn bind(descriptor: Descriptor, address: &SocketAddress) -> Result<()> {
    let from = address.bytes.as_ptr() as usize;
    let arguments = [descriptor.raw(), from, address.length, 0, 0, 0];
    // SAFETY: the kernel reads `length` bytes of the address, all of them there.
    checked(unsafe { call(number::BIND, arguments) }).map(|_| ())
}

/// Connects.
///
/// # Errors
/// The kernel's; [`Errno::CONNREFUSED`] where nobody listens.
pub fn connect(descriptor: Descriptor, address: &SocketAddress) -> Result<()> {
    let from = address.bytes.as_ptr() as usize;
    let arguments = [descriptor.raw(), from, address.length, 0, 0, 0];
    // SAFETY: as for bind.
    checked(unsafe { call(number::CONNECT, arguments) }).map(|_| ())
}

/// Lets connections come, `backlog` of them waiting at most.
///
/// # Errors
/// The kernel's.
pub fn listen(descriptor: Descriptor, backlog: u16) -> Result<()> {
    checked(plain(
        number::LISTEN,
        [descriptor.raw(), usize::from(backlog), 0, 0, 0, 0],
    ))
    .map(|_| ())
}

/// Removes a file's name.
///
/// # Errors
/// The kernel's.
pub fn unlink(path: Path<'_>) -> Result<()> {
    // SAFETY: the path ends in NUL and outlives the call.
    checked(unsafe {
        call(
            number::UNLINKAT,
            [AT_FDCWD, path.0.as_ptr() as usize, 0, 0, 0, 0],
        )
    })
    .map(|_| ())
}

/// One thing that is ready: which, by the number given at [`Epoll::add`].
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    events: u32,
    token: u64,
}

/// Room for what one wait can tell.
#[derive(Debug)]
pub struct Events {
    events: [Event; Events::ROOM],
    count: usize,
}

impl Events {
    const ROOM: usize = 64;

    /// Nothing yet.
    #[must_use]
    pub fn none() -> Self {
        Self {
            events: [Event {
                events: 0,
                token: 0,
            }; Self::ROOM],
            count: 0,
        }
    }

    /// The numbers of what is ready.
    pub fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().take(self.count).map(|event| event.token)
    }
}

/// A set of descriptors that are waited for together.
#[derive(Clone, Copy, Debug)]
pub struct Epoll(Descriptor);

impl Epoll {
    /// An empty one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self> {
        descriptor(plain(number::EPOLL_CREATE1, [CLOEXEC, 0, 0, 0, 0, 0])).map(Self)
    }

    /// Its own descriptor.
    #[must_use]
    pub fn descriptor(self) -> Descriptor {
        self.0
    }

    /// Tells when there is something to read on `descriptor`, for as long as there is. Closing it takes it
    /// out.
    ///
    /// # Errors
    /// The kernel's; EPERM (1) where it cannot be waited for, as a regular file.
    pub fn add(self, descriptor: Descriptor, token: u64) -> Result<()> {
        const ADD: usize = 1;
        const IN: u32 = 0x1;
        let mut event = Event { events: IN, token };
        let arguments = [
            self.0.raw(),
            ADD,
            descriptor.raw(),
            (&raw mut event) as usize,
            0,
            0,
        ];
        // SAFETY: the kernel reads one `struct epoll_event`.
        checked(unsafe { call(number::EPOLL_CTL, arguments) }).map(|_| ())
    }

    /// Tells no more of `descriptor`.
    pub fn remove(self, descriptor: Descriptor) {
        const REMOVE: usize = 2;
        // It can only fail where it is not in the set, which is what is wanted.
        plain(
            number::EPOLL_CTL,
            [self.0.raw(), REMOVE, descriptor.raw(), 0, 0, 0],
        );
    }

    /// Waits for at most `milliseconds` (-1: for ever) and fills `events`; none after that time, and
    /// none where a signal came first.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(self, events: &mut Events, milliseconds: i32) -> Result<()> {
        events.count = 0;
        let to = events.events.as_mut_ptr() as usize;
        let timeout = milliseconds as usize;
        let arguments = [self.0.raw(), to, Events::ROOM, timeout, 0, 8];
        // SAFETY: the kernel writes at most ROOM events; there is no signal mask.
        match checked(unsafe { call(number::EPOLL_PWAIT, arguments) }) {
            Ok(count) => events.count = count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
