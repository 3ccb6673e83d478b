//! What differs between two configurations: what goes on as it is, and what an operator is told. Pure.

use super::{Config, Service};
use crate::reply::state::AdminState;
use agentcheck_common::ServiceName;
use std::fmt;

/// From one configuration to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// For each name of [`Config::names`] of the later one, its index in the earlier one where it means the
    /// same in both: the same source, polled the same way, or the same number derived from such sources.
    pub kept: Vec<Option<usize>>,
    /// Sources and derived numbers of the earlier one that are not kept.
    pub left: Vec<String>,
    /// Services that the earlier one does not have.
    pub added: Vec<ServiceName>,
    /// Services that the later one does not have.
    pub removed: Vec<ServiceName>,
    /// Services that both have and that are not the same.
    pub changed: Vec<ServiceName>,
    /// Services of which the agent does not own the administrative state any more, but did; whether of all
    /// replies or of overrides alone.
    pub disowned: Vec<ServiceName>,
    /// Services of which the agent owns the administrative state now, and did not.
    pub owned: Vec<ServiceName>,
}

impl Change {
    /// What differs in `later` from `earlier`.
    #[must_use]
    pub fn between(earlier: &Config, later: &Config) -> Self {
        let mut change = Self {
            kept: kept(earlier, later),
            ..Self::default()
        };
        for (index, name) in earlier.names().enumerate() {
            if !change.kept.contains(&Some(index)) {
                change.left.push(name.to_owned());
            }
        }
        for service in &later.services {
            let name = service.name;
            let Some(before) = earlier.service(&service.name) else {
                change.added.push(name);
                continue;
            };
            if !change.is_same(before, service) {
                change.changed.push(name);
            }
            match (owns(before), owns(service)) {
                (true, false) => change.disowned.push(name),
                (false, true) => change.owned.push(name),
                _ => {}
            }
        }
        for service in &earlier.services {
            if later.service(&service.name).is_none() {
                change.removed.push(service.name);
            }
        }
        change
    }

    fn is_same(&self, before: &Service, after: &Service) -> bool {
        let uses = after.sources.iter();
        let uses = uses.map(|index| self.kept.get(*index).copied().flatten());
        let same_uses = uses.eq(before.sources.iter().copied().map(Some));
        let after = Service {
            sources: before.sources.clone(),
            ..after.clone()
        };
        same_uses && after == *before
    }
}

impl fmt::Display for Change {
    /// One line for people: `added api; removed old; changed web`, or that nothing did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
        ] {
            if !names.is_empty() {
                parts.push(format!("{what} {}", listed(names)));
            }
        }
        match parts.is_empty() {
            true => f.write_str("no service has changed"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

/// So many names and no more.
const MOST_NAMES: usize = 10;

fn listed(names: &[ServiceName]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(ToString::to_string)
        .collect();
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether the agent says ready, drain and maint, be it for overrides alone.
fn owns(service: &Service) -> bool {
    [service.admin_state, service.override_admin_state].contains(&AdminState::Manage)
}

fn kept(earlier: &Config, later: &Config) -> Vec<Option<usize>> {
    let sources: Vec<Option<usize>> = later
        .sources
        .iter()
        .map(|source| earlier.sources.iter().position(|before| before == source))
        .collect();
    let derived = later.derived.iter().map(|derived| {
        let at = earlier.derived.iter().position(|before| {
            let polled = derived.sources.iter();
            let polled = polled.map(|index| sources.get(*index).copied().flatten());
            before.name == derived.name
                && before.input == derived.input
                && polled.eq(before.sources.iter().copied().map(Some))
        })?;
        Some(earlier.sources.len() + at)
    });
    sources.iter().copied().chain(derived).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn config(text: &str) -> Config {
        crate::config::parse(Path::new("t.toml"), text)
            .unwrap_or_else(|report| panic!("{report}"))
            .0
    }

    fn change(earlier: &str, later: &str) -> Change {
        Change::between(&config(earlier), &config(later))
    }

    const A: &str = "[source.a.file]\npath = '/a'\nformat = 'number'\n";
    const B: &str = "[source.b.file]\npath = '/b'\nformat = 'number'\n";
    const LOAD: &str = "[derive.load]\nexpression = 'a.value'\newma = '5s'\n";
    const WEB: &str = "[service.web]\nweight = 'a.value'\n";
    const API: &str = "[service.api]\nweight = 'load.value'\n";

    #[test]
    fn another_order_and_other_comments_change_nothing() {
        let earlier = format!("{A}{B}{LOAD}{WEB}{API}");
        let later = format!("# now\n\n{B}{API}{WEB}{LOAD}{A}");
        let change = change(&earlier, &later);
        assert_eq!(change.to_string(), "no service has changed");
        assert_eq!(change.kept, [Some(1), Some(0), Some(2)]);
        assert!(change.left.is_empty());
    }

    #[test]
    fn what_rests_on_another_source_is_another() {
        let earlier = format!("{A}{LOAD}{WEB}{API}");
        let other = A.replace("'/a'", "'/other'");
        let change = change(&earlier, &format!("{other}{LOAD}{WEB}{API}"));
        assert_eq!(change.kept, [None, None]);
        assert_eq!(change.left, ["a", "load"]);
        assert_eq!(change.to_string(), "changed web, api");
    }

    #[test]
    fn comes_goes_and_differs() {
        let earlier = format!("{A}{LOAD}{WEB}{API}");
        let third = WEB.replace("web", "third");
        let later = format!("{A}{LOAD}{}{third}", API.replace("value'", "value * 2.0'"));
        let change = change(&earlier, &later);
        assert_eq!(change.to_string(), "added third; removed web; changed api");
        assert_eq!(change.kept, [Some(0), Some(1)]);
        let many: String = (0..12)
            .map(|at| WEB.replace("web", &format!("w{at}")))
            .collect();
        let change = self::change(&format!("{A}{WEB}"), &format!("{A}{WEB}{many}"));
        assert!(change.to_string().ends_with("w9 and 2 more"), "{change}");
    }

    #[test]
    fn who_owns_the_administrative_state() {
        let owner = format!("{A}{WEB}admin_state = 'manage'\n");
        let overrides = format!("{A}{WEB}override_admin_state = 'manage'\n");
        let shared = format!("{A}{WEB}");
        let names = |names: &[ServiceName]| names.len();
        let disowned = change(&owner, &shared);
        assert_eq!((names(&disowned.disowned), names(&disowned.owned)), (1, 0));
        let owned = change(&shared, &overrides);
        assert_eq!((names(&owned.disowned), names(&owned.owned)), (0, 1));
        let neither = change(&owner, &overrides);
        assert_eq!((names(&neither.disowned), names(&neither.owned)), (0, 0));
    }
}
