//! The names that expressions can use: the sources, the fields of each, and their types.

use crate::source::command::Reads;
use crate::source::system::Metric;
use crate::source::{Format, Kind, Source};
use cel::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of a value.
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
    /// Null.
    Null,
    /// Known only from a reading.
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
            Self::Unknown => "a value of unknown type",
        })
    }
}

/// The fields of a source, with their types. Sources with the same fields share them.
type Fields = Arc<[(&'static str, Type)]>;

/// The sources and derived numbers that expressions can name, and the fields of each.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `None` for a source with mistakes: its fields are unknown.
    pub(super) sources: BTreeMap<String, Option<Fields>>,
    /// The least and the greatest number of a field, by its variable, such as `cpu.value`.
    pub(super) ranges: BTreeMap<String, (f64, f64)>,
}

impl Environment {
    /// The environment of these sources.
    #[must_use]
    pub fn new<'a>(sources: impl IntoIterator<Item = &'a Source>) -> Self {
        let mut environment = Self::default();
        let mut different: Vec<Fields> = Vec::new();
        for source in sources {
            let fields = fields(&source.kind);
            let same = different.iter().find(|known| ***known == *fields);
            let fields = same.cloned().unwrap_or_else(|| {
                let fields = Fields::from(fields);
                different.push(Arc::clone(&fields));
                fields
            });
            if let Kind::System(metric) = &source.kind {
                let names = fields.iter().map(|(field, _)| *field);
                let percentages = names.filter(|field| is_percentage(metric, field));
                environment.ranges.extend(
                    percentages.map(|field| (format!("{}.{field}", source.name), (0.0, 100.0))),
                );
            }
            environment
                .sources
                .insert(source.name.clone(), Some(fields));
        }
        environment
    }

    /// Adds a derived number, which expressions read like a source with a number, and the least and the greatest
    /// number that it can be, if they are known.
    pub fn add_derived(&mut self, name: &str, range: Option<(f64, f64)>) {
        let fields = [
            ("ok", Type::Truth),
            ("error", Type::Text),
            ("age", Type::Number),
            ("value", Type::Number),
        ];
        self.sources.insert(name.to_owned(), Some(fields.into()));
        if let Some(range) = range {
            self.ranges.insert(format!("{name}.value"), range);
        }
    }

    /// Adds a source with mistakes: only its name is known.
    pub fn add_broken(&mut self, name: &str) {
        self.sources.entry(name.to_owned()).or_insert(None);
    }
}

/// Whether a field of a metric is a percentage from 0 to 100.
fn is_percentage(metric: &Metric, field: &str) -> bool {
    match metric {
        Metric::Cpu { .. } | Metric::Pressure { .. } => {
            !matches!(field, "ok" | "error" | "age" | "latency" | "cores")
        }
        Metric::Memory { .. } | Metric::Swap => field == "value",
        Metric::Disk { .. } => matches!(field, "value" | "inodes"),
        _ => false,
    }
}

/// The name of the wall clock in expressions.
pub const CLOCK: &str = "clock";

/// Its fields: seconds since 1970, and the hour (0 to 23), minute (0 to 59) and weekday (1 is Monday, 7 is Sunday)
/// of the configured time zone.
pub(super) const CLOCK_FIELDS: [&str; 4] = ["unix", "hour", "minute", "weekday"];

/// The method that reads a Prometheus scrape: `app.metrics('name')`. It is not a field.
pub(super) const METRICS: &str = "metrics";

/// The fields of a source, with their types.
fn fields(kind: &Kind) -> Vec<(&'static str, Type)> {
    let mut fields = vec![
        ("ok", Type::Truth),
        ("error", Type::Text),
        ("age", Type::Number),
        ("latency", Type::Number),
    ];
    // None if there is no body.
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
