//! The configuration file of a running collector is removed. The collector continues with the configuration that
//! it has loaded, also after a reload.

use agentcheck_tests::messages::{NOT_RELOADED, RELOADED_UNCHANGED};
use agentcheck_tests::scene::Scene;
use rustix::process::Signal;
use std::fs;

#[test]
fn collector_continues_without_its_configuration_file() {
    let mut scene = Scene::counting_slowly("configuration", |_| {});
    let kept = scene.scratch.file("kept.toml");
    fs::rename(&scene.configuration, &kept).unwrap();
    scene.wait_for_fresh();
    scene.process().signal(Signal::HUP);
    let path = scene.configuration.display().to_string();
    scene.wait_for_log(&format!("{NOT_RELOADED}: {path}: error: cannot read this: "));
    scene.wait_for_fresh();
    fs::rename(&kept, &scene.configuration).unwrap();
    scene.process().signal(Signal::HUP);
    scene.wait_for_log(RELOADED_UNCHANGED);
    let judged = scene.ends_well("the configuration removed and put back");
    assert_eq!((judged.stale, judged.frozen), (0, 0), "{judged:?}");
}
