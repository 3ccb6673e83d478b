//! The collector on this host, and its state files.

use super::Finding;
use crate::status::overview;
use crate::status::snapshot::{ReloadStatus, Status};
use agentcheck_common::schedule::{Refused, Schedule};
use agentcheck_common::{BootId, BootTime, Reply, ServiceName};
use std::io;
use std::time::Duration;

/// What is known of a collector.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The status of this boot.
    pub status: Option<&'a Status>,
    /// Whether the status file is there and this user may not read it.
    pub denied: bool,
    /// Whether a process with the status's number is there.
    pub process: bool,
    /// By how much the configuration was changed after the collector had loaded it.
    pub changed: Option<Duration>,
    /// Now.
    pub now: BootTime,
}

/// What is to be said of the collector, which should know `services`.
#[must_use]
pub fn collector(known: &Known<'_>, services: &[String]) -> Vec<Finding> {
    const START: &str = "systemctl start agentcheck-collector, or agentcheck collect; its log says why it ended: \
                         journalctl -u agentcheck-collector";
    let about = "collector";
    let Some(status) = known.status else {
        let finding = if known.denied {
            Finding::note(about, "this user may not read its status")
                .remedy("run agentcheck doctor as root, or as a member of the group agentcheck")
        } else {
            Finding::error(about, "none has written a status on this boot", START)
        };
        return vec![finding];
    };
    let age = known.now.since(BootTime(status.at));
    let shown = humantime::format_duration(Duration::from_secs(age.as_secs()));
    let pid = status.pid;
    if !known.process {
        let what = format!("process {pid} is dead; its last status is {shown} old");
        return vec![Finding::error(about, what, START)];
    }
    if overview::is_unresponsive(status, known.now) {
        let what = format!("process {pid} is there, and its status is {shown} old: it is stuck");
        let remedy = "systemctl restart agentcheck-collector; a disk or a network mount that hangs shows in \
                      cat /proc/PID/stack";
        return vec![Finding::error(about, what, remedy)];
    }
    let mut found = vec![Finding::ok(
        about,
        format!("process {pid}, status {} ms old", age.as_millis()),
    )];
    let missing: Vec<&str> = services
        .iter()
        .filter(|name| !status.services.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let what = format!("it does not know the services {}", missing.join(", "));
        found.push(Finding::warning(
            about,
            what,
            "it has loaded another configuration: agentcheck reload",
        ));
    } else if known.changed.is_some_and(|by| by > Duration::from_secs(1)) {
        found.push(Finding::warning(
            about,
            "the configuration was changed after it had loaded it",
            "agentcheck reload",
        ));
    }
    if let Some(first) = status.reload.as_ref().and_then(ReloadStatus::refusal) {
        found.push(Finding::warning(
            about,
            format!("it has refused a changed configuration: {first}"),
            "agentcheck check tells all that is wrong with it; then agentcheck reload",
        ));
    }
    for fault in &status.override_faults {
        let what = format!("an override cannot be used: {}", fault.text);
        found.push(Finding::warning(
            about,
            what,
            "agentcheck resume, and set it again",
        ));
    }
    found
}

