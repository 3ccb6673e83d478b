//! Readings on their way from the polling threads to the loop: at most one of each source, the newest.

use super::Event;
use super::poll_task::{NewReadings, TaskId};
use crate::decision::observations::NewReading;
use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One slot per source.
pub(super) struct ReadingSlots {
    slots: Mutex<BTreeMap<TaskId, Slot>>,
    loop_events: SyncSender<Event>,
    /// Readings that the loop has replaced. A polling thread drops them, because large ones take a while.
    replaced: Mutex<Vec<NewReading>>,
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
            replaced: Mutex::default(),
        }
    }

    /// Puts readings into the slots of their sources, with one wake-up for all; false if the loop has ended.
    pub(super) fn put(&self, readings: NewReadings) -> bool {
        let replaced_before = std::mem::take(&mut *lock(&self.replaced));
        drop(replaced_before);
        let mut slots = lock(&self.slots);
        let was_empty = slots.is_empty();
        let mut unread = Vec::new();
        for (task, new) in readings {
            let before = slots.remove(&task);
            let replaced = before.as_ref().map_or(0, |before| before.replaced + 1);
            slots.insert(task, Slot { new, replaced });
            unread.extend(before);
        }
        drop(slots);
        drop(unread);
        !was_empty || self.loop_events.send(Event::Readings).is_ok()
    }

    /// Takes all readings.
    pub(super) fn take(&self) -> Vec<(TaskId, Slot)> {
        std::mem::take(&mut *lock(&self.slots))
            .into_iter()
            .collect()
    }

    /// Puts readings back that the loop takes later, where no newer ones wait.
    pub(super) fn put_back(&self, readings: impl Iterator<Item = (TaskId, Slot)>) {
        let mut slots = lock(&self.slots);
        for (task, older) in readings {
            match slots.get_mut(&task) {
                Some(newer) => newer.replaced += older.replaced + 1,
                None => drop(slots.insert(task, older)),
            }
        }
    }

    /// Has a polling thread drop readings.
    pub(super) fn drop_later(&self, replaced: Vec<NewReading>) {
        lock(&self.replaced).extend(replaced);
    }

    /// Whether no reading waits.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.slots).is_empty()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic cannot leave a slot half written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Failure, Reading, Reason};
    use agentcheck_common::BootTime;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    #[test]
    fn only_the_newest_reading_of_a_source_waits() {
        let (sender, events) = sync_channel(2);
        let slots = ReadingSlots::new(sender);
        let reading = |sent| {
            let failure = Failure::new(Reason::Timeout, "");
            NewReading::new(Reading::failed(BootTime(sent), Duration::ZERO, failure))
        };
        for sent in 1..=1000 {
            assert!(slots.put(vec![(TaskId(7), reading(sent))]));
        }
        assert!(slots.put(vec![(TaskId(3), reading(4)), (TaskId(3), reading(5))]));
        assert_eq!(events.try_iter().count(), 1, "one wake-up");
        let taken = slots.take();
        let seen = |slots: &[(TaskId, Slot)]| -> Vec<(usize, u64, u64)> {
            let seen = slots.iter();
            seen.map(|(task, slot)| (task.0, slot.new.reading.sent.0, slot.replaced))
                .collect()
        };
        assert_eq!(seen(&taken), [(3, 5, 1), (7, 1000, 999)]);
        assert!(slots.is_empty());
        // A newer reading arrives before the loop puts the others back.
        assert!(slots.put(vec![(TaskId(7), reading(1001))]));
        slots.put_back(taken.into_iter());
        assert_eq!(seen(&slots.take()), [(3, 5, 1), (7, 1001, 1000)]);
        drop(events);
        assert!(slots.is_empty());
        let last = vec![(TaskId(3), reading(6))];
        assert!(!slots.put(last), "the loop has ended");
    }
}
