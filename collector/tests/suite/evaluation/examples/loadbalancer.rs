//! Loadbalancer.org's feedback agents.

use super::{
    Place, Poll, Recorded, configuration, halves, ours, recorded, reply_after, shown_in_readme,
    theirs,
};
use serde_json::json;

/// Up to 4.x. Per monitor a load, an importance and a threshold (0 is none): a load over its threshold gives
/// 0%; else utilization = sum(load * importance) / count(importance > 0), and ceil(100 - utilization)%.
fn version4(mode: &str, monitors: &[(f64, f64, f64)]) -> String {
    match mode {
        "Drain" => return "drain".to_owned(),
        "Halt" | "Down" => return "down".to_owned(),
        _ => {}
    }
    let over = |(load, _, threshold): &(f64, f64, f64)| *threshold > 0.0 && load > threshold;
    if monitors.iter().any(over) {
        return "0%".to_owned();
    }
    let sum: f64 = monitors.iter().map(|(load, by, _)| load * by).sum();
    let count = monitors.iter().filter(|(_, by, _)| *by > 0.0).count();
    #[allow(clippy::cast_precision_loss)] // three
    let utilization = (sum / count as f64).clamp(0.0, 100.0);
    format!("{}%", (100.0 - utilization).ceil())
}

/// Importances and thresholds as in config.xml; 500 connections are all.
fn config_xml(mode: &str, cpu: f64, ram: f64, established: f64) -> String {
    let tcp = 100.0 * established / 500.0;
    version4(mode, &[(cpu, 1.0, 90.0), (ram, 0.5, 95.0), (tcp, 1.0, 0.0)])
}

/// The same state, except that load never empties a server: 0% there, the floor here.
fn same(place: Place, line: &str, case: &str) {
    match theirs(line) {
        Place::Drain if line == "0%" => assert_eq!(place, Place::Weight(1), "{case}"),
        same => assert_eq!(place, same, "{case}: {line}"),
    }
}

/// The mode in which a recording is.
fn mode(recorded: &Recorded) -> &str {
    let reading = &recorded.latest["mode"];
    reading["text"].as_str().unwrap_or("Normal")
}

fn readings(mode: &str, cpu: f64, memory: f64, http: f64) -> [Poll; 4] {
    let mode = if mode.is_empty() {
        ("mode", json!({"exists": false}))
    } else {
        (
            "mode",
            json!({"exists": true, "mtime_age": 0, "text": mode}),
        )
    };
    [
        mode,
        ("cpu", json!({"value": cpu})),
        ("memory", json!({"value": memory})),
        ("http", json!({"value": http})),
    ]
}

#[test]
fn version_4_weights_thresholds_and_modes_match() {
    for recorded in recorded("loadbalancer-4", "web") {
        let number = |source| recorded.number(source, "value");
        let (cpu, memory, http) = (number("cpu"), number("memory"), number("http"));
        let line = config_xml(mode(&recorded), cpu, memory, http);
        same(ours(&recorded.printed), &line, &recorded.line);
    }
    let config = configuration("loadbalancer-4");
    let mut floored = 0;
    for mode in ["", "Normal", "Drain", "Halt", "Down"] {
        for cpu in [0.0, 0.5, 12.5, 33.0, 50.0, 89.5, 90.0, 90.5, 100.0] {
            for memory in [0.0, 20.25, 66.0, 95.0, 95.5, 100.0] {
                for http in [0.0, 1.0, 37.0, 250.0, 499.0, 500.0, 501.0, 2000.0] {
                    let readings = readings(mode, cpu, memory, http);
                    let place = ours(&reply_after(&config, "web", &readings));
                    let line = config_xml(mode, cpu, memory, http);
                    same(place, &line, &format!("{readings:?}"));
                    floored += usize::from(line == "0%");
                }
            }
        }
    }
    assert!(floored > 100, "{floored}");
    for cpu in halves().step_by(3) {
        for memory in halves().step_by(7) {
            let place = ours(&reply_after(
                &config,
                "web",
                &readings("", cpu, memory, 120.0),
            ));
            let line = config_xml("Normal", cpu, memory, 120.0);
            same(place, &line, &format!("{cpu} {memory}"));
        }
    }
}

