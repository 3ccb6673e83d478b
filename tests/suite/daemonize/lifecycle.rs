//! The daemon starts, reports its status, reloads and stops.

use super::host;
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::scratch::Scratch;

const DIRECTORIES: &str = "
    install -d -o collector -g collector /run/agentcheck
    install -d -o collector -g collector -m 750 /var/lib/agentcheck
";

#[test]
fn daemon_inherits_nothing_from_its_starter() {
    let scratch = Scratch::new("daemon");
    let host = host::boot(&scratch);
    host.shell(DIRECTORIES);
    // Root's groups, a terminal's session, a directory, relative paths, a mask that takes nothing away, an open
    // secret, a blocked and an ignored signal.
    host.shell(
        "cd /etc; umask 0
         setpriv --groups 0,4,27 env --block-signal=TERM --ignore-signal=CHLD --ignore-signal=USR1 \
             /usr/bin/agentcheck collect --daemon --user collector \
             --config agentcheck/agentcheck.toml --pid-file ../run/agentcheck/pid 2>/run/printed 9</etc/shadow",
    );
    let printed = host.read("/run/printed");
    // No process listens at /dev/log; there is no other fault.
    assert!(
        printed.lines().count() == 1 && printed.contains("cannot reach syslog at /dev/log"),
        "{printed}"
    );
    let pid = host.read("/run/agentcheck/pid");
    let pid = pid.strip_suffix('\n').expect("it is a line");
    assert_eq!(host.status(pid, "Name"), "agentcheck");
    assert_eq!(host.status(pid, "Uid"), "61234 61234 61234 61234");
    assert_eq!(host.status(pid, "Gid"), "61234 61234 61234 61234");
    assert_eq!(host.status(pid, "Groups"), "61234 61235");
    assert_eq!(host.status(pid, "Umask"), "0027");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(host.status(pid, set), "0000000000000000", "{set}");
    }
    assert_eq!(host.status(pid, "SigBlk"), "0000000000000000");
    let ignored = u64::from_str_radix(&host.status(pid, "SigIgn"), 16).unwrap();
    let (chld, usr1) = (1 << 16, 1 << 9);
    assert_eq!(ignored & (chld | usr1), 0, "{ignored:x}");
    let descriptors = host.run(&["ls", "-l", &format!("/proc/{pid}/fd")]);
    assert!(!descriptors.contains("shadow"), "{descriptors}");
    for descriptor in ["0", "1", "2"] {
        let to = host.run(&["readlink", &format!("/proc/{pid}/fd/{descriptor}")]);
        assert_eq!(to, "/dev/null\n");
    }
    assert_eq!(host.run(&["readlink", &format!("/proc/{pid}/cwd")]), "/\n");
    // Parent, process group, session and terminal: a session of its own that it does not lead, so that it
    // cannot get a terminal by opening one.
    let stat = host.run(&["cat", &format!("/proc/{pid}/stat")]);
    let fields: Vec<&str> = stat.split(' ').collect();
    assert_eq!((fields[3], fields[6]), ("1", "0"), "{stat}");
    assert!(fields[5] != pid && fields[5] != "0", "{stat}");
    // The daemon has the lock, and no other process has it.
    assert_eq!(host.read("/run/agentcheck/.collector.pid").trim(), pid);
    wait_until("a reply", || {
        host.read("/run/agentcheck/web.state").contains("up 100%")
    });

    // A second one, with the same pid file or another.
    let refused =
        host.refused("agentcheck collect --daemon --user collector --pid-file /run/agentcheck/pid");
    let names = format!("agentcheck: another collector, process {pid}, is running");
    assert!(refused.contains(&names), "{refused}");
    let refused =
        host.refused("agentcheck collect --daemon --user collector --pid-file /run/other");
    assert!(refused.contains(&names), "{refused}");
    assert_eq!(host.read("/run/agentcheck/pid").trim(), pid);

    host.run(&["kill", pid]);
    wait_until("its end", || !host.lives(pid));
    assert!(!host.path("/run/agentcheck/pid").exists());

    // One that is killed leaves its file, which is no obstacle: not even where its number is in use.
    host.shell("echo 1 >/run/agentcheck/pid");
    let start = "agentcheck collect --daemon --user collector --pid-file /run/agentcheck/pid";
    host.shell(start);
    let pid = host.read("/run/agentcheck/pid");
    host.run(&["kill", "-KILL", pid.trim()]);
    wait_until("its end", || !host.lives(pid.trim()));
    assert_eq!(host.read("/run/agentcheck/pid"), pid);
    host.shell(start);
    assert_ne!(host.read("/run/agentcheck/pid"), pid);
    println!("{}", host.log());
}

