//! Polls every source once and tries what the collector has to be able to do, as the collector's user: root
//! may read and reach what that user may not. Where doctor is root, it starts itself again as that user, which
//! reports its findings as JSON.

use super::collector_user::CollectorUser;
use super::first_line;
use crate::config::{self, Config, LoadError, Service};
use crate::setup::doctor::Finding;
use crate::source::{Cancellation, Poller, Source};
use crate::sys::session;
use rustix::fs::Access;
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many sources are polled at a time.
const AT_ONCE: usize = 16;

/// The most that all polls together may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set for the process that runs as the collector's user. Not a flag: it is for nobody else.
const FOR_ANOTHER: &str = "AGENTCHECK_DOCTOR_FOR_ANOTHER";

/// Where the other process's programs are looked for, as under a service manager.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a process that was killed, or has said all, may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// The most that another process may say, in bytes.
const MOST: u64 = 8 << 20;

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) config: &'a Path,
    pub(super) state_dir: &'a Path,
    /// The services whose sources are polled; all where none is named.
    pub(super) services: &'a [String],
}

/// Whether this process looks for another one.
pub(super) fn is_for_another() -> bool {
    std::env::var_os(FOR_ANOTHER).is_some()
}

/// What `account` finds; whoever looks, where that is nobody else or cannot be changed.
pub(super) fn findings(look: &Look<'_>, account: Option<&CollectorUser>) -> Vec<Finding> {
    let me = rustix::process::geteuid();
    let other = account.filter(|account| account.uid != me.as_raw());
    let Some(account) = other else {
        return look.findings();
    };
    if !me.is_root() {
        let what = format!("sources are polled as this user, not as {}", account.name);
        let mut found = vec![Finding::note("user", what).remedy("run agentcheck doctor as root")];
        found.extend(look.polled());
        return found;
    }
    match look.as_user(account) {
        Ok(found) => found,
        Err(error) => {
            let what = format!(
                "sources are polled as root, since this program cannot be run as {}: {error}",
                account.name
            );
            let mut found = vec![Finding::note("user", what)];
            found.extend(look.findings());
            found
        }
    }
}

impl Look<'_> {
    fn as_user(&self, account: &CollectorUser) -> io::Result<Vec<Finding>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["doctor", "--config"])
            .arg(std::path::absolute(self.config)?)
            .arg("--state-dir")
            .arg(std::path::absolute(self.state_dir)?)
            .arg("--")
            .args(self.services)
            .current_dir("/")
            // Root's own is not for another user to see.
            .env_clear()
            .env("PATH", PATH)
            .env(FOR_ANOTHER, "1")
            .gid(account.gid)
            .uid(account.uid);
        // Its commands must not reach root's terminal.
        session::begin(&mut command)?;
        let said = output(&mut command, PATIENCE + Duration::from_secs(5))?;
        let found: Vec<Finding> = serde_json::from_str(&said)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(found.iter().map(Finding::received).collect())
    }

    /// What this user finds, as JSON, for the process that asked.
    pub(super) fn as_json(&self) -> String {
        serde_json::to_string(&self.findings()).unwrap_or_default()
    }

    fn findings(&self) -> Vec<Finding> {
        let mut found = self.polled();
        let writable = Access::WRITE_OK | Access::EXEC_OK;
        if let Err(error) = rustix::fs::access(self.state_dir, writable)
            && error != rustix::io::Errno::NOENT
        {
            let shown = self.state_dir.display();
            let uid = rustix::process::geteuid().as_raw();
            found.push(Finding::error(
                "state directory",
                format!(
                    "user {uid}, as which the collector runs, cannot write to {shown}: {error}"
                ),
                format!("chown {uid} {shown}"),
            ));
        }
        found
    }

    fn polled(&self) -> Vec<Finding> {
        match config::load(self.config) {
            Ok((config, _)) => poll_all(&self.sources(&config)),
            Err(LoadError::Unreadable(..)) => {
                let uid = rustix::process::geteuid().as_raw();
                let what = format!("user {uid} cannot read {}", self.config.display());
                let remedy = "chmod 0644, or chgrp agentcheck and chmod 0640";
                vec![Finding::error("configuration", what, remedy)]
            }
            Err(LoadError::Wrong(report)) => {
                let uid = rustix::process::geteuid().as_raw();
                let wrong = report
                    .rendered
                    .first()
                    .map_or("", |first| first_line(first));
                let what = format!("not for user {uid}: {wrong}");
                let remedy = "chown root and chmod 0644, or chgrp agentcheck and chmod 0640";
                vec![Finding::error("configuration", what, remedy)]
            }
        }
    }

    /// The services that are looked at.
    pub(super) fn meant<'c>(&self, config: &'c Config) -> Vec<&'c Service> {
        let is_meant =
            |name: &str| self.services.is_empty() || self.services.iter().any(|one| one == name);
        let services = config.services.iter();
        services
            .filter(|service| is_meant(service.name.as_str()))
            .collect()
    }

    /// The sources that the services use, derived numbers' own included.
    pub(super) fn sources(&self, config: &Config) -> Vec<Source> {
        let services = self.meant(config);
        let mut used: BTreeSet<usize> = services
            .iter()
            .flat_map(|service| service.sources.iter().copied())
            .collect();
        if self.services.is_empty() {
            used.extend(0..config.sources.len());
        }
        for (index, derived) in config.derived.iter().enumerate() {
            if used.contains(&(config.sources.len() + index)) {
                used.extend(&derived.sources);
            }
        }
        let used = used
            .into_iter()
            .filter_map(|index| config.sources.get(index));
        used.cloned().collect()
    }
}

