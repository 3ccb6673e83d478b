//! What is known of the sources by now: takes readings in, believes them or waits for more of the same,
//! derives what is derived from them, and is what evaluation looks at. Pure: no clock, no thread.
//!
//! A derived number is known under an index after those of the sources, and fails when a source that it
//! needs fails, so that evaluation need not know the difference.

use crate::config::{Change, Config, Derived, DerivedInput};
use crate::decision::evaluate::{EvalContext, LatestPoll};
use crate::expression::{Scope, Values, Zone};
use crate::filters::debounce::{DebouncePolicy, Debouncer, SourceHealth};
use crate::filters::derive::{Counters, Derivation, MOST_COUNTERS};
use crate::reading::prometheus::{Exposition, Selector, bucket_bound, histogram};
use crate::reading::{Content, Failure, Reading, Reason};
use agentcheck_common::BootTime;
use std::collections::BTreeMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

/// Everything that is known of the sources.
pub struct Observations {
    names: Arc<Vec<String>>,
    latest: Vec<Option<LatestPoll>>,
    /// The sources behind each of them.
    behind: Arc<Vec<Vec<usize>>>,
    scope: Scope<'static>,
    /// The reading that the scope has of each source and derived value, and when its latest good poll was sent.
    believed: Vec<(Option<Arc<Reading>>, Option<BootTime>)>,
    started: BootTime,
    clock: Option<Clock>,
    confirmations: Vec<(DebouncePolicy, Debouncer)>,
    /// Why each source counts as failed.
    failures: Vec<Option<Failure>>,
    /// The latest scrape of each source that gives any.
    scrapes: Vec<Option<Arc<Exposition>>>,
    derived: Vec<(Derived, Remembered)>,
    /// What each derived number is made of, in the same order; see [`Kept::definition`].
    definitions: Vec<String>,
}

/// How many elements the derived values of one source may visit together at one of its readings, and how long.
/// One pass over the largest document is 20,000 elements.
const DERIVED_ELEMENTS: usize = 100_000;
const DERIVED_TIME: Duration = Duration::from_millis(200);

/// A reading with its values for expressions, which any thread can make.
pub struct NewReading {
    /// The reading.
    pub reading: Arc<Reading>,
    values: Values,
}

impl NewReading {
    /// Makes the values of a reading.
    #[must_use]
    pub fn new(reading: Reading) -> Self {
        Self {
            values: Values::of(&reading),
            reading: Arc::new(reading),
        }
    }
}

/// What the evaluation of one service reads, for another thread.
pub struct DetachedContext {
    names: Arc<Vec<String>>,
    latest: Vec<Option<LatestPoll>>,
    /// By index, and when the latest good poll was sent.
    readings: Vec<(usize, Arc<Reading>, Option<BootTime>)>,
    started: BootTime,
    behind: Arc<Vec<Vec<usize>>>,
    clock: Option<Clock>,
}

/// The scope of a thread that evaluates [`DetachedContext`]s. It has the values of one of them.
#[derive(Default)]
pub struct DetachedScope {
    scope: Scope<'static>,
    readings: BTreeMap<String, Arc<Reading>>,
}

impl DetachedScope {
    /// What is evaluated at `now`. Values that the context before had, too, are kept.
    pub fn context<'c>(
        &'c mut self,
        detached: &'c DetachedContext,
        now: BootTime,
    ) -> EvalContext<'c> {
        let mut before = std::mem::take(&mut self.readings);
        for (index, reading, good_since) in &detached.readings {
            let Some(name) = detached.names.get(*index) else {
                continue;
            };
            let same = before.remove(name);
            if !same.is_some_and(|same| Arc::ptr_eq(&same, reading)) {
                self.scope.forget(name);
                self.scope.set(name, reading);
                if let Some(sent) = good_since {
                    self.scope.set_good_since(name, *sent);
                }
            }
            self.readings.insert(name.clone(), Arc::clone(reading));
        }
        for name in before.keys() {
            self.scope.forget(name);
        }
        let unix = set_time(&mut self.scope, detached.clock.as_ref(), now);
        EvalContext {
            names: &detached.names,
            latest: &detached.latest,
            scope: &self.scope,
            started: detached.started,
            behind: &detached.behind,
            unix,
        }
    }
}

