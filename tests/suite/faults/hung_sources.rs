//! Sources that hang: they delay no other source, and no other service.

use agentcheck_tests::address::Block;
use agentcheck_tests::application::Application;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::processes::{run, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::process::Command;

#[test]
fn a_hung_source_delays_no_other() {
    let scratch = Scratch::new("hung");
    let block = Block::claim();
    let states = StateDirectory::at(scratch.directory("state"));
    let live = Application::start(block.address(8081), 1890);
    let hung = Application::start(block.address(8081), 1890);
    hung.hangs();
    let dripping = Application::start(block.address(8081), 1890);
    // More bytes than a poll's whole timeout has room for, at 50 ms each.
    dripping.drips(1890, &"x".repeat(2_000));
    let fifo = scratch.file("fifo");
    run(Command::new("mkfifo").arg(&fifo));
    let started = scratch.file("started");

    let configuration = format!(
        r#"
[source.live.http]
url = "{live}"
format = "json"
every = "100ms"
timeout = "1s"

[source.hung.http]
url = "{hung}"
format = "json"
every = "100ms"
timeout = "1m"

[source.dripping.http]
url = "{dripping}"
format = "json"
every = "100ms"
timeout = "1m"

[source.asleep.command]
argv = ["/bin/sh", "-c", "echo >> {started}; exec sleep 1000"]
format = "number"
every = "100ms"
timeout = "1m"

[source.fifo.file]
path = "{fifo}"
format = "number"
every = "100ms"
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
    let configuration = scratch.write("agentcheck.toml", configuration);
    let mut collector = Collector::start(&scratch, "collector", &configuration, &states);
    collector.wait_for_plan(&states, "live", |plan| plan.fresh.starts_with("up 73% "));
    wait_until("the others to be asked", || {
        hung.requests() == 1 && dripping.requests() == 1 && started.exists()
    });

    for (messages, said) in [(700, "up 90% "), (3500, "up 50% "), (0, "up 100% ")] {
        live.wait_for_requests(10);
        live.reports(messages, "ok");
        collector.wait_for_plan(&states, "live", |plan| plan.fresh.starts_with(said));
    }
    // A FIFO is no file to wait for: the poll fails at once.
    let fifo = collector.wait_for_plan(&states, "fifo", |_| true);
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
    // And nobody has answered for them.
    for service in ["hung", "dripping", "asleep"] {
        assert!(!states.file(service).exists(), "{service}");
    }
}
