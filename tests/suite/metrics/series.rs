//! Reads metrics by the collector's own parser, which refuses any other format.

use agentcheck::reading::prometheus::{Exposition, Selector};
use std::collections::{BTreeMap, BTreeSet};

/// All series of a text: the name and the labels, sorted, and the value.
pub(crate) fn all(text: &str) -> BTreeMap<(String, Vec<String>), f64> {
    let read = Exposition::parse(text.to_owned()).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: BTreeSet<&str> = lines
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let mut found = BTreeMap::new();
    for name in names {
        let selector = Selector::parse(name).unwrap();
        for (labels, value) in read.labelled(&[selector]) {
            // No value has a comma in it here.
            let mut labels: Vec<String> = labels.split(',').map(str::to_owned).collect();
            labels.sort();
            found.insert((name.to_owned(), labels), value);
        }
    }
    found
}

/// The value of the one series that a selector takes, if it takes any.
pub(crate) fn value(text: &str, selector: &str) -> Option<f64> {
    let read = Exposition::parse(text.to_owned()).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let values = read.values(&[Selector::parse(selector).unwrap()]);
    assert!(values.len() < 2, "{selector}: {values:?}");
    values.first().copied()
}
