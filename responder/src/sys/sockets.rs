//! Sockets and epoll. Only [`Epoll::wait`] blocks, and no function raises SIGPIPE.
#![allow(unsafe_code)]

use super::{
    AT_FDCWD, CLOEXEC, Descriptor, Errno, NONBLOCK, Path, Ready, Result, call,
    call_without_pointers, checked, kernel, number,
};
use crate::text::copy;
use core::ffi::c_int;

const SOL_SOCKET: usize = 1;

/// Whether the socket is listening; otherwise it is a connection. Returns `None` if the descriptor is not a socket.
#[inline(never)]
#[must_use]
pub fn is_listening(descriptor: Descriptor) -> Option<bool> {
    const ACCEPTCONN: usize = 30;
    let mut value: c_int = 0;
    let mut length: u32 = 4;
    let (to, room) = ((&raw mut value) as usize, (&raw mut length) as usize);
    // SAFETY: the kernel writes one int and its length.
    let result = unsafe {
        kernel::call(
            number::GETSOCKOPT,
            [descriptor.raw(), SOL_SOCKET, ACCEPTCONN, to, room],
        )
    };
    (result == 0).then_some(value != 0)
}

const DONTWAIT: usize = 0x40;
const NOSIGNAL: usize = 0x4000;
const MORE: usize = 0x8000;

/// Sends as many bytes as there is room for, without blocking: all of them in one piece if there is room. TCP keeps back an
/// incomplete last segment for at most 200 ms, so the end of the connection travels in the same segment. The caller must
/// shut down, close, or send more at once.
///
/// # Errors
/// The kernel's; [`Errno::NOTSOCK`] if it is not a socket.
#[inline(never)]
pub fn send(to: Descriptor, bytes: &[u8]) -> Result<usize> {
    let (from, count) = (bytes.as_ptr() as usize, bytes.len());
    // SAFETY: the kernel reads `count` bytes of the slice; no address is given.
    unsafe {
        call(
            number::SENDTO,
            [to.raw(), from, count, DONTWAIT | NOSIGNAL | MORE],
        )
    }
}

/// Receives bytes that have arrived, at most as many as the buffer has. Returns 0 if the peer has closed its sending side.
///
/// # Errors
/// [`Errno::AGAIN`] if no bytes have arrived, and the kernel's.
#[inline(never)]
pub fn receive(from: Descriptor, buffer: &mut [u8]) -> Result<usize> {
    let (to, room) = (buffer.as_mut_ptr() as usize, buffer.len());
    // SAFETY: the kernel writes at most `room` bytes into the buffer; the peer's address is not requested.
    unsafe { call(number::RECVFROM, [from.raw(), to, room, DONTWAIT]) }
}

/// Closes the sending side. The connection may already be closed, which is not an error.
#[inline(never)]
pub fn shutdown_sending(descriptor: Descriptor) {
    const WRITE: usize = 1;
    let _ = call_without_pointers(number::SHUTDOWN, [descriptor.raw(), WRITE]);
}

/// The address of a peer in the kernel's format, with zeroes after its end. The second word is the IPv4 address. The third
/// to the sixth word are the IPv6 address, and the first two of these its network.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub [u32; PeerAddress::WORDS]);

impl PeerAddress {
    /// The length of an IPv6 address, the longest that is kept.
    const WORDS: usize = 7;
}

/// Accepts the next connection of a listening socket.
///
/// # Errors
/// [`Errno::AGAIN`] if no connection is waiting, [`Errno::MFILE`] or [`Errno::NFILE`] if no descriptor is left, and any
/// error of the connection itself.
pub fn accept(listener: Descriptor) -> Result<(Descriptor, PeerAddress)> {
    let mut address = PeerAddress([0; PeerAddress::WORDS]);
    let mut length = size_of::<PeerAddress>() as u32;
    let (to, room) = ((&raw mut address) as usize, (&raw mut length) as usize);
    // SAFETY: the kernel writes at most `length` bytes of the address, and its length.
    let socket = unsafe { call(number::ACCEPT4, [listener.raw(), to, room, CLOEXEC]) }?;
    Ok((Descriptor(socket), address))
}

