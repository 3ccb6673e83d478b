//! `agentcheck decommission`: publishes the release reply of every service, before agentcheck is removed.

use super::{Failed, Output, StateDir, overrides, status};
use crate::reply::release;
use crate::sys::{lock, state_file};
use agentcheck_common::schedule::Schedule;
use agentcheck_common::{Maxconn, ServiceName};
use clap::Args;
use rustix::fs::{Mode, OFlags};
use std::fmt::Write as _;
use std::os::fd::AsFd;

/// The description of release replies.
const WHY: &str = "agentcheck is being removed";

#[derive(Args)]
#[command(after_help = "\
Stop the collector first: systemctl stop agentcheck-collector. Remove the
responder after every balancer has polled once more.
Example: agentcheck decommission --wait")]
pub(super) struct Decommission {
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    wait: overrides::Wait,
}

impl Decommission {
    pub(super) fn run(&self) -> Result<Output, Failed> {
        let directory = &self.state.state_dir;
        let lock = lock::take(directory).map_err(|error| match error {
            lock::LockError::Held { .. } => Failed::new(format!(
                "{error}; stop it first: systemctl stop agentcheck-collector"
            )),
            lock::LockError::Failed(..) => Failed::new(error.to_string()),
        })?;
        let input = status::read_state_dir(directory).map_err(Failed::new)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(|error| {
            let directory = directory.display();
            Failed::new(format!("cannot open state directory {directory}: {error}"))
        })?;

        let (mut text, mut errors) = (String::new(), String::new());
        for (name, content) in &input.files {
            let schedule = Schedule::decode(content).ok();
            let named = ServiceName::parse(name.as_bytes())
                .zip(schedule.filter(|schedule| schedule.name == name.as_bytes()));
            let Some((service, schedule)) = named else {
                let _ = writeln!(
                    errors,
                    "agentcheck: {name}: not a valid state file; left unchanged"
                );
                continue;
            };
            // The snapshot of any boot: the limit comes from the configuration.
            let known = input.status.as_ref().ok();
            let normal = known
                .and_then(|status| status.services.get(name))
                .and_then(|service| Maxconn::new(service.maxconn_normal?));
            let before = release::union_of_stages(&schedule);
            let last = release::release_reply(&before, normal, WHY);
            let at = (&input.boot, input.now);
            let written = state_file::publish(opened.as_fd(), &service, at, &[], &last);
            let stays = before.maxconn.filter(|_| normal.is_none());
            let _ = match (written, stays) {
                (Ok(()), None) => writeln!(text, "{name}: {last}"),
                (Ok(()), Some(limit)) => writeln!(
                    text,
                    "{name}: {last}; maxconn:{} remains, because the normal limit is unknown",
                    limit.get()
                ),
                (Err(error), _) => writeln!(
                    errors,
                    "agentcheck: cannot write the reply of {name}: {error}"
                ),
            };
        }
        drop(lock);
        if text.is_empty() {
            text.push_str("no service has a reply\n");
        } else {
            text.push_str(&self.wait.poll_twice());
        }
        if errors.is_empty() {
            Ok(text.into())
        } else {
            Err(Failed(text + &errors))
        }
    }
}
