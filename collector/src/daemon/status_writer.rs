//! What the collector shows of itself: the status snapshot, and a line for the service manager.

use super::Collector;
use super::state_dir::StateDir;
use crate::render::text;
use crate::status::snapshot::{self, DerivedStatus, ReloadStatus, Status};
use agentcheck_common::BootTime;

/// How many characters of a mistake the service manager shows.
const MOST_TOLD: usize = 200;

impl Collector {
    /// Writes the snapshot, where there is a directory for it.
    pub(super) fn write_status(&mut self, now: BootTime) {
        let sources = self.config.sources.iter().zip(&self.sources);
        let services = self.config.services.iter().zip(&self.services);
        let status = || Status {
            version: snapshot::VERSION,
            boot: self.boot.to_string(),
            pid: std::process::id(),
            started: self.started.0,
            at: now.0,
            sources: sources
                .filter_map(|(source, latest)| Some((source.name.clone(), latest.clone()?)))
                .collect(),
            services: services
                .map(|(service, running)| {
                    let mut status = running.status(service);
                    status.set_configuration(&self.config, service);
                    (service.name.to_string(), status)
                })
                .collect(),
            derived: self
                .observed
                .kept()
                .map(|(name, kept)| (name.to_owned(), DerivedStatus::from_memory(kept)))
                .collect(),
            override_faults: self.overrides.faults().to_vec(),
            loaded_at: Some(self.loaded.0),
            reload: self.reloaded.clone(),
            pending_removals: self.retirement.statuses(),
        };
        match self.state_dir.as_ref().and_then(StateDir::directory) {
            Some(directory) => self.snapshot.write(directory, status),
            None => self.snapshot.passed(),
        }
        self.show_summary();
    }

    /// Tells the service manager what it is to show, where that is something else.
    fn show_summary(&mut self) {
        let polled = self.sources.iter().flatten();
        let failing = polled.filter(|source| !source.ok).count();
        let refused = self.reloaded.as_ref().and_then(ReloadStatus::refusal);
        let refused = refused.map_or_else(String::new, |first| {
            let first: String = text::printable(first).chars().take(MOST_TOLD).collect();
            format!("NOT reloaded: {first}; still as before: ")
        });
        let summary = format!(
            "{refused}{}, {}, {failing} failing",
            text::counted(self.config.services.len(), "service"),
            text::counted(self.config.sources.len(), "source")
        );
        self.service_manager.show(summary);
    }
}
