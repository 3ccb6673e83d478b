mod bounds;
mod faults;

use super::*;
use crate::filters::debounce::DebouncePolicy;
use crate::reading::{Content, Failure, Reading, Reason};
use crate::source::{Format, Kind, Source, file, http, system};
use agentcheck_common::BootTime;
use std::time::Duration;

fn source(name: &str, kind: Kind) -> Source {
    Source {
        name: name.to_owned(),
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        jitter: Duration::ZERO,
        raw_text: false,
        debounce: DebouncePolicy::default(),
        kind,
    }
}

fn sources() -> Vec<Source> {
    let http = |format| {
        Kind::Http(Box::new(http::Http {
            format,
            ..http::Http::get("http://127.0.0.1/")
        }))
    };
    vec![
        source("app", http(Format::Json)),
        source("page", http(Format::Text)),
        source(
            "depth",
            Kind::File(file::File {
                format: Some(Format::Number),
                ..file::File::at("/x")
            }),
        ),
        source("exporter", http(Format::Prometheus)),
        source("cpu", Kind::System(system::Metric::Cpu { cgroup: None })),
    ]
}

const SCRAPE: &str =
    "queue_depth{queue=\"a\"} 3\nqueue_depth{queue=\"b\"} 5\nbusy_old 0.25\nnone NaN\n";

fn reading(content: Content, text: &str) -> Reading {
    Reading {
        sent: BootTime(1_000_000_000),
        latency: Duration::from_millis(20),
        status: Some(200),
        exit: None,
        text: Some(text.to_owned()),
        file: None,
        outcome: Ok(content),
    }
}

fn scope() -> Scope<'static> {
    let mut scope = Scope::new();
    let json = r#"{"msg-per-second": 1890, "state": "active", "workers": [3, 40.5, 8], "n": 10,
        "big": 18446744073709551615, "neg": -3, "nested": {"a": {"b": null}}, "zero": 0}"#;
    let document = serde_json::from_str(json).unwrap();
    scope.set("app", &reading(Content::Json(document), json));
    scope.set(
        "page",
        &reading(Content::Text, "Active connections: 12 \nok"),
    );
    scope.set("depth", &reading(Content::Number(7.0), "7"));
    scope.set("cpu", &reading(Content::Number(97.25), ""));
    let scrape = Format::Prometheus.read(SCRAPE.as_bytes()).unwrap();
    scope.set("exporter", &reading(scrape, SCRAPE));
    scope.at(BootTime(3_500_000_000));
    scope
}

fn compile(text: &str) -> Result<Expression, Vec<Fault>> {
    Expression::compile(text, Type::Unknown, &Environment::new(&sources()))
}

fn number(text: &str) -> Result<f64, String> {
    both(text, |expression| expression.number(&scope()))
}

fn truth(text: &str) -> Result<bool, String> {
    both(text, |expression| expression.truth(&scope()))
}

/// The value of an expression, which is the same by CEL alone.
fn both<T: PartialEq + fmt::Debug>(
    text: &str,
    value: impl Fn(&Expression) -> Result<T, Unknown>,
) -> Result<T, String> {
    let mut expression = compile(text).map_err(|faults| format!("{faults:?}"))?;
    let found = value(&expression);
    let tree = Box::new(expression.tree().into_owned());
    Arc::get_mut(&mut expression.0).unwrap().form = Form::Tree(tree);
    assert_eq!(found, value(&expression), "{text}");
    found.map_err(|unknown| unknown.0)
}

/// So that CEL evaluates none of these: it takes ten times as long.
#[test]
fn usual_expressions_are_plain() {
    let scope = scope();
    for text in [
        "headroom(app.json['msg-per-second'], 7000)",
        "min(headroom(cpu.value, 100), 100 - app.json.workers[1] / 2)",
        "app.json.state == 'active' ? depth.value * 2 : -app.json.neg % 2",
        "app.json.state != 'active' || cpu.value >= 95 && !(app.age > 5)",
        "app.ok && cpu.value < 95",
    ] {
        let expression = compile(text).unwrap();
        let plain = expression.plain().unwrap();
        assert!(plain.value(&scope).is_some(), "{text}");
    }
}

