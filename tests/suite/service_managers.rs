//! The files for service managers in `packaging/init`, each with the real program: OpenRC, runit and s6, on a
//! throw-away host without systemd. `daemonize/lifecycle.rs` has the same for sysvinit's script.
//!
//! Debian has no procd (OpenWrt). Its file runs with functions that only record, and what they record is started.

use super::root_writes::host;
use agentcheck_tests::address::Block;
use agentcheck_tests::binaries;
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::throwaway_host::ThrowawayHost;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONFIGURATION: &str = "/etc/agentcheck/agentcheck.toml";

/// How one service manager is used, as the header of its files describes it.
struct Manager {
    name: &'static str,
    /// Copies the files, with the listening address in place of ADDRESS.
    install: &'static str,
    /// Starts the manager and both services.
    start: &'static str,
    reload: &'static str,
    stop: &'static str,
}

const OPENRC: Manager = Manager {
    name: "openrc",
    // What `openrc sysinit` makes at boot, without the services of this machine.
    install: "mkdir -p /etc/conf.d
        cd /run; mkdir -p openrc; cd openrc; touch softlevel
        mkdir daemons exclusive failed inactive options scheduled started starting stopping tmp wasinactive
        rm -f /etc/init.d/*
        cp /usr/share/doc/agentcheck/init/openrc/agentcheck-* /etc/init.d/
        chmod 755 /etc/init.d/agentcheck-collector /etc/init.d/agentcheck-responder
        echo LISTEN=ADDRESS >/etc/conf.d/agentcheck-responder
        echo error_log=/run/log | tee -a /etc/conf.d/agentcheck-responder >/etc/conf.d/agentcheck-collector
        touch /run/log; chmod 666 /run/log",
    start: "rc-service agentcheck-collector start; rc-service agentcheck-responder start",
    reload: "rc-service agentcheck-collector reload",
    stop: "rc-service agentcheck-collector stop; rc-service agentcheck-responder stop",
};

const RUNIT: Manager = Manager {
    name: "runit",
    install: "cp -r /usr/share/doc/agentcheck/init/runit/agentcheck-* /etc/sv/
        chmod 755 /etc/sv/agentcheck-collector/run /etc/sv/agentcheck-responder/run
        sed -i s/127.0.0.1:3333/ADDRESS/ /etc/sv/agentcheck-responder/run
        rm -rf /etc/service; mkdir /etc/service
        ln -s /etc/sv/agentcheck-collector /etc/sv/agentcheck-responder /etc/service/",
    start: "setsid runsvdir /etc/service >/run/log 2>&1 </dev/null &",
    reload: "sv hup agentcheck-collector",
    stop: "sv stop agentcheck-collector agentcheck-responder",
};

const S6: Manager = Manager {
    name: "s6",
    install: "mkdir -p /etc/s6/sv /run/service
        cp -r /usr/share/doc/agentcheck/init/s6/agentcheck-* /etc/s6/sv/
        chmod 755 /etc/s6/sv/agentcheck-collector/run /etc/s6/sv/agentcheck-responder/run
        sed -i s/127.0.0.1:3333/ADDRESS/ /etc/s6/sv/agentcheck-responder/run
        ln -s /etc/s6/sv/agentcheck-collector /etc/s6/sv/agentcheck-responder /run/service/",
    start: "setsid s6-svscan /run/service >/run/log 2>&1 </dev/null &",
    reload: "s6-svc -h /run/service/agentcheck-collector",
    stop: "s6-svc -wD -d /run/service/agentcheck-collector; s6-svc -wD -d /run/service/agentcheck-responder",
};

#[test]
fn openrc_starts_restarts_reloads_and_stops_both() {
    runs(&OPENRC);
}

#[test]
fn runit_starts_restarts_reloads_and_stops_both() {
    runs(&RUNIT);
}

#[test]
fn s6_starts_restarts_reloads_and_stops_both() {
    runs(&S6);
}

fn configure(host: &ThrowawayHost, weight: &str) {
    let text = format!("[service.web]\nweight = \"{weight}\"\n");
    fs::write(host.path(CONFIGURATION), text).unwrap();
}

/// The reply to a probe, or why there is none.
fn probe(agent: SocketAddr) -> Result<String, String> {
    let limit = Duration::from_secs(5);
    let mut stream =
        TcpStream::connect_timeout(&agent, limit).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut reply = String::new();
    stream
        .write_all(b"web\n")
        .and_then(|()| stream.read_to_string(&mut reply))
        .map_err(|error| error.to_string())?;
    Ok(reply)
}

fn wait_for_reply(host: &ThrowawayHost, agent: SocketAddr, expected: &str) {
    wait_for(format_args!("the reply {expected:?}"), || {
        let reply = probe(agent);
        if reply
            .as_ref()
            .is_ok_and(|reply| reply.starts_with(expected))
        {
            return Ok(());
        }
        let log = fs::read_to_string(host.path("/run/log")).unwrap_or_default();
        let processes = host.shell("ps axo user,pid,args; ls -la /run /run/agentcheck || :");
        Err(format!("{reply:?}\n{log}{processes}"))
    });
}

/// The process ids of a program on the host, with the user of each.
fn processes(host: &ThrowawayHost, program: &str) -> Vec<(String, String)> {
    // `pgrep` compares fifteen characters of a name; the path is whole.
    let listed = host.shell(&format!(
        "for process in /proc/[0-9]*; do
             if [ \"$(readlink $process/exe)\" = /usr/bin/{program} ]; then
                 echo \"${{process#/proc/}} $(stat -c %U $process)\"
             fi
         done"
    ));
    let pair = |line: &str| {
        line.split_once(' ')
            .map(|(pid, user)| (pid.to_owned(), user.to_owned()))
    };
    listed.lines().filter_map(pair).collect()
}

fn runs(manager: &Manager) {
    let scratch = Scratch::new(manager.name);
    let host = host::boot(&scratch, false);
    let package = binaries::target().join("test-programs").join(manager.name);
    assert!(
        package.is_dir(),
        "{} is not unpacked: run tests/install-deps.sh",
        manager.name
    );
    host.lay_over(&package);
    let block = Block::claim();
    let agent = block.agent();
    configure(&host, "73");
    host.shell(&manager.install.replace("ADDRESS", &agent.to_string()));
    host.shell(manager.start);
    wait_for_reply(&host, agent, "up 73%");

    // Each as its own user, in directories that have the right owners.
    let one = |program: &str, user: &str| -> String {
        let found = processes(&host, program);
        assert!(
            found.len() == 1 && found[0].1 == user,
            "{program}: {found:?}"
        );
        found[0].0.clone()
    };
    let collector = one("agentcheck", "agentcheck");
    let responder = one("agentcheck-responder", "agentcheck-responder");
    let owners = host.shell(
        "stat -c '%a %U %G' /run/agentcheck /var/lib/agentcheck /var/lib/agentcheck/overrides",
    );
    assert_eq!(
        owners,
        "755 agentcheck agentcheck\n750 agentcheck agentcheck\n2770 agentcheck agentcheck\n"
    );

    configure(&host, "42");
    host.shell(manager.reload);
    wait_for_reply(&host, agent, "up 42%");
    assert_eq!(
        one("agentcheck", "agentcheck"),
        collector,
        "a reload keeps the process"
    );

    // One that dies is started again.
    host.shell(&format!("kill -KILL {collector} {responder}"));
    wait_for("other processes", || {
        let found: Vec<_> = ["agentcheck", "agentcheck-responder"]
            .iter()
            .flat_map(|program| processes(&host, program))
            .collect();
        let other = |(pid, _): &(String, String)| *pid != collector && *pid != responder;
        if found.len() == 2 && found.iter().all(other) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    });
    wait_for_reply(&host, agent, "up 42%");

    host.shell(manager.stop);
    wait_for("the end of both", || {
        let left = [
            processes(&host, "agentcheck"),
            processes(&host, "agentcheck-responder"),
        ]
        .concat();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
}

/// What procd gets: the commands and the users. The file runs in busybox's shell, as on OpenWrt.
#[test]
fn procd_gets_commands_that_work() {
    let scratch = Scratch::new("procd");
    let host = host::boot(&scratch, false);
    let block = Block::claim();
    let agent = block.agent();
    configure(&host, "73");
    fs::write(
        host.path("/etc/rc.common"),
        r#"
        procd_open_instance() { instance=$1; }
        procd_set_param() {
            key=$1; shift
            case $key in command | user) printf '%s\n' "$*" >"/run/procd.$instance.$key" ;; esac
        }
        procd_close_instance() { echo "$instance" >>/run/procd.instances; }
        procd_send_signal() { echo "$*" >/run/procd.signal; }
        LISTEN_AT=$2
        . "$1"
        LISTEN=$LISTEN_AT
        "$3_service"
        "#,
    )
    .unwrap();
    let file = "/usr/share/doc/agentcheck/init/procd/agentcheck";
    host.shell(&format!("busybox sh /etc/rc.common {file} {agent} start"));
    assert_eq!(
        host.shell("cat /run/procd.instances"),
        "collector\nresponder\n"
    );
    host.shell(
        "for instance in collector responder; do
             user=$(cat /run/procd.$instance.user)
             setsid setpriv --reuid $user --regid $user --clear-groups --no-new-privs \
                 $(cat /run/procd.$instance.command) >>/run/log 2>&1 </dev/null &
         done",
    );
    wait_for_reply(&host, agent, "up 73%");
    host.shell(&format!("busybox sh /etc/rc.common {file} {agent} reload"));
    assert_eq!(
        host.shell("cat /run/procd.signal"),
        "agentcheck collector HUP\n"
    );

    // A configuration with an error is not loaded.
    configure(&host, "(");
    let refused = host.try_shell(&format!(
        "rm /run/procd.signal; busybox sh /etc/rc.common {file} {agent} reload"
    ));
    assert!(!refused.status.success());
    assert!(!host.path("/run/procd.signal").exists());
}
