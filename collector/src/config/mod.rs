//! The configuration, parsed once into types. `agentcheck check` and `agentcheck collect` load it by the same
//! [`load`]. [`settings`] is the table of all keys.

mod derived;
pub(crate) mod diagnostics;
mod diff;
mod files;
mod ids;
mod masking;
mod merge;
mod metrics;
mod page;
mod permissions;
mod rules;
mod service;
mod services;
mod settings;
mod sources;
mod staleness;
mod toml_reader;
mod weight;
mod work;

pub use diagnostics::Report;
pub use diff::Change;
pub use files::{Files, drop_ins_of};
pub use ids::{DerivedId, InputId, ServiceId, SourceId};
pub use service::{
    Capacity, ExpiryAction, MaxconnLimit, OnFailure, Restarts, Restore, Rule, Service, Weight,
};

use crate::expression::{Environment, Expression, Zone};
use crate::filters::derive::Aggregation;
use crate::reading::prometheus::Selector;
use crate::source::Source;
use agentcheck_common::ServiceName;
use diagnostics::{Diagnostic, Severity};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_reader::{Findings, Table};

/// A correct configuration, as far as it can be checked without polling.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sources, in the order of the files.
    pub sources: Vec<Source>,
    /// The derived numbers, each after those that it reads; otherwise in the order of the files.
    pub derived: Vec<Derived>,
    /// The services, in the order of the files.
    pub services: Vec<Service>,
    /// While this file exists, all services are in maintenance.
    pub maintenance_file: Option<PathBuf>,
    /// The time zone of `clock` in expressions.
    pub timezone: Zone,
    /// The metrics file, if one is configured.
    pub metrics: Option<Metrics>,
    /// How often the collector renews the web page `page.html` in the state directory; none for no page.
    pub page: Option<Duration>,
    /// The files that were read: the main file, then the drop-ins.
    pub files: Vec<PathBuf>,
}

/// `[metrics]`: a file for the textfile collector of Prometheus' `node_exporter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Absolute; its name ends in `.prom`.
    pub textfile: PathBuf,
    /// The time between two writes: 1 s to 1 hour.
    pub interval: Duration,
}

impl Config {
    /// The names that expressions can use, by index: the sources, then the derived numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let sources = self.sources.iter().map(|source| source.name.as_str());
        sources.chain(self.derived.iter().map(|derived| derived.name.as_str()))
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.services.iter().find(|service| service.name == *name)
    }

    /// The names and fields that expressions can use.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::new(&self.sources);
        for derived in &self.derived {
            environment.add_derived(&derived.name, None);
        }
        environment
    }

    /// The source or derived number with this id.
    #[must_use]
    pub fn input(&self, id: InputId) -> Option<Input<'_>> {
        match id.source(self.sources.len()) {
            Ok(id) => self.sources.get(id.0).map(Input::Source),
            Err(id) => self.derived.get(id.0).map(Input::Derived),
        }
    }

    /// The sources of an input: the source itself, or those that the derived number needs.
    #[must_use]
    pub fn sources_behind(&self, input: InputId) -> Vec<SourceId> {
        match input.source(self.sources.len()) {
            Ok(source) => vec![source],
            Err(id) => {
                let derived = self.derived.get(id.0);
                derived.map_or_else(Vec::new, |derived| derived.sources.clone())
            }
        }
    }

    /// The sources that a service needs, each once: those that it reads, and those that its derived numbers read.
    #[must_use]
    pub fn polled_for(&self, service: &Service) -> Vec<SourceId> {
        let mut polled = Vec::with_capacity(service.inputs.len());
        for input in &service.inputs {
            match input.source(self.sources.len()) {
                Ok(source) => polled.push(source),
                Err(_) => polled.extend(self.sources_behind(*input)),
            }
        }
        polled.sort_unstable();
        polled.dedup();
        polled
    }
}

/// What expressions read by one name.
#[derive(Clone, Copy)]
pub enum Input<'c> {
    /// A source.
    Source(&'c Source),
    /// A derived number.
    Derived(&'c Derived),
}

/// A number that is derived from readings, with a memory or without.
#[derive(Clone, Debug)]
pub struct Derived {
    /// Its name; expressions read it like a source.
    pub name: String,
    /// The input and the aggregation.
    pub input: DerivedInput,
    /// The sources that it needs, directly or through other derived numbers.
    pub sources: Vec<SourceId>,
}

/// The input of a derived number, and its aggregation.
#[derive(Clone, Debug, PartialEq)]
pub enum DerivedInput {
    /// A number of readings; without an aggregation it is a named expression.
    Number(Expression, Option<Aggregation>),
    /// The increase per second, over the window, of all counters that the selectors match in the one source.
    Rate(Vec<Selector>, Duration),
    /// The percentile (0 to 100) of the values that a histogram counted in the window; the selectors match its
    /// buckets in the one source.
    Histogram(Vec<Selector>, f64, Duration),
}

/// A finding about an expression that needs more than the text of the configuration.
#[derive(Clone, Debug)]
pub struct Finding {
    literal: std::ops::Range<usize>,
    part: std::ops::Range<usize>,
    message: String,
    remedy: Option<String>,
}

impl Finding {
    /// A finding about `part` of the expression that was read from `literal`.
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
            remedy: None,
        }
    }

    /// A finding about the whole of `expression`.
    #[must_use]
    pub fn about(expression: &Expression, message: &str) -> Self {
        Self::within(expression.place(), 0..expression.text().len(), message)
    }

    /// Adds the correct form.
    #[must_use]
    pub fn remedy(mut self, remedy: String) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// The message, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    fn diagnostic(
        &self,
        findings: &Findings<'_>,
        severity: fn(std::ops::Range<usize>, String) -> Diagnostic,
    ) -> Diagnostic {
        let span = findings.within_string(self.literal.clone(), self.part.clone());
        Diagnostic {
            remedy: self.remedy.clone(),
            ..severity(span, self.message.clone())
        }
    }
}

