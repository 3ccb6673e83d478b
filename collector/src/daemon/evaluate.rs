//! A turn of the loop: readings are taken in, and the services that they concern are evaluated and published.

use super::Collector;
use super::counters::Published;
use super::failure_log::{log_source, show};
use super::state_dir::Place;
use crate::decision::decide::decide;
use crate::overrides::Effective;
use crate::reading::Reading;
use crate::status::snapshot::SourceStatus;
use crate::sys::clock;
use std::time::Instant;

impl Collector {
    /// Takes a reading of the source with this number in; what else is known now, by index.
    pub(super) fn take(&mut self, number: usize, reading: Reading) -> Vec<usize> {
        // The source may have been taken out while it was polled.
        let Some(index) = self.polling.index(number) else {
            return Vec::new();
        };
        if let (Some(source), Some(told)) =
            (self.config.sources.get(index), self.told.get_mut(index))
        {
            log_source(&source.name, &reading, told);
            self.counting.polled(&source.name, &reading);
            if let Some(slot) = self.sources.get_mut(index) {
                *slot = Some(SourceStatus::of(&reading));
            }
        }
        self.observed.take(index, reading, clock::now())
    }

    /// Evaluates the services that use one of the sources `touched`, or that have asked for it by now; all of
    /// them where an operator has said something.
    pub(super) fn evaluate(&mut self, touched: &[usize], said: bool) {
        let now = clock::now();
        let said = self.look_at_place(now) || said;
        let world = self.observed.world(now);
        let reached = self
            .overriding
            .look_at_conditions(&self.config, &world, now);
        let all = said || reached;
        let mut urgent = all;
        let quiet = self.overriding.is_empty();
        let due = if all {
            (0..self.running.len()).collect()
        } else {
            self.agenda.due(touched, now)
        };
        for index in due {
            let (Some(service), Some(running)) =
                (self.config.services.get(index), self.running.get_mut(index))
            else {
                continue;
            };
            let (began, name) = (Instant::now(), service.name.as_str());
            let standing = if quiet {
                Vec::new()
            } else {
                self.overriding.standing(&self.config, service, now)
            };
            let effective = Effective::of(standing.iter().cloned());
            let lift = if quiet {
                None
            } else {
                self.overriding.lift(service, now)
            };
            let decision = decide(service, &world, &running.memory, &effective, lift, now);
            running.memory = decision.memory;
            running.overrides = self.overriding.statuses(&standing);
            running.lift = self.overriding.lift_id(service);
            self.agenda.set(index, decision.wake_at);
            let Some(overruled) = decision.overruled else {
                self.counting.evaluated(name, began.elapsed(), None);
                continue;
            };
            let until = overruled.verdict.until;
            let (reply, decided) = (overruled.verdict.reply, overruled.verdict.decided.clone());
            let was_out = running.is_out();
            let directory = self.place.as_ref().and_then(Place::directory);
            let changed = running.publish(service, overruled, directory, &self.boot, now);
            self.snapshot.changed |= changed;
            urgent |= was_out != running.is_out();
            let published = Published {
                changed,
                written: directory.is_some() && !running.writing.is_failing(),
                until,
            };
            self.counting
                .evaluated(name, began.elapsed(), Some(published));
            // On a slow disk a turn over many services may take longer than the watchdog's time, and is no
            // reason to begin anew: those at the end would never have their turn.
            self.manager.goes_on();
            match &mut self.history {
                Some(history) => history.note(service, &reply, &decided, now),
                None if changed => show(name, &reply),
                None => {}
            }
        }
        if !self.is_dry() {
            self.overriding.forget(now);
        }
        // Whoever said something waits for the snapshot that shows it; and a collector that is killed now must
        // not have forgotten why a server is out.
        if urgent || self.snapshot.next() <= Instant::now() {
            self.write_status(now);
        }
    }
}
