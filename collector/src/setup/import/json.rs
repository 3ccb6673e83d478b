//! Reads JSON into a tree. The parser keeps no positions: a raw value is a slice of the text, and its address gives
//! the position.

use super::document::{Entry, Findings, MAX_DEPTH, MAX_VALUES, Node, Value};
use crate::config::diagnostics::Diagnostic;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// The unparsed entries of an object, with repeated keys.
struct Object<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

struct Reader<'f, 't> {
    text: &'t str,
    values: usize,
    findings: &'f mut Findings,
}

/// The document in `text`.
pub(super) fn read(text: &str, findings: &mut Findings) -> Option<Node> {
    let raw: &RawValue = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            let at = offset(text, error.line(), error.column());
            let wrong = Diagnostic::error(at..at, format!("invalid JSON: {error}"));
            findings.push(wrong.remedy("the other agent does not read it either"));
            return None;
        }
    };
    let mut reader = Reader {
        text,
        values: 0,
        findings,
    };
    reader.node(raw, 0)
}

/// The byte at a line and a column, as serde_json counts them: both from 1, columns in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let lines = text.split_inclusive('\n');
    let before: usize = lines.take(line.saturating_sub(1)).map(str::len).sum();
    before + column.saturating_sub(1)
}

impl<'t> Reader<'_, 't> {
    fn span(&self, raw: &RawValue) -> Range<usize> {
        let start = (raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let start = start.min(self.text.len());
        start..(start + raw.get().len()).min(self.text.len())
    }

    fn node(&mut self, raw: &'t RawValue, depth: usize) -> Option<Node> {
        let span = self.span(raw);
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            self.findings.push(
                Diagnostic::error(
                    span,
                    "the file has too many values, or the nesting is too deep",
                )
                .remedy(format!(
                    "use at most {MAX_VALUES} values and {MAX_DEPTH} levels"
                )),
            );
            return None;
        }
        let text = raw.get();
        let value = match text.as_bytes().first() {
            Some(b'{') => {
                let Object(entries) = self.part(text, &span)?;
                let mut read: Vec<Entry> = Vec::new();
                for (key, raw) in entries {
                    if read.iter().any(|entry| entry.key == key) {
                        let twice = format!("duplicate key {}", super::toml_writer::excerpt(&key));
                        let twice = Diagnostic::error(self.span(raw), twice);
                        self.findings.push(twice.remedy("keep one of the two"));
                        return None;
                    }
                    let node = self.node(raw, depth + 1)?;
                    read.push(Entry { key, node });
                }
                Value::Map(read)
            }
            Some(b'[') => {
                let raws: Vec<&'t RawValue> = self.part(text, &span)?;
                let nodes = raws.into_iter().map(|raw| self.node(raw, depth + 1));
                Value::List(nodes.collect::<Option<_>>()?)
            }
            Some(b'"') => Value::Quoted(self.part(text, &span)?),
            _ if text == "null" => Value::Null,
            _ => Value::Plain(text.to_owned()),
        };
        Some(Node { span, value })
    }

    /// Parses a part of the text, whose structure is valid already: a key or an escape can be invalid.
    fn part<T: Deserialize<'t>>(&mut self, text: &'t str, span: &Range<usize>) -> Option<T> {
        serde_json::from_str(text)
            .map_err(|error| {
                let wrong = Diagnostic::error(span.clone(), format!("invalid JSON: {error}"));
                self.findings
                    .push(wrong.remedy("the other agent does not read it either"));
            })
            .ok()
    }
}
