//! The collector on this host, and its state files.

use super::Finding;
use crate::status::overview;
use crate::status::snapshot::{ReloadStatus, Status};
use agentcheck_common::schedule::{Schedule, StateFileError};
use agentcheck_common::{BootId, BootTime, Reply, ServiceName};
use std::io;
use std::time::Duration;

/// The facts about a collector.
#[derive(Clone, Copy, Debug)]
pub struct CollectorFacts<'a> {
    /// The status snapshot of this boot.
    pub status: Option<&'a Status>,
    /// Whether the status snapshot exists, and this user cannot read it.
    pub is_denied: bool,
    /// Whether the collector's process runs.
    pub is_running: bool,
    /// How long after the collector loaded the configuration a file of it was changed; `None` where none was.
    pub changed_after: Option<Duration>,
    /// The current time.
    pub now: BootTime,
}

/// The findings about the collector, which should have `services`.
#[must_use]
pub fn collector(facts: &CollectorFacts<'_>, services: &[String]) -> Vec<Finding> {
    const START: &str = "systemctl start agentcheck-collector, or agentcheck collect; its log has the reason: journalctl -u \
                         agentcheck-collector";
    let about = "collector";
    let Some(status) = facts.status else {
        let finding = if facts.is_denied {
            Finding::note(about, "this user cannot read the status snapshot")
                .remedy("run agentcheck doctor as root, or as a member of the group agentcheck")
        } else {
            Finding::error(about, "no collector has run since boot", START)
        };
        return vec![finding];
    };
    let age = facts.now.since(BootTime(status.at));
    let age_text = humantime::format_duration(Duration::from_secs(age.as_secs()));
    let pid = status.pid;
    if !facts.is_running {
        let what = format!("process {pid} is dead; its last status snapshot is {age_text} old");
        return vec![Finding::error(about, what, START)];
    }
    if overview::is_unresponsive(status, facts.now) {
        let what = format!("process {pid} is unresponsive; its status snapshot is {age_text} old");
        let remedy = "systemctl restart agentcheck-collector; cat /proc/PID/stack shows a disk or a network mount that hangs";
        return vec![Finding::error(about, what, remedy)];
    }
    let mut found = vec![Finding::ok(
        about,
        format!("process {pid}, status snapshot {} ms old", age.as_millis()),
    )];
    let missing: Vec<&str> = services
        .iter()
        .filter(|name| !status.services.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        let what = format!("it does not have the services {}", missing.join(", "));
        found.push(Finding::warning(
            about,
            what,
            "it uses another configuration: agentcheck reload",
        ));
    } else if facts
        .changed_after
        .is_some_and(|by| by > Duration::from_secs(1))
    {
        found.push(Finding::warning(
            about,
            "the configuration was changed after it was loaded",
            "agentcheck reload",
        ));
    }
    if let Some(first) = status.reload.as_ref().and_then(ReloadStatus::refusal) {
        found.push(Finding::warning(
            about,
            format!("it refused a changed configuration: {first}"),
            "agentcheck check shows all errors; fix them, then agentcheck reload",
        ));
    }
    for fault in &status.override_faults {
        let what = format!("cannot use an override: {}", fault.text);
        found.push(Finding::warning(
            about,
            what,
            "agentcheck resume, and set it again",
        ));
    }
    found
}

