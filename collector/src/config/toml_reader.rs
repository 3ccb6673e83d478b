//! Reading the TOML tree: typed access to keys that remembers where everything stands, collects every
//! mistake instead of stopping at the first, and knows which keys nobody asked for.

mod findings;

pub(super) use findings::Findings;

use super::diagnostics::Diagnostic;
use crate::expression::closest;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Entry<'t> {
    pub(super) key: &'t str,
    key_start: usize,
    key_end: usize,
    value: &'t Spanned<DeValue<'t>>,
}

/// A string and where its literal stands.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) span: Range<usize>,
}

impl<'t> Entry<'t> {
    pub(super) fn key_span(&self) -> Range<usize> {
        self.key_start..self.key_end
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    fn wrong(&self, findings: &mut Findings<'_>, wanted: &str, example: &str) {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        findings.push(
            Diagnostic::error(
                self.span(),
                format!("{} takes {wanted}, this is {found}", self.key),
            )
            .remedy(format!("write it as in {} = {example}", self.key)),
        );
    }

    pub(super) fn text(&self, findings: &mut Findings<'_>, example: &str) -> Option<Text> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(Text {
                value: text.to_string(),
                span: self.span(),
            }),
            _ => {
                self.wrong(findings, "a string", example);
                None
            }
        }
    }

    /// One of `choices`, by its word.
    pub(super) fn choice<T: Copy>(
        &self,
        findings: &mut Findings<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let example = choices.first().map_or("", |(word, _)| *word);
        let text = self.text(findings, &format!("\"{example}\""))?;
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text.value) {
            return Some(*chosen);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let remedy = match closest(&text.value, words.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("it is one of {}", words.join(", ")),
        };
        findings.push(
            Diagnostic::error(
                text.span,
                format!("{} cannot be \"{}\"", self.key, text.value),
            )
            .remedy(remedy),
        );
        None
    }

    /// A duration with a unit, between `least` and `most`.
    pub(super) fn duration(
        &self,
        findings: &mut Findings<'_>,
        least: Duration,
        most: Duration,
    ) -> Option<Duration> {
        let key = self.key;
        if let DeValue::Integer(_) | DeValue::Float(_) = self.value.get_ref() {
            let text = findings.files.text();
            let number = text.get(self.span()).unwrap_or_default();
            let message = format!("{key} is a duration without a unit");
            let remedy =
                format!("write {key} = \"{number}s\" for seconds, \"{number}ms\" for milliseconds");
            findings.push(Diagnostic::error(self.span(), message).remedy(remedy));
            return None;
        }
        let text = self.text(findings, "\"2s\"")?;
        let error = match humantime::parse_duration(text.value.trim()) {
            Ok(duration) if duration < least => format!("{key} is below {}", shown(least)),
            Ok(duration) if duration > most => format!("{key} is above {}", shown(most)),
            Ok(duration) => return Some(duration),
            Err(_) => format!("{key} is not a duration with a unit"),
        };
        findings.push(
            Diagnostic::error(text.span, error)
                .remedy("durations look like \"500ms\", \"2s\", \"1m 30s\""),
        );
        None
    }

    /// An integer between `least` and `most`.
    pub(super) fn integer(
        &self,
        findings: &mut Findings<'_>,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            self.wrong(findings, "an integer", &least.to_string());
            return None;
        };
        match number(integer) {
            Some(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                findings.push(
                    Diagnostic::error(self.span(), format!("{} is out of range", self.key))
                        .remedy(format!("it goes from {least} to {most}")),
                );
                None
            }
        }
    }

    /// A number between `least` and `most`, an integer or not.
    pub(super) fn number(&self, findings: &mut Findings<'_>, least: f64, most: f64) -> Option<f64> {
        let given = match self.value.get_ref() {
            DeValue::Integer(integer) => number(integer)
                .and_then(|integer| i32::try_from(integer).ok())
                .map(f64::from),
            DeValue::Float(float) => float.as_str().replace('_', "").parse().ok(),
            _ => {
                self.wrong(findings, "a number", &least.to_string());
                return None;
            }
        };
        match given {
            Some(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                findings.push(
                    Diagnostic::error(self.span(), format!("{} is out of range", self.key))
                        .remedy(format!("it goes from {least} to {most}")),
                );
                None
            }
        }
    }

    /// An integer, in decimal, or a string, and where it stands.
    pub(super) fn integer_or_text(
        &self,
        findings: &mut Findings<'_>,
        example: &str,
    ) -> Option<(String, Range<usize>)> {
        match self.value.get_ref() {
            DeValue::Integer(integer) => {
                let digits =
                    number(integer).map_or(integer.to_string(), |number| number.to_string());
                Some((digits, self.span()))
            }
            DeValue::String(text) => Some((text.to_string(), self.span())),
            _ => {
                self.wrong(findings, "an integer or a string", example);
                None
            }
        }
    }

    /// One string, or a list of them, at least one.
    pub(super) fn text_or_texts(
        &self,
        findings: &mut Findings<'_>,
        example: &str,
    ) -> Option<Vec<Text>> {
        match self.value.get_ref() {
            DeValue::Array(_) => self.texts(findings, &format!("[{example}]")),
            _ => self.text(findings, example).map(|text| vec![text]),
        }
    }

    /// A list of strings, at least one.
    pub(super) fn texts(&self, findings: &mut Findings<'_>, example: &str) -> Option<Vec<Text>> {
        let strings = self.value.get_ref().as_array().and_then(|array| {
            array
                .iter()
                .map(|element| {
                    element.get_ref().as_str().map(|text| Text {
                        value: text.to_owned(),
                        span: element.span(),
                    })
                })
                .collect::<Option<Vec<Text>>>()
        });
        match strings {
            Some(strings) if !strings.is_empty() => Some(strings),
            _ => {
                self.wrong(findings, "a list of strings, at least one", example);
                None
            }
        }
    }

    pub(super) fn table(&self, findings: &mut Findings<'_>, example: &str) -> Option<Table<'t>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Table::new(table, self.key_span())),
            _ => {
                findings.push(
                    Diagnostic::error(self.key_span(), format!("{} is a table", self.key))
                        .remedy(format!("it looks like {example}")),
                );
                None
            }
        }
    }

    pub(super) fn tables(
        &self,
        findings: &mut Findings<'_>,
        example: &str,
    ) -> Option<Vec<Table<'t>>> {
        let tables = self.value.get_ref().as_array().and_then(|array| {
            array
                .iter()
                .map(|element| {
                    let table = element.get_ref().as_table()?;
                    Some(Table::new(table, header(element.span())))
                })
                .collect::<Option<Vec<_>>>()
        });
        if tables.is_none() {
            findings.push(
                Diagnostic::error(self.key_span(), format!("{} is a list of tables", self.key))
                    .remedy(format!("it looks like {example}")),
            );
        }
        tables
    }
}

