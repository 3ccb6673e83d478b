//! Hostile applications delay no honest service: ten of them send documents that are costly to evaluate, as fast as
//! they are polled, to 200 services with five rules each.

use agentcheck_tests::collector::Plan;
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::now;
use std::fmt::Write as _;
use std::time::Duration;

const HOSTILE: usize = 10;
const SERVICES: usize = 20;
const HONEST: usize = 10;
/// Checks of all honest services.
const CHECKS: usize = 100;

/// As many objects as a document may have.
fn document() -> String {
    let objects = vec!["{\"a\":1}"; 9_000];
    format!("{{\"list\":[{}]}}", objects.join(","))
}

fn configuration(scene: &Scene) -> String {
    let mut text = String::new();
    for source in 0..HOSTILE {
        let path = scene.scratch.file(&format!("hostile{source}.json"));
        write!(
            text,
            "[source.hostile{source}.file]\npath = {path:?}\nformat = \"json\"\ninterval = \"200ms\"\n"
        )
        .unwrap();
        for service in 0..SERVICES {
            writeln!(text, "[service.hostile{source}-{service}]\nweight = \"50\"").unwrap();
            for rule in 0..5 {
                writeln!(
                    text,
                    "[[service.hostile{source}-{service}.rule]]\nname = \"r{rule}\"\n\
                     when = \"hostile{source}.json.list.exists(x, x.a == {service} + {rule} + 2.0)\"\n\
                     reply = \"down\""
                )
                .unwrap();
            }
        }
    }
    for service in 0..HONEST {
        text.push_str(&scene.number(&format!("honest{service}"), "60"));
        writeln!(
            text,
            "[service.honest{service}]\nweight = \"honest{service}.value\"\nfresh_for = \"4s\""
        )
        .unwrap();
    }
    text
}

#[test]
fn hostile_applications_delay_no_honest_service() {
    let mut scene = Scene::new("hostile");
    for source in 0..HOSTILE {
        scene.put(&format!("hostile{source}.json"), &document());
    }
    scene.configure(&configuration(&scene));
    scene.start();
    for service in 0..HONEST {
        scene.wait_for_reply(&format!("honest{service}"), "up 60% ");
    }
    // Costly services are evaluated.
    scene.wait_for_log("it continues on a separate thread");
    let mut stale = Vec::new();
    for check in 0..CHECKS {
        for service in 0..HONEST {
            let name = format!("honest{service}");
            let plan: Plan = scene.wait_for_plan(&name, |_| true);
            if plan.until < now() {
                stale.push((check, name));
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let status = format!("/proc/{}/status", scene.process().pid());
    let status = std::fs::read_to_string(status).unwrap();
    println!(
        "attack: {HOSTILE} hostile applications, {CHECKS} checks of {HONEST} services, {} stale; {:?}",
        stale.len(),
        status.lines().find(|line| line.starts_with("VmHWM"))
    );
    assert!(stale.is_empty(), "stale replies: {stale:?}");
    // A change reaches an honest service while the hostile ones continue.
    scene.put("honest0", "20");
    scene.wait_for_reply("honest0", "up 20% ");
    // The hostile services have replies, too, as fast as the machine allows.
    let has_reply = |source| scene.states.file(&format!("hostile{source}-0")).exists();
    let has_reply = || (0..HOSTILE).any(has_reply);
    wait_until("a reply of a hostile application", has_reply);
}
