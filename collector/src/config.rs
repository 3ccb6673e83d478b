//! The configuration: what the operator wants, parsed once into types. `agentcheck check` and
//! `agentcheck collect` load it by the same [`load`].

mod derived;
pub(crate) mod diagnostic;
mod metrics;
mod raw;
mod rules;
mod service;
mod services;
mod silence;
mod sources;
mod weighing;

pub use diagnostic::Report;
pub use service::{
    Administration, Capacity, Describe, Limit, OnFailure, Release, Restarts, Rule, Service, Stale,
    State, Weight,
};

use crate::derive::Memory;
use crate::expression::{Expression, Vocabulary};
use crate::prometheus::Selector;
use crate::source::Source;
use diagnostic::{Diagnostic, Place};
use raw::{Findings, Table};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A configuration that is right as far as can be known without polling.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sources, in the order of the file.
    pub sources: Vec<Source>,
    /// The derived numbers, in the order of the file.
    pub derived: Vec<Derived>,
    /// The services, in the order of the file.
    pub services: Vec<Service>,
    /// A file that, while it is there, has all services in maintenance.
    pub maintenance_file: Option<PathBuf>,
    /// The file of metrics, where one is wanted.
    pub metrics: Option<Metrics>,
}

/// `[metrics]`: a file for the textfile collector of Prometheus's `node_exporter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Absolute; its name ends in `.prom`.
    pub textfile: PathBuf,
    /// How often it is written: 1 s to an hour.
    pub every: Duration,
}

impl Config {
    /// The names that expressions know, by index: the sources, then the derived numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let sources = self.sources.iter().map(|source| source.name.as_str());
        sources.chain(self.derived.iter().map(|derived| derived.name.as_str()))
    }

    /// What expressions may name.
    #[must_use]
    pub fn vocabulary(&self) -> Vocabulary {
        let mut vocabulary = Vocabulary::new(&self.sources);
        for derived in &self.derived {
            vocabulary.add_derived(&derived.name);
        }
        vocabulary
    }

    /// The indices of the sources that are polled for a service, each once: those that it uses, and those
    /// behind the derived numbers that it uses.
    #[must_use]
    pub fn polled_for(&self, service: &Service) -> Vec<usize> {
        let mut polled = std::collections::BTreeSet::new();
        for index in &service.sources {
            match index.checked_sub(self.sources.len()) {
                None => polled.extend([*index]),
                Some(at) => {
                    let behind = self.derived.get(at).map(|derived| &derived.sources);
                    polled.extend(behind.into_iter().flatten());
                }
            }
        }
        polled.into_iter().collect()
    }
}

/// One number that is derived from readings and remembers.
#[derive(Clone, Debug)]
pub struct Derived {
    /// Its name; expressions see it like a source.
    pub name: String,
    /// What it is derived from, and how.
    pub of: Of,
    /// Indices into [`Config::sources`] of the sources that it is derived from.
    pub sources: Vec<usize>,
}

/// What a number is derived from, and how.
#[derive(Clone, Debug)]
pub enum Of {
    /// A number of readings, with a memory.
    Number(Expression, Memory),
    /// The rise a second, over the window, of all counters that the selectors take from the one source,
    /// together.
    Rate(Vec<Selector>, Duration),
    /// The percentile (0 to 100) of what a histogram has counted in the window; the selectors are of its
    /// buckets, in the one source.
    Histogram(Vec<Selector>, f64, Duration),
}

/// Something about an expression that only a reading can tell.
#[derive(Clone, Debug)]
pub struct Finding {
    literal: std::ops::Range<usize>,
    part: std::ops::Range<usize>,
    message: String,
}

impl Finding {
    /// About `part` of the expression that was read from `literal`.
    #[must_use]
    pub fn within(
        literal: std::ops::Range<usize>,
        part: std::ops::Range<usize>,
        message: &str,
    ) -> Self {
        Self {
            literal,
            part,
            message: message.to_owned(),
        }
    }
}

