//! Compares the reply to a probe with the state file.

use super::Finding;
use agentcheck_common::Reply;
use std::net::SocketAddr;
use std::time::Duration;

/// Above this a reply is slow: some balancers wait for less.
pub(super) const SLOW: Duration = Duration::from_millis(500);

/// The remedy for a slow reply.
pub(super) const OVERLOADED: &str = "the launcher is overloaded. Under systemd use agentcheck.socket: one process answers all probes";

/// The remedy where `--name-from-client` answers on a service's own port.
const SHARED: &str = "the launcher answers there for all services by name: agentcheck generate writes the files for a service's own \
                      port";

/// The outcome of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The connection failed; the reason.
    NotConnected(String),
    /// A line, without its newline.
    Line(Vec<u8>),
    /// The bytes until the end of the connection, without a newline.
    Ended(Vec<u8>),
    /// The bytes until the timeout.
    Silent(Vec<u8>),
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The address that was probed.
    pub address: SocketAddr,
    /// The service; `None` for a probe without a name.
    pub service: Option<String>,
    /// Whether the service has the port for itself, so that no name is sent.
    pub own_port: bool,
    /// The outcome.
    pub outcome: ProbeOutcome,
    /// The duration.
    pub took: Duration,
    /// The replies in the state file before and after.
    pub expected: [Option<Reply>; 2],
}

/// Whether two replies are equal but for their descriptions.
#[must_use]
pub fn is_same_state(one: &Reply, other: &Reply) -> bool {
    one.operational == other.operational
        && one.administrative == other.administrative
        && one.percent == other.percent
        && one.absolute == other.absolute
        && one.maxconn == other.maxconn
}

impl Probe {
    /// Whether the reply is one of the replies in the state file.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let ProbeOutcome::Line(line) = &self.outcome else {
            return false;
        };
        Reply::parse(line).is_ok_and(|reply| {
            let mut expected = self.expected.iter().flatten();
            expected.any(|expected| is_same_state(expected, &reply))
        })
    }

    /// The finding about it.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let about = "probe";
        let asked = match &self.service {
            Some(name) if self.own_port => format!("port {} for {name}", self.address.port()),
            Some(name) => format!("agent-send \"{name}\\n\""),
            None => "without agent-send".to_owned(),
        };
        let address = self.address;
        let line = match &self.outcome {
            ProbeOutcome::Line(line) => line,
            ProbeOutcome::NotConnected(why) => {
                let what = format!("{asked}: no connection to {address}: {why}");
                let remedy = "nothing listens there, or a packet filter blocks it. HAProxy shows L4CON or L4TOUT and keeps the server's \
                              state";
                return Finding::error(about, what, remedy);
            }
            ProbeOutcome::Ended(bytes) => {
                let what = match bytes.as_slice() {
                    [] => format!("{asked}: {address} closed without a reply"),
                    bytes => format!("{asked}: no newline in {:?}", lossy(bytes)),
                };
                let remedy = "xinetd refuses (cps, only_from), or the responder does not start: see the launcher's log";
                return Finding::error(about, what, remedy);
            }
            ProbeOutcome::Silent(bytes) => {
                let what = format!(
                    "{asked}: no complete line within {} ms, only {:?}",
                    self.took.as_millis(),
                    lossy(bytes)
                );
                let remedy = "another program listens there, or the responder hangs: systemctl restart agentcheck.socket agentcheck";
                return Finding::error(about, what, remedy);
            }
        };
        let text = lossy(line);
        match (Reply::parse(line), &self.service) {
            (Ok(_), None) => Finding::note(
                about,
                format!(
                    "{asked}: {text}; the reply of one service, for server lines without agent-send"
                ),
            ),
            (Err(_), None) => Finding::ok(
                about,
                format!(
                    "{asked}: {text}, which changes nothing: every server line needs an agent-send"
                ),
            ),
            (Ok(_), Some(_)) if self.agrees() && self.took > SLOW => Finding::warning(
                about,
                format!("{asked}: {text}, after {} ms", self.took.as_millis()),
                OVERLOADED,
            ),
            (Ok(_), Some(_)) if self.agrees() => Finding::ok(
                about,
                format!(
                    "{asked}: {text}, after {:.1} ms",
                    self.took.as_secs_f64() * 1e3
                ),
            ),
            (Ok(_), Some(name)) => {
                let [_, expected] = &self.expected;
                let expected =
                    expected.map_or_else(|| "no reply".to_owned(), |reply| reply.to_string());
                Finding::error(
                    about,
                    format!("{asked}: {text}, and the state file has: {expected}"),
                    format!(
                        "the responder reads another directory (--state-dir), serves another service than {name} (use \
                         --name-from-client), or is another program"
                    ),
                )
            }
            (Err(_), Some(_)) => Finding::error(
                about,
                format!(
                    "{asked}: {text}, a no-op reply: HAProxy changes nothing and reports an error"
                ),
                if self.own_port && text.starts_with("no-name") {
                    SHARED
                } else {
                    remedy(&text)
                },
            ),
        }
    }
}

