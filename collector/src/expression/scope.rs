//! The variables of expressions: the fields of each source's latest reading.

use super::clock::{self, WallTime};
use super::environment::{CLOCK, CLOCK_FIELDS, METRICS};
use super::functions::{self, Budget};
use super::metrics::{self, Scrape};
use super::patterns;
use super::rewrite::{GOOD_SINCE, NOW};
use super::texts;
use crate::reading::names::NameMap;
use crate::reading::{Content, Reading, Reason};
use agentcheck_common::BootTime;
use cel::common::types::{CelBool, CelDouble, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use cel::objects::{Key, Map};
use cel::{Context, Env, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// The values of one reading, by field. Making them takes time in proportion to a document; all others are read from
/// the reading.
#[derive(Default)]
pub struct Values {
    origin: Origin,
    document: Option<Box<Document>>,
    /// When the latest good poll was sent.
    good_since: Option<BootTime>,
}

/// The origin of values.
#[derive(Default)]
enum Origin {
    /// No poll has finished.
    #[default]
    Nothing,
    /// No poll has finished for too long.
    Overdue,
    Reading(Arc<Reading>),
}

/// The field that is a list, a map or a scrape.
struct Document {
    name: &'static str,
    value: Box<dyn Val>,
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum Field<'s> {
    Truth(bool),
    Number(f64),
    Text(&'s str),
    Document(&'s dyn Val),
}

/// The variables of an evaluation.
///
/// A reading is turned into values once, when it arrives; only `age` depends on the time of evaluation.
pub struct Scope<'p> {
    /// Variables that this scope does not have.
    parent: Option<&'p Scope<'p>>,
    /// A context with all functions and no variables.
    functions: Arc<Context<'static, 'static>>,
    budget: Arc<Budget>,
    now: Option<f64>,
    /// In the order of [`CLOCK_FIELDS`].
    clock: Option<[f64; 4]>,
    sources: NameMap<String, Values>,
}

impl Default for Scope<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Scope<'_> {
    /// A scope before the first reading.
    #[must_use]
    pub fn new() -> Self {
        let mut context = Context::with_env(Arc::new(Env::stdlib()));
        let budget = Arc::new(Budget::new());
        functions::add_to(&mut context, &budget);
        patterns::add_to(&mut context);
        texts::add_to(&mut context);
        metrics::add_to(&mut context);
        Self {
            parent: None,
            functions: Arc::new(context),
            budget,
            now: None,
            clock: None,
            sources: NameMap::default(),
        }
    }

    /// The context for one evaluation. It takes its variables from this scope, and has none of its own.
    pub(super) fn context(&self) -> Context<'_, '_> {
        self.budget.begin();
        Context::Child {
            parent: &self.functions,
            variables: BTreeMap::new(),
            resolver: Some(self),
        }
    }

    /// The value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<Field<'_>> {
        let own = match name.split_once('.') {
            Some((CLOCK, field)) => {
                let clock = CLOCK_FIELDS.iter().zip(self.clock.iter().flatten());
                let mut found = clock.filter(|(known, _)| **known == field);
                found.next().map(|(_, number)| Field::Number(*number))
            }
            Some((source, field)) => self
                .sources
                .get(source)
                .and_then(|values| values.field(field)),
            None if name == NOW => self.now.map(Field::Number),
            None => None,
        };
        own.or_else(|| self.parent?.variable(name))
    }

    /// Sets `clock`; `None` makes it unknown.
    pub fn set_clock(&mut self, time: Option<WallTime>) {
        self.clock = time.map(|time| [time.unix, time.hour, time.minute, time.weekday]);
    }

    /// The time until `clock` changes, for a field that changes every `period`.
    #[must_use]
    pub fn clock_rest(unix: f64, period: Duration) -> Duration {
        clock::rest(unix, period)
    }

    /// Limits all evaluations from now on, together: the elements that their loops visit, and their time. An
    /// evaluation beyond the limit is unknown.
    pub fn limit(&self, elements: usize, time: Duration) {
        self.budget.limit(elements, time);
    }

    /// Whether an evaluation since [`Scope::limit`] needed more than that limit.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.budget.is_exceeded()
    }

    /// Replaces the values of `source` by those of a reading.
    pub fn set(&mut self, source: &str, reading: &Reading) {
        self.apply(source, Values::of(Arc::new(reading.clone())));
    }

    /// Sets when the latest good poll of `source` was sent.
    pub fn set_good_since(&mut self, source: &str, sent: BootTime) {
        let values = self.sources.entry(source.to_owned()).or_default();
        values.good_since = Some(sent);
    }

    /// Replaces the values of `source`. When its latest good poll was sent remains known after failed polls.
    ///
    /// Returns the values before, because dropping those of a large document takes a while.
    pub fn apply(&mut self, source: &str, mut values: Values) -> Values {
        match self.sources.get_mut(source) {
            Some(known) => {
                values.good_since = values.good_since.take().or(known.good_since.take());
                std::mem::replace(known, values)
            }
            None => {
                self.sources.insert(source.to_owned(), values);
                Values::default()
            }
        }
    }

    /// Removes all values of `source`.
    pub fn forget(&mut self, source: &str) {
        self.sources.remove(source);
    }

    /// Sets the time of evaluation, and with it every source's `age`.
    pub fn at(&mut self, now: BootTime) {
        self.now = Some(seconds(now));
    }

    /// The same scope, except that `sources` are overdue: no poll of theirs has finished for too long.
    #[must_use]
    pub fn with_overdue<'b>(&'b self, sources: &[&str]) -> Scope<'b> {
        let sources = sources.iter();
        Scope {
            parent: Some(self),
            functions: Arc::clone(&self.functions),
            budget: Arc::clone(&self.budget),
            now: None,
            clock: None,
            sources: sources
                .map(|source| ((*source).to_owned(), Values::overdue()))
                .collect(),
        }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        Some(match self.variable(variable)? {
            Field::Truth(truth) => CowVal::owned(CelBool::from(truth)),
            Field::Number(number) => CowVal::owned(CelDouble::from(number)),
            Field::Text(text) => CowVal::owned(CelString::from(text)),
            Field::Document(document) => CowVal::Borrowed(document),
        })
    }
}

