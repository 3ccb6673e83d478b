//! The functions on numbers that expressions have beside CEL's own. Those on text are in [`super::patterns`]
//! and [`super::texts`], those on Prometheus scrapes in [`super::metrics`].

use super::environment::Type;
use crate::filters::rounding;
use cel::common::types::CelString;
use cel::common::value::CowVal;
use cel::extractors::Arguments;
use cel::{Context, ExecutionError, FunctionContext, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `a + b` for doubles, texts and lists.
pub(super) const ADD: &str = "@add";
/// `a - b` for doubles.
pub(super) const SUBTRACT: &str = "@subtract";
/// `a * b` for doubles.
pub(super) const MULTIPLY: &str = "@multiply";
/// `a / b` for doubles; a division by 0 is unknown.
pub(super) const DIVIDE: &str = "@divide";
/// `a % b` for doubles.
pub(super) const MODULO: &str = "@modulo";
/// `a == b` for values of the same type.
pub(super) const EQUALS: &str = "@equals";
/// `a != b` for values of the same type.
pub(super) const DIFFERS: &str = "@differs";
/// Returns the list or map of a loop, and counts its elements.
pub(super) const ITERATE: &str = "@iterate";
/// Returns the argument of a function inside of a loop, and counts its elements or characters.
pub(super) const CONSUME: &str = "@consume";

/// How many elements the loops of one evaluation visit at most, together. So the size of a document does not
/// decide how long the collector evaluates.
pub(super) const MOST_ELEMENTS: usize = 100_000;

pub(super) type Result<T = Value> = std::result::Result<T, ExecutionError>;

/// How long one evaluation may take. [`MOST_ELEMENTS`] elements of modest size take much less; this limit is for
/// large elements.
const MOST_TIME: Duration = Duration::from_secs(1);

/// The rest of the limits of the current evaluation.
#[derive(Debug)]
pub(super) struct Budget {
    elements: AtomicUsize,
    /// The latest end of the evaluation, in nanoseconds since `epoch`.
    end: AtomicU64,
    epoch: Instant,
    /// The elements left to all evaluations since the latest [`Budget::limit`], together.
    shared: AtomicUsize,
    /// The end of all of them, in nanoseconds since `epoch`.
    shared_end: AtomicU64,
    /// Whether one of them needed more.
    exceeded: AtomicBool,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            elements: AtomicUsize::new(MOST_ELEMENTS),
            end: AtomicU64::new(u64::MAX),
            epoch: Instant::now(),
            shared: AtomicUsize::new(usize::MAX),
            shared_end: AtomicU64::new(u64::MAX),
            exceeded: AtomicBool::new(false),
        }
    }

    /// Limits the elements and the time of all evaluations from now on, together.
    pub(super) fn limit(&self, elements: usize, time: Duration) {
        let end = self.epoch.elapsed().saturating_add(time).as_nanos();
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        self.shared.store(elements, Ordering::Relaxed);
        self.shared_end.store(end, Ordering::Relaxed);
        self.exceeded.store(false, Ordering::Relaxed);
    }

    /// Whether an evaluation since [`Budget::limit`] needed more than that.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Starts an evaluation.
    pub(super) fn begin(&self) {
        let end = u64::try_from((self.epoch.elapsed() + MOST_TIME).as_nanos());
        self.end.store(end.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.elements.store(MOST_ELEMENTS, Ordering::Relaxed);
    }

    /// Subtracts elements; false if that many are not left, or the time is over.
    fn take(&self, elements: usize) -> bool {
        let subtract = |left: &AtomicUsize| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(elements)
            })
            .is_ok()
        };
        let now = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if !subtract(&self.shared) || now >= self.shared_end.load(Ordering::Relaxed) {
            self.exceeded.store(true, Ordering::Relaxed);
            return false;
        }
        subtract(&self.elements) && now < self.end.load(Ordering::Relaxed)
    }
}

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
    for (name, operation) in [
        (SUBTRACT, rounding::subtract as fn(f64, f64) -> f64),
        (MULTIPLY, rounding::multiply),
    ] {
        let _ = context.add_function(name, move |Arguments(arguments): Arguments| -> Result {
            let [left, right] = operands(name, &arguments)?;
            Ok(Value::Float(operation(left, right)))
        });
    }
    let _ = context.add_function(ADD, add);
    let _ = context.add_function(DIVIDE, divide);
    let _ = context.add_function(MODULO, modulo);
    let _ = context.add_function(EQUALS, |Arguments(arguments): Arguments| {
        equal(&arguments).map(Value::Bool)
    });
    let _ = context.add_function(DIFFERS, |Arguments(arguments): Arguments| {
        equal(&arguments).map(|equal| Value::Bool(!equal))
    });
    let _ = context.add_function(ITERATE, counted(ITERATE, Arc::clone(budget)));
    let _ = context.add_function(CONSUME, counted(CONSUME, Arc::clone(budget)));
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

