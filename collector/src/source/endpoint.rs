//! The endpoint that a source polls, and how its polls fail when the application is dead. Pure.

use super::http::Http;
use super::system::Metric;
use super::tcp::Peer;
use super::{Kind, file};
use crate::reading::Reason;
use std::net::IpAddr;

impl Kind {
    /// The endpoint, for comparison: two sources with the same endpoint belong to one application. `None` where
    /// it is unknown.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        match self {
            Self::Http(http) => http_endpoint(http),
            Self::Tcp(tcp) => Some(match &tcp.peer {
                Peer::Address { host, port } => host_and_port(host, *port),
                Peer::Unix(path) => format!("unix {}", path.display()),
            }),
            Self::System(Metric::Backlog { port }) => Some(host_and_port("localhost", *port)),
            Self::File(_) | Self::Command(_) | Self::Stream(_) | Self::System(_) => None,
        }
    }

    /// The reasons for which polls fail when the application is dead. Empty for sources about the host, and
    /// where an absent thing is a good reading.
    #[must_use]
    pub fn failures_when_dead(&self) -> &'static [Reason] {
        match self {
            Self::Http(_) => &[Reason::Refused, Reason::Timeout, Reason::Status],
            Self::Tcp(_) => &[Reason::Refused, Reason::Timeout],
            Self::Command(_) | Self::Stream(_) => &[Reason::Exit, Reason::Timeout],
            Self::File(file) => match file.missing {
                file::Missing::Fail => &[Reason::Missing],
                file::Missing::Ok => &[],
            },
            Self::System(metric) => match metric {
                Metric::Backlog { .. } => &[Reason::Refused],
                Metric::Cpu { cgroup: Some(_) }
                | Metric::Memory { cgroup: Some(_) }
                | Metric::Pressure {
                    cgroup: Some(_), ..
                } => &[Reason::Missing],
                _ => &[],
            },
        }
    }

    /// Whether the application itself answers the poll, and not the kernel on its behalf.
    #[must_use]
    pub fn is_answered_by_application(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.conversation.is_some(),
            Self::System(_) => false,
            Self::Http(_) | Self::File(_) | Self::Command(_) | Self::Stream(_) => true,
        }
    }
}

fn http_endpoint(http: &Http) -> Option<String> {
    if let Some(path) = &http.unix {
        return Some(format!("unix {}", path.display()));
    }
    let url = reqwest::Url::parse(&http.url).ok()?;
    let port = url.port_or_known_default()?;
    let host = match http.connect_to {
        Some(address) => address.to_string(),
        None => url.host_str()?.to_owned(),
    };
    Some(host_and_port(&host, port))
}

/// A host and a port; all names of this host's loopback are equal.
fn host_and_port(host: &str, port: u16) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local = match bare.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    };
    let host = if local { "localhost" } else { bare };
    format!("{} {port}", host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_application_has_one_endpoint_under_many_names() {
        let http = |url: &str| Kind::Http(Box::new(Http::get(url))).endpoint().unwrap();
        let tcp = |address: &str| {
            Kind::Tcp(Box::new(Peer::parse(address).unwrap().into()))
                .endpoint()
                .unwrap()
        };
        assert_eq!(http("http://127.0.0.1/health"), "localhost 80");
        assert_eq!(http("https://[::1]/health"), "localhost 443");
        assert_eq!(http("http://App.example:81/"), tcp("app.example:81"));
        assert_eq!(tcp("[::1]:81"), tcp("LOCALHOST:81"));
        assert_eq!(tcp("[2001:db8::1]:81"), http("http://[2001:db8::1]:81/x"));
        assert_ne!(tcp("localhost:81"), tcp("localhost:82"));
        let backlog = Kind::System(Metric::Backlog { port: 81 });
        assert_eq!(backlog.endpoint().unwrap(), tcp("127.0.0.2:81"));
        let elsewhere = Http {
            connect_to: Some([127, 0, 0, 1].into()),
            ..Http::get("https://app.example/health")
        };
        let elsewhere = Kind::Http(Box::new(elsewhere)).endpoint();
        assert_eq!(elsewhere.unwrap(), "localhost 443");
    }
}
