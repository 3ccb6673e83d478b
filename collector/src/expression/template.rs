//! A description with values in it: `{queue.value} waiting`. The pieces in braces are expressions; `{{` and
//! `}}` are braces.

use crate::expression::Expression;
use std::ops::Range;

/// A compiled description.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Value(Box<Expression>),
}

/// A piece of a description as the operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Text, with single braces.
    Text(String),
    /// The bytes of an expression, without its braces.
    Value(Range<usize>),
}

/// Splits a text into its pieces.
///
/// # Errors
/// The bytes of a brace without its counterpart.
pub fn split(text: &str) -> Result<Vec<Written>, Range<usize>> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            '{' | '}' if rest.next_if(|(_, next)| *next == character).is_some() => {
                plain.push(character);
            }
            '{' => {
                let start = at + 1;
                let end = end_of_value(text, start).ok_or(at..at + 1)?;
                if !plain.is_empty() {
                    pieces.push(Written::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Written::Value(start..end));
                while rest.next_if(|(at, _)| *at <= end).is_some() {}
            }
            '}' => return Err(at..at + 1),
            other => plain.push(other),
        }
    }
    if !plain.is_empty() {
        pieces.push(Written::Text(plain));
    }
    Ok(pieces)
}

/// The position of the brace that ends the expression from `start`: expressions contain braces and strings.
fn end_of_value(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = None;
    for (at, character) in text.get(start..)?.char_indices() {
        match (quoted, character) {
            (Some(quote), _) if quote == character => quoted = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quoted = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(start + at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

impl Template {
    /// Adds text.
    pub fn push_text(&mut self, text: String) {
        self.pieces.push(Piece::Text(text));
    }

    /// Adds a value.
    pub fn push_value(&mut self, expression: Expression) {
        self.pieces.push(Piece::Value(Box::new(expression)));
    }

    /// The expressions in it.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(expression) => Some(&**expression),
        })
    }

    /// The description with the values that `value` gives.
    #[must_use]
    pub fn fill(&self, mut value: impl FnMut(&Expression) -> String) -> String {
        let mut filled = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Value(expression) => filled.push_str(&value(expression)),
            }
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_text_apart() {
        let text = |text: &str| Written::Text(text.to_owned());
        assert_eq!(split("just text"), Ok(vec![text("just text")]));
        assert_eq!(split(""), Ok(vec![]));
        assert_eq!(
            split("{a.value} of {b.json['}']}, {{x}}"),
            Ok(vec![
                Written::Value(1..8),
                text(" of "),
                Written::Value(14..25),
                text(", {x}"),
            ])
        );
        assert_eq!(split("{ {'a': 1}.a }"), Ok(vec![Written::Value(1..13)]));
        assert_eq!(split("{é}"), Ok(vec![Written::Value(1..3)]));
        assert_eq!(split("a {b"), Err(2..3));
        assert_eq!(split("a } b"), Err(2..3));
        assert_eq!(split("{'}"), Err(0..1));
    }
}