/// Address families.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Unix sockets.
    Unix = 1,
    /// IPv4.
    V4 = 2,
    /// IPv6.
    V6 = 10,
}

/// A socket address: the first two fields are in the kernel's format.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketAddress {
    family: Family,
    /// A port and an IP address, or a path and a NUL. The rest is 0.
    data: [u8; SocketAddress::MAX_PATH + 1],
    length: usize,
}

impl SocketAddress {
    /// The longest path of a unix socket, in bytes, without its NUL.
    pub const MAX_PATH: usize = 107;

    #[inline(never)]
    fn new(family: Family, length: usize, port: u16, offset: usize, content: &[u8]) -> Self {
        let mut data = [0; Self::MAX_PATH + 1];
        copy(&mut data, &port.to_be_bytes());
        copy(data.get_mut(offset..).unwrap_or_default(), content);
        Self {
            family,
            data,
            length,
        }
    }

    /// An IPv4 address.
    #[must_use]
    pub fn v4(ip: [u8; 4], port: u16) -> Self {
        Self::new(Family::V4, 16, port, 2, &ip)
    }

    /// An IPv6 address without a zone.
    #[must_use]
    pub fn v6(ip: [u8; 16], port: u16) -> Self {
        Self::new(Family::V6, 28, port, 6, &ip)
    }

    /// A path of at most [`Self::MAX_PATH`] bytes without NUL. The kernel refuses a longer one.
    #[must_use]
    pub fn unix(path: &[u8]) -> Self {
        Self::new(Family::Unix, 2 + path.len() + 1, 0, 0, path)
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The path, if it is a unix socket.
    #[must_use]
    pub fn path(&self) -> Option<Path<'_>> {
        Path::new(&self.data).filter(|_| self.family == Family::Unix)
    }

    /// Changes the IPv6 address of all hosts, `::`, into that of IPv4. The port remains.
    pub fn change_to_ipv4(&mut self) {
        (self.family, self.length) = (Family::V4, 16);
    }
}

/// Creates a non-blocking stream socket.
///
/// # Errors
/// The kernel's; [`Errno::AFNOSUPPORT`] if the family is disabled.
#[inline(never)]
pub fn socket(family: Family) -> Result<Descriptor> {
    const STREAM: usize = 1;
    let kind = STREAM | CLOEXEC | NONBLOCK;
    call_without_pointers(number::SOCKET, [family as usize, kind, 0]).map(Descriptor)
}

/// Sets a boolean option of SOL_SOCKET (level 1), IPPROTO_IPV6 (level 41) or another level.
///
/// # Errors
/// The kernel's.
pub fn set_option(descriptor: Descriptor, level: u8, option: u8, on: bool) -> Result<()> {
    let value = c_int::from(on);
    let (level, option) = (usize::from(level), usize::from(option));
    let from = (&raw const value) as usize;
    // SAFETY: the kernel reads one int.
    let result = unsafe {
        kernel::call(
            number::SETSOCKOPT,
            [descriptor.raw(), level, option, from, 4],
        )
    };
    checked(result).map(|_| ())
}

/// Binds the socket to the address.
///
/// # Errors
/// The kernel's; [`Errno::ADDRINUSE`] if the address is in use.
#[inline(never)]
pub fn bind(descriptor: Descriptor, address: &SocketAddress) -> Result<()> {
    let from = (&raw const *address) as usize;
    let arguments = [descriptor.raw(), from, address.length];
    // SAFETY: the kernel reads `length` bytes of the address. It refuses a length of more than 110, without reading.
    unsafe { call(number::BIND, arguments) }.map(|_| ())
}

/// Connects the socket.
///
/// # Errors
/// The kernel's; [`Errno::CONNREFUSED`] if no process listens.
pub fn connect(descriptor: Descriptor, address: &SocketAddress) -> Result<()> {
    let from = (&raw const *address) as usize;
    let arguments = [descriptor.raw(), from, address.length];
    // SAFETY: as for bind.
    unsafe { call(number::CONNECT, arguments) }.map(|_| ())
}

