//! `agentcheck probe`: probes agents as HAProxy does, and shows what HAProxy does with their replies.

use super::doctor::probe_client::{PATIENCE, Route, exchange};
use super::screen::{self, Color};
use super::{Failed, Output};
use crate::render::table::{Cell, Style, Table};
use crate::render::text::{printable, span};
use crate::reply::dissect::{self, Dissection, End, Reader, Weight};
use crate::setup::doctor::probe::ProbeOutcome;
use crate::status::overview::Level;
use agentcheck_common::ServiceName;
use agentcheck_common::reply::{AdministrativeState, OperationalState};
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the look-up of a host name and the probe take together at most.
const LIMIT: Duration = PATIENCE.saturating_mul(2);

/// The highest weight that keepalived's `misc_dynamic` can express.
const MAX_KEEPALIVED: u32 = 253;

#[derive(Args)]
#[command(after_help = "\
TARGET: addresses as HOST:PORT, and the name of a service. Like agent-send, the
command sends the name. A probe takes 4 s at most. Exit status without --exit: 0
if every agent sent a line, else 1. With --exit FORM:
  plain       0 in service, 1 not: HAProxy's external-check, ldirectord
  keepalived  0 weight unchanged, 1 failed, 2 and more: the weight plus 2
  nagios      0 in service, 1 drain or maint, 2 down or no reply, 3 no-op reply
Example: agentcheck probe 10.0.0.1:3333 10.0.0.2:3333 web")]
pub(super) struct Probe {
    /// Addresses, and a service
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,
    /// Exit status of this form: see below
    #[arg(long, value_name = "FORM", value_enum, hide_possible_values = true)]
    exit: Option<Exit>,
    #[command(flatten)]
    color: Color,
}

/// For which program the exit status is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Exit {
    // HAProxy's external-check, ldirectord
    Plain,
    // keepalived's MISC_CHECK with misc_dynamic
    Keepalived,
    // Monitoring plugins
    Nagios,
}

/// The result of one probe.
struct Probed {
    address: String,
    outcome: ProbeOutcome,
    took: Duration,
}

/// What HAProxy does with a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The server is in, with this weight if the reply contains one.
    In(Option<u32>),
    /// No new sessions: drain or a weight of 0.
    Drained,
    /// Maintenance or stopped.
    Maintenance,
    /// Down or failed.
    Down,
    /// The line changes nothing.
    NoOp,
    /// No complete line.
    NoReply,
}

impl Probe {
    pub(super) fn run(&self) -> Result<Output, Failed> {
        let (addresses, services): (Vec<&String>, Vec<&String>) =
            self.targets.iter().partition(|target| target.contains(':'));
        let service = match services.as_slice() {
            [] => None,
            [name] => Some(ServiceName::parse(name.as_bytes()).ok_or_else(|| {
                Failed::new(format!(
                    "invalid target {name:?}: write HOST:PORT or a service"
                ))
            })?),
            [_, second, ..] => {
                return Err(Failed::new(format!(
                    "one service only, not also {second:?}; an address is HOST:PORT"
                )));
            }
        };
        let single = self.exit.is_some_and(|exit| exit != Exit::Nagios);
        if addresses.is_empty() || (single && addresses.len() > 1) {
            let number = if single { "one address" } else { "an address" };
            return Err(Failed::new(format!("probe needs {number}: HOST:PORT")));
        }
        let probed = probe_all(&addresses, service)
            .map_err(|error| Failed::new(format!("cannot create thread: {error}")))?;
        Ok(self.output(&probed, service))
    }

    fn output(&self, probed: &[Probed], service: Option<ServiceName>) -> Output {
        let Some(exit) = self.exit else {
            let table = match probed {
                [one] => details(one, service),
                several => summary(several),
            };
            let complete = probed
                .iter()
                .all(|one| matches!(one.outcome, ProbeOutcome::Line(_)));
            return Output {
                text: table.render(screen::page(&self.color)),
                status: u8::from(!complete),
            };
        };
        if exit == Exit::Nagios {
            return nagios(probed);
        }
        let verdict = probed.first().map_or(Verdict::NoReply, Probed::verdict);
        Output {
            text: summary(probed).render(screen::page(&self.color)),
            status: match exit {
                Exit::Keepalived => keepalived(verdict),
                _ => u8::from(!matches!(verdict, Verdict::In(_))),
            },
        }
    }
}

