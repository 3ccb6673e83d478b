//! Whatever keeps a daemon from its work: who started it hears of it, and the exit status is 1.

use agentcheck_tests::bare_host::BareHost;
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::scratch::Scratch;

const START: &str = "agentcheck collect --daemon --user collector";

#[test]
fn start_errors_reach_standard_error_and_exit_status() {
    let scratch = Scratch::new("wrong");
    let host = BareHost::boot(&scratch);
    let refused = |prepare: &str, options: &str, expected: &str| {
        let start = match options.contains("--user") {
            true => START.replace(" --user collector", ""),
            false => START.to_owned(),
        };
        let printed = host.refused(&format!("{prepare}\n{start} {options}"));
        assert!(printed.contains(expected), "{printed}");
        // And nothing runs.
        wait_until("the end of the daemon", || {
            !host.output(&["pidof", "agentcheck"]).status.success()
        });
    };
    refused(
        "",
        "",
        "user collector cannot write to /run/agentcheck: No such file or directory",
    );
    refused(
        "mkdir /run/agentcheck",
        "",
        "user collector cannot write to /run/agentcheck: Permission denied",
    );
    host.shell("chown collector /run/agentcheck");
    refused(
        "echo rubbish >/run/bad.toml",
        "--config /run/bad.toml",
        "/run/bad.toml:1:",
    );
    refused(
        "install -m 600 /etc/agentcheck/agentcheck.toml /run/secret.toml",
        "--config /run/secret.toml",
        "/run/secret.toml: error: cannot be read: Permission denied",
    );
    refused("", "--user nosuchuser", "there is no user \"nosuchuser\"");
    refused(
        "",
        "--group nosuchgroup",
        "there is no group \"nosuchgroup\"",
    );
    refused(
        "",
        "--pid-file /nowhere/pid",
        "cannot write the pid file /nowhere/pid: No such file or directory",
    );
    refused(
        "ln -s /etc/passwd /run/agentcheck/pid",
        "--pid-file /run/agentcheck/pid",
        "the pid file /run/agentcheck/pid is a link or no plain file",
    );
    // Another process has the lock; the state directory is not even looked at by its name.
    refused(
        "setsid flock /run/agentcheck/.collector.lock sleep 60 >/dev/null 2>&1 & \
         until [ -e /run/agentcheck/.collector.lock ]; do sleep 0.1; done; sleep 0.1
         chown collector /run/agentcheck/.collector.lock",
        "",
        "another collector is running here (/run/agentcheck/.collector.lock is locked)",
    );
    host.shell("pkill -x sleep -P $(pidof -s flock); rm -f /run/agentcheck/.collector.lock");
    // No thread is to be had: it dies after all has been looked at.
    refused(
        "agentcheck() { prlimit --nproc=1 /usr/bin/agentcheck \"$@\"; }",
        "",
        "Resource temporarily unavailable",
    );
    // Nobody but root becomes another user.
    let printed = host.refused(&format!(
        "setpriv --reuid daemon --regid daemon --clear-groups {START}"
    ));
    assert!(
        printed.contains("cannot become user collector: only root can become another user"),
        "{printed}"
    );
    // The data directory is missed, and not needed.
    let output = host.output(&["sh", "-euc", START]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(
        printed.contains("warning: user collector cannot write to /var/lib/agentcheck"),
        "{printed}"
    );
}

/// One that is killed while it starts has said nothing: that is told, too.
#[test]
fn daemon_that_dies_before_ready_fails_the_start() {
    let scratch = Scratch::new("dies");
    let host = BareHost::boot(&scratch);
    host.shell(
        "install -d -o collector /run/agentcheck; mkfifo -m 644 /run/fifo.toml
         (agentcheck collect --daemon --user collector --config /run/fifo.toml \
             --pid-file /run/agentcheck.pid 2>/run/said || echo $? >/run/ended) >/dev/null 2>&1 &",
    );
    // It waits for its configuration.
    wait_until("the pid file", || {
        host.read("/run/agentcheck.pid").ends_with('\n')
    });
    assert_eq!(host.read("/run/ended"), "");
    let pid = host.read("/run/agentcheck.pid");
    host.run(&["kill", "-KILL", pid.trim()]);
    wait_until("the end", || host.read("/run/ended").ends_with('\n'));
    assert_eq!(host.read("/run/ended"), "1\n");
    assert_eq!(
        host.read("/run/said"),
        "agentcheck: the collector ended before it was ready: see the log\n"
    );
}

#[test]
fn conflicting_options_are_refused() {
    let scratch = Scratch::new("lines");
    let host = BareHost::boot(&scratch);
    for (options, status, expected) in [
        ("--daemon --dry-run", 2, "cannot be used with '--dry-run'"),
        ("--group collector", 2, "--user <USER>"),
        ("--log nowhere", 2, "[possible values: stderr, syslog]"),
        ("--daemon --log stderr", 1, "a daemon has no standard error"),
    ] {
        let line = format!("agentcheck collect {options}");
        let output = host.output(&["sh", "-euc", &line]);
        let printed = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{printed}");
        assert!(printed.contains(expected), "{printed}");
    }
}
