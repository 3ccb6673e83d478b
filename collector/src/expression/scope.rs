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

/// The values of one reading, by field. Making them takes time in proportion to a document.
#[derive(Default)]
pub struct Values {
    fields: Vec<(&'static str, Field)>,
    /// When the latest good poll was sent.
    good_since: Option<CelDouble>,
}

/// One value. Numbers, truths and words need no memory of their own.
enum Field {
    Truth(CelBool),
    Number(CelDouble),
    Text(CelString<'static>),
    Other(Box<dyn Val>),
}

impl Field {
    fn value(&self) -> &dyn Val {
        match self {
            Self::Truth(truth) => truth,
            Self::Number(number) => number,
            Self::Text(text) => text,
            Self::Other(value) => value.as_ref(),
        }
    }
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
    now: Option<CelDouble>,
    /// In the order of [`CLOCK_FIELDS`].
    clock: Option<[CelDouble; 4]>,
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
    pub(super) fn variable(&self, name: &str) -> Option<&dyn Val> {
        let own = match name.split_once('.') {
            Some((CLOCK, field)) => {
                let clock = CLOCK_FIELDS.iter().zip(self.clock.iter().flatten());
                let mut found = clock.filter(|(known, _)| **known == field);
                found.next().map(|(_, number)| number as &dyn Val)
            }
            Some((source, field)) => self
                .sources
                .get(source)
                .and_then(|values| values.field(field)),
            None if name == NOW => self.now.as_ref().map(|now| now as &dyn Val),
            None => None,
        };
        own.or_else(|| self.parent?.variable(name))
    }

    /// Sets `clock`; `None` makes it unknown.
    pub fn set_clock(&mut self, time: Option<WallTime>) {
        self.clock =
            time.map(|time| [time.unix, time.hour, time.minute, time.weekday].map(CelDouble::from));
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
        self.apply(source, Values::of(reading));
    }

    /// Sets when the latest good poll of `source` was sent.
    pub fn set_good_since(&mut self, source: &str, sent: BootTime) {
        let values = self.sources.entry(source.to_owned()).or_default();
        values.good_since = Some(seconds(sent));
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
        let overdue = || Values {
            fields: vec![
                ("ok", Field::Truth(CelBool::from(false))),
                ("error", word(Reason::Overdue.word())),
            ],
            good_since: None,
        };
        let sources = sources.iter();
        Scope {
            parent: Some(self),
            functions: Arc::clone(&self.functions),
            budget: Arc::clone(&self.budget),
            now: None,
            clock: None,
            sources: sources
                .map(|source| ((*source).to_owned(), overdue()))
                .collect(),
        }
    }
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        self.variable(variable).map(CowVal::Borrowed)
    }
}

impl Values {
    /// The values of a reading.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let failure = reading.outcome.as_ref().err();
        let content = reading.outcome.as_ref().ok();
        let number = |number: f64| Field::Number(CelDouble::from(number));
        let facts = reading.file;
        let document = match content {
            Some(Content::Json(document)) => Some(("json", value_of(document))),
            Some(Content::Rows(rows)) => Some(("rows", value_of(rows))),
            Some(Content::Perf(values)) => Some(("perf", perf(values))),
            Some(Content::Metrics(exposition)) => {
                let scrape = Scrape(Arc::clone(exposition));
                Some((METRICS, Value::Opaque(Arc::new(scrape))))
            }
            _ => None,
        };
        let parts = match content {
            Some(Content::Numbers(numbers)) => numbers.parts.as_slice(),
            _ => &[],
        };
        let text = reading.text.clone().map(CelString::from);
        let fields = [
            ("value", content.and_then(Content::number).map(number)),
            ("ok", Some(Field::Truth(CelBool::from(failure.is_none())))),
            (
                "error",
                Some(word(failure.map_or("", |failure| failure.reason.word()))),
            ),
            ("latency", Some(number(reading.latency.as_secs_f64()))),
            ("status", reading.status.map(f64::from).map(number)),
            ("exit", reading.exit.map(f64::from).map(number)),
            ("text", text.map(Field::Text)),
            (
                "exists",
                facts.map(|facts| Field::Truth(CelBool::from(facts.exists))),
            ),
            (
                "mtime_age",
                facts.and_then(|facts| facts.mtime_age).map(number),
            ),
        ];
        let count = fields.iter().filter(|(_, field)| field.is_some()).count();
        let count = count + usize::from(document.is_some()) + parts.len();
        let known = fields
            .into_iter()
            .filter_map(|(name, field)| Some((name, field?)));
        // Every kind of value that is made here has a form that evaluation reads.
        let document = document.and_then(|(name, value)| {
            Some((name, Field::Other(Box::<dyn Val>::try_from(value).ok()?)))
        });
        let parts = parts.iter().map(|(name, part)| (*name, number(*part)));
        let mut fields = Vec::with_capacity(count);
        fields.extend(known.chain(document).chain(parts));
        Self {
            fields,
            good_since: failure.is_none().then(|| seconds(reading.sent)),
        }
    }

    fn field(&self, field: &str) -> Option<&dyn Val> {
        if field == GOOD_SINCE {
            return self.good_since.as_ref().map(|since| since as &dyn Val);
        }
        let mut found = self.fields.iter().filter(|(name, _)| *name == field);
        found.next().map(|(_, field)| field.value())
    }
}

fn word(word: &'static str) -> Field {
    Field::Text(CelString::from(word))
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
fn seconds(time: BootTime) -> CelDouble {
    CelDouble::from(time.since(BootTime(0)).as_secs_f64())
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
