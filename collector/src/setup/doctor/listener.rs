//! Who listens on the agents' port, by the kernel's tables of sockets.

use super::Finding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// The kernel's number of the socket.
    pub inode: u64,
    /// Process ids and names of who has it open; none where this user may not see.
    pub holders: Vec<(u32, String)>,
}

/// The listening sockets on a port in the text of `/proc/net/tcp` or `/proc/net/tcp6`.
#[must_use]
pub fn parse(table: &str, port: u16) -> Vec<Listener> {
    table
        .lines()
        .skip(1)
        .filter_map(parse_line)
        .filter(|listener| listener.address.port() == port)
        .collect()
}

fn parse_line(line: &str) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != LISTEN {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // The kernel prints each four bytes as a native integer.
    let word = |from: usize| {
        let word = u32::from_str_radix(ip.get(from..from + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(Listener {
        address: SocketAddr::new(ip, port),
        inode: fields.get(9)?.parse().ok()?,
        holders: Vec::new(),
    })
}

/// Which of the addresses that a launcher listens on this host asks at: the loopback where that is one of them,
/// and else the first.
#[must_use]
pub fn choose(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let find = |wanted: fn(&SocketAddr) -> bool| addresses.iter().find(|one| wanted(one)).copied();
    find(|one| one.ip() == Ipv4Addr::LOCALHOST)
        .or_else(|| find(|one| one.ip().is_unspecified()))
        .or_else(|| find(|one| one.ip().is_loopback()))
        .or_else(|| find(|_| true))
        .map(|one| match one.ip().is_unspecified() {
            true => SocketAddr::from((Ipv4Addr::LOCALHOST, one.port())),
            false => one,
        })
}

/// What is to be said of an address that was chosen, and is not the default.
#[must_use]
pub fn chosen(agent: SocketAddr) -> Finding {
    let what = format!("{agent} is probed, since nothing listens on the loopback");
    Finding::note("listener", what).remedy("--agent names another address")
}

/// What is to be said of who listens where the agent is expected.
#[must_use]
pub fn findings(listeners: &[Listener], agent: SocketAddr) -> Vec<Finding> {
    let about = "listener";
    let serves = |address: SocketAddr| address.ip() == agent.ip() || address.ip().is_unspecified();
    let Some(first) = listeners.iter().find(|listener| serves(listener.address)) else {
        let elsewhere: Vec<String> = listeners
            .iter()
            .take(5)
            .map(|listener| listener.address.to_string())
            .collect();
        let what = if elsewhere.is_empty() {
            format!("nobody listens on {agent}")
        } else {
            format!("nobody listens on {agent}, but on {}", elsewhere.join(", "))
        };
        let remedy = match elsewhere.first() {
            Some(other) => {
                format!("--agent {other} asks there; or have the launcher listen on {agent}")
            }
            None => "systemctl enable --now agentcheck.socket, or /etc/xinetd.d/agentcheck, or \
                     agentcheck-responder --name-from-client --listen ADDRESS; --agent names another address"
                .to_owned(),
        };
        return vec![Finding::error(about, what, remedy)];
    };
    let holders: Vec<String> = first
        .holders
        .iter()
        .take(5)
        .map(|(pid, name)| format!("{name} ({pid})"))
        .collect();
    let who = match holders.as_slice() {
        [] => "a process that this user may not see".to_owned(),
        holders => holders.join(", "),
    };
    let mut found = vec![Finding::ok(
        about,
        format!("{} is held by {who}", first.address),
    )];
    let known = [
        "systemd",
        "xinetd",
        "inetd",
        "tcpserver",
        "tcpsvd",
        "mini-inetd",
        "socat",
        "ncat",
        "s6-",
    ];
    let strange = first.holders.iter().all(|(_, name)| {
        !name.starts_with("agentcheck-resp") && !known.iter().any(|known| name.starts_with(known))
    });
    if strange && !first.holders.is_empty() {
        found.push(Finding::note(
            about,
            format!("{who} is no launcher that agentcheck knows: the probe below tells whether it answers"),
        ));
    }
    if listeners.iter().all(|one| one.address.ip().is_loopback()) {
        found.push(Finding::note(
            about,
            "it listens on the loopback alone: a balancer on another host cannot reach it",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:0D05 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1234 1\n\
        \x20  1: 0100007F:0D05 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 1235 1\n\
        \x20  2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1236 1\n\
        junk\n";
    const TABLE6: &str =
        "head\n   0: 00000000000000000000000001000000:0D05 0:0 0A 0:0 0:0 0 0 0 99 1\n";

    #[test]
    fn reads_the_kernels_tables() {
        if cfg!(target_endian = "little") {
            let found = parse(TABLE, 3333);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].address, "127.0.0.1:3333".parse().unwrap());
            assert_eq!(found[0].inode, 1234);
            let found = parse(TABLE6, 3333);
            assert_eq!(found[0].address, "[::1]:3333".parse().unwrap());
        }
        assert_eq!(parse("", 3333), []);
    }

    fn listener(address: &str, name: Option<&str>) -> Listener {
        Listener {
            address: address.parse().unwrap(),
            inode: 1,
            holders: name.map(|name| (7, name.to_owned())).into_iter().collect(),
        }
    }

    #[test]
    fn the_loopback_is_asked_where_something_listens_there() {
        let choose = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|one| one.parse().unwrap()).collect();
            super::choose(&addresses).map(|one| one.to_string())
        };
        for (addresses, chosen) in [
            (&[][..], None),
            (&["10.0.0.11:3333"], Some("10.0.0.11:3333")),
            (&["10.0.0.11:3333", "[::1]:3333"], Some("[::1]:3333")),
            (&["[::1]:3333", "127.0.0.1:3333"], Some("127.0.0.1:3333")),
            (&["10.0.0.11:3333", "[::]:3334"], Some("127.0.0.1:3334")),
            (
                &["[fd00::1]:3333", "10.0.0.11:3333"],
                Some("[fd00::1]:3333"),
            ),
        ] {
            assert_eq!(choose(addresses).as_deref(), chosen, "{addresses:?}");
        }
    }

    #[test]
    fn who_listens_is_told() {
        let agent = "127.0.0.1:3333".parse().unwrap();
        let said = |listeners: &[Listener]| findings(listeners, agent);
        let found = said(&[]);
        assert_eq!(found[0].severity, Severity::Error);
        let found = said(&[listener("10.0.0.1:3333", None)]);
        assert!(found[0].what.contains("but on 10.0.0.1:3333"));
        let remedy = found[0].remedy.as_deref().unwrap();
        assert!(remedy.starts_with("--agent 10.0.0.1:3333 "), "{remedy}");
        let found = said(&[listener("0.0.0.0:3333", Some("xinetd"))]);
        assert_eq!(
            found,
            [Finding::ok(
                "listener",
                "0.0.0.0:3333 is held by xinetd (7)"
            )]
        );
        let found = said(&[listener("127.0.0.1:3333", Some("agentcheck-resp"))]);
        assert!(found[1].what.contains("loopback alone"));
        let found = said(&[listener("0.0.0.0:3333", Some("nginx"))]);
        assert!(found[1].what.contains("no launcher that agentcheck knows"));
        let found = said(&[listener("0.0.0.0:3333", None)]);
        assert!(found[0].what.contains("may not see"));
    }
}
