//! A dissection as lines for people: the words, the changes, HAProxy's statistics, and notes.

use super::{Dissection, Effect, End, Meaning, Reader, Weight, Word, dissect};
use agentcheck_common::reply::{Administrative, MAX_LINE, Operational};

/// How many bytes of a description HAProxy keeps in its statistics.
const KEPT_TEXT: usize = 108;

/// What HAProxy does with these bytes: a label and a text for each line. The texts contain text of the agent
/// that is not printable.
#[must_use]
pub fn describe(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let new = dissect(bytes, Reader::Since31);
    let old = dissect(bytes, Reader::UpTo30);
    let mut lines = Vec::new();
    match new.end {
        End::Whole(after) => complete_lines(&new, &old, after, &mut lines),
        broken => lines.extend(ignored_lines(broken, &new)),
    }
    if bytes.len() > MAX_LINE {
        let text = format!(
            "{} bytes: HAProxy before 3.4-dev14 misreads a line in two segments; keep it below {MAX_LINE}",
            bytes.len()
        );
        lines.push(("note", text));
    }
    lines
}

/// The lines about a reply that HAProxy ignores.
fn ignored_lines(end: End, dissection: &Dissection) -> Vec<(&'static str, String)> {
    let why = match end {
        End::NoNewline => {
            "no line end: ignored when the agent closes; until then HAProxy waits for the check's timeout \
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
    lines.push(("status", statistics_text(dissection)));
    lines
}

fn complete_lines(
    new: &Dissection,
    old: &Dissection,
    after: usize,
    lines: &mut Vec<(&'static str, String)>,
) {
    for word in &new.words {
        lines.push(("word", format!("{}: {}", word.text, word_meaning(word))));
    }
    if new.words.is_empty() {
        lines.push(("line", "no words".to_owned()));
    }
    if !new.description.is_empty() {
        let text = format!("# {}: the description", new.description);
        lines.push(("text", text));
    }
    if after > 1 || (after == 1 && !new.words.is_empty()) {
        lines.extend(trailing_bytes(after));
    }
    if new == old {
        lines.push(("changes", changes(&new.effect)));
        lines.push(("status", statistics_text(new)));
    } else {
        for (version, read) in [("3.1 on", new), ("to 3.0", old)] {
            let (changes, shows) = (changes(&read.effect), statistics_text(read));
            lines.push(("changes", format!("HAProxy {version}: {changes}")));
            lines.push(("status", format!("HAProxy {version}: {shows}")));
        }
    }
    for note in notes(new) {
        lines.push(("note", note));
    }
}

fn trailing_bytes(after: usize) -> Option<(&'static str, String)> {
    // One byte is the LF of a CRLF.
    let text = format!("{after} more bytes after the first line: ignored");
    (after > 1).then_some(("line", text))
}

/// The meaning of a word, and whether a later word replaces it.
fn word_meaning(word: &Word) -> String {
    let by_itself = match &word.meaning {
        Meaning::Operational(state) => operational(*state).to_owned(),
        Meaning::Administrative(state) => administrative(*state).to_owned(),
        Meaning::Weight(Ok(weight)) => weight_text(*weight),
        Meaning::Maxconn(Ok(0)) => "no connection limit".to_owned(),
        Meaning::Maxconn(Ok(limit)) => {
            format!("at most {limit} connections from each balancer that gets it")
        }
        Meaning::Weight(Err(wrong)) | Meaning::Maxconn(Err(wrong)) => {
            format!("not a valid number, changes nothing: {wrong}")
        }
        Meaning::Unknown => format!("unknown word, ignored{}", hint(&word.text)),
    };
    if word.superseded {
        format!("{by_itself}; replaced by a later word of its kind")
    } else {
        by_itself
    }
}

fn operational(state: Operational) -> &'static str {
    match state {
        Operational::Up => "works: ends an agent's down, if HAProxy's own health check agrees",
        Operational::Down => "failed: down at once, regardless of the health check",
        Operational::Stopped => "down, shown as stopped",
        Operational::Fail => "down, shown as failed",
    }
}

fn administrative(state: Administrative) -> &'static str {
    match state {
        Administrative::Ready => "ends drain and maint, also those that an operator set",
        Administrative::Drain => "no new sessions; existing sessions continue",
        Administrative::Maint => "maintenance: no sessions, no health checks",
    }
}

fn weight_text(weight: Weight) -> String {
    match weight {
        Weight::Percent(0) => "no new sessions".to_owned(),
        Weight::Percent(percent) => format!("{percent}% of the weight on the server's line"),
        Weight::Absolute(weight) => {
            format!("an absolute weight of {weight}; HAProxy 3.1 and later only")
        }
    }
}

/// A hint about the intended word.
fn hint(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if let Some((before, _)) = word.split_once('#')
        && !before.is_empty()
    {
        return format!(": write a blank before the #: \"{before} # text\"");
    }
    if !word.is_ascii() {
        return ": it contains bytes that are not ASCII, such as a byte order mark or a no-break space".to_owned();
    }
    if !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!(": write a percent sign: {word}%");
    }
    if lower.contains('%') {
        return ": a percentage is digits and a percent sign, such as 50%".to_owned();
    }
    let meant = match lower.as_str() {
        "failed" | "failure" | "error" => "fail",
        "stop" => "stopped",
        "maintenance" => "maint",
        "draining" | "drained" => "drain",
        "ok" | "healthy" => "up",
        "disabled" | "unhealthy" | "dead" => "down",
        _ if lower.contains([';', '|']) => {
            return ": separate words with blanks, tabs or commas".to_owned();
        }
        _ => return String::new(),
    };
    format!(": write {meant}")
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
            Operational::Up => "operational state up".to_owned(),
            other => format!("operational state down (agent), as {}", other.word()),
        });
    }
    if changes.is_empty() {
        return "nothing".to_owned();
    }
    // In the order in which HAProxy applies them.
    changes.join(", then ")
}

