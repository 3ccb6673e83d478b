//! The latest readings of all sources. It takes and debounces readings, and updates derived numbers. Evaluation reads
//! it.
//!
//! A derived number fails when a source that it needs fails. So evaluation reads it like a source.

mod derived;
mod detached;

pub use derived::DerivedMemory;
pub use detached::{DetachedContext, DetachedScope};

use crate::config::{Change, Config, DerivedId, InputId, SourceId};
use crate::decision::evaluate::{EvalContext, LatestPoll};
use crate::expression::{Scope, Values, Zone};
use crate::filters::debounce::{DebouncePolicy, Debouncer, SourceHealth};
use crate::reading::{Content, Failure, Reading, Reason};
use agentcheck_common::BootTime;
use derived::{DerivedState, derived_from};
use std::sync::Arc;
use std::time::Duration;

/// The latest readings of all sources and derived numbers.
pub struct Observations {
    names: Arc<Vec<String>>,
    /// The sources behind each derived number, by [`InputId`]; empty for a source.
    behind: Arc<[Box<[InputId]>]>,
    /// The latest poll of each input, as evaluation reads it.
    latest: Vec<Option<LatestPoll>>,
    inputs: Vec<InputState>,
    sources: Vec<SourceState>,
    derived: Vec<DerivedState>,
    scope: Scope<'static>,
    started: BootTime,
    clock: Option<Clock>,
    /// The time that the scope has, and the same in seconds since 1970.
    time: Option<(BootTime, Option<f64>)>,
}

/// The state of an input, which is a source or a derived number.
#[derive(Default)]
struct InputState {
    /// The reading that the scope contains. It counts as good or failed after debouncing.
    reading: Option<Arc<Reading>>,
    /// When the latest good poll was sent.
    good_since: Option<BootTime>,
}

impl InputState {
    fn outcome(&self) -> Option<&Result<Content, Failure>> {
        self.reading.as_ref().map(|reading| &reading.outcome)
    }

    fn failure(&self) -> Option<&Failure> {
        self.outcome()?.as_ref().err()
    }
}

/// What a source has besides its [`InputState`].
struct SourceState {
    /// The derived numbers that need it, each after those that it reads.
    derived: Arc<[DerivedId]>,
    debounce: DebouncePolicy,
    debouncer: Debouncer,
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
        let reading = Arc::new(reading);
        Self {
            values: Values::of(Arc::clone(&reading)),
            reading,
        }
    }
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

impl Observations {
    /// No readings yet of the sources of `config`, whose polling begins at `started`.
    #[must_use]
    pub fn new(config: &Config, started: BootTime) -> Self {
        let names: Arc<Vec<String>> = Arc::new(config.names().map(str::to_owned).collect());
        // An empty one takes memory, too.
        let none: Arc<[DerivedId]> = Arc::default();
        Self {
            latest: vec![None; names.len()],
            inputs: names.iter().map(|_| InputState::default()).collect(),
            behind: {
                let sources = config.sources.iter().map(|_| Box::default());
                let derived = config.derived.iter().map(|derived| {
                    let sources = derived.sources.iter().copied();
                    sources.map(InputId::from).collect()
                });
                sources.chain(derived).collect()
            },
            names,
            scope: Scope::new(),
            started,
            clock: None,
            time: None,
            sources: config
                .sources
                .iter()
                .zip(derived_from(config))
                .map(|(source, derived)| SourceState {
                    derived: match derived.is_empty() {
                        true => Arc::clone(&none),
                        false => derived.into(),
                    },
                    debounce: source.debounce,
                    debouncer: Debouncer::default(),
                })
                .collect(),
            derived: DerivedState::all(config),
        }
    }

