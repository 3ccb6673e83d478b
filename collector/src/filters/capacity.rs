//! A weight from what a server has shown that it can do: requests a second served per unit of utilization,
//! over a constant of the whole fleet. Pure.
//!
//! `weight = 100 * rate / (utilization + errors / rate * penalty) / full`, as gRPC's weighted round robin has
//! it (proposal A58), here computed on the backend. Unlike `100 - load` it does not move when the weight
//! moves: rate and utilization go up and down together. The penalty keeps a server that fails fast from
//! looking able.

use agentcheck_common::BootTime;
use std::time::Duration;

/// What the formula takes besides readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Requests a second at a utilization of 1 that make a weight of 100; positive.
    pub reference_rate: f64,
    /// How much of a utilization a rate of nothing but errors counts as; not negative.
    pub error_penalty: f64,
    /// How long there has to be traffic before its weight is trusted.
    pub blackout_period: Duration,
    /// How long a weight is held without traffic.
    pub expiration_period: Duration,
}

/// What is remembered of one service.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CapacityMemory {
    /// Since when there is traffic, interrupted for less than `expire`.
    pub since: Option<BootTime>,
    /// The last weight that was trusted, and when.
    pub held: Option<(f64, BootTime)>,
    /// When there was traffic last.
    pub seen: Option<BootTime>,
}

impl CapacityMemory {
    /// The application was started again, or comes back from being out: its first moments say little.
    pub fn start_again(&mut self) {
        self.since = None;
    }
}

/// What was seen: all of it finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Requests served a second.
    pub rate: f64,
    /// How busy the server was; 1 is all of it, and it may be more.
    pub utilization: f64,
    /// Requests a second that failed.
    pub errors: f64,
}

/// Where a weight comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The formula, now.
    Measured,
    /// The last one that was trusted: there is no traffic, or not for long enough.
    Held,
    /// Nothing: it was never measured, or not for too long. The weight is full, for only traffic can tell.
    Unmeasured,
}

/// The weight in per cent, not yet bounded.
pub fn weight(
    terms: &Terms,
    memory: &mut CapacityMemory,
    seen: Sample,
    now: BootTime,
) -> (f64, Basis) {
    let measured = measure(terms, seen);
    if measured.is_some() {
        let gone = |seen: BootTime| now.since(seen) >= terms.expiration_period;
        if memory.since.is_none() || memory.seen.is_none_or(gone) {
            memory.since = Some(now);
        }
        memory.seen = Some(now);
    }
    let trusted = memory
        .since
        .is_some_and(|since| now.since(since) >= terms.blackout_period);
    match (measured, memory.held) {
        (Some(weight), _) if trusted => {
            memory.held = Some((weight, now));
            (weight, Basis::Measured)
        }
        (_, Some((held, at))) if now.since(at) < terms.expiration_period => (held, Basis::Held),
        _ => {
            memory.held = None;
            (100.0, Basis::Unmeasured)
        }
    }
}

/// The formula; none without traffic or utilization, of which nothing follows.
fn measure(terms: &Terms, seen: Sample) -> Option<f64> {
    if seen.rate <= 0.0 || seen.utilization <= 0.0 {
        return None;
    }
    let failing = (seen.errors.max(0.0) / seen.rate).min(1.0);
    let cost = seen.utilization + failing * terms.error_penalty;
    let weight = 100.0 * (seen.rate / cost / terms.reference_rate);
    weight.is_finite().then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        reference_rate: 200.0,
        error_penalty: 1.0,
        blackout_period: Duration::from_secs(10),
        expiration_period: Duration::from_secs(180),
    };

    fn seen(rate: f64, utilization: f64, errors: f64) -> Sample {
        Sample {
            rate,
            utilization,
            errors,
        }
    }

    #[test]
    fn the_formula() {
        let weight = |rate, utilization, errors| measure(&TERMS, seen(rate, utilization, errors));
        assert_eq!(weight(100.0, 0.5, 0.0), Some(100.0));
        // Half the machine, whatever the load is.
        assert_eq!(weight(20.0, 0.2, 0.0), Some(50.0));
        assert_eq!(weight(90.0, 0.9, 0.0), Some(50.0));
        // More work than it can do.
        assert_eq!(weight(100.0, 2.0, 0.0), Some(25.0));
        // A tenth fails: 50 / (0.4 + 0.1).
        assert_eq!(weight(50.0, 0.4, 5.0), Some(50.0));
        // All of it fails, fast.
        assert_eq!(weight(100.0, 0.25, 100.0), Some(40.0));
        assert_eq!(weight(100.0, 0.25, 900.0), Some(40.0));
        assert_eq!(weight(100.0, 0.5, -3.0), Some(100.0));
        for (rate, utilization) in [(0.0, 0.5), (100.0, 0.0), (-1.0, 0.5), (f64::MAX, 1e-300)] {
            assert_eq!(weight(rate, utilization, 0.0), None);
        }
    }

    /// What is given at times in seconds.
    fn played(steps: &[(u64, Sample)]) -> Vec<(f64, Basis)> {
        let mut memory = CapacityMemory::default();
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        steps
            .iter()
            .map(|(seconds, seen)| weight(&TERMS, &mut memory, *seen, at(*seconds)))
            .collect()
    }

    #[test]
    fn nothing_is_trusted_during_the_blackout_and_held_without_traffic() {
        let half = seen(50.0, 0.5, 0.0);
        let nothing = seen(0.0, 0.0, 0.0);
        let steps = [
            (0, nothing),
            (5, half),
            (14, half),
            (15, half),
            (20, nothing),
            (190, nothing),
            (195, nothing),
            (300, half),
            (309, half),
            (310, half),
        ];
        let full = (100.0, Basis::Unmeasured);
        let held = (50.0, Basis::Held);
        let measured = (50.0, Basis::Measured);
        let expected = [
            full, full, full, measured, held, held, full, full, full, measured,
        ];
        assert_eq!(played(&steps), expected);
    }

    #[test]
    fn a_short_silence_needs_no_second_blackout() {
        let half = seen(50.0, 0.5, 0.0);
        let steps = [(0, half), (10, half), (20, seen(0.0, 0.0, 0.0)), (60, half)];
        assert_eq!(played(&steps)[3], (50.0, Basis::Measured));
    }
}
