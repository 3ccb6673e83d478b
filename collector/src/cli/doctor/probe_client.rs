//! A probe as `HAProxy` makes it, bounded in time and size.

use crate::setup::doctor::http_probe::{HttpProbe, Origin, Request};
use crate::setup::doctor::probe::{Probe, ProbeOutcome};
use agentcheck_common::{Reply, ServiceName};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The time limit of a probe: `HAProxy`'s default agent-inter.
pub(in crate::cli) const PATIENCE: Duration = Duration::from_secs(2);

/// The longest line that `HAProxy` accepts, in bytes.
const MAX_LINE: usize = 16 << 10;

/// How often a service is probed whose reply changes meanwhile.
const TRIES: usize = 3;

/// What a probe asks for.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// A service by name.
    Name(&'a ServiceName),
    /// A service with a port of its own. The probe sends nothing, like a balancer.
    OwnPort(&'a ServiceName),
    /// The same with `--http`: the probe sends the name, because the responder waits for a line.
    OwnHttpPort(&'a ServiceName),
    /// No service: the probe sends nothing.
    Unnamed,
}

/// The addresses of a probe.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Route {
    pub(in crate::cli) to: SocketAddr,
    /// `None`: the kernel chooses it.
    pub(in crate::cli) from: Option<IpAddr>,
}

impl Route {
    /// To an address of this host, from the loopback where that gets a reply. The packaged launchers always accept
    /// the loopback, and other addresses only where the operator adds them.
    pub(super) fn within_host(to: SocketAddr) -> Self {
        let loopback: IpAddr = match to.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        if to.ip().is_loopback() {
            return Self { to, from: None };
        }
        let route = Self {
            to,
            from: Some(loopback),
        };
        match exchange(route, None, Instant::now() + PATIENCE) {
            ProbeOutcome::Line(_) => route,
            _ => Self { to, from: None },
        }
    }

    /// The same route to another port.
    pub(super) fn with_port(self, port: u16) -> Self {
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
        // This is also the timeout of connect.
        set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
        rustix::net::bind(&socket, &SocketAddr::new(from, 0))?;
        rustix::net::connect(&socket, &self.to)?;
        Ok(TcpStream::from(socket))
    }
}

/// Probes for `target`. `expected` reads the reply in the state file.
pub(super) fn probe(
    route: Route,
    target: Target<'_>,
    expected: &dyn Fn() -> Option<Reply>,
) -> Probe {
    let (service, sent) = match target {
        Target::Name(name) | Target::OwnHttpPort(name) => (Some(name), Some(name)),
        Target::OwnPort(name) => (Some(name), None),
        Target::Unnamed => (None, None),
    };
    let once = || {
        let before = expected();
        let began = Instant::now();
        let outcome = exchange(route, sent, began + PATIENCE);
        Probe {
            address: route.to,
            service: service.map(ToString::to_string),
            own_port: matches!(target, Target::OwnPort(_) | Target::OwnHttpPort(_)),
            took: began.elapsed(),
            outcome,
            expected: [before, expected()],
        }
    };
    let is_final = |probe: &Probe| {
        probe.agrees() || service.is_none() || !matches!(probe.outcome, ProbeOutcome::Line(_))
    };
    several(once, is_final)
}

/// Asks over HTTP. `expected` reads the replies in the state files of the services that the request may be for.
pub(super) fn request(
    route: Route,
    origin: &Origin,
    request: &Request,
    expected: &dyn Fn() -> Vec<Reply>,
) -> HttpProbe {
    // Without a Host of its own, as a check with only option httpchk.
    let text = format!("{request} HTTP/1.0\r\nConnection: close\r\n\r\n");
    let once = || {
        let mut replies = expected();
        let began = Instant::now();
        let outcome = converse(route, text.as_bytes(), began + PATIENCE, |_| None);
        HttpProbe {
            address: route.to,
            origin: origin.clone(),
            request: request.clone(),
            took: began.elapsed(),
            outcome,
            expected: {
                replies.extend(expected());
                replies
            },
        }
    };
    let is_final =
        |probe: &HttpProbe| probe.agrees() || !matches!(probe.outcome, ProbeOutcome::Ended(_));
    several(once, is_final)
}

/// Probes until the result is final: the collector may write another reply meanwhile.
fn several<P>(once: impl Fn() -> P, is_final: impl Fn(&P) -> bool) -> P {
    let mut probe = once();
    for _ in 1..TRIES {
        if is_final(&probe) {
            break;
        }
        probe = once();
    }
    probe
}

/// Sends the name, if there is one, and reads a line.
pub(in crate::cli) fn exchange(
    route: Route,
    sent: Option<&ServiceName>,
    deadline: Instant,
) -> ProbeOutcome {
    let sent = sent
        .map(|service| format!("{service}\n"))
        .unwrap_or_default();
    converse(route, sent.as_bytes(), deadline, |bytes| {
        bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))
    })
}

/// Connects, sends, and reads until `line_end` finds the end of a line, the agent closes, or the deadline.
fn converse(
    route: Route,
    sent: &[u8],
    deadline: Instant,
    line_end: impl Fn(&[u8]) -> Option<usize>,
) -> ProbeOutcome {
    let mut stream = match route.connect() {
        Ok(stream) => stream,
        Err(error) => return ProbeOutcome::NotConnected(error.to_string()),
    };
    let _ = stream.set_write_timeout(Some(PATIENCE));
    // An agent that has replied already may reset the connection; its reply can still be read.
    let _ = stream.write_all(sent);
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || bytes.len() > MAX_LINE || stream.set_read_timeout(Some(left)).is_err()
        {
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
        if let Some(end) = line_end(&bytes) {
            bytes.truncate(end);
            return ProbeOutcome::Line(bytes);
        }
    }
}
