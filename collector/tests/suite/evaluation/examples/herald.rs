//! Herald (helpshift/herald) tries patterns and thresholds in order, and the first match wins. Its reply is the
//! action of the pattern, a blank, and the result of the threshold.

use super::{Place, configuration, directory, halves, ours, read, recorded, reply_after, theirs};
use serde_json::json;

/// `[!<>=]N`, `=` where there is none: rules.py, `op_regex`.
fn matches_threshold(threshold: &str, value: f64) -> bool {
    let (operator, number) = match threshold.chars().next() {
        Some(operator @ ('!' | '<' | '>' | '=')) => (operator, &threshold[1..]),
        _ => ('=', threshold),
    };
    let number: f64 = number.parse().unwrap();
    match operator {
        '<' => value < number,
        '>' => value > number,
        #[allow(clippy::float_cmp)] // as Python does
        '!' => value != number,
        #[allow(clippy::float_cmp)]
        _ => value == number,
    }
}

/// `pct: T` with `min_threshold_response: M`: p = int(100 - value / T * 100); p <= 0 gives `M%`, p > 100
/// nothing, else `p%`.
#[allow(clippy::cast_possible_truncation)] // as Python's int()
fn pct(limit: f64, least: u16, value: f64) -> String {
    match (100.0 - value / limit * 100.0) as i64 {
        ..=0 => format!("{least}%"),
        percent @ 1..=100 => format!("{percent}%"),
        _ => String::new(),
    }
}

/// Pattern and threshold together, or the default response where neither gives anything.
fn reply(pattern: &str, threshold: &str, default: &str) -> String {
    match format!("{pattern} {threshold}").trim() {
        "" => default.to_owned(),
        both => both.to_owned(),
    }
}

/// The README's configuration, where 7000 messages a second are all, and noop the default response.
fn readme(messages: f64) -> String {
    reply("", &pct(7000.0, 1, messages), "")
}

/// Asserts that both lines bring the server to the same state. Herald's doubles may be slightly below a whole number:
/// for 3850 of 7000, it sends 44 and not 45. Returns whether that happened.
fn same(place: Place, line: &str, messages: f64) -> bool {
    let exact = 100.0 - messages / 70.0;
    match theirs(line) {
        // A negative number of messages: Herald sends nothing, agentcheck takes it for no load.
        Place::Unchanged => {
            assert!(messages < 0.0);
            assert_eq!(place, Place::Weight(100), "{messages}");
            false
        }
        Place::Weight(short) if place == Place::Weight(short + 1) => {
            assert!((exact - f64::from(short + 1)).abs() < 1e-9, "{messages}");
            true
        }
        same => {
            assert_eq!(place, same, "{messages}: {line}");
            false
        }
    }
}

#[test]
fn readme_configuration_gives_heralds_weight() {
    let mut cached = None;
    for recorded in recorded("herald", "web") {
        let place = ours(&recorded.printed);
        if recorded.latest["app"].get("error").is_some() {
            // Herald writes nothing and repeats its cached reply until it is stale.
            assert_eq!(Some(place), cached);
            continue;
        }
        cached = Some(place);
        let messages = recorded.json("app")["msg-per-second"].as_f64().unwrap();
        same(place, &readme(messages), messages);
    }
    let config = configuration("herald");
    let mut short = 0;
    for messages in (-100..=7_200).map(f64::from) {
        let reading = ("app", json!({"json": {"msg-per-second": messages}}));
        let place = ours(&reply_after(&config, "web", &[reading]));
        short += usize::from(same(place, &readme(messages), messages));
    }
    // As in the README.
    assert_eq!(short, 2);
    // Beside whole numbers, and far out.
    for messages in [0.5, 69.99, 70.01, 6929.5, 1e9, 1e300, -1e300] {
        let reading = ("app", json!({"json": {"msg-per-second": messages}}));
        let place = ours(&reply_after(&config, "web", &[reading]));
        same(place, &readme(messages), messages);
    }
}

