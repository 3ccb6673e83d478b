//! Functions on text: `trim`, `lower`, `upper`, `split`, `join`, `replace`, and the conversions `int` and `string`.

use super::environment::Type;
use super::functions::{MOST_BYTES, MOST_ELEMENTS, Result, as_double, fail, limited};
use crate::filters::rounding;
use cel::extractors::{Arguments, This};
use cel::{Context, Value};
use std::sync::Arc;

/// Puts the functions into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>) {
    // As in the other functions, an error would mean that CEL has a function of that name.
    let _ = context.add_function("trim", |This(text): This<Arc<String>>| -> Result {
        Ok(Value::String(Arc::new(text.trim().to_owned())))
    });
    let _ = context.add_function("lower", |This(text): This<Arc<String>>| {
        limited("lower", text.to_lowercase())
    });
    let _ = context.add_function("upper", |This(text): This<Arc<String>>| {
        limited("upper", text.to_uppercase())
    });
    let _ = context.add_function(
        "split",
        |This(text): This<Arc<String>>, separator: Arc<String>| split(&text, &separator),
    );
    let _ = context.add_function(
        "join",
        |This(list): This<Arc<Vec<Value>>>, separator: Arc<String>| join(&list, &separator),
    );
    let _ = context.add_function(
        "replace",
        |This(text): This<Arc<String>>, from: Arc<String>, to: Arc<String>| {
            replace(&text, &from, &to)
        },
    );
    let _ = context.add_function("@int", |Arguments(arguments): Arguments| {
        integer(arguments.first())
    });
    let _ = context.add_function("@string", |Arguments(arguments): Arguments| -> Result {
        Ok(Value::String(Arc::new(written(
            "string",
            arguments.first(),
        )?)))
    });
}

fn split(text: &str, separator: &str) -> Result {
    let mut parts = Vec::new();
    let pieces: Box<dyn Iterator<Item = &str>> = match separator {
        "" => Box::new(text.split("").filter(|piece| !piece.is_empty())),
        separator => Box::new(text.split(separator)),
    };
    for piece in pieces {
        if parts.len() == MOST_ELEMENTS {
            return fail("split", "too many elements");
        }
        parts.push(Value::String(Arc::new(piece.to_owned())));
    }
    Ok(Value::List(Arc::new(parts)))
}

fn join(list: &[Value], separator: &str) -> Result {
    let mut joined = String::new();
    for (at, element) in list.iter().enumerate() {
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&written("join", Some(element))?);
        if joined.len() > MOST_BYTES {
            break;
        }
    }
    limited("join", joined)
}

fn replace(text: &str, from: &str, to: &str) -> Result {
    if from.is_empty() {
        return fail("replace", "the text to replace is empty");
    }
    let count = text.matches(from).take(MOST_BYTES).count();
    if count.saturating_mul(to.len()) > MOST_BYTES {
        return fail("replace", "the text is longer than 1 MiB");
    }
    limited("replace", text.replace(from, to))
}

/// A number without its fraction, or the integer that a text has in decimal or, after 0x, in hexadecimal.
fn integer(value: Option<&Value>) -> Result {
    let number = match value {
        Some(Value::Float(number)) if number.is_finite() => rounding::truncate(*number),
        Some(Value::Int(number)) => as_double(*number),
        Some(Value::String(text)) => {
            let digits = text.trim();
            let (sign, digits) = match digits.strip_prefix('-') {
                Some(digits) => (-1.0, digits),
                None => (1.0, digits),
            };
            let hexadecimal = digits
                .strip_prefix("0x")
                .or_else(|| digits.strip_prefix("0X"));
            let parsed = match hexadecimal {
                Some(digits) if !digits.starts_with('+') => i64::from_str_radix(digits, 16).ok(),
                Some(_) => None,
                None => digits.parse::<i64>().ok().filter(|number| *number >= 0),
            };
            match parsed {
                Some(parsed) => sign * as_double(parsed),
                None => return fail("int", "the text is not an integer"),
            }
        }
        Some(other) => {
            let found = format!("expected a number or text, found {}", Type::of(other));
            return fail("int", &found);
        }
        None => return fail("int", "expected a value"),
    };
    Ok(Value::Float(number))
}

/// A text, a number or true or false as text.
fn written(function: &str, value: Option<&Value>) -> Result<String> {
    match value {
        Some(Value::String(text)) => Ok(text.to_string()),
        Some(Value::Float(number)) => Ok(number.to_string()),
        Some(Value::Int(number)) => Ok(number.to_string()),
        Some(Value::Bool(truth)) => Ok(truth.to_string()),
        Some(other) => {
            let found = format!("expected text or a number, found {}", Type::of(other));
            fail(function, &found)
        }
        None => fail(function, "expected a value"),
    }
}
