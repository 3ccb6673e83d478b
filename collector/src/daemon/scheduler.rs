//! Which services are to be evaluated, and when: those that use a source of which there is news, and those
//! that asked for it. What it costs depends on how many these are, not on how many there are. Pure.

use crate::config::Config;
use agentcheck_common::BootTime;
use std::collections::BTreeSet;

/// When each service is to be evaluated next, by its index in the configuration.
#[derive(Debug)]
pub(super) struct EvalQueue {
    /// The services that use each source or derived number, by its index.
    users: Vec<Vec<usize>>,
    wake_at: Vec<BootTime>,
    /// The same in order of time.
    order: BTreeSet<(BootTime, usize)>,
}

impl EvalQueue {
    /// Every service of `config` is to be evaluated at `now`.
    pub(super) fn new(config: &Config, now: BootTime) -> Self {
        let mut users = vec![Vec::new(); config.names().count()];
        for (service, uses) in config.services.iter().enumerate() {
            for source in &uses.sources {
                if let Some(users) = users.get_mut(*source) {
                    users.push(service);
                }
            }
        }
        let services = 0..config.services.len();
        Self {
            users,
            wake_at: services.clone().map(|_| now).collect(),
            order: services.map(|service| (now, service)).collect(),
        }
    }

    /// When the first service asked to be evaluated.
    pub(super) fn next(&self) -> Option<BootTime> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The services that use one of the sources `touched`, or that asked to be evaluated by `now`.
    pub(super) fn due(&self, touched: &[usize], now: BootTime) -> BTreeSet<usize> {
        let asked = self.order.iter().take_while(|(at, _)| *at <= now);
        let news = touched.iter().filter_map(|source| self.users.get(*source));
        asked
            .map(|(_, service)| *service)
            .chain(news.flatten().copied())
            .collect()
    }

    /// The service with this index is to be evaluated at `at`, and no longer when it asked before.
    pub(super) fn set(&mut self, service: usize, at: BootTime) {
        if let Some(wake_at) = self.wake_at.get_mut(service) {
            self.order.remove(&(*wake_at, service));
            self.order.insert((at, service));
            *wake_at = at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agenda(users: &[&[usize]], services: usize) -> EvalQueue {
        let mut agenda = EvalQueue {
            users: users.iter().map(|users| users.to_vec()).collect(),
            wake_at: vec![BootTime(0); services],
            order: BTreeSet::new(),
        };
        for service in 0..services {
            agenda.set(service, BootTime(10 * (service as u64 + 1)));
        }
        agenda
    }

    #[test]
    fn those_with_news_and_those_that_asked_each_once() {
        let agenda = agenda(&[&[0, 2], &[2], &[]], 4);
        let due = |touched: &[usize], now| {
            let due = agenda.due(touched, BootTime(now));
            due.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(agenda.next(), Some(BootTime(10)));
        assert!(due(&[], 9).is_empty());
        assert_eq!(due(&[], 20), [0, 1]);
        assert_eq!(due(&[0, 1], 20), [0, 1, 2]);
        assert!(due(&[2, 7], 9).is_empty());
    }

    #[test]
    fn what_was_asked_last_counts() {
        let mut agenda = agenda(&[], 2);
        agenda.set(0, BootTime(15));
        assert_eq!(agenda.next(), Some(BootTime(15)));
        agenda.set(0, BootTime(30));
        assert_eq!(agenda.next(), Some(BootTime(20)));
        let due = agenda.due(&[], BootTime(30));
        assert_eq!(due, BTreeSet::from([0, 1]));
        assert_eq!(agenda.order.len(), 2);
    }
}