    /// Continues with `config` at `now`. Inputs that `change` keeps keep their readings and memories.
    pub fn reload(&mut self, config: &Config, change: &Change, now: BootTime) {
        let mut next = Self::new(config, now);
        std::mem::swap(&mut next.scope, &mut self.scope);
        next.clock = self.clock.take();
        for name in &change.left {
            next.scope.forget(name);
        }
        let sources = (next.sources.len(), self.sources.len());
        for (at, before) in change.kept.iter().enumerate() {
            let Some(before) = *before else { continue };
            swap(&mut self.latest, before.0, &mut next.latest, at);
            swap(&mut self.inputs, before.0, &mut next.inputs, at);
            match (InputId(at).source(sources.0), before.source(sources.1)) {
                (Ok(id), Ok(before)) => {
                    let old = self.sources.get_mut(before.0);
                    if let (Some(new), Some(old)) = (next.sources.get_mut(id.0), old) {
                        std::mem::swap(&mut new.debouncer, &mut old.debouncer);
                        new.debounce = old.debounce;
                    }
                }
                // Its other fields belong to the new configuration.
                (Err(id), Err(before)) => {
                    let old = self.derived.get_mut(before.0);
                    if let (Some(new), Some(old)) = (next.derived.get_mut(id.0), old) {
                        std::mem::swap(&mut new.remembered, &mut old.remembered);
                    }
                }
                // A source never becomes a derived number.
                _ => {}
            }
        }
        *self = next;
    }

    /// The memories for a restarted collector, by name. Series are not in it, because there may be thousands.
    pub fn kept(&self) -> impl Iterator<Item = (&str, DerivedMemory)> {
        let derived = self.derived.iter();
        derived.filter_map(|state| Some((state.derived.name.as_str(), state.memory()?)))
    }

    /// Continues at `now` with the memory of an earlier collector, if the derived number of this name has the same
    /// definition.
    pub fn restore(&mut self, name: &str, kept: &DerivedMemory, now: BootTime) {
        let mut derived = self.derived.iter_mut();
        if let Some(state) = derived.find(|state| state.derived.name == name) {
            state.restore(kept, now);
        }
    }

    /// Takes a reading of a source at `now`. Returns the inputs that changed: the source, and the numbers that derive
    /// from it.
    pub fn take(&mut self, source: SourceId, reading: Reading, now: BootTime) -> Vec<InputId> {
        self.take_new(source, NewReading::new(reading), now).0
    }

    /// [`Observations::take`] of a reading whose values another thread has made. Returns what it replaced, too, for
    /// another thread to drop.
    pub fn take_new(
        &mut self,
        source: SourceId,
        new: NewReading,
        now: BootTime,
    ) -> (Vec<InputId>, Option<NewReading>) {
        let NewReading { reading, values } = new;
        let Some(state) = self.sources.get_mut(source.0) else {
            return (Vec::new(), None);
        };
        let health = state.debouncer.observe(&state.debounce, reading.is_ok());
        let failure = reading.outcome.as_ref().err();
        let believed = match (health, failure) {
            (SourceHealth::Good, None) | (SourceHealth::Failed, Some(_)) => {
                NewReading { reading, values }
            }
            // It does not count, and the last reading grows older.
            (SourceHealth::Good | SourceHealth::Unknown, _) => return (Vec::new(), None),
            // Not recovered yet: still failed, as of this poll.
            (SourceHealth::Failed, None) => NewReading::new(self.still_failed(source, &reading)),
        };
        let replaced = self.set(source.into(), believed);
        let mut changed = vec![source.into()];
        self.derive(source, now, &mut changed);
        (changed, replaced)
    }

    fn failure(&self, source: SourceId) -> Option<&Failure> {
        self.inputs.get(source.0)?.failure()
    }

    fn still_failed(&self, source: SourceId, reading: &Reading) -> Reading {
        let before = self.failure(source).cloned();
        let failure = before.unwrap_or_else(|| Failure::new(Reason::Other, "not back yet"));
        Reading::failed(reading.sent, reading.latency, failure)
    }

