//! The differences between two configurations: what stays the same, and what a reload reports. Pure.

use super::{Config, DerivedInput, InputId, Service, SourceId};
use crate::expression::CLOCK;
use crate::reply::state::AdminStatePolicy;
use agentcheck_common::ServiceName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// From one configuration to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// For each input of the later one, its id in the earlier one if it is the same in both: the same source, polled
    /// in the same way, or the same number derived from such sources.
    pub kept: Vec<Option<InputId>>,
    /// Sources and derived numbers of the earlier one that are not kept.
    pub left: Vec<String>,
    /// Services that the earlier one does not have.
    pub added: Vec<ServiceName>,
    /// Services that the later one does not have.
    pub removed: Vec<ServiceName>,
    /// Services in both, with differences.
    pub changed: Vec<ServiceName>,
    /// Services with `admin_state` or `override_admin_state = "manage"` in the earlier one only.
    pub disowned: Vec<ServiceName>,
    /// Services with one of these in the later one only.
    pub owned: Vec<ServiceName>,
}

impl Change {
    /// The differences from `earlier` to `later`.
    #[must_use]
    pub fn between(earlier: &Config, later: &Config) -> Self {
        let mut change = Self {
            kept: kept(earlier, later),
            ..Self::default()
        };
        let kept: BTreeSet<InputId> = change.kept.iter().flatten().copied().collect();
        for (index, name) in earlier.names().enumerate() {
            if !kept.contains(&InputId(index)) {
                change.left.push(name.to_owned());
            }
        }
        let before: BTreeMap<&str, &Service> = by_name(earlier);
        let after: BTreeMap<&str, &Service> = by_name(later);
        for service in &later.services {
            let name = service.name;
            let Some(before) = before.get(name.as_str()) else {
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
            if !after.contains_key(service.name.as_str()) {
                change.removed.push(service.name);
            }
        }
        change
    }

    /// The id in the earlier configuration of a source that is the same in both.
    #[must_use]
    pub fn kept_source(&self, source: SourceId) -> Option<SourceId> {
        let before = self.kept.get(source.0).copied().flatten()?;
        Some(SourceId(before.0))
    }

    fn is_same(&self, before: &Service, after: &Service) -> bool {
        let inputs = after.inputs.iter();
        let inputs = inputs.map(|input| self.kept.get(input.0).copied().flatten());
        let same_inputs = inputs.eq(before.inputs.iter().copied().map(Some));
        let after = Service {
            inputs: before.inputs.clone(),
            ..after.clone()
        };
        same_inputs && after == *before
    }
}

impl fmt::Display for Change {
    /// One line for people: `added api; removed old; changed web`, or `no service has changed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (change, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
        ] {
            if !names.is_empty() {
                parts.push(format!("{change} {}", listed(names)));
            }
        }
        match parts.is_empty() {
            true => f.write_str("no service has changed"),
            false => f.write_str(&parts.join("; ")),
        }
    }
}

fn by_name(config: &Config) -> BTreeMap<&str, &Service> {
    let services = config.services.iter();
    services
        .map(|service| (service.name.as_str(), service))
        .collect()
}

/// The greatest number of names in a list.
const MOST_NAMES: usize = 10;

fn listed(names: &[ServiceName]) -> String {
    let first: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(ToString::to_string)
        .collect();
    match names.len().checked_sub(MOST_NAMES) {
        None | Some(0) => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    }
}

/// Whether replies, or only those of overrides, set the administrative state.
fn owns(service: &Service) -> bool {
    [service.admin_state, service.override_admin_state].contains(&AdminStatePolicy::Manage)
}

fn kept(earlier: &Config, later: &Config) -> Vec<Option<InputId>> {
    let by_name = |names: &mut dyn Iterator<Item = &'_ str>| -> BTreeMap<String, InputId> {
        names
            .enumerate()
            .map(|(at, name)| (name.to_owned(), InputId(at)))
            .collect()
    };
    let before = by_name(&mut earlier.names());
    let after = by_name(&mut later.names());
    let mut kept: Vec<Option<InputId>> = later
        .sources
        .iter()
        .map(|source| {
            let id = *before.get(&source.name)?;
            (earlier.sources.get(id.0) == Some(source)).then_some(id)
        })
        .collect();
    // Each derived number comes after those that it reads.
    for derived in &later.derived {
        let id = before.get(&derived.name).copied();
        let number = id.and_then(|id| id.source(earlier.sources.len()).err());
        let same = number
            .and_then(|number| earlier.derived.get(number.0))
            .is_some_and(|earlier| {
                let kept_name = |name: &String| {
                    let id = after.get(name).and_then(|id| kept.get(id.0));
                    id.copied().flatten().is_some()
                };
                let reads_kept = match &derived.input {
                    DerivedInput::Number(expression, _) => expression
                        .uses()
                        .keys()
                        .filter(|name| *name != CLOCK)
                        .all(kept_name),
                    DerivedInput::Rate(..) | DerivedInput::Histogram(..) => true,
                };
                let polled = derived.sources.iter();
                let polled = polled.map(|id| kept.get(id.0).copied().flatten());
                earlier.input == derived.input
                    && reads_kept
                    && polled.eq(earlier.sources.iter().map(|id| Some((*id).into())))
            });
        kept.push(id.filter(|_| same));
    }
    kept
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
    fn order_and_comments_are_not_changes() {
        let earlier = format!("{A}{B}{LOAD}{WEB}{API}");
        let later = format!("# now\n\n{B}{API}{WEB}{LOAD}{A}");
        let change = change(&earlier, &later);
        assert_eq!(change.to_string(), "no service has changed");
        assert_eq!(change.kept, [1, 0, 2].map(|id| Some(InputId(id))));
        assert!(change.left.is_empty());
    }

    #[test]
    fn derived_number_of_a_changed_source_is_not_kept() {
        let earlier = format!("{A}{LOAD}{WEB}{API}");
        let other = A.replace("'/a'", "'/other'");
        let change = change(&earlier, &format!("{other}{LOAD}{WEB}{API}"));
        assert_eq!(change.kept, [None, None]);
        assert_eq!(change.left, ["a", "load"]);
        assert_eq!(change.to_string(), "changed web, api");
    }

    #[test]
    fn added_removed_and_changed_services_are_named() {
        let earlier = format!("{A}{LOAD}{WEB}{API}");
        let third = WEB.replace("web", "third");
        let later = format!("{A}{LOAD}{}{third}", API.replace("value'", "value * 2.0'"));
        let change = change(&earlier, &later);
        assert_eq!(change.to_string(), "added third; removed web; changed api");
        assert_eq!(change.kept, [0, 1].map(|id| Some(InputId(id))));
        let many: String = (0..12)
            .map(|at| WEB.replace("web", &format!("w{at}")))
            .collect();
        let change = self::change(&format!("{A}{WEB}"), &format!("{A}{WEB}{many}"));
        assert!(change.to_string().ends_with("w9 and 2 more"), "{change}");
    }

    #[test]
    fn changes_of_admin_state_are_reported() {
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
