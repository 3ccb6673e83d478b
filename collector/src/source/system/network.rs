//! Traffic of a network interface, by /proc/net/dev, its speed by /sys, and the interface of the default route
//! by /proc/net/route and ipv6_route.
//!
//! In a container these are the interfaces of its own network namespace.
//!
//! Not here: errors and drops; wireless links, whose speed the kernel does not report.

use super::{malformed, read};
use crate::reading::{Failure, Numbers, Reason};
use crate::source::Deadline;
use std::path::Path;
use std::time::{Duration, Instant};

/// The parts of `network`: bytes a second, and the link's speed in bytes a second, if it is known.
pub(super) const PARTS: &[&str] = &["received", "sent", "speed"];

/// The counters of an interface at a moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TrafficSample {
    at: Instant,
    interface: String,
    received: u64,
    sent: u64,
    /// In bytes a second.
    speed: Option<f64>,
}

/// The counters of `interface` or, without one, of that of the default route.
pub(super) fn read_traffic(
    root: &Path,
    interface: Option<&str>,
    deadline: Deadline,
) -> Result<TrafficSample, Failure> {
    let interface = match interface {
        Some(interface) => interface.to_owned(),
        None => default_interface(root, deadline)?,
    };
    let table = read(root, "proc/net/dev", deadline)?;
    let at = Instant::now();
    let (received, sent) = parse_counters(&table, &interface)?;
    // Absent for virtual interfaces, and an error while the link is down.
    let speed = read(root, &format!("sys/class/net/{interface}/speed"), deadline)
        .ok()
        .and_then(|speed| parse_speed(&speed));
    Ok(TrafficSample {
        at,
        interface,
        received,
        sent,
        speed,
    })
}

impl TrafficSample {
    /// The traffic since `earlier`: the busier direction as `value`, in per cent (0 to 100) of the link's speed,
    /// and [`PARTS`]. Without a speed, `value` is that direction in bytes a second. `None` where no time passed,
    /// where the counters were reset, or where the default route has another interface now.
    pub(super) fn since(&self, earlier: &Self) -> Option<Numbers> {
        let passed = self.at.saturating_duration_since(earlier.at);
        if passed < Duration::from_millis(1) || self.interface != earlier.interface {
            return None;
        }
        let rate = |now: u64, before: u64| {
            let bytes = now.checked_sub(before)?;
            Some(bytes as f64 / passed.as_secs_f64())
        };
        let received = rate(self.received, earlier.received)?;
        let sent = rate(self.sent, earlier.sent)?;
        let busier = received.max(sent);
        let known = [("received", received), ("sent", sent)];
        Some(Numbers {
            value: match self.speed {
                Some(speed) => (100.0 * busier / speed).min(100.0),
                None => busier,
            },
            parts: known
                .into_iter()
                .chain(self.speed.map(|speed| ("speed", speed)))
                .collect(),
        })
    }
}

/// The interface of the default route with the smallest metric, IPv4 before IPv6.
fn default_interface(root: &Path, deadline: Deadline) -> Result<String, Failure> {
    let v4 = read(root, "proc/net/route", deadline)?;
    if let Some(interface) = default_of_ipv4(&v4) {
        return Ok(interface);
    }
    let v6 = read(root, "proc/net/ipv6_route", deadline).unwrap_or_default();
    default_of_ipv6(&v6).ok_or_else(|| Failure::new(Reason::Missing, "there is no default route"))
}

/// `IFACE DESTINATION GATEWAY FLAGS REFCNT USE METRIC MASK ...`, in hexadecimal but for the metric.
fn default_of_ipv4(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        let is_up = u32::from_str_radix(fields.get(3)?, 16).ok()? & 1 == 1;
        let metric: u32 = fields.get(6)?.parse().ok()?;
        (is_default && is_up).then_some((metric, *fields.first()?))
    });
    routes.min().map(|(_, interface)| interface.to_owned())
}

/// `DESTINATION LENGTH SOURCE LENGTH NEXT METRIC REFCNT USE FLAGS IFACE`, in hexadecimal. The loopback interface
/// has a reject route for every address.
fn default_of_ipv6(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00") && fields.get(9) != Some(&"lo");
        let metric = u32::from_str_radix(fields.get(5)?, 16).ok()?;
        is_default.then_some((metric, *fields.get(9)?))
    });
    routes.min().map(|(_, interface)| interface.to_owned())
}

