//! The configuration: what the operator wants, parsed once into types. `agentcheck check` and
//! `agentcheck collect` load it by the same [`load`].

mod derived;
pub(crate) mod diagnostics;
mod diff;
mod files;
mod merge;
mod metrics;
mod page;
mod permissions;
mod rules;
mod service;
mod services;
mod sources;
mod staleness;
mod toml_reader;
mod weight;

pub use diagnostics::Report;
pub use diff::Change;
pub use files::Files;
pub use service::{
    Capacity, ExpiryAction, MaxconnLimit, OnFailure, Restarts, Restore, Rule, Service, Weight,
};

use crate::expression::{Environment, Expression};
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

/// The longest time that any key takes.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A configuration that is right as far as can be known without polling.
#[derive(Clone, Debug)]
pub struct Config {
    /// The sources, in the order of the files.
    pub sources: Vec<Source>,
    /// The derived numbers, in the order of the files.
    pub derived: Vec<Derived>,
    /// The services, in the order of the files.
    pub services: Vec<Service>,
    /// A file that, while it is there, has all services in maintenance.
    pub maintenance_file: Option<PathBuf>,
    /// The file of metrics, where one is wanted.
    pub metrics: Option<Metrics>,
    /// How often the collector renews the web page `page.html` in the state directory; none for no page.
    pub page: Option<Duration>,
    /// The files that it was read from: the one that was named, then the drop-ins beside it.
    pub files: Vec<PathBuf>,
}

/// `[metrics]`: a file for the textfile collector of Prometheus's `node_exporter`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Absolute; its name ends in `.prom`.
    pub textfile: PathBuf,
    /// How often it is written: 1 s to an hour.
    pub interval: Duration,
}

impl Config {
    /// The names that expressions know, by index: the sources, then the derived numbers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let sources = self.sources.iter().map(|source| source.name.as_str());
        sources.chain(self.derived.iter().map(|derived| derived.name.as_str()))
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        self.services.iter().find(|service| service.name == *name)
    }

    /// What expressions may name.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::new(&self.sources);
        for derived in &self.derived {
            environment.add_derived(&derived.name);
        }
        environment
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
    pub input: DerivedInput,
    /// Indices into [`Config::sources`] of the sources that it is derived from.
    pub sources: Vec<usize>,
}

/// What a number is derived from, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum DerivedInput {
    /// A number of readings, with a memory.
    Number(Expression, Aggregation),
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
    remedy: Option<String>,
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
            remedy: None,
        }
    }

    /// About the whole of `expression`.
    #[must_use]
    pub fn about(expression: &Expression, message: &str) -> Self {
        Self::within(expression.place(), 0..expression.text().len(), message)
    }

    /// With what would be right.
    #[must_use]
    pub fn remedy(mut self, remedy: String) -> Self {
        self.remedy = Some(remedy);
        self
    }

    /// What it says, in one line.
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

/// Findings as text, about places in `files`.
#[must_use]
pub fn report(files: &Files, found: &[Finding]) -> Report {
    let mut findings = Findings::new(files);
    for finding in found {
        findings.push(finding.diagnostic(&findings, Diagnostic::error));
    }
    Report::new(files, findings.all)
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It has errors.
    Wrong(Report),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(file, error) => {
                writeln!(f, "{}: error: cannot be read: {error}", file.display())
            }
            Self::Wrong(report) => report.fmt(f),
        }
    }
}

/// Reads a configuration file, and `conf.d/*.toml` beside it; gives warnings.
///
/// # Errors
/// Where the file cannot be read, or every mistake in it and the drop-ins, in the order of the files. That
/// somebody else may write to one of them is a mistake.
pub fn load(file: &Path) -> Result<(Config, Report), LoadError> {
    load_with(file, |_| Vec::new())
}

/// The same, with what `look` finds in a configuration that can be used as further warnings.
///
/// # Errors
/// As [`load`].
pub fn load_with(
    file: &Path,
    look: impl FnOnce(&Config) -> Vec<Finding>,
) -> Result<(Config, Report), LoadError> {
    let files = Files::read(file)?;
    let (config, mut findings) = understand(&files);
    for (place, file) in std::mem::take(&mut findings.secrets) {
        if let Some(exposed) = permissions::exposed(&file) {
            findings.push(Diagnostic::warning(place, exposed).remedy(
                "it is a secret: let it belong to the user that the collector runs as, or to a group of \
                 that user alone",
            ));
        }
    }
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    if files.wrong.is_empty() && !findings.all.iter().any(is_error) {
        for finding in look(&config) {
            findings.push(finding.diagnostic(&findings, Diagnostic::warning));
        }
    }
    judge(config, findings).map_err(LoadError::Wrong)
}

/// The text of a configuration, to show places in it.
///
/// # Errors
/// Where the file that is named cannot be read, or is not UTF-8.
pub fn read_files(file: &Path) -> Result<Files, LoadError> {
    Files::read(file)
}

/// Reads a configuration from `text`; `file` is what findings name. Nothing is looked at but the text.
///
/// # Errors
/// Every mistake in it, in the order of the file.
pub fn parse(file: &Path, text: &str) -> Result<(Config, Report), Report> {
    let files = Files::one(file, text);
    let (config, findings) = understand(&files);
    judge(config, findings)
}

/// What the files say, and what is to be said of that.
fn understand(files: &Files) -> (Config, Findings<'_>) {
    let mut findings = Findings::new(files);
    let (tree, clean) = merge::parse(&mut findings);
    let config = read(&tree, &mut findings);
    findings.drop_consequences(!clean || !files.wrong.is_empty());
    (config, findings)
}

fn judge(mut config: Config, findings: Findings<'_>) -> Result<(Config, Report), Report> {
    let report = Report::new(findings.files, findings.all);
    if report.errors > 0 {
        return Err(report);
    }
    config.files = findings.files.paths();
    Ok((config, report))
}

fn read(tree: &toml::de::DeTable<'_>, findings: &mut Findings<'_>) -> Config {
    let mut top = Table::new(tree, 0..0);
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
    let page = top
        .take("page")
        .and_then(|entry| page::read(entry, findings));
    top.finish(
        findings,
        &[
            "source",
            "derive",
            "service",
            "maintenance_file",
            "metrics",
            "page",
        ],
    );
    Config {
        files: Vec::new(),
        maintenance_file,
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

#[cfg(test)]
mod tests;
