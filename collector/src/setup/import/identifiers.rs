//! Unique names of sources, services and rules, from the names in the other agent's file.

use super::load_error;
use agentcheck_common::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// The names in use, of one kind.
#[derive(Default)]
pub(super) struct Names {
    used: BTreeSet<String>,
    /// How often each name was requested, so that the next free number is found at once.
    requests: BTreeMap<String, usize>,
}

impl Names {
    /// A name for a source: an identifier of the expression language.
    pub(super) fn source(&mut self, wanted: &str) -> String {
        let mut name = sanitized(wanted, '_', |c| c == '_');
        let probe = format!("[source.{name}.tcp]\naddress = \"a:1\"\n[service.s]\n");
        if load_error(&probe).is_some() {
            name.insert_str(0, "s_");
        }
        self.unique(name, '_')
    }

    /// A name for a service or a rule.
    pub(super) fn service(&mut self, wanted: &str) -> String {
        let mut name = sanitized(wanted, '-', |c| matches!(c, '.' | '_' | '-'));
        if !ServiceName::is_name(name.as_bytes()) {
            name.insert(0, 's');
        }
        self.unique(name, '-')
    }

    fn unique(&mut self, name: String, joint: char) -> String {
        let number = self.requests.entry(name.clone()).or_insert(0);
        loop {
            *number += 1;
            let candidate = match *number {
                1 => name.clone(),
                number => format!("{name}{joint}{number}"),
            };
            if self.used.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

/// The longest name before a number is added, in characters.
const LENGTH: usize = 40;

/// `wanted` with `substitute` for each character that is neither alphanumeric nor accepted by `also`.
fn sanitized(wanted: &str, substitute: char, also: impl Fn(char) -> bool) -> String {
    let known = |c: char| c.is_ascii_alphanumeric() || also(c);
    let characters = wanted.trim().chars().take(LENGTH);
    let name: String = characters
        .map(|c| if known(c) { c } else { substitute })
        .collect();
    let trimmed = name.trim_matches(substitute);
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
    fn names_are_sanitized() {
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
