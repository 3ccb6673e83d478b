//! The command source with real processes, most of them unruly.

mod options;

use super::super::stopped;
use super::*;
use crate::reading::Content;
use rustix::process::{Pid, Signal};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// Long enough for any machine to run a small program.
const AMPLE: Duration = Duration::from_secs(30);
/// The timeout of commands that would run for a minute, and the bound that proves they did not.
const SHORT: Duration = Duration::from_millis(300);
const NOT_BLOCKED: Duration = Duration::from_secs(20);

fn command(argv: &[&str]) -> Command {
    Command {
        max_bytes: 1000,
        ..Command::new(argv)
    }
}

fn shell(script: &str) -> Command {
    command(&["sh", "-c", script])
}

/// Polls once, and proves that nothing blocked it.
fn poll(command: Command, timeout: Duration) -> Found {
    let started = Instant::now();
    let found = Runner::new(command).poll(Deadline::within(timeout), &Cancellation::new());
    assert!(started.elapsed() < NOT_BLOCKED, "blocked: {found:?}");
    found
}

fn failure(found: &Found) -> Failure {
    found.outcome.clone().expect_err("a failure")
}

/// A path in the temporary directory for this test alone, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("agentcheck-command-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn show(&self) -> std::path::Display<'_> {
        self.0.display()
    }

    /// The process ids in the file, once there are `count` of them.
    fn ids(&self, count: usize) -> Vec<i32> {
        let started = Instant::now();
        loop {
            let text = fs::read_to_string(&self.0).unwrap_or_default();
            if text.ends_with('\n') && text.lines().count() == count {
                return text.lines().map(|id| id.parse().unwrap()).collect();
            }
            assert!(started.elapsed() < NOT_BLOCKED, "only {text:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether a process runs; a zombie does not.
fn runs(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

fn assert_gone(ids: &[i32]) {
    let started = Instant::now();
    while ids.iter().any(|&id| runs(id)) {
        assert!(started.elapsed() < NOT_BLOCKED, "still there: {ids:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Polls a script that writes `count` process ids, one per line, to `F`, and would then run for a minute. A
/// slow machine gets more time.
fn poll_until_killed(name: &str, script: &str, count: usize) -> (Found, Vec<i32>) {
    for seconds in [1, 5, 15] {
        let file = Scratch::new(name);
        let script = script.replace('F', &file.show().to_string());
        let found = poll(shell(&script), Duration::from_secs(seconds));
        let ids: Vec<i32> = fs::read_to_string(&file.0)
            .unwrap_or_default()
            .lines()
            .map(|id| id.parse().unwrap())
            .collect();
        assert_eq!(
            failure(&found).to_string(),
            format!("timeout: not finished within {seconds}s")
        );
        if ids.len() == count {
            return (found, ids);
        }
    }
    panic!("{script} did not write its ids in 15 s");
}

#[test]
fn text_number_and_json() {
    let text = poll(command(&["echo", "up"]), AMPLE);
    assert_eq!(text.outcome, Ok(Content::Text));
    assert_eq!((text.exit, text.status), (Some(0), None));
    assert_eq!(text.text.as_deref(), Some("up\n"));

    let reads = Reads::Format(Format::Number);
    let number = Command {
        reads,
        ..command(&["echo", "4.5"])
    };
    assert_eq!(poll(number, AMPLE).outcome, Ok(Content::Number(4.5)));

    let reads = Reads::Format(Format::Json);
    let json = Command {
        reads,
        ..command(&["echo", "[1]"])
    };
    let value = serde_json::json!([1]);
    assert_eq!(poll(json, AMPLE).outcome, Ok(Content::Json(value)));

    let apples = Command {
        reads: Reads::Format(Format::Number),
        ..command(&["echo", "5 apples"])
    };
    let found = poll(apples, AMPLE);
    assert_eq!(failure(&found).reason, Reason::Malformed);
    assert_eq!(
        (found.exit, found.text.as_deref()),
        (Some(0), Some("5 apples\n"))
    );
}

#[test]
fn arguments_pass_without_a_shell_and_input_is_empty() {
    let line = "$HOME `id` ; exit 3 | * \"";
    let found = poll(command(&["printf", "%s", line]), AMPLE);
    assert_eq!(found.text.as_deref(), Some(line));
    assert_eq!(poll(command(&["cat"]), AMPLE).text.as_deref(), Some(""));
}

#[test]
fn command_leads_its_group_and_inherits_the_environment() {
    // Fields 1 and 5 of its own stat are its process id and its group.
    let own = "read id rest < /proc/self/stat; set -- $rest; echo $(($4 == $$)) ${PATH:+path}";
    assert_eq!(poll(shell(own), AMPLE).text.as_deref(), Some("1 path\n"));
}

#[test]
fn exit_status_comes_with_output_and_last_error_line() {
    let found = poll(
        shell("echo lagging; echo one >&2; echo 'two\tx' >&2; exit 3"),
        AMPLE,
    );
    assert_eq!(failure(&found).to_string(), "exit: status 3: two x");
    assert_eq!(
        (found.exit, found.text.as_deref()),
        (Some(3), Some("lagging\n"))
    );
    let silent = poll(command(&["false"]), AMPLE);
    assert_eq!(failure(&silent).to_string(), "exit: status 1");
    assert_eq!(silent.text.as_deref(), Some(""));
}

#[test]
fn signal_is_reported() {
    let found = poll(shell("echo half; kill -TERM $$"), AMPLE);
    assert_eq!(failure(&found).to_string(), "signal: signal 15");
    assert_eq!((found.exit, found.text.as_deref()), (None, Some("half\n")));
}

#[test]
fn programs_that_cannot_start() {
    let missing = failure(&poll(command(&["/no/such/program"]), AMPLE));
    assert_eq!(missing.reason, Reason::Missing);
    assert!(
        missing.detail.starts_with("\"/no/such/program\": "),
        "{missing}"
    );
    let missing = failure(&poll(command(&["no-such-program-anywhere"]), AMPLE));
    assert_eq!(missing.reason, Reason::Missing);
    let denied = failure(&poll(command(&["/proc/cpuinfo"]), AMPLE));
    assert_eq!(denied.reason, Reason::Denied);
    assert_eq!(
        failure(&poll(command(&["/"]), AMPLE)).reason,
        Reason::Denied
    );
    assert_eq!(failure(&poll(command(&[]), AMPLE)).reason, Reason::Other);
    assert_eq!(
        failure(&poll(command(&["a\0b"]), AMPLE)).reason,
        Reason::Other
    );
}

#[test]
fn script_without_interpreter_is_not_given_to_a_shell() {
    let script = Scratch::new("no-interpreter");
    // Written by another process: a file that this one had open for writing might still be open in the child of
    // another test, and could then not be executed.
    let path = script.show();
    let made = poll(
        shell(&format!("echo 'echo ran' > {path}; chmod 755 {path}")),
        AMPLE,
    );
    assert!(made.outcome.is_ok(), "{made:?}");
    let found = poll(command(&[&path.to_string()]), AMPLE);
    assert_eq!(failure(&found).reason, Reason::Other, "{found:?}");
    assert_eq!((found.exit, found.text), (None, None));
}

#[test]
fn deadline_kills_the_whole_group() {
    let scripts = [
        "sleep 60 & echo $! >> F; echo $$ >> F; wait",
        "trap '' TERM INT HUP; sleep 60 & echo $! >> F; echo $$ >> F; wait",
        "sleep 60 & echo $! >> F; echo $$ >> F; kill -STOP $$",
        "sleep 60 & echo $! >> F; echo $$ >> F; exec > /dev/null 2>&1; wait",
        "sleep 60 & echo $! >> F; echo $$ >> F; while :; do :; done",
    ];
    // Each takes a second, so all at once.
    thread::scope(|scope| {
        for (number, script) in scripts.into_iter().enumerate() {
            scope.spawn(move || {
                let name = format!("deadline-{number}");
                let (found, ids) = poll_until_killed(&name, script, 2);
                assert_eq!((found.exit, found.text), (None, None));
                assert_gone(&ids);
            });
        }
    });
}

#[test]
fn rest_of_the_group_is_killed_at_the_end() {
    let found = poll(shell("sleep 60 & echo $!"), AMPLE);
    assert!(found.outcome.is_ok());
    assert_gone(&[found.text.unwrap().trim().parse().unwrap()]);
}

/// The daemon is the test's own to kill.
fn end(daemon: i32) {
    assert!(runs(daemon));
    rustix::process::kill_process(Pid::from_raw(daemon).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn detached_grandchild_does_not_delay_the_end() {
    let ids = Scratch::new("daemon");
    let script = "setsid sh -c 'echo $$ > F; exec sleep 60' & until [ -s F ]; do :; done; echo ok";
    let found = poll(shell(&script.replace('F', &ids.show().to_string())), AMPLE);
    end(ids.ids(1)[0]);
    assert_eq!(found.text.as_deref(), Some("ok\n"));
}

#[test]
fn detached_grandchild_does_not_delay_the_deadline() {
    let script = "setsid sh -c 'echo $$ > F; exec sleep 60' & exec sleep 60";
    let (_, daemons) = poll_until_killed("daemon-late", script, 1);
    end(daemons[0]);
}

#[test]
fn no_zombie_remains() {
    for script in [
        "echo $$ > F",
        "echo $$ > F; exit 1",
        "echo $$ > F; exec yes",
    ] {
        let ids = Scratch::new("zombies");
        let script = script.replace('F', &ids.show().to_string());
        poll(shell(&script), AMPLE);
        let stat = format!("/proc/{}/stat", ids.ids(1)[0]);
        assert!(!fs::exists(&stat).unwrap(), "{script}: {stat}");
    }
    let (_, ids) = poll_until_killed("zombies", "echo $$ > F; exec sleep 60", 1);
    assert!(!fs::exists(format!("/proc/{}/stat", ids[0])).unwrap());
}

#[test]
fn too_much_output_ends_the_command() {
    let exactly = poll(command(&["printf", "%01000d", "0"]), AMPLE);
    assert!(exactly.outcome.is_ok(), "{exactly:?}");
    for script in [
        "printf %01001d 0",
        "yes",
        "yes >&2",
        "printf %01001d 0; sleep 60",
    ] {
        let found = poll(shell(script), AMPLE);
        assert_eq!(failure(&found).reason, Reason::TooLarge, "{script}");
        assert_eq!((found.exit, found.text), (None, None));
    }
}

#[test]
fn full_streams_do_not_block_each_other() {
    let script = "yes | head -c 500000 >&2; yes | head -c 500000; echo last >&2; exit 2";
    let max_bytes = 1 << 20;
    let found = poll(
        Command {
            max_bytes,
            ..shell(script)
        },
        AMPLE,
    );
    assert_eq!(found.text.map(|text| text.len()), Some(500_000));
    assert_eq!(found.outcome.unwrap_err().detail, "status 2: last");
}

#[test]
fn closed_output_is_not_the_end() {
    let found = poll(shell("echo 5; exec >&- 2>&-; sleep 0.1; exit 4"), AMPLE);
    assert_eq!((found.exit, found.text.as_deref()), (Some(4), Some("5\n")));
}

#[test]
fn invalid_utf8_is_malformed_and_readable() {
    let found = poll(command(&["printf", r"a\377b"]), AMPLE);
    assert_eq!(failure(&found).reason, Reason::Malformed);
    assert_eq!(
        (found.exit, found.text.as_deref()),
        (Some(0), Some("a\u{fffd}b"))
    );
}

#[test]
fn stop_kills_the_running_command() {
    let ids = Scratch::new("stop");
    let script = format!(
        "sleep 60 & echo $! >> {0}; echo $$ >> {0}; wait",
        ids.show()
    );
    let stop = Cancellation::new();
    let polling = {
        let stop = stop.clone();
        thread::spawn(move || Runner::new(shell(&script)).poll(Deadline::within(AMPLE), &stop))
    };
    let started = ids.ids(2);
    stop.stop();
    let asked = Instant::now();
    let found = polling.join().unwrap();
    assert!(asked.elapsed() < NOT_BLOCKED);
    assert_eq!(failure(&found), stopped());
    assert_gone(&started);
}

#[test]
fn zero_timeout_is_a_timeout() {
    let found = poll(command(&["sleep", "60"]), Duration::ZERO);
    assert_eq!(failure(&found).reason, Reason::Timeout);
    assert_eq!(
        failure(&poll(command(&["sleep", "60"]), SHORT)).reason,
        Reason::Timeout
    );
}

#[test]
fn unreaped_process_blocks_the_next_start() {
    let mut runner = Runner::new(command(&["echo", "ok"]));
    let mut blocking = process::Command::new("sleep").arg("60").spawn().unwrap();
    let id = blocking.id();
    blocking.try_wait().unwrap();
    runner.unreaped = Some(blocking);
    let found = runner.poll(Deadline::within(AMPLE), &Cancellation::new());
    assert_eq!(
        failure(&found).to_string(),
        format!("timeout: process {id} of an earlier poll was killed and has not ended")
    );
    runner.unreaped.as_mut().unwrap().kill().unwrap();
    let started = Instant::now();
    while runner
        .poll(Deadline::within(AMPLE), &Cancellation::new())
        .outcome
        .is_err()
    {
        assert!(started.elapsed() < NOT_BLOCKED);
    }
    assert!(!runs(id.try_into().unwrap()));
}
