//! The accept loop's table of connections. Two queues link its slots: clients that have not sent their name yet, and
//! clients that have their answer and have not closed yet. Every operation takes constant time.
//!
//! All clients of a queue have the same timeout, so a queue is in the order of its deadlines: a client joins at the end,
//! and the first one expires next. Pure: no clock, no sockets.

use crate::request::FirstLine;
use crate::sys::Descriptor;
use agentcheck_common::BootTime;

/// The largest number of connections at a time.
pub const CAPACITY: usize = 1024;

/// What the loop waits for on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client has to send a service name.
    AwaitingName,
    /// The client has its answer and has to close.
    Closing,
}

/// The index of a slot in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotIndex(u16);

impl SlotIndex {
    /// The index as a number, 0 to [`CAPACITY`] - 1.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The slot index `number`.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self(number)
    }
}

/// A time that is never reached.
pub const NEVER: BootTime = BootTime(u64::MAX);

/// No slot.
const NONE: u16 = u16::MAX;

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The client's socket.
    pub socket: Descriptor,
    /// What the client has sent of its first line.
    pub line: FirstLine,
    /// The number of bytes that were discarded since the answer.
    pub drained: u32,
}

impl Connection {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(socket: Descriptor) -> Self {
        Self {
            socket,
            line: FirstLine::EMPTY,
            drained: 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    connection: Connection,
    /// `None` if the slot is free.
    phase: Option<Phase>,
    deadline: BootTime,
    previous: u16,
    /// In a free slot: the next free slot.
    next: u16,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u16,
    last: u16,
}

/// The table of connections.
#[derive(Debug)]
pub struct Connections {
    slots: [Slot; CAPACITY],
    queues: [Queue; 2],
    /// The first of the slots that were used and are free again.
    free: u16,
    /// The slots from here on were never used.
    unused: u16,
    count: u16,
}

impl Connections {
    /// An empty table, of about 165 KiB.
    #[must_use]
    pub fn new() -> Self {
        let empty = Slot {
            connection: Connection::new(Descriptor::NONE),
            phase: None,
            deadline: BootTime(0),
            previous: NONE,
            next: NONE,
        };
        Self {
            slots: [empty; CAPACITY],
            queues: [Queue {
                first: NONE,
                last: NONE,
            }; 2],
            free: NONE,
            unused: 0,
            count: 0,
        }
    }

    /// The number of connections.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Whether all slots are in use.
    #[must_use]
    pub fn is_full(&self) -> bool {
        usize::from(self.count) == CAPACITY
    }

    /// Adds a connection. Returns `None` if all slots are in use. The deadlines of a phase must not decrease.
    pub fn insert(
        &mut self,
        connection: Connection,
        phase: Phase,
        deadline: BootTime,
    ) -> Option<SlotIndex> {
        let index = if self.free == NONE {
            self.unused
        } else {
            self.free
        };
        let slot = self.slots.get_mut(usize::from(index))?;
        slot.connection = connection;
        if self.free == NONE {
            self.unused += 1;
        } else {
            self.free = slot.next;
        }
        self.count += 1;
        self.enqueue(index, phase, deadline);
        Some(SlotIndex(index))
    }

    /// The connection in the slot and its phase, or `None` if the slot is free.
    pub fn get(&mut self, index: SlotIndex) -> Option<(&mut Connection, Phase)> {
        let slot = self.slots.get_mut(usize::from(index.0))?;
        Some((&mut slot.connection, slot.phase?))
    }

    /// Moves the connection to the end of the queue of `phase`.
    pub fn move_to(&mut self, index: SlotIndex, phase: Phase, deadline: BootTime) {
        if self.dequeue(index.0) {
            self.enqueue(index.0, phase, deadline);
        }
    }

    /// Removes the connection and frees its slot.
    pub fn remove(&mut self, index: SlotIndex) {
        if self.dequeue(index.0) {
            self.count -= 1;
            let free = self.free;
            if let Some(slot) = self.slots.get_mut(usize::from(index.0)) {
                slot.next = free;
                self.free = index.0;
            }
        }
    }

    /// The connection of `phase` with the earliest deadline, and that deadline.
    #[must_use]
    pub fn first(&self, phase: Phase) -> Option<(SlotIndex, BootTime)> {
        let index = self.queue(phase)?.first;
        let slot = self.slots.get(usize::from(index))?;
        Some((SlotIndex(index), slot.deadline))
    }

    /// The earliest deadline of `phase`, or [`NEVER`] if the phase has no connections.
    #[must_use]
    pub fn next_deadline(&self, phase: Phase) -> BootTime {
        self.first(phase).map_or(NEVER, |(_, deadline)| deadline)
    }

