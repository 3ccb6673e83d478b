//! `[source.NAME.KIND]`: the common keys, and one file for each kind.

mod command;
mod file;
mod http;
mod stream;
mod system;
mod tcp;

use super::SourceId;
use super::diagnostics::Diagnostic;
use super::settings::{Section, sources as settings};
use super::toml_reader::{Entry, Findings, Table};
use crate::expression::{CLOCK, Environment};
use crate::filters::debounce::{DebouncePolicy, Threshold};
use crate::source::poll_schedule::default_jitter;
use crate::source::{DEFAULT_MAX_BYTES, Format, Source};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

const KINDS: [&str; 6] = ["http", "file", "command", "stream", "tcp", "system"];

/// A source, and the place of its name.
pub(super) struct Named {
    pub(super) source: Source,
    pub(super) span: Range<usize>,
}

/// All of `[source]`.
#[derive(Default)]
pub(super) struct Sources {
    /// The correct ones, in the order of the files.
    pub(super) named: Vec<Named>,
    /// The names of the others, and their places.
    pub(super) broken: Vec<(String, Range<usize>)>,
}

impl Sources {
    /// The names that expressions can use.
    pub(super) fn environment(&self) -> Environment {
        let mut environment = Environment::new(self.named.iter().map(|named| &named.source));
        for (name, _) in &self.broken {
            environment.add_broken(name);
        }
        environment
    }

    /// The place of each name, whether its source is correct or not.
    pub(super) fn places(&self) -> BTreeMap<&str, Range<usize>> {
        let named = self.named.iter();
        let named = named.map(|named| (named.source.name.as_str(), named.span.clone()));
        let broken = self.broken.iter();
        named
            .chain(broken.map(|(name, span)| (name.as_str(), span.clone())))
            .collect()
    }

    /// The index of each source in `named`.
    pub(super) fn by_name(&self) -> BTreeMap<&str, SourceId> {
        let named = self.named.iter().enumerate();
        named
            .map(|(at, named)| (named.source.name.as_str(), SourceId(at)))
            .collect()
    }
}

pub(super) fn read(table: Option<Table<'_>>, findings: &mut Findings<'_>) -> Sources {
    let entries = table.map(|mut table| table.take_all()).unwrap_or_default();
    let mut sources = Sources {
        named: Vec::with_capacity(entries.len()),
        broken: Vec::new(),
    };
    for entry in entries {
        match source(entry, findings) {
            Some(named) => sources.named.push(named),
            None => sources
                .broken
                .push((entry.key.to_owned(), entry.key_span())),
        }
    }
    sources
}

/// `[source.http.app]` instead of `[source.app.http]`.
fn swapped(entry: &Entry<'_>) -> Option<Diagnostic> {
    let mut names = entry.child_tables();
    let name = names.next()?;
    if !KINDS.contains(&entry.key) || KINDS.contains(&name) {
        return None;
    }
    let kind = entry.key;
    let message = format!("[source.{kind}.{name}] has the kind before the name");
    let finding = Diagnostic::error(entry.key_span(), message);
    Some(finding.remedy(format!("write [source.{name}.{kind}]")))
}

fn source(entry: Entry<'_>, findings: &mut Findings<'_>) -> Option<Named> {
    let span = entry.key_span();
    check_name(entry.key, span.clone(), findings);
    if let Some(finding) = swapped(&entry) {
        findings.push(finding);
        return None;
    }
    let example = format!("[source.{}.http]", entry.key);
    let mut kinds = entry.table(findings, &example)?;
    let mut kinds = kinds.take_all();
    if kinds.len() > 1 {
        for extra in kinds.drain(1..) {
            findings.push(
                Diagnostic::error(
                    extra.key_span(),
                    format!("duplicate kind {} of source {}", extra.key, entry.key),
                )
                .remedy(format!("a source has one kind: {}", KINDS.join(", "))),
            );
        }
    }
    let Some(kind) = kinds.pop() else {
        findings.push(
            Diagnostic::error(span, format!("source {} has no kind", entry.key))
                .remedy(example)
                .consequence(),
        );
        return None;
    };
    if !KINDS.contains(&kind.key) {
        let remedy = if Format::parse(kind.key).is_some() {
            format!(
                "{} is a format: write format = \"{0}\" in a source of another kind",
                kind.key
            )
        } else {
            format!("the kinds are {}, as in {example}", KINDS.join(", "))
        };
        findings.push(
            Diagnostic::error(
                kind.key_span(),
                format!("unknown kind of source {}", kind.key),
            )
            .remedy(remedy),
        );
        return None;
    }
    let table = kind.table(findings, &example)?;
    let source = of_kind(entry.key, kind.key, table, findings)?;
    Some(Named { source, span })
}

/// A source's name is an identifier of the expression language.
pub(super) fn check_name(name: &str, span: Range<usize>, findings: &mut Findings<'_>) {
    // The reserved words of CEL's specification.
    const RESERVED: [&str; 22] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
        "has",
    ];
    if name == CLOCK {
        findings.push(Diagnostic::error(
            span,
            format!("invalid source name {name:?}: it is the clock of expressions"),
        ));
        return;
    }
    let mut characters = name.chars();
    let identifier = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !identifier {
        findings.push(
            Diagnostic::error(span, format!("invalid source name {name:?}"))
                .remedy("use letters, digits and underscores, and no digit first"),
        );
    } else if RESERVED.contains(&name) {
        findings.push(Diagnostic::error(
            span,
            format!("invalid source name {name}: it is a reserved word of the expression language"),
        ));
    }
}

