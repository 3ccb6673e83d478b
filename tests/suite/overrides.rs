//! Overrides with the real programs: commands, files, restarts, a real `HAProxy`.

mod balancer;
mod commands;
mod history;
mod orders;
mod persistence;

use agentcheck_tests::scene::Scene;

/// A collector that polls so rarely that nothing changes but by a command. Its services are `web` and `api`, at 73%
/// and 50%; `keys` are keys of both.
fn operated(name: &str, keys: &str) -> Scene {
    operated_polling(name, keys, "1h")
}

/// The same, polling every so often.
fn operated_polling(name: &str, keys: &str, every: &str) -> Scene {
    let mut scene = Scene::new(name);
    let _ = scene.overrides();
    let mut text = format!("maintenance_file = {:?}\n", scene.scratch.file("all-out"));
    for (source, number) in [("web", "73"), ("api", "50"), ("sessions", "5")] {
        text.push_str(&format!(
            "[source.{source}_number.file]\npath = {:?}\nformat = \"number\"\ninterval = \"{every}\"\n\
             jitter = \"0s\"\n",
            scene.scratch.write(source, number)
        ));
    }
    for service in ["web", "api"] {
        text.push_str(&format!(
            "[service.{service}]\nweight = \"{service}_number.value\"\n\
             maintenance_file = {:?}\n{keys}\n\
             [[service.{service}.rule]]\nname = \"none\"\nwhen = \"sessions_number.value < 0\"\n\
             reply = \"down\"\n",
            scene.scratch.file(&format!("{service}-out"))
        ));
    }
    scene.configure(&text);
    start(&mut scene);
    scene.wait_for_reply("web", "up 73% ");
    scene
}

/// Starts a collector, and waits until it has written a reply of `web`.
fn start(scene: &mut Scene) {
    let after = agentcheck_tests::state::now();
    scene.start();
    scene.wait_for_plan("web", |plan| plan.from > after);
}
