//! Where `--listen` listens: from its text to an address.
//!
//! | text | meaning |
//! |---|---|
//! | `127.0.0.1:3333` | this IPv4 address |
//! | `[::1]:3333` | this IPv6 address, IPv6 alone |
//! | `*:3333`, `:3333`, `3333` | every address, IPv4 and IPv6 |
//! | `unix:/run/x.sock` | a unix socket |
//!
//! No host names: looking one up could wait. No zones (`%eth0`) and no port 0.

use crate::sys::SocketAddress;
use core::net::{Ipv4Addr, Ipv6Addr};

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// Every address of this host, by this port.
    Everywhere(u16),
    /// One IPv4 address.
    V4(Ipv4Addr, u16),
    /// One IPv6 address, and no IPv4 through it.
    V6(Ipv6Addr, u16),
    /// A path of 1 to [`SocketAddress::MAX_PATH`] bytes.
    Unix(&'a [u8]),
}

impl<'a> Address<'a> {
    /// The address in `text`; `None` for anything else than the forms above.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if let Some(path) = text.strip_prefix(b"unix:") {
            let fits = (1..=SocketAddress::MAX_PATH).contains(&path.len()) && !path.contains(&0);
            return fits.then_some(Self::Unix(path));
        }
        let Some(colon) = text.iter().rposition(|byte| *byte == b':') else {
            return port(text).map(Self::Everywhere);
        };
        let host = text.get(..colon)?;
        let port = port(text.get(colon + 1..)?)?;
        if matches!(host, b"" | b"*") {
            return Some(Self::Everywhere(port));
        }
        let bracketed = host
            .strip_prefix(b"[")
            .and_then(|host| host.strip_suffix(b"]"));
        match bracketed {
            Some(host) => Some(Self::V6(
                core::str::from_utf8(host).ok()?.parse().ok()?,
                port,
            )),
            None => Some(Self::V4(
                core::str::from_utf8(host).ok()?.parse().ok()?,
                port,
            )),
        }
    }
}

/// A port, 1 to 65535, in digits without leading zeros.
fn port(digits: &[u8]) -> Option<u16> {
    if !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    digits.iter().try_fold(0_u16, |port, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        port.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let loopback = Address::V4(Ipv4Addr::LOCALHOST, 3333);
        let path = "x".repeat(107);
        let unix = format!("unix:{path}");
        for (text, address) in [
            ("127.0.0.1:3333", loopback),
            ("0.0.0.0:1", Address::V4(Ipv4Addr::UNSPECIFIED, 1)),
            ("[::1]:3333", Address::V6(Ipv6Addr::LOCALHOST, 3333)),
            ("[::]:65535", Address::V6(Ipv6Addr::UNSPECIFIED, 65535)),
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
    fn what_is_no_address() {
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
}
