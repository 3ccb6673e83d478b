//! A restarted collector continues where the last one ended: it remembers each drain that it has to undo, and
//! starts a ramp only after one.

use agentcheck_tests::collector::Plan;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::now;
use rustix::process::Signal;

/// A collector over a file with a number: above 90 the server is drained.
fn drained_when_full(test: &str, keys: &str) -> Scene {
    let mut scene = Scene::with(test, |scene| {
        scene.number("load", "20")
            + &format!(
                r#"
[service.web]
weight = "headroom(load.value, 100)"
{keys}

[[service.web.rule]]
name = "full"
when = "load.value > 90"
reply = "drain"
"#
            )
    });
    scene.wait_for_reply("web", "up 80% ");
    scene
}

/// Waits until the snapshot, from which the next collector continues, has this last reply.
fn wait_for_snapshot(scene: &Scene, reply: &str) {
    scene.wait_for_snapshot(reply, |status| {
        status["services"]["web"]["memory"]["last"] == reply
    });
}

/// Kills the collector and starts another one; returns the first reply of that one.
fn restart(scene: &mut Scene) -> Plan {
    scene.kill();
    let after = now();
    scene.start();
    scene.wait_for_plan("web", |plan| plan.from > after)
}

#[test]
fn restart_ramps_only_after_a_drain() {
    let mut scene = drained_when_full("ramp", "ramp = \"1h\"");
    // In the middle of the day: nothing has happened to the server.
    let first = restart(&mut scene);
    assert!(first.fresh.starts_with("up 80% # load=20"), "{first:?}");
    scene.put("load", "95");
    scene.wait_for_reply("web", "up 0% # rule=full");
    wait_for_snapshot(&scene, "up 0%");
    scene.kill();
    scene.put("load", "20");
    let first = restart(&mut scene);
    assert!(first.fresh.starts_with("up 8% # ramp"), "{first:?}");
    // A ramp that has begun continues.
    wait_for_snapshot(&scene, "up 8%");
    let second = restart(&mut scene);
    assert!(second.fresh.starts_with("up 8% # ramp"), "{second:?}");
}

#[test]
fn average_survives_a_restart() {
    let mut scene = drained_when_full("average", "ewma = \"1h\"");
    scene.put("load", "80");
    scene.wait_for_reply("web", "up 79% ");
    wait_for_snapshot(&scene, "up 79%");
    let first = restart(&mut scene);
    assert!(first.fresh.starts_with("up 79% "), "{first:?}");
}

#[test]
fn derived_numbers_survive_a_restart() {
    let mut scene = Scene::with("derived", |scene| {
        scene.number("load", "20")
            + r#"
[derive.peak]
expression = "load.value"
max = "1h"

[derive.average]
expression = "load.value"
ewma = "1h"

[service.web]
weight = "headroom(peak.value, 100)"

[service.even]
weight = "headroom(average.value, 100)"
"#
    });
    scene.wait_for_reply("even", "up 80% ");
    scene.put("load", "80");
    scene.wait_for_reply("web", "up 20% # peak=80");
    wait_for_snapshot(&scene, "up 20%");
    scene.kill();
    scene.put("load", "30");
    // Alone, the first poll would make them 70% and 70%.
    let first = restart(&mut scene);
    assert!(first.fresh.starts_with("up 20% # peak=80"), "{first:?}");
    scene.check_next_reply("even", "up 79% # average=20");
}

#[test]
fn on_stop_reply_is_written_on_sigterm_and_not_on_sigkill() {
    let mut scene = drained_when_full("last-words", "on_stop = \"drain\"");
    let first = restart(&mut scene);
    assert_eq!(first.then, "up 80% # stale");
    scene.process().signal(Signal::TERM);
    assert_eq!(scene.process().wait_for_exit().code(), Some(0));
    let file = std::fs::read_to_string(scene.states.file("web")).unwrap();
    assert!(
        file.ends_with("\nthen up 0% # collector stopped\n"),
        "{file}"
    );
    assert!(!file.contains("until"), "{file}");
    let last = "web: on_stop: up 0% # collector stopped";
    scene.process().wait_for_log(last);
}

#[test]
fn release_on_stop_raises_the_weight_in_steps() {
    let mut scene = drained_when_full("restore", "on_stop = \"restore\"\nrestore_over = \"10m\"");
    scene.process().signal(Signal::TERM);
    scene.process().wait_for_exit();
    let file = std::fs::read_to_string(scene.states.file("web")).unwrap();
    let printed: Vec<&str> = file.lines().skip(3).collect();
    assert_eq!(printed.len(), 10, "{file}");
    assert!(printed[0].ends_with(" up 82% # stale, released"), "{file}");
    assert_eq!(printed[9], "then up 100% # stale, released");
}