/// The Go version of 4.x: the mean of the host's monitors, and that of the TCP services added to it.
#[test]
fn version_4_second_formula_matches() {
    let weight = "weight = \"100.99999 - (cpu.value * 1 + memory.value * 0.5) / 2 - 100 * http.value / 500 * 1\"\n";
    let config = shown_in_readme("loadbalancer-4", weight, |text| {
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some(("weight", _)) => weight.trim_end(),
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    for cpu in (0..=90).step_by(3).map(f64::from) {
        for memory in (0..=95).step_by(5).map(f64::from) {
            for http in [0.0, 7.0, 250.0, 499.0, 500.0, 700.0] {
                let utilization = (cpu + memory * 0.5) / 2.0 + 100.0 * http / 500.0;
                let line = format!("{}%", (100.0 - utilization.clamp(0.0, 100.0)).ceil());
                let readings = readings("", cpu, memory, http);
                let place = ours(&reply_after(&config, "web", &readings));
                same(place, &line, &format!("{readings:?}"));
            }
        }
    }
}

/// From 5 on. `load_i = clamp(round(min(raw, max) / max * 100))`, `rel_i = significance_i / sum`,
/// overall = `sum(load_i * rel_i)`, availability = 100 - overall. Each of (raw, max, significance).
struct Version5 {
    loads: Vec<f64>,
    overall: f64,
    /// As its source has it: each term is cut to a whole number.
    cut: f64,
}

impl Version5 {
    fn of(monitors: &[(f64, f64, f64)]) -> Self {
        let sum: f64 = monitors.iter().map(|(.., significance)| significance).sum();
        let load = |(raw, max, _): &(f64, f64, f64)| {
            (raw.min(*max) / max * 100.0).round().clamp(0.0, 100.0)
        };
        let loads: Vec<f64> = monitors.iter().map(load).collect();
        let terms = loads.iter().zip(monitors);
        let terms: Vec<f64> = terms.map(|(load, (.., by))| load * (by / sum)).collect();
        Self {
            loads,
            overall: terms.iter().sum(),
            cut: terms.iter().map(|term| term.trunc()).sum(),
        }
    }

    /// `haproxy-commands` as by default: drain where a threshold counts.
    fn any(&self, threshold: f64) -> bool {
        self.loads.iter().any(|load| *load >= threshold)
    }
}

/// The availability that an overall load leaves, whole.
fn left(overall: f64) -> i32 {
    #[allow(clippy::cast_possible_truncation)] // 0..=100
    let overall = overall as i32;
    100 - overall
}

fn same_as_version5(place: Place, monitors: &[(f64, f64, f64)], any: Option<f64>, case: &str) {
    let version5 = Version5::of(monitors);
    let exceeded = match any {
        Some(threshold) => version5.any(threshold),
        None => version5.overall >= 90.0,
    };
    // Past a threshold, theirs drains; ours goes to the floor.
    if exceeded || version5.overall >= 100.0 {
        assert_eq!(place, Place::Weight(1), "{case}");
        return;
    }
    let Place::Weight(percent) = place else {
        panic!("{case}: {place:?}");
    };
    let percent = i32::from(percent);
    assert_eq!(percent, left(version5.overall), "{case}");
    // Version 5 truncates each term, so it sends up to two points more for three monitors.
    let cut = left(version5.cut) - percent;
    assert!((0..=2).contains(&cut), "{case}: {cut} points more");
}

#[test]
fn version_5_weights_thresholds_and_force_match() {
    let three = |cpu, memory, http| [(cpu, 100.0, 1.0), (memory, 100.0, 0.5), (http, 500.0, 0.5)];
    for recorded in recorded("loadbalancer-5", "web") {
        let place = ours(&recorded.printed);
        match mode(&recorded) {
            "halt" => assert_eq!(place, theirs("maint")),
            "drain" => assert_eq!(place, theirs("drain")),
            _ => {
                let number = |source| recorded.number(source, "value");
                let monitors = three(number("cpu"), number("memory"), number("http"));
                same_as_version5(place, &monitors, Some(95.0), &recorded.line);
            }
        }
    }
    let config = configuration("loadbalancer-5");
    // Whole loads: theirs are rounded one by one, ours once.
    let whole = [0.0, 1.0, 2.0, 33.0, 50.0, 67.0, 94.0, 95.0, 96.0, 100.0];
    for cpu in (0..=100).step_by(4).map(f64::from) {
        for memory in whole {
            for http in [0.0, 5.0, 110.0, 470.0, 475.0, 500.0, 5000.0] {
                let readings = readings("", cpu, memory, http);
                let place = ours(&reply_after(&config, "web", &readings));
                let monitors = three(cpu, memory, http);
                same_as_version5(place, &monitors, Some(95.0), &format!("{readings:?}"));
            }
        }
    }
    // Two thirds and one third: no double is exactly that.
    for cpu in (0..=100).step_by(2).map(f64::from) {
        for memory in (0..=100).step_by(3).map(f64::from) {
            let readings = &readings("", cpu, memory, 0.0);
            let place = ours(&reply_after(&config, "overall", readings));
            let monitors = [(cpu, 100.0, 1.0), (memory, 100.0, 0.5)];
            same_as_version5(place, &monitors, None, &format!("{readings:?}"));
        }
    }
}

/// Loads that are not whole: theirs rounds each of them first. One point apart, no more.
#[test]
fn version_5_rounding_matches() {
    let config = configuration("loadbalancer-5");
    let mut apart = 0;
    let memories: Vec<f64> = halves().step_by(3).collect();
    for (cpu, memory) in halves().zip(memories.into_iter().cycle()) {
        let readings = readings("", cpu, memory, 1.0);
        let Place::Weight(percent) = ours(&reply_after(&config, "web", &readings)) else {
            panic!("{readings:?}");
        };
        let version5 = Version5::of(&[(cpu, 100.0, 1.0), (memory, 100.0, 0.5), (1.0, 500.0, 0.5)]);
        if cpu < 94.5 && memory < 94.5 {
            let difference = left(version5.overall) - i32::from(percent);
            assert!((-1..=1).contains(&difference), "{readings:?}");
            apart += usize::from(difference != 0);
        }
    }
    assert!(apart > 0, "then the README is wrong");
}
