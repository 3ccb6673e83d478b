//! Parsing of expressions, and what a syntax error means in plain words.

use super::Fault;
use super::spans::{Token, tokens};
use cel::IdedExpr;
use cel::parser::PrattParser;
use cel::parser::pratt_parser::TokenKind;
use std::ops::Range;

/// The longest expression, in bytes. Evaluation recurses by length, so this protects the stack.
pub const MAX_SOURCE: usize = 1024;

/// How deep parentheses, brackets and braces may nest. The parser recurses by nesting.
pub const MAX_NESTING: usize = 32;

/// Parses `text`.
///
/// # Errors
/// The first syntax error: the parser guesses after it. Or a text that is empty, too long or nests too deep.
pub(super) fn parse(text: &str) -> Result<IdedExpr, Fault> {
    bounded(text)?;
    PrattParser::new().parse(text).map_err(|errors| {
        let first = errors.errors.iter().min_by_key(|error| error.pos);
        first.map_or_else(
            || Fault::new(0..text.len(), "the parser refuses this expression"),
            |error| fault(text, start(text, error.pos), &error.msg),
        )
    })
}

fn bounded(text: &str) -> Result<(), Fault> {
    if text.len() > MAX_SOURCE {
        let message = format!(
            "expression of {} bytes: the limit is {MAX_SOURCE}",
            text.len()
        );
        return Err(Fault::new(0..text.len(), message)
            .remedy("move a part of it to a [derive.NAME] with an expression"));
    }
    if text.trim().is_empty() {
        return Err(Fault::new(0..text.len(), "empty expression"));
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
            let message = format!("brackets nest deeper than {MAX_NESTING}");
            return Err(Fault::new(at..at + 1, message));
        }
    }
    Ok(())
}

/// The byte at a line and a column, both counted from 1, the column in characters.
fn start(text: &str, (line, column): (isize, isize)) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(usize::try_from(line - 1).unwrap_or(0))
        .map(str::len)
        .sum();
    let rest = text.get(before..).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let within = rest.char_indices().nth(column);
    (before + within.map_or(rest.len(), |(at, _)| at)).min(text.len())
}

/// Words of other languages, and what the expression language has instead.
const FOREIGN: [(&str, &str); 13] = [
    ("and", "&&"),
    ("or", "||"),
    ("not", "!"),
    ("is", "=="),
    ("eq", "=="),
    ("ne", "!="),
    ("gt", ">"),
    ("lt", "<"),
    ("ge", ">="),
    ("le", "<="),
    ("if", "CONDITION ? A : B"),
    ("else", "CONDITION ? A : B"),
    ("then", "CONDITION ? A : B"),
];

fn fault(text: &str, at: usize, message: &str) -> Fault {
    let tokens = tokens(text);
    let here = tokens.iter().position(|token| token.bytes.end > at);
    let token = here.and_then(|here| tokens.get(here));
    let previous = here.unwrap_or(tokens.len()).checked_sub(1);
    let previous = previous.and_then(|before| tokens.get(before));
    let written = |token: &Token| text.get(token.bytes.clone()).unwrap_or_default().to_owned();
    let foreign = |token: &Token| {
        let word = written(token).to_ascii_lowercase();
        let (_, instead) = FOREIGN.iter().find(|(foreign, _)| *foreign == word)?;
        let message = format!("unexpected {:?}", written(token));
        Some(Fault::new(token.bytes.clone(), message).remedy(format!("write {instead}")))
    };
    if let Some(fault) = token
        .and_then(foreign)
        .or_else(|| previous.and_then(foreign))
    {
        return fault;
    }
    let (place, word): (Range<usize>, String) = match token {
        Some(token) => (token.bytes.clone(), written(token)),
        None => (text.len()..text.len(), String::new()),
    };
    if message.contains("unterminated string") {
        return Fault::new(place, format!("no closing quote for {word}"));
    }
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if digits.len() < word.len() && digits.parse::<f64>().is_ok() && !digits.is_empty() {
        return Fault::new(place, format!("invalid number {word}"))
            .remedy("numbers have no unit: times are in seconds, sizes in bytes");
    }
    if message.contains("invalid") && message.contains("literal") {
        return Fault::new(place, format!("invalid number {word}"));
    }
    if message.contains("limit exceeded") {
        return Fault::new(0..text.len(), "the expression nests too deep");
    }
    let missing = |sign| message.contains(&format!("expected '{sign}'"));
    if let Some(sign) = [")", "]", "}", ":"].into_iter().find(|sign| missing(*sign)) {
        let found = if word.is_empty() {
            "the end".to_owned()
        } else {
            format!("{word:?}")
        };
        let fault = Fault::new(place, format!("expected {sign:?}, found {found}"));
        return match sign {
            ":" => fault.remedy("write CONDITION ? A : B"),
            _ => fault,
        };
    }
    // The end of a string in the file can be the mistake.
    let Some(token) = token else {
        let percent = previous.is_some_and(|token| token.kind == TokenKind::TokPercent);
        let mut fault = Fault::new(place, "the expression ends too early");
        fault.consequence = true;
        return if percent {
            fault.remedy("write a percentage without %: 95")
        } else {
            fault
        };
    };
    let fault = Fault::new(place, format!("unexpected {word:?}"));
    let adjacent = previous.is_some_and(|before| before.bytes.end == token.bytes.start);
    match word.as_str() {
        "=" => fault.remedy("write == to compare"),
        "&" => fault.remedy("write &&"),
        "|" => fault.remedy("write ||"),
        "," if previous.is_some_and(|token| token.kind == TokenKind::TokInt) => {
            fault.remedy("write a decimal point: 0.5")
        }
        ">" if adjacent => fault.remedy("write != for \"not equal\""),
        _ => fault,
    }
}

/// The names of sources and derived numbers in `text`: identifiers before a dot. `text` can have mistakes.
#[must_use]
pub fn names(text: &str) -> Vec<String> {
    if text.len() > MAX_SOURCE {
        return Vec::new();
    }
    let tokens = tokens(text);
    let kind = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map(|token| token.kind);
    let dot = Some(TokenKind::TokDot);
    let named = tokens.iter().enumerate().filter(|(at, token)| {
        token.kind == TokenKind::TokIdent
            && kind(at.checked_add(1)) == dot
            && kind(at.checked_sub(1)) != dot
    });
    named
        .filter_map(|(_, token)| text.get(token.bytes.clone()))
        .map(str::to_owned)
        .collect()
}
