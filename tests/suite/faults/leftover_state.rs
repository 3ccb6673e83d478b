//! State files that a starting collector finds. It continues from those of this boot, and nothing uses those of
//! another boot.

use agentcheck_tests::collector::Herald;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::{StateDirectory, boot_id, now};
use std::time::Duration;

const HEALTHY: &str = "up 73% # app_web.msg-per-second=1890";

/// A collector that starts where state files exist already, its application down, and a responder.
fn scene(test: &str, leave_behind: impl FnOnce(&StateDirectory)) -> Scene {
    let mut scene = Scene::new(test);
    let application = scene.serve(1890);
    application.stop();
    let mut service = Herald::new("web", &application.url());
    // Long enough for a restart and a poll that times out on a busy machine.
    service.fresh_for = "8s";
    scene.configure(&Herald::configuration(&[service]));
    leave_behind(&scene.states);
    scene.start();
    scene.respond(&["web"]);
    scene
}

fn received(scene: &Scene) -> Received {
    probe(scene.agent, b"").unwrap()
}

/// Waits until the collector has logged that its application is down.
fn wait_for_the_failure(scene: &mut Scene) {
    scene.wait_for_log("refused");
}

/// Waits until the collector has written this reply, and checks that the responder sends it.
fn wait_for(scene: &mut Scene, line: &str) {
    scene.wait_for_plan("web", |plan| plan.fresh == line);
    assert_eq!(received(scene), Received::line(line));
}

#[test]
fn state_of_another_boot_is_refused_and_replaced() {
    let mut scene = scene("foreign", |states| {
        let other = boot_id().to_string();
        let other = other.replace(|digit: char| digit.is_ascii_hexdigit(), "7");
        let from = now();
        let until = from.after(Duration::from_secs(3600));
        let file = format!(
            "agentcheck 1 web\nboot {other}\nfrom {from}\nuntil {until} down 100%\nthen down 100%\n"
        );
        states.write_file("web", file.as_bytes());
        // Its rule states are foreign, too: a collector that used them would send maint.
        let status = format!(
            r#"{{"version":1,"boot":"{other}","pid":1,"started":1,"at":{from},"sources":{{}},
            "services":{{"web":{{"reply":"down 100%","rules":[{{"name":"maint",
            "when":"app_web.json.state == 'maint'","held":true,"of":{from}}}]}}}}}}"#
        );
        std::fs::write(states.path().join("status.json"), status).unwrap();
    });
    assert_eq!(received(&scene), Received::line("other-boot:web"));
    wait_for_the_failure(&mut scene);
    // `on_failure` is `keep`, and there is no reply to keep.
    assert_eq!(received(&scene), Received::line("other-boot:web"));
    scene.application().restart();
    wait_for(&mut scene, HEALTHY);
}

#[test]
fn state_from_the_future_is_refused_and_replaced() {
    let mut scene = scene("future", |states| {
        let (boot, from) = (boot_id(), now().after(Duration::from_secs(3600)));
        let file = format!("agentcheck 1 web\nboot {boot}\nfrom {from}\nthen down 100%\n");
        states.write_file("web", file.as_bytes());
    });
    assert_eq!(received(&scene), Received::line("future:web"));
    wait_for_the_failure(&mut scene);
    assert_eq!(received(&scene), Received::line("future:web"));
    scene.application().restart();
    wait_for(&mut scene, HEALTHY);
}

#[test]
fn state_of_this_boot_is_kept_until_the_first_reading() {
    let mut scene = scene("own", |states| states.set_reply("web", "up 42% # stale"));
    wait_for(&mut scene, "up 42% # kept: app_web refused");
    scene.application().restart();
    wait_for(&mut scene, HEALTHY);
}

/// Taken out by a rule, the collector killed, the application silent, a new collector: it has nothing to
/// go by but what the first one left, and the server stays out.
#[test]
fn server_in_maintenance_stays_out_over_a_restart() {
    let mut scene = scene("taken-out", |_| {});
    scene.application().set_load(1890, "maint");
    scene.application().restart();
    wait_for(&mut scene, "stopped 100% # maintenance rule=maint");
    scene.wait_for_snapshot("the rule", |status| {
        status.to_string().contains("\"active\":true")
    });
    let agent = scene.agent;
    let prober = Prober::start(Duration::from_millis(10), move || probe(agent, b""));

    scene.application().hang();
    scene.kill();
    scene.start_as("again", |_| {});
    // At first the rule's last state stays valid, then the last reply.
    wait_for(
        &mut scene,
        "stopped 100% # maintenance rule=maint kept: app_web timeout",
    );
    wait_for(
        &mut scene,
        "stopped 100% # maintenance kept: app_web timeout",
    );
    let samples = prober.samples();
    for sample in &samples {
        assert!(sample.line.starts_with("stopped 100% "), "{sample:?}");
    }
    println!("{} answers, all of them stopped", samples.len());
    scene.application().set_load(1890, "ok");
    wait_for(&mut scene, HEALTHY);
}