impl Values {
    /// The values of a reading.
    #[must_use]
    pub fn of(reading: Arc<Reading>) -> Self {
        let document = match &reading.outcome {
            Ok(Content::Json(document)) => Some(("json", value_of(document))),
            Ok(Content::Rows(rows)) => Some(("rows", value_of(rows))),
            Ok(Content::Perf(values)) => Some(("perf", perf(values))),
            Ok(Content::Metrics(exposition)) => {
                let scrape = Scrape(Arc::clone(exposition));
                Some((METRICS, Value::Opaque(Arc::new(scrape))))
            }
            _ => None,
        };
        // Every kind of value that is made here has a form that evaluation reads.
        let document = document.and_then(|(name, value)| {
            let value = Box::<dyn Val>::try_from(value).ok()?;
            Some(Box::new(Document { name, value }))
        });
        Self {
            document,
            good_since: reading.is_ok().then_some(reading.sent),
            origin: Origin::Reading(reading),
        }
    }

    /// The values of a source of which no poll has finished for too long.
    fn overdue() -> Self {
        Self {
            origin: Origin::Overdue,
            ..Self::default()
        }
    }

    fn field(&self, field: &str) -> Option<Field<'_>> {
        if field == GOOD_SINCE {
            return self.good_since.map(seconds).map(Field::Number);
        }
        let reading = match &self.origin {
            Origin::Nothing => return None,
            Origin::Overdue => {
                return match field {
                    "ok" => Some(Field::Truth(false)),
                    "error" => Some(Field::Text(Reason::Overdue.word())),
                    _ => None,
                };
            }
            Origin::Reading(reading) => reading,
        };
        let failure = reading.outcome.as_ref().err();
        let content = reading.outcome.as_ref().ok();
        let part = || match content? {
            Content::Numbers(numbers) => {
                let mut parts = numbers.parts.iter();
                parts.find(|(name, _)| *name == field)
            }
            _ => None,
        };
        match field {
            "value" => content.and_then(Content::number).map(Field::Number),
            "ok" => Some(Field::Truth(failure.is_none())),
            "error" => Some(Field::Text(
                failure.map_or("", |failure| failure.reason.word()),
            )),
            "latency" => Some(Field::Number(reading.latency.as_secs_f64())),
            "status" => reading.status.map(f64::from).map(Field::Number),
            "exit" => reading.exit.map(f64::from).map(Field::Number),
            "text" => reading.text.as_deref().map(Field::Text),
            "exists" => reading.file.map(|facts| Field::Truth(facts.exists)),
            "mtime_age" => reading.file?.mtime_age.map(Field::Number),
            _ => match &self.document {
                Some(document) if document.name == field => Some(Field::Document(&*document.value)),
                _ => part().map(|(_, number)| Field::Number(*number)),
            },
        }
    }
}