    fn queue(&self, phase: Phase) -> Option<&Queue> {
        self.queues.get(phase as usize)
    }

    fn enqueue(&mut self, index: u16, phase: Phase, deadline: BootTime) {
        let Some(queue) = self.queues.get_mut(phase as usize) else {
            return;
        };
        let last = queue.last;
        queue.last = index;
        match self.slots.get_mut(usize::from(last)) {
            Some(slot) => slot.next = index,
            None => queue.first = index,
        }
        if let Some(slot) = self.slots.get_mut(usize::from(index)) {
            slot.phase = Some(phase);
            slot.deadline = deadline;
            slot.previous = last;
            slot.next = NONE;
        }
    }

    /// Removes the slot from its queue. Returns false if it was in none.
    fn dequeue(&mut self, index: u16) -> bool {
        let Some(slot) = self.slots.get_mut(usize::from(index)) else {
            return false;
        };
        let (previous, next) = (slot.previous, slot.next);
        let Some(phase) = slot.phase.take() else {
            return false;
        };
        let Some(queue) = self.queues.get_mut(phase as usize) else {
            return false;
        };
        match self.slots.get_mut(usize::from(previous)) {
            Some(slot) => slot.next = next,
            None => queue.first = next,
        }
        match self.slots.get_mut(usize::from(next)) {
            Some(slot) => slot.previous = previous,
            None => queue.last = previous,
        }
        true
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn connection(number: usize) -> Connection {
        Connection::new(Descriptor(number))
    }

    #[test]
    fn capacity_is_1024_connections() {
        let mut table = Connections::new();
        let slots: Vec<SlotIndex> = (0..1024)
            .map(|at| {
                table
                    .insert(connection(at), Phase::AwaitingName, BootTime(7))
                    .unwrap()
            })
            .collect();
        assert!(table.is_full());
        assert!(
            table
                .insert(connection(0), Phase::AwaitingName, BootTime(7))
                .is_none()
        );
        assert_eq!(table.count(), 1024);
        for index in &slots {
            table.remove(*index);
        }
        assert_eq!(
            (table.count(), table.next_deadline(Phase::AwaitingName)),
            (0, NEVER)
        );
        table.remove(slots[3]);
        assert_eq!(table.count(), 0);
        assert!(table.get(slots[3]).is_none());
        assert!(table.get(SlotIndex::new(u16::MAX)).is_none());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(bool),
        Move(usize, bool),
        Remove(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<bool>().prop_map(Step::Insert),
            (any::<usize>(), any::<bool>()).prop_map(|(at, closing)| Step::Move(at, closing)),
            any::<usize>().prop_map(Step::Remove),
        ]
    }

    proptest! {
        /// The table behaves as two plain queues.
        #[test]
        fn table_behaves_as_two_queues(steps in prop::collection::vec(step(), 0..200)) {
            let mut table = Connections::new();
            let mut model: [VecDeque<(SlotIndex, BootTime, usize)>; 2] = Default::default();
            let phases = [Phase::AwaitingName, Phase::Closing];
            let pick = |model: &[VecDeque<_>; 2], at: usize| {
                let count = model[0].len() + model[1].len();
                let at = at.checked_rem(count)?;
                let first = model[0].len();
                Some(if at < first { (0, at) } else { (1, at - first) })
            };
            for (now, step) in (0_u64..).zip(steps) {
                let now = BootTime(now);
                match step {
                    Step::Insert(closing) => {
                        let number = usize::try_from(now.0).unwrap();
                        let phase = phases[usize::from(closing)];
                        let index = table.insert(connection(number), phase, now).unwrap();
                        model[usize::from(closing)].push_back((index, now, number));
                    }
                    Step::Move(at, closing) => {
                        if let Some((queue, at)) = pick(&model, at) {
                            let (index, _, number) = model[queue].remove(at).unwrap();
                            table.move_to(index, phases[usize::from(closing)], now);
                            model[usize::from(closing)].push_back((index, now, number));
                        }
                    }
                    Step::Remove(at) => {
                        if let Some((queue, at)) = pick(&model, at) {
                            let (index, ..) = model[queue].remove(at).unwrap();
                            table.remove(index);
                            prop_assert!(table.get(index).is_none());
                        }
                    }
                }
                prop_assert_eq!(usize::from(table.count()), model[0].len() + model[1].len());
                for (queue, phase) in model.iter().zip(phases) {
                    let first = queue.front().map(|(index, deadline, _)| (*index, *deadline));
                    prop_assert_eq!(table.first(phase), first);
                    for (index, _, number) in queue {
                        let (found, found_phase) = table.get(*index).unwrap();
                        prop_assert_eq!((found.socket.0, found_phase), (*number, phase));
                    }
                }
            }
        }
    }
}
