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
use agentcheck_common::decimal::parse_canonical;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// This port on all addresses of the host.
    Everywhere(u16),
    /// One IPv4 address.
    V4([u8; 4], u16),
    /// One IPv6 address, without IPv4.
    V6([u8; 16], u16),
    /// A path of 1 to [`SocketAddress::MAX_PATH`] bytes.
    Unix(&'a [u8]),
}

impl<'a> Address<'a> {
    /// Parses `text`. Returns `None` unless it has one of the forms above.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if let Some(path) = text.strip_prefix(b"unix:".as_slice()) {
            let fits = (1..=SocketAddress::MAX_PATH).contains(&path.len()) && !path.contains(&0);
            return fits.then_some(Self::Unix(path));
        }
        let Some(colon) = text.iter().rposition(|byte| *byte == b':') else {
            return port(text).map(Self::Everywhere);
        };
        let host = text.get(..colon)?;
        let port = port(text.get(colon + 1..)?)?;
        if matches!(host, [] | [b'*']) {
            return Some(Self::Everywhere(port));
        }
        let bracketed = host
            .strip_prefix(b"[".as_slice())
            .and_then(|host| host.strip_suffix(b"]".as_slice()));
        match bracketed {
            Some(host) => ipv6(host).map(|ip| Self::V6(ip, port)),
            None => ipv4(host).map(|ip| Self::V4(ip, port)),
        }
    }
}

/// Parses a port, 1 to 65535.
fn port(digits: &[u8]) -> Option<u16> {
    let port = u16::try_from(parse_canonical(digits)?).ok()?;
    (port > 0).then_some(port)
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
    // Where the next byte belongs, and where the zero groups are.
    let (mut at, mut gap) = (0, None);
    let mut rest = text;
    if let Some(after) = rest.strip_prefix(b"::") {
        gap = Some(0);
        rest = after;
    }
    while !rest.is_empty() {
        let (mut value, mut digits) = (0_u16, 0);
        while let Some(digit) = rest.first().and_then(hexadecimal) {
            value = value << 4 | u16::from(digit);
            digits += 1;
            rest = rest.get(1..)?;
        }
        if !(1..=4).contains(&digits) {
            return None;
        }
        for byte in value.to_be_bytes() {
            *ip.get_mut(at)? = byte;
            at += 1;
        }
        match rest {
            [] => {}
            [b':', b':', after @ ..] if gap.is_none() => {
                gap = Some(at);
                rest = after;
            }
            [b':', after @ ..] if !after.is_empty() => rest = after,
            _ => return None,
        }
    }
    let Some(gap) = gap else {
        return (at == 16).then_some(ip);
    };
    if at > 14 {
        return None;
    }
    // Moves the groups after the gap to the end, the last byte first.
    for (to, from) in (0..16).rev().zip((gap..at).rev()) {
        let byte = core::mem::take(ip.get_mut(from)?);
        *ip.get_mut(to)? = byte;
    }
    Some(ip)
}

fn hexadecimal(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn every_form_is_parsed() {
        let loopback = Address::V4([127, 0, 0, 1], 3333);
        let path = "x".repeat(107);
        let unix = format!("unix:{path}");
        for (text, address) in [
            ("127.0.0.1:3333", loopback),
            ("0.0.0.0:1", Address::V4([0; 4], 1)),
            (
                "[::1]:3333",
                Address::V6(Ipv6Addr::LOCALHOST.octets(), 3333),
            ),
            ("[::]:65535", Address::V6([0; 16], 65535)),
            ("*:3333", Address::Everywhere(3333)),
            (":3333", Address::Everywhere(3333)),
            ("3333", Address::Everywhere(3333)),
            (
                "unix:/run/agentcheck.sock",
                Address::Unix(b"/run/agentcheck.sock"),
            ),
            ("unix:relative", Address::Unix(b"relative")),
            (&unix, Address::Unix(path.as_bytes())),
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