/// What is to be said of a state file, and what it says now.
#[must_use]
pub fn state_file(
    name: &ServiceName,
    content: Result<&[u8], &io::Error>,
    boot: &BootId,
    now: BootTime,
) -> (Finding, Option<Reply>) {
    let about = "state file";
    let content = match content {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("{name}: there is none; HAProxy hears a word that changes nothing");
            let remedy = "the collector writes it with the first reading: is it running, do its sources answer?";
            return (Finding::error(about, what, remedy), None);
        }
        Err(error) => {
            let what = format!("{name}: cannot be read: {error}");
            let remedy = "it has to be a regular file, readable by all (0644)";
            return (Finding::error(about, what, remedy), None);
        }
    };
    let picked = match Schedule::pick_from(content, name, boot, now) {
        Ok(picked) => picked,
        Err(refused) => {
            let why = match refused {
                Refused::Malformed => "is not in the format",
                Refused::OtherName => "is of another service",
                Refused::OtherBoot => "is of another boot",
                Refused::Future => "begins in the future",
            };
            let what = format!("{name}: it {why}, and is refused as a whole");
            let remedy = "start the collector: it replaces it; collector and responder must share kernel and time \
                          namespace";
            return (Finding::error(about, what, remedy), None);
        }
    };
    let line = String::from_utf8_lossy(picked.line);
    let reply = Reply::parse(picked.line).ok();
    let finding = match picked.until {
        Some(_) => Finding::ok(about, format!("{name}: {line}")),
        None => Finding::warning(
            about,
            format!("{name}: its schedule has run out, and its last line is said: {line}"),
            "no collector has renewed it: start it, or see which source fails",
        ),
    };
    (finding, reply)
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;
    use std::collections::BTreeMap;

    const BOOT: &str = "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11";

    fn status() -> Status {
        let services = [(
            "web".to_owned(),
            crate::status::snapshot::ServiceStatus::default(),
        )];
        Status {
            version: 1,
            boot: BOOT.to_owned(),
            pid: 42,
            started: 0,
            at: 10_000_000_000,
            sources: BTreeMap::new(),
            services: services.into(),
            override_faults: Vec::new(),
            loaded_at: None,
            reload: None,
            derived: BTreeMap::new(),
            pending_removals: BTreeMap::new(),
        }
    }

    #[test]
    fn a_collector_is_alive_stuck_or_dead() {
        let status = status();
        let mut known = Known {
            status: Some(&status),
            denied: false,
            process: true,
            changed: None,
            now: BootTime(10_500_000_000),
        };
        let web = ["web".to_owned()];
        let said = |known: &Known<'_>, services: &[String]| {
            let last = collector(known, services).pop().unwrap();
            (last.severity, last.what)
        };
        let (severity, what) = said(&known, &web);
        assert_eq!(severity, Severity::Ok);
        assert_eq!(what, "process 42, status 500 ms old");
        let (severity, what) = said(&known, &["api".to_owned()]);
        assert_eq!(severity, Severity::Warning);
        assert!(what.contains("api"));
        known.changed = Some(Duration::from_secs(9));
        assert!(said(&known, &web).1.contains("was changed"));
        known.now = BootTime(20_000_000_000);
        let (severity, what) = said(&known, &web);
        assert_eq!(severity, Severity::Error);
        assert!(what.contains("stuck"), "{what}");
        known.process = false;
        assert!(said(&known, &web).1.contains("is dead"));
        known.status = None;
        assert_eq!(said(&known, &web).0, Severity::Error);
        known.denied = true;
        assert_eq!(said(&known, &web).0, Severity::Note);
    }

    #[test]
    fn an_override_that_cannot_be_used_is_told() {
        let mut status = status();
        status.override_faults = vec![crate::status::snapshot::OverrideFault {
            name: Some("web".to_owned()),
            text: "web: junk".to_owned(),
        }];
        let known = Known {
            status: Some(&status),
            denied: false,
            process: true,
            changed: None,
            now: BootTime(10_500_000_000),
        };
        let found = collector(&known, &[]);
        assert!(found[1].what.contains("web: junk"));
    }

    #[test]
    fn state_files() {
        let name = ServiceName::parse(b"web").unwrap();
        let boot = BootId::parse(BOOT.as_bytes()).unwrap();
        let file = format!(
            "agentcheck 1 web\nboot {BOOT}\nfrom 10\nuntil 20 up 73%\nthen up 73% # stale\n"
        );
        let said =
            |content: &str, now| state_file(&name, Ok(content.as_bytes()), &boot, BootTime(now));
        let (found, reply) = said(&file, 15);
        assert_eq!(found, Finding::ok("state file", "web: up 73%"));
        assert_eq!(reply.unwrap().to_string(), "up 73%");
        assert_eq!(said(&file, 25).0.severity, Severity::Warning);
        assert!(said(&file, 5).0.what.contains("future"));
        assert!(said("junk", 5).0.what.contains("format"));
        assert!(
            said(&file.replace("6e3f", "7e3f"), 15)
                .0
                .what
                .contains("another boot")
        );
        assert!(
            said(&file.replace("1 web", "1 api"), 15)
                .0
                .what
                .contains("another service")
        );
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let (found, reply) = state_file(&name, Err(&missing), &boot, BootTime(0));
        assert!(found.what.contains("web: there is none"));
        assert_eq!(reply, None);
    }
}
