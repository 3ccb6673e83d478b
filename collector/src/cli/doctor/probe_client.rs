//! A probe as `HAProxy` makes it, bounded in time and size.

use crate::setup::doctor::probe::{Probe, ProbeOutcome};
use agentcheck_common::{Reply, ServiceName};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a whole probe may take: `HAProxy`'s default agent-inter.
pub(in crate::cli) const PATIENCE: Duration = Duration::from_secs(2);

/// The longest line that `HAProxy` takes, in bytes.
const MOST: usize = 16 << 10;

/// How often a service whose words change meanwhile is asked again.
const TRIES: usize = 3;

/// Whom a probe is for.
#[derive(Clone, Copy)]
pub(super) enum For<'a> {
    /// A service, whose name is sent.
    Name(&'a ServiceName),
    /// A service that has the port for itself; nothing is sent, as balancers send nothing there.
    Port(&'a ServiceName),
    /// Nobody: nothing is sent.
    Nobody,
}

/// Where a probe goes, and from where.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Way {
    pub(in crate::cli) to: SocketAddr,
    /// None is as the kernel chooses.
    pub(in crate::cli) from: Option<IpAddr>,
}

impl Way {
    /// To an address of this host: from the loopback, where that gets an answer. Launchers as they ship let that
    /// in, whatever they listen on, and this host's other addresses only when they are told to.
    pub(super) fn within(to: SocketAddr) -> Self {
        let loopback: IpAddr = match to.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let from = Some(loopback).filter(|_| !to.ip().is_loopback());
        let way = Self { to, from };
        match ask(way, None, Instant::now() + PATIENCE) {
            ProbeOutcome::Line(_) => way,
            _ => Self { to, from: None },
        }
    }

    /// The same to another port.
    pub(super) fn port(self, port: u16) -> Self {
        Self {
            to: SocketAddr::new(self.to.ip(), port),
            ..self
        }
    }

    fn connect(self) -> io::Result<TcpStream> {
        let Some(from) = self.from else {
            return TcpStream::connect_timeout(&self.to, PATIENCE);
        };
        let family = match from {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let socket =
            rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // That of connecting, too.
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
        rustix::net::connect(&socket, &self.to)?;
        Ok(TcpStream::from(socket))
    }
}

/// Probes as for `whom`; `said` is what the state file says.
pub(super) fn probe(way: Way, whom: For<'_>, said: &dyn Fn() -> Option<Reply>) -> Probe {
    let (service, word) = match whom {
        For::Name(name) => (Some(name), Some(name)),
        For::Port(name) => (Some(name), None),
        For::Nobody => (None, None),
    };
    let once = || {
        let before = said();
        let began = Instant::now();
        let heard = ask(way, word, began + PATIENCE);
        Probe {
            address: way.to,
            service: service.map(ToString::to_string),
            own_port: matches!(whom, For::Port(_)),
            took: began.elapsed(),
            heard,
            said: [before, said()],
        }
    };
    let mut probe = once();
    for _ in 1..TRIES {
        // The state file may have been replaced twice in between, or the words changed on the way.
        if probe.agrees() || service.is_none() || !matches!(probe.heard, ProbeOutcome::Line(_)) {
            break;
        }
        probe = once();
    }
    probe
}

pub(in crate::cli) fn ask(way: Way, word: Option<&ServiceName>, deadline: Instant) -> ProbeOutcome {
    let mut stream = match way.connect() {
        Ok(stream) => stream,
        Err(error) => return ProbeOutcome::NotConnected(error.to_string()),
    };
    let _ = stream.set_write_timeout(Some(PATIENCE));
    if let Some(service) = word {
        // An agent that has answered already may refuse it; what it said is still there.
        let _ = stream.write_all(format!("{service}\n").as_bytes());
    }
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > MOST || stream.set_read_timeout(Some(left)).is_err() {
            return ProbeOutcome::Silent(bytes);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return ProbeOutcome::Ended(bytes),
            Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return ProbeOutcome::Silent(bytes);
            }
            Err(_) => return ProbeOutcome::Ended(bytes),
        }
        if let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.truncate(end);
            return ProbeOutcome::Line(bytes);
        }
    }
}
