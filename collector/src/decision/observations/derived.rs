//! Derived numbers: averages, rates and percentiles over the readings of sources, and named expressions.

use crate::config::{Config, Derived, DerivedId, DerivedInput};
use crate::expression::Scope;
use crate::filters::derive::{Counters, Derivation, MOST_COUNTERS};
use crate::reading::prometheus::{Exposition, Selector, bucket_bound, histogram};
use agentcheck_common::BootTime;
use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};

/// What a derived number has besides its reading.
pub(super) struct DerivedState {
    pub(super) derived: Derived,
    pub(super) remembered: Remembered,
    /// See [`DerivedMemory::definition`].
    definition: String,
}

/// The memory of one derived number, from which a restarted collector continues.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedMemory {
    /// A hash of its input and its sources. The memory is valid only for the same hash.
    pub definition: String,
    /// The numbers that it remembers, the oldest first; at most [`crate::filters::derive::MOST_KEPT`].
    pub numbers: Vec<(BootTime, f64)>,
}

/// The memory of a derived number.
pub(super) enum Remembered {
    /// A named expression.
    Nothing,
    Number(Derivation),
    Counters(Counters),
}

impl DerivedState {
    /// The derived numbers of a configuration, in its order, without memories.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let derived = config.derived.iter().zip(definitions(config));
        let states = derived.map(|(derived, definition)| Self {
            derived: derived.clone(),
            remembered: match &derived.input {
                DerivedInput::Number(_, Some(aggregation)) => {
                    Remembered::Number(Derivation::new(*aggregation))
                }
                DerivedInput::Number(_, None) => Remembered::Nothing,
                DerivedInput::Rate(_, window) | DerivedInput::Histogram(_, _, window) => {
                    Remembered::Counters(Counters::new(*window))
                }
            },
            definition,
        });
        states.collect()
    }

    /// The memory for a restarted collector, if it has numbers.
    pub(super) fn memory(&self) -> Option<DerivedMemory> {
        let Remembered::Number(derivation) = &self.remembered else {
            return None;
        };
        let memory = DerivedMemory {
            definition: self.definition.clone(),
            numbers: derivation.snapshot(),
        };
        (!memory.numbers.is_empty()).then_some(memory)
    }

    /// Continues at `now` with a memory, if it has the same definition.
    pub(super) fn restore(&mut self, memory: &DerivedMemory, now: BootTime) {
        if let Remembered::Number(derivation) = &mut self.remembered
            && self.definition == memory.definition
        {
            derivation.restore(&memory.numbers, now);
        }
    }

    /// The derived number at polls of which the newest was sent at `sent`; `None` while it needs more polls.
    pub(super) fn value(
        &mut self,
        sent: BootTime,
        scope: &Scope<'_>,
        scrape: Option<&Exposition>,
    ) -> Result<Option<f64>, String> {
        match (&self.derived.input, &mut self.remembered) {
            (DerivedInput::Number(expression, _), Remembered::Number(derivation)) => {
                let number = expression.number(scope).map_err(|unknown| unknown.0)?;
                Ok(derivation.observe(sent, number))
            }
            (DerivedInput::Rate(selectors, _), Remembered::Counters(counters)) => {
                let shown = series(scrape, selectors)?;
                let rates = counters.observe(sent, &shown);
                let sum = rates.iter().map(|(_, rate)| rate).sum();
                Ok((!rates.is_empty()).then_some(sum))
            }
            (DerivedInput::Histogram(selectors, percent, _), Remembered::Counters(counters)) => {
                let shown = series(scrape, selectors)?;
                let rates = counters.observe(sent, &shown);
                if rates.is_empty() {
                    return Ok(None);
                }
                let mut buckets: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
                for (labels, rate) in rates {
                    let bound = bucket_bound(labels).ok_or("a series without le is no bucket")?;
                    let bucket = buckets.entry(bound.to_bits()).or_insert((bound, 0.0));
                    bucket.1 += rate;
                }
                let quantile =
                    histogram::quantile(percent / 100.0, buckets.into_values().collect());
                quantile
                    .map(Some)
                    .ok_or_else(|| "nothing was counted".to_owned())
            }
            (DerivedInput::Number(expression, None), _) => expression
                .number(scope)
                .map(Some)
                .map_err(|unknown| unknown.0),
            // `new` makes both together.
            _ => Ok(None),
        }
    }
}

/// A hash of the input of each derived number, and of those that it reads. It is not the text itself: a URL can
/// contain a secret.
fn definitions(config: &Config) -> Vec<String> {
    let mut known: BTreeMap<&str, String> = BTreeMap::new();
    let definition = |derived: &Derived, known: &BTreeMap<&str, String>| {
        let mut hasher = std::hash::DefaultHasher::new();
        match &derived.input {
            DerivedInput::Number(expression, aggregation) => {
                for name in expression.uses().keys() {
                    known.get(name.as_str()).hash(&mut hasher);
                }
                format!("{} {aggregation:?}", expression.text())
            }
            other => format!("{other:?}"),
        }
        .hash(&mut hasher);
        for source in &derived.sources {
            format!("{:?}", config.sources.get(source.0)).hash(&mut hasher);
        }
        format!("{:016x}", hasher.finish())
    };
    let derived = config.derived.iter().map(|derived| {
        let definition = definition(derived, &known);
        known.insert(&derived.name, definition.clone());
        definition
    });
    derived.collect()
}

/// By source the derived numbers that need it, in the order of the configuration.
pub(super) fn derived_from(config: &Config) -> Vec<Vec<DerivedId>> {
    let mut users = vec![Vec::new(); config.sources.len()];
    for (id, derived) in config.derived.iter().enumerate() {
        for source in &derived.sources {
            if let Some(users) = users.get_mut(source.0) {
                users.push(DerivedId(id));
            }
        }
    }
    users
}

/// The series that the selectors take: all of them or none, because a part would be another number.
pub(super) fn series<'s>(
    scrape: Option<&'s Exposition>,
    selectors: &[Selector],
) -> Result<Vec<(&'s str, f64)>, String> {
    let shown = scrape.ok_or("no scrape")?.labelled(selectors);
    match shown.len() {
        0 => Err("no such series".to_owned()),
        1..=MOST_COUNTERS => Ok(shown),
        many => Err(format!("{many} series, more than {MOST_COUNTERS}")),
    }
}
