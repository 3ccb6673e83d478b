//! One property for each parser of bytes from applications, exporters and operators; it must be true for all bytes. The
//! fuzz targets use them, and the normal tests with the corpus.
// Each fuzz target uses one property, and no other crate does.
#![allow(dead_code, unreachable_pub, clippy::expect_used)]

use agentcheck::config;
use agentcheck::expression::{Environment, Expression, Fault, Scope, Type, Unknown, Zone};
use agentcheck::reading::prometheus::{Exposition, MOST_SERIES, Selector, bucket_bound};
use agentcheck::reading::{Content, Failure, Reading, Reason};
use agentcheck::source::Format;
use agentcheck::source::format::MAX_VALUES;
use agentcheck::source::stream::Records;
use agentcheck::sys::clock::thread_cpu_time;
use agentcheck_common::BootTime;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A source of each kind and format that matters to expressions, and two derived numbers.
const SOURCES: &str = r#"
[source.app.http]
url = "http://127.0.0.1/"
format = "json"
[source.page.http]
url = "http://127.0.0.1/"
format = "text"
[source.exporter.http]
url = "http://127.0.0.1/"
format = "prometheus"
[source.depth.file]
path = "/x"
format = "number"
[source.plugin.command]
argv = ["/x"]
[source.cpu.system]
metric = "cpu"
[source.memory.system]
metric = "memory"
[source.network.system]
metric = "network"
[source.stats.tcp]
address = "127.0.0.1:11211"
send = "stats\\n"
format = "csv"
[source.gpu.stream]
argv = ["/x"]
poll = "newline"
[derive.p95]
expression = "cpu.value"
percentile = 95
over = "1m"
[derive.twice]
expression = "p95.value * 2"
[service.web]
"#;

/// The names that expressions may use.
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| {
    let (config, _) = config::parse(Path::new("sources.toml"), SOURCES)
        .unwrap_or_else(|report| unreachable!("{report}"));
    let mut environment = Environment::new(&config.sources);
    environment.add_derived("p95", None);
    environment.add_derived("twice", None);
    environment
});

/// The expressions that [`json`] evaluates over each document. They use every kind of access to it.
static JSON_EXPRESSIONS: LazyLock<Vec<Expression>> = LazyLock::new(|| {
    [
        "headroom(app.json['msg-per-second'], 7000)",
        "app.json.a + app.json.b * 2 / app.json.c % 7",
        "default(app.json.a.b[0], 5)",
        "max(app.json.workers.map(w, w.load))",
        "mean(app.json)",
        "app.json.all(a, app.json.exists(b, a == b))",
        "app.json.filter(k, k in app.json).size()",
        "app.json == app.json && app.json != null",
        "size(app.json) > 0 ? double(app.text) : app.age",
        "app.text.capture('(?P<n>[0-9]+)').n",
        "app.json[0] < app.json[1]",
        "curve(50, app.json)",
        "weighted_mean(app.json.pairs)",
        "app.json.join(', ').split(',').map(part, int(part.trim()))",
        "app.json.a.lower().upper().replace(app.json.b, app.text)",
        "floor(app.json.a) + ceil(app.json.b) + round(app.json.c) + abs(app.json.d)",
        "pow(app.json.a, app.json.b) + int(app.json.result) + double(string(app.json.c))",
        "app.json",
    ]
    .iter()
    .map(|text| Expression::compile(text, Type::Unknown, &ENVIRONMENT).expect("it compiles"))
    .collect()
});

/// The largest processor time of one input. A busy machine does not change it.
const MAX_PROCESSOR_TIME: Duration = Duration::from_secs(20);

/// The largest duration of one input. A separate thread compiles expressions, and [`MAX_PROCESSOR_TIME`] does not count its
/// processor time.
const MAX_DURATION: Duration = Duration::from_secs(200);

