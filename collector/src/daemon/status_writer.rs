//! Writes the status snapshot, and the line that the service manager shows.

use super::output::Output;
use super::records::Records;
use super::services::Services;
use super::sources::Sources;
use super::status_schedule::Entries;
use crate::config::Config;
use crate::render::text;
use crate::status::snapshot::{self, DerivedStatus, Frame, OverrideFault, ReloadStatus, Status};
use agentcheck_common::BootTime;
use std::collections::BTreeMap;

/// How many characters of an error the service manager shows.
const MAX_SUMMARY: usize = 200;

/// Writes the snapshot, if there is a directory for it, or the next piece if it need not be `whole`.
#[allow(clippy::too_many_arguments)] // the parts of the collector that it shows
pub(super) fn write(
    config: &Config,
    sources: &Sources,
    services: &Services,
    faults: impl FnOnce() -> Vec<OverrideFault>,
    output: &Output,
    records: &mut Records,
    whole: bool,
    now: BootTime,
) {
    let Some(directory) = output.directory() else {
        records.snapshot.skip();
        return show(config, sources, records);
    };
    let (started, loaded, reload) = (records.started, records.loaded, records.reload.clone());
    let status = || Status {
        version: snapshot::VERSION,
        boot: output.boot.to_string(),
        pid: std::process::id(),
        started: started.0,
        at: now.0,
        sources: BTreeMap::new(),
        services: BTreeMap::new(),
        derived: sources
            .observed
            .kept()
            .map(|(name, kept)| (name.to_owned(), DerivedStatus::from_memory(kept)))
            .collect(),
        override_faults: faults(),
        loaded_at: Some(loaded.0),
        reload,
        pending_removals: output.retirement.statuses(),
    };
    let entries = Entries {
        sources: config.sources.len(),
        services: config.services.len(),
        add: |number: usize, text: &mut Vec<u8>| {
            if let Some(source) = config.sources.get(number) {
                return match sources.statuses.get(number).and_then(Option::as_ref) {
                    Some(latest) => Frame::add(text, &source.name, latest),
                    None => Ok(()),
                };
            }
            let number = number - config.sources.len();
            let (Some(service), Some(task)) =
                (config.services.get(number), services.tasks.get(number))
            else {
                return Ok(());
            };
            let mut status = task.status(service);
            status.set_configuration(config, service);
            Frame::add(text, service.name.as_str(), &status)
        },
    };
    if records.snapshot.write(directory, whole, status, &entries) {
        show(config, sources, records);
    }
}

fn show(config: &Config, sources: &Sources, records: &mut Records) {
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
