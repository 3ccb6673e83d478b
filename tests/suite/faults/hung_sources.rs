//! Hung sources delay no other source and no other service.

use agentcheck_tests::application::Application;
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scene::Scene;
use std::process::Command;

#[test]
fn hung_source_delays_no_other() {
    let mut scene = Scene::new("hung");
    let block = &scene.block;
    let live = Application::start(block.address(8081), 1890);
    let hung = Application::start(block.address(8081), 1890);
    hung.hang();
    let dripping = Application::start(block.address(8081), 1890);
    // More bytes than a poll's whole timeout has room for, at 50 ms each.
    dripping.drip(1890, &"x".repeat(2_000));
    let fifo = scene.scratch.file("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let started = scene.scratch.file("started");

    let configuration = format!(
        r#"
[source.live.http]
url = "{live}"
format = "json"
interval = "100ms"
timeout = "1s"

[source.hung.http]
url = "{hung}"
format = "json"
interval = "100ms"
timeout = "1m"

[source.dripping.http]
url = "{dripping}"
format = "json"
interval = "100ms"
timeout = "1m"

[source.asleep.command]
argv = ["/bin/sh", "-c", "echo >> {started}; exec sleep 1000"]
format = "number"
interval = "100ms"
timeout = "1m"

[source.fifo.file]
path = "{fifo}"
format = "number"
interval = "100ms"
timeout = "1m"

[service.live]
weight = "headroom(live.json['msg-per-second'], 7000)"
fresh_for = "4s"

[service.hung]
weight = "min(headroom(live.json['msg-per-second'], 7000), hung.json.weight)"

[service.dripping]
weight = "dripping.json.weight"

[service.asleep]
weight = "asleep.value"

[service.fifo]
weight = "fifo.value"
on_failure = "floor"
"#,
        live = live.url(),
        hung = hung.url(),
        dripping = dripping.url(),
        started = started.display(),
        fifo = fifo.display()
    );
    scene.configure(&configuration);
    scene.start();
    scene.wait_for_reply("live", "up 73% ");
    wait_until("the others to be asked", || {
        hung.requests() == 1 && dripping.requests() == 1 && started.exists()
    });

    for (messages, printed) in [(700, "up 90% "), (3500, "up 50% "), (0, "up 100% ")] {
        live.wait_for_requests(10);
        live.set_load(messages, "ok");
        scene.wait_for_reply("live", printed);
    }
    // A FIFO is no file to wait for: the poll fails at once.
    let fifo = scene.wait_for_reply("fifo", "");
    assert_eq!(fifo.fresh, "up 1% # fifo other");

    // The live one was asked all the while in which the first poll of each of the others went on.
    let commands = std::fs::read_to_string(&started).unwrap();
    println!(
        "{} polls of the live source during one of each that hangs",
        live.requests()
    );
    assert!(live.requests() >= 30);
    assert_eq!(hung.requests(), 1);
    assert_eq!(dripping.requests(), 1);
    assert_eq!(commands.lines().count(), 1);
    // The services without a reading have no reply.
    for service in ["hung", "dripping", "asleep"] {
        assert!(!scene.states.file(service).exists(), "{service}");
    }
}
