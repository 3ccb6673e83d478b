//! What has to hold for every byte string there is: one property for each room that reads what others
//! write: applications, exporters, and operators. Used by the fuzz targets beside this file and, with the
//! corpus, by the normal tests.
// Each target uses one of them, and no other crate does.
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

/// One source of every kind and format that expressions distinguish, and a derived number.
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

static VOCABULARY: LazyLock<Environment> = LazyLock::new(|| {
    let (config, _) = config::parse(Path::new("sources.toml"), SOURCES)
        .unwrap_or_else(|report| unreachable!("{report}"));
    let mut environment = Environment::new(&config.sources);
    environment.add_derived("p95", None);
    environment.add_derived("twice", None);
    environment
});

/// What is evaluated over every JSON document that the fuzzer makes: each way into one.
static OVER_JSON: LazyLock<Vec<Expression>> = LazyLock::new(|| {
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
    .map(|text| Expression::compile(text, Type::Unknown, &VOCABULARY).expect("it compiles"))
    .collect()
});

/// The processor time that nothing here may take, which is the same on a busy machine: far from for ever.
const LONGEST: Duration = Duration::from_secs(20);

/// Expressions are compiled on a thread of its own, whose processor time is not seen here: ten times as long by
/// the clock on the wall is for them.
const LONGEST_WAIT: Duration = Duration::from_secs(200);

fn within_bounds<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (began, before) = (Instant::now(), thread_cpu_time());
    let done = work();
    let (waited, taken) = (began.elapsed(), thread_cpu_time().saturating_sub(before));
    assert!(taken < LONGEST, "{what} took {taken:?}");
    assert!(waited < LONGEST_WAIT, "{what} took {waited:?}");
    done
}

/// One line for people, of bounded length.
fn check_line(line: &str, longest: usize) {
    assert!(line.len() <= longest, "{} bytes: {line}", line.len());
    assert!(!line.chars().any(char::is_control), "{line:?}");
}

fn check_failure(failure: &Failure) {
    assert!(matches!(
        failure.reason,
        Reason::Malformed | Reason::TooLarge
    ));
    assert!(!failure.detail.is_empty());
    check_line(&failure.detail, Failure::MAX_DETAIL);
}

fn reading(body: &[u8], outcome: Result<Content, Failure>) -> Reading {
    let nothing = Failure::new(Reason::Other, "");
    let sent = BootTime(1_000_000_000);
    let mut reading = Reading::failed(sent, Duration::from_millis(20), nothing);
    reading.status = Some(200);
    reading.text = Some(String::from_utf8_lossy(body).into_owned());
    reading.outcome = outcome;
    reading
}

/// Evaluates in every way that the collector does.
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

/// Whatever an application sends where JSON is expected.
pub fn json(body: &[u8]) {
    within_bounds("a JSON document", || {
        let outcome = Format::Json.read(body);
        if let Err(failure) = &outcome {
            check_failure(failure);
        }
        let mut scope = Scope::new();
        scope.set("app", &reading(body, outcome));
        scope.at(BootTime(2_000_000_000));
        for expression in OVER_JSON.iter() {
            evaluate(expression, &scope);
        }
        // A number is the one other format that is parsed and not only looked through.
        match Format::Number.read(body) {
            Ok(Content::Number(number)) => assert!(number.is_finite()),
            Ok(other) => unreachable!("{other:?}"),
            Err(failure) => check_failure(&failure),
        }
    });
}

/// Whatever an exporter sends; what stands on the first line is a selector, too.
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

/// The first byte selects the size of the arriving pieces of output, and the format of the records.
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
                check_taken(&exposition, std::slice::from_ref(selector));
            }
        }
    });
}

/// Each line of a scrape that was read names series that its name finds.
fn check_series(exposition: &Exposition, text: &str) {
    let mut named = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')).take(50) {
        let end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
        let name = line.get(..end).unwrap_or_default();
        let Ok(selector) = Selector::parse(name) else {
            continue;
        };
        let taken = check_taken(exposition, &[selector]);
        assert!(taken <= exposition.len());
        named += 1;
    }
    assert!(named == 0 || !exposition.is_empty());
}

/// The two ways to the same series agree, and give numbers.
fn check_taken(exposition: &Exposition, selectors: &[Selector]) -> usize {
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

/// What the sources of [`SOURCES`] gave, with numbers, text, lists and maps in it.
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
    // Of the plugin it is known that it failed, of the memory nothing.
    let failure = Failure::new(Reason::Timeout, "slow");
    let failed = Reading::failed(BootTime(0), Duration::from_secs(1), failure);
    scope.set("plugin", &failed);
    scope.at(BootTime(3_500_000_000));
    scope.set_clock(Some(Zone::default().at(1_796_070_993.0)));
    scope
}

fn check_fault(text: &str, fault: &Fault) {
    assert!(text.get(fault.span.clone()).is_some(), "{fault:?}");
    assert!(!fault.message.is_empty());
}

/// Whatever an operator writes as an expression.
pub fn expression(text: &[u8]) {
    // Configurations are UTF-8 before they are anything.
    let text = String::from_utf8_lossy(text);
    within_bounds("an expression", || {
        match Expression::compile(&text, Type::Unknown, &VOCABULARY) {
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

/// Whatever an operator writes as a configuration.
pub fn configuration(text: &[u8]) {
    const FILE: &str = "/etc/agentcheck/agentcheck.toml";
    // What is not UTF-8 is refused before it is parsed.
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

/// `FILE:LINE:COLUMN: SEVERITY: MESSAGE`, the line, its carets, and perhaps a remedy.
fn check_finding(finding: &str, file: &str, most_lines: usize) {
    let block = finding.strip_suffix('\n').expect("it ends its last line");
    let lines: Vec<&str> = block.split('\n').collect();
    assert!(matches!(lines.len(), 3 | 4), "{finding}");
    let mut lines = lines.into_iter();
    let head = lines.next().and_then(|line| line.strip_prefix(file));
    let mut head = head.expect("it names the file").splitn(4, ':').skip(1);
    let line: usize = head
        .next()
        .and_then(|line| line.parse().ok())
        .expect("a line");
    assert!((1..=most_lines + 1).contains(&line), "{finding}");
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
        .expect("carets");
    assert!(
        carets.trim_start().bytes().all(|byte| byte == b'^'),
        "{finding}"
    );
    assert!(carets.ends_with('^'), "{finding}");
    for remedy in lines {
        assert!(remedy.starts_with(&format!("{margin} = ")), "{finding}");
    }
}