/// What a restarted collector goes on from of one derived number.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedMemory {
    /// Tells it from one that is derived otherwise, or from sources that are polled otherwise. Of no meaning
    /// beside that.
    pub definition: String,
    /// The numbers that it remembers, the oldest first; at most [`crate::filters::derive::MOST_KEPT`].
    pub numbers: Vec<(BootTime, f64)>,
}

/// The wall clock: seconds since 1970 at a time of the boot clock.
#[derive(Clone)]
struct Clock {
    zone: Zone,
    unix: f64,
    at: BootTime,
}

impl Clock {
    /// Seconds since 1970 at `now`.
    fn unix_at(&self, now: BootTime) -> f64 {
        self.unix + now.since(self.at).as_secs_f64() - self.at.since(now).as_secs_f64()
    }
}

/// Sets the time of expressions; the seconds since 1970, if they are known.
fn set_time(scope: &mut Scope<'_>, clock: Option<&Clock>, now: BootTime) -> Option<f64> {
    scope.at(now);
    let unix = clock.map(|clock| clock.unix_at(now));
    scope.set_clock(clock.zip(unix).map(|(clock, unix)| clock.zone.at(unix)));
    unix
}

/// What a derived number remembers.
enum Remembered {
    /// A named expression.
    Nothing,
    Number(Derivation),
    Counters(Counters),
}

impl Observations {
    /// Nothing is known yet of what `config` polls, beginning at `started`.
    #[must_use]
    pub fn new(config: &Config, started: BootTime) -> Self {
        let names: Arc<Vec<String>> = Arc::new(config.names().map(str::to_owned).collect());
        Self {
            latest: vec![None; names.len()],
            believed: vec![(None, None); names.len()],
            names,
            behind: Arc::new(
                (0..config.sources.len())
                    .map(|source| vec![source])
                    .chain(config.derived.iter().map(|derived| derived.sources.clone()))
                    .collect(),
            ),
            scope: Scope::new(),
            started,
            clock: None,
            confirmations: config
                .sources
                .iter()
                .map(|source| (source.debounce, Debouncer::default()))
                .collect(),
            failures: vec![None; config.sources.len()],
            definitions: definitions(config),
            derived: config
                .derived
                .iter()
                .map(|derived| {
                    let remembered = match &derived.input {
                        DerivedInput::Number(_, Some(aggregation)) => {
                            Remembered::Number(Derivation::new(*aggregation))
                        }
                        DerivedInput::Number(_, None) => Remembered::Nothing,
                        DerivedInput::Rate(_, window) | DerivedInput::Histogram(_, _, window) => {
                            Remembered::Counters(Counters::new(*window))
                        }
                    };
                    (derived.clone(), remembered)
                })
                .collect(),
            scrapes: vec![None; config.sources.len()],
        }
    }

    /// Goes on with `config` at `now`. What `change` keeps stays known, with all that it remembers.
    pub fn reload(&mut self, config: &Config, change: &Change, now: BootTime) {
        let mut next = Self::new(config, now);
        std::mem::swap(&mut next.scope, &mut self.scope);
        next.clock = self.clock.take();
        for name in &change.left {
            next.scope.forget(name);
        }
        let sources = (next.failures.len(), self.failures.len());
        for (index, before) in change.kept.iter().enumerate() {
            let Some(before) = *before else { continue };
            hand_on(&mut self.latest, before, &mut next.latest, index);
            hand_on(&mut self.believed, before, &mut next.believed, index);
            hand_on(&mut self.failures, before, &mut next.failures, index);
            hand_on(&mut self.scrapes, before, &mut next.scrapes, index);
            hand_on(
                &mut self.confirmations,
                before,
                &mut next.confirmations,
                index,
            );
            if let (Some(index), Some(before)) =
                (index.checked_sub(sources.0), before.checked_sub(sources.1))
            {
                // The places of its sources are those of the new configuration.
                let remembered = self.derived.get_mut(before);
                if let (Some(new), Some(old)) = (next.derived.get_mut(index), remembered) {
                    std::mem::swap(&mut new.1, &mut old.1);
                }
            }
        }
        *self = next;
    }

