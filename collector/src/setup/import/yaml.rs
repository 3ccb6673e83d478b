//! Reads YAML into a tree like PyYAML's safe loader, as far as configurations use it: one document, aliases,
//! merge keys, `yes` and `no`, integers of YAML 1.1.

use super::document::{Entry, Findings, MAX_DEPTH, MAX_VALUES, Node, Value};
use crate::config::diagnostics::Diagnostic;
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::BTreeMap;
use std::ops::Range;

/// A list or a map that is not complete yet.
struct Open {
    anchor: usize,
    start: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    /// The entries so far, and a key whose value has not come yet.
    Map(Vec<Entry>, Option<(String, Range<usize>)>),
}

struct Reader<'f> {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    root: Option<Node>,
    /// A note for each integer that is not written in decimal.
    notes: Vec<String>,
    findings: &'f mut Findings,
}

/// The one document in `text`, and notes on integers that mean something else than they seem to.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<(Node, Vec<String>)> {
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    // The parser counts characters.
    let byte = |at: usize| offsets.get(at).copied().unwrap_or(text.len());
    let mut reader = Reader {
        open: Vec::new(),
        anchors: BTreeMap::new(),
        values: 0,
        root: None,
        notes: Vec::new(),
        findings,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok((event, span)) => (event, byte(span.start.index())..byte(span.end.index())),
            Err(error) => {
                let at = byte(error.marker().index());
                let message = format!("invalid YAML: {}", error.info());
                let finding = Diagnostic::error(at..at, message);
                reader
                    .findings
                    .push(finding.remedy("the other agent does not read it either"));
                return None;
            }
        };
        reader.event(event, span)?;
    }
    if reader.root.is_none() {
        let empty = Diagnostic::error(0..0, "the file is empty");
        reader
            .findings
            .push(empty.remedy("name Herald's config.yml, which has plugins"));
    }
    let notes = reader.notes;
    reader.root.map(|root| (root, notes))
}

impl Reader<'_> {
    fn fail(&mut self, span: Range<usize>, message: &str, remedy: &str) -> Option<()> {
        self.findings
            .push(Diagnostic::error(span, message).remedy(remedy));
        None
    }

    /// Takes in an event; `None` where reading ends.
    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) if self.root.is_some() => self.fail(
                span,
                "a second document begins here",
                "keep one document in the file",
            ),
            Event::DocumentStart(_) => Some(()),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(mut node) => {
                    self.values += count(&node);
                    node.span = span;
                    self.value(node, 0)
                }
                None => self.fail(
                    span,
                    "this alias has no anchor before it",
                    "write the value itself",
                ),
            },
            Event::Scalar(text, style, anchor, _) => {
                let value = match (&*text, style) {
                    ("" | "~" | "null" | "Null" | "NULL", ScalarStyle::Plain) => Value::Null,
                    (_, ScalarStyle::Plain) => Value::Plain(self.plain(&text)),
                    _ => Value::Quoted(text.into_owned()),
                };
                self.values += 1;
                self.value(Node { span, value }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, span, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, span, Kind::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let value = match open.kind {
                    Kind::List(nodes) => Value::List(nodes),
                    Kind::Map(entries, _) => Value::Map(merged(entries)),
                };
                let span = open.start..span.end.max(open.start);
                self.value(Node { span, value }, open.anchor)
            }
        }
    }

    /// The text of a scalar without quotes; an integer in decimal.
    fn plain(&mut self, text: &str) -> String {
        match integer(text).map(|number| number.to_string()) {
            Some(decimal) if decimal != text => {
                let written = super::toml_writer::excerpt(text);
                self.notes.push(format!(
                    "YAML reads {written} as {decimal}, and so does Herald."
                ));
                decimal
            }
            _ => text.to_owned(),
        }
    }

    fn begin(&mut self, anchor: usize, span: Range<usize>, kind: Kind) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            return self.fail(
                span,
                "the nesting is too deep",
                &format!("use at most {MAX_DEPTH} levels"),
            );
        }
        self.values += 1;
        self.open.push(Open {
            anchor,
            start: span.start,
            kind,
        });
        Some(())
    }

    /// Adds a complete value to the list or map that is open.
    fn value(&mut self, node: Node, anchor: usize) -> Option<()> {
        if self.values > MAX_VALUES {
            return self.fail(
                node.span,
                "the file has too many values",
                &format!("use at most {MAX_VALUES}, with those that aliases repeat"),
            );
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(nodes)) => nodes.push(node),
            Some(Kind::Map(entries, waiting)) => match waiting.take() {
                Some((key, _)) => entries.push(Entry { key, node }),
                None => {
                    let key = match node.value {
                        Value::Plain(text) | Value::Quoted(text) => text,
                        Value::Null => String::new(),
                        Value::List(_) | Value::Map(_) => {
                            return self.fail(
                                node.span,
                                "a key is not a word",
                                "write it as in interval: 10",
                            );
                        }
                    };
                    if key != MERGE && entries.iter().any(|entry| entry.key == key) {
                        let message =
                            format!("duplicate key {}", super::toml_writer::excerpt(&key));
                        return self.fail(node.span, &message, "keep one of the two");
                    }
                    *waiting = Some((key, node.span));
                }
            },
        }
        Some(())
    }
}

