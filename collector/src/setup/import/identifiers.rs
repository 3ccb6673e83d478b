//! Names that both sides can have: whatever the other agent called something becomes a name of a source, a
//! service or a rule, each once.

use super::refused;
use agentcheck_common::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// The names that are given so far, of one kind.
#[derive(Default)]
pub(super) struct Names {
    given: BTreeSet<String>,
    /// How often each was wanted: no long way to a free number.
    wanted: BTreeMap<String, usize>,
}

impl Names {
    /// A name for a source: an identifier of the expression language.
    pub(super) fn source(&mut self, wanted: &str) -> String {
        let mut name = shaped(wanted, '_', |c| c == '_');
        let probe = format!("[source.{name}.tcp]\naddress = \"a:1\"\n[service.s]\n");
        if refused(&probe).is_some() {
            name.insert_str(0, "s_");
        }
        self.unique(name, '_')
    }

    /// A name for a service or a rule.
    pub(super) fn service(&mut self, wanted: &str) -> String {
        let mut name = shaped(wanted, '-', |c| matches!(c, '.' | '_' | '-'));
        if !ServiceName::is_name(name.as_bytes()) {
            name.insert(0, 's');
        }
        self.unique(name, '-')
    }

    fn unique(&mut self, name: String, joint: char) -> String {
        let number = self.wanted.entry(name.clone()).or_insert(0);
        loop {
            *number += 1;
            let candidate = match *number {
                1 => name.clone(),
                number => format!("{name}{joint}{number}"),
            };
            if self.given.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

/// Not the longest that may be: a number may be added.
const LENGTH: usize = 40;

fn shaped(wanted: &str, instead: char, also: impl Fn(char) -> bool) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || also(c);
    let characters = wanted.trim().chars().take(LENGTH);
    let name: String = characters
        .map(|c| if known(c) { c } else { instead })
        .collect();
    let trimmed = name.trim_matches(instead);
    if trimmed.is_empty() {
        "x".to_owned()
    } else {
        trimmed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shaped() {
        let mut names = Names::default();
        for (wanted, name) in [
            ("my service", "my_service"),
            ("my-service", "my_service_2"),
            ("9lives", "s_9lives"),
            ("in", "s_in"),
            ("", "x"),
            ("]\n[x", "x_2"),
        ] {
            assert_eq!(names.source(wanted), name);
        }
        let mut names = Names::default();
        for (wanted, name) in [
            ("my service", "my-service"),
            ("web.v2", "web.v2"),
            ("../../etc", "s..-..-etc"),
            ("drain", "drain"),
            ("drain", "drain-2"),
            ("50%", "50"),
            ("", "x"),
        ] {
            assert_eq!(names.service(wanted), name);
        }
    }
}