/// Runs `work` and checks the time that it takes. `input` names the input in a failure.
fn within_bounds<T>(input: &str, work: impl FnOnce() -> T) -> T {
    let (began, before) = (Instant::now(), thread_cpu_time());
    let result = work();
    let duration = began.elapsed();
    let processor_time = thread_cpu_time().saturating_sub(before);
    assert!(
        processor_time < MAX_PROCESSOR_TIME,
        "{input} took {processor_time:?}"
    );
    assert!(duration < MAX_DURATION, "{input} took {duration:?}");
    result
}

/// Checks for one line of at most `max` bytes without control characters.
fn check_line(line: &str, max: usize) {
    assert!(line.len() <= max, "{} bytes: {line}", line.len());
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

/// Checks the reason and the detail of a failed parse.
fn check_failure(failure: &Failure) {
    assert!(matches!(
        failure.reason,
        Reason::Malformed | Reason::TooLarge
    ));
    assert!(!failure.detail.is_empty());
    check_line(&failure.detail, Failure::MAX_DETAIL);
}

/// The reading of an HTTP response with this body, which was parsed with this outcome.
fn reading(body: &[u8], outcome: Result<Content, Failure>) -> Reading {
    let placeholder = Failure::new(Reason::Other, "");
    let sent = BootTime(1_000_000_000);
    let mut reading = Reading::failed(sent, Duration::from_millis(20), placeholder);
    reading.status = Some(200);
    reading.text = Some(String::from_utf8_lossy(body).into_owned());
    reading.outcome = outcome;
    reading
}

/// Evaluates an expression in every way that the collector does.
fn evaluate(expression: &Expression, scope: &Scope<'_>) {
    let unknown = |unknown: Unknown| {
        assert!(!unknown.0.is_empty());
        check_line(&unknown.0, 1000);
    };
    match expression.number(scope) {
        Ok(number) => assert!(number.is_finite(), "{number}"),
        Err(why) => unknown(why),
    }
    if let Err(why) = expression.truth(scope) {
        unknown(why);
    }
    for (label, number) in expression.numbers_used(scope) {
        assert!(number.is_finite(), "{label}: {number}");
    }
}

/// Any bytes from an application whose format is JSON.
pub fn json(body: &[u8]) {
    within_bounds("a JSON document", || {
        let outcome = Format::Json.read(body);
        if let Err(failure) = &outcome {
            check_failure(failure);
        }
        let mut scope = Scope::new();
        scope.set("app", &reading(body, outcome));
        scope.at(BootTime(2_000_000_000));
        for expression in JSON_EXPRESSIONS.iter() {
            evaluate(expression, &scope);
        }
        // A number is the only other format that needs a parser for its whole document.
        match Format::Number.read(body) {
            Ok(Content::Number(number)) => assert!(number.is_finite()),
            Ok(other) => unreachable!("{other:?}"),
            Err(failure) => check_failure(&failure),
        }
    });
}

/// Any bytes from an application whose format is CSV.
pub fn csv(body: &[u8]) {
    within_bounds("a table", || match Format::Csv.read(body) {
        Ok(Content::Rows(rows)) => {
            let rows = rows.as_array().expect("a list of rows");
            let cells: usize = rows
                .iter()
                .map(|row| row.as_object().expect("a map").len())
                .sum();
            assert!(rows.len() + cells <= MAX_VALUES);
        }
        Ok(other) => unreachable!("{other:?}"),
        Err(failure) => check_failure(&failure),
    });
}

/// Any output of a stream. The first byte selects the format of the records and the size of the pieces.
pub fn stream(bytes: &[u8]) {
    const MAX_BYTES: usize = 200;
    within_bounds("the output of a stream", || {
        let (first, output) = bytes.split_first().unwrap_or((&0, &[]));
        let format = if first % 2 == 0 {
            Format::Text
        } else {
            Format::Prometheus
        };
        let mut records = Records::new(format, MAX_BYTES);
        for piece in output.chunks(usize::from(*first) + 1) {
            match records.add(piece) {
                Ok(Some(record)) => {
                    assert!(record.len() <= MAX_BYTES + 1 && record.ends_with(b"\n"));
                    let lines = record.split(|byte| *byte == b'\n').count() - 1;
                    assert!(lines == 1 || format == Format::Prometheus);
                }
                Ok(None) => {}
                Err(failure) => return check_failure(&failure),
            }
        }
    });
}

/// Any bytes from an exporter. The first line is also a selector.
pub fn prometheus(body: &[u8]) {
    within_bounds("a scrape", || {
        let outcome = Format::Prometheus.read(body);
        if let Err(failure) = &outcome {
            check_failure(failure);
        }
        let text = String::from_utf8_lossy(body).into_owned();
        let first = text.lines().next().unwrap_or_default().to_owned();
        let selector = Selector::parse(&first);
        if let Err(wrong) = &selector {
            assert!(!wrong.is_empty() && !wrong.contains('\n'), "{wrong:?}");
        }
        let below = text.get(first.len()..).unwrap_or_default().to_owned();
        for text in [text, below] {
            let lines = text.split('\n').count();
            let exposition = match Exposition::parse(text.clone()) {
                Ok(exposition) => exposition,
                Err(wrong) => {
                    assert!((1..=lines).contains(&wrong.line), "{wrong}");
                    continue;
                }
            };
            assert!(exposition.len() <= MOST_SERIES.min(lines));
            check_series(&exposition, &text);
            if let Ok(selector) = &selector {
                check_selected(&exposition, std::slice::from_ref(selector));
            }
        }
    });
}

/// Checks the series that the name on each line selects. `text` is the scrape.
fn check_series(exposition: &Exposition, text: &str) {
    let mut named = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')).take(50) {
        let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
        let name = line.get(..end).unwrap_or_default();
        let Ok(selector) = Selector::parse(name) else {
            continue;
        };
        let selected = check_selected(exposition, &[selector]);
        assert!(selected <= exposition.len());
        named += 1;
    }
    assert!(named == 0 || !exposition.is_empty());
}

