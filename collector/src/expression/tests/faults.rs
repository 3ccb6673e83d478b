//! What is known to be wrong before there is a reading.

use super::*;

/// Where, what, what instead; the place is shown by the text it covers.
#[test]
fn faults_point_into_the_expression() {
    for (text, place, message, remedy) in [
        (
            "ap.json.x > 3",
            "ap",
            "there is no source ap",
            "did you mean app?",
        ),
        (
            "queue.value",
            "queue",
            "there is no source queue",
            "the sources are app, cpu, depth, exporter, page",
        ),
        (
            "app > 3",
            "app",
            "app is a source, not a value",
            "say what of it, as in app.json",
        ),
        (
            "app.jsn.x",
            "app.jsn",
            "the source app has no jsn",
            "did you mean app.json?",
        ),
        (
            "page.json.x",
            "page.json",
            "the source page has no json",
            "it has json with format = \"json\"; now it has ok, error, age, latency, status, text",
        ),
        (
            "cpu.status == 200",
            "cpu.status",
            "the source cpu has no status",
            "it has ok, error, age, latency, user, nice, system, idle, iowait, irq, softirq, steal, value",
        ),
        (
            "page.text == 3",
            "page.text == 3",
            "text is never equal to a number",
            "",
        ),
        (
            "page.text > 3",
            "page.text > 3",
            "> does not take text and a number",
            "double(text) reads text as a number",
        ),
        (
            "cpu.value + 'x'",
            "cpu.value + 'x'",
            "+ does not take a number and text",
            "double(text) reads text as a number",
        ),
        (
            "cpu.value && true",
            "cpu.value",
            "&& takes true or false, this is a number",
            "",
        ),
        (
            "headrom(cpu.value, 3)",
            "headrom(cpu.value, 3)",
            "there is no function headrom",
            "did you mean headroom?",
        ),
        (
            "headroom(cpu.value)",
            "headroom(cpu.value)",
            "headroom is called otherwise",
            "headroom(used, limit)",
        ),
        (
            "clamp(page.text, 0, 1)",
            "page.text",
            "clamp takes a number, this is text",
            "",
        ),
        (
            "page.text.matches(app.json.re)",
            "app.json.re",
            "matches takes a literal pattern",
            "",
        ),
        (
            "page.text.matches('(')",
            "'('",
            "pattern: unclosed group",
            "",
        ),
        (
            "exporter.metrics",
            "exporter.metrics",
            "metrics is called with a selector",
            "exporter.metrics('name{label=\"x\"}')",
        ),
        (
            "sum(exporter.metrics())",
            "exporter.metrics(",
            "metrics takes a selector",
            "exporter.metrics('name{label=\"x\"}')",
        ),
        (
            "sum(app.metrics('x'))",
            "app.metrics('x'",
            "the source app has no metrics",
            "it has metrics with format = \"prometheus\"",
        ),
        (
            "sum(exporter.metrics('x{'))",
            "'x{'",
            "the braces of the selector are not closed",
            "",
        ),
        (
            "sum(exporter.metrics(page.text))",
            "page.text",
            "metrics takes literal selectors",
            "",
        ),
        (
            "sum(nobody.metrics('x'))",
            "nobody",
            "there is no source nobody",
            "the sources are app, cpu, depth, exporter, page",
        ),
        (
            "default(app.json, 3)",
            "app.json",
            "default takes a key of a document first",
            "default(app.json.key, 0)",
        ),
        (
            "default(app.json.x)",
            "default(app.json.x)",
            "default is called otherwise",
            "default(app.json.key, 0)",
        ),
        (
            "curve(cpu.value, 3)",
            "3",
            "curve takes a list, this is a number",
            "",
        ),
        (
            "page.text.capture('(').n",
            "'('",
            "pattern: unclosed group",
            "",
        ),
        (
            "cpu.value.foo",
            "cpu.value.foo",
            "a number has no fields, so no foo",
            "",
        ),
        (
            "has(app.json)",
            "",
            "has() does not look at the source app itself",
            "app.ok says whether it gave anything",
        ),
        ("cpu.value >", "", "the expression ends too early", ""),
        ("cpu.value > > 3", ">", "syntax: ", ""),
        ("(cpu.value", "", "the expression ends too early", ""),
        ("app.json.ä > 3", "ä", "'ä' means nothing here", ""),
        ("", "", "the expression is empty", ""),
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
        "this gives a number, true or false is needed"
    );
    assert_eq!(
        fault("cpu.value > 1", Type::Number),
        "this gives true or false, a number is needed"
    );
    assert!(Expression::compile("app.json.x", Type::Truth, &environment).is_ok());
}
