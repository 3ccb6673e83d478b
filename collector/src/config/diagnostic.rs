//! Errors and warnings about the configuration, as people like them: where, what, the line with a caret
//! under it, and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used, and probably not what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    /// How bad it is.
    pub(super) severity: Severity,
    /// Bytes of the file.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What would be right.
    pub(super) remedy: Option<String>,
    /// Whether it may only follow from a part of the file that could not be read.
    pub(super) consequence: bool,
}

impl Diagnostic {
    pub(super) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            span,
            message: message.into(),
            remedy: None,
            consequence: false,
        }
    }

    pub(super) fn warning(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn consequence(mut self) -> Self {
        self.consequence = true;
        self
    }

    /// The finding as text, over `text`, the content of `file`.
    fn render(&self, file: &Path, text: &str) -> String {
        let place = Place::of(text, self.span.start);
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut shown = format!(
            "{}:{}:{}: {severity}: {}\n",
            file.display(),
            place.line,
            place.column,
            self.message
        );
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let before = place.text.get(..place.offset).unwrap_or_default();
        // Tabs stay tabs, so that the caret stands under what it means.
        let indent: String = before
            .chars()
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let covered = place.text.get(place.offset..).unwrap_or_default();
        let length = self.span.len().min(covered.len());
        let carets = covered
            .get(..length)
            .map_or(1, |covered| covered.chars().count())
            .max(1);
        shown.push_str(&format!("{number} | {}\n", place.text));
        shown.push_str(&format!("{margin} | {indent}{}\n", "^".repeat(carets)));
        if let Some(remedy) = &self.remedy {
            shown.push_str(&format!("{margin} = {remedy}\n"));
        }
        shown
    }
}

/// A place in a text, for people.
pub(super) struct Place<'t> {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// The whole line, without its end.
    pub(super) text: &'t str,
    /// Of the place within the line, in bytes.
    offset: usize,
}

impl<'t> Place<'t> {
    pub(super) fn of(text: &'t str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(start..).unwrap_or_default().chars().count() + 1,
            text: line,
            offset: (at - start).min(line.len()),
        }
    }
}

/// Everything found in a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The findings, rendered.
    pub rendered: Vec<String>,
    /// How many of them are errors.
    pub errors: usize,
}

impl Report {
    pub(super) fn new(file: &Path, text: &str, mut findings: Vec<Diagnostic>) -> Self {
        findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        findings.dedup();
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        let rendered = findings
            .iter()
            .map(|finding| finding.render(file, text))
            .collect();
        Self { rendered, errors }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.rendered {
            f.write_str(finding)?;
        }
        Ok(())
    }
}
