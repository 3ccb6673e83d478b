//! What the documents claim about systemd, checked on a real one: security scores, the watchdog, the access lists
//! of the listeners, the optional drop-ins, and files that another user writes for the collector.
//!
//! `launchers.rs` and `end_to_end.rs` test probes and restarts. `make test-systemd-257` runs these tests on
//! another systemd.

mod access_list;
mod another_user;
mod claims;
mod links;
mod probes;
mod reload;
mod watchdog;

use agentcheck_tests::collector::Plan;
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed, put};
use std::fs;
use std::path::{Path, PathBuf};

const COLLECTOR: &str = "agentcheck-collector.service";
const LOOP_SOCKET: &str = "agentcheck.socket";
const PROBE_SOCKET: &str = "agentcheck-inetd.socket";
/// Where units and drop-ins of the operator are.
const OPERATOR: &str = "etc/systemd/system";
/// Where drop-ins are installed to be copied.
const OPTIONAL: &str = "usr/share/doc/agentcheck/systemd";

/// The installed files and the operator's, before the system is booted.
struct Tree {
    path: PathBuf,
    scratch: Scratch,
}

impl Tree {
    fn installed(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let path = installed(&scratch);
        Self { path, scratch }
    }

    fn file(&self, inside: &str, text: &str) {
        put(&self.path, inside, text);
    }

    fn configuration(&self, text: &str) {
        self.file("etc/agentcheck/agentcheck.toml", text);
    }

    /// A drop-in that the operator writes.
    fn drop_in(&self, unit: &str, text: &str) {
        self.file(&format!("{OPERATOR}/{unit}.d/test.conf"), text);
    }

    /// A shipped drop-in, copied as its comment describes.
    fn enable(&self, drop_in: &str) {
        enable(&self.path, drop_in);
    }

    fn boot(self) -> Host {
        let systemd = Systemd::boot(&self.scratch, &self.path);
        Host::new(systemd, self.scratch)
    }

    /// In a network of its own, so that all listens as it ships.
    fn boot_alone(self) -> Host {
        let systemd = Systemd::boot_alone(&self.scratch, &self.path);
        Host::new(systemd, self.scratch)
    }
}

fn enable(tree: &Path, drop_in: &str) {
    let to = tree.join(OPERATOR).join(drop_in);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(tree.join(OPTIONAL).join(drop_in), to).unwrap();
}

/// A host with systemd, the product installed. Dropped in this order.
struct Host {
    systemd: Systemd,
    states: StateDirectory,
    scratch: Scratch,
}

impl Host {
    fn new(systemd: Systemd, scratch: Scratch) -> Self {
        Self {
            states: StateDirectory::at(systemd.path("/run/agentcheck")),
            systemd,
            scratch,
        }
    }

    fn start(&self, units: &[&str]) {
        self.systemd.run(&[&["systemctl", "start"], units].concat());
    }

    fn property(&self, unit: &str, property: &str) -> String {
        self.systemd.property(unit, property)
    }

    /// Waits until the state file of a service has this reply.
    fn wait_for_reply(&self, service: &str, line: &str) -> Plan {
        wait_for(format_args!("{service} to have the reply {line:?}"), || {
            let plan = Plan::read(&self.states, service)?;
            if plan.fresh.starts_with(line) {
                Ok(plan)
            } else {
                Err(format!("{plan:?}"))
            }
        })
    }

    /// Waits until something new has been written for a service.
    fn continues_writing(&self, service: &str) {
        let now = agentcheck_tests::state::now();
        wait_for(format_args!("a new state file of {service}"), || {
            let plan = Plan::read(&self.states, service)?;
            (plan.from > now).then_some(()).ok_or(format!("{plan:?}"))
        });
    }
}
