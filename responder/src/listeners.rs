//! The listening sockets of the accept loop: created for `--listen`, or inherited from a launcher.

use crate::address::Address;
use crate::name::NameRef;
use crate::sys::{self, Descriptor, Errno, Family, SocketAddress};

/// The largest number of listening sockets.
pub const MAX: usize = 32;

/// The indices of the table.
pub const INDICES: core::ops::Range<u16> = 0..MAX as u16;

/// The largest number of connections that wait to be accepted. It is the kernel's default limit (net.core.somaxconn) since
/// Linux 5.4.
const BACKLOG: u16 = 4096;

/// One listening socket.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// The socket, in non-blocking mode.
    pub socket: Descriptor,
    /// The service that its socket unit names.
    pub name: Option<NameRef<'a>>,
    /// Whether this process created the socket, so that its queue ends with this process. An inherited socket remains
    /// with the launcher, and the next process serves its queue.
    pub is_own: bool,
    /// The path of a unix socket that this process created.
    path: Option<&'a [u8]>,
    /// False if the slot is free. With an `Option` around the struct, a free slot would have bytes other than 0, and the
    /// program would contain a table of them.
    used: bool,
}

/// A fixed table of listening sockets.
#[derive(Debug)]
pub struct Listeners<'a> {
    list: [Listener<'a>; MAX],
}

impl<'a> Listeners<'a> {
    /// A table without sockets.
    pub const EMPTY: Listeners<'static> = Listeners {
        list: [Listener {
            socket: Descriptor::STDIN,
            name: None,
            is_own: false,
            path: None,
            used: false,
        }; MAX],
    };

    /// Creates a socket that listens on `address`.
    ///
    /// # Errors
    /// The kernel's; [`Errno::NFILE`] beyond [`MAX`].
    pub fn open(&mut self, mut address: Address<'a>) -> sys::Result<()> {
        let socket = match listen(&address) {
            // IPv6 is disabled.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if address.is_everywhere => {
                address.socket.change_to_ipv4();
                listen(&address)?
            }
            result => result?,
        };
        self.add(Listener {
            socket,
            name: None,
            is_own: true,
            path: address.path,
            used: true,
        })
    }

    /// Adds an inherited socket that already listens.
    ///
    /// # Errors
    /// The kernel's; [`Errno::NFILE`] beyond [`MAX`].
    pub fn adopt(&mut self, socket: Descriptor, name: Option<NameRef<'a>>) -> sys::Result<()> {
        // A connection can end before it is accepted; accept must then not block.
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

    /// Whether the table has no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.iter().all(|listener| !listener.used)
    }

    /// The socket at `index`.
    #[must_use]
    pub fn get(&self, index: u16) -> Option<&Listener<'a>> {
        self.list
            .get(usize::from(index))
            .filter(|listener| listener.used)
    }

    /// Removes the socket at `index` without closing it.
    pub fn remove(&mut self, index: u16) {
        if let Some(slot) = self.list.get_mut(usize::from(index)) {
            slot.used = false;
        }
    }

    /// Deletes the paths of unix sockets that this process created.
    pub fn unlink_paths(&self) {
        for listener in &self.list {
            if let Some(path) = listener.path
                && listener.used
            {
                let _ = unlink(&SocketAddress::unix(path));
            }
        }
    }
}

const SOL_SOCKET: u8 = 1;
const SO_REUSEADDR: u8 = 2;
const IPPROTO_IPV6: u8 = 41;
const IPV6_V6ONLY: u8 = 26;

/// Creates a socket that listens on `address`.
fn listen(address: &Address<'_>) -> sys::Result<Descriptor> {
    let socket = sys::socket(address.socket.family())?;
    let result = bind(socket, address).and_then(|()| sys::listen(socket, BACKLOG));
    if result.is_err() {
        sys::close(socket);
    }
    result.map(|()| socket)
}

fn bind(socket: Descriptor, address: &Address<'_>) -> sys::Result<()> {
    // Connections of an earlier process in TIME_WAIT must not prevent binding.
    sys::set_option(socket, SOL_SOCKET, SO_REUSEADDR, true)?;
    if address.socket.family() == Family::V6 {
        // Set in both cases: net.ipv6.bindv6only selects the default.
        sys::set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, !address.is_everywhere)?;
    }
    match sys::bind(socket, &address.socket) {
        // Replaces the socket of a process that no longer runs, and no other file.
        Err(Errno::ADDRINUSE) if is_stale(&address.socket) => {
            unlink(&address.socket)?;
            sys::bind(socket, &address.socket)
        }
        bound => bound,
    }
}

/// Whether the address is the path of a unix socket on which no process listens. A refused connection alone does not
/// prove it: a regular file refuses as well and must not be removed. Only a socket fails to open with ENXIO.
fn is_stale(address: &SocketAddress) -> bool {
    let opened = |path| sys::open_to_read(path).map(sys::close);
    if address.path().map(opened) != Some(Err(Errno::NXIO)) {
        return false;
    }
    let Ok(socket) = sys::socket(address.family()) else {
        return false;
    };
    let refused = sys::connect(socket, address) == Err(Errno::CONNREFUSED);
    sys::close(socket);
    refused
}

fn unlink(address: &SocketAddress) -> sys::Result<()> {
    sys::unlink(address.path().ok_or(Errno::INVAL)?)
}