fn statistics_text(dissection: &Dissection) -> String {
    let status = dissection.status.unwrap_or("unchanged");
    if dissection.text.is_empty() {
        return status.to_owned();
    }
    format!("{status}, \"{}\"", dissection.text)
}

/// Whether the line changes something and takes no server out.
fn healthy(effect: &Effect) -> bool {
    let out = matches!(
        effect.administrative,
        Some(Administrative::Drain | Administrative::Maint)
    );
    *effect != Effect::default() && !out
}

/// Notes about a line: versions with faults, and which line reverts it.
fn notes(dissection: &Dissection) -> Vec<String> {
    let Effect {
        operational,
        administrative,
        weight,
        maxconn,
    } = dissection.effect;
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    match operational {
        Some(Operational::Up) => note(
            "up: on HAProxy 2.2 to 2.4-dev11 it overrides failed health checks (HAProxy #1176)",
        ),
        Some(_) => note("down: only up ends it; ready, a weight and silence do not"),
        None if healthy(&dissection.effect) => note(
            "no up: on HAProxy 3.3.0 and 3.4.0 a server stays DOWN after one failed health check until the \
             agent sends up; send it in every healthy line",
        ),
        None => {}
    }
    match administrative {
        Some(Administrative::Ready) => {
            note("ready: cancels a drain, maint or disable that an operator made on the balancer");
        }
        Some(Administrative::Drain) => note("drain: only ready ends it (maint replaces it)"),
        Some(Administrative::Maint) => {
            note("maint: only ready ends it (drain replaces it)");
            if operational.is_some_and(|state| state != Operational::Up) {
                note(
                    "maint and down: after ready the server is still down; \"up ready\" on one line recovers",
                );
                note("maint after an agent's down is not applied on HAProxy 1.8.0");
            }
        }
        None => {}
    }
    match weight {
        Some(Weight::Percent(percent)) => {
            if percent % 100 != 0 {
                note(
                    "weight: HAProxy rounds down; with the default weight 1, less than 100% is no traffic; \
                     configure weight 100",
                );
                note(
                    "weight: static algorithms (static-rr, map-based hashes) accept only 0% and 100%",
                );
            }
            if percent == 0 {
                note("0%: only another percentage ends it; up and ready do not");
            }
        }
        Some(Weight::Absolute(_)) => note("weight: unknown to HAProxy 3.0 and earlier"),
        None => {}
    }
    if let Some(limit) = maxconn {
        note("maxconn: only another maxconn reverts it");
        note("maxconn: HAProxy 2.4.0 may deadlock when an agent sets it (HAProxy #1302)");
        if i32::try_from(limit).is_err() {
            note("maxconn: a negative number becomes a huge one");
        }
    }
    if dissection.description.len() > KEPT_TEXT {
        let text = format!("text: HAProxy's statistics show about {KEPT_TEXT} bytes of it");
        notes.push(text);
    }
    notes
}