    /// What a restarted collector goes on from, by name. Series are not in it: there may be thousands.
    pub fn kept(&self) -> impl Iterator<Item = (&str, DerivedMemory)> {
        let derived = self.derived.iter().zip(&self.definitions);
        derived.filter_map(|((derived, remembered), definition)| {
            let Remembered::Number(derivation) = remembered else {
                return None;
            };
            let numbers = derivation.snapshot();
            let definition = definition.clone();
            let kept = DerivedMemory {
                definition,
                numbers,
            };
            (!kept.numbers.is_empty()).then_some((derived.name.as_str(), kept))
        })
    }

    /// Goes on at `now` from what an earlier collector kept of the derived number of this name, where it is
    /// still the same.
    pub fn restore(&mut self, name: &str, kept: &DerivedMemory, now: BootTime) {
        let derived = self.derived.iter_mut().zip(&self.definitions);
        for ((derived, remembered), definition) in derived {
            if let Remembered::Number(derivation) = remembered
                && derived.name == name
                && *definition == kept.definition
            {
                derivation.restore(&kept.numbers, now);
            }
        }
    }

    /// Takes a reading of the source with this index in, at `now`; gives the indices, of the source and of
    /// what is derived from it, of which something else is known now.
    pub fn take(&mut self, index: usize, reading: Reading, now: BootTime) -> Vec<usize> {
        self.take_new(index, NewReading::new(reading), now)
    }

    /// [`Observations::take`] of a reading whose values another thread has made.
    pub fn take_new(&mut self, index: usize, new: NewReading, now: BootTime) -> Vec<usize> {
        let NewReading { reading, values } = new;
        let Some((confirm, confirmation)) = self.confirmations.get_mut(index) else {
            return Vec::new();
        };
        let standing = confirmation.observe(confirm, reading.is_ok());
        let failure = reading.outcome.as_ref().err();
        let believed = match (standing, failure) {
            (SourceHealth::Good, None) | (SourceHealth::Failed, Some(_)) => {
                NewReading { reading, values }
            }
            // Passed over: what was known grows older.
            (SourceHealth::Good | SourceHealth::Unknown, _) => return Vec::new(),
            // Not back yet: still failed, as of this poll.
            (SourceHealth::Failed, None) => NewReading::new(self.still_failed(index, &reading)),
        };
        let outcome = &believed.reading.outcome;
        if let Some(slot) = self.failures.get_mut(index) {
            *slot = outcome.as_ref().err().cloned();
        }
        if let Some(slot) = self.scrapes.get_mut(index) {
            *slot = match outcome {
                Ok(Content::Metrics(exposition)) => Some(Arc::clone(exposition)),
                _ => None,
            };
        }
        self.set(index, believed);
        let mut touched = vec![index];
        set_time(&mut self.scope, self.clock.as_ref(), now);
        self.derive(index, &mut touched);
        touched
    }

    fn still_failed(&self, index: usize, reading: &Reading) -> Reading {
        let before = self.failures.get(index).cloned().flatten();
        let failure = before.unwrap_or_else(|| Failure::new(Reason::Other, "not back yet"));
        Reading::failed(reading.sent, reading.latency, failure)
    }

    fn set(&mut self, index: usize, new: NewReading) {
        let (Some(name), Some(slot), Some(believed)) = (
            self.names.get(index),
            self.latest.get_mut(index),
            self.believed.get_mut(index),
        ) else {
            return;
        };
        let reading = new.reading;
        *slot = Some(LatestPoll {
            sent: reading.sent,
            failure: reading.outcome.as_ref().err().map(|failure| failure.reason),
        });
        self.scope.apply(name, new.values);
        let good_since = reading.is_ok().then_some(reading.sent).or(believed.1);
        *believed = (Some(reading), good_since);
    }

    /// Derives the numbers that need the source `index`, each after those that it reads.
    fn derive(&mut self, index: usize, touched: &mut Vec<usize>) {
        self.scope.limit(DERIVED_ELEMENTS, DERIVED_TIME);
        for at in 0..self.derived.len() {
            if let Some(reading) = self.derived_reading(at, index) {
                let index = self.confirmations.len() + at;
                self.set(index, NewReading::new(reading));
                touched.push(index);
            }
        }
        self.scope.limit(usize::MAX, Duration::MAX);
    }

