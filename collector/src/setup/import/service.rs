//! A service as it comes out, with what is to be said beside it, and the trial of a single expression.

use super::refused;
use super::toml_writer::{Output, string};

/// What a person has to know.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Note {
    /// There is something like it here, and it does something else.
    Differs(String),
    /// There is nothing like it here.
    NotMoved(String),
    /// It is the same here, and may not be what was meant.
    Mind(String),
    /// What it is, or where it is from.
    Plain(String),
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ImportedReply {
    /// `reply`
    Word(&'static str),
    /// `line`
    Line(String),
}

impl ImportedReply {
    /// The value of `stale` or `on_failure`.
    pub(super) fn value(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Line(line) => line,
        }
    }
}

/// `[[service.NAME.rule]]`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) when: String,
    pub(super) say: ImportedReply,
    pub(super) notes: Vec<Note>,
}

/// `[service.NAME]`
#[derive(Clone, Debug, Default)]
pub(super) struct ImportedService {
    pub(super) name: String,
    /// Keys and values in TOML, in the order in which they are written.
    pub(super) keys: Vec<(&'static str, String)>,
    pub(super) rules: Vec<Rule>,
    pub(super) notes: Vec<Note>,
}

impl ImportedService {
    pub(super) fn differs(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Differs(text.into()));
    }

    pub(super) fn not_moved(&mut self, text: impl Into<String>) {
        self.notes.push(Note::NotMoved(text.into()));
    }

    pub(super) fn mind(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Mind(text.into()));
    }

    /// A rule, unless one with the same condition comes before it: that one decides.
    pub(super) fn rule(&mut self, rule: Rule) {
        match self.rules.iter().find(|known| known.when == rule.when) {
            Some(known) => {
                let text = format!(
                    "a rule {}: rule {} has the same condition and comes first.",
                    rule.name, known.name
                );
                self.not_moved(text);
            }
            None => self.rules.push(rule),
        }
    }

    pub(super) fn write(&self, output: &mut Output) {
        output.gap();
        for note in &self.notes {
            write_note(note, output);
        }
        output.table("service", &self.name, "");
        for (key, value) in &self.keys {
            output.raw(key, value);
        }
        for rule in &self.rules {
            output.gap();
            for note in &rule.notes {
                write_note(note, output);
            }
            output.table("[service", &self.name, ".rule]");
            output.string("name", &rule.name);
            output.string("when", &rule.when);
            match &rule.say {
                ImportedReply::Word(word) => output.string("reply", word),
                ImportedReply::Line(line) => output.string("raw_reply", line),
            }
        }
    }
}

pub(super) fn write_note(note: &Note, output: &mut Output) {
    match note {
        Note::Differs(text) => output.differs(text),
        Note::NotMoved(text) => output.not_moved(text),
        Note::Mind(text) => output.mind(text),
        Note::Plain(text) => output.comment(text),
    }
}

/// Why `weight` over `sources`, tables in TOML, would not load.
pub(super) fn weight_refused(sources: &str, weight: &str) -> Option<String> {
    let weight = string(weight);
    refused(&format!("{sources}\n[service.s]\nweight = {weight}\n"))
}

/// Why a condition over `sources` would not load.
pub(super) fn condition_refused(sources: &str, when: &str) -> Option<String> {
    let when = string(when);
    refused(&format!(
        "{sources}\n[[service.s.rule]]\nname = \"r\"\nwhen = {when}\nreply = \"full\"\n"
    ))
}
