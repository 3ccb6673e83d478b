use super::*;
use crate::config::ExpiryAction;
use crate::decision::evaluate::Undecided;
use crate::overrides::{Moment, Now, Override, Scope, VERSION};
use agentcheck_common::{BootId, ServiceName};

const SECOND: u64 = 1_000_000_000;

fn boot() -> BootId {
    BootId::parse(b"6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11").unwrap()
}

fn service(overrides: AdminStatePolicy) -> Service {
    Service {
        override_admin_state: overrides,
        ..Service::new(ServiceName::parse(b"web").unwrap())
    }
}

/// An override that was set at 100 s; its stages, each with the second at which it ends.
fn set(stages: &[(Action, Option<u64>)], reason: &str) -> Override {
    let moment = |at: u64| Moment {
        boot: boot().to_string(),
        at: at * SECOND,
        wall: 1_700_000_000 + at,
    };
    Override {
        version: VERSION,
        id: "1".to_owned(),
        set: moment(100),
        stages: stages
            .iter()
            .map(|(action, end)| crate::overrides::OverrideStage {
                action: *action,
                until: None,
                end: end.map(moment),
            })
            .collect(),
        reason: reason.to_owned(),
        by: "ann".to_owned(),
    }
}

fn verdict(reply: &str) -> Verdict {
    Verdict {
        reply: Reply::parse(reply.as_bytes()).unwrap(),
        decided: DecisionSource::Failure(Undecided::default()),
        oldest_reading_at: BootTime(99 * SECOND),
        until: BootTime(109 * SECOND),
        hold_for: None,
    }
}

/// The schedule at 100 s, in seconds.
fn schedule(
    service: &Service,
    beneath: Option<&str>,
    overrides: &[(Scope, Override)],
    lift: Option<u64>,
) -> Vec<String> {
    let boot = boot();
    let now = BootTime(100 * SECOND);
    let clocks = Now {
        boot: &boot,
        at: now,
        wall: 0,
    };
    let standing = overrides
        .iter()
        .filter_map(|(scope, one)| one.active(*scope, false, &clocks));
    let effective = Effective::of(standing);
    let beneath = beneath.map(verdict);
    let lift = lift.map(|lift| BootTime(lift * SECOND));
    let Some(final_decision) = apply_overrides(service, beneath.as_ref(), &effective, lift, now)
    else {
        return Vec::new();
    };
    let plan = &final_decision.plan;
    assert_eq!(
        plan.stages.first().map(|first| first.reply),
        Some(final_decision.verdict.reply)
    );
    let rising = plan
        .stages
        .windows(2)
        .all(|pair| pair[0].until < pair[1].until);
    assert!(rising && plan.stages[0].until > now, "{plan:?}");
    let stages = plan.stages.iter();
    stages
        .map(|stage| format!("{} {}", stage.until.0 / SECOND, stage.reply))
        .chain([format!("then {}", plan.then)])
        .collect()
}

#[test]
fn verdict_without_overrides_is_unchanged() {
    let plain = service(AdminStatePolicy::Preserve);
    assert_eq!(schedule(&plain, None, &[], None), Vec::<String>::new());
    assert_eq!(
        schedule(&plain, Some("up 73% # x"), &[], None),
        ["109 up 73% # x", "then up 73% # stale"]
    );
}

#[test]
fn drain_without_end_stays_without_a_collector() {
    let drain = set(&[(Action::Drain, None)], "disk swap");
    assert_eq!(
        schedule(
            &service(AdminStatePolicy::Preserve),
            Some("up 73%"),
            &[(Scope::Service, drain)],
            None
        ),
        [
            "110 up 0% # override=drain by=ann disk swap",
            "then up 0% # stale override=drain by=ann disk swap"
        ]
    );
}

#[test]
fn after_its_end_comes_the_verdict_beneath_and_not_full() {
    let maint = set(&[(Action::Maint, Some(400))], "");
    let why = "override=maint by=ann until=2023-11-14T22:20:00Z";
    assert_eq!(
        schedule(
            &service(AdminStatePolicy::Preserve),
            Some("up 73%"),
            &[(Scope::All, maint)],
            None
        ),
        [
            format!("110 stopped 100% # maintenance {why}"),
            format!("400 stopped 100% # stale maintenance {why}"),
            "then up 73% # stale".to_owned()
        ]
    );
    // It ends soon: the verdict beneath is still fresh then.
    let short = set(&[(Action::Down, Some(103))], "");
    let lines = schedule(
        &service(AdminStatePolicy::Preserve),
        Some("up 73%"),
        &[(Scope::All, short.clone())],
        None,
    );
    assert_eq!(lines[1..], ["109 up 73%", "then up 73% # stale"]);
    // Nothing was ever known.
    let lines = schedule(
        &service(AdminStatePolicy::Preserve),
        None,
        &[(Scope::All, short)],
        None,
    );
    assert_eq!(lines[1..], ["then up 1% # override over"]);
}

