//! From a verdict to a schedule: what is said as long as the verdict is fresh, and what after that, when
//! nobody is there to decide.

use crate::config::{Service, Stale};
use crate::evaluate::Verdict;
use crate::wording;
use agentcheck_common::schedule::Stage;
use agentcheck_common::{Description, Percent, Reply};

/// How many steps the way back to full has.
const RELEASE_STEPS: u16 = 10;

/// A schedule, ready to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What is said, and until when.
    pub stages: Vec<Stage>,
    /// What is said after the last stage.
    pub then: Reply,
}

/// The schedule for a verdict of `service`.
///
/// A reply that takes the server out stands, whatever `stale` says: that the collector is gone is no
/// reason to send traffic to a server that was taken out on purpose.
#[must_use]
pub fn plan(service: &Service, verdict: &Verdict) -> Plan {
    let fresh = Stage {
        until: verdict.until,
        reply: verdict.reply,
    };
    if verdict.reply.takes_out() {
        // Why it was taken out is still worth knowing; the numbers behind a weight are not.
        let why = format!("stale {}", verdict.reply.description.as_str());
        return Plan {
            stages: vec![fresh],
            then: verdict.reply.described(Description::lossy(&why)),
        };
    }
    let kept = verdict.reply.described(Description::lossy("stale"));
    match service.stale {
        Stale::Keep => Plan {
            stages: vec![fresh],
            then: kept,
        },
        Stale::Say(state) => Plan {
            stages: vec![fresh],
            then: wording::reply(state, service.floor, service.administration, "stale"),
        },
        Stale::Release { after, over } => {
            let start = verdict.reply.percent.map_or(100, Percent::get);
            if start >= 100 {
                return Plan {
                    stages: vec![fresh],
                    then: kept,
                };
            }
            let begin = verdict.until.after(after);
            let mut stages = vec![
                fresh,
                Stage {
                    until: begin,
                    reply: kept,
                },
            ];
            let released = Description::lossy("stale, released");
            let at = |step: u16| Reply {
                percent: Percent::new(start + (100 - start) * step / RELEASE_STEPS),
                ..kept.described(released)
            };
            for step in 1..RELEASE_STEPS {
                let passed = over * u32::from(step) / u32::from(RELEASE_STEPS - 1);
                stages.push(Stage {
                    until: begin.after(passed),
                    reply: at(step),
                });
            }
            Plan {
                stages,
                then: at(RELEASE_STEPS),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Administration, OnFailure, State};
    use crate::evaluate::Decided;
    use agentcheck_common::{BootTime, ServiceName};
    use std::time::Duration;

    fn planned(stale: Stale, reply: &str) -> Vec<String> {
        let service = Service {
            name: ServiceName::parse(b"web").unwrap(),
            sources: Vec::new(),
            rules: Vec::new(),
            weight: None,
            floor: Percent::new(1).unwrap(),
            fresh_for: Duration::from_secs(10),
            stale,
            on_failure: OnFailure::Keep,
            administration: Administration::Shared,
        };
        let verdict = Verdict {
            reply: Reply::parse(reply.as_bytes()).unwrap(),
            decided: Decided::Weight(0.0),
            of: BootTime(0),
            until: BootTime(10_000_000_000),
        };
        let plan = plan(&service, &verdict);
        let stages = plan.stages.iter();
        stages
            .map(|stage| format!("{} {}", stage.until.0 / 1_000_000_000, stage.reply))
            .chain([format!("then {}", plan.then)])
            .collect()
    }

    #[test]
    fn keeps() {
        assert_eq!(
            planned(Stale::Keep, "up 73% # x=1"),
            ["10 up 73% # x=1", "then up 73% # stale"]
        );
    }

    #[test]
    fn says_something_else() {
        assert_eq!(
            planned(Stale::Say(State::Floor), "up 73%"),
            ["10 up 73%", "then up 1% # stale"]
        );
    }

    #[test]
    fn releases_step_by_step() {
        let release = Stale::Release {
            after: Duration::from_secs(20),
            over: Duration::from_secs(90),
        };
        let steps = planned(release, "up 50%");
        assert_eq!(steps[0], "10 up 50%");
        assert_eq!(steps[1], "30 up 50% # stale");
        assert_eq!(steps[2], "40 up 55% # stale, released");
        assert_eq!(steps[10], "120 up 95% # stale, released");
        assert_eq!(steps[11], "then up 100% # stale, released");
        assert_eq!(steps.len(), 12);
        assert_eq!(
            planned(release, "up 100%"),
            ["10 up 100%", "then up 100% # stale"]
        );
    }

    #[test]
    fn what_was_taken_out_stays_out() {
        let release = Stale::Release {
            after: Duration::from_secs(1),
            over: Duration::from_secs(1),
        };
        for reply in [
            "up 0%",
            "down 100%",
            "stopped 100%",
            "maint 100%",
            "up drain 100%",
        ] {
            for stale in [release, Stale::Say(State::Floor), Stale::Keep] {
                assert_eq!(planned(stale, reply)[1], format!("then {reply} # stale"));
            }
        }
    }
}
