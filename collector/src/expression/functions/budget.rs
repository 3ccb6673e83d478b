//! The limits of evaluations: how many elements loops and functions visit, and how long.

use super::{Result, fail};
use cel::common::types::CelString;
use cel::common::value::CowVal;
use cel::{Context, FunctionContext};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Returns the list or map of a loop, and counts its elements.
pub(in super::super) const ITERATE: &str = "@iterate";
/// Returns the argument of a function inside of a loop, and counts its elements or characters.
pub(in super::super) const CONSUME: &str = "@consume";

/// How many elements the loops of one evaluation visit at most, together. So the size of a document does not
/// decide how long the collector evaluates.
pub(in super::super) const MOST_ELEMENTS: usize = 100_000;

/// How long one evaluation may take. [`MOST_ELEMENTS`] elements of modest size take much less; this limit is for
/// large elements.
const MOST_TIME: Duration = Duration::from_secs(1);

/// The rest of the limits of the current evaluation.
#[derive(Debug)]
pub(in super::super) struct Budget {
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
    pub(in super::super) fn new() -> Self {
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
    pub(in super::super) fn limit(&self, elements: usize, time: Duration) {
        let end = self.epoch.elapsed().saturating_add(time).as_nanos();
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        self.shared.store(elements, Ordering::Relaxed);
        self.shared_end.store(end, Ordering::Relaxed);
        self.exceeded.store(false, Ordering::Relaxed);
    }

    /// Whether an evaluation since [`Budget::limit`] needed more than that.
    pub(in super::super) fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Starts an evaluation.
    pub(in super::super) fn begin(&self) {
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

/// Puts the functions that count elements into `context`.
pub(super) fn add_to(context: &mut Context<'_, '_>, budget: &Arc<Budget>) {
    let _ = context.add_function(ITERATE, counted(ITERATE, Arc::clone(budget)));
    let _ = context.add_function(CONSUME, counted(CONSUME, Arc::clone(budget)));
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
