//! What a file of another agent says, whatever it is written in: a tree of values with their places, and
//! typed access that remembers what nobody asked for.

use crate::config::diagnostics::Diagnostic;
use std::ops::Range;

/// How deep values may nest.
pub(super) const MAX_DEPTH: usize = 16;

/// How many values a file may have, those that aliases repeat included.
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
    /// A number, a truth or text that was written without quotes.
    Plain(String),
    /// Text in quotes.
    Quoted(String),
    /// A list.
    List(Vec<Node>),
    /// Keys with values, in the order of the file. In XML a key may be there more than once.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) node: Node,
}

/// What is wrong with a file.
pub(super) type Findings = Vec<Diagnostic>;

impl Node {
    /// The text of a value that is neither nothing nor made of others.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) | Value::Quoted(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The value as people know it, for comments: as long as a scalar is, or only of what kind it is.
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Plain(text) | Value::Quoted(text) => super::toml_writer::shown(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a table".to_owned(),
        }
    }
}

/// Keys with values, of which each is asked for once.
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
    /// The table in a node; `what` it is of, for people.
    pub(super) fn of(node: &'n Node, what: &str, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self {
                entries: entries.iter().collect(),
                span: node.span.clone(),
            }),
            _ => {
                findings.push(
                    Diagnostic::error(node.span.clone(), format!("{what} is no table of options"))
                        .remedy("it needs keys with values"),
                );
                None
            }
        }
    }

    /// The value of a key, asked for from now on.
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(&self.entries.remove(at).node)
    }

    /// All values of a key that may be there more than once.
    pub(super) fn take_each(&mut self, key: &str) -> Vec<&'n Node> {
        std::iter::from_fn(|| self.take(key)).collect()
    }

    /// What nobody asked for.
    pub(super) fn left(self) -> Vec<&'n Entry> {
        self.entries
    }

    /// A text, a number or a truth, as it is written. An empty one is as none.
    pub(super) fn text(&mut self, key: &str, findings: &mut Findings) -> Option<Text<'n>> {
        let node = self.take(key)?;
        if node.value == Value::Null {
            return None;
        }
        let text = node.scalar();
        if text.is_none() {
            findings.push(
                Diagnostic::error(node.span.clone(), format!("{key} is no text or number"))
                    .remedy(format!("one value, as in {key}: 10")),
            );
        }
        let span = node.span.clone();
        text.map(|text| Text { text, span })
            .filter(|text| !text.text.is_empty())
    }

    /// A text that has to be there; `example` of one.
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
                Diagnostic::error(self.span.start..self.span.start, format!("no {key} here"))
                    .remedy(format!("it needs one, as in {key}: {example}")),
            );
        }
        text
    }

    /// A whole number that is not negative.
    pub(super) fn count(&mut self, key: &str, findings: &mut Findings) -> Option<(u64, Text<'n>)> {
        let text = self.text(key, findings)?;
        let count = text.text.trim().parse::<u64>();
        match count {
            Ok(count) if count <= u64::from(u32::MAX) => Some((count, text)),
            _ => {
                findings.push(
                    Diagnostic::error(text.span, format!("{key} is no whole number"))
                        .remedy(format!("a number from 0 on, as in {key}: 10")),
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
                Diagnostic::error(text.span, format!("{key} is no number"))
                    .remedy(format!("digits, as in {key}: 0.5")),
            );
        }
        number
    }

    /// True or false, by the words of YAML 1.1, which JSON and XML share.
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

/// The finite number that the whole of a text is: sign, digits, point, exponent.
pub(super) fn finite(text: &str) -> Option<f64> {
    let text = text.trim();
    let known = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    let number = text.chars().all(known).then(|| text.parse::<f64>().ok())?;
    number.filter(|number| number.is_finite())
}
