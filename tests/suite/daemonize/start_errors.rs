//! Errors at the start of a daemon: its starter gets the message, and exit status 1.

use super::host;
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, file, str};

const START: &str = "agentcheck collect --daemon --user collector";

#[test]
fn start_errors_reach_standard_error_and_exit_status() {
    let scratch = Scratch::new("wrong");
    let host = host::boot(&scratch);
    let mut text = String::new();
    let mut refused = |prepare: &str, options: &str| {
        let start = match options.contains("--user") {
            true => START.replace(" --user collector", ""),
            false => START.to_owned(),
        };
        let printed = host.refused(&format!("{prepare}\n{start} {options}"));
        text += &format!("{}\n{printed}\n", format!("$ {start} {options}").trim_end());
        // And nothing runs.
        wait_until("the end of the daemon", || {
            !host.output(&["pidof", "agentcheck"]).status.success()
        });
    };
    refused("", "");
    refused("mkdir /run/agentcheck", "");
    host.shell("chown collector /run/agentcheck");
    refused("echo rubbish >/run/bad.toml", "--config /run/bad.toml");
    refused(
        "install -m 600 /etc/agentcheck/agentcheck.toml /run/secret.toml",
        "--config /run/secret.toml",
    );
    refused("", "--user nosuchuser");
    refused("", "--group nosuchgroup");
    refused("", "--pid-file /nowhere/pid");
    refused(
        "ln -s /etc/passwd /run/agentcheck/pid",
        "--pid-file /run/agentcheck/pid",
    );
    // Another process has the lock; the daemon does not check the state directory by its path.
    refused(
        "setsid flock /run/agentcheck/.collector.lock sleep 60 >/dev/null 2>&1 & \
         until [ -e /run/agentcheck/.collector.lock ]; do sleep 0.1; done; sleep 0.1
         chown collector /run/agentcheck/.collector.lock",
        "",
    );
    host.shell("pkill -x sleep -P $(pidof -s flock); rm -f /run/agentcheck/.collector.lock");
    // No thread is available: the daemon ends after all checks.
    refused(
        "agentcheck() { prlimit --nproc=1 /usr/bin/agentcheck \"$@\"; }",
        "",
    );
    // Only root becomes another user.
    let printed = host.refused(&format!(
        "setpriv --reuid daemon --regid daemon --clear-groups {START}"
    ));
    text += &format!("$ {START}, as user daemon\n{printed}\n");
    // The data directory is missed, and not needed.
    let output = host.output(&["sh", "-euc", START]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}");
    text += &format!("$ {START}\n{printed}");
    snapshot::check(&text, &[], file!["start_errors/refused.txt"]);
}

/// A process that is killed while it starts prints nothing; the command reports that.
#[test]
fn daemon_that_dies_before_ready_fails_the_start() {
    let scratch = Scratch::new("dies");
    let host = host::boot(&scratch);
    host.shell(
        "install -d -o collector /run/agentcheck; printf '[service.web]\n' >/run/late.toml
         (strace -f -q -o /dev/null -P /run/late.toml -e inject=open,openat:delay_enter=15000000 \
             agentcheck collect --daemon --user collector --config /run/late.toml \
             --pid-file /run/agentcheck.pid 2>/run/printed || echo $? >/run/ended) >/dev/null 2>&1 &",
    );
    // It waits for its configuration. strace may report the end of the process only after the delay, so the delay is shorter
    // than this waits.
    wait_until("the pid file", || {
        host.read("/run/agentcheck.pid").ends_with('\n')
    });
    assert_eq!(host.read("/run/ended"), "");
    let pid = host.read("/run/agentcheck.pid");
    host.run(&["kill", "-KILL", pid.trim()]);
    wait_until("the end", || host.read("/run/ended").ends_with('\n'));
    assert_eq!(host.read("/run/ended"), "1\n");
    // strace may warn about the process that was killed during a delay.
    let printed = host.read("/run/printed");
    let lines = printed.split_inclusive('\n');
    let of_agentcheck: String = lines.filter(|line| !line.starts_with("strace: ")).collect();
    snapshot::check(
        &of_agentcheck,
        &[],
        str![[r#"
agentcheck: the collector ended before it was ready: see the log

"#]],
    );
}

#[test]
fn conflicting_options_are_refused() {
    let scratch = Scratch::new("lines");
    let host = host::boot(&scratch);
    let mut text = String::new();
    for (options, status) in [
        ("--daemon --dry-run", 2),
        ("--group collector", 2),
        ("--log nowhere", 2),
        ("--daemon --log stderr", 1),
    ] {
        let line = format!("agentcheck collect {options}");
        let output = host.output(&["sh", "-euc", &line]);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{printed}");
        text += &format!("$ {line}\n{printed}\n");
    }
    snapshot::check(&text, &[], file!["start_errors/options.txt"]);
}
