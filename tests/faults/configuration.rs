//! The configuration of a collector at work is gone: it goes on with what it has read.

use crate::scene::Scene;
use std::fs;

#[test]
fn removed_and_put_back() {
    let mut scene = Scene::new("configuration");
    let kept = scene.scratch.file("kept.toml");
    fs::rename(&scene.configuration, &kept).unwrap();
    scene.wait_for_fresh();
    fs::rename(&kept, &scene.configuration).unwrap();
    let judged = scene.ends_well("the configuration removed and put back");
    assert_eq!((judged.stale, judged.frozen), (0, 0), "{judged:?}");
}
