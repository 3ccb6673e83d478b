//! The functions on numbers that expressions have beside CEL's own. Those on text are in [`super::patterns`]
//! and [`super::texts`], those on Prometheus scrapes in [`super::metrics`].

mod budget;
mod operators;

pub(super) use budget::{Budget, CONSUME, ITERATE, MOST_ELEMENTS};
pub(super) use operators::{ADD, DIFFERS, DIVIDE, EQUALS, MODULO, MULTIPLY, SUBTRACT};

use super::environment::Type;
use crate::filters::rounding;
use cel::extractors::Arguments;
use cel::{Context, ExecutionError, Value};
use std::sync::Arc;

pub(super) type Result<T = Value> = std::result::Result<T, ExecutionError>;

/// A function, for the checker.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// A call of it, for error messages.
    pub(super) usage: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Which argument is a list; all others are numbers.
    pub(super) list: ListArgument,
}

/// Which argument of a function is a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ListArgument {
    /// None.
    No,
    /// A single list can replace all arguments.
    Alone,
    /// The last argument.
    Last,
}

/// The functions on numbers; the result is a number.
pub(super) const NUMERIC: [Signature; 14] = [
    Signature {
        name: "headroom",
        usage: "headroom(used, limit)",
        least: 2,
        most: 2,
        list: ListArgument::No,
    },
    Signature {
        name: "linear",
        usage: "linear(x, x1, y1, x2, y2)",
        least: 5,
        most: 5,
        list: ListArgument::No,
    },
    Signature {
        name: "curve",
        usage: "curve(x, [[x1, y1], [x2, y2], ...])",
        least: 2,
        most: 2,
        list: ListArgument::Last,
    },
    Signature {
        name: "clamp",
        usage: "clamp(number, least, most)",
        least: 3,
        most: 3,
        list: ListArgument::No,
    },
    Signature {
        name: "min",
        usage: "min(number, ...) or min(list)",
        least: 1,
        most: usize::MAX,
        list: ListArgument::Alone,
    },
    Signature {
        name: "max",
        usage: "max(number, ...) or max(list)",
        least: 1,
        most: usize::MAX,
        list: ListArgument::Alone,
    },
    Signature {
        name: "sum",
        usage: "sum(number, ...) or sum(list)",
        least: 1,
        most: usize::MAX,
        list: ListArgument::Alone,
    },
    Signature {
        name: "mean",
        usage: "mean(number, ...) or mean(list)",
        least: 1,
        most: usize::MAX,
        list: ListArgument::Alone,
    },
    Signature {
        name: "floor",
        usage: "floor(number)",
        least: 1,
        most: 1,
        list: ListArgument::No,
    },
    Signature {
        name: "ceil",
        usage: "ceil(number)",
        least: 1,
        most: 1,
        list: ListArgument::No,
    },
    Signature {
        name: "round",
        usage: "round(number)",
        least: 1,
        most: 1,
        list: ListArgument::No,
    },
    Signature {
        name: "abs",
        usage: "abs(number)",
        least: 1,
        most: 1,
        list: ListArgument::No,
    },
    Signature {
        name: "pow",
        usage: "pow(base, exponent)",
        least: 2,
        most: 2,
        list: ListArgument::No,
    },
    Signature {
        name: "weighted_mean",
        usage: "weighted_mean([[number, importance], ...])",
        least: 1,
        most: 1,
        list: ListArgument::Last,
    },
];

/// Puts the functions into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>, budget: &Arc<Budget>) {
    // An error would mean that CEL has a function of that name; the tests call each one.
    let _ = context.add_function("headroom", headroom);
    let _ = context.add_function("linear", linear);
    let _ = context.add_function("curve", curve);
    let _ = context.add_function("clamp", clamp);
    let _ = context.add_function("min", min);
    let _ = context.add_function("max", max);
    let _ = context.add_function("sum", sum);
    let _ = context.add_function("mean", mean);
    let _ = context.add_function("weighted_mean", weighted_mean);
    for (name, operation) in [
        ("floor", rounding::floor as fn(f64) -> f64),
        ("ceil", rounding::ceil),
        ("round", rounding::round),
        ("abs", f64::abs),
    ] {
        let _ = context.add_function(name, move |Arguments(arguments): Arguments| -> Result {
            let [number] = exactly(name, &arguments)?;
            Ok(Value::Float(operation(number)))
        });
    }
    let _ = context.add_function("pow", pow);
    operators::add_to(context);
    budget::add_to(context, budget);
}

pub(super) fn fail<T>(function: &str, message: &str) -> Result<T> {
    Err(ExecutionError::function_error(function, message))
}