/// What to do about a no-op reply: a word of the responder that HAProxy does not know.
#[must_use]
pub fn remedy(line: &str) -> &'static str {
    match line.split(':').next().unwrap_or_default() {
        "no-state" => {
            "there is no state file: the collector is not running, has another --state-dir, or has no such service"
        }
        "unknown" => {
            "there is no state file of this name: correct agent-send on the server line, or check that the collector runs and has this service"
        }
        "no-name" => {
            "the responder got no name: run it with --name-from-client or a NAME, and add agent-send to the server line"
        }
        "bad-name" => {
            "agent-send is not the name of a service: letters, digits, dots, underscores and hyphens, and \\n at its end"
        }
        "bad-arguments" => {
            "the launcher starts the responder with wrong arguments: run its command line by hand, standard error shows the mistake"
        }
        "no-newline" => {
            "agent-send lacks the newline: agent-send \"NAME\\n\", with backslash and n"
        }
        "unreadable" => {
            "the responder's user cannot read the state file: directory 0755, files 0644"
        }
        "bad-state" => {
            "the state file is not in the format: another program or another version of the collector wrote it"
        }
        "other-boot" => {
            "the state file is of another boot, or collector and responder do not share a kernel: start the collector"
        }
        "future" => {
            "the state file begins in the future: collector and responder do not share a time namespace"
        }
        "no-boot-id" => {
            "the responder cannot read /proc/sys/kernel/random/boot_id: no ProcSubset=pid in its unit"
        }
        "no-descriptor" => "the responder has no file descriptor left: raise LimitNOFILE",
        _ => "another program than agentcheck-responder listens there",
    }
}

fn lossy(bytes: &[u8]) -> String {
    let most = bytes.len().min(200);
    String::from_utf8_lossy(bytes.get(..most).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    fn probe(service: Option<&str>, outcome: ProbeOutcome) -> Probe {
        let reply = Reply::parse(b"up 73% # rule=x").ok();
        Probe {
            address: "127.0.0.1:3333".parse().unwrap(),
            service: service.map(str::to_owned),
            own_port: false,
            outcome,
            took: Duration::from_millis(1),
            expected: [None, reply],
        }
    }

    #[test]
    fn reply_is_compared_with_the_state_file() {
        use Severity::{Error, Note, Ok as Fine};
        let line = |text: &str| ProbeOutcome::Line(text.as_bytes().to_vec());
        for (service, outcome, severity, part) in [
            (Some("web"), line("up 73%"), Fine, "up 73%, after 1.0 ms"),
            (Some("web"), line("73% UP # other words"), Fine, "73% UP"),
            (
                Some("web"),
                line("up 72%"),
                Error,
                "the state file has: up 73% # rule=x",
            ),
            (
                Some("web"),
                line("up ready 73%"),
                Error,
                "the state file has",
            ),
            (Some("web"), line("no-state:web"), Error, "a no-op reply"),
            (
                Some("web"),
                line("SSH-2.0-x\u{1b}[2J"),
                Error,
                "SSH-2.0-x?[2J",
            ),
            (
                Some("web"),
                ProbeOutcome::Ended(vec![]),
                Error,
                "closed without a reply",
            ),
            (
                Some("web"),
                ProbeOutcome::Ended(b"up".to_vec()),
                Error,
                "no newline in \"up\"",
            ),
            (
                Some("web"),
                ProbeOutcome::Silent(vec![]),
                Error,
                "no complete line",
            ),
            (
                Some("web"),
                ProbeOutcome::NotConnected("refused".to_owned()),
                Error,
                "refused",
            ),
            (None, line("no-name:"), Fine, "changes nothing"),
            (None, line("up 73%"), Note, "the reply of one service"),
        ] {
            let found = probe(service, outcome).finding();
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.what.contains(part), "{found:?}");
        }
        let mut slow = probe(Some("web"), line("up 73%"));
        slow.took = Duration::from_secs(1);
        assert_eq!(slow.finding().severity, Severity::Warning);
    }

    #[test]
    fn finding_names_the_own_port_of_a_service() {
        let own = |line: &str| Probe {
            address: "127.0.0.1:3334".parse().unwrap(),
            own_port: true,
            ..probe(Some("web"), ProbeOutcome::Line(line.as_bytes().to_vec()))
        };
        let fine = Finding::ok("probe", "port 3334 for web: up 73%, after 1.0 ms");
        assert_eq!(own("up 73%").finding(), fine);
        let found = own("no-name").finding();
        assert_eq!(found.severity, Severity::Error);
        let remedy = found.remedy.unwrap();
        assert!(remedy.contains("agentcheck generate"), "{remedy}");
    }

    #[test]
    fn every_no_op_reply_has_its_remedy() {
        let other = remedy("SSH-2.0");
        for word in [
            "no-state:web",
            "unknown:web",
            "no-name:",
            "no-newline:web",
            "unreadable:web",
            "bad-state:web",
            "other-boot:web",
            "future:web",
            "no-boot-id:web",
            "no-descriptor:web",
            "bad-name",
            "bad-arguments",
        ] {
            assert_ne!(remedy(word), other, "{word}");
        }
    }
}
