//! Replays a recording with a configuration: the replies, and when they would have changed. The clock is the
//! recording's.

use crate::config::{Config, Service};
use crate::decision::decide::decide;
use crate::decision::evaluate::{DecisionSource, ServiceMemory};
use crate::decision::observations::Observations;
use crate::overrides::Effective;
use crate::simulation::recording::{BEGINNING, Recording};
use agentcheck_common::{BootTime, Description, Reply};
use std::collections::BTreeMap;

/// The replay of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its name.
    pub service: String,
    /// The replies, one for each change.
    pub points: Vec<Point>,
    /// The numbers that its expressions read, by name, each with its second.
    pub numbers: BTreeMap<String, Vec<(f64, f64)>>,
}

/// A change of the reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Seconds since the recording began.
    pub at: f64,
    /// The reply.
    pub reply: Reply,
    /// What decided it.
    pub decided: DecisionSource,
}

impl Point {
    /// The state, as one word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        state(&self.reply)
    }
}

/// The state that a reply sets, as one word: `up`, `drain`, `down` or `maint`.
#[must_use]
pub fn state(reply: &Reply) -> &'static str {
    use agentcheck_common::{AdministrativeState, OperationalState, Percent};
    match (reply.operational, reply.administrative) {
        (_, Some(AdministrativeState::Maint)) | (Some(OperationalState::Stopped), _) => "maint",
        (Some(OperationalState::Down | OperationalState::Fail), _) => "down",
        (_, Some(AdministrativeState::Drain)) => "drain",
        _ if reply.percent == Some(Percent::ZERO) => "drain",
        _ => "up",
    }
}

/// The weight that a reply sets, in percent: 0 if the server is out.
#[must_use]
pub fn weight(reply: &Reply) -> f64 {
    let percent = reply.percent.map_or(100, |percent| percent.get());
    if reply.takes_server_out() {
        0.0
    } else {
        f64::from(percent)
    }
}

/// A replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The services, in the order of the configuration.
    pub tracks: Vec<Track>,
    /// Seconds from the beginning to the last reading.
    pub length: f64,
    /// The number of readings.
    pub readings: usize,
}

/// The most numbers of one name. Beyond that, every second one is dropped.
const MOST_NUMBERS: usize = 20_000;

struct Playing<'c> {
    service: &'c Service,
    memory: ServiceMemory,
    wake_at: BootTime,
    track: Track,
}

/// Plays a recording.
#[must_use]
pub fn play(config: &Config, recording: &Recording) -> Played {
    let mut observed = Observations::new(config, BEGINNING);
    if let Some(began) = recording.began {
        observed.set_clock(&config.timezone, began, BEGINNING);
    }
    let mut playing: Vec<Playing<'_>> = config
        .services
        .iter()
        .map(|service| Playing {
            service,
            memory: ServiceMemory::default(),
            wake_at: BEGINNING,
            track: Track {
                service: service.name.to_string(),
                points: Vec::new(),
                numbers: BTreeMap::new(),
            },
        })
        .collect();
    let mut now = BEGINNING;
    for recorded in &recording.readings {
        let arrived = recorded.arrived();
        // The changes before this reading arrives.
        while let Some(wake_at) = playing.iter().map(|one| one.wake_at).min() {
            if wake_at >= arrived {
                break;
            }
            now = wake_at.max(now);
            for one in &mut playing {
                if one.wake_at <= now {
                    one.decide(&mut observed, now);
                }
            }
        }
        now = arrived.max(now);
        let touched = observed.take(recorded.source, recorded.reading.clone(), now);
        for one in &mut playing {
            let news = touched
                .iter()
                .any(|input| one.service.inputs.contains(input));
            if news || one.wake_at <= now {
                one.decide(&mut observed, now);
            }
        }
    }
    Played {
        tracks: playing.into_iter().map(|one| one.track).collect(),
        length: now.since(BEGINNING).as_secs_f64(),
        readings: recording.readings.len(),
    }
}

impl Playing<'_> {
    fn decide(&mut self, observed: &mut Observations, now: BootTime) {
        let context = observed.context(now);
        let nobody = Effective::default();
        let decision = decide(self.service, &context, &self.memory, &nobody, now);
        self.memory = decision.memory;
        self.wake_at = decision.wake_at;
        let at = now.since(BEGINNING).as_secs_f64();
        for expression in self.service.expressions() {
            for (label, number) in expression.numbers_used(context.scope) {
                note(&mut self.track.numbers, label, at, number);
            }
        }
        let Some(final_decision) = decision.final_decision else {
            return;
        };
        let words = |reply: Reply| reply.with_description(Description::EMPTY);
        let verdict = final_decision.verdict;
        let last = self.track.points.last();
        let same = last.is_some_and(|last| {
            words(last.reply) == words(verdict.reply) && who(&last.decided) == who(&verdict.decided)
        });
        if !same {
            self.track.points.push(Point {
                at,
                reply: verdict.reply,
                decided: verdict.decided,
            });
        }
    }
}

/// What decided, without the numbers.
fn who(decided: &DecisionSource) -> (u8, usize) {
    match decided {
        DecisionSource::Rule { index, .. } => (0, *index),
        DecisionSource::Weight(_) => (1, 0),
        DecisionSource::Failure(_) => (2, 0),
        DecisionSource::Override(_) => (3, 0),
    }
}

fn note(numbers: &mut BTreeMap<String, Vec<(f64, f64)>>, label: &str, at: f64, number: f64) {
    if !numbers.contains_key(label) {
        numbers.insert(label.to_owned(), Vec::new());
    }
    let Some(known) = numbers.get_mut(label) else {
        return;
    };
    match known.last_mut() {
        // Two expressions may read the same number.
        Some(last) if last.0 >= at => *last = (at, number),
        _ => known.push((at, number)),
    }
    if known.len() > MOST_NUMBERS {
        let mut keep = false;
        known.retain(|_| {
            keep = !keep;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::recording;
    use std::path::Path;

    #[test]
    fn recording_is_replayed_with_its_own_clock() {
        let rule = "when = \"queue.value > 90\"\nfor = \"5s\"\nreply = \"drain\"";
        let text = agentcheck_tests::scene::queue_service(Path::new("/q"), rule);
        let (config, _) = crate::config::parse(Path::new("c"), &text).unwrap();
        let mut lines = recording::head("");
        for (t, value) in [(0, 20), (2, 95), (4, 95), (20, 20)] {
            lines.push_str(&format!(
                "\n{{\"t\":{t},\"source\":\"queue\",\"reading\":{{\"value\":{value}}}}}"
            ));
        }
        let recorded = recording::read(&config.sources, &lines).unwrap();
        let played = play(&config, &recorded);
        let points: Vec<String> = played.tracks[0]
            .points
            .iter()
            .map(|point| format!("{} {} {}", point.at, point.state(), point.reply))
            .collect();
        assert_eq!(
            points,
            [
                "0 up up 80% # queue=20",
                "2 up up 5% # queue=95",
                // Between two readings, when the rule's timer ends.
                "7 drain up 0% # rule=long queue=95",
                // No reading for longer than `fresh_for`: the reply is kept, with the reason, until the next one.
                "13.75 drain up 0% # kept: queue overdue",
                "20 up up 80% # queue=20",
            ]
        );
        assert_eq!((played.length, played.readings), (20.0, 4));
        assert_eq!(
            played.tracks[0].numbers["queue"].last(),
            Some(&(20.0, 20.0))
        );
    }
}