/// The bytes received and sent of an interface: `IFACE: BYTES PACKETS ... (8 of receiving) BYTES PACKETS ...`.
fn parse_counters(table: &str, interface: &str) -> Result<(u64, u64), Failure> {
    let line = table.lines().find_map(|line| {
        let (name, counters) = line.split_once(':')?;
        (name.trim() == interface).then_some(counters)
    });
    let Some(line) = line else {
        let detail = format!("there is no network interface {interface:?}");
        return Err(Failure::new(Reason::Missing, detail));
    };
    let mut counters = line.split_ascii_whitespace();
    let mut next = |at: usize| counters.nth(at).and_then(|number| number.parse().ok());
    match (next(0), next(7)) {
        (Some(received), Some(sent)) => Ok((received, sent)),
        _ => Err(malformed(format_args!("/proc/net/dev: {line:?}"))),
    }
}

/// The speed in /sys, in megabits a second, as bytes a second; -1 means unknown.
fn parse_speed(speed: &str) -> Option<f64> {
    let megabits: i64 = speed.trim().parse().ok()?;
    (megabits > 0).then_some(megabits as f64 * 125_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls\n    \
        lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0\n  \
        eth0:5000000    3000    0    0    0     0          0         0  2000000    1000    0    0    0     0\n";

    #[test]
    fn counters_of_an_interface() {
        assert_eq!(parse_counters(DEV, "lo"), Ok((1000, 1000)));
        assert_eq!(parse_counters(DEV, "eth0"), Ok((5_000_000, 2_000_000)));
        let absent = parse_counters(DEV, "eth").unwrap_err();
        assert_eq!(absent.reason, Reason::Missing);
        for bad in [
            "eth0:",
            "eth0: x 1 2 3 4 5 6 7 8",
            "eth0: 1 2 3 4 5 6 7 8",
            "eth0: -1 0 0 0 0 0 0 0 1",
        ] {
            let failure = parse_counters(bad, "eth0").unwrap_err();
            assert_eq!(failure.reason, Reason::Malformed, "{bad}");
        }
    }

    #[test]
    fn default_route_has_the_smallest_metric() {
        let v4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
            wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
            down0\t00000000\t00000000\t0000\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert_eq!(default_of_ipv4(v4).as_deref(), Some("eth0"));
        assert_eq!(default_of_ipv4("Iface\n"), None);
        let zero = "0".repeat(32);
        let v6 = format!(
            "{zero} 00 {zero} 00 fe800000000000000000000000000001 00000064 00000001 00000000 00450003 eth1\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n"
        );
        assert_eq!(default_of_ipv6(&v6).as_deref(), Some("eth1"));
    }

    #[test]
    fn rate_is_the_share_of_the_link_speed() {
        let start = Instant::now();
        let sample = |seconds, received, sent, speed| TrafficSample {
            at: start + Duration::from_secs(seconds),
            interface: "eth0".to_owned(),
            received,
            sent,
            speed,
        };
        let gigabit = parse_speed("1000\n");
        let before = sample(0, 1000, 1000, gigabit);
        let after = sample(2, 1000 + 125_000_000, 1000 + 50_000_000, gigabit);
        let numbers = after.since(&before).unwrap();
        let parts = [
            ("received", 62_500_000.0),
            ("sent", 25_000_000.0),
            ("speed", 125_000_000.0),
        ];
        assert_eq!((numbers.value, numbers.parts), (50.0, parts.to_vec()));
        let virtual_link = sample(2, 3000, 1000, None).since(&before).unwrap();
        assert_eq!((virtual_link.value, virtual_link.parts.len()), (1000.0, 2));
        // No time, reset counters, and another interface.
        assert_eq!(before.since(&before), None);
        assert_eq!(sample(2, 0, 2000, None).since(&before), None);
        let other = TrafficSample {
            interface: "eth1".to_owned(),
            ..after
        };
        assert_eq!(other.since(&before), None);
        assert_eq!((parse_speed("-1\n"), parse_speed("x")), (None, None));
    }

    #[test]
    fn traffic_of_this_machine() {
        use std::io::{Read as _, Write as _};
        let deadline = Deadline::within(Duration::from_secs(30));
        let before = read_traffic(Path::new("/"), Some("lo"), deadline).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[0; 4096]).unwrap();
        server.read_exact(&mut [0; 4096]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        let after = read_traffic(Path::new("/"), Some("lo"), deadline).unwrap();
        let numbers = after.since(&before).unwrap();
        assert!(numbers.value > 0.0, "{numbers:?}");
        let absent = read_traffic(Path::new("/"), Some("no-such-0"), deadline).unwrap_err();
        assert_eq!(absent.reason, Reason::Missing);
    }
}
