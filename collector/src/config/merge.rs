//! The files of a configuration as one tree. Each file is parsed by itself; the spans are offsets in the text of all
//! files. No key is defined twice.

use super::diagnostics::Diagnostic;
use super::toml_reader::Findings;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// The tables whose entries can be in any file, and the name of an entry.
const SHARED: [(&str, &str); 3] = [
    ("source", "source"),
    ("derive", "derived number"),
    ("service", "service"),
];

/// The tree of all files, and whether no file has a syntax error.
pub(super) fn parse<'t>(findings: &mut Findings<'t>) -> (DeTable<'t>, bool) {
    let mut whole = DeTable::new();
    let mut clean = true;
    let files = findings.files;
    for (_, range) in files.each() {
        let text = files.text().get(range.clone()).unwrap_or_default();
        let (tree, syntax) = DeTable::parse_recoverable(text);
        clean &= syntax.is_empty();
        push_syntax(&syntax, range, findings);
        add(
            &mut whole,
            shifted(tree.into_inner(), range.start),
            findings,
        );
    }
    (whole, clean)
}

/// Adds the top level of a file.
fn add<'t>(whole: &mut DeTable<'t>, file: DeTable<'t>, findings: &mut Findings<'_>) {
    for (key, value) in file {
        let name: &str = key.get_ref().as_ref();
        let shared = SHARED.iter().find(|(table, _)| *table == name);
        let there = whole.get_mut(name).map(Spanned::get_mut);
        let (place, content) = (value.span(), value.into_inner());
        match (shared, there, content) {
            (Some((_, kind)), Some(DeValue::Table(there)), DeValue::Table(more)) => {
                for (key, value) in more {
                    add_new(there, kind, key, value, findings);
                }
            }
            (_, _, content) => add_new(whole, "", key, Spanned::new(place, content), findings),
        }
    }
}

/// Adds a key that no earlier file has.
fn add_new<'t>(
    table: &mut DeTable<'t>,
    kind: &str,
    key: Spanned<std::borrow::Cow<'t, str>>,
    value: Spanned<DeValue<'t>>,
    findings: &mut Findings<'_>,
) {
    let name: &str = key.get_ref().as_ref();
    match table.get_key_value(name) {
        None => {
            table.insert(key, value);
        }
        Some((before, _)) => {
            let start = key.span().start;
            let first = findings.place(before.span().start, start);
            findings.push(duplicate(kind, name, &first, key.span()));
        }
    }
}

fn duplicate(kind: &str, name: &str, first: &str, span: Range<usize>) -> Diagnostic {
    let kind = if kind.is_empty() { "key" } else { kind };
    let message = format!("duplicate {kind} {name:?}, first defined {first}");
    Diagnostic::error(span, message)
}

/// The parser's errors. A table that exists already repeats all its keys: that is one mistake.
fn push_syntax(errors: &[toml::de::Error], file: &Range<usize>, findings: &mut Findings<'_>) {
    let files = findings.files;
    let text = files.text().get(..file.end).unwrap_or_default();
    let mut repeated: Option<Range<usize>> = None;
    let mut last_line = None;
    let mut searched = 0;
    for error in errors {
        let span = moved(error.span().unwrap_or(0..0), file.start);
        let position = files.position(span.start);
        if error.message() != "duplicate key" {
            // After the first error of a line, the parser guesses.
            if last_line.replace(position.line) == Some(position.line) {
                continue;
            }
            findings.push(syntax(
                position.text,
                position.offset,
                span,
                error.message(),
            ));
            continue;
        }
        if repeated
            .as_ref()
            .is_some_and(|table| table.contains(&span.start))
        {
            continue;
        }
        let key = text
            .get(span.clone())
            .unwrap_or_default()
            .trim_matches(['"', '\'']);
        let rest = text.get(span.end..).unwrap_or_default();
        let header = position.text.trim_start();
        let mut first = None;
        if header.starts_with('[') {
            let length = rest.find("\n[").unwrap_or(rest.len());
            repeated = Some(span.end..span.end + length);
            // Each search reads the file: a file of duplicates only must not take long.
            searched += 1;
            first = (searched <= 100)
                .then(|| line_of(text.get(file.start..).unwrap_or_default(), header))
                .flatten();
        }
        let path: Vec<&str> = header.trim_matches(['[', ']', ' ']).split('.').collect();
        let kind = match path.as_slice() {
            [table, _, ..] => SHARED.iter().find(|(name, _)| name == table),
            _ => None,
        };
        let kind = kind.map_or("key", |(_, kind)| *kind);
        let message = match first {
            Some(line) if line < position.line => {
                format!("duplicate {kind} {key:?}, first defined at line {line}")
            }
            _ => format!("duplicate {kind} {key:?}"),
        };
        findings.push(Diagnostic::error(span, message));
    }
}

/// The number of the first line that is `header`.
fn line_of(text: &str, header: &str) -> Option<usize> {
    text.lines()
        .position(|line| line.trim() == header.trim())
        .map(|at| at + 1)
}

/// A syntax error, with the usual cause if it is one.
fn syntax(line: &str, offset: usize, span: Range<usize>, message: &str) -> Diagnostic {
    let error = Diagnostic::error(span, message);
    let value = line.split_once('=').map(|(_, value)| value.trim());
    let before = line.get(..offset).unwrap_or_default();
    match value {
        // weight = "app.json["x"]"
        Some(value) if value.starts_with('"') && before.matches('"').count() >= 2 => {
            let inner = value.trim_matches('"');
            if inner.contains('\'') {
                error.remedy("inside of \"...\", write \\\" for a quote")
            } else {
                error.remedy(format!("a quote ends the string: write '{inner}'"))
            }
        }
        Some(value) if value.starts_with('\'') && before.matches('\'').count() >= 2 => {
            let inner = value.trim_matches('\'');
            error.remedy(format!(
                "a quote ends the string: write \"{}\"",
                inner.replace('"', "'")
            ))
        }
        Some(value)
            if message.contains("quoted")
                || value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') =>
        {
            let value = value.split('#').next().unwrap_or_default().trim();
            error.remedy(format!("write the value in quotes: '{value}'"))
        }
        None if line.contains(':') && !line.trim_start().starts_with('[') => {
            error.remedy("this is TOML: write KEY = VALUE")
        }
        _ => error,
    }
}

fn moved(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

/// The table with spans that are `by` bytes later.
fn shifted(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    if by == 0 {
        return table;
    }
    let entries = table.into_iter().map(|(key, value)| {
        let key = Spanned::new(moved(key.span(), by), key.into_inner());
        (key, shifted_value(value, by))
    });
    entries.collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = moved(value.span(), by);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table, by)),
        DeValue::Array(array) => {
            let mut moved = DeArray::new();
            for element in array {
                moved.push(shifted_value(element, by));
            }
            DeValue::Array(moved)
        }
        other => other,
    };
    Spanned::new(span, value)
}