/// The finding about a state file, and its current reply.
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
            let what = format!("{name}: there is none; HAProxy gets a no-op reply");
            let remedy = "the collector writes it with the first reading: check that it runs, and that its sources answer";
            return (Finding::error(about, what, remedy), None);
        }
        Err(error) => {
            let what = format!("{name}: cannot read it: {error}");
            let remedy = "it must be a regular file that everyone can read (0644)";
            return (Finding::error(about, what, remedy), None);
        }
    };
    let picked = match Schedule::current_reply(content, name, boot, now) {
        Ok(picked) => picked,
        Err(refused) => {
            let why = match refused {
                StateFileError::Malformed => "is not in the format",
                StateFileError::OtherService => "belongs to another service",
                StateFileError::OtherBoot => "belongs to another boot",
                StateFileError::Future => "begins in the future",
            };
            let what = format!("{name}: it {why}, so the responder refuses it");
            let remedy = "start the collector, which replaces it. Collector and responder must share kernel and time namespace";
            return (Finding::error(about, what, remedy), None);
        }
    };
    let line = String::from_utf8_lossy(picked.line);
    let reply = Reply::parse(picked.line).ok();
    let finding = match picked.until {
        Some(_) => Finding::ok(about, format!("{name}: {line}")),
        None => Finding::warning(
            about,
            format!("{name}: the schedule has expired; the responder sends its last reply: {line}"),
            "no collector has renewed it: start the collector, or find the source that fails",
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
    fn collector_is_running_unresponsive_or_dead() {
        let status = status();
        let mut facts = CollectorFacts {
            status: Some(&status),
            is_denied: false,
            is_running: true,
            changed_after: None,
            now: BootTime(10_500_000_000),
        };
        let web = ["web".to_owned()];
        let last_finding = |facts: &CollectorFacts<'_>, services: &[String]| {
            let last = collector(facts, services).pop().unwrap();
            (last.severity, last.what)
        };
        let (severity, what) = last_finding(&facts, &web);
        assert_eq!(severity, Severity::Ok);
        assert_eq!(what, "process 42, status snapshot 500 ms old");
        let (severity, what) = last_finding(&facts, &["api".to_owned()]);
        assert_eq!(severity, Severity::Warning);
        assert!(what.contains("api"));
        facts.changed_after = Some(Duration::from_secs(9));
        assert!(last_finding(&facts, &web).1.contains("was changed"));
        facts.now = BootTime(20_000_000_000);
        let (severity, what) = last_finding(&facts, &web);
        assert_eq!(severity, Severity::Error);
        assert!(what.contains("unresponsive"), "{what}");
        facts.is_running = false;
        assert!(last_finding(&facts, &web).1.contains("is dead"));
        facts.status = None;
        assert_eq!(last_finding(&facts, &web).0, Severity::Error);
        facts.is_denied = true;
        assert_eq!(last_finding(&facts, &web).0, Severity::Note);
    }

    #[test]
    fn unusable_override_is_found() {
        let mut status = status();
        status.override_faults = vec![crate::status::snapshot::OverrideFault {
            name: Some("web".to_owned()),
            text: "web: junk".to_owned(),
        }];
        let facts = CollectorFacts {
            status: Some(&status),
            is_denied: false,
            is_running: true,
            changed_after: None,
            now: BootTime(10_500_000_000),
        };
        let found = collector(&facts, &[]);
        assert!(found[1].what.contains("web: junk"));
    }

    #[test]
    fn state_file_is_judged_by_boot_and_time() {
        let name = ServiceName::parse(b"web").unwrap();
        let boot = BootId::parse(BOOT.as_bytes()).unwrap();
        let file = format!(
            "agentcheck 1 web\nboot {BOOT}\nfrom 10\nuntil 20 up 73%\nthen up 73% # stale\n"
        );
        let judge =
            |content: &str, now| state_file(&name, Ok(content.as_bytes()), &boot, BootTime(now));
        let (found, reply) = judge(&file, 15);
        assert_eq!(found, Finding::ok("state file", "web: up 73%"));
        assert_eq!(reply.unwrap().to_string(), "up 73%");
        assert_eq!(judge(&file, 25).0.severity, Severity::Warning);
        assert!(judge(&file, 5).0.what.contains("future"));
        assert!(judge("junk", 5).0.what.contains("format"));
        assert!(
            judge(&file.replace("6e3f", "7e3f"), 15)
                .0
                .what
                .contains("another boot")
        );
        assert!(
            judge(&file.replace("1 web", "1 api"), 15)
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
