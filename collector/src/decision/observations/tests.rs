//! Series, and the memory from which a restarted collector continues.

use super::derived::series;
use super::*;
use crate::filters::derive::MOST_COUNTERS;
use crate::reading::prometheus::{Exposition, Selector};

#[test]
fn too_many_series_give_no_number() {
    let selectors = [Selector::parse("n").unwrap()];
    let count_of = |count: usize| {
        let lines = (0..count).map(|at| format!("n{{at=\"{at}\"}} 1\n"));
        let scrape = Exposition::parse(lines.collect()).unwrap();
        series(Some(&scrape), &selectors).map(|found| found.len())
    };
    assert_eq!(count_of(0), Err("no such series".to_owned()));
    assert_eq!(count_of(MOST_COUNTERS), Ok(MOST_COUNTERS));
    let many = count_of(MOST_COUNTERS + 1).unwrap_err();
    assert_eq!(many, "2001 series, more than 2000");
}

const DERIVED: &str = r#"
[source.load.file]
path = "/run/load"
format = "number"

[derive.peak]
expression = "load.value"
max = "10s"

[service.web]
weight = "peak.value"
"#;

fn config(text: &str) -> Config {
    let file = std::path::Path::new("agentcheck.toml");
    crate::config::parse(file, text)
        .unwrap_or_else(|report| panic!("{report}"))
        .0
}

/// The derived number after a poll at `seconds`, in a collector that continued from `kept`.
fn polled(
    config: &Config,
    kept: &[(String, DerivedMemory)],
    seconds: u64,
    number: f64,
) -> (f64, Vec<(String, DerivedMemory)>) {
    let now = BootTime(seconds * 1_000_000_000);
    let mut observed = Observations::new(config, now);
    for (name, kept) in kept {
        observed.restore(name, kept, now);
    }
    let reading = Reading {
        outcome: Ok(Content::Number(number)),
        ..Reading::failed(now, Duration::ZERO, Failure::new(Reason::Other, ""))
    };
    observed.take(SourceId(0), reading, now);
    let crate::config::Weight::Expression(weight) = &config.services[0].weight else {
        panic!("a weight of its own");
    };
    let value = weight.number(observed.context(now).scope).unwrap();
    let kept = observed.kept();
    let kept = kept.map(|(name, kept)| (name.to_owned(), kept)).collect();
    (value, kept)
}

#[test]
fn restarted_collector_continues_with_the_same_number() {
    let same = config(DERIVED);
    let (value, kept) = polled(&same, &[], 100, 7.0);
    assert_eq!((value, kept.len()), (7.0, 1));
    assert_eq!(polled(&same, &kept, 105, 3.0).0, 7.0);
    // Its position in the file does not matter.
    let moved = config(&format!("# a comment\n{DERIVED}"));
    assert_eq!(polled(&moved, &kept, 105, 3.0).0, 7.0);
    // The window is over; another boot's clock would be behind.
    assert_eq!(polled(&same, &kept, 111, 3.0).0, 3.0);
    assert_eq!(polled(&same, &kept, 99, 3.0).0, 3.0);
    for (before, after) in [
        ("max = ", "mean = "),
        ("10s", "11s"),
        ("load.value", "load.value * 2"),
        ("/run/load", "/run/other"),
    ] {
        let other = config(&DERIVED.replace(before, after));
        let alone = polled(&other, &[], 105, 3.0).0;
        assert_eq!(polled(&other, &kept, 105, 3.0).0, alone, "{after}");
    }
}
