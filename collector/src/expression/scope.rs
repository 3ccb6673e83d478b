//! The variables of expressions: the fields of each source's latest reading.

use super::clock::{self, WallTime};
use super::environment::{CLOCK, CLOCK_FIELDS, METRICS};
use super::functions::{self, Budget};
use super::metrics::{self, Scrape};
use super::patterns;
use super::rewrite::{GOOD_SINCE, NOW, variable};
use super::texts;
use crate::reading::{Content, Reading, Reason};
use agentcheck_common::BootTime;
use cel::common::value::Val;
use cel::objects::{Key, Map};
use cel::{Context, Env, Value};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The values of one reading, by field. Making them takes time in proportion to a document.
pub struct Values(Vec<(&'static str, Box<dyn Val>)>);

/// The variables of an evaluation.
///
/// A reading is turned into values once, when it arrives; only `age` depends on the time of evaluation.
pub struct Scope<'p> {
    context: Context<'p, 'static>,
    budget: Arc<Budget>,
    /// The fields that each source's latest reading has set, so that none outlives it.
    fields: HashMap<String, Vec<&'static str>>,
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
            context,
            budget,
            fields: HashMap::new(),
        }
    }

    /// The context for one evaluation.
    pub(super) fn context(&self) -> &Context<'_, 'static> {
        self.budget.begin();
        &self.context
    }

    /// Sets `clock`; `None` makes it unknown.
    pub fn set_clock(&mut self, time: Option<WallTime>) {
        let Some(time) = time else {
            for field in CLOCK_FIELDS {
                self.remove(&variable(CLOCK, field));
            }
            return;
        };
        let values = [time.unix, time.hour, time.minute, time.weekday];
        for (field, value) in CLOCK_FIELDS.into_iter().zip(values) {
            let variable = variable(CLOCK, field);
            self.context
                .add_variable_from_value(variable, Value::Float(value));
        }
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
        self.context
            .add_variable_from_value(variable(source, GOOD_SINCE), seconds(sent));
    }

    /// Replaces the values of `source`.
    pub fn apply(&mut self, source: &str, values: Values) {
        let mut set = Vec::new();
        for (field, value) in values.0 {
            self.context
                .add_variable_as_val(variable(source, field), value);
            set.push(field);
        }
        let before = self.fields.get_mut(source).map(std::mem::take);
        for old in before.iter().flatten() {
            if *old != GOOD_SINCE && !set.contains(old) {
                self.remove(&variable(source, old));
            }
        }
        match self.fields.get_mut(source) {
            Some(fields) => *fields = set,
            None => {
                self.fields.insert(source.to_owned(), set);
            }
        }
    }

    /// Removes all values of `source`.
    pub fn forget(&mut self, source: &str) {
        for field in self.fields.remove(source).unwrap_or_default() {
            self.remove(&variable(source, field));
        }
        self.remove(&variable(source, GOOD_SINCE));
    }

    /// Sets the time of evaluation, and with it every source's `age`.
    pub fn at(&mut self, now: BootTime) {
        self.context.add_variable_from_value(NOW, seconds(now));
    }

    /// The same scope, except that `sources` are overdue: no poll of theirs has finished for too long.
    #[must_use]
    pub fn with_overdue<'b>(&'b self, sources: &[&str]) -> Scope<'b> {
        let mut context = self.context.new_inner_scope();
        for source in sources {
            context.add_variable_from_value(variable(source, "ok"), Value::Bool(false));
            context
                .add_variable_from_value(variable(source, "error"), text(Reason::Overdue.word()));
        }
        Scope {
            context,
            budget: Arc::clone(&self.budget),
            fields: HashMap::new(),
        }
    }

    fn remove(&mut self, variable: &str) {
        match &mut self.context {
            Context::Root { variables, .. } | Context::Child { variables, .. } => {
                variables.remove(variable);
            }
        }
    }
}

impl Values {
    /// The values of a reading.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let failure = reading.outcome.as_ref().err();
        let content = reading.outcome.as_ref().ok();
        let error = failure.map_or("", |failure| failure.reason.word());
        let number = |number: f64| Value::Float(number);
        let facts = reading.file;
        let json = match content {
            Some(Content::Json(document)) => Some(value_of(document)),
            _ => None,
        };
        let rows = match content {
            Some(Content::Rows(rows)) => Some(value_of(rows)),
            _ => None,
        };
        let metrics = match content {
            Some(Content::Metrics(exposition)) => {
                Some(Value::Opaque(Arc::new(Scrape(Arc::clone(exposition)))))
            }
            _ => None,
        };
        let parts = match content {
            Some(Content::Numbers(numbers)) => numbers.parts.as_slice(),
            _ => &[],
        };
        let good_since = failure.is_none().then(|| seconds(reading.sent));
        let fields = [
            ("ok", Some(Value::Bool(failure.is_none()))),
            ("error", Some(text(error))),
            ("latency", Some(number(reading.latency.as_secs_f64()))),
            ("status", reading.status.map(f64::from).map(number)),
            ("exit", reading.exit.map(f64::from).map(number)),
            ("text", reading.text.as_deref().map(text)),
            ("perf", perf(content)),
            ("exists", facts.map(|facts| Value::Bool(facts.exists))),
            (
                "mtime_age",
                facts.and_then(|facts| facts.mtime_age).map(number),
            ),
            ("value", content.and_then(Content::number).map(number)),
            ("json", json),
            ("rows", rows),
            (METRICS, metrics),
            // Remains after failed polls, for `age`.
            (GOOD_SINCE, good_since),
        ];
        let parts = parts
            .iter()
            .map(|(name, part)| (*name, Some(number(*part))));
        let fields = fields.into_iter().chain(parts);
        let values = fields.filter_map(|(field, value)| {
            // Every kind of value that is made here has a form that evaluation reads.
            let value: Box<dyn Val> = value?.try_into().ok()?;
            Some((field, value))
        });
        Self(values.collect())
    }
}

/// The performance data of a monitoring plugin, as a map.
fn perf(content: Option<&Content>) -> Option<Value> {
    let Some(Content::Perf(values)) = content else {
        return None;
    };
    let map: HashMap<Key, Value> = values
        .iter()
        .map(|(label, value)| (Key::String(Arc::new(label.clone())), Value::Float(*value)))
        .collect();
    Some(Value::Map(Map { map: Arc::new(map) }))
}

/// A moment in seconds: a double holds a year of them to a tenth of a microsecond.
fn seconds(time: BootTime) -> Value {
    Value::Float(time.since(BootTime(0)).as_secs_f64())
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
            ["value", "limit", "listeners"].map(|field| {
                let name = variable("s", field);
                scope.context().get_variable(&name).is_some()
            })
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
                let name = variable("s", field);
                scope
                    .context()
                    .get_variable(&name)
                    .map(|value| format!("{value:?}"))
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
