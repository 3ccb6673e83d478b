use super::*;

fn parse(text: &str) -> Exposition {
    Exposition::parse(text.to_owned()).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"))
}

fn values(exposition: &Exposition, selectors: &[&str]) -> Vec<f64> {
    let selectors: Vec<Selector> = selectors
        .iter()
        .map(|selector| Selector::parse(selector).unwrap())
        .collect();
    exposition.values(&selectors)
}

/// From the documentation of the text format, with its other options.
const FORMAT: &str = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
	indented { a = "1" , b="}{," , } 5
something_weird{problem="division by zero"} +Inf -3982045
rpc_duration_seconds{quantile="0.01"} NaN
rpc_duration_seconds{quantile="0.5"} 4773
http_request_duration_seconds_bucket{le="+Inf"} 144320 # {trace_id="KOO5S4vxi0o"} 0.67 1520879607.789
http_request_duration_seconds_sum 53423
negative -7.5e-3
empty_braces{} 1
{"quoted.name/with spaces",label="x"} 3
no_labels_no_blank{} 4
# EOF
"#;

#[test]
fn example_of_the_format_is_parsed() {
    let exposition = parse(FORMAT);
    assert_eq!(exposition.len(), 14);
    for (selector, expected) in [
        ("http_requests_total", vec![1027.0, 3.0]),
        ("http_requests_total{code=\"400\"}", vec![3.0]),
        ("http_requests_total{code=~\"4..\"}", vec![3.0]),
        (
            "http_requests_total{code!~\"4..\",method=\"post\"}",
            vec![1027.0],
        ),
        ("http_requests_total{code!=\"400\"}", vec![1027.0]),
        // A pattern matches the whole value, and an absent label is empty.
        ("http_requests_total{code=~\"4\"}", vec![]),
        ("http_requests_total{path=\"\"}", vec![1027.0, 3.0]),
        ("http_requests_total{path!=\"\"}", vec![]),
        (
            r#"msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT"}"#,
            vec![1.458_255_915e9],
        ),
        (
            r#"msdos_file_access_time_seconds{error=~"Cannot.*\"FILE.TXT\""}"#,
            vec![1.458_255_915e9],
        ),
        ("metric_without_timestamp_and_labels", vec![12.47]),
        ("indented{b=\"}{,\"}", vec![5.0]),
        // A value that is not finite is ignored.
        ("something_weird", vec![]),
        ("rpc_duration_seconds", vec![4773.0]),
        (
            "http_request_duration_seconds_bucket{le=\"+Inf\"}",
            vec![144_320.0],
        ),
        ("negative", vec![-0.0075]),
        ("empty_braces", vec![1.0]),
        ("{\"quoted.name/with spaces\",label=\"x\"}", vec![3.0]),
        ("http_requests", vec![]),
    ] {
        assert_eq!(values(&exposition, &[selector]), expected, "{selector}");
    }
    // The first existing name counts.
    assert_eq!(
        values(&exposition, &["renamed", "negative", "empty_braces"]),
        [-0.0075]
    );
    assert_eq!(
        exposition.labelled(&[Selector::parse("http_requests_total{code=\"200\"}").unwrap()]),
        [("code=\"200\",method=\"post\"", 1027.0)]
    );
    assert_eq!(bucket_bound("a=\"b\",le=\"+Inf\""), Some(f64::INFINITY));
    assert_eq!(bucket_bound("le=\"0.5\""), Some(0.5));
    assert_eq!(bucket_bound("a=\"b\""), None);
}

#[test]
fn invalid_line_is_refused_with_its_number() {
    for (line, message) in [
        ("<html>", "there is no name"),
        ("5xx 3", "a name cannot begin so"),
        ("name", "there is no value"),
        ("name{a=\"b\"}", "there is no value"),
        ("name x", "the value is no number"),
        ("name 1 x", "the timestamp is no number"),
        ("name 1 2 3", "there is something behind the timestamp"),
        ("name{a=\"b\" 1", "the braces are not closed"),
        ("name{a=b} 1", "a label's value is not in quotes"),
        ("name{a=\"b} 1", "the braces are not closed"),
        ("name{a=\"b\"c=\"d\"} 1", "no comma between labels"),
        ("name{=\"b\"} 1", "a label has no name"),
        ("name{a} 1", "a label has no value"),
        ("name{a=\"\\x\"} 1", "an escape that is none"),
        ("name{\"other\"} 1", "there are two names"),
        ("{a=\"b\"} 1", "there is no name"),
        ("name+1 3", "no blank behind the name"),
    ] {
        let refused = Exposition::parse(format!("good 1\n{line}\n")).unwrap_err();
        assert_eq!(refused, ParseError { line: 2, message }, "{line:?}");
    }
}

