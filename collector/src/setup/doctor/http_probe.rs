//! Compares the reply to an HTTP request with the state file.

use super::Finding;
use super::probe::{OVERLOADED, ProbeOutcome, SLOW, remedy};
use agentcheck_common::{AdministrativeState, OperationalState, Reply};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The largest number of header fields of a response.
const MAX_FIELDS: usize = 32;

/// The order of steps, for a port with HTTP checks whose launcher has no `--http`.
pub const BALANCER_FIRST: &str = "add --http to the responder's arguments; or, on every balancer first, remove option httpchk \
                                  and the check port, and leave the agent-check";

/// Why a port is asked over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A launcher starts the responder with `--http`; the unit, file or process.
    Launcher(String),
    /// A server of HAProxy has HTTP checks on the port; `BACKEND/SERVER`.
    HealthCheck(String),
}

/// A launcher that starts the responder with `--http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLauncher {
    /// The unit, the file or the process.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<SocketAddr>,
}

impl HttpLauncher {
    /// Whether these arguments of the responder make it answer HTTP.
    pub fn has_http<'a>(mut arguments: impl Iterator<Item = &'a str>) -> bool {
        arguments.any(|argument| argument == "--http")
    }

    /// Whether it listens on an address.
    #[must_use]
    pub fn serves(&self, to: SocketAddr) -> bool {
        let is_same = |ip: IpAddr| ip == to.ip() || ip.is_unspecified();
        let mut addresses = self.addresses.iter();
        addresses.any(|one| one.port() == to.port() && is_same(one.ip()))
    }
}

/// The method and the target of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Such as `/web`.
    pub target: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)
    }
}

/// One HTTP request and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// The address that was probed.
    pub address: SocketAddr,
    /// Why it was probed.
    pub origin: Origin,
    /// The request.
    pub request: Request,
    /// The outcome; a complete response is [`ProbeOutcome::Ended`].
    pub outcome: ProbeOutcome,
    /// The duration.
    pub took: Duration,
    /// The replies in the state files before and after, of each service that the request may be for.
    pub expected: Vec<Reply>,
}

/// The parts of a response that depend on the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Response {
    status: u16,
    state: Option<String>,
    weight: Option<u16>,
    maxconn: Option<u32>,
    /// The first line of the body.
    line: String,
}

