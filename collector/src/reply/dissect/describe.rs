//! Describes a dissection in lines: the words, what HAProxy changes and shows, and what to know about the line.

use super::{DissectedWord, Dissection, Effect, End, Meaning, Reader, Weight, dissect};
use crate::reply::haproxy_versions::{FactId, fact};
use agentcheck_common::reply::{AdministrativeState, MAX_LINE, OperationalState};

/// The bytes of a description that HAProxy keeps in its statistics, about.
const KEPT_TEXT: usize = 108;

/// What HAProxy does with these bytes: a label and a text for each line. The texts contain bytes of the agent: make
/// them printable.
#[must_use]
pub fn describe(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let new = dissect(bytes, Reader::Since31);
    let old = dissect(bytes, Reader::UpTo30);
    let mut lines = Vec::new();
    match new.end {
        End::Whole(after) => whole(&new, &old, after, &mut lines),
        broken => lines.extend(ignored(broken, &new)),
    }
    if bytes.len() > MAX_LINE {
        let text = format!(
            "{} bytes can travel in two segments; keep a line below {MAX_LINE} bytes",
            bytes.len()
        );
        lines.push(("note", text));
        lines.push(("note", version_note("line", FactId::ParserOverrun)));
    }
    lines
}

/// A fact about versions, for a line that it concerns.
fn version_note(word: &str, id: FactId) -> String {
    let fact = fact(id);
    format!("{word}: HAProxy {}: {}", fact.versions, fact.meaning)
}

/// A line that HAProxy ignores.
fn ignored(end: End, dissection: &Dissection) -> Vec<(&'static str, String)> {
    let why = match end {
        End::NoNewline => {
            "no line end: HAProxy ignores it when the agent closes. If the agent does not close, the check times out \
             (L7TOUT)"
        }
        End::Nul => "a NUL byte before the line end: ignored",
        End::TooLong => {
            "longer than 16383 bytes with its line end, the size of HAProxy's buffer: ignored"
        }
        End::Nothing | End::Whole(_) => "no bytes: the check fails",
    };
    let mut lines = vec![("line", why.to_owned())];
    lines.push(("changes", "nothing".to_owned()));
    lines.push(("status", shows(dissection)));
    if matches!(end, End::NoNewline) {
        lines.push(("note", version_note("line", FactId::ParserOverrun)));
    }
    lines
}

fn whole(
    new: &Dissection,
    old: &Dissection,
    after: usize,
    lines: &mut Vec<(&'static str, String)>,
) {
    for word in &new.words {
        lines.push(("word", format!("{}: {}", word.text, meaning_of(word))));
    }
    if new.words.is_empty() {
        lines.push(("line", "it has no word".to_owned()));
    }
    if !new.description.is_empty() {
        let text = format!("# {}: a description", new.description);
        lines.push(("text", text));
    }
    if after > 1 || (after == 1 && !new.words.is_empty()) {
        lines.extend(more(after));
    }
    if new == old {
        lines.push(("changes", changes(&new.effect)));
        lines.push(("status", shows(new)));
    } else {
        for (version, read) in [("3.1 and later", new), ("up to 3.0", old)] {
            let (changes, shows) = (changes(&read.effect), shows(read));
            lines.push(("changes", format!("HAProxy {version}: {changes}")));
            lines.push(("status", format!("HAProxy {version}: {shows}")));
        }
    }
    for note in notes(new) {
        lines.push(("note", note));
    }
}

fn more(after: usize) -> Option<(&'static str, String)> {
    // The newline after a carriage return needs no line.
    let text = format!("{after} more bytes after the first line: ignored");
    (after > 1).then_some(("line", text))
}

/// The meaning of a word, by itself and among the others.
fn meaning_of(word: &DissectedWord) -> String {
    let by_itself = match &word.meaning {
        Meaning::Operational(state) => operational(*state).to_owned(),
        Meaning::Administrative(state) => administrative(*state).to_owned(),
        Meaning::Weight(Ok(weight)) => weighs(*weight),
        Meaning::Maxconn(Ok(0)) => "no limit of connections".to_owned(),
        Meaning::Maxconn(Ok(limit)) => {
            format!("at most {limit} connections from each balancer that gets it")
        }
        Meaning::Weight(Err(wrong)) | Meaning::Maxconn(Err(wrong)) => {
            format!("invalid number, so nothing changes: {wrong}")
        }
        Meaning::Unknown => format!("unknown, ignored{}", hint(&word.text)),
    };
    if word.superseded {
        format!("{by_itself}; a later word of its category replaces it")
    } else {
        by_itself
    }
}

fn operational(state: OperationalState) -> &'static str {
    match state {
        OperationalState::Up => "up, if HAProxy's own health check agrees",
        OperationalState::Down => "down at once, whatever the health check finds",
        OperationalState::Stopped => "down, shown as stopped",
        OperationalState::Fail => "down, shown as failed",
    }
}

fn administrative(state: AdministrativeState) -> &'static str {
    match state {
        AdministrativeState::Ready => "ends drain and maint, also those that an operator set",
        AdministrativeState::Drain => "no new sessions, existing ones continue",
        AdministrativeState::Maint => "maintenance: no sessions, no health checks",
    }
}

