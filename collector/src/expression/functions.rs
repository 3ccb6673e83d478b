//! The functions that expressions have beside CEL's own.

use cel::extractors::{Arguments, This};
use cel::{Context, ExecutionError, Value};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

/// `a / b`, with no value where `b` is 0.
pub(super) const DIVIDE: &str = "@divide";
/// `a % b` for doubles.
pub(super) const MODULO: &str = "@modulo";

type Result<T = Value> = std::result::Result<T, ExecutionError>;

/// A function of ours, for the checker.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// How it is written, for error texts.
    pub(super) usage: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
}

/// What can be called by name and takes numbers only.
pub(super) const NUMERIC: [Signature; 5] = [
    Signature {
        name: "headroom",
        usage: "headroom(used, limit)",
        least: 2,
        most: 2,
    },
    Signature {
        name: "clamp",
        usage: "clamp(number, least, most)",
        least: 3,
        most: 3,
    },
    Signature {
        name: "min",
        usage: "min(number, ...) or min(list)",
        least: 1,
        most: usize::MAX,
    },
    Signature {
        name: "max",
        usage: "max(number, ...) or max(list)",
        least: 1,
        most: usize::MAX,
    },
    Signature {
        name: "mean",
        usage: "mean(number, ...) or mean(list)",
        least: 1,
        most: usize::MAX,
    },
];

/// Puts the functions into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>) {
    // An error would mean that CEL has a function of that name; the tests call each of them.
    let _ = context.add_function("headroom", headroom);
    let _ = context.add_function("clamp", clamp);
    let _ = context.add_function("min", min);
    let _ = context.add_function("max", max);
    let _ = context.add_function("mean", mean);
    let _ = context.add_function("matches", matches);
    let _ = context.add_function(DIVIDE, divide);
    let _ = context.add_function(MODULO, modulo);
}

fn fail<T>(function: &str, message: &str) -> Result<T> {
    Err(ExecutionError::function_error(function, message))
}

/// The double nearest to an integer.
#[allow(clippy::cast_precision_loss)] // what JSON, and every dashboard, does too
pub(super) fn as_double(number: i64) -> f64 {
    number as f64
}

fn number(function: &str, value: &Value) -> Result<f64> {
    let number = match value {
        Value::Float(number) => *number,
        Value::Int(number) => as_double(*number),
        _ => return fail(function, "takes numbers"),
    };
    if number.is_finite() {
        Ok(number)
    } else {
        fail(function, "got no finite number")
    }
}

/// The arguments as numbers; a single list stands for its elements.
fn numbers(function: &str, arguments: &[Value]) -> Result<Vec<f64>> {
    let values = match arguments {
        [Value::List(list)] => list,
        other => other,
    };
    if values.is_empty() {
        return fail(function, "got an empty list");
    }
    values.iter().map(|value| number(function, value)).collect()
}

fn exactly<const N: usize>(function: &str, arguments: &[Value]) -> Result<[f64; N]> {
    let numbers: Vec<f64> = arguments
        .iter()
        .map(|value| number(function, value))
        .collect::<Result<_>>()?;
    <[f64; N]>::try_from(numbers)
        .map_err(|_| ExecutionError::invalid_argument_count(N, arguments.len()))
}

/// `headroom(used, limit)`: what is left of `limit`, in per cent of it, 0 to 100: the formula of every
/// peer, `100 * (1 - used / limit)` (Herald's `pct`, the Loadbalancer.org agent's idle percentage).
fn headroom(Arguments(arguments): Arguments) -> Result {
    let [used, limit] = exactly("headroom", &arguments)?;
    if limit <= 0.0 {
        return fail("headroom", "the limit is not above 0");
    }
    Ok(Value::Float(
        (100.0 * (1.0 - used / limit)).clamp(0.0, 100.0),
    ))
}

/// `clamp(number, least, most)`
fn clamp(Arguments(arguments): Arguments) -> Result {
    let [number, least, most] = exactly("clamp", &arguments)?;
    if least > most {
        return fail("clamp", "the least is above the most");
    }
    Ok(Value::Float(number.clamp(least, most)))
}

/// `min(a, b, ...)` or `min(list)`
fn min(Arguments(arguments): Arguments) -> Result {
    let numbers = numbers("min", &arguments)?;
    Ok(Value::Float(
        numbers.into_iter().fold(f64::INFINITY, f64::min),
    ))
}

/// `max(a, b, ...)` or `max(list)`
fn max(Arguments(arguments): Arguments) -> Result {
    let numbers = numbers("max", &arguments)?;
    Ok(Value::Float(
        numbers.into_iter().fold(f64::NEG_INFINITY, f64::max),
    ))
}

/// `mean(a, b, ...)` or `mean(list)`: the arithmetic mean.
fn mean(Arguments(arguments): Arguments) -> Result {
    let numbers = numbers("mean", &arguments)?;
    let count = f64::from(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    // Divided before summing, so that large numbers do not overflow.
    Ok(Value::Float(
        numbers.into_iter().map(|number| number / count).sum(),
    ))
}

fn divide(Arguments(arguments): Arguments) -> Result {
    let [number, divisor] = exactly(DIVIDE, &arguments)?;
    if divisor == 0.0 {
        return fail(DIVIDE, "division by zero");
    }
    Ok(Value::Float(number / divisor))
}

fn modulo(Arguments(arguments): Arguments) -> Result {
    let [number, divisor] = exactly(MODULO, &arguments)?;
    if divisor == 0.0 {
        return fail(MODULO, "division by zero");
    }
    Ok(Value::Float(number % divisor))
}

/// The patterns of all compiled expressions. Process-wide because a pattern is nothing but its text:
/// whoever compiles it gets the same.
static PATTERNS: RwLock<BTreeMap<String, Regex>> = RwLock::new(BTreeMap::new());

/// Compiles a pattern.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn compile_pattern(pattern: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            // The library draws the pattern over several lines; its last line says what is wrong.
            other => other
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
        })
}

pub(super) fn remember_patterns(patterns: BTreeMap<String, Regex>) {
    let mut known = PATTERNS.write().unwrap_or_else(PoisonError::into_inner);
    known.extend(patterns);
}

/// `text.matches('pattern')`: whether the pattern matches anywhere in the text.
fn matches(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<bool> {
    let known = PATTERNS.read().unwrap_or_else(PoisonError::into_inner);
    match known.get(pattern.as_str()) {
        Some(pattern) => Ok(pattern.is_match(&text)),
        None => fail("matches", "takes a literal pattern"),
    }
}