/// The values of the keys of every kind.
struct Polling {
    interval: Duration,
    timeout: Duration,
    jitter: Duration,
    debounce: DebouncePolicy,
}

/// A number of polls, as an integer (in a row) or as in `"3 of 5"`.
fn count(table: &mut Table<'_>, key: &str, findings: &mut Findings<'_>) -> Threshold {
    let Some(entry) = table.take(key) else {
        return Threshold::ONE;
    };
    let (text, span) = match entry.integer_or_text(findings, "\"3 of 5\"") {
        Some(text) => text,
        None => return Threshold::ONE,
    };
    Threshold::parse(&text).unwrap_or_else(|| {
        findings.push(
            Diagnostic::error(span, format!("invalid {key} {text:?}: expected a number of polls"))
                .remedy("write 3 for three polls in a row, \"3 of 5\" for three of the last five; at most 100"),
        );
        Threshold::ONE
    })
}

fn polling(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Polling {
    let interval = table.duration(findings, "interval");
    let jitter = table
        .take("jitter")
        .and_then(|entry| entry.duration(findings, Duration::ZERO, interval / 2));
    Polling {
        interval,
        jitter: jitter.unwrap_or_else(|| default_jitter(interval)),
        timeout: table.duration(findings, "timeout"),
        debounce: DebouncePolicy {
            fail_after: count(table, "fail_after", findings),
            recover_after: count(table, "recover_after", findings),
        },
    }
}

fn format(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Format {
    let choices = Format::ALL.map(|format| (format.name(), format));
    table
        .take("format")
        .and_then(|entry| entry.choice(findings, &choices))
        .unwrap_or_default()
}

/// `text`: whether a reading keeps its text as it is.
fn raw_text(table: &mut Table<'_>, kind: &str, findings: &mut Findings<'_>) -> bool {
    if kind == "system" {
        return false;
    }
    table
        .choice(findings, "text", [false, true])
        .unwrap_or(false)
}

fn max_bytes(table: &mut Table<'_>, findings: &mut Findings<'_>) -> usize {
    table
        .integer(findings, "max_bytes")
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(DEFAULT_MAX_BYTES)
}

fn of_kind(
    name: &str,
    kind: &str,
    table: Table<'_>,
    findings: &mut Findings<'_>,
) -> Option<Source> {
    let section: &'static Section = match kind {
        "http" => &settings::HTTP,
        "file" => &settings::FILE,
        "command" => &settings::COMMAND,
        "stream" => &settings::STREAM,
        "tcp" => &settings::TCP,
        _ => &settings::SYSTEM,
    };
    let mut table = table.with(section);
    let Polling {
        interval,
        timeout,
        jitter,
        debounce,
    } = polling(&mut table, findings);
    let raw_text = raw_text(&mut table, kind, findings);
    let read = match kind {
        "http" => http::read(&mut table, findings),
        "file" => file::read(&mut table, findings),
        "command" => command::read(&mut table, findings),
        "stream" => stream::read(&mut table, findings),
        "tcp" => tcp::read(&mut table, findings),
        _ => system::read(&mut table, findings),
    };
    table.close(findings);
    Some(Source {
        name: name.to_owned(),
        interval,
        timeout,
        jitter,
        debounce,
        raw_text,
        kind: read?,
    })
}

/// An absolute path, if the key is present.
fn absolute_path(
    table: &mut Table<'_>,
    key: &str,
    example: &str,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let path = table.take(key)?.text(findings, example)?;
    absolute(&path.value, path.span, key, findings);
    Some(path.value.into())
}

/// The absolute path of a file that others must not read.
fn secret_path(
    table: &mut Table<'_>,
    key: &str,
    example: &str,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let span = table.value_span_of(key);
    let path = absolute_path(table, key, example, findings)?;
    findings.secrets.push((span?, path.clone()));
    Some(path)
}

/// `unix_socket`: the path of a socket to connect to, if the key is present.
fn unix_socket(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<PathBuf> {
    let path = table
        .take("unix_socket")?
        .text(findings, "\"/run/app.sock\"")?;
    // The kernel's sockaddr_un has 108 bytes, the last of which is NUL.
    if path.value.len() > 107 || path.value.contains('\0') {
        findings.push(Diagnostic::error(
            path.span.clone(),
            "invalid unix_socket: expected a path of at most 107 bytes",
        ));
    }
    absolute(&path.value, path.span, "unix_socket", findings);
    Some(path.value.into())
}

/// The collector's working directory and PATH depend on its launcher.
fn absolute(path: &str, span: Range<usize>, subject: &str, findings: &mut Findings<'_>) {
    if !path.starts_with('/') {
        findings.push(
            Diagnostic::error(
                span,
                format!("invalid {subject} {path:?}: it must be absolute"),
            )
            .remedy("write the path from the root, as in /usr/local/bin/depth"),
        );
    }
}