/// Findings as text, with places in `files`.
#[must_use]
pub fn report(files: &Files, found: &[Finding]) -> Report {
    let mut findings = Findings::new(files);
    for finding in found {
        findings.push(finding.diagnostic(&findings, Diagnostic::error));
    }
    Report::new(files, findings.all)
}

/// Why a configuration is refused.
#[derive(Debug)]
pub enum LoadError {
    /// The main file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The configuration has errors.
    Wrong(Report),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => {
                writeln!(f, "{}: error: cannot read this: {error}", file.display())
            }
            Self::Wrong(report) => report.fmt(f),
        }
    }
}

/// Reads a configuration file, and `conf.d/*.toml` beside it; returns warnings, too.
///
/// # Errors
/// The file cannot be read, or all mistakes in it and the drop-ins, in the order of the files. A file that another
/// user can write to is a mistake.
pub fn load(file: &Path) -> Result<(Config, Report), LoadError> {
    load_with(file, |_| Vec::new())
}

/// [`load`], with the warnings that `inspect` finds in a correct configuration.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    file: &Path,
    inspect: impl FnOnce(&Config) -> Vec<Finding>,
) -> Result<(Config, Report), LoadError> {
    let files = Files::read(file)?;
    let (config, mut findings) = parse_files(&files);
    for (place, file) in std::mem::take(&mut findings.secrets) {
        if let Some(exposed) = permissions::exposed(&file) {
            findings.push(Diagnostic::warning(place, exposed).remedy(
                "this file is a secret: its owner has to be the user of the collector, or its group one \
                 with no other member",
            ));
        }
    }
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    if files.wrong.is_empty() && !findings.all.iter().any(is_error) {
        for finding in inspect(&config) {
            findings.push(finding.diagnostic(&findings, Diagnostic::warning));
        }
    }
    accept(config, findings).map_err(LoadError::Wrong)
}

/// Parses the configuration `text`; findings name it `file`. This reads no file.
///
/// # Errors
/// All mistakes, in the order of the text.
pub fn parse(file: &Path, text: &str) -> Result<(Config, Report), Report> {
    let files = Files::one(file, text);
    let (config, findings) = parse_files(&files);
    accept(config, findings)
}

/// Parses files; returns the configuration with the findings.
fn parse_files(files: &Files) -> (Config, Findings<'_>) {
    let mut findings = Findings::new(files);
    let (tree, clean) = merge::parse(&mut findings);
    let config = read(&tree, &mut findings);
    findings.drop_consequences(!clean || !files.wrong.is_empty());
    (config, findings)
}

/// The configuration, unless it has errors.
fn accept(mut config: Config, findings: Findings<'_>) -> Result<(Config, Report), Report> {
    let report = Report::new(findings.files, findings.all);
    if report.errors > 0 {
        return Err(report);
    }
    config.files = findings.files.paths();
    Ok((config, report))
}

fn read(tree: &toml::de::DeTable<'_>, findings: &mut Findings<'_>) -> Config {
    let mut top = Table::new(tree, 0..0, Some(&settings::TOP), false);
    let sources = top
        .take("source")
        .and_then(|entry| entry.table(findings, "[source.app.http]"));
    let sources = sources::read(sources, findings);
    let derived = top
        .take("derive")
        .and_then(|entry| entry.table(findings, "[derive.load]"));
    let derived = derived::read(derived, &sources, findings);
    let services = top.take("service");
    let services = services.and_then(|entry| entry.table(findings, "[service.web]"));
    let services = services::read(services, &sources, &derived, findings);
    let maintenance_file = services::maintenance_file(&mut top, findings);
    let timezone = timezone(&mut top, findings);
    let metrics = top
        .take("metrics")
        .and_then(|entry| metrics::read(entry, findings));
    let page = top
        .take("page")
        .and_then(|entry| page::read(entry, findings));
    top.close(findings);
    Config {
        files: Vec::new(),
        maintenance_file,
        timezone,
        metrics,
        page,
        derived: derived.0.into_iter().map(|named| named.derived).collect(),
        sources: sources
            .named
            .into_iter()
            .map(|named| named.source)
            .collect(),
        services,
    }
}

/// The value of `timezone`.
fn timezone(top: &mut Table<'_>, findings: &mut Findings<'_>) -> Zone {
    let Some(entry) = top.take("timezone") else {
        return Zone::default();
    };
    let Some(text) = entry.string(findings) else {
        return Zone::default();
    };
    Zone::load(&text.value).unwrap_or_else(|wrong| {
        let message = format!("{}: {wrong}", entry.invalid(findings));
        findings.push(
            Diagnostic::error(text.span, message).remedy("write \"UTC\" or \"Europe/Berlin\""),
        );
        Zone::default()
    })
}

#[cfg(test)]
mod tests;