/// Findings as text, over `text`, the content of `file`.
#[must_use]
pub fn report(file: &Path, text: &str, found: &[Finding]) -> Report {
    let mut findings = Findings {
        text,
        all: Vec::new(),
    };
    for finding in found {
        let span = findings.within_string(finding.literal.clone(), finding.part.clone());
        findings.push(Diagnostic::error(span, finding.message.clone()));
    }
    Report::new(file, text, findings.all)
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum NotLoaded {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It has errors.
    Wrong(Report),
}

impl fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => {
                writeln!(f, "{}: error: cannot be read: {error}", file.display())
            }
            Self::Wrong(report) => report.fmt(f),
        }
    }
}

/// Reads a configuration file; gives warnings beside it.
///
/// # Errors
/// Where the file cannot be read, or every mistake in it, in the order of the file.
pub fn load(file: &Path) -> Result<(Config, Report), NotLoaded> {
    let text = read_file(file)?;
    parse(file, &text).map_err(NotLoaded::Wrong)
}

/// The text of a configuration file.
///
/// # Errors
/// Where it cannot be read, or is not UTF-8.
pub fn read_file(file: &Path) -> Result<String, NotLoaded> {
    let unreadable = |error| NotLoaded::Unreadable(file.to_owned(), error);
    let bytes = std::fs::read(file).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it is not UTF-8 from byte {at} on"),
        ))
    })
}

/// Reads a configuration from `text`; `file` is what findings name.
///
/// # Errors
/// Every mistake in it, in the order of the file.
pub fn parse(file: &Path, text: &str) -> Result<(Config, Report), Report> {
    let (tree, syntax) = toml::de::DeTable::parse_recoverable(text);
    let mut findings = Findings {
        text,
        all: Vec::new(),
    };
    push_syntax(&syntax, &mut findings);
    let config = read(&tree, &mut findings);
    findings.drop_consequences(!syntax.is_empty());
    let report = Report::new(file, text, findings.all);
    if report.errors == 0 {
        Ok((config, report))
    } else {
        Err(report)
    }
}

/// The parser's errors. One table too many repeats all its keys: that is one mistake, not many.
fn push_syntax(errors: &[toml::de::Error], findings: &mut Findings<'_>) {
    let mut repeated: Option<std::ops::Range<usize>> = None;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        if error.message() != "duplicate key" {
            findings.push(Diagnostic::error(span, error.message()));
            continue;
        }
        if repeated
            .as_ref()
            .is_some_and(|table| table.contains(&span.start))
        {
            continue;
        }
        let key = findings.text.get(span.clone()).unwrap_or_default();
        let message = format!("there is a {key} already");
        let rest = findings.text.get(span.end..).unwrap_or_default();
        if Place::of(findings.text, span.start).text.starts_with('[') {
            let length = rest.find("\n[").unwrap_or(rest.len());
            repeated = Some(span.end..span.end + length);
        }
        findings
            .push(Diagnostic::error(span, message).remedy("two of one kind cannot have one name"));
    }
}

fn read(tree: &toml::Spanned<toml::de::DeTable<'_>>, findings: &mut Findings<'_>) -> Config {
    let mut top = Table::new(tree.get_ref(), 0..0);
    let sources = top
        .take("source")
        .and_then(|entry| entry.table(findings, "[source.app.http]"));
    let sources = sources::read(sources, findings);
    let derived = top
        .take("derive")
        .and_then(|entry| entry.table(findings, "[derive.load]"));
    let derived = derived::read(derived, &sources, findings);
    let services = top.take("service");
    if services.is_none() {
        findings.push(
            Diagnostic::error(0..0, "there is no service")
                .remedy("add a table [service.NAME]")
                .consequence(),
        );
    }
    let services = services.and_then(|entry| entry.table(findings, "[service.web]"));
    let services = services::read(services, &sources, &derived, findings);
    let maintenance_file = services::maintenance_file(&mut top, findings);
    let metrics = top
        .take("metrics")
        .and_then(|entry| metrics::read(entry, findings));
    top.finish(
        findings,
        &["source", "derive", "service", "maintenance_file", "metrics"],
        &["include"],
    );
    Config {
        maintenance_file,
        metrics,
        derived: derived.0.into_iter().map(|named| named.derived).collect(),
        sources: sources
            .named
            .into_iter()
            .map(|named| named.source)
            .collect(),
        services,
    }
}

#[cfg(test)]
mod tests;