/// The value of an integer, in whatever base it is written; `None` where it is too large.
fn number(integer: &DeInteger<'_>) -> Option<i64> {
    let digits = integer.as_str().replace('_', "");
    i64::from_str_radix(&digits, integer.radix()).ok()
}

/// A table's span may cover all its lines; findings point at where it begins.
fn header(span: Range<usize>) -> Range<usize> {
    span.start..span.start.max(span.end.min(span.start + 1))
}

fn shown(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A table whose keys are taken one by one; what is left was not asked for.
pub(super) struct Table<'t> {
    /// Where it is named.
    pub(super) span: Range<usize>,
    entries: Vec<Entry<'t>>,
}

impl<'t> Table<'t> {
    pub(super) fn new(table: &'t DeTable<'t>, span: Range<usize>) -> Self {
        let entries = table
            .iter()
            .map(|(key, value)| {
                let span = key.span();
                Entry {
                    key: key.get_ref().as_ref(),
                    key_start: span.start,
                    key_end: span.end,
                    value,
                }
            })
            .collect();
        Self { span, entries }
    }

    /// Takes a key out.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry<'t>> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Where a key stands that has not been taken out.
    pub(super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(entry.key_span())
    }

    /// Where the value of such a key stands.
    pub(super) fn value_span_of(&self, key: &str) -> Option<Range<usize>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(entry.span())
    }

    /// Takes a key out that has to be there.
    pub(super) fn need(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
        example: &str,
    ) -> Option<Entry<'t>> {
        let entry = self.take(key);
        if entry.is_none() {
            findings.push(
                Diagnostic::error(self.span.clone(), format!("{key} is missing"))
                    .remedy(format!("add {key} = {example}"))
                    .consequence(),
            );
        }
        entry
    }

    /// Takes everything that is left, in the order of the files.
    pub(super) fn take_all(&mut self) -> Vec<Entry<'t>> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|entry| entry.key_start);
        entries
    }

    /// Refuses what is left: a misspelt key must not be silently without effect. `known` are the keys
    /// that this table may have.
    pub(super) fn finish(self, findings: &mut Findings<'_>, known: &[&str]) {
        for entry in self.entries {
            let message = format!("unknown key {}", entry.key);
            let finding = Diagnostic::error(entry.key_span(), message);
            let remedy = if let Some(meant) = closest(entry.key, known.iter().copied()) {
                format!("did you mean {meant}?")
            } else {
                format!("the keys here are {}", known.join(", "))
            };
            findings.push(finding.remedy(remedy));
        }
    }
}