/// The key that merges another map.
const MERGE: &str = "<<";

/// A map with the entries of its merge keys. Its own keys take precedence, then earlier merged maps.
fn merged(entries: Vec<Entry>) -> Vec<Entry> {
    let (merges, mut own): (Vec<Entry>, Vec<Entry>) =
        entries.into_iter().partition(|entry| entry.key == MERGE);
    let tables = merges.into_iter().flat_map(|entry| match entry.node.value {
        Value::List(nodes) => nodes,
        _ => vec![entry.node],
    });
    for table in tables {
        if let Value::Map(entries) = table.value {
            for entry in entries {
                if own.iter().all(|known| known.key != entry.key) {
                    own.push(entry);
                }
            }
        }
    }
    own
}

/// The number of values in a value, itself included.
fn count(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Plain(_) | Value::Quoted(_) => 1,
        Value::List(nodes) => nodes.iter().map(count).sum::<usize>() + 1,
        Value::Map(entries) => {
            let values = entries.iter().map(|entry| count(&entry.node));
            values.sum::<usize>() + 1
        }
    }
}

/// The integer that PyYAML reads: decimal, binary, octal with a leading 0, hexadecimal, or sexagesimal as in 1:30.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let plain = digits.replace('_', "");
    let only =
        |digits: &str, base: u32| !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    let value = if let Some(binary) = plain.strip_prefix("0b").filter(|rest| only(rest, 2)) {
        i64::from_str_radix(binary, 2).ok()?
    } else if let Some(hexadecimal) = plain.strip_prefix("0x").filter(|rest| only(rest, 16)) {
        i64::from_str_radix(hexadecimal, 16).ok()?
    } else if let Some(octal) = plain.strip_prefix('0').filter(|rest| only(rest, 8)) {
        i64::from_str_radix(octal, 8).ok()?
    } else if digits.starts_with('_') || plain.starts_with('0') && plain != "0" {
        return None;
    } else {
        let mut parts = plain.split(':');
        let first = parts.next().filter(|part| only(part, 10))?;
        parts.try_fold(first.parse::<i64>().ok()?, |sum, part| {
            let digit = Some(part).filter(|part| only(part, 10) && part.len() <= 2)?;
            let digit = digit.parse::<i64>().ok().filter(|digit| *digit < 60)?;
            sum.checked_mul(60)?.checked_add(digit)
        })?
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn integers_are_those_of_pyyaml() {
        for (text, value) in [
            ("0", Some(0)),
            ("7000", Some(7000)),
            ("0100", Some(64)),
            ("-010", Some(-8)),
            ("0x1F", Some(31)),
            ("0b101", Some(5)),
            ("1_000", Some(1000)),
            ("1:30", Some(90)),
            ("+12", Some(12)),
            ("089", None),
            ("0.5", None),
            ("1:60", None),
            ("127.0.0.1", None),
            (">7000", None),
            ("_1", None),
            ("", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(integer(text), value, "{text}");
        }
    }
}
