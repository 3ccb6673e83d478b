//! The story under a real systemd, with the units that `make install` installs: the accept loop, the process per
//! connection, and the collector's unit, which restarts it.

use super::Host;
use super::story::{Story, each};
use agentcheck_tests::address::is_listening;
use agentcheck_tests::messages::DIRECTORY_LOST;
use agentcheck_tests::processes::{wait_for, wait_until};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed, put};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

const COLLECTOR: &str = "agentcheck-collector.service";

/// A host with systemd.
struct Booted {
    systemd: Systemd,
    states: StateDirectory,
    agent: SocketAddr,
    // Its directory and addresses.
    _scene: Scene,
}

impl Booted {
    /// Boots with the product installed; `socket` is the socket unit that is started.
    fn start(scene: Scene, socket: &str) -> Self {
        let agent = scene.agent;
        let tree = installed(&scene.scratch);
        let write = |inside: &str, text: &str| put(&tree, inside, text);
        let configuration = std::fs::read_to_string(&scene.configuration).unwrap();
        write("etc/agentcheck/agentcheck.toml", &configuration);
        // The one thing that an operator changes, in the way that the unit documents.
        write(
            &format!("etc/systemd/system/{socket}.d/address.conf"),
            &format!("[Socket]\nListenStream=\nListenStream={agent}\n"),
        );
        let systemd = Systemd::boot(&scene.scratch, &tree);
        systemd.run(&["systemctl", "start", socket, COLLECTOR]);
        wait_until(format_args!("{socket} to listen"), || is_listening(agent));
        Self {
            states: StateDirectory::at(systemd.path("/run/agentcheck")),
            systemd,
            agent,
            _scene: scene,
        }
    }

    fn kill(&self) {
        let words = ["systemctl", "kill", "--signal=KILL", COLLECTOR];
        self.systemd.run(&words);
    }
}

impl Host for Booted {
    fn agent(&self) -> SocketAddr {
        self.agent
    }

    fn states(&self) -> &StateDirectory {
        &self.states
    }

    fn kill_collector(&mut self) {
        self.kill();
        // The unit would start it again within two seconds; a test below checks that.
        self.systemd.run(&["systemctl", "stop", COLLECTOR]);
    }

    fn start_collector(&mut self) {
        self.systemd.run(&["systemctl", "start", COLLECTOR]);
    }
}

#[test]
fn weight_follows_application_with_the_shipped_units() {
    each(
        &["agentcheck.socket", "agentcheck-inetd.socket"],
        |socket| {
            play(socket.trim_end_matches(".socket"), socket);
        },
    );
}

fn play(test: &str, socket: &str) {
    let mut story = Story::begin(test, |scene| Booted::start(scene, socket));
    story.the_whole();
    the_unit_brings_it_back(&story);
    the_unit_makes_its_directory_again(&story);
    let failed = story
        .host
        .systemd
        .run(&["systemctl", "--failed", "--plain", "--no-legend"]);
    let ours: Vec<_> = failed
        .lines()
        .filter(|line| line.contains("agentcheck"))
        .collect();
    assert_eq!(ours, Vec::<&str>::new(), "units have failed");
}

/// A crash under systemd: the state directory and its files survive, the replies continue, and the unit starts
/// another collector.
fn the_unit_brings_it_back(story: &Story<Booted>) {
    story.reach_the_example();
    let systemd = &story.host.systemd;
    let directory = || {
        let data = std::fs::metadata(story.host.states.path()).unwrap();
        (data.dev(), data.ino())
    };
    let process = || systemd.property(COLLECTOR, "MainPID");
    let (before, first) = (directory(), process());
    let probers = story.probers();
    let plans = ["web", "owned"].map(|service| story.plan(service));

    story.host.kill();
    let second = wait_for("the unit to bring the collector back", || {
        let pid = process();
        let state = systemd.property(COLLECTOR, "ActiveState");
        if state == "active" && pid != first && pid != "0" {
            Ok(pid)
        } else {
            Err(format!("{state}, process {pid}"))
        }
    });
    let after = agentcheck_tests::state::now();
    wait_until("its first words", || {
        story.plan("web").from > after && story.plan("owned").from > after
    });
    assert_eq!(directory(), before, "the state directory is another one");
    let restarts = systemd.property(COLLECTOR, "NRestarts");
    println!("the collector's process was {first}, is {second} now; {restarts} restarts");

    for (prober, plan) in probers.into_iter().zip(&plans) {
        // A second without collector is shorter than any reply is good for.
        let samples = prober.samples();
        for sample in &samples {
            let allowed = [&plan.fresh, &plan.then];
            assert!(allowed.contains(&&sample.line), "{sample:?} {plan:?}");
        }
        let stale = samples.iter().filter(|sample| sample.line == plan.then);
        println!("{} answers, {} stale", samples.len(), stale.count());
    }
}

/// In the unit's sandbox the collector cannot make the state directory again: it ends, and the next start makes it.
fn the_unit_makes_its_directory_again(story: &Story<Booted>) {
    story.reach_the_example();
    let systemd = &story.host.systemd;
    let before = systemd.property(COLLECTOR, "MainPID");
    // A file that is created meanwhile may keep a part of it.
    wait_until("the directory to be removed", || {
        std::fs::remove_dir_all(story.host.states.path()).is_ok()
    });
    wait_until("another process of the collector", || {
        let pid = systemd.property(COLLECTOR, "MainPID");
        pid != before && pid != "0"
    });
    let after = agentcheck_tests::state::now();
    wait_until("its first words", || {
        story.host.states.file("web").exists() && story.plan("web").from > after
    });
    story.reach_the_example();
    let reason = DIRECTORY_LOST;
    systemd.wait_for_journal(COLLECTOR, reason);
}
