//! The functions that expressions have beside CEL's own, on numbers; those on text are in [`super::patterns`],
//! those on Prometheus scrapes in [`super::metrics`].

use cel::common::types::CelString;
use cel::common::value::CowVal;
use cel::extractors::Arguments;
use cel::{Context, ExecutionError, FunctionContext, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `a / b`, with no value where `b` is 0.
pub(super) const DIVIDE: &str = "@divide";
/// `a % b` for doubles.
pub(super) const MODULO: &str = "@modulo";
/// Gives back the list or map that a loop is to go over, and counts its elements.
pub(super) const ITERATE: &str = "@iterate";
/// Gives back what a function inside of a loop is to look at, and counts it where that takes long: the
/// elements of a list, the length of a text.
pub(super) const CONSUME: &str = "@consume";

/// How many elements the loops of one evaluation may go over, all together. A document that an
/// application sends must not decide how long the collector thinks.
pub(super) const MOST_ELEMENTS: usize = 100_000;

pub(super) type Result<T = Value> = std::result::Result<T, ExecutionError>;

/// How long one evaluation may take. Nothing comes near it that goes over [`MOST_ELEMENTS`] elements of
/// modest size; it is for a document whose elements are large themselves.
const MOST_TIME: Duration = Duration::from_secs(1);

/// What is left to the evaluation under way.
#[derive(Debug)]
pub(super) struct Budget {
    elements: AtomicUsize,
    /// When it has to be over, in nanoseconds since `epoch`.
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

    /// An evaluation begins.
    pub(super) fn begin(&self) {
        let end = u64::try_from((self.epoch.elapsed() + MOST_TIME).as_nanos());
        self.end.store(end.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.elements.store(MOST_ELEMENTS, Ordering::Relaxed);
    }

    /// Takes so many elements off; false where there are no longer so many, or the time is over.
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

/// A function of ours, for the checker.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// How it is written, for error texts.
    pub(super) usage: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Which argument, if any, is a list; all others are numbers.
    pub(super) list: ListArgument,
}

/// Where a function takes a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ListArgument {
    /// Nowhere.
    No,
    /// A single list may stand for all arguments.
    Alone,
    /// The last argument is one.
    Last,
}

/// What can be called by name and gives a number.
pub(super) const NUMERIC: [Signature; 9] = [
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
        name: "weighted_mean",
        usage: "weighted_mean([[number, importance], ...])",
        least: 1,
        most: 1,
        list: ListArgument::Last,
    },
];

/// Puts the functions into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>, budget: &Arc<Budget>) {
    // An error would mean that CEL has a function of that name; the tests call each of them.
    let _ = context.add_function("headroom", headroom);
    let _ = context.add_function("linear", linear);
    let _ = context.add_function("curve", curve);
    let _ = context.add_function("clamp", clamp);
    let _ = context.add_function("min", min);
    let _ = context.add_function("max", max);
    let _ = context.add_function("sum", sum);
    let _ = context.add_function("mean", mean);
    let _ = context.add_function("weighted_mean", weighted_mean);
    let _ = context.add_function(DIVIDE, divide);
    let _ = context.add_function(MODULO, modulo);
    let _ = context.add_function(ITERATE, counted(ITERATE, Arc::clone(budget)));
    let _ = context.add_function(CONSUME, counted(CONSUME, Arc::clone(budget)));
}

pub(super) fn fail<T>(function: &str, message: &str) -> Result<T> {
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

/// A list of pairs of numbers.
fn pairs(function: &str, list: Option<&Value>) -> Result<Vec<(f64, f64)>> {
    let Some(Value::List(list)) = list else {
        return fail(function, "takes a list of pairs");
    };
    list.iter()
        .map(|pair| match pair {
            Value::List(pair) => match pair.as_slice() {
                [first, second] => Ok((number(function, first)?, number(function, second)?)),
                _ => fail(function, "takes a list of pairs"),
            },
            _ => fail(function, "takes a list of pairs"),
        })
        .collect()
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
        return fail("curve", "takes a number and a list of points");
    };
    let x = number("curve", x)?;
    let points = pairs("curve", arguments.get(1))?;
    let Some(first) = points.first() else {
        return fail("curve", "got an empty list");
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
    y1 * (1.0 - share) + y2 * share
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

/// `weighted_mean([[number, importance], ...])`: the Loadbalancer.org agent's `sum(load * significance)`
/// over the sum of significances; what has importance 0 does not count.
fn weighted_mean(Arguments(arguments): Arguments) -> Result {
    let pairs = pairs("weighted_mean", arguments.first())?;
    if pairs.iter().any(|(_, importance)| *importance < 0.0) {
        return fail("weighted_mean", "an importance is below 0");
    }
    let sum: f64 = pairs.iter().map(|(_, importance)| importance).sum();
    if sum <= 0.0 {
        return fail("weighted_mean", "nothing has an importance above 0");
    }
    let mean = pairs
        .iter()
        .filter(|(_, importance)| *importance > 0.0)
        .map(|(number, importance)| number * (importance / sum))
        .sum();
    Ok(Value::Float(mean))
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

/// CEL's own form of a function: the one that hands a value on without copying it.
type Handler = Box<
    dyn for<'context, 'call> Fn(
            &mut FunctionContext<'context, 'call>,
        ) -> Result<CowVal<'context, 'call>>
        + Send
        + Sync,
>;

/// How many characters of a text count as one element of a list.
const CHARACTERS: usize = 64;

/// Hands a value on, and takes its size off the budget.
fn counted(function: &'static str, budget: Arc<Budget>) -> Handler {
    Box::new(move |call| {
        let Some(value) = call.args.pop() else {
            return fail(function, "takes a value");
        };
        let looked_up = function == CONSUME && value.get_type().name() == "map";
        let size = if let Some(text) = value.downcast_ref::<CelString<'_>>() {
            text.inner().len() / CHARACTERS
        } else if looked_up {
            // A key is found without going over the others.
            0
        } else {
            let size = value.as_sizer().map_or(0, |range| *range.size().inner());
            usize::try_from(size).unwrap_or(usize::MAX)
        };
        if budget.take(size) {
            Ok(value)
        } else {
            fail(function, "there is too much to go over")
        }
    })
}