/// Polls each source once; those that have not ended in time are told, too.
fn poll_all(sources: &[Source]) -> Vec<Finding> {
    let deadline = Instant::now() + PATIENCE;
    let queue: VecDeque<(usize, Source)> = sources.iter().cloned().enumerate().collect();
    let queue = Arc::new(Mutex::new(queue));
    let (sender, finished) = channel();
    for _ in 0..AT_ONCE.min(sources.len()) {
        let (queue, sender) = (Arc::clone(&queue), sender.clone());
        thread::spawn(move || {
            let next = || {
                queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front()
            };
            while let Some((index, source)) = next() {
                let reading = Poller::new(&source).poll(&Cancellation::new());
                if sender.send((index, reading)).is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut found: Vec<Option<Finding>> = vec![None; sources.len()];
    while let Ok((index, reading)) =
        finished.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        let (Some(slot), Some(source)) = (found.get_mut(index), sources.get(index)) else {
            continue;
        };
        *slot = Some(match &reading.outcome {
            Ok(_) => Finding::ok(
                "source",
                format!(
                    "{source}: answers in {:.1} ms",
                    reading.latency.as_secs_f64() * 1e3
                ),
            ),
            Err(failure) => Finding::error(
                "source",
                format!("{source}: {failure}"),
                "try it by hand as the collector's user; meanwhile on_failure decides what is said",
            ),
        });
    }
    let told = found.into_iter().zip(sources).map(|(finding, source)| {
        finding.unwrap_or_else(|| {
            let what = format!(
                "{source}: no end of its poll within {} s",
                PATIENCE.as_secs()
            );
            Finding::error(
                "source",
                what,
                "a network mount that has gone away, or too many slow sources",
            )
        })
    });
    told.collect()
}

/// What a program says on its standard output, within `patience`; one that takes longer is killed.
pub(super) fn output(command: &mut Command, patience: Duration) -> io::Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (sender, said) = sync_channel(1);
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(MOST).read_to_end(&mut bytes);
            let _ = sender.send(read.map(|_| bytes));
        });
    }
    let said = said.recv_timeout(patience);
    if said.is_err() {
        let _ = child.kill();
    }
    // Not for ever: one that waits for a disk does not even end when it is killed.
    let deadline = Instant::now() + GRACE;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    match said {
        Ok(said) if status.success() => Ok(String::from_utf8_lossy(&said?).into_owned()),
        Ok(_) => Err(io::Error::other(format!("it failed: {status}"))),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