/// The longest text that a function may make, in bytes: a document must not decide how much memory the collector
/// needs.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// A text as a value, if it is not too long.
pub(super) fn limited(function: &str, text: String) -> Result {
    if text.len() > MOST_BYTES {
        return fail(function, "the text is longer than 1 MiB");
    }
    Ok(Value::String(Arc::new(text)))
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
        _ => {
            return fail(
                function,
                &format!("expected a number, found {}", Type::of(value)),
            );
        }
    };
    if number.is_finite() {
        Ok(number)
    } else {
        fail(function, "not a finite number")
    }
}

/// The arguments as numbers; a single list replaces them.
fn numbers(function: &str, arguments: &[Value]) -> Result<Vec<f64>> {
    let values = match arguments {
        [Value::List(list)] => list,
        other => other,
    };
    if values.is_empty() {
        return fail(function, "empty list");
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

/// A list of pairs of numbers.
fn pairs(function: &str, list: Option<&Value>) -> Result<Vec<(f64, f64)>> {
    let Some(Value::List(list)) = list else {
        return fail(function, "expected a list of pairs");
    };
    list.iter()
        .map(|pair| match pair {
            Value::List(pair) => match pair.as_slice() {
                [first, second] => Ok((number(function, first)?, number(function, second)?)),
                _ => fail(function, "expected a list of pairs"),
            },
            _ => fail(function, "expected a list of pairs"),
        })
        .collect()
}

/// `headroom(used, limit)`: the unused part of `limit` in percent, 0 to 100: `100 * (1 - used / limit)`, the
/// formula of Herald's `pct` and of the Loadbalancer.org agent's idle percentage.
fn headroom(Arguments(arguments): Arguments) -> Result {
    let [used, limit] = exactly("headroom", &arguments)?;
    if limit <= 0.0 {
        return fail("headroom", "the limit is not above 0");
    }
    let percent = rounding::divide(rounding::multiply(100.0, used), limit);
    let percent = if percent.is_finite() {
        percent
    } else {
        100.0 * (used / limit)
    };
    Ok(Value::Float(
        rounding::subtract(100.0, percent).clamp(0.0, 100.0),
    ))
}

/// `linear(x, x1, y1, x2, y2)`: the straight line through two points, level beyond them.
fn linear(Arguments(arguments): Arguments) -> Result {
    let [x, x1, y1, x2, y2] = exactly("linear", &arguments)?;
    if x1 >= x2 {
        return fail("linear", "x2 is not above x1");
    }
    Ok(Value::Float(between(x, (x1, y1), (x2, y2))))
}

/// `curve(x, [[x1, y1], [x2, y2], ...])`: straight lines from point to point, level beyond the ends.
fn curve(Arguments(arguments): Arguments) -> Result {
    let Some(x) = arguments.first() else {
        return fail("curve", "expected a number and a list of points");
    };
    let x = number("curve", x)?;
    let points = pairs("curve", arguments.get(1))?;
    let Some(first) = points.first() else {
        return fail("curve", "empty list");
    };
    let mut before = *first;
    for point in points.iter().skip(1) {
        if point.0 <= before.0 {
            return fail("curve", "the points are not in rising order");
        }
        if x <= point.0 {
            return Ok(Value::Float(between(x, before, *point)));
        }
        before = *point;
    }
    Ok(Value::Float(before.1))
}

/// The line through two points at `x`, level beyond them.
fn between(x: f64, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> f64 {
    let share = ((x - x1) / (x2 - x1)).clamp(0.0, 1.0);
    // Not y1 + share * (y2 - y1): a difference of large numbers overflows.
    rounding::add(
        rounding::multiply(y1, rounding::subtract(1.0, share)),
        rounding::multiply(y2, share),
    )
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

/// `sum(a, b, ...)` or `sum(list)`
fn sum(Arguments(arguments): Arguments) -> Result {
    let numbers = numbers("sum", &arguments)?;
    Ok(Value::Float(numbers.into_iter().sum()))
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

/// `weighted_mean([[number, importance], ...])`: the Loadbalancer.org agent's `sum(load * significance)` over the
/// sum of significances; elements with importance 0 do not count.
fn weighted_mean(Arguments(arguments): Arguments) -> Result {
    let pairs = pairs("weighted_mean", arguments.first())?;
    if pairs.iter().any(|(_, importance)| *importance < 0.0) {
        return fail("weighted_mean", "an importance is below 0");
    }
    let sum: f64 = pairs.iter().map(|(_, importance)| importance).sum();
    if sum <= 0.0 {
        return fail("weighted_mean", "no importance is above 0");
    }
    let mean = pairs
        .iter()
        .filter(|(_, importance)| *importance > 0.0)
        .map(|(number, importance)| number * (importance / sum))
        .sum();
    Ok(Value::Float(mean))
}

/// `pow(base, exponent)`
fn pow(Arguments(arguments): Arguments) -> Result {
    let [base, exponent] = exactly("pow", &arguments)?;
    let power = base.powf(exponent);
    if power.is_finite() {
        Ok(Value::Float(power))
    } else {
        fail("pow", "not a finite number")
    }
}
