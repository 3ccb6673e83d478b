//! What the shipped configuration means, and that bad ones are refused; the exact texts of refusals are
//! golden cases in the top-level tests.

use super::*;
use crate::reply::state::{AdminState, ServerState};
use crate::source::Kind;

fn good(text: &str) -> (Config, Report) {
    parse(Path::new("test.toml"), text).unwrap_or_else(|report| panic!("{report}"))
}

const APP: &str = "[source.app.http]\nurl = \"http://127.0.0.1:1/\"\nformat = \"json\"\n";

#[test]
fn defaults() {
    let (config, report) = good(&format!(
        "{APP}[service.web]\nweight = \"headroom(app.json['msg-per-second'], 7000)\"\n"
    ));
    assert_eq!(report.rendered, Vec::<String>::new());
    let source = &config.sources[0];
    assert_eq!(source.interval, Duration::from_secs(2));
    assert_eq!(source.timeout, Duration::from_secs(1));
    let Kind::Http(http) = &source.kind else {
        panic!("{source:?}")
    };
    assert_eq!((http.redirects, http.max_bytes), (0, 1 << 20));
    let service = &config.services[0];
    assert_eq!(service.name.as_str(), "web");
    assert_eq!(service.shaping.floor.get(), 1);
    assert_eq!(service.fresh_for, Duration::from_secs(10));
    assert_eq!(service.on_stale, ExpiryAction::Keep);
    assert_eq!(service.on_failure, OnFailure::Keep);
    assert_eq!(service.admin_state, AdminState::Preserve);
    assert_eq!(service.sources, [0]);
}

#[test]
fn freshness_covers_three_rounds_of_the_slowest_source() {
    let text = "[source.a.file]\npath = \"/a\"\ninterval = \"30s\"\ntimeout = \"5s\"\n\
        [source.b.file]\npath = \"/b\"\n\
        [service.x]\nweight = 'a.ok && b.ok ? 100 : 50'\n\
        [service.y]\nweight = 'b.ok ? 100 : 50'\n";
    let (config, _) = good(text);
    let fresh: Vec<_> = config
        .services
        .iter()
        .map(|service| {
            (
                service.name.as_str().to_owned(),
                service.fresh_for.as_secs(),
            )
        })
        .collect();
    assert_eq!(fresh, [("x".to_owned(), 105), ("y".to_owned(), 10)]);
}

#[test]
fn states_and_lines() {
    let text = format!(
        "{APP}[service.web]\non_stale = \"restore\"\nrestore_after = \"10s\"\nrestore_over = \"1m\"\n\
         on_failure = \"up 50% # lost sight\"\nadmin_state = \"manage\"\nfloor = 5\n\
         [[service.web.rule]]\nname = \"m\"\nwhen = 'app.json.m'\nreply = \"maint\"\n\
         [[service.web.rule]]\nname = \"n\"\nwhen = 'app.json.n'\nraw_reply = \"up,READY 20%\"\n"
    );
    let (config, _) = good(&text);
    let service = &config.services[0];
    assert_eq!(service.on_stale, ExpiryAction::Restore);
    let release = Restore {
        after: Duration::from_secs(10),
        over: Duration::from_secs(60),
    };
    assert_eq!(service.restore, release);
    let OnFailure::Reply(ServerState::Raw(line)) = service.on_failure else {
        panic!("{:?}", service.on_failure)
    };
    assert_eq!(line.to_string(), "up 50% # lost sight");
    assert_eq!(service.rules[0].state, ServerState::Maint);
    let ServerState::Raw(line) = service.rules[1].state else {
        panic!("{:?}", service.rules[1])
    };
    assert_eq!(line.to_string(), "up ready 20%");
}

#[test]
fn a_hard_rule_on_load_alone_is_warned_of() {
    let rule = |when: &str, reply: &str| {
        let text = format!(
            "{APP}[source.cpu.system]\nmetric = \"cpu\"\n[service.web]\nweight = 'cpu.value + app.json.x'\n\
             [[service.web.rule]]\nname = \"hot\"\nwhen = '{when}'\n{reply}\n"
        );
        good(&text).1.rendered.join("")
    };
    assert!(rule("cpu.value > 95", "reply = 'drain'").contains("load alone"));
    assert!(rule("cpu.value > 95", "raw_reply = 'up 0%'").contains("load alone"));
    assert_eq!(rule("cpu.value > 95", "reply = 'floor'"), "");
    assert_eq!(rule("!cpu.ok", "reply = 'drain'"), "");
    assert_eq!(
        rule("cpu.value > 95 && app.json.x > 1", "reply = 'drain'"),
        ""
    );
}

#[test]
fn no_text_makes_it_panic() {
    let mut text = format!(
        "{APP}[service.web]\nweight = \"headroom(app.json['x'], 7000)\"\n\
         [[service.web.rule]]\nname = \"m\"\nwhen = \"app.json.\\u00e4 == \\\"x\\\"\"\nraw_reply = \"up 5\"\n"
    );
    // Every prefix, and every text with one character gone.
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        let _ = parse(Path::new("t"), &text[..at]);
    }
    text.retain(|c| c != '"');
    let _ = parse(Path::new("t"), &text);
}
