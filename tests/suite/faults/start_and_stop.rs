//! Start and end of a collector: when it refuses to start, and what its end leaves behind.

use agentcheck_tests::application::Application;
use agentcheck_tests::collector::{Collector, Herald};
use agentcheck_tests::messages::ANOTHER_COLLECTOR;
use agentcheck_tests::processes::{NOBODY, output, wait_for, wait_until};
use agentcheck_tests::scene::{Scene, stderr};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use rustix::process::Signal;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

#[test]
fn second_collector_refuses_to_start_and_names_the_first() {
    let mut scene = Scene::new("second");
    let service = Herald::new("web", &scene.serve(1890).url());
    scene.configure(&Herald::configuration(&[service]));
    scene.start();
    scene.wait_for_reply("web", "up 73% ");

    let printed = scene.fails(&["collect"]);
    let expected = format!("process {}{ANOTHER_COLLECTOR}", scene.process().pid());
    assert!(printed.contains(&expected), "{printed}");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 1, "{printed}");

    // The first collector has not noticed. After its end another may start.
    scene.wait_for_new_reply("web", "");
    scene.kill();
    scene.start_as("third", |_| {});
    scene.wait_for_new_reply("web", "");
}

#[test]
fn signal_ends_collector_and_its_commands() {
    let signals = [("term", Signal::TERM), ("int", Signal::INT)];
    for (name, signal) in signals {
        let mut scene = Scene::new(name);
        let pids = scene.scratch.file("pids");
        let hung = scene.serve(1890);
        hung.hang();
        let text = polling(&pids, hung);
        scene.configure(&text);
        scene.start();
        let running = wait_for("the command and its child to run", || {
            let text = std::fs::read_to_string(&pids).map_err(|error| error.to_string())?;
            let pids: Vec<u32> = text.lines().filter_map(|pid| pid.parse().ok()).collect();
            if pids.len() == 2 && pids.iter().all(|pid| is_alive(*pid)) {
                Ok(pids)
            } else {
                Err(text)
            }
        });
        scene.wait_for_reply("web", "");
        wait_until("the application that hangs to be asked", || {
            scene.application().requests() == 1
        });

        // Far sooner than either of these polls would end.
        scene.process().signal(signal);
        let status = scene.process().wait_for_exit();
        assert_eq!(status.code(), Some(0), "{}", scene.process().log());
        // They were killed before it ended; their new parent may take a moment to reap them.
        wait_until("the killed processes to end", || {
            running.iter().all(|pid| !is_alive(*pid))
        });
        println!("{name}: ended with 0, and processes {running:?} with it");
        let log = scene.process().log();
        assert!(!log.contains("panic"), "{log}");
    }
}

/// A command that never ends, with a child that never ends; an application that never answers; and a
/// source that works beside them.
fn polling(pids: &Path, hung: &Application) -> String {
    let (pids, url) = (pids.display(), hung.url());
    format!(
        r#"
[source.slow.command]
format = "number"
argv = ["/bin/sh", "-c", "sleep 1000 & echo $! > {pids}.part; echo $$ >> {pids}.part; mv {pids}.part {pids}; wait"]
timeout = "10m"
interval = "1s"

[source.hung.http]
url = "{url}"
format = "number"
timeout = "10m"

[source.load.system]
metric = "load"

[service.web]
weight = "headroom(load.value, 1000)"

[service.slow]
weight = "min(slow.value, hung.value)"
"#
    )
}

/// Whether the process is there, and not only its exit status.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

#[test]
fn unusable_state_directory_is_an_error_with_its_reason() {
    let scratch = Scratch::new("nowhere");
    let configuration = scratch.write(
        "agentcheck.toml",
        Herald::configuration(&[Herald::new("web", "http://127.0.0.1:9/")]),
    );
    let not_a_directory = scratch.write("file", "");
    let not_ours = scratch.directory("not-ours");
    let cases = [
        (scratch.file("missing"), "No such file or directory"),
        (not_a_directory, "Not a directory"),
        (not_ours.clone(), "Permission denied"),
    ];
    for (directory, reason) in cases {
        let states = StateDirectory::at(directory.clone());
        let mut command = Collector::command(&["collect"], &configuration, &states);
        command.uid(NOBODY).gid(NOBODY);
        let printed = stderr(output(&mut command));
        let path = directory.display().to_string();
        assert!(
            printed.contains(reason) && printed.contains(&path),
            "{printed}"
        );
        assert_eq!(printed.lines().count(), 1, "{printed}");
        print!("{printed}");
    }
    assert_eq!(std::fs::read_dir(not_ours).unwrap().count(), 0);
}
