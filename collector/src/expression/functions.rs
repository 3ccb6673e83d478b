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

/// The result of a function of numbers, or why there is none.
pub(super) type Computed = std::result::Result<f64, &'static str>;

/// A function of finite numbers. The error completes a sentence that begins with its name.
pub(super) type OnNumbers = fn(&[f64]) -> Computed;

/// The functions of [`NUMERIC`] that take only numbers, or one list of them.
const ON_NUMBERS: [(&str, OnNumbers); 12] = [
    ("headroom", headroom),
    ("linear", linear),
    ("clamp", clamp),
    ("min", min),
    ("max", max),
    ("sum", sum),
    ("mean", mean),
    ("floor", |numbers| one(numbers).map(rounding::floor)),
    ("ceil", |numbers| one(numbers).map(rounding::ceil)),
    ("round", |numbers| one(numbers).map(rounding::round)),
    ("abs", |numbers| one(numbers).map(f64::abs)),
    ("pow", pow),
];

/// The function of numbers with this name.
pub(super) fn on_numbers(name: &str) -> Option<OnNumbers> {
    let mut functions = ON_NUMBERS.iter();
    functions
        .find(|(known, _)| *known == name)
        .map(|(_, function)| *function)
}

/// Puts the functions into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>, budget: &Arc<Budget>) {
    // An error would mean that CEL has a function of that name; the tests call each one.
    for (name, function) in ON_NUMBERS {
        let mut signatures = NUMERIC.iter();
        let lists = signatures.any(|one| one.name == name && one.list == ListArgument::Alone);
        let _ = context.add_function(name, move |Arguments(arguments): Arguments| -> Result {
            let numbers = numbers(name, lists, &arguments)?;
            match function(&numbers) {
                Ok(number) => Ok(Value::Float(number)),
                Err(message) => fail(name, message),
            }
        });
    }
    let _ = context.add_function("curve", curve);
    let _ = context.add_function("weighted_mean", weighted_mean);
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

/// The arguments as numbers. With `lists`, a single list replaces them.
fn numbers(function: &str, lists: bool, arguments: &[Value]) -> Result<Vec<f64>> {
    let values = match arguments {
        [Value::List(list)] if lists => list,
        other => other,
    };
    if values.is_empty() {
        return fail(function, "empty list");
    }
    values.iter().map(|value| number(function, value)).collect()
}

/// The error for another number of arguments, which the checker lets through for no function.
const OTHER_COUNT: &str = "expected another number of arguments";

fn one(numbers: &[f64]) -> Computed {
    exactly(numbers).map(|[number]| number)
}

fn exactly<const N: usize>(numbers: &[f64]) -> std::result::Result<[f64; N], &'static str> {
    <[f64; N]>::try_from(numbers).map_err(|_| OTHER_COUNT)
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
fn headroom(numbers: &[f64]) -> Computed {
    let [used, limit] = exactly(numbers)?;
    if limit <= 0.0 {
        return Err("the limit is not above 0");
    }
    let percent = rounding::divide(rounding::multiply(100.0, used), limit);
    let percent = if percent.is_finite() {
        percent
    } else {
        100.0 * (used / limit)
    };
    Ok(rounding::subtract(100.0, percent).clamp(0.0, 100.0))
}

/// `linear(x, x1, y1, x2, y2)`: the straight line through two points, level beyond them.
fn linear(numbers: &[f64]) -> Computed {
    let [x, x1, y1, x2, y2] = exactly(numbers)?;
    if x1 >= x2 {
        return Err("x2 is not above x1");
    }
    Ok(between(x, (x1, y1), (x2, y2)))
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
fn clamp(numbers: &[f64]) -> Computed {
    let [number, least, most] = exactly(numbers)?;
    if least > most {
        return Err("the least is above the most");
    }
    Ok(number.clamp(least, most))
}

/// `min(a, b, ...)` or `min(list)`
fn min(numbers: &[f64]) -> Computed {
    Ok(numbers.iter().copied().fold(f64::INFINITY, f64::min))
}

/// `max(a, b, ...)` or `max(list)`
fn max(numbers: &[f64]) -> Computed {
    Ok(numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// `sum(a, b, ...)` or `sum(list)`
fn sum(numbers: &[f64]) -> Computed {
    Ok(numbers.iter().sum())
}

/// `mean(a, b, ...)` or `mean(list)`: the arithmetic mean.
fn mean(numbers: &[f64]) -> Computed {
    let count = f64::from(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
    // Divided before summing, so that large numbers do not overflow.
    Ok(numbers.iter().map(|number| number / count).sum())
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
fn pow(numbers: &[f64]) -> Computed {
    let [base, exponent] = exactly(numbers)?;
    let power = base.powf(exponent);
    if power.is_finite() {
        Ok(power)
    } else {
        Err("not a finite number")
    }
}
