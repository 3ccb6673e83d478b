//! Services that a reload removes: their release reply restores the server, and then their state file is removed.
//! A change of the style of replies is logged.

use super::service;
use agentcheck_tests::collector::Plan;
use agentcheck_tests::messages::{ADMIN_STATE_MANAGED, STATE_FILE_REMOVED};
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::scene::Scene;
use std::time::Duration;

/// Drained above 90, with the words of an owner of the administrative state.
fn owned(name: &str) -> String {
    service(name, "a")
        + "admin_state = \"manage\"\n"
        + &format!(
            "[[service.{name}.rule]]\nname = \"full\"\nwhen = \"a.value > 90\"\nreply = \"drain\"\n"
        )
}

/// Whether a state file has the release reply of a service, for a minute.
fn is_last_word(plan: &Plan) -> bool {
    let printed = "up ready 100% # removed from the configuration";
    let span = plan.until.since(plan.from);
    plan.fresh == printed && plan.then == printed && span == Duration::from_secs(60)
}

#[test]
fn removed_service_releases_its_drain_and_its_state_file() {
    let mut scene = Scene::with("removed", |scene| {
        scene.number("a", "20") + &service("web", "a") + &owned("old")
    });
    let all = std::fs::read_to_string(&scene.configuration).unwrap();
    let without = scene.number("a", "20") + &service("web", "a");
    scene.wait_for_reply("web", "up 80% ");
    scene.put("a", "95");
    scene.wait_for_reply("old", "up drain 100% ");
    let printed = scene.reload(&without);
    assert!(printed.contains("; removed old\n"), "{printed}");
    let last = scene.wait_for_reply("old", "up ready ");
    assert!(is_last_word(&last), "{last:?}");

    // The service returns within the minute: the collector writes its replies again.
    scene.reload(&all);
    scene.wait_for_reply("old", "up drain 100% ");
    scene.reload(&without);
    scene.wait_for_reply("old", "up ready ");

    // A collector that starts meanwhile continues the release. The test moves its end, so that it need not wait.
    let file = scene.states.path().join("status.json");
    let mut status = scene.wait_for_snapshot("the removal", |status| {
        status["pending_removals"]["old"].is_u64()
    });
    scene.kill();
    status["pending_removals"]["old"] = 1.into();
    std::fs::write(&file, status.to_string()).unwrap();
    scene.start_as("second", |_| {});
    wait_until("the state file to be removed", || {
        !scene.states.file("old").exists()
    });
    assert!(scene.states.file("web").exists());
    let removed = STATE_FILE_REMOVED;
    scene.wait_for_log(removed);
}

#[test]
fn service_removed_without_collector_is_released_at_the_next_start() {
    let mut scene = Scene::with("restart", |scene| {
        scene.number("a", "20") + &service("web", "a") + &owned("old")
    });
    scene.wait_for_reply("web", "up 80% ");
    scene.put("a", "95");
    scene.wait_for_reply("old", "up drain 100% ");
    // Another program's: a script may write a state file, too.
    let foreign = scene.states.file("foreign");
    let text = std::fs::read_to_string(scene.states.file("web")).unwrap();
    std::fs::write(
        &foreign,
        text.replace("agentcheck 1 web", "agentcheck 1 foreign"),
    )
    .unwrap();
    scene.kill();
    scene.configure(&(scene.number("a", "20") + &service("web", "a")));
    scene.start_as("second", |_| {});
    let last = scene.wait_for_reply("old", "up ready ");
    assert!(is_last_word(&last), "{last:?}");
    assert!(foreign.exists());
    let log = scene.wait_for_log("web: up 5%");
    assert!(!log.contains("foreign"), "{log}");
}

#[test]
fn changed_admin_state_is_logged() {
    let mut scene = Scene::with("wording", |scene| scene.number("a", "20") + &owned("web"));
    let (a, owned) = (scene.number("a", "20"), owned("web"));
    scene.wait_for_reply("web", "up ready 80% ");
    let shared = owned.replace("manage", "preserve");
    scene.reload(&format!("{a}{shared}"));
    scene.wait_for_reply("web", "up 80% ");
    let release = "agentcheck ready web\n";
    scene.wait_for_log(release);
    scene.reload(&format!("{a}{owned}"));
    let owner = ADMIN_STATE_MANAGED;
    scene.wait_for_log(owner);
}
