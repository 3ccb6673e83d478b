//! A table of which keys are taken one by one, and the report of those that remain.

use super::super::diagnostics::Diagnostic;
use super::super::settings::{Kind, Section, Setting};
use super::{Entry, Findings, Text};
use crate::expression::closest;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;

/// A table whose keys are taken one by one; the rest is unknown.
pub(in super::super) struct Table<'t> {
    /// The place of its name.
    pub(in super::super) span: Range<usize>,
    entries: Vec<Entry<'t>>,
    section: Option<&'static Section>,
}

impl<'t> Table<'t> {
    pub(in super::super) fn new(
        table: &'t DeTable<'t>,
        span: Range<usize>,
        section: Option<&'static Section>,
        secret: bool,
    ) -> Self {
        let entries = table
            .iter()
            // The parser puts an empty value in the place of one with a syntax error, which it reports.
            .filter(|(_, value)| value.get_ref().is_table() || !value.span().is_empty())
            .map(|(key, value)| {
                let span = key.span();
                let key: &str = key.get_ref().as_ref();
                Entry {
                    key,
                    key_start: span.start,
                    key_end: span.end,
                    value,
                    setting: section.and_then(|section| section.setting(key)),
                    secret,
                }
            })
            .collect();
        Self {
            span,
            entries,
            section,
        }
    }

    /// The same table, with the keys of `section`.
    pub(in super::super) fn with(mut self, section: &'static Section) -> Self {
        self.section = Some(section);
        for entry in &mut self.entries {
            entry.setting = section.setting(entry.key);
        }
        self
    }

    fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.section.and_then(|section| section.setting(key))
    }

    /// Takes a key.
    pub(in super::super) fn take(&mut self, key: &str) -> Option<Entry<'t>> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Takes the string of a key.
    pub(in super::super) fn text(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
    ) -> Option<Text> {
        self.take(key)?.string(findings)
    }

    /// Takes a duration; the default if there is none.
    pub(in super::super) fn duration(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
    ) -> Duration {
        let default = self.setting(key).and_then(Setting::default_duration);
        let given = self
            .take(key)
            .and_then(|entry| entry.span_of_time(findings));
        given.or(default).unwrap_or_default()
    }

    /// Takes an integer.
    pub(in super::super) fn integer(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
    ) -> Option<i64> {
        self.take(key)?.count(findings)
    }

    /// Takes a number; the default if there is none.
    pub(in super::super) fn number(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
    ) -> Option<f64> {
        match self.take(key) {
            Some(entry) => entry.number(findings),
            None => self.setting(key)?.default_number(),
        }
    }

    /// Takes one of the words of a key; `values` are in the order of the words.
    pub(in super::super) fn choice<T, const N: usize>(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
        values: [T; N],
    ) -> Option<T> {
        let entry = self.take(key)?;
        let Kind::Words(words) = &entry.setting?.kind else {
            return None;
        };
        let at = entry.word(findings, words)?;
        values.into_iter().nth(at)
    }

    /// The place of a key that has not been taken.
    pub(in super::super) fn span_of(&self, key: &str) -> Option<Range<usize>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(entry.key_span())
    }

    /// The place of the value of such a key.
    pub(in super::super) fn value_span_of(&self, key: &str) -> Option<Range<usize>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(entry.span())
    }

    /// Takes a required key.
    pub(in super::super) fn need(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
        example: &str,
    ) -> Option<Entry<'t>> {
        let entry = self.take(key);
        if entry.is_none() {
            findings.push(
                Diagnostic::error(self.span.clone(), format!("missing key {key:?}"))
                    .remedy(format!("add {key} = {example}"))
                    .consequence(),
            );
        }
        entry
    }

    /// Takes a required key of a section.
    pub(in super::super) fn required(
        &mut self,
        findings: &mut Findings<'_>,
        key: &str,
    ) -> Option<Entry<'t>> {
        let example = self.setting(key).map_or("...", |setting| setting.example);
        self.need(findings, key, example)
    }

    /// Takes the remaining keys, in the order of the files.
    pub(in super::super) fn take_all(&mut self) -> Vec<Entry<'t>> {
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_by_key(|entry| entry.key_start);
        entries
    }

    /// Reports the remaining keys as unknown. `known` are the keys of this table.
    fn finish(self, findings: &mut Findings<'_>, known: &[&str]) {
        let header = self.section.map_or("this table", |section| section.header);
        let synonyms = self.section.map_or(&[][..], |section| section.synonyms);
        for entry in self.entries {
            let key = entry.key;
            let synonym = synonyms.iter().find(|(other, _)| *other == key);
            let (message, remedy) = match (synonym, closest(key, known.iter().copied())) {
                (Some((_, instead)), _) => (format!("unknown key {key:?}; write {instead}"), None),
                (None, Some(meant)) => (
                    format!("unknown key {key:?}; did you mean {meant:?}?"),
                    None,
                ),
                (None, None) => {
                    let keys = known.join(", ");
                    (
                        format!("unknown key {key:?}"),
                        Some(format!("the keys of {header} are {keys}")),
                    )
                }
            };
            let mut finding = Diagnostic::error(entry.key_span(), message);
            finding.remedy = remedy;
            findings.push(finding);
        }
    }

    /// Reports the remaining keys as unknown in this section.
    pub(in super::super) fn close(self, findings: &mut Findings<'_>) {
        let known: Vec<&str> = match self.section {
            Some(section) => section.keys().collect(),
            None => Vec::new(),
        };
        self.finish(findings, &known);
    }
}
