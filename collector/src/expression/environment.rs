//! What expressions may name: the sources, the fields of each, and what is known of their types.

use crate::source::command::Reads;
use crate::source::{Format, Kind, Source};
use cel::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What is known of a value's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Truth,
    /// A double.
    Number,
    /// Text.
    Text,
    /// A list.
    List,
    /// A map.
    Map,
    /// null
    Null,
    /// Only a reading will tell.
    Unknown,
}

impl Type {
    /// Whether a value known to be of this type may be of type `other`.
    #[must_use]
    pub fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Unknown || other == Self::Unknown
    }

    pub(super) fn join(self, other: Self) -> Self {
        if self == other { self } else { Self::Unknown }
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Truth,
            Value::Int(_) | Value::UInt(_) | Value::Float(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::List(_) => Self::List,
            Value::Map(_) => Self::Map,
            Value::Null => Self::Null,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truth => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Null => "null",
            Self::Unknown => "something unknown",
        })
    }
}

/// The sources that expressions may name, and the fields of each.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `None` where a source is there but could not be read: nothing is said of its fields then.
    pub(super) sources: BTreeMap<String, Option<Vec<(&'static str, Type)>>>,
}

impl Environment {
    /// The vocabulary of these sources.
    #[must_use]
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Self {
        let sources = sources
            .into_iter()
            .map(|source| (source.name.clone(), Some(fields(&source.kind))))
            .collect();
        Self { sources }
    }

    /// Adds a derived number, which is like a source that gives a number.
    pub fn add_derived(&mut self, name: &str) {
        let fields = vec![
            ("ok", Type::Truth),
            ("error", Type::Text),
            ("age", Type::Number),
            ("value", Type::Number),
        ];
        self.sources.insert(name.to_owned(), Some(fields));
    }

    /// Adds a source of which nothing but its name is known, because its own part of the configuration
    /// is wrong.
    pub fn add_broken(&mut self, name: &str) {
        self.sources.entry(name.to_owned()).or_insert(None);
    }
}

/// What a Prometheus scrape is called with: `app.metrics('name')`. Not a field: it is never seen by itself.
pub(super) const METRICS: &str = "metrics";

/// The fields of a source, with what is known of their types.
fn fields(kind: &Kind) -> Vec<(&'static str, Type)> {
    let mut fields = vec![
        ("ok", Type::Truth),
        ("error", Type::Text),
        ("age", Type::Number),
        ("latency", Type::Number),
    ];
    // How a body is read; none where there is no body.
    let format = match kind {
        Kind::Http(http) => {
            fields.push(("status", Type::Number));
            Some(http.format)
        }
        Kind::Command(command) => {
            fields.push(("exit", Type::Number));
            if command.reads == Reads::Nagios {
                fields.extend([("text", Type::Text), ("perf", Type::Map)]);
            }
            command.reads.format()
        }
        Kind::File(file) => {
            fields.extend([("exists", Type::Truth), ("mtime_age", Type::Number)]);
            file.format
        }
        Kind::Tcp(_) | Kind::Stream(_) => kind.format(),
        Kind::System(metric) => {
            let parts = metric.parts().iter();
            fields.extend(parts.map(|part| (*part, Type::Number)));
            fields.push(("value", Type::Number));
            None
        }
    };
    if format.is_some() {
        fields.push(("text", Type::Text));
    }
    match format {
        Some(Format::Json) => fields.push(("json", Type::Unknown)),
        Some(Format::Csv) => fields.push(("rows", Type::Unknown)),
        Some(Format::Number) => fields.push(("value", Type::Number)),
        Some(Format::Prometheus) => fields.push((METRICS, Type::Unknown)),
        Some(Format::Text) | None => {}
    }
    fields
}
