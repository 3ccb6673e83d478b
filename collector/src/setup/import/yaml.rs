//! YAML into a tree, by the rules of PyYAML's safe loader as far as configurations use them: one document,
//! aliases, merge keys, `yes` and `no`.

use super::document::{Entry, Findings, MAX_DEPTH, MAX_VALUES, Node, Value};
use crate::config::diagnostics::Diagnostic;
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::BTreeMap;
use std::ops::Range;

/// A list or a table that is not complete yet.
struct Open {
    anchor: usize,
    start: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    /// The entries so far, and a key that waits for its value.
    Map(Vec<Entry>, Option<(String, Range<usize>)>),
}

struct Reader<'f> {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    values: usize,
    root: Option<Node>,
    findings: &'f mut Findings,
}

/// The one document in `text`.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Node> {
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    // The parser counts characters.
    let byte = |at: usize| offsets.get(at).copied().unwrap_or(text.len());
    let mut reader = Reader {
        open: Vec::new(),
        anchors: BTreeMap::new(),
        values: 0,
        root: None,
        findings,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok((event, span)) => (event, byte(span.start.index())..byte(span.end.index())),
            Err(error) => {
                let at = byte(error.marker().index());
                let wrong = format!("this is no YAML: {}", error.info());
                let wrong = Diagnostic::error(at..at, wrong);
                reader
                    .findings
                    .push(wrong.remedy("the other agent would not read it either"));
                return None;
            }
        };
        reader.event(event, span)?;
    }
    if reader.root.is_none() {
        let empty = Diagnostic::error(0..0, "the file is empty");
        reader
            .findings
            .push(empty.remedy("is it the right one? It needs plugins"));
    }
    reader.root
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: &str, remedy: &str) -> Option<()> {
        self.findings
            .push(Diagnostic::error(span, message).remedy(remedy));
        None
    }

    /// Takes in an event; nothing where reading has to end.
    fn event(&mut self, event: Event<'_>, span: Range<usize>) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Some(()),
            Event::DocumentStart(_) if self.root.is_some() => self.wrong(
                span,
                "a second document begins here",
                "one file, one document: leave out the others",
            ),
            Event::DocumentStart(_) => Some(()),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(mut node) => {
                    self.values += count(&node);
                    node.span = span;
                    self.value(node, 0)
                }
                None => self.wrong(
                    span,
                    "this alias stands for nothing yet",
                    "write the value itself",
                ),
            },
            Event::Scalar(text, style, anchor, _) => {
                let value = match (&*text, style) {
                    ("" | "~" | "null" | "Null" | "NULL", ScalarStyle::Plain) => Value::Null,
                    (_, ScalarStyle::Plain) => Value::Plain(text.into_owned()),
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

    fn begin(&mut self, anchor: usize, span: Range<usize>, kind: Kind) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            return self.wrong(
                span,
                "this is nested too deep",
                "no option needs more than a few levels",
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

    /// A complete value goes where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> Option<()> {
        if self.values > MAX_VALUES {
            return self.wrong(
                node.span,
                "there are too many values",
                &format!("at most {MAX_VALUES}, with those that aliases repeat"),
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
                            return self.wrong(
                                node.span,
                                "a key has to be a word",
                                "write it as in interval: 10",
                            );
                        }
                    };
                    if key != MERGE && entries.iter().any(|entry| entry.key == key) {
                        let message =
                            format!("{} is there already", super::toml_writer::shown(&key));
                        return self.wrong(node.span, &message, "leave one of the two");
                    }
                    *waiting = Some((key, node.span));
                }
            },
        }
        Some(())
    }
}

/// The key that brings in another table's keys.
const MERGE: &str = "<<";

/// A table with what its merge keys bring in; its own keys count first, then the first that are merged.
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

/// How many values a value is made of, itself included.
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