/// Checks that both ways to select series give the same numbers. Returns how many.
fn check_selected(exposition: &Exposition, selectors: &[Selector]) -> usize {
    let values = exposition.values(selectors);
    let labelled = exposition.labelled(selectors);
    assert!(values.iter().all(|value| value.is_finite()));
    assert_eq!(
        values,
        labelled.iter().map(|(_, value)| *value).collect::<Vec<_>>()
    );
    for (labels, _) in labelled {
        let _ = bucket_bound(labels);
    }
    values.len()
}

/// A scope with readings of [`SOURCES`]: numbers, text, lists and maps.
fn scope() -> Scope<'static> {
    const JSON: &str = r#"{"msg-per-second": 1890, "state": "active", "workers": [3, 40.5, 8],
        "n": 10, "big": 18446744073709551615, "huge": 1e308, "neg": -3, "tiny": 5e-324, "zero": 0,
        "nested": {"a": {"b": null}}, "list": [[0, 1], [2, 3]], "mixed": [1, "a", null, {}],
        "up": true}"#;
    const SCRAPE: &str = "depth{queue=\"a\"} 3\ndepth{queue=\"b\"} 5\nbusy 0.25\nnone NaN\n";
    let mut scope = Scope::new();
    let mut set = |name, body: &str, format: Format| {
        let outcome = format.read(body.as_bytes());
        assert!(outcome.is_ok());
        scope.set(name, &reading(body.as_bytes(), outcome));
    };
    set("app", JSON, Format::Json);
    set("page", "Active connections: 12 \nok", Format::Text);
    set("exporter", SCRAPE, Format::Prometheus);
    set("depth", "7", Format::Number);
    set("stats", "# name,used [%]\nweb1,35\nweb2,\n", Format::Csv);
    set("gpu", " 35, 9000 ", Format::Text);
    set("network", "12.5", Format::Number);
    set("cpu", "97.25", Format::Number);
    // The source `plugin` has failed. The source `memory` has no reading.
    let failure = Failure::new(Reason::Timeout, "slow");
    let failed = Reading::failed(BootTime(0), Duration::from_secs(1), failure);
    scope.set("plugin", &failed);
    scope.at(BootTime(3_500_000_000));
    scope.set_clock(Some(Zone::default().at(1_796_070_993.0)));
    scope
}

