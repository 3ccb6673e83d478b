//! From a verdict to a schedule: the reply while the verdict is fresh, and the replies after that, if no collector
//! renews it.

use crate::config::{ExpiryAction, Service};
use crate::decision::evaluate::Verdict;
use crate::reply::compose;
use crate::reply::state::{DescriptionDetail, ServerState};
use agentcheck_common::schedule::Stage;
use agentcheck_common::{BootTime, Description, Percent, Reply};

/// The number of steps of a restore to 100%.
const RELEASE_STEPS: u16 = 10;

/// A schedule, ready to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The replies, each with its end.
    pub stages: Vec<Stage>,
    /// The reply after the last stage.
    pub then: Reply,
}

/// The schedule for a verdict of `service`.
///
/// A reply that takes the server out stays for `hold_for`, regardless of `on_stale`. A dead collector is no reason to
/// send traffic to a server that was taken out on purpose.
#[must_use]
pub(super) fn plan(service: &Service, verdict: &Verdict) -> Plan {
    let fresh = Stage {
        until: verdict.until,
        reply: verdict.reply,
    };
    if verdict.reply.takes_server_out() {
        let kept = still_out(service, verdict.reply);
        return match verdict.hold_for {
            None => Plan {
                stages: vec![fresh],
                then: kept,
            },
            Some(time) => {
                let begin = verdict.until.after(time);
                let stood = Stage {
                    until: begin,
                    reply: kept,
                };
                released(service, vec![fresh, stood], service.shaping.floor, begin)
            }
        };
    }
    let kept = verdict.reply.with_description(describe(service, "stale"));
    match &service.on_stale {
        ExpiryAction::Keep => Plan {
            stages: vec![fresh],
            then: kept,
        },
        ExpiryAction::Reply(state) => Plan {
            stages: vec![fresh],
            then: worded(service, state, "stale"),
        },
        ExpiryAction::Restore => {
            let start = verdict.reply.percent.unwrap_or(Percent::FULL);
            let begin = verdict.until.after(service.restore.after);
            let stage = Stage {
                until: begin,
                reply: kept,
            };
            if start >= Percent::FULL && normal(service, &verdict.reply) {
                return Plan {
                    stages: vec![fresh],
                    then: kept,
                };
            }
            released(service, vec![fresh, stage], start, begin)
        }
    }
}

/// The schedule that a collector publishes when it stops at `now`; `verdict` is its last one. `None` if the last
/// schedule stays.
#[must_use]
pub fn stopping(service: &Service, verdict: &Verdict, now: BootTime) -> Option<Plan> {
    if verdict.reply.takes_server_out() {
        return None;
    }
    match &service.on_stop {
        ExpiryAction::Keep => None,
        ExpiryAction::Reply(state) => Some(Plan {
            stages: Vec::new(),
            then: worded(service, state, "collector stopped"),
        }),
        ExpiryAction::Restore => {
            let start = verdict.reply.percent.unwrap_or(Percent::FULL);
            Some(released(service, Vec::new(), start, now))
        }
    }
}

/// The stale reply of a server that is out. Its description keeps the reason.
fn still_out(service: &Service, reply: Reply) -> Reply {
    let why = format!("stale {}", reply.description.as_str());
    reply.with_description(describe(service, &why))
}

fn describe(service: &Service, why: &str) -> Description {
    match service.description_detail {
        DescriptionDetail::None => Description::EMPTY,
        DescriptionDetail::Full | DescriptionDetail::State => Description::lossy(why),
    }
}

fn worded(service: &Service, state: &ServerState, why: &str) -> Reply {
    let style = service.reply_style();
    compose::reply(state, &style, style.text(why, why))
}

/// Whether a restore to 100% would change nothing else of a reply.
fn normal(service: &Service, reply: &Reply) -> bool {
    reply.maxconn == service.maxconn.as_ref().map(|limit| limit.normal)
}

