//! What a probe heard, against what the state file says.

use super::Finding;
use agentcheck_common::Reply;
use std::net::SocketAddr;
use std::time::Duration;

/// After how long an answer is slow: some balancers wait for less than this.
const SLOW: Duration = Duration::from_millis(500);

/// What to do where a service's own port is answered by `--name-from-client`.
const SHARED: &str = "the launcher answers there for all services by name: agentcheck generate makes what answers on a \
                      service's own port";

/// What came of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// There was no connection, and why.
    NotConnected(String),
    /// A line, without its newline.
    Line(Vec<u8>),
    /// What came until the end of the connection, without a newline in it.
    Ended(Vec<u8>),
    /// What came until nothing more did.
    Silent(Vec<u8>),
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where.
    pub address: SocketAddr,
    /// The service that was asked for; none where the answer is for no service in particular.
    pub service: Option<String>,
    /// Whether the service has the port for itself: nothing is sent there then.
    pub own_port: bool,
    /// What was heard.
    pub heard: ProbeOutcome,
    /// How long that took.
    pub took: Duration,
    /// What the state file said before and after.
    pub said: [Option<Reply>; 2],
}

/// Whether two replies have the same words; descriptions are for people.
#[must_use]
pub fn same_words(one: &Reply, other: &Reply) -> bool {
    one.operational == other.operational
        && one.administrative == other.administrative
        && one.percent == other.percent
        && one.maxconn == other.maxconn
}

impl Probe {
    /// Whether what was heard is what the state file said at the time.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let ProbeOutcome::Line(line) = &self.heard else {
            return false;
        };
        Reply::parse(line).is_ok_and(|reply| {
            let mut said = self.said.iter().flatten();
            said.any(|said| same_words(said, &reply))
        })
    }

    /// What is to be said of it.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let about = "probe";
        let asked = match &self.service {
            Some(name) if self.own_port => format!("port {} for {name}", self.address.port()),
            Some(name) => format!("agent-send \"{name}\\n\""),
            None => "without agent-send".to_owned(),
        };
        let address = self.address;
        let line = match &self.heard {
            ProbeOutcome::Line(line) => line,
            ProbeOutcome::NotConnected(why) => {
                let what = format!("{asked}: no connection to {address}: {why}");
                let remedy = "nobody listens there, or a packet filter is in between; HAProxy shows L4CON or L4TOUT and \
                              keeps the state that it had";
                return Finding::error(about, what, remedy);
            }
            ProbeOutcome::Ended(bytes) => {
                let what = match bytes.as_slice() {
                    [] => format!("{asked}: {address} closed without an answer"),
                    bytes => format!("{asked}: no newline in {:?}", lossy(bytes)),
                };
                let remedy = "xinetd past cps or only_from, or a responder that cannot be started: see the launcher's log";
                return Finding::error(about, what, remedy);
            }
            ProbeOutcome::Silent(bytes) => {
                let what = format!(
                    "{asked}: no whole line within {} ms, only {:?}",
                    self.took.as_millis(),
                    lossy(bytes)
                );
                let remedy = "what listens there is no responder, or is stuck: systemctl restart agentcheck.socket agentcheck";
                return Finding::error(about, what, remedy);
            }
        };
        let shown = lossy(line);
        match (Reply::parse(line), &self.service) {
            (Ok(_), None) => Finding::note(
                about,
                format!("{asked}: {shown}; one service answers for server lines that name none"),
            ),
            (Err(_), None) => Finding::ok(
                about,
                format!(
                    "{asked}: {shown}, which changes nothing: every server line needs its agent-send"
                ),
            ),
            (Ok(_), Some(_)) if self.agrees() && self.took > SLOW => Finding::warning(
                about,
                format!("{asked}: {shown}, after {} ms", self.took.as_millis()),
                "a launcher that is overloaded; under systemd use agentcheck.socket, whose one process answers all",
            ),
            (Ok(_), Some(_)) if self.agrees() => Finding::ok(
                about,
                format!(
                    "{asked}: {shown}, after {:.1} ms",
                    self.took.as_secs_f64() * 1e3
                ),
            ),
            (Ok(_), Some(name)) => {
                let [_, said] = &self.said;
                let said = said.map_or_else(|| "nothing".to_owned(), |said| said.to_string());
                Finding::error(
                    about,
                    format!("{asked}: {shown}, and the state file says: {said}"),
                    format!(
                        "the responder reads another directory (--state-dir), answers for another service than {name} \
                         (use --name-from-client), or is another program"
                    ),
                )
            }
            (Err(_), Some(_)) => Finding::error(
                about,
                format!(
                    "{asked}: {shown}, which is no reply: HAProxy changes nothing and reports an error"
                ),
                if self.own_port && shown.starts_with("no-name") {
                    SHARED
                } else {
                    meaning(&shown)
                },
            ),
        }
    }
}

