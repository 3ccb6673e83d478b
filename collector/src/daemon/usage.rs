//! The processor time that each source or service took lately, so that the cheap ones come first. Pure.

use agentcheck_common::BootTime;
use std::time::Duration;

/// After this time, used processor time counts half.
const HALF_LIFE: Duration = Duration::from_secs(1);

/// Used time by index.
pub(super) struct Usage {
    used: Vec<Duration>,
    halved: BootTime,
}

impl Usage {
    /// No time used yet, by so many.
    pub(super) fn new(count: usize, now: BootTime) -> Self {
        Self {
            used: vec![Duration::ZERO; count],
            halved: now,
        }
    }

    /// Adds used time.
    pub(super) fn add(&mut self, index: usize, took: Duration) {
        if let Some(used) = self.used.get_mut(index) {
            *used = used.saturating_add(took);
        }
    }

    /// Halves the used times once per second.
    pub(super) fn decay(&mut self, now: BootTime) {
        if now.since(self.halved) >= HALF_LIFE {
            self.halved = now;
            self.used.iter_mut().for_each(|used| *used /= 2);
        }
    }

    /// The used time of one, in milliseconds: a key to sort by. Smaller differences do not change the order.
    pub(super) fn of(&self, index: usize) -> u128 {
        self.used.get(index).map_or(0, Duration::as_millis)
    }
}
