//! Both programs with the system calls of Linux 3.10 only: a filter answers ENOSYS to every newer one.

use agentcheck_tests::address::is_listening;
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, program, run, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::responder::arguments;
use agentcheck_tests::scene::{Scene, wrap};
use std::process::Command;

/// Runs a command with the filter.
fn on_linux_3_10(command: &mut Command) {
    let script = binaries::workspace().join("tests/harness/linux-3.10.py");
    let script = script.to_str().expect("a path in UTF-8");
    wrap(command, program("python3", "python3"), &[script]);
}

#[test]
fn filter_refuses_newer_system_calls() {
    let mut command = Command::new(program("strace", "strace"));
    command.args(["-qq", "-e", "trace=statx", "stat", "/"]);
    on_linux_3_10(&mut command);
    let output = command.output().unwrap();
    let trace = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && trace.contains("ENOSYS"),
        "{output:?}"
    );
}

#[test]
fn both_programs_work_with_the_system_calls_of_linux_3_10() {
    let mut scene = Scene::new("linux-3.10");
    let application = scene.serve(1890);
    let (url, address) = (application.url(), application.address());
    let text = scene.number("load", "20")
        + &format!(
            "[source.app.http]\nurl = \"{url}\"\nformat = \"json\"\ninterval = \"100ms\"\n\
             [source.port.tcp]\naddress = \"{address}\"\ninterval = \"100ms\"\n\
             [source.echo.command]\nargv = [\"/bin/echo\", \"1\"]\nformat = \"number\"\ninterval = \"100ms\"\n\
             [source.hung.command]\nargv = [\"/bin/sleep\", \"60\"]\ninterval = \"100ms\"\ntimeout = \"100ms\"\n"
        )
        + &["cpu", "memory", "load", "disk", "connections", "processes"]
            .map(|metric| {
                let keys = match metric {
                    "disk" => "path = \"/\"\n",
                    "connections" => "port = 3333\n",
                    "processes" => "name = \"sh\"\n",
                    _ => "",
                };
                format!("[source.host_{metric}.system]\nmetric = \"{metric}\"\n{keys}interval = \"100ms\"\n")
            })
            .concat();
    let service = "[service.web]\nweight = \"(app.ok && port.ok && echo.ok && !hung.ok && host_cpu.ok && host_memory.ok && host_load.ok \
                   && host_disk.ok && host_connections.ok && host_processes.ok) ? 100 - load.value : 1\"\n";
    scene.configure(&(text.clone() + service));
    let _ = scene.overrides();
    scene.start_as("collector", on_linux_3_10);
    scene.wait_for_reply("web", "up 80% ");

    let mut responder = Command::new(binaries::responder());
    responder
        .args(arguments(&scene.states, &["web"]))
        .arg("--listen")
        .arg(scene.agent.to_string());
    on_linux_3_10(&mut responder);
    let _responder = Running::start(&scene.scratch, "responder", &mut responder);
    wait_until("the responder to listen", || is_listening(scene.agent));
    let received = probe(scene.agent, b"").unwrap();
    assert!(received.text().starts_with("up 80%"), "{received:?}");
    let mut single = Command::new(binaries::responder());
    single.args(arguments(&scene.states, &["web"]));
    on_linux_3_10(&mut single);
    assert_eq!(Received::line(run(&mut single).trim()), received);

    // Overrides, the status and a reload need directories, inotify, sockets and signals.
    let filtered = |mut command: Command| {
        on_linux_3_10(&mut command);
        run(&mut command)
    };
    filtered(scene.operator_command(&["drain", "web"]));
    scene.wait_for_reply("web", "up 0% ");
    filtered(scene.operator_command(&["resume", "web"]));
    scene.wait_for_reply("web", "up 80% ");
    assert!(filtered(scene.command(&["status"])).contains("up 80%"));
    scene.configure(&(text + &service.replace("100 -", "60 -")));
    filtered(scene.command(&["reload"]));
    scene.wait_for_reply("web", "up 40% ");
}
