//! Faults of an installation and their fixes: facts in, findings out. Pure; `cli/doctor.rs` reads files, asks
//! programs and connects.
//!
//! Facts come from other programs and from the network. Every text goes through [`Finding`], which makes it short
//! and printable.

pub mod directory;
pub mod haproxy;
pub mod host;
pub mod http_probe;
pub mod listener;
pub mod probe;
pub mod sandbox;
pub mod systemd;
pub mod xinetd;

use crate::render::text::counted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest text of a finding, in characters.
const MAX_TEXT: usize = 400;

/// The largest number of findings of one subject and severity that are reported one by one.
const MAX_ALIKE: usize = 40;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Correct.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, but probably not as the operator wants, or not for long.
    Warning,
    /// It does not work.
    Error,
}

impl Severity {
    /// The word in the report.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How serious it is.
    pub severity: Severity,
    /// Its subject: `configuration`, `source`, `haproxy` and so on.
    pub about: String,
    /// The fact, on one line.
    pub what: String,
    /// What to do, on one line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

impl Finding {
    fn new(severity: Severity, about: &str, what: &str, remedy: Option<&str>) -> Self {
        Self {
            severity,
            about: printable(about),
            what: printable(what),
            remedy: remedy.map(printable),
        }
    }

    /// Something correct.
    #[must_use]
    pub fn ok(about: &str, what: impl AsRef<str>) -> Self {
        Self::new(Severity::Ok, about, what.as_ref(), None)
    }

    /// Something worth knowing.
    #[must_use]
    pub fn note(about: &str, what: impl AsRef<str>) -> Self {
        Self::new(Severity::Note, about, what.as_ref(), None)
    }

    /// Something that the operator probably does not want, and what to do.
    #[must_use]
    pub fn warning(about: &str, what: impl AsRef<str>, remedy: impl AsRef<str>) -> Self {
        Self::new(
            Severity::Warning,
            about,
            what.as_ref(),
            Some(remedy.as_ref()),
        )
    }

    /// Something that does not work, and what to do.
    #[must_use]
    pub fn error(about: &str, what: impl AsRef<str>, remedy: impl AsRef<str>) -> Self {
        Self::new(Severity::Error, about, what.as_ref(), Some(remedy.as_ref()))
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(printable(remedy.as_ref()));
        self
    }

    /// Makes the texts of a finding from another process short and printable again.
    #[must_use]
    pub fn received(&self) -> Self {
        Self::new(
            self.severity,
            &self.about,
            &self.what,
            self.remedy.as_deref(),
        )
    }
}

/// Text on one line, of bounded length, without characters that steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut line: String = text.trim().chars().take(MAX_TEXT).collect();
    line = crate::render::text::printable(&line);
    if text.trim().chars().nth(MAX_TEXT).is_some() {
        line.push_str(" ...");
    }
    line
}

/// All findings of one run, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// The number of errors, with those that are not in `findings`.
    pub errors: usize,
    /// The number of warnings, with those that are not in `findings`.
    pub warnings: usize,
}

impl Report {
    /// Keeps the first forty findings of each subject and severity, and counts the others.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        let count = |severity| {
            let alike = findings
                .iter()
                .filter(|finding| finding.severity == severity);
            alike.count()
        };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let mut seen: BTreeMap<(String, Severity), usize> = BTreeMap::new();
        let mut kept = Vec::new();
        for finding in findings {
            let alike = seen
                .entry((finding.about.clone(), finding.severity))
                .or_default();
            *alike += 1;
            if *alike <= MAX_ALIKE {
                kept.push(finding);
            }
        }
        for ((about, severity), alike) in seen {
            if alike > MAX_ALIKE {
                let what = format!("and {} more of this kind", alike - MAX_ALIKE);
                kept.push(Finding::new(severity, &about, &what, None));
            }
        }
        Self {
            findings: kept,
            errors,
            warnings,
        }
    }

    /// Whether there is no error and no warning.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.errors == 0 && self.warnings == 0
    }

    /// The report as text: a line for each finding, an indented line for its remedy, and a line with the counts.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let word = finding.severity.word();
            text.push_str(&format!("{word:<8}{}: {}\n", finding.about, finding.what));
            if let Some(remedy) = &finding.remedy {
                text.push_str(&format!("        {remedy}\n"));
            }
        }
        let (errors, warnings) = (
            counted(self.errors, "error"),
            counted(self.warnings, "warning"),
        );
        text.push_str(&format!("agentcheck doctor: {errors}, {warnings}\n"));
        text
    }

    /// The report as one JSON object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_other_programs_does_not_steer_the_terminal() {
        let hostile = "\u{1b}[2J\u{7}red\nok forged: line\r\u{9b}31m \u{202e}back";
        let finding = Finding::error("haproxy", hostile, hostile);
        let report = Report::new(vec![finding.clone()]);
        for text in [report.text(), report.json()] {
            assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}', '\r']));
        }
        assert_eq!(report.text().lines().count(), 3, "{}", report.text());
        let smuggled = Finding {
            what: hostile.to_owned(),
            ..finding.clone()
        };
        assert_eq!(smuggled.received(), finding);
        assert!(printable(&"x".repeat(100_000)).len() < 500);
    }

    #[test]
    fn similar_findings_are_bounded_and_counted() {
        let findings = (0..1000)
            .map(|number| Finding::warning("source", format!("{number}"), "look"))
            .collect();
        let report = Report::new(findings);
        assert_eq!(report.findings.len(), MAX_ALIKE + 1);
        assert_eq!(report.warnings, 1000);
        assert!(!report.is_healthy());
        assert!(report.text().contains("and 960 more of this kind"));
    }

    #[test]
    fn notes_do_not_make_a_report_unhealthy() {
        let report = Report::new(vec![Finding::ok("a", "b"), Finding::note("c", "d")]);
        assert!(report.is_healthy());
        assert_eq!(
            report.text(),
            "ok      a: b\nnote    c: d\nagentcheck doctor: 0 errors, 0 warnings\n"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["findings"][1]["severity"], "note");
        assert_eq!(json["errors"], 0);
    }
}
