//! The watchdog is fed by progress: a loop that is stuck is ended and started again, a source that hangs
//! changes nothing.

use super::{COLLECTOR, Host, Tree};
use agentcheck_tests::address::Block;
use agentcheck_tests::application::Application;
use agentcheck_tests::processes::{Running, program, wait_for, wait_until};
use agentcheck_tests::state::now;
use std::process::Command;

/// The period in the tests, in seconds: the unit's own would be long to wait for.
const PERIOD: u64 = 4;

/// A collector of two services, each with an application of its own.
struct Watched {
    host: Host,
    live: Application,
    hung: Application,
    _block: Block,
}

impl Watched {
    fn start(test: &str) -> Self {
        let block = Block::claim();
        let live = Application::start(block.address(8081), 1890);
        let hung = Application::start(block.address(8081), 1890);
        let tree = Tree::installed(test);
        tree.drop_in(COLLECTOR, &format!("[Service]\nWatchdogSec={PERIOD}\n"));
        tree.configuration(&format!(
            r#"
[source.live.http]
url = "{live}"
format = "json"
interval = "200ms"
timeout = "1s"

[source.hung.http]
url = "{hung}"
format = "json"
interval = "200ms"
timeout = "1h"

[source.asleep.command]
argv = ["/bin/sleep", "1000000"]
format = "number"
interval = "200ms"
timeout = "1h"

[source.fifo.file]
path = "/etc/agentcheck/fifo"
format = "number"
interval = "200ms"
timeout = "1h"

[service.live]
weight = "headroom(live.json['msg-per-second'], 7000)"

[service.others]
weight = "hung.json['msg-per-second'] + asleep.value + fifo.value"
"#,
            live = live.url(),
            hung = hung.url()
        ));
        let host = tree.boot();
        host.systemd.run(&["mkfifo", "/etc/agentcheck/fifo"]);
        Self {
            host,
            live,
            hung,
            _block: block,
        }
    }

    fn process(&self) -> String {
        self.host.property(COLLECTOR, "MainPID")
    }

    /// When the watchdog was fed last, in microseconds.
    fn fed(&self) -> u64 {
        let fed = self.host.property(COLLECTOR, "WatchdogTimestampMonotonic");
        fed.parse().unwrap()
    }

    /// Waits until systemd has noticed, ended it and started another one, which works.
    fn another_takes_over(&self, first: &str) {
        wait_for("another collector", || {
            let (pid, state) = (self.process(), self.host.property(COLLECTOR, "ActiveState"));
            let other = pid != first && pid != "0" && state == "active";
            other.then_some(()).ok_or(format!("{state}, {pid}"))
        });
        for text in ["Watchdog timeout", "status=6/ABRT"] {
            self.host.systemd.wait_for_journal(COLLECTOR, text);
        }
        assert_eq!(self.host.property(COLLECTOR, "NRestarts"), "1");
        self.host.continues_writing("live");
        self.live.set_load(700, "ok");
        self.host.wait_for_reply("live", "up 90% ");
    }
}

#[test]
fn hung_source_triggers_no_watchdog_restart() {
    let watched = Watched::start("hung");
    let Watched {
        host, live, hung, ..
    } = &watched;
    hung.hang();
    host.start(&[COLLECTOR]);
    wait_until("the source that hangs to be asked", || hung.requests() == 1);
    host.wait_for_reply("live", "up 73% ");
    let (process, begun) = (watched.process(), watched.fed());
    for (messages, line) in [(700, "up 90% "), (3500, "up 50% "), (0, "up 100% ")] {
        let enough = watched.fed() + PERIOD * 1_000_000;
        wait_for("the watchdog to be fed for a whole period", || {
            let fed = watched.fed();
            (fed > enough).then_some(()).ok_or(fed)
        });
        live.set_load(messages, "ok");
        host.wait_for_reply("live", line);
    }
    println!("fed for {} ms", (watched.fed() - begun) / 1_000);
    assert_eq!(watched.process(), process);
    assert_eq!(host.property(COLLECTOR, "NRestarts"), "0");
    assert_eq!(hung.requests(), 1, "the same poll hangs all the while");
}

/// Its threads poll as before, and the main loop takes no reading.
#[test]
fn watchdog_restarts_a_stuck_loop() {
    let watched = Watched::start("stuck");
    let Watched { host, live, .. } = &watched;
    host.start(&[COLLECTOR]);
    host.wait_for_reply("live", "up 73% ");
    let first = watched.process();
    // The loop is the process's first thread: each of its system calls from now on takes an hour.
    let thread = host.systemd.outside(&first).to_string();
    let strace = Running::start(
        &host.scratch,
        "strace",
        Command::new(program("strace", "strace"))
            .args(["-o", "/dev/null", "-p", &thread])
            .args(["-e", "inject=all:delay_enter=3600s"]),
    );
    strace.wait_for_log("attached");
    live.wait_for_requests(2);
    let killed = format!("Killing process {first} (agentcheck) with signal SIGABRT");
    host.systemd.wait_for_journal(COLLECTOR, &killed);
    // A traced process stays until its tracer has read its exit status.
    drop(strace);
    watched.another_takes_over(&first);
}

/// A turn over all services takes longer than the watchdog's period, and each that is written is progress.
#[test]
fn slow_disk_triggers_no_watchdog_restart() {
    let tree = Tree::installed("slow-disk");
    tree.drop_in(COLLECTOR, &format!("[Service]\nWatchdogSec={PERIOD}\n"));
    tree.file("etc/agentcheck/load", "20");
    let mut text =
        "[source.load.file]\npath = \"/etc/agentcheck/load\"\nformat = \"number\"\ninterval = \"1s\"\n"
            .to_owned();
    let names: Vec<String> = (10..30).map(|number| format!("web{number}")).collect();
    for name in &names {
        text.push_str(&format!(
            "[service.{name}]\nweight = \"100 - load.value\"\nfresh_for = \"1m\"\n"
        ));
    }
    tree.configuration(&text);
    let host = tree.boot();
    host.start(&[COLLECTOR]);
    let (first, last) = (&names[0], &names[names.len() - 1]);
    host.wait_for_reply(last, "up 80% ");
    let process = host.property(COLLECTOR, "MainPID");
    let strace = Running::start(
        &host.scratch,
        "strace",
        Command::new(program("strace", "strace"))
            .args(["-o", "/dev/null", "-e", "trace=renameat", "-p"])
            .arg(host.systemd.outside(&process).to_string())
            .args(["-e", "inject=renameat:delay_enter=250000"]),
    );
    strace.wait_for_log("attached");
    host.continues_writing(first);
    let begun = now();
    host.continues_writing(last);
    println!(
        "a turn of {} ms under a watchdog of {PERIOD} s",
        now().since(begun).as_millis()
    );
    assert_eq!(host.property(COLLECTOR, "MainPID"), process);
    assert_eq!(host.property(COLLECTOR, "NRestarts"), "0");
}

/// SIGABRT alone would not end a process that is stopped.
#[test]
fn watchdog_restarts_a_stopped_collector() {
    let watched = Watched::start("stopped");
    watched.host.start(&[COLLECTOR]);
    watched.host.wait_for_reply("live", "up 73% ");
    let first = watched.process();
    watched
        .host
        .systemd
        .run(&["sh", "-c", &format!("kill -STOP {first}")]);
    watched.another_takes_over(&first);
}