#[test]
fn supervised_collector_stays_in_the_foreground() {
    let scratch = Scratch::new("front");
    let host = host::boot(&scratch);
    host.shell(DIRECTORIES);
    host.shell(
        "agentcheck collect --user collector --group others --pid-file /run/agentcheck/pid \
             2>/run/log >/dev/null & echo $! >/run/started",
    );
    wait_until("the collector", || {
        host.read("/run/log").contains("collecting: ")
    });
    let pid = host.read("/run/agentcheck/pid");
    assert_eq!(host.read("/run/started"), pid);
    assert_eq!(host.status(pid.trim(), "Uid"), "61234 61234 61234 61234");
    assert_eq!(host.status(pid.trim(), "Groups"), "61235 61236");
}

#[test]
fn init_script_starts_reports_reloads_and_stops() {
    let scratch = Scratch::new("init");
    let host = host::boot(&scratch);
    host.shell(
        "cp /usr/share/doc/agentcheck/init/agentcheck /etc/init.d/agentcheck
         chmod 755 /etc/init.d/agentcheck
         echo RUN_AS=collector >/etc/default/agentcheck",
    );
    let script = |action: &str| {
        let output = host.output(&["/etc/init.d/agentcheck", action]);
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(printed).unwrap())
    };
    let stopped = (Some(3), "agentcheck collector: not running\n".to_owned());
    assert_eq!(script("status"), stopped);
    assert_eq!(script("stop"), (Some(0), String::new()));
    // Syslog is not available, and the script prints nothing else.
    let (status, printed) = script("start");
    assert_eq!((status, printed.lines().count()), (Some(0), 1), "{printed}");
    let pid = host.read("/run/agentcheck-collector.pid");
    let pid = pid.trim();
    let running = format!("agentcheck collector: running, process {pid}\n");
    assert_eq!(script("status"), (Some(0), running.clone()));
    assert_eq!(host.status(pid, "Uid"), "61234 61234 61234 61234");
    let owners = host.shell(
        "stat -c '%a %U %G' /run/agentcheck /var/lib/agentcheck /var/lib/agentcheck/overrides \
             /run/agentcheck-collector.pid",
    );
    assert_eq!(
        owners,
        "755 collector collector\n750 collector collector\n2770 collector collector\n600 root root\n"
    );
    let environment = host.run(&["cat", &format!("/proc/{pid}/environ")]);
    let names: Vec<&str> = environment
        .split_terminator('\0')
        .filter_map(|variable| variable.split('=').next())
        .collect();
    assert_eq!(names, ["PATH", "AGENTCHECK_LOG"]);
    // Again: it runs already.
    assert_eq!(script("start"), (Some(0), String::new()));
    assert_eq!(script("status"), (Some(0), running.clone()));

    // What cannot be loaded neither reloads nor restarts.
    host.shell("cp /etc/agentcheck/agentcheck.toml /run/good; echo rubbish >>/etc/agentcheck/agentcheck.toml");
    for action in ["reload", "restart"] {
        let (status, printed) = script(action);
        assert!(
            status == Some(1) && printed.contains("rubbish"),
            "{printed}"
        );
    }
    assert_eq!(script("status"), (Some(0), running.clone()));
    host.shell("cp /run/good /etc/agentcheck/agentcheck.toml");
    let (status, printed) = script("reload");
    assert_eq!(status, Some(0), "{printed}");
    assert!(printed.contains("no service has changed\n"), "{printed}");
    assert_eq!(script("status"), (Some(0), running));

    let (status, printed) = script("restart");
    assert_eq!(status, Some(0), "{printed}");
    assert!(!host.lives(pid));
    let second = host.read("/run/agentcheck-collector.pid");
    assert_ne!(second.trim(), pid);
    // The status of a killed one shows that.
    host.run(&["kill", "-KILL", second.trim()]);
    wait_until("its end", || !host.lives(second.trim()));
    assert_eq!(script("status").0, Some(1));
    assert_eq!(script("start").0, Some(0));
    let third = host.read("/run/agentcheck-collector.pid");
    assert_eq!(script("stop"), (Some(0), String::new()));
    assert!(!host.lives(third.trim()));
    assert_eq!(script("status"), stopped);
    assert!(!host.path("/run/agentcheck-collector.pid").exists());
    assert_eq!(script("jump").0, Some(2));
}
