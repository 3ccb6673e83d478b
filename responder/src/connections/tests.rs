use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

fn connection(number: usize, group: u8) -> Connection {
    Connection::new(Descriptor(number), PeerGroup(group), 0, false)
}

#[test]
fn capacity_is_1024_connections() {
    let mut table = Connections::EMPTY;
    let slots: Vec<SlotIndex> = (0..1024)
        .map(|at| {
            table
                .insert(connection(at, 0), Phase::AwaitingRequest, BootTime(7))
                .unwrap()
        })
        .collect();
    assert!(table.is_full());
    assert!(
        table
            .insert(connection(0, 0), Phase::AwaitingRequest, BootTime(7))
            .is_none()
    );
    assert_eq!(table.count(), 1024);
    for index in &slots {
        table.remove(*index);
    }
    assert_eq!(
        (table.count(), table.next_deadline(Phase::AwaitingRequest)),
        (0, NEVER)
    );
    table.remove(slots[3]);
    assert_eq!(table.count(), 0);
    assert!(table.get(slots[3]).is_none());
    assert!(table.get(SlotIndex::new(u16::MAX)).is_none());
    assert_eq!(table.to_evict(), None);
}

#[test]
fn oldest_connection_of_the_largest_peer_group_is_evicted() {
    let mut table = Connections::EMPTY;
    let mut insert = |group, phase, time| {
        let connection = connection(0, group);
        table.insert(connection, phase, BootTime(time)).unwrap()
    };
    // An honest client first, then two peers with many connections.
    insert(1, Phase::AwaitingRequest, 0);
    let oldest = insert(2, Phase::AwaitingRequest, 1);
    for time in 2..10 {
        insert(2, Phase::AwaitingRequest, time);
    }
    insert(3, Phase::Closing, 0);
    let answered = insert(4, Phase::Closing, 1);
    for time in 2..10 {
        insert(4, Phase::Closing, time);
    }
    for time in 0..20 {
        insert(5, Phase::Sending, time);
    }
    // Both have nine: the one with the earliest deadline, then the other one.
    table.move_to(answered, Phase::Closing, BootTime(10));
    assert_eq!(table.to_evict(), Some(oldest));
    table.remove(oldest);
    let evicted = table.to_evict().unwrap();
    assert_eq!(table.get(evicted).unwrap().0.peer, PeerGroup(4));
}

#[test]
fn lone_connections_are_evicted_in_the_order_of_their_deadlines() {
    let mut table = Connections::EMPTY;
    let mut expected = Vec::new();
    for time in 0..60 {
        let phase = [Phase::AwaitingRequest, Phase::Closing][usize::from(time % 3 == 0)];
        let group = u8::try_from(time).unwrap();
        let connection = connection(0, group);
        let slot = table.insert(connection, phase, BootTime(time)).unwrap();
        expected.push(slot);
    }
    for slot in expected {
        assert_eq!(table.to_evict(), Some(slot));
        table.remove(slot);
    }
    assert_eq!(table.to_evict(), None);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u8),
    Move(usize, usize),
    Remove(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..3, 0_u8..4).prop_map(|(phase, group)| Step::Insert(phase, group)),
        (any::<usize>(), 0_usize..3).prop_map(|(at, phase)| Step::Move(at, phase)),
        any::<usize>().prop_map(Step::Remove),
    ]
}