/// Adds the steps from `start` to 100%, from `begin` on, to `stages`.
fn released(service: &Service, mut stages: Vec<Stage>, start: Percent, begin: BootTime) -> Plan {
    let start = start.get().min(100);
    let at = |step: u16| {
        let percent = Percent::new(start + (100 - start) * step / RELEASE_STEPS);
        let percent = percent.unwrap_or(Percent::FULL);
        worded(service, &ServerState::Weight(percent), "stale, released")
    };
    let over = service.restore.over;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Restore;
    use crate::decision::evaluate::DecisionSource;
    use agentcheck_common::{BootTime, ServiceName};
    use std::time::Duration;

    fn service(stale: ExpiryAction) -> Service {
        Service {
            on_stale: stale,
            restore: Restore {
                after: Duration::from_secs(20),
                over: Duration::from_secs(90),
            },
            ..Service::new(ServiceName::parse(b"web").unwrap())
        }
    }

    fn verdict(reply: &str, hold_for: Option<u64>) -> Verdict {
        Verdict {
            reply: Reply::parse(reply.as_bytes()).unwrap(),
            decided: DecisionSource::Failure(crate::decision::evaluate::Undecided::default()),
            oldest_reading_at: BootTime(0),
            until: BootTime(10_000_000_000),
            hold_for: hold_for.map(Duration::from_secs),
        }
    }

    fn lines(plan: &Plan) -> Vec<String> {
        let stages = plan.stages.iter();
        stages
            .map(|stage| format!("{} {}", stage.until.0 / 1_000_000_000, stage.reply))
            .chain([format!("then {}", plan.then)])
            .collect()
    }

    fn planned(stale: ExpiryAction, reply: &str) -> Vec<String> {
        lines(&plan(&service(stale), &verdict(reply, None)))
    }

    #[test]
    fn reply_with_hold_for_is_restored_from_the_floor() {
        let steps = lines(&plan(
            &service(ExpiryAction::Keep),
            &verdict("up 0% # x", Some(60)),
        ));
        assert_eq!(steps[0], "10 up 0% # x");
        assert_eq!(steps[1], "70 up 0% # stale x");
        assert_eq!(steps[2], "80 up 10% # stale, released");
        assert_eq!(steps[11], "then up 100% # stale, released");
    }

    #[test]
    fn a_managed_limit_goes_back_to_normal() {
        let limit = crate::config::MaxconnLimit {
            total: crate::expression::Expression::compile(
                "1",
                crate::expression::Type::Number,
                &crate::expression::Environment::default(),
            )
            .unwrap(),
            normal: agentcheck_common::Maxconn::new(300).unwrap(),
            balancers: 1,
        };
        let service = Service {
            maxconn: Some(limit),
            ..service(ExpiryAction::Restore)
        };
        let steps = lines(&plan(&service, &verdict("up 100% maxconn:30", None)));
        assert_eq!(steps[1], "30 up 100% maxconn:30 # stale");
        assert_eq!(steps[11], "then up 100% maxconn:300 # stale, released");
        let steps = lines(&plan(&service, &verdict("up 100% maxconn:300", None)));
        assert_eq!(steps[1], "then up 100% maxconn:300 # stale");
    }

    #[test]
    fn on_stop_replaces_the_schedule() {
        let stopped = |on_stop, reply: &str| {
            let service = Service {
                on_stop,
                ..service(ExpiryAction::Keep)
            };
            let plan = stopping(&service, &verdict(reply, None), BootTime(1_000_000_000));
            plan.map(|plan| lines(&plan))
        };
        assert_eq!(stopped(ExpiryAction::Keep, "up 50%"), None);
        let drained = stopped(ExpiryAction::Reply(ServerState::Drain), "up 50%").unwrap();
        assert_eq!(drained, ["then up 0% # collector stopped"]);
        assert_eq!(
            stopped(ExpiryAction::Reply(ServerState::Drain), "down 100%"),
            None
        );
        let released = stopped(ExpiryAction::Restore, "up 50%").unwrap();
        assert_eq!(released[0], "11 up 55% # stale, released");
        assert_eq!(released[9], "then up 100% # stale, released");
    }
    #[test]
    fn keep_repeats_the_reply() {
        assert_eq!(
            planned(ExpiryAction::Keep, "up 73% # x=1"),
            ["10 up 73% # x=1", "then up 73% # stale"]
        );
    }

    #[test]
    fn other_reply_follows() {
        assert_eq!(
            planned(ExpiryAction::Reply(ServerState::Floor), "up 73%"),
            ["10 up 73%", "then up 1% # stale"]
        );
    }

    #[test]
    fn restore_goes_step_by_step() {
        let release = ExpiryAction::Restore;
        let steps = planned(release.clone(), "up 50%");
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
    fn server_that_is_out_stays_out() {
        for reply in [
            "up 0%",
            "down 100%",
            "stopped 100%",
            "maint 100%",
            "up drain 100%",
        ] {
            for stale in [
                ExpiryAction::Restore,
                ExpiryAction::Reply(ServerState::Floor),
                ExpiryAction::Keep,
            ] {
                assert_eq!(planned(stale, reply)[1], format!("then {reply} # stale"));
            }
        }
    }
}
