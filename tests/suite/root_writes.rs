//! Root creates, chowns, chmods and writes only in directories that root alone can write to. The scripts that run as
//! root (the init script, the packages' scripts, `packaging/setup`, systemd-tmpfiles) run on a throw-away host
//! while the collector's user puts a link in their way, at every moment that this user can observe.

pub(crate) mod host;
mod racer;
mod traced;

use agentcheck_tests::scratch::Scratch;
use racer::Racer;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

/// How often each moment is tried: the racer may lose once, on a busy machine.
const TRIES: usize = 2;

/// A script that root runs, and the files of the host before it.
struct Attack {
    name: &'static str,
    /// The shell commands that root runs.
    command: &'static str,
    /// Whether the data directory exists already and belongs to the collector's user.
    data_exists: bool,
    /// Whether the host has systemd's tools.
    systemd: bool,
}

const ATTACKS: [Attack; 5] = [
    Attack {
        name: "init script, overrides directory missing",
        command: "/etc/init.d/agentcheck start",
        data_exists: true,
        systemd: false,
    },
    Attack {
        name: "init script, both directories missing",
        command: "/etc/init.d/agentcheck start",
        data_exists: false,
        systemd: false,
    },
    Attack {
        name: "postinst without systemd, overrides directory missing",
        command: "/packaging/postinst configure",
        data_exists: true,
        systemd: false,
    },
    Attack {
        name: "postinst without systemd, both directories missing",
        command: "/packaging/postinst configure",
        data_exists: false,
        systemd: false,
    },
    Attack {
        name: "systemd-tmpfiles, overrides directory missing",
        command: "systemd-tmpfiles --create agentcheck.conf",
        data_exists: true,
        systemd: true,
    },
];

#[test]
fn no_link_of_the_collectors_user_leads_root_to_another_directory() {
    let scratch = Scratch::new("racer");
    for attack in ATTACKS {
        let host = host::boot(&scratch, attack.systemd);
        host.shell(
            "mkdir -m 700 /root/precious; echo content >/root/precious/file
             # The collector would only take time.
             echo CONFIG=/nonexistent >/etc/default/agentcheck",
        );
        // From outside, without a process on the host: the racer counts what those do.
        let precious = || {
            let of = |inside: &str| {
                let data = fs::symlink_metadata(host.path(inside)).unwrap();
                (data.mode(), data.uid(), data.gid())
            };
            let content = fs::read_to_string(host.path("/root/precious/file")).unwrap();
            (of("/root/precious"), of("/root/precious/file"), content)
        };
        let before = precious();
        let reset = || {
            for directory in ["/run/agentcheck", "/var/lib/agentcheck"] {
                let path = host.path(directory);
                assert!(!path.exists() || fs::remove_dir_all(path).is_ok());
            }
            if attack.data_exists {
                let data = host.path("/var/lib/agentcheck");
                fs::create_dir(&data).unwrap();
                fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
                chown(&data, Some(host::USER), Some(host::USER)).unwrap();
            }
        };

        // Without an attacker, the directories are there afterwards.
        reset();
        let _ = host.try_shell(attack.command);
        let made = host
            .shell("stat -c '%a %U %G %n' /run/agentcheck /var/lib/agentcheck{,/overrides} || :");
        assert_eq!(
            made,
            "755 agentcheck agentcheck /run/agentcheck\n\
             750 agentcheck agentcheck /var/lib/agentcheck\n\
             2770 agentcheck agentcheck /var/lib/agentcheck/overrides\n",
            "{}",
            attack.name
        );

        let (mut rounds, mut links) = (0, 0);
        for moment in 1.. {
            let mut reached = false;
            for _ in 0..TRIES {
                reset();
                let racer = Racer::start(&host, moment);
                let _ = host.try_shell(attack.command);
                let seen = racer.stop();
                rounds += 1;
                links += usize::from(seen.linked);
                reached |= seen.events >= moment;
                assert_eq!(precious(), before, "{}, event {moment}", attack.name);
            }
            if !reached {
                break;
            }
        }
        println!(
            "attack: {}: {rounds} rounds, {links} links in the way of root",
            attack.name
        );
        assert!(links > TRIES, "{}: the racer placed no link", attack.name);
    }
}

#[test]
fn root_uses_no_path_below_a_directory_of_the_collectors_user() {
    let scratch = Scratch::new("traced");
    let host = host::boot(&scratch, false);
    host.shell(
        "install -d -m 755 -o agentcheck -g agentcheck /run/agentcheck
         install -d -m 750 -o agentcheck -g agentcheck /var/lib/agentcheck",
    );
    // The overrides directory is missing at first; the last ones have files to remove.
    let missing = "rmdir /var/lib/agentcheck/overrides";
    for (prepare, command) in [
        (":", "/packaging/postinst configure"),
        (missing, "sh /usr/lib/agentcheck/setup"),
        // strace waits for the daemon too, so the same run stops it.
        (
            missing,
            "/etc/init.d/agentcheck start; /etc/init.d/agentcheck stop",
        ),
        (":", "/packaging/prerm remove"),
        (":", "sh /usr/lib/agentcheck/setup reclaim"),
        (":", "/packaging/postrm remove"),
        (":", "/packaging/postrm purge"),
    ] {
        host.shell(prepare);
        let trace = traced::run(&host, command);
        let wrong: Vec<&String> = trace
            .calls_of_root
            .iter()
            .filter(|call| traced::changes_below(call))
            .collect();
        assert!(wrong.is_empty(), "{command}: {wrong:#?}");
        assert!(trace.calls > 0, "{command}: nothing was traced");
        println!(
            "attack: {command}: {} calls, {} of them root's",
            trace.calls,
            trace.calls_of_root.len()
        );
        if command.ends_with(" remove") && command.contains("postrm") {
            assert!(!host.path("/run/agentcheck").exists());
        }
    }
    assert!(!host.path("/var/lib/agentcheck").exists());
}

/// The collector's user can take over a process of its own (ptrace). With a descriptor of root's terminal, or with
/// that terminal as its controlling one, it could type commands for root (TIOCSTI).
#[test]
fn prerm_gives_the_collectors_user_no_terminal() {
    let scratch = Scratch::new("terminal");
    let host = host::boot(&scratch, false);
    host.shell("sh /usr/lib/agentcheck/setup");
    let spy = r#"#!/bin/sh
        {
            id -un
            for descriptor in 0 1 2; do
                if [ -t $descriptor ]; then echo "descriptor $descriptor is a terminal"; fi
            done
            if (: </dev/tty) 2>/dev/null; then echo "/dev/tty can be opened"; fi
            if [ "${SECRET:-}" ]; then echo "environment of root"; fi
            ls -l /proc/self/fd | grep -o '/dev/pts.*'
        } >/run/agentcheck/seen
        printf 'a line\033[31m\n'
    "#;
    host.shell("mkdir /spy");
    fs::write(host.path("/spy/agentcheck"), spy).unwrap();
    host.shell("chmod 755 /spy/agentcheck");
    // `script` gives root a terminal; the control line shows that it does.
    let printed = host.shell(
        "cd /packaging
         export SECRET=1 PATH=/spy:$PATH
         script -qec 'test -t 0 && : </dev/tty && echo control; ./prerm remove' /dev/null",
    );
    assert!(printed.starts_with("control"), "{printed:?}");
    assert!(printed.contains("a line[31m"), "{printed:?}");
    assert_eq!(host.shell("cat /run/agentcheck/seen"), "agentcheck\n");
}
