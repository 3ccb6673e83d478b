//! The accept loop's table of connections. Three queues link its slots: clients that have not sent their request yet,
//! clients to which a document is being sent, and clients that have their answer and have not closed yet. Every operation
//! takes constant time.
//!
//! If all slots are in use, [`Connections::to_evict`] selects the connection that makes room for the next one.
//!
//! All clients of a queue have the same timeout, so a queue is in the order of its deadlines: a client joins at the end,
//! and the first one expires next. Pure: no clock, no sockets.

use crate::request::Request;
use crate::state_reader::OpenDocument;
use crate::sys::{Descriptor, PeerAddress, Ready};
use agentcheck_common::BootTime;

/// The largest number of connections at a time.
pub const CAPACITY: usize = 1024;

/// What the loop waits for on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The client has to send its request.
    // Starts at 1, so an `Option<Phase>` stores `None` as 0, and an empty table has only bytes of 0.
    AwaitingRequest = 1,
    /// The client has its answer and has to close.
    Closing,
    /// The client is receiving a document.
    Sending,
}

/// The index of a slot in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotIndex(u16);

impl SlotIndex {
    /// The index as a number, 1 to [`CAPACITY`].
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

/// No slot: the slots are numbered from 1.
const NONE: u16 = 0;

/// The number of peer groups.
const GROUPS: usize = 256;

/// How many of the oldest connections of each queue [`Connections::to_evict`] compares.
const CANDIDATES: usize = 16;

/// A group of peers: all connections from one IPv4 address or one IPv6 network of 64 bits are in the same group. Other
/// peers share the group by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerGroup(u8);

impl PeerGroup {
    /// The group of `peer`. `seed` makes it unpredictable which peers share a group.
    #[must_use]
    pub fn of(peer: &PeerAddress, seed: u32) -> Self {
        // An odd number with an irregular bit pattern: the upper bits of a product depend on all bits of the other factor.
        const MIX: u32 = 0x9e37_79b1;
        let [_, ipv4, network, subnet, _, host, _] = peer.0;
        // An IPv4 address in IPv6 form and ::1 have the network 0; only their host part distinguishes peers.
        let host = if network | subnet == 0 { host } else { 0 };
        let key = network.wrapping_mul(MIX) ^ subnet ^ ipv4 ^ host;
        Self(((key ^ seed).wrapping_mul(MIX) >> 24) as u8)
    }
}

/// One connection.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The client's socket.
    pub socket: Descriptor,
    /// The number of bytes that the loop has discarded since the answer.
    pub drained: u32,
    /// What epoll waits for; `None` if epoll does not have the socket.
    pub awaited: Option<Ready>,
    /// The document that is being sent.
    pub document: Option<OpenDocument>,
    /// The group of peers to which the client belongs.
    pub peer: PeerGroup,
    /// The index of the listening socket.
    pub listener: u16,
    /// The part of the client's request that has arrived.
    pub request: Request,
}

impl Connection {
    /// A connection that was just accepted.
    #[must_use]
    pub const fn new(socket: Descriptor, peer: PeerGroup, listener: u16, takes_http: bool) -> Self {
        Self {
            socket,
            request: Request::new(takes_http),
            drained: 0,
            awaited: None,
            document: None,
            peer,
            listener,
        }
    }
}

// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// `None` if the slot is free.
    phase: Option<Phase>,
    deadline: BootTime,
    previous: u16,
    /// In a free slot: the next free slot.
    next: u16,
    connection: Connection,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    first: u16,
    last: u16,
}

/// The table of connections.
// Small fields first: their offsets fit in one byte of an instruction.
#[repr(C)]
#[derive(Debug)]
pub struct Connections {
    /// The index is the number of the phase, so the first queue is never used.
    queues: [Queue; 4],
    /// The first free slot that was in use before, or [`NONE`].
    free: u16,
    /// The number of slots that were ever in use: slots 1 to `used`.
    used: u16,
    count: u16,
    /// The number of connections of each group.
    groups: [u16; GROUPS],
    /// Slots are numbered from 1, so the first one is never used.
    slots: [Slot; CAPACITY + 1],
}

