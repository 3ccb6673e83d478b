//! Mistakes that need no reading to be found.

use super::*;

/// The place, as the text that it covers, the message and the remedy.
#[test]
#[rustfmt::skip] // one row for each case
fn faults_point_into_the_expression() {
    for (text, place, message, remedy) in [
        ("ap.json.x > 3", "ap", "unknown source \"ap\"; did you mean \"app\"?", ""),
        ("queue.value", "queue", "unknown source \"queue\"", "the sources are app, cpu, depth, exporter, page"),
        ("app > 3", "app", "\"app\" is a source, not a value", "name a field, as in app.json"),
        ("app.jsn.x", "app.jsn", "unknown field \"jsn\" of the source \"app\"; did you mean \"json\"?", "its fields are ok, error, age, latency, status, text, json"),
        ("page.json.x", "page.json", "unknown field \"json\" of the source \"page\"", "add format = \"json\" to the source; its fields are ok, error, age, latency, status, text"),
        ("cpu.status == 200", "cpu.status", "unknown field \"status\" of the source \"cpu\"", "its fields are ok, error, age, latency, user, nice, system, idle, iowait, irq, softirq, steal, value"),
        ("page.text == 3", "page.text == 3", "cannot compare text with a number", "double(text) converts text to a number"),
        ("page.text > 3", "page.text > 3", "> does not accept text and a number", "double(text) converts text to a number"),
        ("cpu.value + 'x'", "cpu.value + 'x'", "+ does not accept a number and text", "double(text) converts text to a number"),
        ("cpu.value && true", "cpu.value", "&& needs true or false, found a number", ""),
        ("headrom(cpu.value, 3)", "headrom(cpu.value, 3)", "unknown function \"headrom\"; did you mean \"headroom\"?", ""),
        ("headroom(cpu.value)", "headroom(cpu.value)", "headroom takes 2 arguments, found 1: headroom(used, limit)", ""),
        ("clamp(page.text, 0, 1)", "page.text", "clamp needs a number, found text", ""),
        ("page.text.matches(app.json.re)", "app.json.re", "matches needs a pattern in quotes", ""),
        ("page.text.matches('(')", "'('", "invalid pattern \"(\": unclosed group", ""),
        ("exporter.metrics", "exporter.metrics", "metrics needs a selector", "exporter.metrics('name{label=\"x\"}')"),
        ("sum(exporter.metrics())", "exporter.metrics()", "metrics needs a selector", "exporter.metrics('name{label=\"x\"}')"),
        ("sum(app.metrics('x'))", "app.metrics('x')", "unknown field \"metrics\" of the source \"app\"", "add format = \"prometheus\" to the source"),
        ("sum(exporter.metrics('x{'))", "'x{'", "the braces of the selector are not closed", ""),
        ("sum(exporter.metrics(page.text))", "page.text", "metrics needs a selector in quotes", ""),
        ("sum(nobody.metrics('x'))", "nobody", "unknown source \"nobody\"", "the sources are app, cpu, depth, exporter, page"),
        ("default(app.json, 3)", "app.json", "default needs a key of a document first", "write default(app.json.key, 0)"),
        ("default(app.json.x)", "default(app.json.x)", "wrong arguments of default", "write default(app.json.key, 0)"),
        ("curve(cpu.value, 3)", "3", "curve needs a list, found a number", ""),
        ("page.text.capture('(').n", "'('", "invalid pattern \"(\": unclosed group", ""),
        ("cpu.value.foo", "cpu.value.foo", "a number has no field \"foo\"", ""),
        ("has(app.json)", "", "has() needs a key of a document, not a field of the source \"app\"", "app.ok is true after a successful poll"),
        ("cpu.value >", "", "the expression ends too early", ""),
        ("cpu.value > > 3", ">", "unexpected \">\"", ""),
        ("app.ok and cpu.ok", "and", "unexpected \"and\"", "write &&"),
        ("not app.ok", "not", "unexpected \"not\"", "write !"),
        ("app.ok = true", "=", "unexpected \"=\"", "write == to compare"),
        ("cpu.value > 95%", "", "the expression ends too early", "write a percentage without %: 95"),
        ("app.age > 10s", "10s", "invalid number 10s", "numbers have no unit: times are in seconds, sizes in bytes"),
        ("app.json.msg-per-second / 70", "app.json.msg-per-second", "the key \"msg-per-second\" has a hyphen", "write app.json['msg-per-second']; a difference has spaces around -"),
        ("clock.day", "clock.day", "unknown field \"day\" of clock", "its fields are unix, hour, minute, weekday"),
        ("(cpu.value", "", "expected \")\", found the end", ""),
        ("app.text == 'x", "'x", "no closing quote for 'x", ""),
        ("app.json.ä > 3", "ä", "unexpected \"ä\"", ""),
        ("", "", "empty expression", ""),
    ] {
        let faults = compile(text).map(|_| ()).unwrap_err();
        let fault = &faults[0];
        assert!(fault.message.starts_with(message), "{text}: {fault:?}");
        assert_eq!(fault.remedy.as_deref().unwrap_or(""), remedy, "{text}");
        let covered = text.get(fault.span.clone()).unwrap();
        assert!(covered.starts_with(place), "{text}: covers {covered:?}");
    }
}

#[test]
fn all_faults_at_once() {
    let faults = compile("ap.ok || cp.value > 3 || app.jsn")
        .map(|_| ())
        .unwrap_err();
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn results_must_fit() {
    let environment = Environment::new(&sources());
    let fault = |text: &str, expected| {
        Expression::compile(text, expected, &environment)
            .map(|_| ())
            .unwrap_err()[0]
            .message
            .clone()
    };
    assert_eq!(
        fault("cpu.value", Type::Truth),
        "expected true or false, found a number"
    );
    assert_eq!(
        fault("cpu.value > 1", Type::Number),
        "expected a number, found true or false"
    );
    assert!(Expression::compile("app.json.x", Type::Truth, &environment).is_ok());
}