#[test]
fn worded_as_owner_it_is_lifted_afterwards() {
    let maint = set(&[(Action::Maint, Some(103))], "");
    let lines = schedule(
        &service(AdminStatePolicy::Manage),
        Some("up 73%"),
        &[(Scope::All, maint)],
        None,
    );
    assert!(lines[0].starts_with("103 maint 100% # override=maint"));
    assert_eq!(
        lines[1..],
        [
            "109 up ready 73%",
            "163 up ready 73% # stale",
            "then up 73% # stale"
        ]
    );
    // And by the collector itself.
    let lines = schedule(
        &service(AdminStatePolicy::Manage),
        Some("up 73%"),
        &[],
        Some(105),
    );
    assert_eq!(
        lines,
        ["105 up ready 73%", "109 up 73%", "then up 73% # stale"]
    );
    let lines = schedule(
        &service(AdminStatePolicy::Manage),
        Some("up 73%"),
        &[],
        Some(200),
    );
    assert_eq!(
        lines,
        [
            "109 up ready 73%",
            "200 up ready 73% # stale",
            "then up 73% # stale"
        ]
    );
}

#[test]
fn ready_window_only_adds_ready() {
    for (beneath, expected) in [
        ("up 0%", "105 up ready 0%"),
        ("down 100%", "105 down ready 100%"),
        ("stopped 100%", "105 stopped ready 100%"),
        ("up drain 100%", "105 up drain 100%"),
    ] {
        let lines = schedule(
            &service(AdminStatePolicy::Preserve),
            Some(beneath),
            &[],
            Some(105),
        );
        assert_eq!(lines[0], expected);
    }
}

#[test]
fn a_limit_is_a_ceiling_and_never_raises() {
    let limit = |percent| (Scope::All, set(&[(Action::Limit { percent }, None)], ""));
    let plain = service(AdminStatePolicy::Preserve);
    let first = |beneath, limit| schedule(&plain, Some(beneath), &[limit], None)[0].clone();
    assert_eq!(
        first("up 73%", limit(50)),
        "109 up 50% # override=limit by=ann"
    );
    assert_eq!(first("up 30% # x", limit(50)), "109 up 30% # x");
    assert_eq!(first("up 0%", limit(50)), "109 up 0%");
    assert_eq!(first("down 100%", limit(50)), "109 down 100%");
    assert_eq!(first("up", limit(50)), "109 up 50% # override=limit by=ann");
    let forced = (Scope::Service, set(&[(Action::ForceUp, Some(103))], ""));
    let lines = schedule(&plain, Some("up 0% # x"), &[limit(50), forced], None);
    assert!(
        lines[0].starts_with("103 up 50% # override=limit by=ann override=force-up"),
        "{lines:?}"
    );
    // What took the server out before is beneath again.
    assert_eq!(lines[1..], ["109 up 0% # x", "then up 0% # stale x"]);
}

/// Without a collector, too, the end of one order leaves the others active.
#[test]
fn end_of_a_wider_order_leaves_the_narrower_one() {
    let plain = service(AdminStatePolicy::Preserve);
    let maint = (Scope::Service, set(&[(Action::Maint, None)], "disk swap"));
    let out = "stopped 100% # maintenance override=maint by=ann disk swap";
    let stale = "stopped 100% # stale maintenance override=maint by=ann disk swap";
    for wider in [Action::ForceUp, Action::Drain, Action::Down] {
        let short = (Scope::All, set(&[(wider, Some(103))], ""));
        let overrides = [short, maint.clone()];
        let lines = schedule(&plain, Some("up 73%"), &overrides, None);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1..], [format!("110 {out}"), format!("then {stale}")]);
        let long = (Scope::All, set(&[(wider, Some(400))], ""));
        let overrides = [maint.clone(), long];
        let lines = schedule(&plain, Some("up 73%"), &overrides, None);
        assert!(lines[1].starts_with("400 ") && lines[1].contains("# stale"));
        assert_eq!(lines[2..], [format!("then {stale}")]);
    }
    // Replies that lift the administrative state lift none that the narrower order sets.
    let manage = service(AdminStatePolicy::Manage);
    let short = (Scope::All, set(&[(Action::Drain, Some(103))], ""));
    let lines = schedule(&manage, Some("up 73%"), &[short, maint.clone()], None);
    assert!(
        lines[1..].iter().all(|line| line.contains(" maint 100% ")),
        "{lines:?}"
    );
    // Three scopes, one after the other.
    let short = (Scope::All, set(&[(Action::ForceUp, Some(103))], ""));
    let down = (Scope::Service, set(&[(Action::Down, Some(105))], ""));
    let flag = (Scope::Flag, set(&[(Action::Maint, None)], ""));
    let lines = schedule(&plain, Some("up 73%"), &[down, flag, short], None);
    let starts = [
        "103 up 100%",
        "105 down 100%",
        "110 stopped 100%",
        "then stopped 100%",
    ];
    assert_eq!(lines.len(), starts.len());
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{lines:?}");
    }
}

