//! Parses the value of `--listen`.
//!
//! | text | meaning |
//! |---|---|
//! | `127.0.0.1:3333` | this IPv4 address |
//! | `[::1]:3333` | this IPv6 address, IPv6 alone |
//! | `*:3333`, `:3333`, `3333` | all addresses, IPv4 and IPv6 |
//! | `unix:/run/x.sock` | a unix socket |
//!
//! Not supported: host names (a lookup could block), zones (`%eth0`), IPv4 inside IPv6, and port 0. core's own parser
//! of addresses would take a tenth of the program's size.

use crate::sys::SocketAddress;
use crate::text::copy;
use agentcheck_common::decimal::parse_canonical;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The address in the kernel's format: `::` for all addresses of the host.
    pub socket: SocketAddress,
    /// Whether it is all addresses of the host, IPv4 and IPv6.
    pub is_everywhere: bool,
    /// The path of a unix socket: 1 to [`SocketAddress::MAX_PATH`] bytes.
    pub path: Option<&'a [u8]>,
}

impl<'a> Address<'a> {
    /// Parses `text`. Returns `None` unless it has one of the forms above.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if let Some(path) = text.strip_prefix(b"unix:".as_slice()) {
            let fits = matches!(path.len(), 1..=SocketAddress::MAX_PATH);
            return (fits && path.iter().all(|byte| *byte != 0)).then(|| Self {
                socket: SocketAddress::unix(path),
                is_everywhere: false,
                path: Some(path),
            });
        }
        let colon = text.iter().rposition(|byte| *byte == b':');
        let (host, port) = text.split_at_checked(colon.unwrap_or(0))?;
        let port = parse_canonical(port.strip_prefix(b":".as_slice()).unwrap_or(port))?;
        let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
        let is_everywhere = matches!(host, [] | [b'*']);
        let socket = match host {
            _ if is_everywhere => SocketAddress::v6([0; 16], port),
            [b'[', ip @ .., b']'] => SocketAddress::v6(ipv6(ip)?, port),
            ip => SocketAddress::v4(ipv4(ip)?, port),
        };
        Some(Self {
            socket,
            is_everywhere,
            path: None,
        })
    }
}

/// Parses four numbers with dots between them.
fn ipv4(text: &[u8]) -> Option<[u8; 4]> {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut ip = [0; 4];
    for slot in &mut ip {
        *slot = u8::try_from(parse_canonical(parts.next()?)?).ok()?;
    }
    parts.next().is_none().then_some(ip)
}

/// Parses eight groups of 1 to 4 hexadecimal digits with colons between them. `::` replaces one row of zero groups
/// (RFC 4291).
fn ipv6(text: &[u8]) -> Option<[u8; 16]> {
    let mut ip = [0; 16];
    let Some(gap) = text.windows(2).position(|pair| pair == b"::") else {
        return (groups(text, &mut ip)? == 16).then_some(ip);
    };
    let start = groups(text.get(..gap)?, &mut ip)?;
    let mut end = [0; 14];
    let length = groups(text.get(gap + 2..)?, &mut end)?;
    let room = ip.get_mut(start + 2..)?;
    copy(room.get_mut(room.len().checked_sub(length)?..)?, &end);
    Some(ip)
}

/// Parses groups into `ip`. Returns the number of bytes; 0 for an empty text.
#[inline(never)]
fn groups(text: &[u8], ip: &mut [u8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let mut length = 0;
    for group in text.split(|byte| *byte == b':') {
        if !matches!(group.len(), 1..=4) {
            return None;
        }
        let mut value = 0;
        for digit in group {
            value = value << 4 | char::from(*digit).to_digit(16)?;
        }
        copy(
            ip.get_mut(length..length + 2)?,
            &(value as u16).to_be_bytes(),
        );
        length += 2;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn every_form_is_parsed() {
        let address = |socket| Address {
            socket,
            is_everywhere: false,
            path: None,
        };
        let v4 = |ip, port| address(SocketAddress::v4(ip, port));
        let v6 = |ip, port| address(SocketAddress::v6(ip, port));
        let everywhere = |port| Address {
            is_everywhere: true,
            ..v6([0; 16], port)
        };
        fn unix(path: &str) -> Address<'_> {
            Address {
                socket: SocketAddress::unix(path.as_bytes()),
                is_everywhere: false,
                path: Some(path.as_bytes()),
            }
        }
        let path = "x".repeat(107);
        for (text, address) in [
            ("127.0.0.1:3333", v4([127, 0, 0, 1], 3333)),
            ("0.0.0.0:1", v4([0; 4], 1)),
            ("[::1]:3333", v6(Ipv6Addr::LOCALHOST.octets(), 3333)),
            ("[::]:65535", v6([0; 16], 65535)),
            ("*:3333", everywhere(3333)),
            (":3333", everywhere(3333)),
            ("3333", everywhere(3333)),
            ("unix:/run/agentcheck.sock", unix("/run/agentcheck.sock")),
            ("unix:relative", unix("relative")),
            (&format!("unix:{path}"), unix(&path)),
        ] {
            assert_eq!(Address::parse(text.as_bytes()), Some(address), "{text:?}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let long = format!("unix:{}", "x".repeat(108));
        for bad in [
            "",
            ":",
            "*",
            "0",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:65536",
            "127.0.0.1:03",
            "127.0.0.1:+3",
            "localhost:3333",
            "::1:3333",
            "[::1]",
            "[127.0.0.1]:3333",
            "[fe80::1%lo]:3",
            "1.2.3:3",
            "1.2.3.04:3",
            "unix:",
            "unix:a\0b",
            &long,
            " 3333",
            "3333 ",
        ] {
            assert_eq!(Address::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Address::parse(b"\xff:1"), None);
    }

    proptest! {
        /// The result equals that of std's parser, except for IPv4 inside IPv6.
        #[test]
        fn addresses_are_parsed_as_by_std(
            v6 in "[0-9a-fA-F:]{0,12}|([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|([0-9a-f]{1,2}:){0,8}:([0-9a-f]{1,2}:){0,4}[0-9a-f]?",
            any_v6 in any::<[u8; 16]>(),
            v4 in "[0-9.]{0,12}|([0-9]{1,3}\\.){3}[0-9]{1,3}",
        ) {
            let std = v6.parse::<Ipv6Addr>().ok().map(|ip| ip.octets());
            prop_assert_eq!(ipv6(v6.as_bytes()), std, "{}", v6);
            let shown = Ipv6Addr::from(any_v6).to_string();
            if !shown.contains('.') {
                prop_assert_eq!(ipv6(shown.as_bytes()), Some(any_v6));
            }
            let std = v4.parse::<Ipv4Addr>().ok().map(|ip| ip.octets());
            prop_assert_eq!(ipv4(v4.as_bytes()), std, "{}", v4);
        }
    }
}
