//! State files, written as the collector writes them (by the product's own codec, temporary file and rename), or
//! with any bytes.

use agentcheck_common::schedule::{Stage, encode};
use agentcheck_common::{BootId, BootTime, Reply, STATE_SUFFIX, ServiceName};
use rustix::time::{ClockId, clock_gettime};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Now, as the state file has it.
///
/// # Panics
/// Where the clock is negative.
#[must_use]
pub fn now() -> BootTime {
    let now = clock_gettime(ClockId::Boottime);
    BootTime::from_timespec(
        u64::try_from(now.tv_sec).unwrap(),
        u64::try_from(now.tv_nsec).unwrap(),
    )
}

/// The kernel's id of this boot.
///
/// # Panics
/// Where the kernel does not show it.
#[must_use]
pub fn boot_id() -> BootId {
    let text = fs::read(BootId::PATH).expect("the kernel shows its boot id");
    BootId::parse(&text).expect("the boot id has the kernel's form")
}

/// A reply, from its line.
///
/// # Panics
/// Where `HAProxy` would not read it as intended.
#[must_use]
pub fn reply(line: &str) -> Reply {
    Reply::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// A directory of state files.
#[derive(Clone, Debug)]
pub struct StateDirectory {
    path: PathBuf,
}

impl StateDirectory {
    /// The directory `path`, which must be there.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the state file of `service` is.
    #[must_use]
    pub fn file(&self, service: &str) -> PathBuf {
        self.path.join(format!("{service}{STATE_SUFFIX}"))
    }

    /// Writes a state file of `service` with the one reply `line`.
    pub fn set_reply(&self, service: &str, line: &str) {
        self.set_schedule(service, &[], line);
    }

    /// Writes a state file of `service` with these stages, each until so long from now, and `then` after the last.
    ///
    /// # Panics
    /// For what the codec refuses.
    pub fn set_schedule(&self, service: &str, stages: &[(Duration, &str)], then: &str) {
        let from = now();
        let stages: Vec<Stage> = stages
            .iter()
            .map(|(span, line)| Stage {
                until: from.after(*span),
                reply: reply(line),
            })
            .collect();
        let name = ServiceName::parse(service.as_bytes()).expect("a service name");
        let file = encode(&name, &boot_id(), from, &stages, &reply(then));
        let file = file.unwrap_or_else(|error| panic!("{service}: {error}"));
        self.write_file(service, file.as_bytes());
    }

    /// Like [`Self::set_reply`], with the line exactly as it is given: the codec has an order and a case of its own.
    pub fn set_raw_reply(&self, service: &str, line: &str) {
        let (boot, from) = (boot_id(), now());
        let file = format!("agentcheck 1 {service}\nboot {boot}\nfrom {from}\nthen {line}\n");
        self.write_file(service, file.as_bytes());
    }

    /// Writes these bytes as the state file of `service`.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write_file(&self, service: &str, bytes: &[u8]) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let part = format!(".{service}.{}-{count}", std::process::id());
        let part = self.path.join(part);
        fs::write(&part, bytes).unwrap_or_else(|error| panic!("{}: {error}", part.display()));
        fs::set_permissions(&part, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(&part, self.file(service)).unwrap();
    }

    /// Removes the state file of `service`.
    ///
    /// # Panics
    /// Where it cannot be removed.
    pub fn remove_file(&self, service: &str) {
        match fs::remove_file(self.file(service)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}
