//! The content of an imported file in any of the formats: a tree of values with their places, and typed access
//! that keeps the entries that were not read.

use crate::config::diagnostics::Diagnostic;
use std::ops::Range;

/// The deepest nesting of values.
pub(super) const MAX_DEPTH: usize = 16;

/// The largest number of values in a file, with those that aliases repeat.
pub(super) const MAX_VALUES: usize = 2000;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Bytes of the file.
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing.
    Null,
    /// A number, a Boolean or text without quotes.
    Plain(String),
    /// Text in quotes.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in the order of the file. In XML a key may repeat.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) node: Node,
}

/// The mistakes in a file.
pub(super) type Findings = Vec<Diagnostic>;

impl Node {
    /// The text of a value that is not null, a list or a map.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Quoted(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The value for a comment: an excerpt of a scalar, or the kind of the value.
    pub(super) fn excerpt(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Plain(text) | Value::Quoted(text) => super::toml_writer::excerpt(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a table".to_owned(),
        }
    }
}

/// Keys with values. Reading a key takes it out.
pub(super) struct Table<'n> {
    entries: Vec<&'n Entry>,
    /// Bytes of the file.
    pub(super) span: Range<usize>,
}

/// A text of the file with its place.
#[derive(Clone, Debug)]
pub(super) struct Text<'n> {
    pub(super) text: &'n str,
    pub(super) span: Range<usize>,
}

impl<'n> Table<'n> {
    /// The table in a node; `subject` names it in a finding.
    pub(super) fn of(node: &'n Node, subject: &str, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self {
                entries: entries.iter().collect(),
                span: node.span.clone(),
            }),
            _ => {
                findings.push(
                    Diagnostic::error(
                        node.span.clone(),
                        format!("{subject} is not a table of options"),
                    )
                    .remedy("write keys with values"),
                );
                None
            }
        }
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(&self.entries.remove(at).node)
    }

    /// Takes all values of a key that may repeat.
    pub(super) fn take_each(&mut self, key: &str) -> Vec<&'n Node> {
        std::iter::from_fn(|| self.take(key)).collect()
    }

    /// The entries that were not read.
    pub(super) fn unread(self) -> Vec<&'n Entry> {
        self.entries
    }

    /// A text, a number or a Boolean, as written. An empty text counts as missing.
    pub(super) fn text(&mut self, key: &str, findings: &mut Findings) -> Option<Text<'n>> {
        let node = self.take(key)?;
        if node.value == Value::Null {
            return None;
        }
        let text = node.scalar();
        if text.is_none() {
            findings.push(
                Diagnostic::error(
                    node.span.clone(),
                    format!("{key} is not a text or a number"),
                )
                .remedy(format!("write one value, as in {key}: 10")),
            );
        }
        let span = node.span.clone();
        text.map(|text| Text { text, span })
            .filter(|text| !text.text.is_empty())
    }

    /// A required text; a finding shows `example`.
    pub(super) fn need(
        &mut self,
        key: &str,
        example: &str,
        findings: &mut Findings,
    ) -> Option<Text<'n>> {
        let before = findings.len();
        let text = self.text(key, findings);
        if text.is_none() && findings.len() == before {
            findings.push(
                Diagnostic::error(
                    self.span.start..self.span.start,
                    format!("{key} is missing"),
                )
                .remedy(format!("add it, as in {key}: {example}")),
            );
        }
        text
    }

    /// An integer from 0 to 4294967295.
    pub(super) fn count(&mut self, key: &str, findings: &mut Findings) -> Option<(u64, Text<'n>)> {
        let text = self.text(key, findings)?;
        let count = text.text.trim().parse::<u64>();
        match count {
            Ok(count) if count <= u64::from(u32::MAX) => Some((count, text)),
            _ => {
                findings.push(
                    Diagnostic::error(text.span, format!("{key} is not an integer from 0 on"))
                        .remedy(format!("write digits, as in {key}: 10")),
                );
                None
            }
        }
    }

    /// A finite number.
    pub(super) fn number(&mut self, key: &str, findings: &mut Findings) -> Option<f64> {
        let text = self.text(key, findings)?;
        let number = finite(text.text);
        if number.is_none() {
            findings.push(
                Diagnostic::error(text.span, format!("{key} is not a number"))
                    .remedy(format!("write digits, as in {key}: 0.5")),
            );
        }
        number
    }

    /// A Boolean in the words of YAML 1.1, of which JSON and XML use some.
    pub(super) fn truth(&mut self, key: &str, findings: &mut Findings) -> Option<bool> {
        let text = self.text(key, findings)?;
        match text.text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Some(true),
            "no" | "false" | "off" => Some(false),
            _ => {
                findings.push(
                    Diagnostic::error(text.span, format!("{key} is neither true nor false"))
                        .remedy(format!("write {key}: true, or false")),
                );
                None
            }
        }
    }
}

/// The finite number that a whole text is: sign, digits, point, exponent.
pub(super) fn finite(text: &str) -> Option<f64> {
    let text = text.trim();
    let known = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    let number = text.chars().all(known).then(|| text.parse::<f64>().ok())?;
    number.filter(|number| number.is_finite())
}
