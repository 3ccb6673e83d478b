//! A dissection in lines for people: the words, what is changed, what is shown, and what to know about it.

use super::{Dissection, Effect, End, Meaning, Reader, Weight, Word, dissect};
use agentcheck_common::reply::{Administrative, MAX_LINE, Operational};

/// How many bytes of a description HAProxy keeps in its statistics.
const KEPT_TEXT: usize = 108;

/// What HAProxy makes of these bytes: a label and a text for each line. The texts hold what the agent said
/// and have to be made printable.
#[must_use]
pub fn told(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let new = dissect(bytes, Reader::Since31);
    let old = dissect(bytes, Reader::UpTo30);
    let mut lines = Vec::new();
    match new.end {
        End::Whole(after) => whole(&new, &old, after, &mut lines),
        broken => lines.extend(unheard(broken, &new)),
    }
    if bytes.len() > MAX_LINE {
        let text = format!(
            "{} bytes: a line that travels in two segments is misread before 3.4-dev14; keep it below {MAX_LINE}",
            bytes.len()
        );
        lines.push(("mind", text));
    }
    lines
}

/// A line of which nothing is heard.
fn unheard(end: End, dissection: &Dissection) -> Vec<(&'static str, String)> {
    let why = match end {
        End::NoNewline => {
            "no line end: ignored once the agent closes; while it does not, HAProxy waits until the check \
             times out (L7TOUT)"
        }
        End::Nul => "a NUL byte before the line end: ignored",
        End::TooLong => {
            "longer than 16383 bytes with its line end, which is all that fits into HAProxy's buffer: ignored"
        }
        End::Nothing | End::Whole(_) => "nothing was said: the check fails",
    };
    let mut lines = vec![("line", why.to_owned())];
    lines.push(("changes", "nothing".to_owned()));
    lines.push(("shows", shows(dissection)));
    lines
}

fn whole(
    new: &Dissection,
    old: &Dissection,
    after: usize,
    lines: &mut Vec<(&'static str, String)>,
) {
    for word in &new.words {
        lines.push(("word", format!("{}: {}", word.text, meant(word))));
    }
    if new.words.is_empty() {
        lines.push(("line", "there is no word in it".to_owned()));
    }
    if !new.description.is_empty() {
        let text = format!("# {}: text for people", new.description);
        lines.push(("text", text));
    }
    if after > 1 || (after == 1 && !new.words.is_empty()) {
        lines.extend(more(after));
    }
    if new == old {
        lines.push(("changes", changes(&new.effect)));
        lines.push(("shows", shows(new)));
    } else {
        for (version, read) in [("3.1 on", new), ("to 3.0", old)] {
            let (changes, shows) = (changes(&read.effect), shows(read));
            lines.push(("changes", format!("HAProxy {version}: {changes}")));
            lines.push(("shows", format!("HAProxy {version}: {shows}")));
        }
    }
    for note in notes(new) {
        lines.push(("mind", note));
    }
}

fn more(after: usize) -> Option<(&'static str, String)> {
    // The newline of a line that ends as Windows has it is not worth a word.
    let text = format!("{after} more bytes after the first line: not looked at");
    (after > 1).then_some(("line", text))
}

/// What a word means, by itself and among the others.
fn meant(word: &Word) -> String {
    let by_itself = match &word.meaning {
        Meaning::Operational(state) => operational(*state).to_owned(),
        Meaning::Administrative(state) => administrative(*state).to_owned(),
        Meaning::Weight(Ok(weight)) => weighs(*weight),
        Meaning::Maxconn(Ok(0)) => "no limit of connections".to_owned(),
        Meaning::Maxconn(Ok(limit)) => {
            format!("at most {limit} connections from each balancer that hears it")
        }
        Meaning::Weight(Err(wrong)) | Meaning::Maxconn(Err(wrong)) => {
            format!("no number that can be used, so nothing is changed: {wrong}")
        }
        Meaning::Unknown => format!("not known, ignored{}", hint(&word.text)),
    };
    if word.superseded {
        format!("{by_itself}; final_decision by a later word of its kind")
    } else {
        by_itself
    }
}

fn operational(state: Operational) -> &'static str {
    match state {
        Operational::Up => "works: back from down, where HAProxy's own health check agrees",
        Operational::Down => "does not work, at once, whatever the health check says",
        Operational::Stopped => "down, by name: stopped on purpose",
        Operational::Fail => "down, by name: failed",
    }
}

