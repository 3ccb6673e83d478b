use super::*;

fn boot(digit: char) -> BootId {
    let id: String = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".replace('x', &digit.to_string());
    BootId::parse(id.as_bytes()).unwrap()
}

const HOUR: Duration = Duration::from_secs(3600);

fn at(boot: &BootId, seconds: u64, wall: u64) -> Now<'_> {
    Now {
        boot,
        at: BootTime(0).after(Duration::from_secs(seconds)),
        wall,
    }
}

fn one(now: &Now<'_>, stages: &[(Action, Option<Duration>)]) -> Override {
    let stages = stages.iter().map(|(action, span)| OverrideStage {
        action: *action,
        until: None,
        end: span.map(|span| now.after(span)),
    });
    Override {
        version: VERSION,
        id: "1".to_owned(),
        set: now.after(Duration::ZERO),
        stages: stages.collect(),
        reason: String::new(),
        by: "root".to_owned(),
    }
}

#[test]
fn stages_follow_one_another_and_end() {
    let boot = boot('a');
    let start = at(&boot, 100, 1_000_000);
    let staged = one(
        &start,
        &[(Action::Drain, Some(HOUR / 6)), (Action::Maint, Some(HOUR))],
    );
    let action = |seconds| {
        let now = at(&boot, seconds, 0);
        let standing = staged.active(Scope::Service, false, &now)?;
        Some(standing.action)
    };
    assert_eq!(action(100), Some(Action::Drain));
    assert_eq!(action(699), Some(Action::Drain));
    assert_eq!(action(700), Some(Action::Maint));
    assert_eq!(action(3699), Some(Action::Maint));
    assert_eq!(action(3700), None);
}

#[test]
fn a_condition_ends_the_first_stage_alone() {
    let boot = boot('a');
    let start = at(&boot, 100, 0);
    let mut staged = one(
        &start,
        &[(Action::Drain, Some(HOUR)), (Action::Maint, None)],
    );
    staged.stages[0].until = Some("app.sessions == 0".to_owned());
    let action = |reached, seconds| {
        let now = at(&boot, seconds, 0);
        staged
            .active(Scope::Service, reached, &now)
            .map(|standing| standing.action)
    };
    assert_eq!(action(false, 200), Some(Action::Drain));
    assert_eq!(action(true, 200), Some(Action::Maint));
    assert_eq!(action(false, 5000), Some(Action::Maint));
}

#[test]
fn after_a_reboot_the_wall_clock_counts() {
    let (before, after) = (boot('a'), boot('b'));
    let drain = one(&at(&before, 100, 1_000_000), &[(Action::Drain, Some(HOUR))]);
    let ends = |seconds, wall| {
        let now = at(&after, seconds, wall);
        let standing = drain.active(Scope::All, false, &now)?;
        Some(standing.ends.unwrap().since(now.at).as_secs())
    };
    assert_eq!(ends(5, 1_000_600), Some(3000));
    assert_eq!(ends(5, 1_003_600), None);
    // A clock that is certainly wrong: no longer than it was to last.
    assert_eq!(ends(5, 0), Some(3600));
    // On the same boot no clock step matters.
    let now = at(&before, 200, 0);
    assert!(drain.active(Scope::All, false, &now).is_some());
}

#[test]
fn the_widest_scope_decides_and_the_least_limit() {
    let boot = boot('a');
    let now = at(&boot, 100, 0);
    let effective = |given: &[(Scope, Action)]| {
        let overrides: Vec<(Scope, Override)> = given
            .iter()
            .map(|(scope, action)| (*scope, one(&now, &[(*action, Some(HOUR))])))
            .collect();
        let standing = overrides
            .iter()
            .filter_map(|(scope, one)| one.active(*scope, false, &now));
        let effective = Effective::of(standing);
        (
            effective.outage().map(|forced| forced.action),
            effective.limit_at(now.at).map(|(_, percent)| percent.get()),
        )
    };
    let limit = |percent| Action::Limit { percent };
    assert_eq!(effective(&[]), (None, None));
    let all = [
        (Scope::Flag, Action::Maint),
        (Scope::All, Action::ForceUp),
        (Scope::Service, Action::Drain),
    ];
    assert_eq!(effective(&all), (Some(Action::ForceUp), None));
    assert_eq!(effective(&all[..1]), (Some(Action::Maint), None));
    // A limit for all never lets a drained server in, and the least of two counts.
    let limits = [
        (Scope::All, limit(50)),
        (Scope::Service, Action::Drain),
        (Scope::Flag, limit(20)),
    ];
    assert_eq!(effective(&limits), (Some(Action::Drain), Some(20)));
}

#[test]
fn wrong_content_is_reported() {
    let boot = boot('a');
    let now = at(&boot, 100, 0);
    let fault = |stages: &[(Action, Option<Duration>)]| {
        let kind = stages
            .first()
            .map_or(Kind::Outage, |(action, _)| action.kind());
        one(&now, stages).fault(kind)
    };
    assert_eq!(fault(&[(Action::Drain, None)]), None);
    assert!(fault(&[]).is_some());
    assert!(fault(&[(Action::Drain, None); 5]).is_some());
    assert!(fault(&[(Action::ForceUp, None)]).is_some());
    assert_eq!(fault(&[(Action::ForceUp, Some(HOUR))]), None);
    assert!(fault(&[(Action::Limit { percent: 0 }, None)]).is_some());
    assert!(fault(&[(Action::Limit { percent: 101 }, None)]).is_some());
}

#[test]
fn file_has_the_documented_format() {
    let boot = boot('a');
    let mut limit = one(&at(&boot, 100, 7), &[(Action::Limit { percent: 50 }, None)]);
    limit.reason = "why".to_owned();
    let json = serde_json::to_string(&limit).unwrap();
    assert_eq!(
        json,
        format!(
            "{{\"version\":1,\"id\":\"1\",\"set\":{{\"boot\":\"{boot}\",\"at\":100000000000,\"wall\":7}},\
             \"stages\":[{{\"action\":{{\"percent\":50}}}}],\"reason\":\"why\"}}"
        )
    );
    let read: Override = serde_json::from_str(&json).unwrap();
    // Who set it is not believed from the file.
    assert_eq!(read.by, "");
    assert!(serde_json::from_str::<Override>(&json.replace("\"id\"", "\"by\"")).is_err());
    let drain = json.replace("{\"percent\":50}", "\"drain\"");
    let read: Override = serde_json::from_str(&drain).unwrap();
    assert_eq!(read.stages[0].action, Action::Drain);
}

#[test]
fn no_end_is_further_away_than_commands_set_it() {
    let (this, other) = (boot('a'), boot('b'));
    let mut drain = one(&at(&this, 100, 1_000_000), &[(Action::Drain, Some(HOUR))]);
    drain.stages[0].end = Some(Moment {
        boot: this.to_string(),
        at: u64::MAX,
        wall: u64::MAX,
    });
    for boot in [&this, &other] {
        let now = at(boot, 200, 1_000_100);
        let standing = drain.active(Scope::All, false, &now).unwrap();
        assert_eq!(standing.ends, Some(now.at.after(MAX_SPAN)));
    }
}
