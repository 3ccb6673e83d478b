//! What is wrong with an installation, and what to do about it: facts in, findings out. Pure; who looks,
//! asks and connects is `cli/doctor.rs`.
//!
//! Facts come from other programs and from the network, so every text goes through [`Finding`], which keeps
//! it short and printable.

pub mod directory;
pub mod haproxy;
pub mod host;
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

/// How many findings of one kind and severity are told one by one.
const MAX_ALIKE: usize = 40;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, and probably not as it was meant, or not for long.
    Warning,
    /// It does not work.
    Error,
}

impl Severity {
    /// The word that is shown.
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

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: `configuration`, `source`, `haproxy` and so on.
    pub about: String,
    /// What was found, on one line.
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

    /// Something that is as it should be.
    #[must_use]
    pub fn ok(about: &str, what: impl AsRef<str>) -> Self {
        Self::new(Severity::Ok, about, what.as_ref(), None)
    }

    /// Something worth knowing.
    #[must_use]
    pub fn note(about: &str, what: impl AsRef<str>) -> Self {
        Self::new(Severity::Note, about, what.as_ref(), None)
    }

    /// Something that is probably not meant, and what to do.
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

    /// The same with what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(printable(remedy.as_ref()));
        self
    }

    /// The same after a way through another process: its texts are not taken on trust.
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

/// Text that cannot steer a terminal, on one line, of bounded length.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown: String = text.trim().chars().take(MAX_TEXT).collect();
    shown = crate::render::text::printable(&shown);
    if text.trim().chars().nth(MAX_TEXT).is_some() {
        shown.push_str(" ...");
    }
    shown
}

/// All findings of one look, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
    /// How many errors there were, the ones that are not told one by one included.
    pub errors: usize,
    /// How many warnings there were, likewise.
    pub warnings: usize,
}

impl Report {
    /// Of findings alike the first forty are kept, and how many more there were.
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

    /// Whether nothing is wrong: no error and no warning.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.errors == 0 && self.warnings == 0
    }

    /// One line for each finding, an indented one for what to do, and one for the whole.
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

    /// The same for programs: one object on one line.
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
    fn what_others_say_steers_no_terminal() {
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
    fn findings_alike_are_bounded_and_still_counted() {
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
    fn notes_are_healthy() {
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
