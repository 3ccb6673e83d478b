//! Writes the status snapshot, and the line that the service manager shows.

use super::output::Output;
use super::records::Records;
use super::services::Services;
use super::sources::Sources;
use crate::config::Config;
use crate::render::text;
use crate::status::snapshot::{self, DerivedStatus, Entries, OverrideFault, ReloadStatus, Status};
use agentcheck_common::BootTime;

/// How many characters of an error the service manager shows.
const MAX_SUMMARY: usize = 200;

/// Writes the snapshot, if there is a directory for it.
pub(super) fn write(
    config: &Config,
    sources: &Sources,
    services: &Services,
    faults: impl FnOnce() -> Vec<OverrideFault>,
    output: &Output,
    records: &mut Records,
    now: BootTime,
) {
    match output.directory() {
        Some(directory) => {
            let polled = || {
                let polled = config.sources.iter().zip(&sources.statuses);
                polled.filter_map(|(source, latest)| Some((source.name.as_str(), latest.as_ref()?)))
            };
            let tasks = || {
                let tasks = config.services.iter().zip(&services.tasks);
                tasks.map(|(service, task)| {
                    let mut status = task.status(service);
                    status.set_configuration(config, service);
                    (service.name.as_str(), status)
                })
            };
            let status = Status {
                version: snapshot::VERSION,
                boot: output.boot.to_string(),
                pid: std::process::id(),
                started: records.started.0,
                at: now.0,
                sources: Entries(polled),
                services: Entries(tasks),
                derived: sources
                    .observed
                    .kept()
                    .map(|(name, kept)| (name.to_owned(), DerivedStatus::from_memory(kept)))
                    .collect(),
                override_faults: faults(),
                loaded_at: Some(records.loaded.0),
                reload: records.reload.clone(),
                pending_removals: output.retirement.statuses(),
            };
            records.snapshot.write(directory, &status);
        }
        None => records.snapshot.skip(),
    }
    let summary = summary(config, sources, records.reload.as_ref());
    records.service_manager.show(summary);
}

/// One line for the service manager.
fn summary(config: &Config, sources: &Sources, reload: Option<&ReloadStatus>) -> String {
    let polled = sources.statuses.iter().flatten();
    let failing = polled.filter(|source| !source.ok).count();
    let refused = reload.and_then(ReloadStatus::refusal);
    let refused = refused.map_or_else(String::new, |first| {
        let first: String = text::printable(first).chars().take(MAX_SUMMARY).collect();
        format!("reload failed: {first}; keeping the current configuration: ")
    });
    format!(
        "{refused}{}, {}, {failing} failing",
        text::counted(config.services.len(), "service"),
        text::counted(config.sources.len(), "source")
    )
}