#[test]
fn invalid_selectors_are_refused() {
    for text in [
        "",
        "a b",
        "a{",
        "a{b}",
        "a{b=c}",
        "a{b=~\"(\"}",
        "a{b=~\"x)|(y\"}",
        "a{b=\"c\" d=\"e\"}",
        "{b=\"c\"}",
        "a{\"x\"}",
        "a{b>\"c\"}",
    ] {
        assert!(Selector::parse(text).is_err(), "{text:?}");
    }
}

/// Scrapes of real programs, with versions in the file names.
#[test]
fn recorded_scrapes() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/prometheus");
    let recorded =
        |name: &str| parse(&std::fs::read_to_string(format!("{directory}/{name}")).expect(name));
    let node = recorded("node_exporter-1.5.0.txt");
    assert!(node.len() > 200, "{}", node.len());
    assert_eq!(
        values(&node, &["node_cpu_seconds_total{mode=\"idle\"}"]).len(),
        2
    );
    let load = values(&node, &["node_load1"]);
    assert!(matches!(load[..], [load] if load >= 0.0), "{load:?}");

    let haproxy = recorded("haproxy-2.6.12.txt");
    assert!(haproxy.len() > 100, "{}", haproxy.len());
    let up = values(
        &haproxy,
        &["haproxy_server_status{proxy=\"web\",state=\"UP\"}"],
    );
    assert_eq!(up.len(), 1);

    let openmetrics = recorded("prometheus_client-openmetrics.txt");
    let buckets = values(&openmetrics, &["request_seconds_bucket"]);
    assert!(buckets.len() > 3, "{buckets:?}");
    assert_eq!(
        values(&openmetrics, &["queue_depth{queue=\"a\\\"b\"}"]),
        [3.0]
    );
}

#[test]
fn no_text_panics() {
    for at in (0..FORMAT.len()).filter(|at| FORMAT.is_char_boundary(*at)) {
        let _ = Exposition::parse(FORMAT[..at].to_owned());
        let _ = Exposition::parse(FORMAT[at..].to_owned());
        let _ = Selector::parse(&FORMAT[at..]);
    }
}

#[test]
fn order_of_labels_has_no_meaning() {
    let selector = Selector::parse("a").unwrap();
    let labels = |line: &str| {
        let exposition = parse(line);
        let labels = exposition.labelled(std::slice::from_ref(&selector));
        labels[0].0.to_owned()
    };
    let one = labels("a{x=\"1\",b=\"q\\\"\\\\\\n\"} 1\n");
    assert_eq!(one, "b=\"q\\\"\\\\\\n\",x=\"1\"");
    for other in [
        "a{b=\"q\\\"\\\\\\n\",x=\"1\"} 1\n",
        "a { b = \"q\\\"\\\\\\n\" , x=\"1\", } 1\n",
        "{\"a\",\"x\"=\"1\",b=\"q\\\"\\\\\\n\"} 1\n",
    ] {
        assert_eq!(labels(other), one, "{other}");
    }
}

/// Several points of a series are one series, whose latest point counts.
#[test]
fn latest_point_of_a_series_counts() {
    for (text, expected) in [
        ("a 1\na 2\n", vec![2.0]),
        ("a 1 20\na 2 10\n", vec![1.0]),
        ("a 1 10\na 2 10\n", vec![2.0]),
        (
            "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 5\na{x=\"2\"} 7\n",
            vec![5.0, 7.0],
        ),
        ("{\"a\"} 1\na 3\n", vec![3.0]),
    ] {
        assert_eq!(values(&parse(text), &["a"]), expected, "{text}");
    }
}

#[test]
fn content_after_eof_is_refused() {
    assert_eq!(parse("a 1\n# EOF\n\n").len(), 1);
    let refused = Exposition::parse("a 1\n# EOF\na 2\n".to_owned()).unwrap_err();
    assert_eq!(refused.to_string(), "line 3: there is content after # EOF");
}
