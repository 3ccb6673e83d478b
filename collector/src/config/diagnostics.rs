//! Errors and warnings about the configuration: the place, the message, the line with a caret under the mistake,
//! and the correct form.

use super::files::{FileFault, Files, Position};
use crate::render::text::is_printable;
use std::fmt;
use std::ops::Range;

/// How a finding affects the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is used, and probably not as intended.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(super) severity: Severity,
    /// Bytes of the text of all files.
    pub(super) span: Range<usize>,
    /// The mistake, in one line.
    pub(super) message: String,
    /// The correct form.
    pub(super) remedy: Option<String>,
    /// Whether it can result from a part of a file that is itself not readable.
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
        let position = files.position(self.span.start);
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut rendered = format!(
            "{}:{}:{}: {severity}: {}\n",
            one_line(&position.file.display().to_string()),
            position.line,
            position.column,
            one_line(&self.message)
        );
        let number = position.line.to_string();
        let margin = " ".repeat(number.len());
        let excerpt = excerpt(&position, self.span.len());
        rendered.push_str(&format!("{number} | {}\n", excerpt.text));
        rendered.push_str(&format!("{margin} | {}\n", excerpt.carets));
        if let Some(remedy) = &self.remedy {
            rendered.push_str(&format!("{margin} = {}\n", one_line(remedy)));
        }
        rendered
    }
}

/// A finding about a file itself, as text, without a line.
fn of_file(fault: &FileFault) -> String {
    let path = fault.path.display().to_string();
    let mut rendered = format!("{}: error: {}\n", one_line(&path), one_line(&fault.message));
    if let Some(remedy) = &fault.remedy {
        rendered.push_str(&format!("  = {}\n", one_line(remedy)));
    }
    rendered
}

/// The longest message, in characters: it contains names and values of the file.
const MOST_CHARACTERS: usize = 1000;

/// A message in one line: values of the file can contain line ends.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for character in text.chars().take(MOST_CHARACTERS) {
        if is_printable(character) {
            line.push(character);
        } else {
            line.extend(character.escape_debug());
        }
    }
    if text.chars().nth(MOST_CHARACTERS).is_some() {
        line.push_str("...");
    }
    line
}

/// The longest excerpt of a line, in characters.
const WIDTH: usize = 120;

/// How many characters of a longer line precede the place.
const BEFORE: usize = 40;

/// A line and the marks under it.
struct Excerpt {
    text: String,
    carets: String,
}

/// The line, or the part of it around the place, with carets under the next `length` bytes.
fn excerpt(position: &Position<'_>, length: usize) -> Excerpt {
    let line = position.text;
    let before = line.get(..position.offset).unwrap_or_default();
    let covered = line.get(position.offset..).unwrap_or_default();
    let covered = covered.get(..length.min(covered.len())).unwrap_or_default();
    let whole = line.chars().count();
    let column = before.chars().count();
    let (skipped, cut) = match whole {
        0..=WIDTH => (0, false),
        _ => (column.saturating_sub(BEFORE), true),
    };
    // One character for each, so that the carets stay below the mistake.
    let visible = |c: char| if c == '\t' || is_printable(c) { c } else { '?' };
    let part = line.chars().skip(skipped).take(WIDTH);
    let mut text: String = part.map(visible).collect();
    let mut indent: String = before
        .chars()
        .skip(skipped)
        // A tab remains a tab, so that the caret is under the mistake.
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

/// How many findings a report renders at most: the first ones of the files. Together with the limits of a message
/// and of an excerpt, this bounds a report to 2 MiB.
const MOST_FINDINGS: usize = 1000;

/// The findings of a configuration, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The findings as text; the last line counts those that are not rendered.
    pub rendered: Vec<String>,
    /// Which of them are warnings, by index.
    pub warnings: Vec<usize>,
    /// The number of errors.
    pub errors: usize,
}

impl Report {
    /// The first line of each finding: it is complete by itself.
    pub fn headlines(&self) -> impl Iterator<Item = &str> {
        let rendered = self.rendered.iter();
        rendered.map(|finding| finding.lines().next().unwrap_or_default())
    }

    pub(crate) fn new(files: &Files, mut findings: Vec<Diagnostic>) -> Self {
        findings.sort_by(|one, other| {
            let key = |finding: &Diagnostic| (finding.span.start, finding.span.end);
            key(one).cmp(&key(other))
        });
        findings.dedup();
        let errors = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        // Errors come first where not all findings fit.
        let all = findings.len();
        if all > MOST_FINDINGS {
            let mut room = MOST_FINDINGS.min(errors);
            let mut rest = MOST_FINDINGS - room;
            findings.retain(|finding| {
                let left = match finding.severity {
                    Severity::Error => &mut room,
                    Severity::Warning => &mut rest,
                };
                let kept = *left > 0;
                *left = left.saturating_sub(1);
                kept
            });
        }
        // Findings about a file itself precede those inside of it.
        let (mut rendered, mut warnings) = (Vec::new(), Vec::new());
        let mut wrong = files.wrong.iter().peekable();
        for finding in &findings {
            let number = files.number(finding.span.start);
            while let Some((_, fault)) = wrong.next_if(|(before, _)| *before <= number) {
                rendered.push(of_file(fault));
            }
            if finding.severity == Severity::Warning {
                warnings.push(rendered.len());
            }
            rendered.push(finding.render(files));
        }
        rendered.extend(wrong.map(|(_, fault)| of_file(fault)));
        if all > findings.len() {
            rendered.push(format!(
                "{} more findings are not shown\n",
                all - findings.len()
            ));
        }
        Self {
            rendered,
            warnings,
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
