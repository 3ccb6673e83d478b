//! The operator's settings about replies, as a configuration, and the expected server after such a reply. It is
//! written against the documentation, and shares no code with the product.

use super::model::{Admin, LIMIT, Server};
use agentcheck::config::{self, Config};
use agentcheck_common::{AdministrativeState, OperationalState, Reply};
use agentcheck_tests::state::reply;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A reply of its own key in a configuration: the service sends exactly this.
const LINES: [&str; 6] = [
    "up 20%",
    "50%",
    "down # by hand",
    "fail 100%",
    "stopped 100%",
    "up 150%",
];

/// The same, where the agent owns the administrative state. One word alone would be a state and no line.
const OWNERS_LINES: [&str; 4] = ["up ready 20%", "maint 100%", "ready 100%", "up drain 30%"];

/// The state of a server by a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetState {
    Full,
    Floor,
    Drain,
    Down,
    Maint,
    /// The weight from load, 0 to 100.
    Weight(u16),
    /// One of the lines, by number.
    Line(usize),
    /// Any reply that was active when the collector started.
    Current(Reply),
}

/// The verdicts of rules.
pub(crate) const BY_RULE: [TargetState; 5] = [
    TargetState::Full,
    TargetState::Floor,
    TargetState::Drain,
    TargetState::Down,
    TargetState::Maint,
];

/// The number that leads to the first of them.
const BY_RULE_AT: usize = 200;

impl TargetState {
    /// The application's number that leads to this state.
    pub(crate) fn number(self) -> f64 {
        match self {
            Self::Weight(percent) => f64::from(percent),
            Self::Line(at) => 300.0 + f64::from(u32::try_from(at).unwrap()),
            rule => {
                let at = BY_RULE.iter().position(|known| *known == rule).unwrap();
                f64::from(u32::try_from(BY_RULE_AT + at).unwrap())
            }
        }
    }

    fn word(self) -> String {
        match self {
            Self::Line(at) => lines(true)[at].to_owned(),
            rule => format!("{rule:?}").to_lowercase(),
        }
    }
}

/// The lines that a service may send; those that manage the administrative state come last.
pub(crate) fn lines(owner: bool) -> Vec<&'static str> {
    let more = OWNERS_LINES.iter().filter(|_| owner);
    LINES.iter().chain(more).copied().collect()
}

/// The reply when no collector renews the verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stale {
    Keep,
    Release,
    State(TargetState),
}

/// A service's configuration, but for its rules: it has one for every state and every line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    pub(crate) owner: bool,
    /// Whether replies contain the weight itself.
    pub(crate) absolute: bool,
    pub(crate) floor: u16,
    pub(crate) fresh_for: Duration,
    pub(crate) stale: Stale,
    pub(crate) on_stop: Stale,
    /// `restore_after` and `restore_over`
    pub(crate) release: (Duration, Duration),
    /// The reply when the application fails; `None` keeps the last one.
    pub(crate) on_failure: Option<TargetState>,
    /// How long the reply of the rule `down` stays without a collector; `None` is without an end.
    pub(crate) hold_for: Option<Duration>,
    /// Whether the agent manages the limit of connections.
    pub(crate) limits: bool,
}

/// The same with the configuration made of it.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) keys: Keys,
    pub(crate) config: Arc<Config>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.fmt(f)
    }
}

/// The content of a verdict: the state, and the connection limit, if there is one.
pub(crate) type Verdict = (TargetState, Option<u32>);

impl Keys {
    /// The configuration, as an operator writes it.
    pub(crate) fn policy(self) -> Policy {
        let text = self.text();
        let read = config::parse(Path::new("agentcheck.toml"), &text);
        let (config, _) = read.unwrap_or_else(|report| panic!("{report}\n{text}"));
        Policy {
            keys: self,
            config: Arc::new(config),
        }
    }

