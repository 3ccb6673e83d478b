//! Typed access to the keys of a TOML tree. It keeps the place of each key, collects every mistake instead of
//! stopping at the first, and finds the keys that are not known.

mod findings;
mod table;

pub(super) use findings::Findings;
pub(super) use table::Table;

use super::diagnostics::Diagnostic;
use super::settings::{Kind, Section, Setting, alternatives};
use crate::expression::closest;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

/// A key with its value, and their places.
#[derive(Clone, Copy)]
pub(super) struct Entry<'t> {
    pub(super) key: &'t str,
    key_start: usize,
    key_end: usize,
    value: &'t Spanned<DeValue<'t>>,
    setting: Option<&'static Setting>,
    /// The value must not be part of a message.
    secret: bool,
}

/// A string, and the place of its literal.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) span: Range<usize>,
}

/// The longest value in a message, in characters.
const MOST_ECHOED: usize = 60;

impl<'t> Entry<'t> {
    pub(super) fn key_span(&self) -> Range<usize> {
        self.key_start..self.key_end
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// `invalid KEY VALUE`, with the value as the operator wrote it.
    pub(super) fn invalid(&self, findings: &Findings<'_>) -> String {
        let key = self.key;
        let value = findings.files.shown().get(self.span()).unwrap_or_default();
        let short = value.chars().count() <= MOST_ECHOED && !value.contains(['\n', '\r']);
        match short && !self.secret {
            true => format!("invalid {key} {value}"),
            false => format!("invalid {key}"),
        }
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
        let message = format!(
            "{}: expected {wanted}, found {found}",
            self.invalid(findings)
        );
        let remedy = format!("write {} = {example}", self.key);
        findings.push(Diagnostic::error(self.span(), message).remedy(remedy));
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

    /// The string of a key of a section.
    pub(super) fn string(&self, findings: &mut Findings<'_>) -> Option<Text> {
        let example = self.setting.map_or("\"...\"", |setting| setting.example);
        let number = matches!(
            self.value.get_ref(),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)
        );
        if number && let Some(Kind::Expression(_)) = self.setting.map(|setting| &setting.kind) {
            let value = findings.files.text().get(self.span()).unwrap_or_default();
            return self.text(findings, &format!("\"{value}\""));
        }
        self.text(findings, example)
    }

    /// The string of a key of this table, without a check.
    pub(super) fn child_text(&self, key: &str) -> Option<&'t str> {
        let table = self.value.get_ref().as_table()?;
        table.get(key)?.get_ref().as_str()
    }

    /// The keys of this table that are tables themselves.
    pub(super) fn child_tables(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        let table = self.value.get_ref().as_table();
        let entries = table.into_iter().flat_map(|table| table.iter());
        entries
            .filter(|(_, value)| value.get_ref().is_table())
            .map(|(key, _)| key.get_ref().as_ref())
    }

    /// One of `choices`, by its word.
    pub(super) fn choice<T: Copy>(
        &self,
        findings: &mut Findings<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let at = self.word(findings, &words)?;
        choices.get(at).map(|(_, value)| *value)
    }