impl Connections {
    /// An empty table, of about 200 KiB. All its bytes are 0, so the program does not contain it, and does not build it in
    /// one place and move it to another.
    pub const EMPTY: Self = Self {
        slots: [Slot {
            connection: Connection::new(Descriptor(0), PeerGroup(0), 0, false),
            phase: None,
            deadline: BootTime(0),
            previous: NONE,
            next: NONE,
        }; CAPACITY + 1],
        queues: [Queue {
            first: NONE,
            last: NONE,
        }; 4],
        groups: [0; GROUPS],
        free: NONE,
        used: 0,
        count: 0,
    };

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
            self.used + 1
        } else {
            self.free
        };
        let slot = self.slots.get_mut(usize::from(index))?;
        slot.connection = connection;
        if let Some(count) = self.groups.get_mut(usize::from(connection.peer.0)) {
            *count += 1;
        }
        if self.free == NONE {
            self.used += 1;
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
                let group = usize::from(slot.connection.peer.0);
                if let Some(count) = self.groups.get_mut(group) {
                    *count -= 1;
                }
                slot.next = free;
                self.free = index.0;
            }
        }
    }

    /// The number of connections of the slot's peer group.
    fn group_count(&self, slot: &Slot) -> u16 {
        let group = usize::from(slot.connection.peer.0);
        self.groups.get(group).copied().unwrap_or_default()
    }

    /// The connection that makes room for the next one, or `None` if there is none.
    ///
    /// Compares the oldest connections that wait for a request or for the client to close, and returns the one whose
    /// peer group has the most connections: one peer with many connections does not push out others. Among equal groups
    /// it is the connection with the earliest deadline. Connections that receive a document are never returned.
    #[must_use]
    pub fn to_evict(&self) -> Option<SlotIndex> {
        let mut best: Option<(u16, &Slot, u16)> = None;
        for phase in [Phase::AwaitingRequest, Phase::Closing] {
            let mut index = self.queue(phase).map_or(NONE, |queue| queue.first);
            for _ in 0..CANDIDATES {
                let Some(slot) = self.slot(index) else {
                    break;
                };
                let count = self.group_count(slot);
                let is_better = best.is_none_or(|(_, other, other_count)| {
                    count > other_count || (count == other_count && slot.deadline < other.deadline)
                });
                if is_better {
                    best = Some((index, slot, count));
                }
                index = slot.next;
            }
        }
        best.map(|(index, ..)| SlotIndex(index))
    }

    /// Whether `phase` has fewer than `limit` connections.
    #[must_use]
    pub fn has_fewer_than(&self, limit: usize, phase: Phase) -> bool {
        let mut index = self.queue(phase).map_or(NONE, |queue| queue.first);
        for _ in 0..limit {
            match self.slot(index) {
                Some(slot) => index = slot.next,
                None => return true,
            }
        }
        false
    }

    /// The connection of `phase` with the earliest deadline, and that deadline.
    #[must_use]
    pub fn first(&self, phase: Phase) -> Option<(SlotIndex, BootTime)> {
        let index = self.queue(phase)?.first;
        let slot = self.slot(index)?;
        Some((SlotIndex(index), slot.deadline))
    }

    /// The earliest deadline of `phase`, or [`NEVER`] if the phase has no connections.
    #[must_use]
    pub fn next_deadline(&self, phase: Phase) -> BootTime {
        self.first(phase).map_or(NEVER, |(_, deadline)| deadline)
    }

    fn slot(&self, index: u16) -> Option<&Slot> {
        self.slots.get(usize::from(index)).filter(|_| index != NONE)
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
        match slot_mut(&mut self.slots, last) {
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
        match slot_mut(&mut self.slots, previous) {
            Some(slot) => slot.next = next,
            None => queue.first = next,
        }
        match slot_mut(&mut self.slots, next) {
            Some(slot) => slot.previous = previous,
            None => queue.last = previous,
        }
        true
    }
}

/// The slot with this index, or `None` if it is [`NONE`].
fn slot_mut(slots: &mut [Slot], index: u16) -> Option<&mut Slot> {
    slots.get_mut(usize::from(index)).filter(|_| index != NONE)
}

#[cfg(test)]
#[path = "connections/tests.rs"]
mod tests;