/// Starts listening; at most `backlog` connections wait to be accepted.
///
/// # Errors
/// The kernel's.
pub fn listen(descriptor: Descriptor, backlog: u16) -> Result<()> {
    let arguments = [descriptor.raw(), usize::from(backlog)];
    call_without_pointers(number::LISTEN, arguments).map(|_| ())
}

/// Deletes the path.
///
/// # Errors
/// The kernel's.
pub fn unlink(path: Path<'_>) -> Result<()> {
    // SAFETY: the path ends with a NUL and outlives the call.
    unsafe { call(number::UNLINKAT, [AT_FDCWD, path.0.as_ptr() as usize, 0]) }.map(|_| ())
}

/// An event: the token of [`Epoll::add`] of a descriptor that is ready.
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
#[derive(Clone, Copy, Debug)]
pub struct Event {
    events: u32,
    token: u64,
}

/// The events of one wait.
#[repr(C)]
#[derive(Debug)]
pub struct Events {
    count: usize,
    events: [Event; Events::ROOM],
}

impl Events {
    const ROOM: usize = 64;

    /// No events.
    pub const EMPTY: Self = Self {
        events: [Event {
            events: 0,
            token: 0,
        }; Self::ROOM],
        count: 0,
    };

    /// The tokens of the descriptors that are ready.
    pub fn tokens(&self) -> impl Iterator<Item = u64> + '_ {
        self.events.iter().take(self.count).map(|event| event.token)
    }
}

/// An epoll instance.
#[derive(Clone, Copy, Debug)]
pub struct Epoll(Descriptor);

impl Epoll {
    /// Creates an empty instance.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> Result<Self> {
        let epoll = call_without_pointers(number::EPOLL_CREATE1, [CLOEXEC])?;
        Ok(Self(Descriptor(epoll)))
    }

    /// The instance's own descriptor.
    #[must_use]
    pub fn descriptor(self) -> Descriptor {
        self.0
    }

    /// Adds `descriptor`: epoll reports it as long as it is ready. Closing the descriptor removes it.
    ///
    /// # Errors
    /// The kernel's; EPERM (1) if epoll does not support the file, for example a regular file.
    pub fn add(self, descriptor: Descriptor, token: u64, ready: Ready) -> Result<()> {
        const ADD: usize = 1;
        self.control(ADD, descriptor, token, ready)
    }

    /// Changes what epoll reports about `descriptor`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn modify(self, descriptor: Descriptor, token: u64, ready: Ready) -> Result<()> {
        const MODIFY: usize = 3;
        self.control(MODIFY, descriptor, token, ready)
    }

    fn control(
        self,
        operation: usize,
        descriptor: Descriptor,
        token: u64,
        ready: Ready,
    ) -> Result<()> {
        // EPOLLIN and EPOLLOUT have the numbers of POLLIN and POLLOUT.
        let events = ready as u32;
        let mut event = Event { events, token };
        let arguments = [
            self.0.raw(),
            operation,
            descriptor.raw(),
            (&raw mut event) as usize,
        ];
        // SAFETY: the kernel reads one `struct epoll_event`.
        unsafe { call(number::EPOLL_CTL, arguments) }.map(|_| ())
    }

    /// Removes `descriptor`.
    #[inline(never)]
    pub fn remove(self, descriptor: Descriptor) {
        const REMOVE: usize = 2;
        // It fails only if the descriptor is not in the set, which is the desired result.
        let _ = call_without_pointers(number::EPOLL_CTL, [self.0.raw(), REMOVE, descriptor.raw()]);
    }

    /// Waits at most `milliseconds` (-1: without limit) and fills `events`. There are no events after that time, or if a
    /// signal interrupted the wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(self, events: &mut Events, milliseconds: i32) -> Result<()> {
        events.count = 0;
        let to = events.events.as_mut_ptr() as usize;
        let arguments = [self.0.raw(), to, Events::ROOM, milliseconds as usize];
        // SAFETY: the kernel writes at most ROOM events; there is no signal mask.
        match unsafe { call(number::EPOLL_PWAIT, arguments) } {
            Ok(count) => events.count = count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