    fn text(&self) -> String {
        let administration = if self.owner { "manage" } else { "preserve" };
        let on_failure = self.on_failure.map_or("keep".to_owned(), TargetState::word);
        let nobody = |stale| match stale {
            Stale::Keep => "keep".to_owned(),
            Stale::Release => "restore".to_owned(),
            Stale::State(target) => target.word(),
        };
        let mut text = format!(
            "[source.app.file]\npath = \"/run/app/load\"\nformat = \"number\"\ninterval = \"2s\"\n\
             timeout = \"1s\"\n\n[service.web]\nweight = \"app.value\"\nfloor = {}\nfresh_for = \"{:?}\"\n\
             admin_state = \"{administration}\"\non_failure = \"{on_failure}\"\non_stale = \"{}\"\n\
             on_stop = \"{}\"\n",
            self.floor,
            self.fresh_for,
            nobody(self.stale),
            nobody(self.on_stop),
        );
        let released = |stale| matches!(stale, Stale::Release);
        if released(self.stale) || released(self.on_stop) || self.hold_for.is_some() {
            let (after, over) = self.release;
            let _ = writeln!(
                text,
                "restore_after = \"{after:?}\"\nrestore_over = \"{over:?}\""
            );
        }
        if self.absolute {
            text += "weight_form = \"absolute\"\n";
        }
        if self.limits {
            let _ = writeln!(
                text,
                "maxconn = \"app.value + 1.0\"\nmaxconn_normal = {LIMIT}"
            );
        }
        let by_line = (0..lines(self.owner).len()).map(TargetState::Line);
        for target in BY_RULE.into_iter().chain(by_line) {
            let key = if matches!(target, TargetState::Line(_)) {
                "raw_reply"
            } else {
                "reply"
            };
            let (number, word) = (target.number(), target.word());
            let _ = write!(
                text,
                "\n[[service.web.rule]]\nname = \"r{number}\"\nwhen = \"app.value == {number:?}\"\n\
                 {key} = \"{word}\"\n"
            );
            if let (TargetState::Down, Some(time)) = (target, self.hold_for) {
                let _ = writeln!(text, "hold_for = \"{time:?}\"");
            }
        }
        text
    }

    /// How long a reply that takes the server out stays valid without a collector.
    pub(crate) fn hold_for(&self, target: TargetState) -> Option<Duration> {
        self.hold_for.filter(|_| target == TargetState::Down)
    }

    /// The limit where nothing limits.
    pub(crate) fn normal(&self) -> Option<u32> {
        self.limits.then_some(LIMIT)
    }

    /// The limit beside what the application led to.
    pub(crate) fn limit(&self, target: TargetState) -> Option<u32> {
        let whole = |percent| u32::try_from(percent).unwrap_or_default();
        self.normal().map(|normal| match target {
            TargetState::Weight(percent) => u32::from(percent) + 1,
            TargetState::Full => whole(BY_RULE_AT) + 1,
            TargetState::Floor => whole(BY_RULE_AT + 1) + 1,
            _ => normal,
        })
    }

    /// Checks a server that was in the state `before` when the reply arrived; returns the fault.
    pub(crate) fn differences(
        &self,
        (target, limit): Verdict,
        before: &Server,
        after: &Server,
    ) -> Vec<String> {
        let works = !after.checked || after.passes;
        let (in_service, weight) = match target {
            TargetState::Full => (true, 100),
            TargetState::Floor => (true, self.floor),
            TargetState::Weight(percent) => (true, percent.clamp(self.floor, 100)),
            TargetState::Drain if self.owner => (true, 100),
            TargetState::Drain => (true, 0),
            TargetState::Down | TargetState::Maint => (false, 100),
            TargetState::Line(at) => {
                return line_differences(&reply(lines(true)[at]), before, after);
            }
            TargetState::Current(reply) => return line_differences(&reply, before, after),
        };
        let admin = match target {
            _ if !self.owner => before.admin,
            TargetState::Drain => Admin::Drain,
            TargetState::Maint => Admin::Maint,
            _ => Admin::Ready,
        };
        let running = in_service && works && admin != Admin::Maint;
        let mut wrong = Vec::new();
        compare(&mut wrong, "administrative state", admin, after.admin);
        compare(&mut wrong, "running", running, after.running);
        compare(&mut wrong, "weight", weight, after.weight);
        compare(
            &mut wrong,
            "limit",
            limit.unwrap_or(before.limit),
            after.limit,
        );
        wrong
    }
}

/// Only the words of a line count.
fn line_differences(line: &Reply, before: &Server, after: &Server) -> Vec<String> {
    let mut wrong = Vec::new();
    let admin = match line.administrative {
        None => before.admin,
        Some(AdministrativeState::Ready) => Admin::Ready,
        Some(AdministrativeState::Drain) => Admin::Drain,
        Some(AdministrativeState::Maint) => Admin::Maint,
    };
    compare(&mut wrong, "administrative state", admin, after.admin);
    if let Some(operational) = line.operational {
        let works = !after.checked || after.passes;
        let up = operational == OperationalState::Up && works && admin != Admin::Maint;
        compare(&mut wrong, "running", up, after.running);
    }
    if let Some(percent) = line.percent {
        compare(&mut wrong, "weight", percent.get(), after.weight);
    }
    let limit = line.maxconn.map_or(before.limit, |limit| limit.get());
    compare(&mut wrong, "limit", limit, after.limit);
    wrong
}

fn compare<T: PartialEq + std::fmt::Debug>(wrong: &mut Vec<String>, what: &str, is: T, seen: T) {
    if is != seen {
        wrong.push(format!("{what}: should be {is:?}, is {seen:?}"));
    }
}
