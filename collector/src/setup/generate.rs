//! Generates what starts the responder, and how HAProxy asks it: systemd socket units, an xinetd file, inetd
//! lines, and backends of haproxy.cfg. The files are the shipped ones with the operator's addresses and ports.
//! This module returns texts; it reads and writes no file.
//!
//! Everyone who can connect can read the replies. The generated files let in this host and the hosts that the
//! operator names, where the launcher has an access list.

mod haproxy;
mod inetd;
mod systemd;
mod xinetd;

use crate::config::Config;
use crate::setup::server_line::ServerLine;
use agentcheck_common::{DEFAULT_STATE_DIR, ServiceName};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The program that the files are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Socket units of systemd, and the accept loop.
    Systemd,
    /// xinetd, one process per probe.
    Xinetd,
    /// openbsd-inetd, one process per probe.
    Inetd,
    /// HAProxy, which asks.
    Haproxy,
}

impl Target {
    /// The directory of its files; for inetd and HAProxy, the one file that the lines belong in.
    #[must_use]
    pub fn destination(self) -> &'static str {
        match self {
            Self::Systemd => "/etc/systemd/system",
            Self::Xinetd => "/etc/xinetd.d",
            Self::Inetd => "/etc/inetd.conf",
            Self::Haproxy => "/etc/haproxy/haproxy.cfg",
        }
    }

    /// Whether the text is a part of a file that exists already.
    #[must_use]
    pub fn is_fragment(self) -> bool {
        matches!(self, Self::Inetd | Self::Haproxy)
    }
}

/// Who may connect: one address, or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    address: IpAddr,
    /// The length of the prefix; `None` for one address.
    bits: Option<u8>,
}

/// The text is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidNetwork;

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write an address, or a network as in 10.0.0.0/24")
    }
}

impl std::error::Error for InvalidNetwork {}

impl FromStr for Allowed {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let bits = bits.map(str::parse::<u8>).transpose();
        let bits = bits.map_err(|_| InvalidNetwork)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.is_none_or(|bits| bits <= most) {
            true => Ok(Self { address, bits }),
            false => Err(InvalidNetwork),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            None => write!(f, "{}", self.address),
            Some(bits) => write!(f, "{}/{bits}", self.address),
        }
    }
}

/// What the operator asks for.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// The addresses of this host to listen on; the loopback where there are none. For HAProxy, the addresses of
    /// the servers.
    pub addresses: &'r [IpAddr],
    /// Who may connect besides this host.
    pub allow: &'r [Allowed],
    /// The port of the services that have none of their own.
    pub port: NonZeroU16,
    /// The responder's program.
    pub responder: &'r Path,
    /// The directory of the state files.
    pub state_dir: &'r Path,
    /// Whether the responder also answers HTTP requests.
    pub http: bool,
}

/// Why no file can be generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GenerateError {
    /// The address is not a loopback address, and no other host may connect.
    NoClient(IpAddr),
    /// A service has the port that the others would share.
    PortTaken {
        /// The port.
        port: NonZeroU16,
        /// The service that has it.
        service: ServiceName,
    },
    /// The path means something else in one of the files.
    UnsafePath(PathBuf),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClient(address) => write!(
                f,
                "no other host could connect to {address}: name the balancers, as in --allow 10.0.0.2"
            ),
            Self::PortTaken { port, service } => write!(
                f,
                "port {port} belongs to service {service} alone: choose another --port for the other services"
            ),
            Self::UnsafePath(path) => write!(
                f,
                "cannot use path {path:?}: write an absolute path of letters, digits and / . _ - +"
            ),
        }
    }
}

impl std::error::Error for GenerateError {}

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path below [`Target::destination`]; empty for a fragment.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// What listens on one port.
#[derive(Clone, Debug)]
struct Port<'c> {
    number: NonZeroU16,
    /// The services whose replies it gives.
    services: Vec<&'c ServiceName>,
    /// Whether the client names the service.
    shared: bool,
}

/// What all files are made from. No value in it has a special meaning in any of the files.
struct Plan<'r> {
    ports: Vec<Port<'r>>,
    addresses: Vec<IpAddr>,
    /// The addresses that this host listens on, because it connects from them to itself; then the operator's.
    allow: Vec<Allowed>,
    responder: String,
    /// `None` for the responder's default.
    state_dir: Option<String>,
    http: bool,
}