/// example_config.yml: `re.match` of `.*healthy.*` matches anywhere in the text.
fn example(health: &str, messages: f64) -> String {
    let pattern = [
        ("ready", "healthy"),
        ("down", "unhealthy"),
        ("drain", "maxed"),
    ]
    .into_iter()
    .find(|(_, part)| health.contains(part))
    .map_or("", |(action, _)| action);
    let threshold = if matches_threshold(">7000", messages) {
        "drain".to_owned()
    } else if matches_threshold("0", messages) {
        "down".to_owned()
    } else {
        pct(7000.0, 1, messages)
    };
    reply(pattern, &threshold, "")
}

fn same_as_example(health: &str, messages: f64, place: Place) {
    let line = example(health, messages);
    // The one pattern hides the other; here unhealthy is down.
    if health.contains("unhealthy") {
        assert!(line.starts_with("ready"), "{line}");
        assert_eq!(place, Place::Down, "{health} {messages}");
        return;
    }
    // The last word of a kind applies, and down and drain are two kinds: the server is down and drained. agentcheck
    // sends the pattern's word alone.
    if line == "drain down" {
        assert_eq!(place, Place::Drain, "{health} {messages}");
        return;
    }
    same(place, &line, messages);
}

#[test]
fn full_example_gives_heralds_reply() {
    for recorded in recorded("herald-rules", "api") {
        let document = recorded.json("app");
        let health = document["health"].as_str().unwrap().to_owned();
        let messages = document["outgoing-messsage-per-second"].as_f64().unwrap();
        same_as_example(&health, messages, ours(&recorded.printed));
    }
    let config = configuration("herald-rules");
    for health in [
        "healthy",
        "unhealthy",
        "maxed",
        "maxed out",
        "healthy, maxed",
        "",
        "?",
    ] {
        for messages in (-4..=296).map(|step| f64::from(step) * 25.0) {
            let document = json!({"health": health, "outgoing-messsage-per-second": messages});
            let reading = ("app", json!({"json": document}));
            let reply = reply_after(&config, "api", &[reading]);
            same_as_example(health, messages, ours(&reply));
        }
    }
}

/// Every operator; `50%` where none of them is true.
fn workers(value: f64) -> String {
    let threshold = [
        ("maint", "=0"),
        ("drain", ">900"),
        ("up", "<500"),
        ("25%", "!777"),
    ]
    .into_iter()
    .find(|(_, threshold)| matches_threshold(threshold, value))
    .map_or("", |(action, _)| action);
    reply("", threshold, "50%")
}

#[test]
fn every_operator_and_the_default_response_match_herald() {
    for recorded in recorded("herald-rules", "workers") {
        if recorded.latest["workers"].get("value").is_some() {
            let value = recorded.number("workers", "value");
            let place = ours(&recorded.printed);
            assert_eq!(place, theirs(&workers(value)), "{}", recorded.line);
        }
    }
    let config = configuration("herald-rules");
    let whole = (-5..=1000).map(f64::from);
    for value in whole.chain(halves()).chain([499.5, 776.5, 777.5, 900.5]) {
        let reply = reply_after(&config, "workers", &[("workers", json!({"value": value}))]);
        assert_eq!(ours(&reply), theirs(&workers(value)), "{value}");
    }
}

/// The oracle above and agentcheck.toml have the numbers of config.yml.
#[test]
fn example_names_every_option_of_herald() {
    assert!(directory("herald-rules").join("config.yml").is_file());
    let text = read("herald-rules", "config.yml");
    for line in [
        "- ready: '.*healthy.*'",
        "- down: '.*unhealthy.*'",
        "- drain: '.*maxed.*'",
        "- drain: \">7000\"",
        "- down: 0",
        "- pct: 7000",
        "min_threshold_response: 1",
        "- maint: \"=0\"",
        "- drain: \">900\"",
        "- up: \"<500\"",
        "- 25%: \"!777\"",
        "default_response: \"50%\"",
        "staleness_interval: 20",
        "staleness_response: down",
    ] {
        assert!(text.contains(line), "{line}");
    }
}
