//! The program that listens on the agents' port, by the kernel's tables of sockets.

use super::Finding;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its address.
    pub address: SocketAddr,
    /// The inode of the socket.
    pub inode: u64,
    /// Process ids and names of the processes that have it open; empty where this user cannot see them.
    pub holders: Vec<(u32, String)>,
}

/// The listening sockets on these ports in the text of `/proc/net/tcp` or `/proc/net/tcp6`.
#[must_use]
pub fn parse(table: &str, ports: &[u16]) -> Vec<Listener> {
    table
        .lines()
        .skip(1)
        .filter_map(parse_line)
        .filter(|listener| ports.contains(&listener.address.port()))
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

/// The address to probe, of those that a launcher listens on: the loopback if it is one of them, else the first.
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

/// The finding about a probed address that is not the default.
#[must_use]
pub fn chosen(agent: SocketAddr) -> Finding {
    let what = format!("probing {agent}: nothing listens on the loopback");
    Finding::note("listener", what).remedy("name another address: --agent ADDR:PORT")
}

/// The findings about the program that listens on the agent's address.
#[must_use]
pub fn findings(listeners: &[Listener], agent: SocketAddr) -> Vec<Finding> {
    let about = "listener";
    let on_port = |one: &&Listener| one.address.port() == agent.port();
    let listeners: Vec<&Listener> = listeners.iter().filter(on_port).collect();
    let serves = |address: SocketAddr| address.ip() == agent.ip() || address.ip().is_unspecified();
    let Some(first) = listeners.iter().find(|listener| serves(listener.address)) else {
        let elsewhere: Vec<String> = listeners
            .iter()
            .take(5)
            .map(|listener| listener.address.to_string())
            .collect();
        let what = if elsewhere.is_empty() {
            format!("nothing listens on {agent}")
        } else {
            format!(
                "nothing listens on {agent}, but on {}",
                elsewhere.join(", ")
            )
        };
        let remedy = match elsewhere.first() {
            Some(other) => {
                format!("probe it: --agent {other}; or let the launcher listen on {agent}")
            }
            None => "systemctl enable --now agentcheck.socket, or /etc/xinetd.d/agentcheck, or \
                     agentcheck-responder --name-from-client --listen ADDRESS; or probe another address: --agent ADDR:PORT"
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
        [] => "a process that this user cannot see".to_owned(),
        holders => holders.join(", "),
    };
    let mut found = vec![Finding::ok(
        about,
        format!("{}: {who} listens", first.address),
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
            format!("{who} is not a known launcher: the probe below shows whether it answers"),
        ));
    }
    if listeners.iter().all(|one| one.address.ip().is_loopback()) {
        found.push(Finding::note(
            about,
            "it listens only on the loopback: a balancer on another host cannot reach it",
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
    fn kernel_tables_are_read() {
        if cfg!(target_endian = "little") {
            let found = parse(TABLE, &[3333]);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].address, "127.0.0.1:3333".parse().unwrap());
            assert_eq!(found[0].inode, 1234);
            let found = parse(TABLE6, &[3333]);
            assert_eq!(found[0].address, "[::1]:3333".parse().unwrap());
        }
        assert_eq!(parse("", &[3333]), []);
    }

    fn listener(address: &str, name: Option<&str>) -> Listener {
        Listener {
            address: address.parse().unwrap(),
            inode: 1,
            holders: name.map(|name| (7, name.to_owned())).into_iter().collect(),
        }
    }

    #[test]
    fn loopback_is_probed_if_a_launcher_listens_there() {
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
    fn finding_names_the_listening_program() {
        let agent = "127.0.0.1:3333".parse().unwrap();
        let found_for = |listeners: &[Listener]| findings(listeners, agent);
        let found = found_for(&[]);
        assert_eq!(found[0].severity, Severity::Error);
        let found = found_for(&[listener("10.0.0.1:3333", None)]);
        assert!(found[0].what.contains("but on 10.0.0.1:3333"));
        let remedy = found[0].remedy.as_deref().unwrap();
        assert!(
            remedy.starts_with("probe it: --agent 10.0.0.1:3333;"),
            "{remedy}"
        );
        let found = found_for(&[listener("0.0.0.0:3333", Some("xinetd"))]);
        assert_eq!(
            found,
            [Finding::ok("listener", "0.0.0.0:3333: xinetd (7) listens")]
        );
        let found = found_for(&[listener("127.0.0.1:3333", Some("agentcheck-resp"))]);
        assert!(found[1].what.contains("only on the loopback"));
        let found = found_for(&[listener("0.0.0.0:3333", Some("nginx"))]);
        assert!(found[1].what.contains("not a known launcher"));
        let found = found_for(&[listener("0.0.0.0:3333", None)]);
        assert!(found[0].what.contains("cannot see"));
    }
}
