//! The file: when it cannot be written, and when it must not be.

use super::series::value;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::processes::{Running, wait_for, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::path::PathBuf;

fn configuration(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let file = scratch.file("textfiles").join("agentcheck.prom");
    let _ = scratch.write("load", "20");
    let text = format!(
        "[metrics]\ntextfile = {file:?}\nevery = \"1s\"\n\
         [source.load.file]\npath = {:?}\nformat = \"number\"\nevery = \"200ms\"\n\
         [service.web]\nweight = \"headroom(load.value, 100)\"\n",
        scratch.file("load")
    );
    (scratch.write("agentcheck.toml", text), file)
}

/// Told once, counted each time, and told when it works again; the replies go on meanwhile.
#[test]
fn a_directory_that_is_not_there_is_told_once_and_when_it_is_back() {
    let scratch = Scratch::new("unwritten");
    let states = StateDirectory::at(scratch.directory("state"));
    let (config, file) = configuration(&scratch);
    let mut collector = Collector::start(&scratch, "collector", &config, &states);
    let told = |log: &str, what: &str| log.matches(what).count();
    let (cannot, again) = (
        "metrics cannot be written: ",
        "metrics can be written again",
    );
    collector.process().wait_for_log(cannot);
    let first = collector.wait_for_plan(&states, "web", |_| true);
    collector.wait_for_plan(&states, "web", |plan| plan.from > first.from);
    let directory = scratch.directory("textfiles");
    let failures = "agentcheck_write_failures_total{file=\"metrics\"}";
    let failed = wait_for("metrics that tell of it", || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        value(&text, failures)
            .filter(|count| *count >= 1.0)
            .ok_or(text)
    });
    let log = collector.process().wait_for_log(again);
    assert_eq!(told(&log, again), 1, "{log}");
    assert_eq!(told(&log, cannot), 1, "{failed} failures: {log}");
    let left = std::fs::read_dir(directory).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .filter(|name| name.to_string_lossy().ends_with(".prom"))
            .count()
            == 1,
        "{names:?}"
    );
}

#[test]
fn a_dry_run_writes_none() {
    let scratch = Scratch::new("dry-metrics");
    let states = StateDirectory::at(scratch.directory("state"));
    let (config, file) = configuration(&scratch);
    let directory = scratch.directory("textfiles");
    let mut command = Collector::command(&config, &states);
    command.arg("--dry-run");
    let dry = Running::start(&scratch, "dry", &mut command);
    dry.wait_for_log("web: up 80%");
    // Beside one that writes: by the time of its second writing the other would have written once.
    let other = StateDirectory::at(scratch.directory("other"));
    let beside = scratch.write(
        "beside.toml",
        std::fs::read_to_string(&config)
            .unwrap()
            .replace("textfiles", "beside"),
    );
    let written = scratch.directory("beside").join("agentcheck.prom");
    let _collector = Collector::start(&scratch, "collector", &beside, &other);
    let stamp = || {
        let text = std::fs::read_to_string(&written).unwrap_or_default();
        value(&text, "agentcheck_written_timestamp_seconds")
    };
    let first = wait_for("a first writing", || stamp().ok_or("there is none"));
    wait_until("a second one", || stamp() > Some(first));
    assert!(!file.exists());
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
}
