//! The tokens of an expression in Python.

use super::TranslateError;
use crate::setup::import::document::finite;
use crate::setup::import::toml_writer::{expression_string, number};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Number(f64),
    Text(String),
    Mark(&'static str),
}

const MARKS: [&str; 25] = [
    "**", "//", "==", "!=", "<=", ">=", "<<", ">>", "<", ">", "+", "-", "*", "/", "%", "(", ")",
    "[", "]", "{", "}", ",", ".", ":", "=",
];

pub(super) fn written(token: &Token) -> String {
    match token {
        Token::Name(name) => name.clone(),
        Token::Number(value) => number(*value),
        Token::Text(text) => expression_string(text),
        Token::Mark(mark) => (*mark).to_owned(),
    }
}

pub(super) fn tokens(python: &str) -> Result<Vec<Token>, TranslateError> {
    let mut rest = python.trim();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = if first.is_alphabetic() || first == '_' {
            let length = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            (
                Token::Name(rest.get(..length).unwrap_or_default().to_owned()),
                length,
            )
        } else if first.is_ascii_digit()
            || (first == '.' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        {
            number_token(rest)?
        } else if first == '\'' || first == '"' {
            text_token(rest, first)?
        } else if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            (Token::Mark(mark), mark.len())
        } else {
            return Err(TranslateError::Unsupported(format!("{first:?}")));
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn number_token(rest: &str) -> Result<(Token, usize), TranslateError> {
    let mut before = ' ';
    let length = rest
        .find(|c: char| {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E');
            before = c;
            !(c.is_ascii_alphanumeric() || c == '.' || sign)
        })
        .unwrap_or(rest.len());
    let text = rest.get(..length).unwrap_or_default();
    match finite(text) {
        Some(value) => Ok((Token::Number(value), length)),
        None => Err(TranslateError::InvalidNumber(text.to_owned())),
    }
}

fn text_token(rest: &str, quote: char) -> Result<(Token, usize), TranslateError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok((Token::Text(text), at + 1)),
            '\\' => match characters.next() {
                Some((_, escaped @ ('\\' | '\'' | '"'))) => text.push(escaped),
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                _ => return Err(TranslateError::Unsupported("an escape in a string".into())),
            },
            _ => text.push(character),
        }
    }
    Err(TranslateError::OpenString)
}