#[test]
fn limit_remains_without_a_collector_until_its_end() {
    let limit = |scope, percent, end| (scope, set(&[(Action::Limit { percent }, end)], ""));
    let endless = limit(Scope::Service, 50, None);
    let restore = Service {
        on_stale: ExpiryAction::Restore,
        ..service(AdminStatePolicy::Preserve)
    };
    let lines = schedule(
        &restore,
        Some("up 30%"),
        std::slice::from_ref(&endless),
        None,
    );
    assert_eq!(lines[3], "475 up 44% # stale, released");
    assert_eq!(
        lines.last().unwrap(),
        "then up 50% # stale, released override=limit by=ann"
    );
    let plain = service(AdminStatePolicy::Preserve);
    let bounded = limit(Scope::All, 20, Some(400));
    let why = "override=limit by=ann until=2023-11-14T22:20:00Z";
    let all_of_20 = [
        format!("109 up 20% # {why}"),
        format!("400 up 20% # stale {why}"),
    ];
    let lines = schedule(&plain, Some("up 73%"), std::slice::from_ref(&bounded), None);
    assert_eq!(lines[..2], all_of_20);
    assert_eq!(lines[2..], ["then up 73% # stale"]);
    // The larger limit counts when the least has ended.
    let lines = schedule(&plain, Some("up 73%"), &[endless, bounded], None);
    assert_eq!(lines[..2], all_of_20);
    assert_eq!(lines[2..], ["then up 50% # stale override=limit by=ann"]);
    // It ends while the reply is still fresh.
    let lines = schedule(
        &plain,
        Some("up 73%"),
        &[limit(Scope::All, 20, Some(103))],
        None,
    );
    assert!(
        lines[0].starts_with("103 up 20% # override=limit "),
        "{lines:?}"
    );
    assert_eq!(lines[1..], ["109 up 73%", "then up 73% # stale"]);
    // A limit that does not count changes nothing.
    let lines = schedule(
        &plain,
        Some("up 10%"),
        &[limit(Scope::All, 20, Some(103))],
        None,
    );
    assert_eq!(lines, ["109 up 10%", "then up 10% # stale"]);
}

#[test]
fn next_stage_is_not_in_the_schedule() {
    let plain = service(AdminStatePolicy::Preserve);
    let endless = set(&[(Action::Drain, Some(103)), (Action::Maint, None)], "");
    let lines = schedule(&plain, Some("up 73%"), &[(Scope::Service, endless)], None);
    assert!(
        lines[1].starts_with("then up 0% # override=drain"),
        "{lines:?}"
    );
    let bounded = set(
        &[(Action::Drain, Some(103)), (Action::Maint, Some(400))],
        "",
    );
    let lines = schedule(&plain, Some("up 73%"), &[(Scope::Service, bounded)], None);
    assert!(
        lines[0].starts_with("400 up 0% # override=drain"),
        "{lines:?}"
    );
    assert_eq!(lines[1], "then up 73% # stale");
}

#[test]
fn description_detail_none_gives_no_description() {
    let silent = Service {
        description_detail: crate::reply::state::DescriptionDetail::None,
        on_stale: ExpiryAction::Keep,
        ..service(AdminStatePolicy::Preserve)
    };
    let drain = (Scope::Service, set(&[(Action::Drain, None)], "secret"));
    assert_eq!(
        schedule(&silent, Some("up 73%"), &[drain], None),
        ["110 up 0%", "then up 0%"]
    );
}

#[test]
fn far_end_is_in_the_description() {
    let mut drain = set(&[(Action::Drain, Some(400))], "");
    for wall in [1 << 40, 1 << 62, u64::MAX] {
        drain.stages[0].end.as_mut().unwrap().wall = wall;
        let overrides = [(Scope::Service, drain.clone())];
        let lines = schedule(
            &service(AdminStatePolicy::Preserve),
            Some("up 73%"),
            &overrides,
            None,
        );
        assert!(
            lines[0].starts_with("110 up 0% # override=drain by=ann until=an invalid time"),
            "{lines:?}"
        );
    }
}