fn weighs(weight: Weight) -> String {
    match weight {
        Weight::Percent(0) => "no new sessions".to_owned(),
        Weight::Percent(percent) => format!("{percent}% of the weight on the server's line"),
        Weight::Absolute(weight) => {
            format!("the weight {weight}, whatever is configured; HAProxy 3.1 and later only")
        }
    }
}

/// The word that the agent may have meant.
fn hint(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if let Some((before, _)) = word.split_once('#')
        && !before.is_empty()
    {
        return format!(": a # has to start a word, as in \"{before} # text\"");
    }
    if !word.is_ascii() {
        return ": it contains bytes that are not ASCII, such as a byte order mark or a typographic blank".to_owned();
    }
    if !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!(": a weight needs a percent sign, {word}%");
    }
    if lower.contains('%') {
        return ": a percentage is digits and a percent sign".to_owned();
    }
    let meant = match lower.as_str() {
        "failed" | "failure" | "error" => "fail",
        "stop" => "stopped",
        "maintenance" => "maint",
        "draining" | "drained" => "drain",
        "ok" | "healthy" => "up",
        "disabled" | "unhealthy" | "dead" => "down",
        _ if lower.contains([';', '|']) => {
            return ": blanks, tabs and commas separate words".to_owned();
        }
        _ => return String::new(),
    };
    format!(": the word is {meant}")
}

fn changes(effect: &Effect) -> String {
    let mut changes = Vec::new();
    if let Some(state) = effect.administrative {
        changes.push(format!("administrative state {}", state.word()));
    }
    match effect.weight {
        Some(Weight::Percent(percent)) => {
            let of_100 = percent.min(256);
            changes.push(format!(
                "weight {percent}% (of a configured 100: {of_100}, of 1: {})",
                (percent / 100).min(256)
            ));
        }
        Some(Weight::Absolute(weight)) => changes.push(format!("weight {weight}")),
        None => {}
    }
    match effect.maxconn {
        Some(0) => changes.push("maxconn: no limit".to_owned()),
        Some(limit) => changes.push(format!("maxconn {limit}")),
        None => {}
    }
    if let Some(state) = effect.operational {
        changes.push(match state {
            OperationalState::Up => "operational state up".to_owned(),
            other => format!("operational state down (agent), as {}", other.word()),
        });
    }
    if changes.is_empty() {
        return "nothing".to_owned();
    }
    // In the order in which they are applied.
    changes.join(", then ")
}

fn shows(dissection: &Dissection) -> String {
    let status = dissection.status.unwrap_or("the previous agent status");
    if dissection.text.is_empty() {
        return status.to_owned();
    }
    format!("{status}, \"{}\"", dissection.text)
}

/// Whether the line changes something without taking the server out.
fn is_healthy(effect: &Effect) -> bool {
    let out = matches!(
        effect.administrative,
        Some(AdministrativeState::Drain | AdministrativeState::Maint)
    );
    *effect != Effect::default() && !out
}

/// What to know about a line before using it: faulty versions, and what reverts it.
fn notes(dissection: &Dissection) -> Vec<String> {
    let Effect {
        operational,
        administrative,
        weight,
        maxconn,
    } = dissection.effect;
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(text);
    match operational {
        Some(OperationalState::Up) => note(version_note("up", FactId::UpOverridesChecks)),
        Some(_) => note("down: only up reverts it; ready, a weight and silence do not".into()),
        None if is_healthy(&dissection.effect) => {
            note("no up: send up in every healthy line".into());
            note(version_note("no up", FactId::AgentHealthAtZero));
        }
        None => {}
    }
    match administrative {
        Some(AdministrativeState::Ready) => {
            note("ready: cancels drain, maint or disable by an operator on the balancer".into());
        }
        Some(AdministrativeState::Drain) => {
            note("drain: only ready reverts it (maint replaces it)".into());
            note(version_note("drain", FactId::DrainLoggedPerProbe));
        }
        Some(AdministrativeState::Maint) => {
            note("maint: only ready reverts it (drain replaces it)".into());
            if operational.is_some_and(|state| state != OperationalState::Up) {
                note(
                    "maint and down: after ready the server is still down; \"up ready\" on one line reverts both"
                        .into(),
                );
                note(version_note("maint", FactId::Unmaintained));
            }
        }
        None => {}
    }
    match weight {
        Some(Weight::Percent(percent)) => {
            if percent % 100 != 0 {
                note(
                    "weight: HAProxy rounds down; with the default weight of 1 everything below 100% is no traffic, so \
                     configure weight 100"
                        .into(),
                );
                note(
                    "weight: a static algorithm (static-rr, map-based hashes) applies only 0% and 100%".into(),
                );
            }
            if percent == 0 {
                note("0%: another percentage reverts it; up and ready do not".into());
            }
        }
        Some(Weight::Absolute(_)) => note(version_note("weight", FactId::WeightWordUnknown)),
        None => {}
    }
    if let Some(limit) = maxconn {
        note("maxconn: only another maxconn reverts it".into());
        note(version_note("maxconn", FactId::MaxconnDeadlock));
        if i32::try_from(limit).is_err() {
            note("maxconn: HAProxy reads a negative number as a huge one".into());
        }
    }
    if dissection.description.len() > KEPT_TEXT {
        let text = format!("description: HAProxy's statistics keep about {KEPT_TEXT} bytes of it");
        notes.push(text);
    }
    notes
}
