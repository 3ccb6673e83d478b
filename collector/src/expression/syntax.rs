//! What the parser is given, and what it says of it.

use super::Fault;

/// The longest expression, in bytes. The parser recurses by nesting and evaluation by length, so this
/// is what keeps both from the end of the stack.
pub const MAX_SOURCE: usize = 1024;

/// How deep parentheses, brackets and braces may nest.
pub const MAX_NESTING: usize = 32;

/// Refuses what could exhaust the parser's stack, before it sees it.
pub(super) fn bounded(text: &str) -> Result<(), Fault> {
    if text.len() > MAX_SOURCE {
        return Err(Fault::new(
            0..text.len(),
            format!(
                "the expression has {} bytes, more than {MAX_SOURCE}",
                text.len()
            ),
        ));
    }
    if text.trim().is_empty() {
        return Err(Fault::new(0..text.len(), "the expression is empty"));
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        // Brackets inside of strings count too: that only makes the bound stricter.
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(Fault::new(
                at..at + 1,
                format!("brackets nest deeper than {MAX_NESTING}"),
            ));
        }
    }
    Ok(())
}

/// The parser's errors, with its line and column turned into a place in the text.
pub(super) fn faults(text: &str, errors: &cel::ParseErrors) -> Vec<Fault> {
    errors
        .errors
        .iter()
        .map(|error| {
            let (line, column) = error.pos;
            let before: usize = text
                .split_inclusive('\n')
                .take(usize::try_from(line - 1).unwrap_or(0))
                .map(str::len)
                .sum();
            let rest = text.get(before..).unwrap_or_default();
            let column = usize::try_from(column - 1).unwrap_or(0);
            let within = rest
                .char_indices()
                .nth(column)
                .map_or(rest.len(), |(at, _)| at);
            let start = (before + within).min(text.len());
            let end = text
                .get(start..)
                .and_then(|rest| rest.chars().next())
                .map_or(start, |c| start + c.len_utf8());
            Fault::new(start..end, message(&error.msg))
        })
        .collect()
}

/// ANTLR's message in plainer words, and without the list of every token that it knows.
fn message(message: &str) -> String {
    let message = message.replace("Syntax error: ", "");
    let what = message.split(" expecting ").next().unwrap_or(&message);
    if what.contains("'<EOF>'") {
        "the expression ends too early".to_owned()
    } else if let Some(character) = what.strip_prefix("token recognition error at: ") {
        format!("{character} means nothing here")
    } else {
        format!("syntax: {what}")
    }
}