/// Probes all addresses at the same time. A probe that hangs beyond [`LIMIT`] is abandoned.
fn probe_all(addresses: &[&String], service: Option<ServiceName>) -> io::Result<Vec<Probed>> {
    let (sender, results) = mpsc::channel();
    for (index, address) in addresses.iter().enumerate() {
        let (sender, address) = (sender.clone(), (*address).clone());
        thread::Builder::new().spawn(move || {
            // Not read any more after the limit.
            let _ = sender.send((index, probe(&address, service)));
        })?;
    }
    drop(sender);
    let deadline = Instant::now() + LIMIT;
    let mut probed: Vec<Probed> = addresses
        .iter()
        .map(|address| Probed {
            address: (*address).clone(),
            outcome: ProbeOutcome::NotConnected("timeout".to_owned()),
            took: LIMIT,
        })
        .collect();
    while let Ok((index, (outcome, took))) =
        results.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        if let Some(one) = probed.get_mut(index) {
            (one.outcome, one.took) = (outcome, took);
        }
    }
    Ok(probed)
}

fn probe(address: &str, service: Option<ServiceName>) -> (ProbeOutcome, Duration) {
    let resolved = address.to_socket_addrs().and_then(|mut found| {
        let none = || io::Error::new(io::ErrorKind::NotFound, "no address of this name");
        found.next().ok_or_else(none)
    });
    let began = Instant::now();
    let outcome = match resolved {
        Err(error) => ProbeOutcome::NotConnected(error.to_string()),
        Ok(to) => exchange(Route { to, from: None }, service.as_ref(), began + PATIENCE),
    };
    (outcome, began.elapsed())
}

impl Probed {
    fn dissection(&self) -> Option<Dissection> {
        match &self.outcome {
            ProbeOutcome::Line(line) => {
                let bytes = [line.as_slice(), b"\n"].concat();
                Some(dissect::dissect(&bytes, Reader::Since31))
            }
            _ => None,
        }
    }

    fn verdict(&self) -> Verdict {
        let Some(Dissection { effect, end, .. }) = self.dissection() else {
            return Verdict::NoReply;
        };
        let weight = effect.weight.map(|weight| match weight {
            Weight::Percent(weight) | Weight::Absolute(weight) => weight,
        });
        match (effect.operational, effect.administrative, weight) {
            _ if !matches!(end, End::Whole(_)) => Verdict::NoReply,
            (_, Some(AdministrativeState::Maint), _) | (Some(OperationalState::Stopped), ..) => {
                Verdict::Maintenance
            }
            (Some(OperationalState::Down | OperationalState::Fail), ..) => Verdict::Down,
            (_, Some(AdministrativeState::Drain), _) | (.., Some(0)) => Verdict::Drained,
            (None, None, None) => Verdict::NoOp,
            (.., weight) => Verdict::In(weight),
        }
    }

    /// The line, or why there is none.
    fn reply(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match &self.outcome {
            ProbeOutcome::Line(line) => text(line),
            ProbeOutcome::NotConnected(error) => format!("no connection: {error}"),
            ProbeOutcome::Ended(bytes) if bytes.is_empty() => "closed without a reply".to_owned(),
            ProbeOutcome::Ended(bytes) => format!("closed without a line end: {}", text(bytes)),
            ProbeOutcome::Silent(bytes) if bytes.is_empty() => "timeout without a reply".to_owned(),
            ProbeOutcome::Silent(bytes) => format!("timeout without a line end: {}", text(bytes)),
        }
    }

    fn cell(&self) -> Cell {
        let style = match self.verdict() {
            Verdict::In(_) => Style::Good,
            Verdict::Drained | Verdict::Maintenance => Style::Warning,
            Verdict::Down | Verdict::NoOp | Verdict::NoReply => Style::Bad,
        };
        Cell::new(style, &self.reply())
    }
}

impl Verdict {
    fn text(self) -> String {
        match self {
            Self::In(Some(weight)) => format!("in, weight {weight}"),
            Self::In(None) => "in".to_owned(),
            Self::Drained => "drained".to_owned(),
            Self::Maintenance => "maintenance".to_owned(),
            Self::Down => "down".to_owned(),
            Self::NoOp => "no change: no-op reply".to_owned(),
            Self::NoReply => "no change: no reply".to_owned(),
        }
    }
}

/// The result of one probe, with the words of its line.
fn details(one: &Probed, service: Option<ServiceName>) -> Table {
    let mut table = Table::new();
    let mut row = |label: &str, cell: Cell| table.row(vec![Cell::new(Style::Name, label), cell]);
    let sent = service.map_or_else(
        || ", without agent-send".to_owned(),
        |name| format!(", agent-send \"{name}\\n\""),
    );
    row("agent", format!("{}{sent}", one.address).into());
    row("reply", one.cell());
    row("time", span(one.took).into());
    if let ProbeOutcome::Line(line) = &one.outcome {
        for (label, text) in dissect::describe(&[line.as_slice(), b"\n"].concat()) {
            row(label, text.into());
        }
    }
    table
}

