//! Which services to evaluate, and in which order: those whose sources changed and those whose time has come, the
//! cheap ones first. The cost depends on their number, not on the number of all services. Pure.

use super::usage::Usage;
use crate::config::{Config, InputId, ServiceId};
use agentcheck_common::BootTime;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// When to evaluate each service next.
pub(super) struct EvalQueue {
    /// The services that use each input, by [`InputId`].
    users: Vec<Box<[ServiceId]>>,
    /// By [`ServiceId`].
    wake_at: Vec<BootTime>,
    /// The same in order of time.
    order: BTreeSet<(BootTime, ServiceId)>,
    /// Services whose sources changed, and since when they wait.
    changed: BTreeMap<ServiceId, BootTime>,
    /// Services that wait for the evaluation thread, and since when.
    costly: BTreeMap<ServiceId, BootTime>,
    /// The processor time of each service's evaluations.
    usage: Usage,
}

impl EvalQueue {
    /// Every service of `config` is due at `now`.
    pub(super) fn new(config: &Config, now: BootTime) -> Self {
        let mut users = vec![Vec::new(); config.names().count()];
        for (id, service) in config.services.iter().enumerate() {
            for input in &service.inputs {
                if let Some(users) = users.get_mut(input.0) {
                    users.push(ServiceId(id));
                }
            }
        }
        Self::with(users, config.services.len(), now)
    }

    fn with(users: Vec<Vec<ServiceId>>, services: usize, now: BootTime) -> Self {
        Self {
            users: users.into_iter().map(Vec::into_boxed_slice).collect(),
            wake_at: vec![now; services],
            order: (0..services).map(|id| (now, ServiceId(id))).collect(),
            changed: BTreeMap::new(),
            costly: BTreeMap::new(),
            usage: Usage::new(services, now),
        }
    }

    /// When the first service is due; `None` if there is no service.
    pub(super) fn next(&self) -> Option<BootTime> {
        let changed = self.changed.values().min().copied();
        changed.or_else(|| self.order.first().map(|(at, _)| *at))
    }

    /// The services that use these inputs are due.
    pub(super) fn inputs_changed(&mut self, inputs: &[InputId], now: BootTime) {
        let users = inputs.iter().filter_map(|input| self.users.get(input.0));
        for service in users.flatten() {
            self.changed.entry(*service).or_insert(now);
        }
    }

    /// All services are due.
    pub(super) fn all_changed(&mut self, now: BootTime) {
        for service in 0..self.wake_at.len() {
            self.changed.entry(ServiceId(service)).or_insert(now);
        }
    }

    /// The services that are due: those that used the least time first, and of these the longest due.
    pub(super) fn due(&mut self, now: BootTime) -> Vec<ServiceId> {
        self.usage.decay(now);
        let wake_at = |service: ServiceId| self.wake_at.get(service.0).copied();
        let changed = self.changed.iter().map(|(service, since)| {
            let at = wake_at(*service).map_or(*since, |at| at.min(*since));
            (*service, at)
        });
        let timed = self.order.iter().take_while(|(at, _)| *at <= now);
        let timed = timed.filter(|(_, service)| !self.changed.contains_key(service));
        let timed = timed.map(|(at, service)| (*service, *at));
        let mut due: Vec<(ServiceId, BootTime)> = changed.chain(timed).collect();
        due.sort_by_key(|(service, since)| (self.usage.of(service.0), *since, *service));
        due.into_iter().map(|(service, _)| service).collect()
    }

    /// A service was evaluated, and is due again at `at`.
    pub(super) fn set(&mut self, service: ServiceId, at: BootTime) {
        self.changed.remove(&service);
        if let Some(wake_at) = self.wake_at.get_mut(service.0) {
            self.order.remove(&(*wake_at, service));
            self.order.insert((at, service));
            *wake_at = at;
        }
    }

    /// A service waits for the evaluation thread, and is due for the loop again at `at`.
    pub(super) fn defer(&mut self, service: ServiceId, now: BootTime, at: BootTime) {
        self.set(service, at);
        self.costly.entry(service).or_insert(now);
    }

    /// Removes the service that the evaluation thread gets next: the one that used the least time, and of
    /// these the one that waits the longest.
    pub(super) fn next_costly(&mut self) -> Option<ServiceId> {
        let waiting = self.costly.iter();
        let next = waiting.min_by_key(|(service, since)| (self.usage.of(service.0), **since));
        let service = next.map(|(service, _)| *service)?;
        self.costly.remove(&service);
        Some(service)
    }

    /// Adds processor time that an evaluation of this service took.
    pub(super) fn used(&mut self, service: ServiceId, took: Duration) {
        self.usage.add(service.0, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(users: &[&[usize]], services: usize) -> EvalQueue {
        let users = users.iter();
        let users = users.map(|users| users.iter().copied().map(ServiceId).collect());
        let mut queue = EvalQueue::with(users.collect(), services, BootTime(0));
        for service in 0..services {
            queue.set(ServiceId(service), BootTime(10 * (service as u64 + 1)));
        }
        queue
    }

    #[test]
    fn changed_and_timed_services_are_due_once_each() {
        let mut queue = queue(&[&[0, 2], &[2], &[]], 4);
        assert_eq!(queue.next(), Some(BootTime(10)));
        assert!(queue.due(BootTime(9)).is_empty());
        assert_eq!(queue.due(BootTime(20)), [0, 1].map(ServiceId));
        queue.inputs_changed(&[0, 1, 2, 7].map(InputId), BootTime(20));
        assert_eq!(
            queue.due(BootTime(20)),
            [0, 1, 2].map(ServiceId),
            "those that are due the longest first"
        );
        assert_eq!(queue.next(), Some(BootTime(20)));
        queue.set(ServiceId(2), BootTime(40));
        assert_eq!(queue.due(BootTime(20)), [0, 1].map(ServiceId));
    }

    #[test]
    fn latest_time_replaces_earlier_ones() {
        let mut queue = queue(&[], 2);
        queue.set(ServiceId(0), BootTime(15));
        assert_eq!(queue.next(), Some(BootTime(15)));
        queue.set(ServiceId(0), BootTime(30));
        assert_eq!(queue.next(), Some(BootTime(20)));
        assert_eq!(queue.due(BootTime(30)), [1, 0].map(ServiceId));
        assert_eq!(queue.order.len(), 2);
    }

    #[test]
    fn services_that_used_less_time_come_first() {
        let mut queue = queue(&[&[0, 1, 2]], 3);
        queue.inputs_changed(&[InputId(0)], BootTime(5));
        queue.used(ServiceId(0), Duration::from_millis(20));
        queue.used(ServiceId(1), Duration::from_millis(900));
        assert_eq!(queue.due(BootTime(5)), [2, 0, 1].map(ServiceId));
        for service in [1, 0] {
            queue.defer(ServiceId(service), BootTime(5), BootTime(50));
        }
        assert_eq!(queue.due(BootTime(5)), [2].map(ServiceId));
        assert_eq!(queue.next_costly(), Some(ServiceId(0)));
        assert_eq!(queue.next_costly(), Some(ServiceId(1)));
        assert_eq!(queue.next_costly(), None);
        // Long after, both are equal again.
        for second in 1..12 {
            queue.due(BootTime(second * 1_000_000_000));
        }
        queue.inputs_changed(&[InputId(0)], BootTime(5));
        queue.defer(ServiceId(1), BootTime(1), BootTime(50));
        queue.defer(ServiceId(0), BootTime(2), BootTime(50));
        assert_eq!(
            queue.next_costly(),
            Some(ServiceId(1)),
            "the one that waits the longest"
        );
    }
}
