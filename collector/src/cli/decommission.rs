//! `agentcheck decommission`: the last word of a host on which nobody is to speak for its services any more.

use super::{Failed, Output, StateDir, overrides, status};
use crate::render::text::printable;
use crate::reply::release;
use crate::sys::{lock, state_file};
use agentcheck_common::schedule::Schedule;
use agentcheck_common::{Maxconn, ServiceName};
use clap::Args;
use rustix::fs::{Mode, OFlags};
use std::fmt::Write as _;
use std::os::fd::AsFd;

/// The description, where replies had one.
const WHY: &str = "agentcheck is being removed";

#[derive(Args)]
#[command(after_help = "\
Stop the collector first: systemctl stop agentcheck-collector. The responder
goes when the balancers have asked once more.
Example: agentcheck decommission --wait")]
pub(super) struct Decommission {
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    heard: overrides::Heard,
}

impl Decommission {
    pub(super) fn say(&self) -> Result<Output, Failed> {
        let directory = &self.state.state_dir;
        let failed = |why: String| Failed(format!("agentcheck: {}\n", printable(&why)));
        let lock = lock::take(directory).map_err(|error| match error {
            lock::LockError::Held { .. } => failed(format!(
                "{error}: stop it first, or it goes on speaking for its services"
            )),
            lock::LockError::Failed(..) => failed(error.to_string()),
        })?;
        let look = status::look(directory).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|error| failed(format!("{}: {error}", directory.display())))?;

        let (mut said, mut wrong) = (String::new(), String::new());
        for (name, content) in &look.files {
            let schedule = Schedule::decode(content).ok();
            let named = ServiceName::parse(name.as_bytes())
                .zip(schedule.filter(|schedule| schedule.name == name.as_bytes()));
            let Some((service, schedule)) = named else {
                let _ = writeln!(wrong, "agentcheck: {name}: no state file: left as it is");
                continue;
            };
            // Whatever the boot: how much the server takes is a matter of the configuration.
            let known = look.status.as_ref().ok();
            let normal = known
                .and_then(|status| status.services.get(name))
                .and_then(|service| Maxconn::new(service.maxconn_normal?));
            let before = release::union_of_stages(&schedule);
            let last = release::release_reply(&before, normal, WHY);
            let at = (&look.boot, look.now);
            let written = state_file::publish(opened.as_fd(), &service, at, &[], &last);
            let stays = before.maxconn.filter(|_| normal.is_none());
            let _ = match (written, stays) {
                (Ok(()), None) => writeln!(said, "{name}: {last}"),
                (Ok(()), Some(limit)) => writeln!(
                    said,
                    "{name}: {last}; maxconn:{} stays, for nobody tells the normal one",
                    limit.get()
                ),
                (Err(error), _) => writeln!(wrong, "agentcheck: {name}: no last word: {error}"),
            };
        }
        drop(lock);
        if said.is_empty() {
            said.push_str("no service has a reply: there is nothing to take back\n");
        } else {
            said.push_str(&self.heard.wait());
        }
        if wrong.is_empty() {
            Ok(said.into())
        } else {
            Err(Failed(said + &wrong))
        }
    }
}