/// The files that serve the configured services.
///
/// # Errors
/// The request leaves no client, a port is taken, or a path cannot be written into the files.
pub fn files(
    target: Target,
    config: &Config,
    request: &Request<'_>,
) -> Result<Vec<File>, GenerateError> {
    let plan = Plan::new(target, config, request)?;
    Ok(match target {
        Target::Systemd => systemd::files(&plan),
        Target::Xinetd => vec![xinetd::file(&plan)],
        Target::Inetd => vec![inetd::lines(&plan)],
        Target::Haproxy => vec![haproxy::backends(&plan)],
    })
}

impl<'r> Plan<'r> {
    fn new(
        target: Target,
        config: &'r Config,
        request: &Request<'r>,
    ) -> Result<Self, GenerateError> {
        if let Some(address) = request.addresses.iter().find(|one| !one.is_loopback())
            && request.allow.is_empty()
            && target != Target::Haproxy
        {
            return Err(GenerateError::NoClient(*address));
        }
        let state_dir = match request.state_dir == Path::new(DEFAULT_STATE_DIR) {
            true => None,
            false => Some(checked_path(request.state_dir)?),
        };
        let addresses = addresses(target, request.addresses);
        let own = addresses.iter().copied();
        let own = own.filter(|one| !one.is_loopback() && !one.is_unspecified());
        let own = own.map(|address| Allowed {
            address,
            bits: None,
        });
        Ok(Self {
            ports: ports(config, request.port)?,
            allow: own.chain(request.allow.iter().copied()).collect(),
            addresses,
            responder: checked_path(request.responder)?,
            state_dir,
            http: request.http,
        })
    }

    /// The responder's arguments for a port; `name` is the word for the service.
    fn arguments(&self, port: &Port<'_>, name: &str) -> String {
        let mut arguments = if port.shared {
            "--name-from-client"
        } else {
            name
        }
        .to_owned();
        if self.http {
            arguments.push_str(" --http");
        }
        if let Some(directory) = &self.state_dir {
            arguments.push_str(" --state-dir ");
            arguments.push_str(directory);
        }
        arguments
    }

    /// The comment above each port: the server lines that ask there.
    fn server_lines(&self, port: &Port<'_>) -> String {
        let mut comment = String::new();
        let host = self.addresses.iter().find(|address| {
            address.is_ipv4() && !address.is_loopback() && !address.is_unspecified()
        });
        let host = host.map_or("ADDRESS".to_owned(), ToString::to_string);
        comment.push_str("# In haproxy.cfg:\n");
        for service in &port.services {
            let line = ServerLine {
                service,
                agent_port: port.number,
                // With --http, a client that sends nothing waits for its reply.
                sends_name: port.shared || self.http,
            };
            comment.push_str(&format!("#   {}\n", line.line(&host)));
        }
        comment
    }
}

/// One port for all services without a port of their own, and one for each of the others.
fn ports(config: &Config, shared: NonZeroU16) -> Result<Vec<Port<'_>>, GenerateError> {
    let mut ports = Vec::new();
    let without = config.services.iter().filter(|one| one.port.is_none());
    let services: Vec<&ServiceName> = without.map(|service| &service.name).collect();
    if !services.is_empty() {
        ports.push(Port {
            number: shared,
            services,
            shared: true,
        });
    }
    for service in &config.services {
        let Some(number) = service.port else { continue };
        if number == shared && ports.first().is_some_and(|first| first.shared) {
            return Err(GenerateError::PortTaken {
                port: shared,
                service: service.name,
            });
        }
        ports.push(Port {
            number,
            services: vec![&service.name],
            shared: false,
        });
    }
    Ok(ports)
}

/// Each address once, in the order of the request.
fn addresses(target: Target, requested: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in requested {
        if !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    if addresses.is_empty() && target != Target::Haproxy {
        addresses.push(Ipv4Addr::LOCALHOST.into());
        // xinetd and inetd drop the whole service where IPv6 is switched off.
        if target == Target::Systemd {
            addresses.push(Ipv6Addr::LOCALHOST.into());
        }
    }
    addresses
}

/// A path without characters that mean something in one of the files.
fn checked_path(path: &Path) -> Result<String, GenerateError> {
    let text = path.to_str().unwrap_or_default();
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.starts_with('/') && text.chars().all(harmless) {
        true => Ok(text.to_owned()),
        false => Err(GenerateError::UnsafePath(path.to_owned())),
    }
}

/// `ADDRESS:PORT`, an IPv6 address in brackets.
fn at(address: IpAddr, port: NonZeroU16) -> SocketAddr {
    SocketAddr::new(address, port.get())
}

#[cfg(test)]
mod tests;
