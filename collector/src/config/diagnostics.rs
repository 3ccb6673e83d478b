//! Errors and warnings about the configuration, as people like them: where, what, the line with a caret
//! under it, and what would be right.

use super::files::Files;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used, and probably not what was meant.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    /// How bad it is.
    pub(super) severity: Severity,
    /// Bytes of the text of all files.
    pub(super) span: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What would be right.
    pub(super) remedy: Option<String>,
    /// Whether it may only follow from a part of a file that could not be read.
    pub(super) consequence: bool,
}

impl Diagnostic {
    pub(crate) fn error(span: Range<usize>, message: impl Into<String>) -> Self {
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

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn consequence(mut self) -> Self {
        self.consequence = true;
        self
    }

    /// The finding as text, about a place in one of `files`.
    fn render(&self, files: &Files) -> String {
        let (file, text, start) = files.of(self.span.start);
        let place = Place::of(text, self.span.start.saturating_sub(start));
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut shown = format!(
            "{}:{}:{}: {severity}: {}\n",
            file.display(),
            place.line,
            place.column,
            one_line(&self.message)
        );
        let number = place.line.to_string();
        let margin = " ".repeat(number.len());
        let excerpt = place.excerpt(self.span.len());
        shown.push_str(&format!("{number} | {}\n", excerpt.text));
        shown.push_str(&format!("{margin} | {}\n", excerpt.carets));
        if let Some(remedy) = &self.remedy {
            shown.push_str(&format!("{margin} = {}\n", one_line(remedy)));
        }
        shown
    }
}

/// What is wrong with a file as such, as text: there is no line to show.
pub(super) fn of_file(path: &Path, wrong: &str, remedy: Option<&str>) -> String {
    let path = path.display().to_string();
    let mut shown = format!("{}: error: {}\n", one_line(&path), one_line(wrong));
    if let Some(remedy) = remedy {
        shown.push_str(&format!("  = {}\n", one_line(remedy)));
    }
    shown
}

/// Names and values of the file are in what is said of it, and `"a\nb"` has the end of a line in it.
fn one_line(text: &str) -> String {
    crate::render::text::one_line(text, usize::MAX)
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

/// As much of a line as fits a screen.
const WIDTH: usize = 120;

/// How much of it stands before the place that is meant, in a line that does not fit.
const BEFORE: usize = 40;

/// A line and what marks a place in it.
struct Excerpt {
    text: String,
    carets: String,
}

impl Place<'_> {
    /// The line, or the part of it around the place, with carets under the next `length` bytes.
    fn excerpt(&self, length: usize) -> Excerpt {
        let before = self.text.get(..self.offset).unwrap_or_default();
        let covered = self.text.get(self.offset..).unwrap_or_default();
        let covered = covered.get(..length.min(covered.len())).unwrap_or_default();
        let whole = self.text.chars().count();
        let column = before.chars().count();
        let (skipped, cut) = match whole {
            0..=WIDTH => (0, false),
            _ => (column.saturating_sub(BEFORE), true),
        };
        let mut text: String = self.text.chars().skip(skipped).take(WIDTH).collect();
        let mut indent: String = before
            .chars()
            .skip(skipped)
            // Tabs stay tabs, so that the caret stands under what it means.
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let room = WIDTH - (column - skipped);
        if skipped > 0 {
            text.insert_str(0, "... ");
            indent.insert_str(0, "    ");
        }
        if cut && whole > skipped + WIDTH {
            text.push_str(" ...");
        }
        let carets = covered.chars().count().clamp(1, room.max(1));
        Excerpt {
            text,
            carets: format!("{indent}{}", "^".repeat(carets)),
        }
    }
}

/// Everything found in a configuration, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The findings, rendered.
    pub rendered: Vec<String>,
    /// How many of them are errors.
    pub errors: usize,
}

impl Report {
    /// The first line of each finding, which says it all; the rest is for a terminal.
    pub fn headlines(&self) -> impl Iterator<Item = &str> {
        let rendered = self.rendered.iter();
        rendered.map(|finding| finding.lines().next().unwrap_or_default())
    }

    pub(crate) fn new(files: &Files, mut findings: Vec<Diagnostic>) -> Self {
        findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        findings.dedup();
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        // What is wrong with a file itself comes before what is found in it.
        let mut rendered = Vec::new();
        let mut wrong = files.wrong.iter().peekable();
        for finding in &findings {
            let number = files.number(finding.span.start);
            while let Some((_, told)) = wrong.next_if(|(before, _)| *before <= number) {
                rendered.push(told.clone());
            }
            rendered.push(finding.render(files));
        }
        rendered.extend(wrong.map(|(_, told)| told.clone()));
        Self {
            rendered,
            errors: errors + files.wrong.len(),
        }
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