    fn set(&mut self, input: InputId, new: NewReading) -> Option<NewReading> {
        let (Some(name), Some(slot), Some(state)) = (
            self.names.get(input.0),
            self.latest.get_mut(input.0),
            self.inputs.get_mut(input.0),
        ) else {
            return None;
        };
        let reading = new.reading;
        *slot = Some(LatestPoll {
            sent: reading.sent,
            failure: reading.outcome.as_ref().err().map(|failure| failure.reason),
        });
        let values = self.scope.apply(name, new.values);
        if reading.is_ok() {
            state.good_since = Some(reading.sent);
        }
        Some(NewReading {
            reading: state.reading.replace(reading)?,
            values,
        })
    }

    /// Derives the numbers that need `source`, each after those that it reads.
    fn derive(&mut self, source: SourceId, now: BootTime, changed: &mut Vec<InputId>) {
        let Some(derived) = self.sources.get(source.0).map(|state| &state.derived) else {
            return;
        };
        if derived.is_empty() {
            return;
        }
        let derived = Arc::clone(derived);
        self.set_time(now);
        self.scope.limit(DERIVED_ELEMENTS, DERIVED_TIME);
        for id in derived.iter().copied() {
            if let Some(reading) = self.derived_reading(id, source) {
                let input = InputId::derived(id, self.sources.len());
                self.set(input, NewReading::new(reading));
                changed.push(input);
            }
        }
        self.scope.limit(usize::MAX, Duration::MAX);
    }

    fn derived_reading(&mut self, id: DerivedId, changed: SourceId) -> Option<Reading> {
        let state = self.derived.get_mut(id.0)?;
        let polls = state.derived.sources.iter().map(|source| {
            let latest = self.latest.get(source.0).copied().flatten();
            latest.map(|latest| latest.sent)
        });
        // It is as old as the oldest poll that it uses; some may not have been made. Its memory continues with the
        // newest, so that a source with a long interval does not delay the others.
        let (Some(Some(sent)), Some(Some(newest))) = (polls.clone().min(), polls.max()) else {
            return None;
        };
        let scrape = match self.inputs.get(changed.0)?.outcome() {
            Some(Ok(Content::Metrics(scrape))) => Some(scrape.as_ref()),
            _ => None,
        };
        let outcome = match state.value(newest, &self.scope, scrape) {
            Ok(Some(value)) => Ok(Content::Number(value)),
            Ok(None) => return None,
            Err(unknown) => {
                let failed = state.derived.sources.iter().find_map(|source| {
                    let failure = self.inputs.get(source.0)?.failure()?;
                    let name = self.names.get(source.0)?;
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
        self.time = None;
    }

    /// Sets the time of expressions.
    fn set_time(&mut self, now: BootTime) {
        if self.time.is_none_or(|(time, _)| time != now) {
            self.time = Some((now, set_time(&mut self.scope, self.clock.as_ref(), now)));
        }
    }

    /// Copies what an evaluation with these inputs reads, for another thread. Readings are shared.
    #[must_use]
    pub fn detach(&self, inputs: &[InputId]) -> DetachedContext {
        let readings = inputs.iter().filter_map(|input| {
            let state = self.inputs.get(input.0)?;
            Some((
                *input,
                Arc::clone(state.reading.as_ref()?),
                state.good_since,
            ))
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

    /// Sets the time of evaluation; returns the context of that time.
    pub fn context(&mut self, now: BootTime) -> EvalContext<'_> {
        self.set_time(now);
        EvalContext {
            unix: self.time.and_then(|(_, unix)| unix),
            names: &self.names,
            latest: &self.latest,
            scope: &self.scope,
            started: self.started,
            behind: &self.behind,
        }
    }
}

fn swap<T>(from: &mut [T], before: usize, to: &mut [T], at: usize) {
    if let (Some(old), Some(new)) = (from.get_mut(before), to.get_mut(at)) {
        std::mem::swap(old, new);
    }
}

#[cfg(test)]
mod tests;
