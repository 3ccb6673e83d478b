//! The sockets that an accept loop listens on: made for `--listen`, or taken over from a launcher.

use crate::address::Address;
use crate::name::Name;
use crate::sys::{self, Descriptor, Errno, Path, Peer, SocketAddress};

/// How many there can be.
pub const MAX: usize = 32;

/// How many connections may wait to be accepted; the kernel's own limit (net.core.somaxconn) is above
/// that on any recent system.
const BACKLOG: u16 = 1024;

/// One listening socket.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// It, never waiting.
    pub socket: Descriptor,
    /// The service that its socket unit names.
    pub name: Option<Name<'a>>,
    /// Whether it was made here, so that its queue ends with this process. One that was handed over stays
    /// with the launcher, and what waits in its queue is for the next process.
    pub is_own: bool,
    /// The path of a unix socket of our own making.
    path: Option<&'a [u8]>,
    /// False in a place that is free. (Not an Option around all of it: then a free place would not be all
    /// zeroes, and a table of them would be shipped in the program.)
    used: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Listeners<'a> {
    list: [Listener<'a>; MAX],
}

impl<'a> Listeners<'a> {
    /// None.
    pub const NONE: Listeners<'static> = Listeners {
        list: [Listener {
            socket: Descriptor::STDIN,
            name: None,
            is_own: false,
            path: None,
            used: false,
        }; MAX],
    };

    /// Listens where `--listen` says.
    ///
    /// # Errors
    /// The kernel's; [`Errno::NFILE`] beyond [`MAX`].
    pub fn open(&mut self, address: &Address<'a>) -> sys::Result<()> {
        let (socket, path) = match *address {
            Address::V4(ip, port) => (tcp(Peer::V4, SocketAddress::v4(ip, port), true)?, None),
            Address::V6(ip, port) => (tcp(Peer::V6, SocketAddress::v6(ip, port), true)?, None),
            Address::Everywhere(port) => (everywhere(port)?, None),
            Address::Unix(path) => (unix(path)?, Some(path)),
        };
        self.add(Listener {
            socket,
            name: None,
            is_own: true,
            path,
            used: true,
        })
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// The kernel's; [`Errno::NFILE`] beyond [`MAX`].
    pub fn adopt(&mut self, socket: Descriptor, name: Option<Name<'a>>) -> sys::Result<()> {
        // A connection that is gone again by the time it is accepted must not make anybody wait.
        sys::set_nonblocking(socket)?;
        self.add(Listener {
            socket,
            name,
            is_own: false,
            path: None,
            used: true,
        })
    }

    fn add(&mut self, listener: Listener<'a>) -> sys::Result<()> {
        let free = self.list.iter_mut().find(|slot| !slot.used);
        *free.ok_or(Errno::NFILE)? = listener;
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Each with its number, 0 to [`MAX`] - 1.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Listener<'a>)> + '_ {
        (0..).zip(&self.list).filter(|(_, listener)| listener.used)
    }

    /// The one of this number.
    #[must_use]
    pub fn get(&self, number: u16) -> Option<&Listener<'a>> {
        self.list
            .get(usize::from(number))
            .filter(|listener| listener.used)
    }

    /// Forgets one that broke.
    pub fn remove(&mut self, number: u16) {
        if let Some(slot) = self.list.get_mut(usize::from(number)) {
            slot.used = false;
        }
    }

    /// Removes the paths of unix sockets of our own making.
    pub fn unlink_paths(&self) {
        for (_, listener) in self.iter() {
            if let Some(path) = listener.path {
                let _ = with_c_path(path, sys::unlink);
            }
        }
    }
}

const SOL_SOCKET: u8 = 1;
const SO_REUSEADDR: u8 = 2;
const IPPROTO_IPV6: u8 = 41;
const IPV6_V6ONLY: u8 = 26;

fn tcp(family: Peer, address: SocketAddress, alone: bool) -> sys::Result<Descriptor> {
    let socket = sys::socket(family)?;
    let made = (|| {
        // Not held up by what is left of connections of an earlier life.
        sys::set_option(socket, SOL_SOCKET, SO_REUSEADDR, true)?;
        if family == Peer::V6 {
            // Said either way: the default is the administrator's.
            sys::set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, alone)?;
        }
        sys::bind(socket, &address)?;
        sys::listen(socket, BACKLOG)
    })();
    or_close(socket, made)
}

/// Both families by one socket, or IPv4 alone where IPv6 is switched off.
#[inline(never)]
fn everywhere(port: u16) -> sys::Result<Descriptor> {
    match tcp(Peer::V6, SocketAddress::v6([0; 16], port), false) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            tcp(Peer::V4, SocketAddress::v4([0; 4], port), true)
        }
        other => other,
    }
}

#[inline(never)]
fn unix(path: &[u8]) -> sys::Result<Descriptor> {
    let address = SocketAddress::unix(path);
    let socket = sys::socket(Peer::Unix)?;
    let made = (|| {
        match sys::bind(socket, &address) {
            // What an earlier life left behind goes, somebody who listens stays.
            Err(Errno::ADDRINUSE) if is_left_behind(path, &address) => {
                with_c_path(path, sys::unlink)?;
                sys::bind(socket, &address)?;
            }
            bound => bound?,
        }
        sys::listen(socket, BACKLOG)
    })();
    or_close(socket, made)
}

/// Whether this is a socket on which nobody listens. Connecting alone does not tell: a regular file
/// refuses as well, and is not ours to remove. Opening tells a socket from all other files.
fn is_left_behind(path: &[u8], address: &SocketAddress) -> bool {
    if with_c_path(path, |path| sys::open_to_read(path).map(sys::close)) != Err(Errno::NXIO) {
        return false;
    }
    let Ok(socket) = sys::socket(Peer::Unix) else {
        return false;
    };
    let refused = sys::connect(socket, address) == Err(Errno::CONNREFUSED);
    sys::close(socket);
    refused
}

fn with_c_path(path: &[u8], with: fn(Path<'_>) -> sys::Result<()>) -> sys::Result<()> {
    let mut room = [0; SocketAddress::MAX_PATH + 1];
    let target = room.get_mut(..path.len()).ok_or(Errno::INVAL)?;
    target.copy_from_slice(path);
    with(Path::new(&room).ok_or(Errno::INVAL)?)
}

fn or_close(socket: Descriptor, made: sys::Result<()>) -> sys::Result<Descriptor> {
    if made.is_err() {
        sys::close(socket);
    }
    made.map(|()| socket)
}
