//! Readings on their way from the polling threads to the loop: at most one of each source, the newest.

use super::Event;
use crate::decision::observations::NewReading;
use crate::reading::Reading;
use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One slot per source, by the source's number.
pub(super) struct ReadingSlots {
    slots: Mutex<BTreeMap<usize, Slot>>,
    loop_events: SyncSender<Event>,
}

/// A reading that waits for the loop.
pub(super) struct Slot {
    pub(super) new: NewReading,
    /// How many older readings this one replaced.
    pub(super) replaced: u64,
}

impl ReadingSlots {
    /// Empty slots. `loop_events` wakes the loop.
    pub(super) fn new(loop_events: SyncSender<Event>) -> Self {
        Self {
            slots: Mutex::default(),
            loop_events,
        }
    }

    /// Puts a reading into the slot of its source; false if the loop has ended. Makes the values of the reading
    /// on the calling thread.
    pub(super) fn put(&self, number: usize, reading: Reading) -> bool {
        let new = NewReading::new(reading);
        let mut slots = self.lock();
        let was_empty = slots.is_empty();
        let before = slots.remove(&number);
        let replaced = before.as_ref().map_or(0, |before| before.replaced + 1);
        slots.insert(number, Slot { new, replaced });
        drop(slots);
        // A large document takes a while to drop: no other thread waits for that.
        drop(before);
        !was_empty || self.loop_events.send(Event::Readings).is_ok()
    }

    /// The numbers of the sources whose readings wait.
    pub(super) fn waiting(&self) -> Vec<usize> {
        self.lock().keys().copied().collect()
    }

    /// Takes the reading of the source with this number.
    pub(super) fn take(&self, number: usize) -> Option<Slot> {
        self.lock().remove(&number)
    }

    /// Whether no reading waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Slot>> {
        // A panic cannot leave a slot half written.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Failure, Reason};
    use agentcheck_common::BootTime;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    #[test]
    fn only_the_newest_reading_of_a_source_waits() {
        let (sender, events) = sync_channel(2);
        let slots = ReadingSlots::new(sender);
        let reading = |sent| {
            let failure = Failure::new(Reason::Timeout, "");
            Reading::failed(BootTime(sent), Duration::ZERO, failure)
        };
        for sent in 1..=1000 {
            assert!(slots.put(7, reading(sent)));
        }
        assert!(slots.put(3, reading(5)));
        assert_eq!(events.try_iter().count(), 1, "one wake-up");
        assert_eq!(slots.waiting(), [3, 7]);
        let slot = slots.take(7).unwrap();
        assert_eq!(
            (slot.new.reading.sent, slot.replaced),
            (BootTime(1000), 999)
        );
        assert!(slots.take(7).is_none());
        drop(events);
        assert!(slots.take(3).is_some() && slots.is_empty());
        assert!(!slots.put(3, reading(6)), "the loop has ended");
    }
}
