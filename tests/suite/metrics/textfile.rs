//! The metrics file: errors of writing it, and the dry run, which writes none.

use super::series::value;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::messages::{METRICS_NOT_WRITTEN, METRICS_WRITTEN_AGAIN};
use agentcheck_tests::processes::{Running, wait_for, wait_until};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::StateDirectory;
use std::path::PathBuf;

/// A scene that is configured, and the file of its metrics. The collector does not run yet.
fn scene(test: &str) -> (Scene, PathBuf) {
    let scene = Scene::new(test);
    let file = scene.scratch.file("textfiles").join("agentcheck.prom");
    let text = format!(
        "[metrics]\ntextfile = {file:?}\ninterval = \"1s\"\n{}\
         [service.web]\nweight = \"headroom(load.value, 100)\"\n",
        scene.number("load", "20")
    );
    scene.configure(&text);
    (scene, file)
}

/// Logged once, counted each time, and logged when it works again; the replies continue.
#[test]
fn missing_directory_is_logged_once_and_recovery_once() {
    let (mut scene, file) = scene("unwritten");
    scene.start();
    let reported = |log: &str, what: &str| log.matches(what).count();
    let (cannot, again) = (METRICS_NOT_WRITTEN, METRICS_WRITTEN_AGAIN);
    scene.wait_for_log(cannot);
    scene.wait_for_new_reply("web", "");
    let directory = scene.scratch.directory("textfiles");
    let failures = "agentcheck_write_failures_total{file=\"metrics\"}";
    let failed = wait_for("metrics with the failure", || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        value(&text, failures)
            .filter(|count| *count >= 1.0)
            .ok_or(text)
    });
    let log = scene.wait_for_log(again);
    assert_eq!(reported(&log, again), 1, "{log}");
    assert_eq!(reported(&log, cannot), 1, "{failed} failures: {log}");
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
fn dry_run_writes_no_metrics() {
    let (scene, file) = scene("dry-metrics");
    let scratch = &scene.scratch;
    let directory = scratch.directory("textfiles");
    let mut command = scene.operator_command(&["collect", "--dry-run"]);
    let dry = Running::start(scratch, "dry", &mut command);
    dry.wait_for_log("web: up 80%");
    // Beside one that writes: by the time of its second writing the other would have written once.
    let other = StateDirectory::at(scratch.directory("other"));
    let beside = scratch.write(
        "beside.toml",
        std::fs::read_to_string(&scene.configuration)
            .unwrap()
            .replace("textfiles", "beside"),
    );
    let written = scratch.directory("beside").join("agentcheck.prom");
    let _collector = Collector::start_by(
        scratch,
        "collector",
        &mut Collector::command(&["collect"], &beside, &other),
    );
    let stamp = || {
        let text = std::fs::read_to_string(&written).unwrap_or_default();
        value(&text, "agentcheck_written_timestamp_seconds")
    };
    let first = wait_for("a first writing", || stamp().ok_or("there is none"));
    wait_until("a second one", || stamp() > Some(first));
    assert!(!file.exists());
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
}