proptest! {
    /// The table behaves as three plain queues with a count for each peer group.
    #[test]
    fn table_behaves_as_three_queues(steps in prop::collection::vec(step(), 0..200)) {
        let mut table = Connections::EMPTY;
        let mut model: [VecDeque<(SlotIndex, BootTime, usize, u8)>; 3] = Default::default();
        let phases = [Phase::AwaitingRequest, Phase::Closing, Phase::Sending];
        let pick = |model: &[VecDeque<_>; 3], at: usize| {
            let count = model.iter().map(VecDeque::len).sum();
            let mut at = at.checked_rem(count)?;
            for (queue, entries) in model.iter().enumerate() {
                if at < entries.len() {
                    return Some((queue, at));
                }
                at -= entries.len();
            }
            None
        };
        for (now, step) in (0_u64..).zip(steps) {
            let now = BootTime(now);
            match step {
                Step::Insert(phase, group) => {
                    let number = usize::try_from(now.0).unwrap();
                    let added = connection(number, group);
                    let index = table.insert(added, phases[phase], now).unwrap();
                    model[phase].push_back((index, now, number, group));
                }
                Step::Move(at, phase) => {
                    if let Some((queue, at)) = pick(&model, at) {
                        let (index, _, number, group) = model[queue].remove(at).unwrap();
                        table.move_to(index, phases[phase], now);
                        model[phase].push_back((index, now, number, group));
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
            let all: Vec<_> = model.iter().flatten().collect();
            prop_assert_eq!(usize::from(table.count()), all.len());
            for group in 0..4 {
                let count = all.iter().filter(|entry| entry.3 == group).count();
                prop_assert_eq!(usize::from(table.groups[usize::from(group)]), count);
            }
            for (queue, phase) in model.iter().zip(phases) {
                let first = queue.front().map(|(index, deadline, ..)| (*index, *deadline));
                prop_assert_eq!(table.first(phase), first);
                prop_assert_eq!(table.has_fewer_than(3, phase), queue.len() < 3);
                for (index, _, number, _) in queue {
                    let (found, found_phase) = table.get(*index).unwrap();
                    prop_assert_eq!((found.socket.0, found_phase), (*number, phase));
                }
            }
            // A model of the choice: the largest group, then the earliest deadline.
            let count = |group: u8| all.iter().filter(|entry| entry.3 == group).count();
            let oldest = |queue: usize| model[queue].iter().take(CANDIDATES);
            let expected = oldest(0).chain(oldest(1));
            let expected = expected.max_by_key(|entry| (count(entry.3), u64::MAX - entry.1.0));
            prop_assert_eq!(table.to_evict(), expected.map(|entry| entry.0));
        }
    }

    /// All addresses of an IPv6 network of 64 bits are one peer, and so is an IPv4 address with any port.
    #[test]
    fn network_decides_the_group(
        network in any::<[u32; 2]>(),
        hosts in any::<[[u32; 2]; 2]>(),
        ipv4 in any::<u32>(),
        ports in any::<[u16; 2]>(),
        seed in any::<u32>(),
    ) {
        prop_assume!(network != [0; 2]);
        let family = |at: usize| 2 | u32::from(ports[at]) << 16;
        let v6 = |at: usize| {
            let [network, subnet] = network;
            PeerAddress([family(at), 0, network, subnet, hosts[at][0], hosts[at][1], 0])
        };
        let v4 = |at: usize| PeerAddress([family(at), ipv4, 0, 0, 0, 0, 0]);
        prop_assert_eq!(PeerGroup::of(&v6(0), seed), PeerGroup::of(&v6(1), seed));
        prop_assert_eq!(PeerGroup::of(&v4(0), seed), PeerGroup::of(&v4(1), seed));
    }

    /// Different peers are in different groups, except by chance.
    #[test]
    fn peers_are_spread_over_the_groups(seed in any::<u32>(), form in 0_usize..3) {
        let mut groups = std::collections::BTreeSet::new();
        for host in 0..=255_u8 {
            let ip = u32::from_ne_bytes([10, 0, 0, host]);
            let words = match form {
                0 => [2, ip, 0, 0, 0, 0, 0],
                // An IPv4 address in IPv6 form.
                1 => [10, 0, 0, 0, u32::from_ne_bytes([0, 0, 255, 255]), ip, 0],
                _ => [10, 0, 0x20, ip, 0, 1, 0],
            };
            groups.insert(PeerGroup::of(&PeerAddress(words), seed).0);
        }
        prop_assert!(groups.len() > 100, "{}", groups.len());
    }
}