fn administrative(state: Administrative) -> &'static str {
    match state {
        Administrative::Ready => "back from drain and maint, also from those that an operator set",
        Administrative::Drain => "no new sessions, existing ones go on",
        Administrative::Maint => "maintenance: no sessions, no health checks",
    }
}

fn weighs(weight: Weight) -> String {
    match weight {
        Weight::Percent(0) => "no new sessions".to_owned(),
        Weight::Percent(percent) => format!("{percent}% of the weight on the server's line"),
        Weight::Absolute(weight) => {
            format!("a weight of {weight}, whatever is configured; HAProxy 3.1 and later only")
        }
    }
}

/// What may have been meant.
fn hint(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    if let Some((before, _)) = word.split_once('#')
        && !before.is_empty()
    {
        return format!(": a # has to start a word, as in \"{before} # text\"");
    }
    if !word.is_ascii() {
        return ": it has bytes that are not ASCII, such as a byte order mark or a typographic blank".to_owned();
    }
    if !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!(": a weight has a percent sign, {word}%");
    }
    if lower.contains('%') {
        return ": a percentage is digits and a percent sign, and begins with a digit".to_owned();
    }
    let meant = match lower.as_str() {
        "failed" | "failure" | "error" => "fail",
        "stop" => "stopped",
        "maintenance" => "maint",
        "draining" | "drained" => "drain",
        "ok" | "healthy" => "up",
        "disabled" | "unhealthy" | "dead" => "down",
        _ if lower.contains([';', '|']) => {
            return ": words are separated by blanks, tabs and commas".to_owned();
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
            Operational::Up => "operational state up".to_owned(),
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
    let status = dissection.status.unwrap_or("the agent status of before");
    if dissection.text.is_empty() {
        return status.to_owned();
    }
    format!("{status}, \"{}\"", dissection.text)
}

/// Whether something is said, and none of it takes the server out.
fn healthy(effect: &Effect) -> bool {
    let out = matches!(
        effect.administrative,
        Some(Administrative::Drain | Administrative::Maint)
    );
    *effect != Effect::default() && !out
}

/// What to know about a line before it is used: versions with faults, and what takes it back.
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
        Some(_) => note("down: only up takes it back; ready, a weight and silence do not"),
        None if healthy(&dissection.effect) => note(
            "no up: on HAProxy 3.3.0 and 3.4.0 a server stays DOWN after one failed health check until the \
             agent says up; say it in every healthy line",
        ),
        None => {}
    }
    match administrative {
        Some(Administrative::Ready) => {
            note("ready: cancels a drain, maint or disable that an operator made on the balancer");
        }
        Some(Administrative::Drain) => note("drain: only ready takes it back (maint replaces it)"),
        Some(Administrative::Maint) => {
            note("maint: only ready takes it back (drain replaces it)");
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
                    "weight: HAProxy rounds down; with the default weight of 1 anything below 100% is no \
                     traffic, so configure weight 100",
                );
                note(
                    "weight: a static algorithm (static-rr, map-based hashes) takes 0% and 100% only and \
                     refuses this",
                );
            }
            if percent == 0 {
                note("0%: another percentage takes it back; up and ready do not");
            }
        }
        Some(Weight::Absolute(_)) => note("weight: to HAProxy 3.0 and earlier an unknown word"),
        None => {}
    }
    if let Some(limit) = maxconn {
        note("maxconn: only another maxconn takes it back");
        note("maxconn: HAProxy 2.4.0 may deadlock when an agent sets it (HAProxy #1302)");
        if i32::try_from(limit).is_err() {
            note("maxconn: a negative number is taken for a huge one");
        }
    }
    if dissection.description.len() > KEPT_TEXT {
        let text = format!("text: HAProxy's statistics keep about {KEPT_TEXT} bytes of it");
        notes.push(text);
    }
    notes
}
