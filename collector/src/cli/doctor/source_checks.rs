//! Polls every source once, and checks the permissions, as the collector's user: root can read what that user cannot.
//! As root, doctor starts itself again as that user. The child reports its findings as JSON.

use super::collector_user::CollectorUser;
use super::first_line;
use super::rights::rights;
use crate::config::{self, Config, LoadError, Service, SourceId};
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

/// How many sources are polled at the same time.
const AT_ONCE: usize = 16;

/// The time limit of all polls together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set for the child that runs as the collector's user. It is not a flag, because only doctor uses it.
const CHILD: &str = "AGENTCHECK_DOCTOR_CHILD";

/// The child's PATH, as under a service manager.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The time in which a killed or finished child has to exit.
const GRACE: Duration = Duration::from_secs(2);

/// The largest output of a child, in bytes.
const MAX_OUTPUT: u64 = 8 << 20;

/// The sources to check.
#[derive(Clone, Copy)]
pub(super) struct SourceChecks<'a> {
    pub(super) config: &'a Path,
    pub(super) state_dir: &'a Path,
    /// The services whose sources are polled; all services if it is empty.
    pub(super) services: &'a [String],
}

/// Whether this process is the child.
pub(super) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// The findings as user `account`; as this user where it is the same, or where this user cannot change it.
pub(super) fn findings(checks: &SourceChecks<'_>, account: Option<&CollectorUser>) -> Vec<Finding> {
    let me = rustix::process::geteuid();
    let other = account.filter(|account| account.uid != me.as_raw());
    let Some(account) = other else {
        return checks.findings();
    };
    if !me.is_root() {
        let what = format!("polling sources as this user, not as {}", account.name);
        let mut found = vec![Finding::note("user", what).remedy("run agentcheck doctor as root")];
        found.extend(checks.polled());
        return found;
    }
    match checks.as_user(account) {
        Ok(found) => found,
        Err(error) => {
            let what = format!(
                "polling sources as root: cannot run this program as {}: {error}",
                account.name
            );
            let mut found = vec![Finding::note("user", what)];
            found.extend(checks.findings());
            found
        }
    }
}

impl SourceChecks<'_> {
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
            // The other user must not see root's environment.
            .env_clear()
            .env("PATH", PATH)
            .env(CHILD, "1")
            .gid(account.gid)
            .uid(account.uid);
        // Its commands must not reach root's terminal.
        session::begin(&mut command)?;
        let json = output(&mut command, PATIENCE + Duration::from_secs(5))?;
        let found: Vec<Finding> = serde_json::from_str(&json)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(found.iter().map(Finding::received).collect())
    }

    /// The findings as this user, as JSON, for the parent.
    pub(super) fn as_json(&self) -> String {
        serde_json::to_string(&self.findings()).unwrap_or_default()
    }

    fn findings(&self) -> Vec<Finding> {
        let mut found = self.polled();
        let writable = Access::WRITE_OK | Access::EXEC_OK;
        if let Err(error) = rustix::fs::access(self.state_dir, writable)
            && error != rustix::io::Errno::NOENT
        {
            let directory = self.state_dir.display().to_string();
            let uid = rustix::process::geteuid().as_raw();
            let remedy = match rights(self.state_dir) {
                Ok(rights) => rights.give(uid, &directory),
                Err(kind) => format!("its permissions cannot be read: {kind}"),
            };
            found.push(Finding::error(
                "state directory",
                format!("the collector's user {uid} cannot write to {directory}: {error}"),
                remedy,
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
                let what = format!("user {uid} cannot use it: {wrong}");
                let remedy = "chown root and chmod 0644, or chgrp agentcheck and chmod 0640";
                vec![Finding::error("configuration", what, remedy)]
            }
        }
    }

    /// The services to check.
    pub(super) fn services_of<'c>(&self, config: &'c Config) -> Vec<&'c Service> {
        let is_requested =
            |name: &str| self.services.is_empty() || self.services.iter().any(|one| one == name);
        let services = config.services.iter();
        services
            .filter(|service| is_requested(service.name.as_str()))
            .collect()
    }

    /// The sources that the services use, directly or through derived numbers.
    pub(super) fn sources(&self, config: &Config) -> Vec<Source> {
        let services = self.services_of(config);
        let mut used: BTreeSet<SourceId> = services
            .iter()
            .flat_map(|service| config.polled_for(service))
            .collect();
        if self.services.is_empty() {
            used.extend((0..config.sources.len()).map(SourceId));
        }
        let used = used.into_iter().filter_map(|id| config.sources.get(id.0));
        used.cloned().collect()
    }
}

/// Polls each source once. A source that does not end in time is an error.
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
                "try it by hand as the collector's user; until it works, on_failure decides the reply",
            ),
        });
    }
    let all = found.into_iter().zip(sources).map(|(finding, source)| {
        finding.unwrap_or_else(|| {
            let what = format!(
                "{source}: its poll does not end within {} s",
                PATIENCE.as_secs()
            );
            Finding::error(
                "source",
                what,
                "a network mount may hang, or there are too many slow sources",
            )
        })
    });
    all.collect()
}

/// The standard output of a program. After `patience` the program is killed.
pub(super) fn output(command: &mut Command, patience: Duration) -> io::Result<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (sender, received) = sync_channel(1);
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(MAX_OUTPUT).read_to_end(&mut bytes);
            let _ = sender.send(read.map(|_| bytes));
        });
    }
    let received = received.recv_timeout(patience);
    if received.is_err() {
        let _ = child.kill();
    }
    // A program that waits for a disk does not end when it is killed.
    let deadline = Instant::now() + GRACE;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > deadline => return Err(io::ErrorKind::TimedOut.into()),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    match received {
        Ok(bytes) if status.success() => Ok(String::from_utf8_lossy(&bytes?).into_owned()),
        Ok(_) => Err(io::Error::other(format!("it failed: {status}"))),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
