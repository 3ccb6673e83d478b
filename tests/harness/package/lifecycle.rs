//! A host with systemd, and the balancers that probe it, while the product is installed, used, upgraded, removed
//! and purged.

use super::manager::Manager;
use crate::address::is_listening;
use crate::collector::Herald;
use crate::farm::Farm;
use crate::haproxy::{Backend, Haproxy, ServerState};
use crate::prober::Prober;
use crate::processes::wait_until;
use crate::raw_probe::probe;
use crate::scratch::Scratch;
use crate::systemd::Systemd;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

const COLLECTOR: &str = "agentcheck-collector.service";
const LOOP: &str = "agentcheck.service";
const SOCKET: &str = "agentcheck.socket";
const CONFIGURATION: &str = "/etc/agentcheck/agentcheck.toml";

/// The host, its applications and a balancer. Dropped in this order.
struct Life {
    manager: Manager,
    systemd: Systemd,
    haproxy: Haproxy,
    agent: SocketAddr,
    farm: Farm,
    configuration: String,
}

/// Installs the product, uses, upgrades, removes and purges it, and checks the host and the balancer at each step.
///
/// # Panics
/// At the first thing that is wrong.
pub fn check(manager: Manager) {
    let scratch = Scratch::new("life");
    let tree = scratch.directory("tree");
    manager.prepare(&scratch, &tree);
    let farm = Farm::start();
    let agent = farm.agent();
    let lines = [("web", "web"), ("owned", "owned"), ("drained", "web")];
    let servers = farm.servers(agent, &lines);
    let life = Life {
        manager,
        systemd: Systemd::boot_bare(&scratch, &tree),
        haproxy: Haproxy::start(&scratch, &[Backend::new("farm", servers)]),
        agent,
        configuration: Herald::configuration(&farm.services()),
        farm,
    };
    assert_eq!(life.ours(), "", "the host is not a clean one");
    life.is_installed();
    life.works();
    life.is_upgraded();
    life.is_removed();
    life.is_purged();
}

impl Life {
    fn shell(&self, commands: &str) -> String {
        self.systemd.run(&["sh", "-euc", commands])
    }

    /// Every file that has the product's name where packages put files.
    fn ours(&self) -> String {
        self.shell("find /usr /etc /var /run -name '*agentcheck*'")
    }

    fn reaches(&self, server: &str, what: &str, wanted: impl Fn(&ServerState) -> bool) {
        let _ = self.haproxy.wait_for_server("farm", server, what, wanted);
    }

    fn weighs(&self, weight: u16) {
        for server in ["web", "owned"] {
            self.reaches(server, &format!("weight {weight}"), |seen| {
                seen.weight == weight && seen.administrative == 0 && seen.operational == 2
            });
        }
    }

    /// The files are installed, nothing runs, and no socket listens.
    fn is_installed(&self) {
        self.shell(&self.manager.install());
        for account in ["agentcheck", "agentcheck-responder"] {
            self.shell(&format!(
                "getent passwd {account} | grep -q :/usr/sbin/nologin$"
            ));
        }
        let directories = self.shell(
            "stat -c '%a %U %G %n' /run/agentcheck /var/lib/agentcheck /var/lib/agentcheck/overrides \
             /etc/agentcheck/conf.d",
        );
        assert_eq!(
            directories,
            "755 agentcheck agentcheck /run/agentcheck\n\
             750 agentcheck agentcheck /var/lib/agentcheck\n\
             2770 agentcheck agentcheck /var/lib/agentcheck/overrides\n\
             755 root root /etc/agentcheck/conf.d\n"
        );
        for unit in [COLLECTOR, LOOP, SOCKET, "agentcheck-inetd.socket"] {
            assert_eq!(self.systemd.property(unit, "LoadState"), "loaded", "{unit}");
            assert_eq!(
                self.systemd.property(unit, "ActiveState"),
                "inactive",
                "{unit}"
            );
        }
        let enabled = self.shell("find /etc/systemd -name '*agentcheck*'");
        assert_eq!(enabled, "", "installing is not yet wanting");
        self.shell("grep -Eq '^\\s*disable\\s*= yes$' /etc/xinetd.d/agentcheck");
        self.shell("agentcheck check");
    }