/// One row for each probe.
fn summary(probed: &[Probed]) -> Table {
    let mut table = Table::new();
    let heading = |text| Cell::new(Style::Name, text);
    table.row(["AGENT", "TIME", "HAPROXY", "REPLY"].map(heading).to_vec());
    for one in probed {
        table.row(vec![
            one.address.clone().into(),
            span(one.took).into(),
            one.verdict().text().into(),
            one.cell(),
        ]);
    }
    table
}

/// The exit status for `misc_dynamic`.
fn keepalived(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NoOp | Verdict::In(None) => 0,
        Verdict::Down | Verdict::Maintenance | Verdict::NoReply => 1,
        Verdict::Drained => 2,
        Verdict::In(Some(weight)) => {
            u8::try_from(weight.min(MAX_KEEPALIVED) + 2).unwrap_or(u8::MAX)
        }
    }
}

/// The line and the exit status of a monitoring plugin.
fn nagios(probed: &[Probed]) -> Output {
    let level = |verdict| match verdict {
        Verdict::In(_) => Level::Ok,
        Verdict::Drained | Verdict::Maintenance => Level::Warning,
        Verdict::NoOp => Level::Unknown,
        Verdict::Down | Verdict::NoReply => Level::Critical,
    };
    let worst = probed.iter().map(|one| level(one.verdict()));
    let worst = worst
        .max_by_key(|level| level.rank())
        .unwrap_or(Level::Unknown);
    let (mut text, mut numbers) = (String::new(), String::new());
    for one in probed {
        let separator = if text.is_empty() { "" } else { "; " };
        // A bar begins the performance data.
        let reply = printable(&one.reply()).replace('|', "/");
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{}: {reply}", printable(&one.address));
        let label = printable(&one.address).replace(['\'', '=', '|'], "_");
        let took = one.took.as_secs_f64();
        let _ = write!(numbers, " '{label} time'={took:.6}s;;;0");
        if let Verdict::In(Some(weight)) = one.verdict() {
            let _ = write!(numbers, " '{label} weight'={weight};;;0");
        }
    }
    Output {
        text: format!("AGENTCHECK {}: {text} |{numbers}\n", worst.word()),
        status: worst as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(outcome: ProbeOutcome) -> Probed {
        Probed {
            address: "10.0.0.1:3333".to_owned(),
            outcome,
            took: Duration::from_millis(1),
        }
    }

    #[test]
    fn every_reply_has_its_exit_status_in_each_form() {
        for (line, keep, plain, monitor) in [
            ("up 73%", 75, 0, 0),
            ("up 73% # drain", 75, 0, 0),
            ("up", 0, 0, 0),
            ("ready", 0, 0, 0),
            ("up 300%", 255, 0, 0),
            ("weight:200", 202, 0, 0),
            ("up 0%", 2, 1, 1),
            ("up drain 100%", 2, 1, 1),
            ("stopped 100% # maintenance", 1, 1, 1),
            ("maint 100%", 1, 1, 1),
            ("down 100%", 1, 1, 2),
            ("fail", 1, 1, 2),
            ("no-state:web", 0, 1, 3),
            ("", 0, 1, 3),
        ] {
            let one = probed(ProbeOutcome::Line(line.as_bytes().to_vec()));
            let verdict = one.verdict();
            assert_eq!(keepalived(verdict), keep, "{line}");
            assert_eq!(!matches!(verdict, Verdict::In(_)), plain == 1, "{line}");
            assert_eq!(nagios(&[one]).status, monitor, "{line}");
        }
        for outcome in [
            ProbeOutcome::NotConnected("refused".to_owned()),
            ProbeOutcome::Ended(b"up 10".to_vec()),
            ProbeOutcome::Silent(Vec::new()),
        ] {
            let one = probed(outcome);
            assert_eq!(keepalived(one.verdict()), 1);
            assert_eq!(nagios(&[one]).status, 2);
        }
    }

    #[test]
    fn text_of_agents_is_printable_and_adds_no_performance_data() {
        let hostile = b"up 1% # \x1b[31m\xe2\x80\xae | fake=1".to_vec();
        let made = nagios(&[probed(ProbeOutcome::Line(hostile))]).text;
        assert_eq!(made.matches('|').count(), 1, "{made}");
        assert!(!made.trim_end().contains(char::is_control), "{made:?}");
        assert!(!made.contains('\u{202e}'), "{made:?}");
    }
}
