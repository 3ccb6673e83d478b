//! Reads XML into a tree, in the form `<Port value="3333" />`: the attribute `value` is the value of an element,
//! and an element without it is a map of its children. Text between elements is ignored, and a document type is
//! refused.

use super::document::{Entry, Findings, MAX_DEPTH, MAX_VALUES, Node, Value};
use crate::config::diagnostics::Diagnostic;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::ops::Range;

/// An element whose end tag has not come yet.
struct Open {
    key: String,
    start: usize,
    value: Option<Node>,
    entries: Vec<Entry>,
}

impl Open {
    fn entry(self, end: usize) -> Entry {
        let span = self.start..end;
        let value = Value::Map(self.entries);
        let node = self.value.unwrap_or(Node { span, value });
        Entry {
            key: self.key,
            node,
        }
    }
}

/// The root element of `text`.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Entry> {
    document(text)
        .map_err(|(span, wrong)| {
            let wrong = Diagnostic::error(span, wrong);
            findings.push(wrong.remedy("the other agent does not read it either"));
        })
        .ok()
}

type Wrong = (Range<usize>, String);

fn document(text: &str) -> Result<Entry, Wrong> {
    let mut reader = Reader::from_str(text);
    let place = |at: u64| usize::try_from(at).unwrap_or(text.len()).min(text.len());
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Entry> = None;
    let mut values = 0;
    loop {
        let start = place(reader.buffer_position());
        let event = reader.read_event().map_err(|error| {
            let at = place(reader.error_position());
            (at..at, format!("invalid XML: {error}"))
        })?;
        let end = place(reader.buffer_position());
        let span = start..end;
        let closed = match event {
            Event::Eof => break,
            Event::DocType(_) => {
                return Err((span, "a document type is not supported".to_owned()));
            }
            Event::Start(element) => {
                values += 1;
                if open.len() >= MAX_DEPTH || values > MAX_VALUES {
                    return Err((span, too_much()));
                }
                open.push(begin(&element, text, span.clone())?);
                None
            }
            Event::Empty(element) => {
                values += 1;
                if values > MAX_VALUES {
                    return Err((span, too_much()));
                }
                Some(begin(&element, text, span.clone())?)
            }
            Event::End(_) => open.pop(),
            _ => None,
        };
        if let Some(closed) = closed {
            let entry = closed.entry(end);
            match open.last_mut() {
                Some(parent) => parent.entries.push(entry),
                None if root.is_some() => {
                    return Err((span, "a second root element".to_owned()));
                }
                None => root = Some(entry),
            }
        }
    }
    if let Some(open) = open.pop() {
        let message = format!(
            "<{}> has no end tag",
            super::toml_writer::excerpt(&open.key)
        );
        return Err((open.start..open.start, message));
    }
    root.ok_or((0..0, "the file has no element".to_owned()))
}

fn too_much() -> String {
    format!("more than {MAX_VALUES} elements, or more than {MAX_DEPTH} levels")
}

fn begin(element: &BytesStart<'_>, text: &str, span: Range<usize>) -> Result<Open, Wrong> {
    let key = element.name().as_ref().to_owned();
    let mut value = None;
    for attribute in element.attributes() {
        let wrong = |error: String| (span.clone(), format!("invalid XML: {error}"));
        let attribute = attribute.map_err(|error| wrong(error.to_string()))?;
        if attribute.key.as_ref() == "value" {
            let content = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| wrong(error.to_string()))?;
            value = Some(Node {
                span: within(text, &attribute.value).unwrap_or(span.clone()),
                value: Value::Quoted(content.into_owned()),
            });
        }
    }
    Ok(Open {
        key,
        start: span.start,
        value,
        entries: Vec::new(),
    })
}

/// The position of `part`, a slice of `text`.
fn within(text: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start + part.len();
    (end <= text.len()).then_some(start..end)
}
