//! The parsed values of correct configurations. The messages about mistakes are golden cases in collector/tests.

use super::*;
use crate::reply::state::{AdminStatePolicy, ServerState};
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
    assert_eq!(service.admin_state, AdminStatePolicy::Preserve);
    assert_eq!(service.inputs, [InputId(0)]);
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
    let OnFailure::Reply(ServerState::Raw(line)) = &service.on_failure else {
        panic!("{:?}", service.on_failure)
    };
    assert_eq!(line.to_string(), "up 50% # lost sight");
    assert_eq!(service.rules[0].state, ServerState::Maint);
    let ServerState::Raw(line) = &service.rules[1].state else {
        panic!("{:?}", service.rules[1])
    };
    assert_eq!(line.to_string(), "up ready 20%");
}

#[test]
fn rule_that_takes_the_server_out_on_load_is_warned_of() {
    let rule = |when: &str, reply: &str| {
        let text = format!(
            "{APP}[source.cpu.system]\nmetric = \"cpu\"\n[source.nginx.system]\nmetric = \"processes\"\n\
             name = \"nginx\"\n[source.disk.system]\nmetric = \"disk\"\npath = \"/\"\n\
             [derive.load]\nexpression = 'cpu.value'\newma = '5s'\n[derive.twice]\nexpression = 'load.value * 2'\n\
             [service.web]\nweight = 'nginx.value + disk.value + twice.value + app.json.x'\n\
             [[service.web.rule]]\nname = \"hot\"\nwhen = '{when}'\n{reply}\n"
        );
        good(&text).1.rendered.join("")
    };
    let load = "on the load of this machine";
    for reply in [
        "reply = 'drain'",
        "raw_reply = 'up 0%'",
        "raw_reply = 'down'",
    ] {
        for when in [
            "cpu.value > 95",
            "load.value > 95",
            "twice.value > 1 && cpu.value > 5",
        ] {
            assert!(rule(when, reply).contains(load), "{when} {reply}");
        }
        // A stopped program and a full disk are not load.
        for when in [
            "nginx.value == 0",
            "disk.value > 99",
            "!cpu.ok",
            "cpu.value > 95 && app.json.x > 1",
        ] {
            assert_eq!(rule(when, reply), "", "{when} {reply}");
        }
    }
    assert_eq!(rule("cpu.value > 95", "reply = 'floor'"), "");
}

#[test]
fn masked_rule_is_warned_of() {
    let rules = |rules: &[(&str, &str)]| {
        let rules: String = rules
            .iter()
            .map(|(name, when)| {
                format!(
                    "[[service.web.rule]]\nname = '{name}'\nwhen = \"{when}\"\nreply = 'down'\n"
                )
            })
            .collect();
        let text = format!("{APP}[service.web]\nweight = 'app.json.w'\n{rules}");
        good(&text)
            .1
            .headlines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join("")
    };
    let content = ("state", "app.json.state == 'x'");
    let masked = rules(&[content, ("slow", "app.latency > 0.9")]);
    assert!(
        masked.contains(
            "rule \"slow\" cannot decide while the source \"app\" has failed: rule \"state\" is unknown then"
        ),
        "{masked}"
    );
    assert!(rules(&[content, ("busy", "app.text.contains('x')")]).contains("cannot decide"));
    for later in [
        "!app.ok",
        "app.error == 'refused'",
        "app.status == 503",
        "app.age > 10",
        "app.json.y",
    ] {
        assert_eq!(rules(&[content, ("later", later)]), "", "{later}");
    }
    assert_eq!(rules(&[("slow", "app.latency > 0.9"), content]), "");
}

#[test]
fn weight_that_is_a_fraction_is_warned_of() {
    let weight = |weight: &str| {
        let text = format!(
            "{APP}[source.cpu.system]\nmetric = 'cpu'\n[derive.load]\nexpression = 'cpu.value'\newma = '5s'\n\
             [service.web]\nweight = \"{weight}\"\n[service.all]\nweight = 'app.json.x + load.value + cpu.value'\n"
        );
        good(&text).1.rendered.join("")
    };
    for fraction in [
        "1 - cpu.value / 100",
        "1 - load.value / 100",
        "cpu.idle / 100",
        "headroom(app.json.x, 5) / 100",
    ] {
        let warning = weight(fraction);
        assert!(
            warning.contains("so it cannot exceed 1%"),
            "{fraction}: {warning}"
        );
        assert!(
            warning.contains(&format!("write 100 * ({fraction})")),
            "{warning}"
        );
    }
    for percentage in [
        "100 - cpu.value",
        "1 - app.json.load",
        "1",
        "cpu.value > 50 ? 1 : 100",
    ] {
        assert_eq!(weight(percentage), "", "{percentage}");
    }
}

/// A configuration with as many rules in one service, or with as many services of one rule.
fn large(rules: usize, one_service: bool) -> String {
    let mut text = APP.to_owned();
    for at in 0..rules {
        if at == 0 || !one_service {
            text.push_str(&format!("[service.s{at}]\nweight = 'app.json.load{at}'\n"));
        }
        let service = if one_service { 0 } else { at };
        text.push_str(&format!(
            "[[service.s{service}.rule]]\nname = \"r{at}\"\nwhen = 'app.json.q{at} > {at}'\nreply = 'floor'\n"
        ));
    }
    text
}

/// The work of loading: bytes that are read again for places, and rules that are compared.
#[test]
fn loading_grows_in_a_straight_line() {
    for one_service in [true, false] {
        let work = |rules: usize| {
            let _ = work::taken();
            let (config, _) = good(&large(rules, one_service));
            let _ = crate::simulation::blind_spots::find(&config);
            work::taken()
        };
        let (small, large) = (work(100), work(1000));
        assert!(small >= 100, "{small}");
        assert!(
            large <= small * 11,
            "{large} for 1000 rules, {small} for 100"
        );
    }
    // With a mistake in each rule, too.
    let work = |rules: usize| {
        let _ = work::taken();
        let text = large(rules, true).replace("app.json.q", "ap.json.q");
        assert_eq!(parse(Path::new("t"), &text).unwrap_err().errors, rules);
        work::taken()
    };
    let (small, large) = (work(100), work(1000));
    assert!(
        large <= small * 11,
        "{large} for 1000 mistakes, {small} for 100"
    );
}

/// However many mistakes there are, a report has a limit.
#[test]
fn report_is_bounded() {
    let text = format!(
        "{APP}[service.s]\nweight = '5'\n{}",
        "x = '".to_owned() + &"y".repeat(5000) + "'\n"
    );
    let report = parse(Path::new("t"), &text).unwrap_err();
    assert!(report.to_string().len() < 1000, "{report}");
    let many: String = (0..5000).map(|at| format!("key{at} = 1\n")).collect();
    let report = parse(Path::new("t"), &format!("{many}{APP}")).unwrap_err();
    assert_eq!((report.errors, report.rendered.len()), (5000, 1001));
    assert_eq!(
        report.rendered.last().unwrap(),
        "4000 more findings are not shown\n"
    );
}

#[test]
fn no_text_makes_it_panic() {
    let mut text = format!(
        "{APP}[service.web]\nweight = \"headroom(app.json['x'], 7000)\"\n\
         [[service.web.rule]]\nname = \"m\"\nwhen = \"app.json.\\u00e4 == \\\"x\\\"\"\nraw_reply = \"up 5\"\n"
    );
    // Every prefix, and the text without quotes.
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        let _ = parse(Path::new("t"), &text[..at]);
    }
    text.retain(|c| c != '"');
    let _ = parse(Path::new("t"), &text);
}