    /// The index of the value in `words`.
    fn word(&self, findings: &mut Findings<'_>, words: &[&str]) -> Option<usize> {
        let example = words.first().copied().unwrap_or_default();
        let text = self.text(findings, &format!("\"{example}\""))?;
        if let Some(at) = words.iter().position(|word| *word == text.value) {
            return Some(at);
        }
        let invalid = self.invalid(findings);
        let message = match closest(&text.value.to_lowercase(), words.iter().copied()) {
            Some(meant) => format!("{invalid}; did you mean \"{meant}\"?"),
            None => invalid,
        };
        let remedy = format!("expected {}", alternatives(words, "\"", "\""));
        findings.push(Diagnostic::error(text.span, message).remedy(remedy));
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
        let unit = |findings: &Findings<'_>| {
            let invalid = self.invalid(findings);
            format!("{invalid}: expected a duration with a unit")
        };
        if let DeValue::Integer(_) | DeValue::Float(_) = self.value.get_ref() {
            let unit = unit(findings);
            let text = findings.files.text();
            let number = text.get(self.span()).unwrap_or_default();
            let remedy =
                format!("write {key} = \"{number}s\" for seconds, \"{number}ms\" for milliseconds");
            findings.push(Diagnostic::error(self.span(), unit).remedy(remedy));
            return None;
        }
        let text = self.text(findings, "\"2s\"")?;
        let (message, remedy) = match humantime::parse_duration(text.value.trim()) {
            Ok(duration) if (least..=most).contains(&duration) => return Some(duration),
            Ok(_) => {
                let (least, most) = (display(least), display(most));
                let message = format!("{}: expected {least} to {most}", self.invalid(findings));
                (message, None)
            }
            Err(_) if text.value.trim().parse::<f64>().is_ok() => {
                let number = text.value.trim();
                (
                    unit(findings),
                    Some(format!(
                        "write \"{number}s\" for seconds, \"{number}ms\" for milliseconds"
                    )),
                )
            }
            Err(_) => (
                unit(findings),
                Some("write \"500ms\", \"2s\" or \"1m 30s\"".to_owned()),
            ),
        };
        let mut finding = Diagnostic::error(text.span, message);
        finding.remedy = remedy;
        findings.push(finding);
        None
    }

    /// The duration of a key of a section, within its range. `"0s"` turns some keys off.
    pub(super) fn span_of_time(&self, findings: &mut Findings<'_>) -> Option<Duration> {
        let (least, most) = self
            .setting
            .map_or((Duration::ZERO, Duration::MAX), Setting::durations);
        let given = self.duration(findings, least, most)?;
        if let Some(Kind::DurationOrOff(least, _)) = self.setting.map(|setting| &setting.kind) {
            return (given >= Duration::from_millis(*least)).then_some(given);
        }
        Some(given)
    }

    fn out_of_range(&self, findings: &mut Findings<'_>, least: &str, most: &str) {
        let message = format!("{}: expected {least} to {most}", self.invalid(findings));
        findings.push(Diagnostic::error(self.span(), message));
    }

    /// `"5%"` or `"5"` instead of 5; whether it was one of them.
    fn number_in_quotes(&self, findings: &mut Findings<'_>, wanted: &str) -> bool {
        let Some(text) = self.value.get_ref().as_str() else {
            return false;
        };
        let digits = text.trim().trim_end_matches('%').trim_end();
        if digits.parse::<f64>().is_err() || self.secret {
            return false;
        }
        let (message, remedy) = match text.contains('%') {
            true => (format!("invalid percentage {text:?}: write {digits}"), None),
            false => (
                format!(
                    "{}: expected {wanted}, found a string",
                    self.invalid(findings)
                ),
                Some(format!("write {} = {digits}", self.key)),
            ),
        };
        let mut finding = Diagnostic::error(self.span(), message);
        finding.remedy = remedy;
        findings.push(finding);
        true
    }

    /// An integer between `least` and `most`.
    pub(super) fn integer(
        &self,
        findings: &mut Findings<'_>,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            if !self.number_in_quotes(findings, "an integer") {
                let least = least.to_string();
                let example = self
                    .setting
                    .map_or(least.as_str(), |setting| setting.example);
                self.wrong(findings, "an integer", example);
            }
            return None;
        };
        let given = number(integer).filter(|number| (least..=most).contains(number));
        if given.is_none() {
            self.out_of_range(findings, &least.to_string(), &most.to_string());
        }
        given
    }

    /// The integer of a key of a section, within its range.
    pub(super) fn count(&self, findings: &mut Findings<'_>) -> Option<i64> {
        match self.setting.map(|setting| &setting.kind) {
            Some(Kind::Integer(least, most, _)) => self.integer(findings, *least, *most),
            _ => self.integer(findings, i64::MIN, i64::MAX),
        }
    }

    /// The number of a key of a section, within its range.
    pub(super) fn number(&self, findings: &mut Findings<'_>) -> Option<f64> {
        let (least, most) = match self.setting.map(|setting| &setting.kind) {
            Some(Kind::Number(least, most, _)) => (*least, *most),
            _ => (f64::MIN, f64::MAX),
        };
        let given = match self.value.get_ref() {
            DeValue::Integer(integer) => number(integer)
                .and_then(|integer| i32::try_from(integer).ok())
                .map(f64::from),
            DeValue::Float(float) => float.as_str().replace('_', "").parse().ok(),
            _ => {
                if !self.number_in_quotes(findings, "a number") {
                    let example = self.setting.map_or("1", |setting| setting.example);
                    self.wrong(findings, "a number", example);
                }
                return None;
            }
        };
        let given = given.filter(|number| (least..=most).contains(number));
        if given.is_none() {
            self.out_of_range(findings, &least.to_string(), &most.to_string());
        }
        given
    }

    /// An integer, in decimal, or a string, and its place.
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

    /// One string, or a list of at least one.
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

    /// A list of at least one string.
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
            DeValue::Table(table) => {
                let secret = matches!(self.key, "headers" | "env");
                Some(Table::new(table, self.key_span(), None, secret))
            }
            _ => {
                let message = format!("{}: expected a table", self.invalid(findings));
                findings.push(
                    Diagnostic::error(self.key_span(), message).remedy(format!("write {example}")),
                );
                None
            }
        }
    }

    /// A table with the keys of a section.
    pub(super) fn section(
        &self,
        findings: &mut Findings<'_>,
        section: &'static Section,
    ) -> Option<Table<'t>> {
        let table = self.table(findings, section.header)?;
        Some(table.with(section))
    }

    /// A list of tables with the keys of a section. One table is a mistake, and read as a list of one, so that the
    /// mistakes inside of it are found too.
    pub(super) fn sections(
        &self,
        findings: &mut Findings<'_>,
        section: &'static Section,
        header: &str,
    ) -> Vec<Table<'t>> {
        let list = self.value.get_ref().as_array().and_then(|array| {
            let tables = array.iter().map(|element| {
                let table = element.get_ref().as_table()?;
                Some(Table::new(
                    table,
                    start_of(element.span()),
                    Some(section),
                    false,
                ))
            });
            tables.collect::<Option<Vec<_>>>()
        });
        let single = self.value.get_ref().as_table();
        let message = match (&list, single) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(format!(
                "[{header}] is one table: expected a list of tables"
            )),
            (None, None) => Some(format!(
                "{}: expected a list of tables",
                self.invalid(findings)
            )),
        };
        if let Some(message) = message {
            findings.push(
                Diagnostic::error(self.key_span(), message).remedy(format!("write [[{header}]]")),
            );
        }
        list.unwrap_or_else(|| {
            let table =
                single.map(|table| Table::new(table, self.key_span(), Some(section), false));
            table.into_iter().collect()
        })
    }
}

/// The value of an integer, in any base; `None` if it is too large.
fn number(integer: &DeInteger<'_>) -> Option<i64> {
    let digits = integer.as_str().replace('_', "");
    i64::from_str_radix(&digits, integer.radix()).ok()
}

/// The place of a table in a list: its span can cover all its lines.
fn start_of(span: Range<usize>) -> Range<usize> {
    span.start..span.start.max(span.end.min(span.start + 1))
}

fn display(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
