//! The configuration of a collector at work is gone: it goes on with what it has read, whether or not it is told
//! to read it again.

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
    scene.wait_for_log(&format!(
        "reload refused; the current configuration remains: {path}: error: cannot be read: "
    ));
    scene.wait_for_fresh();
    fs::rename(&kept, &scene.configuration).unwrap();
    scene.process().signal(Signal::HUP);
    scene.wait_for_log("reloaded: 1 source, 1 service; no service has changed");
    let judged = scene.ends_well("the configuration removed and put back");
    assert_eq!((judged.stale, judged.frozen), (0, 0), "{judged:?}");
}