#[test]
fn numbers_mix_as_people_expect() {
    for (text, expected) in [
        ("headroom(app.json['msg-per-second'], 7000)", 73.0),
        ("100 - app.json['msg-per-second'] / 70", 73.0),
        ("100 - app.json['msg-per-second'] / 70.0", 73.0),
        ("1890 / 7000", 0.27),
        ("7 / 2", 3.5),
        ("7 % 4", 3.0),
        ("-app.json.neg + 1", 4.0),
        ("1u + 1", 2.0),
        ("app.json.workers[1]", 40.5),
        ("app.json.workers[size(app.json.workers) - 1]", 8.0),
        ("size(app.json.workers) / 2", 1.5),
        ("max(app.json.workers)", 40.5),
        ("min(app.json.workers)", 3.0),
        ("mean(3, 40.5, 8)", 51.5 / 3.0),
        ("max(app.json.workers.map(w, w * 2))", 81.0),
        ("min(100, headroom(cpu.value, 100), depth.value)", 2.75),
        ("clamp(cpu.value, 0, 50)", 50.0),
        ("app.json.n > 5 ? 1 : 0", 1.0),
        ("app.age", 2.5),
        ("app.latency * 1000", 20.0),
        ("app.status", 200.0),
        ("double(page.text.size())", 26.0),
        ("headroom(8000, 7000)", 0.0),
        ("headroom(-5, 7000)", 100.0),
        ("app.json.big / app.json.big", 1.0),
        ("{1: 5}[1]", 5.0),
        ("size([1, 2] + [3])", 3.0),
        ("sum(exporter.metrics('queue_depth'))", 8.0),
        ("max(exporter.metrics('queue_depth{queue=~\"a|c\"}'))", 3.0),
        ("exporter.metrics('queue_depth').size()", 2.0),
        ("exporter.metrics('gone').size()", 0.0),
        (
            "headroom(mean(exporter.metrics('busy_new', 'busy_old')), 1)",
            75.0,
        ),
        ("sum(1, 2.5)", 3.5),
        ("linear(depth.value, 5, 100, 9, 20)", 60.0),
        ("linear(1, 5, 100, 9, 20)", 100.0),
        ("linear(10, 5, 100, 9, 20)", 20.0),
        ("curve(cpu.value, [[0, 100], [97, 50], [98, 10]])", 40.0),
        ("curve(-1, [[0, 100], [50, 50]])", 100.0),
        ("curve(99, [[0, 100], [50, 50]])", 50.0),
        ("curve(3, [[0, 7]])", 7.0),
        ("weighted_mean([[80, 1], [20, 3], [1000, 0]])", 35.0),
        ("default(app.json.nope, 5)", 5.0),
        ("default(app.json.n, 5)", 10.0),
        ("default(app.json.nope.deeper['x'][3], 5)", 5.0),
        ("default(app.json.workers[1], 5)", 40.5),
        ("default(app.json.workers[9], 5)", 5.0),
        ("default(app.json['msg-per-second'], 5)", 1890.0),
        (
            "double(page.text.capture('connections: (?P<n>[0-9]+)').n)",
            12.0,
        ),
    ] {
        let seen = number(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!((seen - expected).abs() < 1e-9, "{text}: {seen}");
    }
}

#[test]
fn rule_states() {
    for (text, expected) in [
        ("app.json.state == 'active'", true),
        ("app.json.state != 'active'", false),
        ("app.json['msg-per-second'] == 1890", true),
        ("cpu.value > 95.0 && depth.value < 10", true),
        ("cpu.value > 97 && !(depth.value >= 8)", true),
        ("page.text.matches('(?i)active connections: [0-9]+')", true),
        ("page.text.matches('^[0-9]+$')", false),
        ("matches(page.text, 'ok$')", true),
        (
            "page.text.contains('ok') && page.text.startsWith('Active')",
            true,
        ),
        ("app.json.workers.exists(w, w > 40)", true),
        ("app.json.workers.all(w, w > 4)", false),
        ("app.json.workers.exists_one(w, w > 40)", true),
        ("app.json.workers.filter(w, w > 4).size() == 2", true),
        ("8 in app.json.workers", true),
        ("'state' in app.json", true),
        ("has(app.json.state) && !has(app.json.nope)", true),
        ("app.json.nested.a.b == null", true),
        ("app.ok && app.error == ''", true),
        // An error on one side does not matter where the other side decides.
        ("true || app.json.nope > 3", true),
        ("app.json.nope > 3 || true", true),
        ("app.json.nope > 3 && false", false),
    ] {
        assert_eq!(truth(text), Ok(expected), "{text}");
    }
}

/// A comparison of different types is unknown; a comparison with null asks whether there is a value.
#[test]
fn values_of_different_types_are_not_compared() {
    let mut scope = Scope::new();
    let document = r#"{"text": "0", "none": null, "no": false, "zero": 0, "list": [1]}"#;
    let content = Content::Json(serde_json::from_str(document).unwrap());
    scope.set("app", &reading(content, ""));
    let truth = |text: &str| {
        let expression = compile(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        expression.truth(&scope).map_err(|unknown| unknown.0)
    };
    for (text, reason) in [
        ("app.json.text != 0", "cannot compare text with a number"),
        ("app.json.text == 0", "cannot compare text with a number"),
        ("app.json.none != 0", "cannot compare null with a number"),
        (
            "app.json.no != 0",
            "cannot compare true or false with a number",
        ),
        (
            "0 == app.json.no",
            "cannot compare a number with true or false",
        ),
        (
            "app.json.list == app.json.zero",
            "cannot compare a list with a number",
        ),
        (
            "[1].exists(x, app.json.text == x)",
            "cannot compare text with a number",
        ),
    ] {
        assert_eq!(truth(text), Err(reason.to_owned()), "{text}");
    }
    for (text, expected) in [
        ("app.json.zero != 0", false),
        ("app.json.none == null", true),
        ("app.json.text == null", false),
        ("app.json.list == [1]", true),
        ("default(app.json.none, 7) == 7", true),
        ("default(app.json.zero, 7) == 0", true),
        ("default(app.json.none.deeper, 7) == 7", true),
    ] {
        assert_eq!(truth(text), Ok(expected), "{text}");
    }
}

#[test]
fn arithmetic_keeps_short_decimals_exact() {
    for text in [
        "(1 - 0.8) * 1000 == 200",
        "headroom(0.8, 1) == 20",
        "!(headroom(0.8, 1) < 20)",
        "0.1 + 0.2 == 0.3",
        "floor((1 - 0.8) * 1000) == 200",
        "100 - floor(29 * 100 / 100) == 71",
    ] {
        assert_eq!(truth(text), Ok(true), "{text}");
    }
}

#[test]
fn functions_on_numbers_and_text() {
    for text in [
        "floor(2.7) == 2 && ceil(2.1) == 3 && round(2.5) == 3 && abs(-2) == 2 && pow(2, 10) == 1024",
        "floor(-2.1) == -3 && ceil(-2.9) == -2",
        "int('42') == 42 && int(' -7 ') == -7 && int('0x1bC') == 444 && int(2.9) == 2",
        "string(5) == '5' && string(0.25) == '0.25' && string(true) == 'true'",
        "' a b '.trim() == 'a b' && trim(' a') == 'a'",
        "'Ab'.lower() == 'ab' && 'Ab'.upper() == 'AB' && lower('ÄB') == 'äb'",
        "'a,b,,c'.split(',') == ['a', 'b', '', 'c'] && split('ab', '') == ['a', 'b']",
        "['a', 1, true].join(', ') == 'a, 1, true' && join([], ',') == ''",
        "'a-b-c'.replace('-', '+') == 'a+b+c'",
        "page.text.split(' ')[2].replace(':', '') == '12'",
        "app.json.workers.filter(w, w > 4).map(w, string(w)).join(' ') == '40.5 8'",
    ] {
        assert_eq!(truth(text), Ok(true), "{text}");
    }
    for (text, reason) in [
        ("int('4.2')", "int: the text is not an integer"),
        ("int('0x')", "int: the text is not an integer"),
        ("int('--4')", "int: the text is not an integer"),
        ("pow(-8, 0.5)", "pow: not a finite number"),
        (
            "size('aa'.replace('', 'b'))",
            "replace: the text to replace is empty",
        ),
    ] {
        assert_eq!(number(text), Err(reason.to_owned()), "{text}");
    }
}

#[test]
fn range_follows_from_the_fields() {
    let environment = Environment::new(&sources());
    let range = |text: &str| compile(text).unwrap().range(&environment);
    assert_eq!(range("1 - cpu.value / 100"), Some((0.0, 1.0)));
    assert_eq!(range("headroom(app.json.x, 9) / 100"), Some((0.0, 1.0)));
    assert_eq!(range("min(1, cpu.value)"), Some((0.0, 1.0)));
    assert_eq!(range("max([0.2, 1 - cpu.value / 100])"), Some((0.2, 1.0)));
    assert_eq!(range("app.ok ? 0.5 : -cpu.value"), Some((-100.0, 0.5)));
    assert_eq!(range("clamp(app.json.x, 0, 1)"), None);
    assert_eq!(range("clamp(cpu.value, 0, 1)"), Some((0.0, 1.0)));
    assert_eq!(range("cpu.value / cpu.value"), None);
    assert_eq!(range("1 - app.json.load"), None);
}

#[test]
fn no_value_has_a_reason() {
    for (text, reason) in [
        ("app.json.nope", "no key 'nope'"),
        ("app.json.nope > 3", "no key 'nope'"),
        ("app.json.nope > 3 && true", "no key 'nope'"),
        ("app.json.state > 3", "> does not accept text and a number"),
        ("app.json.state + 3", "+ does not accept text and a number"),
        ("app.json.n / app.json.zero", "/: division by zero"),
        ("app.json.n % 0", "%: division by zero"),
        (
            "headroom(app.json.n, app.json.zero)",
            "headroom: the limit is not above 0",
        ),
        (
            "headroom(app.json.state, 5)",
            "headroom: expected a number, found text",
        ),
        ("sum(exporter.metrics('gone'))", "sum: empty list"),
        ("max(exporter.metrics('none'))", "max: empty list"),
        ("max([])", "max: empty list"),
        ("linear(1, 2, 0, 2, 5)", "linear: x2 is not above x1"),
        (
            "curve(5, [[3, 1], [2, 2]])",
            "curve: the points are not in rising order",
        ),
        ("curve(5, [3])", "curve: expected a list of pairs"),
        ("curve(5, [])", "curve: empty list"),
        (
            "weighted_mean([[5, 0]])",
            "weighted_mean: no importance is above 0",
        ),
        (
            "weighted_mean([[5, -1]])",
            "weighted_mean: an importance is below 0",
        ),
        (
            "double(page.text.capture('x(?P<n>[0-9]+)').n)",
            "capture: the pattern does not match",
        ),
        ("app.json.workers[7]", "the list has no such element"),
        ("app.json.state", "expected a number, found text"),
        ("1e308 * 10", "not a finite number"),
        ("max(1e308 * 10, 1)", "max: not a finite number"),
        ("app.exit", "{"),
    ] {
        let error = number(text).unwrap_err();
        let error = if error.starts_with("[Fault") {
            "{".to_owned()
        } else {
            error
        };
        assert_eq!(error, reason, "{text}");
    }
    assert_eq!(
        truth("app.json.n"),
        Err("expected true or false, found a number".to_owned())
    );
}

#[test]
fn failed_source_keeps_only_its_known_fields() {
    let mut scope = scope();
    let mut failed = Reading::failed(
        BootTime(3_000_000_000),
        Duration::from_secs(1),
        Failure::new(Reason::Timeout, "slow"),
    );
    scope.set("app", &failed);
    scope.at(BootTime(4_000_000_000));
    let truth = |text: &str, scope: &Scope| compile(text).unwrap().truth(scope);
    assert_eq!(truth("!app.ok && app.error == 'timeout'", &scope), Ok(true));
    // The age is that of the last good reading.
    assert_eq!(truth("app.age == 3", &scope), Ok(true));
    assert_eq!(
        truth("app.json.n > 1", &scope),
        Err(Unknown("app.json is unavailable".to_owned()))
    );
    failed.status = Some(503);
    failed.text = Some("busy".to_owned());
    scope.set("app", &failed);
    assert_eq!(
        truth("app.status == 503 && app.text == 'busy'", &scope),
        Ok(true)
    );

    let overdue = scope.with_overdue(&["cpu"]);
    assert_eq!(
        truth(
            "!cpu.ok && cpu.error == 'overdue' && cpu.age == 3",
            &overdue
        ),
        Ok(true)
    );
    assert_eq!(truth("cpu.ok", &scope), Ok(true));
}

#[test]
fn uses_distinguish_content_from_polling() {
    let uses = |text: &str| {
        let uses = compile(text).unwrap().uses().clone();
        uses.iter()
            .map(|(name, used)| (name.clone(), used.content))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        uses("app.ok && cpu.value > 3"),
        [("app".into(), false), ("cpu".into(), true)]
    );
    assert_eq!(uses("app.ok || app.json.x > 3"), [("app".into(), true)]);
    assert_eq!(uses("app.age > 3"), [("app".into(), false)]);
    assert_eq!(uses("true"), []);
    // A loop's variable hides a source of the same name.
    assert_eq!(uses("[1].all(cpu, cpu > 0)"), []);
}

#[test]
fn numbers_used_have_labels() {
    let scope = scope();
    let printed = |text: &str| {
        let expression = compile(text).unwrap();
        let printed: Vec<String> = expression
            .numbers_used(&scope)
            .map(|(label, number)| format!("{label}={number}"))
            .collect();
        printed.join(" ")
    };
    assert_eq!(
        printed("headroom(app.json['msg-per-second'], 7000)"),
        "app.msg-per-second=1890"
    );
    assert_eq!(
        printed("cpu.value > 95.0 && cpu.value < 99 && app.json.workers[0] > 1"),
        "cpu=97.25 app.workers[0]=3"
    );
    assert_eq!(
        printed("app.json.state == 'x' || app.age > 1"),
        "app.age=2.5"
    );
    assert_eq!(printed("max(app.json.workers)"), "");
}