impl Response {
    /// Reads a whole response; `None` for other bytes.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
            return None;
        };
        let field = |name: &str| {
            let mut fields = response.headers.iter();
            let field = fields.find(|field| field.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(field.value).ok()
        };
        let body = String::from_utf8_lossy(bytes.get(head..)?);
        Some(Self {
            status: response.code?,
            state: field("Agentcheck-State").map(str::to_owned),
            weight: field("Agentcheck-Weight").and_then(|weight| weight.parse().ok()),
            maxconn: field("Agentcheck-Maxconn").and_then(|limit| limit.parse().ok()),
            line: body.lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// Whether the responder sends this for a reply. The status of a drained server is an option of the responder.
    fn agrees(&self, reply: &Reply) -> bool {
        let (state, weight) = view(reply);
        let status = match state {
            "up" => self.status == 200,
            "drain" => matches!(self.status, 404 | 503),
            _ => self.status == 503,
        };
        status
            && self.state.as_deref() == Some(state)
            && self.weight == Some(weight)
            && self.maxconn == reply.maxconn.map(|limit| limit.get())
    }
}

/// The state and the weight of a reply in HTTP responses.
fn view(reply: &Reply) -> (&'static str, u16) {
    let weight = reply.percent.map_or(100, |percent| percent.get());
    let state = match (reply.administrative, reply.operational) {
        (Some(AdministrativeState::Maint), _) => "maint",
        (_, Some(OperationalState::Fail)) => "fail",
        (_, Some(OperationalState::Stopped)) => "stopped",
        (_, Some(OperationalState::Down)) => "down",
        (Some(AdministrativeState::Drain), _) => "drain",
        _ if weight == 0 => "drain",
        _ => return ("up", weight),
    };
    (state, 0)
}

impl HttpProbe {
    /// Whether the response is that of one of the replies in the state file.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let ProbeOutcome::Ended(bytes) = &self.outcome else {
            return false;
        };
        let mut expected = self.expected.iter();
        Response::parse(bytes).is_some_and(|response| expected.any(|reply| response.agrees(reply)))
    }

    /// The finding about it.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let about = "http";
        let asked = format!("{} at {}", self.request, self.address);
        let bytes = match &self.outcome {
            ProbeOutcome::NotConnected(why) => {
                let what = format!("{asked}: no connection: {why}");
                return Finding::error(
                    about,
                    what,
                    "nothing listens there, or a packet filter blocks it. HAProxy takes the server out (L4CON or L4TOUT)",
                );
            }
            ProbeOutcome::Silent(_) => {
                let what = format!("{asked}: no response within {} ms", self.took.as_millis());
                let remedy = "another program listens there, or the launcher is overloaded";
                return Finding::error(about, what, remedy);
            }
            ProbeOutcome::Line(bytes) | ProbeOutcome::Ended(bytes) => bytes,
        };
        let Some(response) = Response::parse(bytes) else {
            return self.no_response(bytes);
        };
        let status = response.status;
        if self.agrees() {
            let (state, weight) = (response.state.unwrap_or_default(), response.weight);
            let what = format!("{asked}: {status}, {state}, weight {}", weight.unwrap_or(0));
            return match self.took > SLOW {
                true => Finding::warning(
                    about,
                    format!("{what}, after {} ms", self.took.as_millis()),
                    OVERLOADED,
                ),
                false => Finding::ok(
                    about,
                    format!("{what}, after {:.1} ms", self.took.as_secs_f64() * 1e3),
                ),
            };
        }
        let expected = self.expected.last();
        let what = match (&response.state, expected) {
            (Some(state), Some(reply)) => {
                let weight = response.weight.unwrap_or(0);
                format!(
                    "{asked}: {status}, {state}, weight {weight}, and the state file has: {reply}"
                )
            }
            (Some(_), None) => {
                format!("{asked}: {status} by --http-fallback, without a valid state file")
            }
            (None, _) => format!("{asked}: {status} {}", response.line),
        };
        let remedy = match (&response.state, status, &self.origin) {
            (Some(_), _, _) if expected.is_some() => {
                "the responder reads another directory (--state-dir), or serves another service"
            }
            (Some(_), ..) => "start the collector: the probes above show the state file",
            (None, 404, Origin::HealthCheck(_)) => {
                "name the service in the balancer's check (http-check send uri /NAME), or in the responder's arguments \
                 (--default-service NAME)"
            }
            (None, 404 | 503, _) => remedy(&response.line),
            _ => "another program listens there",
        };
        Finding::error(about, what, remedy)
    }

    /// The finding where the bytes are no HTTP response.
    fn no_response(&self, bytes: &[u8]) -> Finding {
        let line = String::from_utf8_lossy(bytes);
        let line = line.lines().next().unwrap_or_default();
        let (asked, address) = (&self.request, self.address);
        match &self.origin {
            Origin::HealthCheck(server) => Finding::error(
                "http",
                format!(
                    "{server} has option httpchk, and {address} answers {asked} without HTTP: {line:?}. HAProxy takes the \
                     server out"
                ),
                BALANCER_FIRST,
            ),
            Origin::Launcher(launcher) => Finding::error(
                "http",
                format!(
                    "{launcher} has --http, and {address} answers {asked} without HTTP: {line:?}"
                ),
                "the running responder has older arguments: reload and restart the launcher",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn probe(origin: Origin, bytes: &str, reply: Option<&str>) -> HttpProbe {
        let reply = reply.map(|line| Reply::parse(line.as_bytes()).unwrap());
        HttpProbe {
            address: "127.0.0.1:3333".parse().unwrap(),
            origin,
            request: Request {
                method: "GET".to_owned(),
                target: "/web".to_owned(),
            },
            outcome: ProbeOutcome::Ended(bytes.as_bytes().to_vec()),
            took: Duration::from_millis(1),
            expected: reply.into_iter().collect(),
        }
    }

    fn launcher() -> Origin {
        Origin::Launcher("agentcheck.service".to_owned())
    }

    fn response(status: &str, fields: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n{body}\n")
    }

    #[test]
    fn response_agrees_with_the_reply_of_its_state_and_status() {
        let fields = |state: &str, weight: u16| {
            format!("agentcheck-state: {state}\r\nAgentcheck-Weight: {weight}\r\n")
        };
        for (status, state, weight, reply) in [
            ("200 OK", "up", 73, "up 73%"),
            ("200 OK", "up", 100, "up ready # full"),
            ("503 Service Unavailable", "drain", 0, "up drain 73%"),
            ("404 Not Found", "drain", 0, "up 0%"),
            ("503 Service Unavailable", "down", 0, "down 100%"),
            ("503 Service Unavailable", "fail", 0, "fail drain"),
            ("503 Service Unavailable", "stopped", 0, "stopped 100%"),
            ("503 Service Unavailable", "maint", 0, "down maint 100%"),
        ] {
            let probe = |text: &str| probe(launcher(), text, Some(reply));
            let right = probe(&response(status, &fields(state, weight), reply));
            assert!(right.agrees(), "{reply}");
            let finding = right.finding();
            assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
            let with_limit = fields(state, weight) + "Agentcheck-Maxconn: 9\r\n";
            for wrong in [
                response(status, &fields(state, weight + 1), reply),
                response(status, &fields("other", weight), reply),
                response("405 Method Not Allowed", &fields(state, weight), reply),
                response(status, &with_limit, reply),
            ] {
                let finding = probe(&wrong).finding();
                assert_eq!(finding.severity, Severity::Error, "{finding:?}");
                assert!(finding.what.contains("the state file has"), "{finding:?}");
            }
        }
        let limited = response(
            "200 OK",
            "Agentcheck-State: up\r\nAgentcheck-Weight: 5\r\nAgentcheck-Maxconn: 9\r\n",
            "up 5% maxconn:9",
        );
        assert!(probe(launcher(), &limited, Some("up 5% maxconn:9")).agrees());
        let mut slow = probe(launcher(), &limited, Some("up 5% maxconn:9"));
        slow.took = Duration::from_secs(1);
        assert_eq!(slow.finding().severity, Severity::Warning);
    }

    #[test]
    fn each_fault_names_its_remedy() {
        let check = || Origin::HealthCheck("farm/web".to_owned());
        let fallback = response(
            "200 OK",
            "Agentcheck-State: up\r\nAgentcheck-Weight: 100\r\n",
            "no-state",
        );
        for (origin, bytes, reply, what, remedy) in [
            (
                check(),
                "no-name\n".to_owned(),
                Some("up 73%"),
                "takes the server out",
                "on every balancer first",
            ),
            (
                launcher(),
                "no-name\n".to_owned(),
                Some("up 73%"),
                "agentcheck.service has --http",
                "restart",
            ),
            (
                check(),
                response("404 Not Found", "", "404 Not Found"),
                Some("up 73%"),
                "404",
                "http-check send uri",
            ),
            (
                launcher(),
                response("503 Service Unavailable", "", "no-state"),
                None,
                "503 no-state",
                "collector",
            ),
            (
                launcher(),
                response("200 OK", "", "hello"),
                Some("up 73%"),
                "200 hello",
                "another program",
            ),
            (
                launcher(),
                fallback,
                None,
                "--http-fallback",
                "start the collector",
            ),
            (launcher(), String::new(), None, "without HTTP", "restart"),
        ] {
            let finding = probe(origin, &bytes, reply).finding();
            assert_eq!(finding.severity, Severity::Error, "{finding:?}");
            assert!(finding.what.contains(what), "{finding:?}");
            assert!(
                finding.remedy.as_ref().unwrap().contains(remedy),
                "{finding:?}"
            );
        }
        for (outcome, what) in [
            (
                ProbeOutcome::NotConnected("refused".to_owned()),
                "no connection: refused",
            ),
            (
                ProbeOutcome::Silent(b"HTTP/1.1 200 OK\r\n".to_vec()),
                "no response within 1 ms",
            ),
        ] {
            let mut probe = probe(launcher(), "", None);
            probe.outcome = outcome;
            assert!(!probe.agrees());
            assert!(probe.finding().what.contains(what), "{:?}", probe.finding());
        }
    }
}
