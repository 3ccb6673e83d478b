//! The imported service, the notes beside it, and a trial load of single expressions.

use super::load_error;
use super::toml_writer::{Output, string};

/// The value of a key that a person has to decide. `agentcheck check` refuses it.
pub(super) const UNDECIDED: &str = "DECIDE";

/// A condition that is always true: no rule after it is reached.
pub(super) const ALWAYS: &str = "true";

/// A comment for the reader of the new file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Note {
    /// There is no translation, and a decision depends on it: the file does not load as it is.
    Undecided(String),
    /// agentcheck has this, and it behaves differently.
    Differs(String),
    /// agentcheck has no equivalent.
    NotMoved(String),
    /// It behaves the same, and is perhaps not what the operator wants.
    Mind(String),
    /// An explanation.
    Plain(String),
}

/// The reply of a rule.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ImportedReply {
    /// `reply`
    State(&'static str),
    /// `raw_reply`
    Raw(String),
    /// No reply of a rule does the same.
    Undecided,
}

impl ImportedReply {
    /// The value of `on_stale` or `on_failure`.
    pub(super) fn value(&self) -> &str {
        match self {
            Self::State(state) => state,
            Self::Raw(line) => line,
            Self::Undecided => UNDECIDED,
        }
    }
}

/// `[[service.NAME.rule]]`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub(super) name: String,
    /// An expression, or [`UNDECIDED`].
    pub(super) when: String,
    pub(super) reply: ImportedReply,
    pub(super) notes: Vec<Note>,
}

impl Rule {
    /// Whether its condition or its reply has no translation.
    pub(super) fn is_undecided(&self) -> bool {
        self.when == UNDECIDED || self.reply == ImportedReply::Undecided
    }

    fn lines(&self, service: &str) -> Vec<String> {
        let key = match self.reply {
            ImportedReply::Raw(_) => "raw_reply",
            ImportedReply::State(_) | ImportedReply::Undecided => "reply",
        };
        let mut header = Output::default();
        header.table("[service", service, ".rule]");
        vec![
            header.finish().trim_end().to_owned(),
            format!("name = {}", string(&self.name)),
            format!("when = {}", string(&self.when)),
            format!("{key} = {}", string(self.reply.value())),
        ]
    }
}

/// `[service.NAME]`
#[derive(Clone, Debug, Default)]
pub(super) struct ImportedService {
    pub(super) name: String,
    /// Keys with values in TOML, in the order of the file. They apply to all decisions of the rules.
    pub(super) keys: Vec<(&'static str, String)>,
    /// Keys with values in TOML that apply only where no rule decides: the weight, and the reply to a failure.
    pub(super) last_keys: Vec<(&'static str, String)>,
    pub(super) rules: Vec<Rule>,
    pub(super) notes: Vec<Note>,
}

impl ImportedService {
    pub(super) fn undecided(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Undecided(text.into()));
    }

    pub(super) fn differs(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Differs(text.into()));
    }

    pub(super) fn not_moved(&mut self, text: impl Into<String>) {
        self.notes.push(Note::NotMoved(text.into()));
    }

    pub(super) fn mind(&mut self, text: impl Into<String>) {
        self.notes.push(Note::Mind(text.into()));
    }

    /// The weight has no translation; `why` ends without a full stop.
    pub(super) fn undecided_weight(&mut self, why: &str) {
        self.undecided(format!("{why}. Write the weight, or delete it for 100%."));
        self.last_keys.push(("weight", string(UNDECIDED)));
    }

    /// Adds a rule, unless an earlier rule with the same condition decides.
    pub(super) fn rule(&mut self, rule: Rule) {
        let same = |known: &&Rule| known.when == rule.when && rule.when != UNDECIDED;
        match self.rules.iter().find(same) {
            Some(known) => {
                let text = format!(
                    "rule {}: rule {} has the same condition and comes first.",
                    rule.name, known.name
                );
                self.not_moved(text);
            }
            None => self.rules.push(rule),
        }
    }

    /// How many rules and keys a person has to decide.
    pub(super) fn count_undecided(&self) -> usize {
        let rules = self.rules.iter().filter(|rule| rule.is_undecided());
        let open = string(UNDECIDED);
        rules.count()
            + self
                .last_keys
                .iter()
                .filter(|(_, value)| *value == open)
                .count()
    }

    /// Writes the service. What depends on an undecided rule, and rules after one that is always true, become
    /// comments.
    pub(super) fn write(&self, output: &mut Output) {
        output.gap();
        for note in &self.notes {
            write_note(note, output);
        }
        output.table("service", &self.name, "");
        let blocked = self.rules.iter().any(Rule::is_undecided);
        if blocked && !self.last_keys.is_empty() {
            output.comment(
                "These depend on the undecided rule below. Remove the # when you have decided:",
            );
        }
        for (key, value) in &self.last_keys {
            match blocked {
                true => output.commented(&format!("{key} = {value}")),
                false => output.raw(key, value),
            }
        }
        for (key, value) in &self.keys {
            output.raw(key, value);
        }
        let mut before: Option<&Rule> = None;
        for rule in &self.rules {
            output.gap();
            for note in &rule.notes {
                write_note(note, output);
            }
            match before {
                Some(undecided) if undecided.is_undecided() => output.comment(&format!(
                    "It depends on rule {}. Remove the # when you have decided:",
                    undecided.name
                )),
                Some(always) => output.comment(&format!(
                    "Rule {} always decides. When you remove it, remove the # here:",
                    always.name
                )),
                None => {}
            }
            for line in rule.lines(&self.name) {
                match before {
                    Some(_) => output.commented(&line),
                    None => output.line(&line),
                }
            }
            if rule.is_undecided() || rule.when == ALWAYS {
                before.get_or_insert(rule);
            }
        }
    }
}

pub(super) fn write_note(note: &Note, output: &mut Output) {
    match note {
        Note::Undecided(text) => output.undecided(text),
        Note::Differs(text) => output.differs(text),
        Note::NotMoved(text) => output.not_moved(text),
        Note::Mind(text) => output.mind(text),
        Note::Plain(text) => output.comment(text),
    }
}

/// Why a weight over `sources`, tables in TOML, does not load; `None` where it loads.
pub(super) fn weight_error(sources: &str, weight: &str) -> Option<String> {
    let weight = string(weight);
    load_error(&format!("{sources}\n[service.s]\nweight = {weight}\n"))
}

/// Why a condition over `sources` does not load; `None` where it loads.
pub(super) fn condition_error(sources: &str, when: &str) -> Option<String> {
    let when = string(when);
    load_error(&format!(
        "{sources}\n[[service.s.rule]]\nname = \"r\"\nwhen = {when}\nreply = \"full\"\n"
    ))
}
