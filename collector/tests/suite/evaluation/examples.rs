//! The examples that replace other agents: each directory of examples/ with recorded readings (`story.jsonl`). The
//! replies are compared with `expected`, as for all golden cases. They are also compared with the other agent's
//! own formula, over the recorded readings and over sweeps of readings. Where agentcheck differs on purpose, the
//! example's README explains it and the test has it.

mod herald;
mod loadbalancer;
mod scripts;
mod staleness;

use super::{Player, lines, play_case};
use crate::golden;
use agentcheck::config::{self, Config};
use agentcheck::decision::decide::Decision;
use agentcheck_common::{OperationalState, Reply};
use agentcheck_tests::binaries::workspace;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn directory(case: &str) -> PathBuf {
    let root = workspace().join("examples");
    root.join(case)
}

fn read(case: &str, file: &str) -> String {
    let file = directory(case).join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

/// The example's configuration, by the loading code of the collector.
fn configuration(case: &str) -> Config {
    let file = directory(case).join("agentcheck.toml");
    let (config, warnings) = config::load(&file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings.to_string(), "", "{case}");
    config
}

/// The same with another line, or some more lines, that its README shows.
fn shown_in_readme(case: &str, block: &str, change: impl Fn(String) -> String) -> Config {
    assert!(read(case, "README.md").contains(block), "{block}");
    let text = change(read(case, "agentcheck.toml"));
    let parsed = config::parse(Path::new("agentcheck.toml"), &text);
    let (config, warnings) = parsed.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings.to_string(), "", "{text}");
    config
}

#[test]
fn recorded_readings_give_the_expected_replies() {
    golden::as_expected(
        "examples",
        10,
        |path| path.join("story.jsonl").is_file(),
        |case| {
            let readme = case.join("README.md");
            assert!(readme.is_file(), "{readme:?} describes the move");
            play_case(case)
        },
    );
}

/// The state of a server that got only this line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In, with this share of its weight in per cent.
    Weight(u16),
    Drain,
    Down,
    Maint,
    /// The line has no word: the server stays in its state.
    Unchanged,
}

/// Where our reply brings it, in the words for `admin_state = "preserve"`.
fn ours(reply: &Reply) -> Place {
    match (
        reply.operational,
        reply.percent.map(|percent| percent.get()),
    ) {
        (Some(OperationalState::Down), Some(100)) => Place::Down,
        (Some(OperationalState::Stopped), Some(100)) => Place::Maint,
        (Some(OperationalState::Up), Some(0)) => Place::Drain,
        (Some(OperationalState::Up), Some(percent)) => Place::Weight(percent),
        _ => panic!("{reply} leaves the state open"),
    }
}

/// The state to which another agent's line brings the server, as `HAProxy` reads it. The last word of a kind applies,
/// and a missing word changes nothing. Down, maintenance and drain apply at every weight.
fn theirs(line: &str) -> Place {
    let mut place = None;
    let mut weight = None;
    for word in line.split_ascii_whitespace() {
        match word {
            "down" => place = Some(Place::Down),
            "maint" => place = Some(Place::Maint),
            "drain" => place = Some(Place::Drain),
            "up" | "ready" => weight = weight.or(Some(100)),
            percent => {
                let percent = percent.strip_suffix('%').expect(line);
                weight = Some(percent.parse().expect(line));
            }
        }
    }
    match (place, weight) {
        (Some(place), _) => place,
        (None, Some(0)) => Place::Drain,
        (None, Some(weight)) => Place::Weight(weight),
        (None, None) => Place::Unchanged,
    }
}

/// The source and the reading of a poll.
type Poll = (&'static str, Value);

/// The reply of `service` after these polls, all at one moment and with nothing before.
fn reply_after(config: &Config, service: &str, polls: &[Poll]) -> Reply {
    let mut player = Player::new(config);
    let mut last = None;
    // What the service does not use is not polled.
    for (source, reading) in polls {
        last = last_reply(player.poll(1.0, source, reading), service);
    }
    last.unwrap_or_else(|| panic!("{service}: no reply after {polls:?}"))
}

fn last_reply(decisions: Vec<(&config::Service, Decision)>, service: &str) -> Option<Reply> {
    let (_, decision) = decisions
        .into_iter()
        .find(|(known, _)| known.name.as_str() == service)
        .expect(service);
    decision.final_decision.map(|last| last.verdict.reply)
}

/// One line of a story: the latest reading of each source by name, and the reply of the service.
struct Recorded {
    line: String,
    latest: BTreeMap<String, Value>,
    printed: Reply,
}

/// The story of a case, from the first reply of `service`.
fn recorded(case: &str, service: &str) -> Vec<Recorded> {
    let config = configuration(case);
    let mut player = Player::new(&config);
    let mut latest = BTreeMap::new();
    let mut all = Vec::new();
    for line in lines(&read(case, "story.jsonl")) {
        let printed = last_reply(player.play(line), service);
        let parsed: Value = serde_json::from_str(line).unwrap();
        if let Some(source) = parsed["source"].as_str() {
            latest.insert(source.to_owned(), parsed["reading"].clone());
        }
        if let Some(printed) = printed {
            all.push(Recorded {
                line: line.to_owned(),
                latest: latest.clone(),
                printed,
            });
        }
    }
    assert!(all.len() >= 5, "{case}: {} replies of {service}", all.len());
    all
}

impl Recorded {
    /// A number of the latest reading of a source.
    fn number(&self, source: &str, part: &str) -> f64 {
        let number = self.latest[source][part].as_f64();
        number.unwrap_or_else(|| panic!("{source}: {}", self.latest[source]))
    }

    /// The JSON document of the latest reading of a source.
    fn json(&self, source: &str) -> Value {
        self.latest[source]["json"].clone()
    }
}

/// 0 to 100 in steps of a half: readings as they come.
fn halves() -> impl Iterator<Item = f64> {
    (0..=200).map(|step| f64::from(step) / 2.0)
}
