//! The log in a real syslogd, that of busybox.

use super::host;
use agentcheck_tests::messages::LOG_LINES_LOST;
use agentcheck_tests::processes::{program, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::throwaway_host::ThrowawayHost;

/// Starts syslogd; the socket of an earlier one may still be there.
fn syslogd(host: &ThrowawayHost) -> String {
    let pid = host
        .shell("setsid busybox syslogd -n -O /var/log/agentcheck.log >/dev/null 2>&1 & echo $!");
    wait_until("syslogd", || {
        host.output(&["busybox", "logger", "-p", "daemon.notice", "are you there"]);
        host.read("/var/log/agentcheck.log")
            .contains("are you there")
    });
    pid.trim().to_owned()
}

#[test]
fn log_lines_reach_syslog_before_and_after_its_restart() {
    // Named, where it is missing.
    let _ = program("busybox", "busybox");
    let scratch = Scratch::new("syslog");
    let host = host::boot(&scratch);
    host.shell("install -d -o collector /run/agentcheck");
    host.shell(
        "install -d -o collector -m 750 /var/lib/agentcheck
         cat >/etc/agentcheck/agentcheck.toml <<'END'
[source.flag.file]
path = \"/run/value\"
format = \"number\"
interval = \"100ms\"
[service.web]
weight = 'flag.value'
END
         echo 50 >/run/value",
    );
    let first = syslogd(&host);
    host.shell("agentcheck collect --daemon --user collector --pid-file /run/agentcheck/pid");
    let pid = host.read("/run/agentcheck/pid");
    let pid = pid.trim();
    let has = |line: &str| {
        wait_until(format_args!("{line:?} in syslog"), || {
            host.read("/var/log/agentcheck.log").contains(line)
        });
    };
    has(&format!(
        "daemon.info agentcheck[{pid}]: collecting: 1 source, 1 service"
    ));
    host.shell("rm /run/value");
    has(&format!(
        "daemon.warn agentcheck[{pid}]: source flag: missing: "
    ));

    // No syslogd listens: a line is lost, and the collector continues.
    host.run(&["kill", "-KILL", &first]);
    wait_until("the end of syslogd", || !host.lives(&first));
    host.shell("echo 60 >/run/value");
    wait_until("the next reply", || {
        host.read("/run/agentcheck/web.state").contains("up 60%")
    });
    let second = syslogd(&host);
    host.shell("rm /run/value");
    has("daemon.warn agentcheck[");
    // The number of lost lines depends on the lines about the failing source.
    has(&format!(" {LOG_LINES_LOST}syslog was full or stopped"));

    // A syslog that listens and does not read delays nothing.
    host.run(&["kill", "-STOP", &second]);
    host.shell(
        "for n in $(seq 1 2000); do busybox logger full >/dev/null 2>&1 & done; sleep 0.5; echo 70 >/run/value",
    );
    wait_until("the next reply", || {
        host.read("/run/agentcheck/web.state").contains("up 70%")
    });
    host.run(&["kill", "-CONT", &second]);
    host.run(&["kill", pid]);
    wait_until("its end", || !host.lives(pid));
}
