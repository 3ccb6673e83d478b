//! What is dropped into a host so that its services are answered for: socket units of systemd, a file of
//! xinetd, lines of inetd. Made from what this repository ships, with the operator's addresses and ports.
//! Text out; nothing is looked at and nothing is written.
//!
//! Whoever can connect can read the replies: only this host and those that are named are let in, and only
//! where they are.

mod inetd;
mod systemd;
mod xinetd;

use crate::config::Config;
use agentcheck_common::{STATE_DIR, ServiceName};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::path::Path;
use std::str::FromStr;

/// What listens, and starts the responder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// Socket units of systemd, and the accept loop.
    Systemd,
    /// xinetd, a process per probe.
    Xinetd,
    /// openbsd-inetd, a process per probe.
    Inetd,
}

impl Launcher {
    /// Where its files are; for inetd, its one file.
    #[must_use]
    pub fn place(self) -> &'static str {
        match self {
            Self::Systemd => "/etc/systemd/system",
            Self::Xinetd => "/etc/xinetd.d",
            Self::Inetd => "/etc/inetd.conf",
        }
    }
}

/// Who may connect: an address, or all that begin with so many of its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    address: IpAddr,
    bits: Option<u8>,
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it is an address, or a network as in 10.0.0.0/24".to_owned();
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits)),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = bits.map(str::parse::<u8>).transpose();
        let bits = bits.map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match bits.is_none_or(|bits| bits <= most) {
            true => Ok(Self { address, bits }),
            false => Err(wrong()),
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

/// What the operator wants.
#[derive(Clone, Debug)]
pub struct Request<'w> {
    /// The addresses of this host to listen on; none is its loopback ones.
    pub addresses: &'w [IpAddr],
    /// Who may connect, beside this host.
    pub allow: &'w [Allowed],
    /// The port of those services that have none of their own.
    pub port: NonZeroU16,
    /// The responder's program.
    pub responder: &'w Path,
    /// Where the state files are.
    pub state_dir: &'w Path,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path below [`Launcher::place`]; nothing for inetd, whose file it only adds to.
    pub path: String,
    /// Its content, or what is added.
    pub text: String,
}

/// What listens on one port.
#[derive(Clone, Debug)]
struct Port<'c> {
    number: NonZeroU16,
    /// The services that are answered for.
    services: Vec<&'c ServiceName>,
    /// Whether whoever asks says which.
    shared: bool,
}

/// What all files are made from, known to be harmless in any of them.
struct Plan<'w> {
    ports: Vec<Port<'w>>,
    addresses: Vec<IpAddr>,
    /// This host by the addresses that it listens on, which are then its own to connect from; and the
    /// others.
    allow: Vec<Allowed>,
    responder: String,
    /// Given only where it is not the responder's own.
    state_dir: Option<String>,
}

/// The files that serve what is configured.
///
/// # Errors
/// What stands in the way, and what to do about it.
pub fn files(
    launcher: Launcher,
    config: &Config,
    wanted: &Request<'_>,
) -> Result<Vec<File>, String> {
    let plan = Plan::new(launcher, config, wanted)?;
    Ok(match launcher {
        Launcher::Systemd => systemd::files(&plan),
        Launcher::Xinetd => vec![xinetd::file(&plan)],
        Launcher::Inetd => vec![inetd::lines(&plan)],
    })
}

impl<'w> Plan<'w> {
    fn new(launcher: Launcher, config: &'w Config, wanted: &Request<'w>) -> Result<Self, String> {
        if let Some(address) = wanted.addresses.iter().find(|one| !one.is_loopback())
            && wanted.allow.is_empty()
        {
            return Err(format!(
                "nobody could connect to {address}: name the balancers, as in --allow 10.0.0.2"
            ));
        }
        let state_dir = match wanted.state_dir == Path::new(STATE_DIR) {
            true => None,
            false => Some(plain(wanted.state_dir)?),
        };
        let addresses = addresses(launcher, wanted.addresses);
        let own = addresses.iter().copied();
        let own = own.filter(|one| !one.is_loopback() && !one.is_unspecified());
        let own = own.map(|address| Allowed {
            address,
            bits: None,
        });
        Ok(Self {
            ports: ports(config, wanted.port)?,
            allow: own.chain(wanted.allow.iter().copied()).collect(),
            addresses,
            responder: plain(wanted.responder)?,
            state_dir,
        })
    }

    /// The responder's arguments for a port; `name` stands for the service.
    fn arguments(&self, port: &Port<'_>, name: &str) -> String {
        let mut arguments = if port.shared {
            "--name-from-client"
        } else {
            name
        }
        .to_owned();
        if let Some(directory) = &self.state_dir {
            arguments.push_str(" --state-dir ");
            arguments.push_str(directory);
        }
        arguments
    }

    /// What is to be said above each port: who is answered for, and how a balancer asks.
    fn about(&self, port: &Port<'_>) -> String {
        let mut about = String::new();
        let number = port.number;
        let host = self.addresses.iter().find(|address| {
            address.is_ipv4() && !address.is_loopback() && !address.is_unspecified()
        });
        let host = host.map_or("ADDRESS".to_owned(), ToString::to_string);
        about.push_str("# In haproxy.cfg:\n");
        for name in &port.services {
            let ask = match port.shared {
                true => format!(" agent-send \"{name}\\n\""),
                false => String::new(),
            };
            about.push_str(&format!(
                "#   server {name} {host}:PORT check weight 100 agent-check agent-port {number} \
                 agent-inter 2s{ask}\n"
            ));
        }
        about
    }
}

/// One port for all services without one, and one for each of the others.
fn ports(config: &Config, shared: NonZeroU16) -> Result<Vec<Port<'_>>, String> {
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
            return Err(format!(
                "port {shared} is that of {} alone, and cannot be shared by others: say another --port",
                service.name
            ));
        }
        ports.push(Port {
            number,
            services: vec![&service.name],
            shared: false,
        });
    }
    Ok(ports)
}

/// Each once, in the order given.
fn addresses(launcher: Launcher, given: &[IpAddr]) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in given {
        if !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::LOCALHOST.into());
        // The others would refuse the whole where IPv6 is switched off.
        if launcher == Launcher::Systemd {
            addresses.push(Ipv6Addr::LOCALHOST.into());
        }
    }
    addresses
}

/// A path that means the same wherever it is written.
fn plain(path: &Path) -> Result<String, String> {
    let text = path.to_str().unwrap_or_default();
    let harmless = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.starts_with('/') && text.chars().all(harmless) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{path:?} has to be absolute, of letters, digits and / . _ - + alone"
        )),
    }
}

/// `ADDRESS:PORT`, an IPv6 address in brackets.
fn at(address: IpAddr, port: NonZeroU16) -> SocketAddr {
    SocketAddr::new(address, port.get())
}

#[cfg(test)]
mod tests;