/// What to do about a word that HAProxy does not know.
#[must_use]
pub fn meaning(line: &str) -> &'static str {
    match line.split(':').next().unwrap_or_default() {
        "no-state" => {
            "there is no state file: the collector is not running, has another --state-dir, or has no service of this name"
        }
        "unknown" => {
            "there is no state file of this name: mend agent-send on the server line, or see whether the collector runs and has this service"
        }
        "no-name" => {
            "the responder does not know for whom: run it with --name-from-client or a NAME, and give the server line its agent-send"
        }
        "no-newline" => {
            "agent-send lacks the newline: agent-send \"NAME\\n\", with backslash and n"
        }
        "unreadable" => {
            "the responder's user cannot read the state file: directory 0755, files 0644"
        }
        "bad-state" => {
            "the state file is not in the format: what wrote it was no collector of this version"
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
        "no-descriptor" => "the responder has no descriptor left: raise LimitNOFILE",
        _ => "what listens there is no agentcheck-responder",
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

    fn probe(service: Option<&str>, heard: ProbeOutcome) -> Probe {
        let said = Reply::parse(b"up 73% # rule=x").ok();
        Probe {
            address: "127.0.0.1:3333".parse().unwrap(),
            service: service.map(str::to_owned),
            own_port: false,
            heard,
            took: Duration::from_millis(1),
            said: [None, said],
        }
    }

    #[test]
    fn what_was_heard_is_held_against_the_state_file() {
        use Severity::{Error, Note, Ok as Fine};
        let line = |text: &str| ProbeOutcome::Line(text.as_bytes().to_vec());
        for (service, heard, severity, part) in [
            (Some("web"), line("up 73%"), Fine, "up 73%, after 1.0 ms"),
            (Some("web"), line("73% UP # other words"), Fine, "73% UP"),
            (
                Some("web"),
                line("up 72%"),
                Error,
                "the state file says: up 73% # rule=x",
            ),
            (
                Some("web"),
                line("up ready 73%"),
                Error,
                "the state file says",
            ),
            (Some("web"), line("no-state:web"), Error, "no reply"),
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
                "closed without an answer",
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
                "no whole line",
            ),
            (
                Some("web"),
                ProbeOutcome::NotConnected("refused".to_owned()),
                Error,
                "refused",
            ),
            (None, line("no-name:"), Fine, "changes nothing"),
            (None, line("up 73%"), Note, "one service answers"),
        ] {
            let found = probe(service, heard).finding();
            assert_eq!(found.severity, severity, "{found:?}");
            assert!(found.what.contains(part), "{found:?}");
        }
        let mut slow = probe(Some("web"), line("up 73%"));
        slow.took = Duration::from_secs(1);
        assert_eq!(slow.finding().severity, Severity::Warning);
    }

    #[test]
    fn a_port_of_a_services_own_is_told_and_not_what_to_send_there() {
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
    fn every_freezing_word_has_its_remedy() {
        let strange = meaning("SSH-2.0");
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
        ] {
            assert_ne!(meaning(word), strange, "{word}");
        }
    }
}
