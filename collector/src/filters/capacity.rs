//! A weight from a server's measured capacity: requests per second per unit of utilization, divided by a
//! constant of the whole fleet. Pure.
//!
//! `weight = 100 * rate / (utilization + errors / rate * penalty) / reference_rate`, as in gRPC's weighted round
//! robin (proposal A58), here computed on the backend. Unlike `100 - load` it does not move when the weight moves:
//! rate and utilization rise and fall together. Without the penalty, a server that fails fast would get a high
//! weight.
//!
//! With `headroom_exponent`, that weight is multiplied by `(1 - utilization) ^ headroom_exponent`: it then also
//! corrects an imbalance of connections that last for minutes.

use agentcheck_common::BootTime;
use std::time::Duration;

/// The constants of the formula.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Requests a second at a utilization of 1 that make a weight of 100; positive.
    pub reference_rate: f64,
    /// The utilization that a rate of nothing but errors adds; not negative.
    pub error_penalty: f64,
    /// How long traffic must last before its weight is trusted.
    pub blackout_period: Duration,
    /// How long a weight is kept without traffic.
    pub expiration_period: Duration,
    /// The power of the free share of the server that multiplies the weight; 0 to [`MAX_HEADROOM_EXPONENT`].
    pub headroom_exponent: f64,
}

/// A larger exponent makes weights swing: a small change of load then moves more load than it was.
pub const MAX_HEADROOM_EXPONENT: f64 = 2.0;

/// The state of one service.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct CapacityMemory {
    /// The start of the traffic, with interruptions shorter than `expiration_period`.
    pub since: Option<BootTime>,
    /// The last trusted weight, and its time.
    pub held: Option<(f64, BootTime)>,
    /// The time of the latest traffic.
    pub seen: Option<BootTime>,
}

impl CapacityMemory {
    /// The application restarted, or returns after an outage: its first moments are not representative.
    pub fn start_again(&mut self) {
        self.since = None;
    }
}

/// The inputs of the formula, all finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Served requests per second.
    pub rate: f64,
    /// The utilization; 1 is the full machine, and it may be more.
    pub utilization: f64,
    /// Failed requests per second.
    pub errors: f64,
}

/// The origin of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The formula, now.
    Measured,
    /// The last trusted weight: there is no traffic, or not for long enough.
    Held,
    /// No measurement, or none for too long. The weight is full, because only traffic can measure.
    Unmeasured,
}

/// A weight in per cent, before its bounds, and its two factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityWeight {
    /// The weight by capacity alone, in per cent.
    pub capacity: f64,
    /// The origin of `capacity`.
    pub basis: Basis,
    /// The free share of the server to the power of `headroom_exponent`, 0 to 1. It is always the present one.
    pub headroom: f64,
}

impl CapacityWeight {
    /// The product of both factors.
    pub fn percent(&self) -> f64 {
        self.capacity * self.headroom
    }
}

/// The weight for a sample.
pub fn weight(
    terms: &Terms,
    memory: &mut CapacityMemory,
    seen: Sample,
    now: BootTime,
) -> CapacityWeight {
    let (capacity, basis) = capacity(terms, memory, seen, now);
    let free = (1.0 - seen.utilization).clamp(0.0, 1.0);
    CapacityWeight {
        capacity,
        basis,
        // An exponent of 0 gives 1, also for a full server.
        headroom: free.powf(terms.headroom_exponent),
    }
}

fn capacity(
    terms: &Terms,
    memory: &mut CapacityMemory,
    seen: Sample,
    now: BootTime,
) -> (f64, Basis) {
    let measured = measure(terms, seen);
    if measured.is_some() {
        let expired = |seen: BootTime| now.since(seen) >= terms.expiration_period;
        if memory.since.is_none() || memory.seen.is_none_or(expired) {
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

/// The formula; `None` without traffic or utilization.
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
        headroom_exponent: 0.0,
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
        // Half the capacity, at every load.
        assert_eq!(weight(20.0, 0.2, 0.0), Some(50.0));
        assert_eq!(weight(90.0, 0.9, 0.0), Some(50.0));
        // More work than the machine can do.
        assert_eq!(weight(100.0, 2.0, 0.0), Some(25.0));
        // A tenth fails: 50 / (0.4 + 0.1).
        assert_eq!(weight(50.0, 0.4, 5.0), Some(50.0));
        // Everything fails, fast.
        assert_eq!(weight(100.0, 0.25, 100.0), Some(40.0));
        assert_eq!(weight(100.0, 0.25, 900.0), Some(40.0));
        assert_eq!(weight(100.0, 0.5, -3.0), Some(100.0));
        for (rate, utilization) in [(0.0, 0.5), (100.0, 0.0), (-1.0, 0.5), (f64::MAX, 1e-300)] {
            assert_eq!(weight(rate, utilization, 0.0), None);
        }
    }

    /// The weights for samples at times in seconds.
    fn played(steps: &[(u64, Sample)]) -> Vec<(f64, Basis)> {
        let mut memory = CapacityMemory::default();
        let at = |seconds: u64| BootTime(seconds * 1_000_000_000);
        steps
            .iter()
            .map(|(seconds, seen)| {
                let weight = weight(&TERMS, &mut memory, *seen, at(*seconds));
                (weight.percent(), weight.basis)
            })
            .collect()
    }

    #[test]
    fn blackout_weight_is_not_trusted_and_last_weight_is_kept_without_traffic() {
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
    fn short_pause_needs_no_second_blackout() {
        let half = seen(50.0, 0.5, 0.0);
        let steps = [(0, half), (10, half), (20, seen(0.0, 0.0, 0.0)), (60, half)];
        assert_eq!(played(&steps)[3], (50.0, Basis::Measured));
    }

    #[test]
    fn headroom_multiplies_measured_kept_and_unmeasured_weights() {
        let product = |exponent, memory: &mut CapacityMemory, seconds: u64, seen| {
            let terms = Terms {
                headroom_exponent: exponent,
                ..TERMS
            };
            weight(&terms, memory, seen, BootTime(seconds * 1_000_000_000)).percent()
        };
        for (exponent, expected) in [
            (1.0, [75.0, 37.5, 50.0, 0.0]),
            (2.0, [56.25, 28.125, 50.0, 0.0]),
            (0.0, [100.0, 50.0, 50.0, 50.0]),
        ] {
            let mut memory = CapacityMemory::default();
            let mut at = |seconds, seen| product(exponent, &mut memory, seconds, seen);
            let quarter = seen(25.0, 0.25, 0.0);
            assert_eq!(at(0, quarter), expected[0], "unmeasured");
            assert_eq!(at(10, quarter), expected[1], "measured");
            assert_eq!(at(20, seen(0.0, 0.0, 0.0)), expected[2], "kept");
            assert_eq!(at(30, seen(150.0, 1.5, 0.0)), expected[3], "overloaded");
        }
    }
}