/// The operands of an operator. They may be infinite: only the result of an expression has to be finite.
fn operands(operator: &str, arguments: &[Value]) -> Result<[f64; 2]> {
    match arguments {
        [Value::Float(left), Value::Float(right)] => Ok([*left, *right]),
        [left, right] => fail(
            operator,
            &format!("does not accept {} and {}", Type::of(left), Type::of(right)),
        ),
        _ => Err(ExecutionError::invalid_argument_count(2, arguments.len())),
    }
}

fn add(Arguments(arguments): Arguments) -> Result {
    match arguments.as_slice() {
        [Value::String(left), Value::String(right)] => limited(ADD, format!("{left}{right}")),
        [Value::List(left), Value::List(right)] => {
            let all = left.iter().chain(right.iter()).cloned();
            Ok(Value::List(Arc::new(all.collect())))
        }
        other => operands(ADD, other).map(|[left, right]| Value::Float(rounding::add(left, right))),
    }
}

/// Whether two values of the same type are equal.
fn equal(arguments: &[Value]) -> Result<bool> {
    let [left, right] = arguments else {
        return Err(ExecutionError::invalid_argument_count(2, arguments.len()));
    };
    match (Type::of(left), Type::of(right)) {
        (one, other) if one == other => Ok(left == right),
        _ => Err(ExecutionError::ValuesNotComparable(
            left.clone(),
            right.clone(),
        )),
    }
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

fn divide(Arguments(arguments): Arguments) -> Result {
    let [number, divisor] = operands(DIVIDE, &arguments)?;
    if divisor == 0.0 {
        return fail(DIVIDE, "division by zero");
    }
    Ok(Value::Float(rounding::divide(number, divisor)))
}

fn modulo(Arguments(arguments): Arguments) -> Result {
    let [number, divisor] = operands(MODULO, &arguments)?;
    if divisor == 0.0 {
        return fail(MODULO, "division by zero");
    }
    Ok(Value::Float(number % divisor))
}

/// CEL's own form of a function, which returns a value without copying it.
type Handler = Box<
    dyn for<'context, 'call> Fn(
            &mut FunctionContext<'context, 'call>,
        ) -> Result<CowVal<'context, 'call>>
        + Send
        + Sync,
>;

/// How many characters of a text count as one element of a list.
const CHARACTERS: usize = 64;

/// Returns a value, and subtracts its size from the budget.
fn counted(function: &'static str, budget: Arc<Budget>) -> Handler {
    Box::new(move |call| {
        let Some(value) = call.args.pop() else {
            return fail(function, "expected a value");
        };
        let looked_up = function == CONSUME && value.get_type().name() == "map";
        let size = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            text.inner().len() / CHARACTERS
        } else if looked_up {
            // A map finds a key without a visit to the others.
            0
        } else {
            let size = value.as_sizer().map_or(0, |range| *range.size().inner());
            usize::try_from(size).unwrap_or(usize::MAX)
        };
        if budget.take(size) {
            Ok(value)
        } else {
            fail(function, "too many elements")
        }
    })
}
