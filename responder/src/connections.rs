//! The accept loop's memory of its connections: a fixed table, and in it two queues, one of clients
//! whose name is waited for and one of clients that have their answer and are read away. Everything
//! takes constant time, however many there are.
//!
//! A queue is in the order of its deadlines because everybody in it waits equally long: whoever comes
//! goes to its end, and its head is the next one due. Pure: no clock, no sockets.

use crate::ask::FirstLine;
use crate::sys::Descriptor;
use agentcheck_common::BootTime;

/// How many connections there can be at once.
pub const CAPACITY: usize = 1024;

/// What a connection is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// To send the name of a service.
    Asking,
    /// To close; it has its answer.
    Closing,
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u16);

impl Place {
    /// As a number, 0 to [`CAPACITY`] - 1.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The place of this number.
    #[must_use]
    pub fn numbered(number: u16) -> Self {
        Self(number)
    }
}

/// A moment that does not come.
pub const NEVER: BootTime = BootTime(u64::MAX);

/// No place.
const NONE: u16 = u16::MAX;

/// One connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// Its socket.
    pub socket: Descriptor,
    /// What it has sent of its first line.
    pub line: FirstLine,
    /// How many bytes were read away since its answer.
    pub drained: u32,
}

impl Connection {
    /// One that has just been accepted.
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
    /// `None` where the place is free.
    phase: Option<Phase>,
    deadline: BootTime,
    before: u16,
    /// In a free place: the next free one.
    behind: u16,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u16,
    last: u16,
}

/// The table.
#[derive(Debug)]
pub struct Connections {
    slots: [Slot; CAPACITY],
    queues: [Queue; 2],
    /// The first of the places that were used and are free again.
    free: u16,
    /// Places from here on were never used.
    unused: u16,
    count: u16,
}