    /// The main job: a real `HAProxy` follows the weight.
    fn works(&self) {
        fs::write(self.systemd.path(CONFIGURATION), &self.configuration).unwrap();
        let drop_in = format!(
            "mkdir /etc/systemd/system/{SOCKET}.d
             printf '[Socket]\\nListenStream=\\nListenStream={}\\n' \
                >/etc/systemd/system/{SOCKET}.d/agentcheck-test.conf
             systemctl daemon-reload
             systemctl enable --now {COLLECTOR} {SOCKET}",
            self.agent
        );
        self.shell(&drop_in);
        wait_until("the socket to listen", || is_listening(self.agent));
        let operator = "set server farm/drained state drain";
        self.haproxy.run(operator);
        for (messages, weight) in [(1890, 73), (3500, 50), (0, 100), (6300, 10)] {
            self.farm.web.set_load(messages, "ok");
            self.farm.owned.set_load(messages, "ok");
            self.weighs(weight);
        }
    }

    /// The loop restarts first and the collector after it. No probe is lost, and each gets the valid reply.
    fn is_upgraded(&self) {
        let agent = self.agent;
        let mut probers = ["web\n", "owned\n"].map(|name| {
            Prober::start(Duration::from_millis(5), move || {
                probe(agent, name.as_bytes())
            })
        });
        let processes = || [LOOP, COLLECTOR].map(|unit| self.systemd.property(unit, "MainPID"));
        let before = processes();
        self.shell(&self.manager.upgrade());
        let after = processes();
        for (before, after) in before.iter().zip(&after) {
            assert!(before != after && after != "0", "{before} {after}");
        }
        let started = [LOOP, COLLECTOR].map(|unit| -> u64 {
            let started = self
                .systemd
                .property(unit, "ExecMainStartTimestampMonotonic");
            started.parse().unwrap()
        });
        assert!(started[0] < started[1], "{started:?}");
        for prober in &mut probers {
            prober.wait_for_answers(20);
        }
        for prober in probers {
            let samples = prober.samples();
            for sample in &samples {
                let line = sample.line.split(" #").next().unwrap();
                assert!(["up 10%", "up ready 10%"].contains(&line), "{sample:?}");
            }
            println!(
                "{:?}: {} probes, every one answered",
                self.manager,
                samples.len()
            );
        }
        let kept = fs::read_to_string(self.systemd.path(CONFIGURATION)).unwrap();
        assert_eq!(kept, self.configuration);
        self.farm.web.set_load(1890, "ok");
        self.farm.owned.set_load(1890, "ok");
        self.weighs(73);
    }

    /// No server keeps the state of the last application: the agent resets its own states, and leaves an operator's.
    fn is_removed(&self) {
        self.farm.web.set_load(1890, "drain");
        self.farm.owned.set_load(1890, "drain");
        self.reaches("web", "no weight", |seen| seen.weight == 0);
        self.reaches("owned", "draining", |seen| seen.administrative == 8);

        self.shell(&self.manager.remove());
        assert!(!is_listening(self.agent));
        for server in ["web", "owned", "drained"] {
            self.reaches(server, "nobody who answers", |seen| {
                seen.agent_status == "L4CON"
            });
        }
        self.weighs(100);
        let drained = self.haproxy.server("farm", "drained");
        assert_eq!((drained.administrative, drained.weight), (8, 100));

        assert!(self.systemd.path(self.manager.left()).exists());
        let left = self.ours();
        for line in left.lines() {
            let allowed = line.starts_with("/etc/")
                || line.starts_with("/var/lib/agentcheck")
                || line.starts_with("/var/lib/dpkg/info/agentcheck.");
            assert!(allowed, "{line} is left");
        }
        let failed =
            self.shell("systemctl --failed --plain --no-legend; find -L /etc/systemd -type l");
        assert!(!failed.contains("agentcheck"), "{failed}");
    }

    fn is_purged(&self) {
        self.shell(&self.manager.purge());
        let of_the_test = format!("/etc/systemd/system/{SOCKET}.d");
        self.shell(&format!("rm -r {of_the_test}"));
        assert_eq!(self.ours(), "");
    }
}