    fn derived_reading(&mut self, at: usize, index: usize) -> Option<Reading> {
        let (derived, remembered) = self.derived.get_mut(at)?;
        if !derived.sources.contains(&index) {
            return None;
        }
        let polls = derived.sources.iter().map(|source| {
            let latest = self.latest.get(*source).copied().flatten();
            latest.map(|latest| latest.sent)
        });
        // As old as the oldest poll that it uses; not all may have been made. What it remembers
        // goes on with the newest: a source that is polled rarely must not hold up the others.
        let (Some(Some(sent)), Some(Some(newest))) = (polls.clone().min(), polls.max()) else {
            return None;
        };
        let scrape = self.scrapes.get(index).and_then(Option::as_deref);
        let outcome = match value(&derived.input, remembered, newest, &self.scope, scrape) {
            Ok(Some(value)) => Ok(Content::Number(value)),
            Ok(None) => return None,
            Err(unknown) => {
                let failed = derived.sources.iter().find_map(|source| {
                    let failure = self.failures.get(*source)?.as_ref()?;
                    let name = self.names.get(*source)?;
                    Some(Failure::new(failure.reason, format!("{name}: {failure}")))
                });
                Err(failed.unwrap_or_else(|| Failure::new(Reason::Malformed, unknown)))
            }
        };
        Some(Reading {
            outcome,
            ..Reading::failed(sent, Duration::ZERO, Failure::new(Reason::Other, ""))
        })
    }

    /// Sets the wall clock: `unix` seconds since 1970 at `at`. Without it, `clock` is unknown.
    pub fn set_clock(&mut self, zone: &Zone, unix: f64, at: BootTime) {
        self.clock = Some(Clock {
            zone: zone.clone(),
            unix,
            at,
        });
    }

    /// Copies what an evaluation with these sources and derived values reads, for another thread. Readings are
    /// shared.
    #[must_use]
    pub fn detach(&self, sources: &[usize]) -> DetachedContext {
        let readings = sources.iter().filter_map(|index| {
            let (reading, good_since) = self.believed.get(*index)?;
            Some((*index, Arc::clone(reading.as_ref()?), *good_since))
        });
        DetachedContext {
            names: Arc::clone(&self.names),
            latest: self.latest.clone(),
            readings: readings.collect(),
            started: self.started,
            behind: Arc::clone(&self.behind),
            clock: self.clock.clone(),
        }
    }

    /// Sets the time of evaluation; what evaluation looks at then.
    pub fn context(&mut self, now: BootTime) -> EvalContext<'_> {
        let unix = set_time(&mut self.scope, self.clock.as_ref(), now);
        EvalContext {
            unix,
            names: &self.names,
            latest: &self.latest,
            scope: &self.scope,
            started: self.started,
            behind: &self.behind,
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
        for index in &derived.sources {
            format!("{:?}", config.sources.get(*index)).hash(&mut hasher);
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

/// What is known in one place is known in another from now on.
fn hand_on<T>(from: &mut [T], before: usize, to: &mut [T], index: usize) {
    if let (Some(old), Some(new)) = (from.get_mut(before), to.get_mut(index)) {
        std::mem::swap(old, new);
    }
}

/// The derived number as of polls of which the newest was sent at `sent`; none where it takes more of them.
fn value(
    of: &DerivedInput,
    remembered: &mut Remembered,
    sent: BootTime,
    scope: &Scope<'_>,
    scrape: Option<&Exposition>,
) -> Result<Option<f64>, String> {
    match (of, remembered) {
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
            let quantile = histogram::quantile(percent / 100.0, buckets.into_values().collect());
            quantile
                .map(Some)
                .ok_or_else(|| "nothing was counted".to_owned())
        }
        (DerivedInput::Number(expression, None), _) => expression
            .number(scope)
            .map(Some)
            .map_err(|unknown| unknown.0),
        // Both are made together, in `new`.
        _ => Ok(None),
    }
}

/// The series that the selectors take: all of them or none, because a part would be another number.
fn series<'s>(
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

#[cfg(test)]
mod tests;
