//! The order of derived numbers: each after those that it reads.

use super::super::diagnostics::Diagnostic;
use super::super::toml_reader::{Entry, Findings};
use std::collections::BTreeMap;

/// Derived numbers in the order of evaluation.
pub(super) struct Order<'t> {
    pub(super) sorted: Vec<Entry<'t>>,
    /// The names of those in a cycle, or after one.
    pub(super) cyclic: Vec<&'t str>,
}

/// Sorts derived numbers, and reports each cycle with its path. Otherwise the order of the files remains.
pub(super) fn sorted<'t>(
    entries: Vec<Entry<'t>>,
    is_source: impl Fn(&str) -> bool,
    findings: &mut Findings<'_>,
) -> Order<'t> {
    let index: BTreeMap<&str, usize> = entries
        .iter()
        .enumerate()
        .filter(|(_, entry)| !is_source(entry.key))
        .map(|(at, entry)| (entry.key, at))
        .collect();
    let reads: Vec<Vec<usize>> = entries
        .iter()
        .map(|entry| {
            let text = entry.child_text("expression").unwrap_or_default();
            let names = crate::expression::names(text);
            names
                .iter()
                .filter_map(|name| index.get(name.as_str()).copied())
                .collect()
        })
        .collect();
    let mut state = vec![State::New; entries.len()];
    let mut order = Vec::new();
    for start in 0..entries.len() {
        visit(start, &reads, &mut state, &mut order, &entries, findings);
    }
    let cyclic = |at: usize| state.get(at) == Some(&State::Cyclic);
    let name = |at: usize| entries.get(at).map(|entry| entry.key);
    Order {
        cyclic: (0..entries.len())
            .filter(|at| cyclic(*at))
            .filter_map(name)
            .collect(),
        sorted: order
            .iter()
            .filter(|at| !cyclic(**at))
            .filter_map(|at| entries.get(*at).copied())
            .collect(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    /// On the path from the start.
    Open,
    Done,
    Cyclic,
}

/// Visits all that `start` reads before it, without recursion: a chain can be as long as the file.
fn visit(
    start: usize,
    reads: &[Vec<usize>],
    state: &mut [State],
    order: &mut Vec<usize>,
    entries: &[Entry<'_>],
    findings: &mut Findings<'_>,
) {
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut enter = Some(start);
    loop {
        if let Some(at) = enter.take()
            && let Some(slot) = state.get_mut(at)
        {
            match *slot {
                State::New => {
                    *slot = State::Open;
                    path.push((at, 0));
                }
                State::Open => {
                    let from = path.iter().position(|(on, _)| *on == at).unwrap_or(0);
                    let cycle: Vec<usize> = path.iter().skip(from).map(|(on, _)| *on).collect();
                    report(&cycle, entries, findings);
                    for (on, _) in &path {
                        if let Some(slot) = state.get_mut(*on) {
                            *slot = State::Cyclic;
                        }
                    }
                }
                State::Cyclic => {
                    for (on, _) in &path {
                        if let Some(slot) = state.get_mut(*on) {
                            *slot = State::Cyclic;
                        }
                    }
                }
                State::Done => {}
            }
        }
        let Some((at, next)) = path.last_mut() else {
            return;
        };
        if let Some(read) = reads.get(*at).and_then(|reads| reads.get(*next)) {
            *next += 1;
            enter = Some(*read);
            continue;
        }
        let at = *at;
        path.pop();
        if let Some(slot) = state.get_mut(at)
            && *slot == State::Open
        {
            *slot = State::Done;
            order.push(at);
        }
    }
}

/// One cycle, as `a -> b -> a`.
fn report(cycle: &[usize], entries: &[Entry<'_>], findings: &mut Findings<'_>) {
    let mut names: Vec<&str> = cycle
        .iter()
        .filter_map(|at| entries.get(*at))
        .map(|entry| entry.key)
        .collect();
    names.extend(names.first().copied());
    let first = cycle.first().and_then(|at| entries.get(*at));
    let span = first.map(Entry::key_span).unwrap_or_default();
    let message = format!("derived numbers read each other: {}", names.join(" -> "));
    findings.push(Diagnostic::error(span, message).remedy("remove one of these references"));
}