/// The performance data of a monitoring plugin, as a map.
fn perf(values: &BTreeMap<String, f64>) -> Value {
    let map: HashMap<Key, Value> = values
        .iter()
        .map(|(label, value)| (Key::String(Arc::new(label.clone())), Value::Float(*value)))
        .collect();
    Value::Map(Map { map: Arc::new(map) })
}

/// A moment in seconds: a double represents a year to a tenth of a microsecond.
fn seconds(time: BootTime) -> f64 {
    time.since(BootTime(0)).as_secs_f64()
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

/// A JSON document as a value: every number a double, so that nothing fails for mixing types.
fn value_of(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        // serde_json has a double for every number that it reads.
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(string) => text(string),
        Json::Array(elements) => Value::List(Arc::new(elements.iter().map(value_of).collect())),
        Json::Object(members) => {
            let map: HashMap<Key, Value> = members
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), value_of(value)))
                .collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::variable;
    use super::*;
    use crate::reading::{Failure, FileFacts, Numbers};
    use std::time::Duration;

    #[test]
    fn parts_last_as_long_as_the_reading_that_they_came_with() {
        let reading = |outcome| Reading {
            sent: BootTime(0),
            latency: Duration::ZERO,
            status: None,
            exit: None,
            text: None,
            file: None,
            outcome,
        };
        let parts = |parts: &[(&'static str, f64)]| {
            reading(Ok(Content::Numbers(Numbers {
                value: 1.0,
                parts: parts.to_vec(),
            })))
        };
        let mut scope = Scope::new();
        let mut seen = |reading: &Reading| {
            scope.set("s", reading);
            ["value", "limit", "listeners"]
                .map(|field| scope.variable(&variable("s", field)).is_some())
        };
        let all = parts(&[("limit", 2.0), ("listeners", 1.0)]);
        assert_eq!(seen(&all), [true, true, true]);
        let one = parts(&[("listeners", 1.0)]);
        assert_eq!(seen(&one), [true, false, true]);
        let failed = reading(Err(Failure::new(Reason::Timeout, "")));
        assert_eq!(seen(&failed), [false, false, false]);
    }

    #[test]
    fn facts_of_files_and_of_plugins() {
        let reading = |file, outcome| Reading {
            sent: BootTime(0),
            latency: Duration::ZERO,
            status: None,
            exit: None,
            text: None,
            file,
            outcome,
        };
        let mut scope = Scope::new();
        let mut values = |reading: &Reading| {
            scope.set("s", reading);
            ["exists", "mtime_age", "perf"].map(|field| {
                let value = scope.variable(&variable("s", field));
                value.map(|value| format!("{value:?}"))
            })
        };
        let there = FileFacts {
            exists: true,
            mtime_age: Some(1.5),
        };
        let [exists, mtime_age, perf] = values(&reading(Some(there), Ok(Content::Nothing)));
        assert!(exists.unwrap().contains("true"));
        assert!(mtime_age.unwrap().contains("1.5"));
        assert_eq!(perf, None);
        // A file that is missing is known to be missing, also where that is a failure.
        let old = FileFacts {
            exists: false,
            mtime_age: None,
        };
        let missing = Failure::new(Reason::Missing, "");
        let [exists, mtime_age, _] = values(&reading(Some(old), Err(missing)));
        assert!(exists.unwrap().contains("false"));
        assert_eq!(mtime_age, None);
        let perf_values = [("/".to_owned(), 95.0)].into_iter().collect();
        let [exists, _, perf] = values(&reading(None, Ok(Content::Perf(perf_values))));
        assert_eq!(exists, None);
        assert!(perf.unwrap().contains("95"));
    }
}