impl Connections {
    /// An empty one, of some 165 KiB.
    #[must_use]
    pub fn new() -> Self {
        let empty = Slot {
            connection: Connection::new(Descriptor::NONE),
            phase: None,
            deadline: BootTime(0),
            before: NONE,
            behind: NONE,
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

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Whether there is no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        usize::from(self.count) == CAPACITY
    }

    /// Takes one in; `None` where there is no room. Deadlines of a phase have to come in their order.
    pub fn insert(
        &mut self,
        connection: Connection,
        phase: Phase,
        deadline: BootTime,
    ) -> Option<Place> {
        let place = if self.free == NONE {
            self.unused
        } else {
            self.free
        };
        let slot = self.slots.get_mut(usize::from(place))?;
        slot.connection = connection;
        if self.free == NONE {
            self.unused += 1;
        } else {
            self.free = slot.behind;
        }
        self.count += 1;
        self.enqueue(place, phase, deadline);
        Some(Place(place))
    }

    /// The connection in this place and its phase; `None` where the place is free.
    pub fn get(&mut self, place: Place) -> Option<(&mut Connection, Phase)> {
        let slot = self.slots.get_mut(usize::from(place.0))?;
        Some((&mut slot.connection, slot.phase?))
    }

    /// Puts it at the end of this phase's queue.
    pub fn move_to(&mut self, place: Place, phase: Phase, deadline: BootTime) {
        if self.dequeue(place.0) {
            self.enqueue(place.0, phase, deadline);
        }
    }

    /// Takes it out.
    pub fn remove(&mut self, place: Place) {
        if self.dequeue(place.0) {
            self.count -= 1;
            let free = self.free;
            if let Some(slot) = self.slots.get_mut(usize::from(place.0)) {
                slot.behind = free;
                self.free = place.0;
            }
        }
    }

    /// Which one of this phase is due first, and when.
    #[must_use]
    pub fn first(&self, phase: Phase) -> Option<(Place, BootTime)> {
        let place = self.queue(phase)?.first;
        let slot = self.slots.get(usize::from(place))?;
        Some((Place(place), slot.deadline))
    }

    /// When the next one of this phase is due; [`NEVER`] where there is none.
    #[must_use]
    pub fn next_deadline(&self, phase: Phase) -> BootTime {
        self.first(phase).map_or(NEVER, |(_, deadline)| deadline)
    }

    fn queue(&self, phase: Phase) -> Option<&Queue> {
        self.queues.get(phase as usize)
    }

    fn enqueue(&mut self, place: u16, phase: Phase, deadline: BootTime) {
        let Some(queue) = self.queues.get_mut(phase as usize) else {
            return;
        };
        let last = queue.last;
        queue.last = place;
        match self.slots.get_mut(usize::from(last)) {
            Some(slot) => slot.behind = place,
            None => queue.first = place,
        }
        if let Some(slot) = self.slots.get_mut(usize::from(place)) {
            slot.phase = Some(phase);
            slot.deadline = deadline;
            slot.before = last;
            slot.behind = NONE;
        }
    }

    /// Whether it was in a queue.
    fn dequeue(&mut self, place: u16) -> bool {
        let Some(slot) = self.slots.get_mut(usize::from(place)) else {
            return false;
        };
        let (before, behind) = (slot.before, slot.behind);
        let Some(phase) = slot.phase.take() else {
            return false;
        };
        let Some(queue) = self.queues.get_mut(phase as usize) else {
            return false;
        };
        match self.slots.get_mut(usize::from(before)) {
            Some(slot) => slot.behind = behind,
            None => queue.first = behind,
        }
        match self.slots.get_mut(usize::from(behind)) {
            Some(slot) => slot.before = before,
            None => queue.last = before,
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
    fn there_is_room_for_as_many_as_is_said() {
        let mut table = Connections::new();
        let places: Vec<Place> = (0..1024)
            .map(|at| {
                table
                    .insert(connection(at), Phase::Asking, BootTime(7))
                    .unwrap()
            })
            .collect();
        assert!(table.is_full());
        assert!(
            table
                .insert(connection(0), Phase::Asking, BootTime(7))
                .is_none()
        );
        assert_eq!(table.count(), 1024);
        for place in &places {
            table.remove(*place);
        }
        assert_eq!(
            (table.count(), table.next_deadline(Phase::Asking)),
            (0, NEVER)
        );
        table.remove(places[3]);
        assert_eq!(table.count(), 0);
        assert!(table.get(places[3]).is_none());
        assert!(table.get(Place::numbered(u16::MAX)).is_none());
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
            (any::<usize>(), any::<bool>()).prop_map(|(at, asking)| Step::Move(at, asking)),
            any::<usize>().prop_map(Step::Remove),
        ]
    }

    proptest! {
        /// Against two plain queues, step by step.
        #[test]
        fn it_is_two_queues(steps in prop::collection::vec(step(), 0..200)) {
            let mut table = Connections::new();
            let mut model: [VecDeque<(Place, BootTime, usize)>; 2] = Default::default();
            let phases = [Phase::Asking, Phase::Closing];
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
                        let place = table.insert(connection(number), phase, now).unwrap();
                        model[usize::from(closing)].push_back((place, now, number));
                    }
                    Step::Move(at, closing) => {
                        if let Some((queue, at)) = pick(&model, at) {
                            let (place, _, number) = model[queue].remove(at).unwrap();
                            table.move_to(place, phases[usize::from(closing)], now);
                            model[usize::from(closing)].push_back((place, now, number));
                        }
                    }
                    Step::Remove(at) => {
                        if let Some((queue, at)) = pick(&model, at) {
                            let (place, ..) = model[queue].remove(at).unwrap();
                            table.remove(place);
                            prop_assert!(table.get(place).is_none());
                        }
                    }
                }
                prop_assert_eq!(usize::from(table.count()), model[0].len() + model[1].len());
                for (queue, phase) in model.iter().zip(phases) {
                    let first = queue.front().map(|(place, deadline, _)| (*place, *deadline));
                    prop_assert_eq!(table.first(phase), first);
                    for (place, _, number) in queue {
                        let (found, found_phase) = table.get(*place).unwrap();
                        prop_assert_eq!((found.socket.0, found_phase), (*number, phase));
                    }
                }
            }
        }
    }
}