/// Checks that a fault has a message and a place in the text.
fn check_fault(text: &str, fault: &Fault) {
    assert!(text.get(fault.span.clone()).is_some(), "{fault:?}");
    assert!(!fault.message.is_empty());
}

/// Any expression.
pub fn expression(text: &[u8]) {
    // The collector refuses a configuration that is not UTF-8 before it parses expressions.
    let text = String::from_utf8_lossy(text);
    within_bounds("an expression", || {
        match Expression::compile(&text, Type::Unknown, &ENVIRONMENT) {
            Ok(expression) => {
                let scope = scope();
                evaluate(&expression, &scope);
                evaluate(&expression, &scope.with_overdue(&["app", "cpu"]));
                evaluate(&expression, &Scope::new());
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                for fault in &faults {
                    check_fault(&text, fault);
                }
            }
        }
    });
}

/// Any configuration.
pub fn configuration(text: &[u8]) {
    const FILE: &str = "/etc/agentcheck/agentcheck.toml";
    // The collector refuses a file that is not UTF-8 before it parses it.
    let text = String::from_utf8_lossy(text);
    within_bounds("a configuration", || {
        let parsed = config::parse(Path::new(FILE), &text);
        let report = match &parsed {
            Ok((_, report)) => {
                assert_eq!(report.errors, 0);
                report
            }
            Err(report) => {
                assert!(report.errors > 0);
                report
            }
        };
        assert!(report.errors <= report.rendered.len());
        for finding in &report.rendered {
            check_finding(finding, FILE, text.lines().count().max(1));
        }
    });
}

/// Checks the form of a finding: `FILE:LINE:COLUMN: SEVERITY: MESSAGE`, the line, its carets, and possibly a remedy. The
/// file has `line_count` lines.
fn check_finding(finding: &str, file: &str, line_count: usize) {
    let block = finding.strip_suffix('\n').expect("it ends with a newline");
    let lines: Vec<&str> = block.split('\n').collect();
    assert!(matches!(lines.len(), 3 | 4), "{finding}");
    let mut lines = lines.into_iter();
    let head = lines.next().and_then(|line| line.strip_prefix(file));
    let mut head = head
        .expect("it begins with the file")
        .splitn(4, ':')
        .skip(1);
    let line: usize = head
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a line");
    assert!((1..=line_count + 1).contains(&line), "{finding}");
    let column: Option<usize> = head.next().and_then(|column| column.parse().ok());
    assert!(column.is_some_and(|column| column > 0), "{finding}");
    let rest = head.next().expect("a message");
    let message = rest
        .strip_prefix(" error: ")
        .or_else(|| rest.strip_prefix(" warning: "));
    assert!(
        message.is_some_and(|message| !message.is_empty()),
        "{finding}"
    );
    let margin = " ".repeat(line.to_string().len());
    let excerpt = lines.next().expect("the line");
    assert!(excerpt.starts_with(&format!("{line} | ")), "{finding}");
    let carets = lines.next().and_then(|line| line.strip_prefix(&margin));
    let carets = carets
        .and_then(|line| line.strip_prefix(" | "))
        .expect("the carets");
    assert!(
        carets.trim_start().bytes().all(|byte| byte == b'^'),
        "{finding}"
    );
    assert!(carets.ends_with('^'), "{finding}");
    for remedy in lines {
        assert!(remedy.starts_with(&format!("{margin} = ")), "{finding}");
    }
}
