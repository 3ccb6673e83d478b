//! The files of a configuration as one tree: each is parsed by itself, and what stands in it is found again
//! by its place in the text of all. Nothing is set twice.

use super::diagnostics::{Diagnostic, Place};
use super::toml_reader::Findings;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// The tables whose entries may come from any file, and what those are.
const SHARED: [(&str, &str); 3] = [
    ("source", "source"),
    ("derive", "derived number"),
    ("service", "service"),
];

/// The tree of all files; and whether none of them has mistakes of syntax.
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

/// Adds what a file says at the top.
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

/// Adds a key that no file before may have.
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
            let before = findings.place(before.span().start);
            let blank = if kind.is_empty() { "" } else { " " };
            let message = format!("there is a {kind}{blank}{name} already, in {before}");
            findings.push(
                Diagnostic::error(key.span(), message)
                    .remedy("what one file says, no other adds to or takes the place of"),
            );
        }
    }
}

/// The parser's errors. One table too many repeats all its keys: that is one mistake, not many.
fn push_syntax(errors: &[toml::de::Error], file: &Range<usize>, findings: &mut Findings<'_>) {
    let text = findings.files.text();
    let text = text.get(..file.end).unwrap_or_default();
    let mut repeated: Option<Range<usize>> = None;
    for error in errors {
        let span = moved(error.span().unwrap_or(0..0), file.start);
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
        let key = text.get(span.clone()).unwrap_or_default();
        let message = format!("there is a {key} already");
        let rest = text.get(span.end..).unwrap_or_default();
        if Place::of(text, span.start).text.starts_with('[') {
            let length = rest.find("\n[").unwrap_or(rest.len());
            repeated = Some(span.end..span.end + length);
        }
        findings
            .push(Diagnostic::error(span, message).remedy("two of one kind cannot have one name"));
    }
}

fn moved(span: Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}

/// The same table, `by` bytes further on.
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
