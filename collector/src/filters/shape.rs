//! From a raw weight to the whole percentage of a reply: average, ramp, ceiling, floor, largest step, dead
//! band, in this order. Pure: each stage is a function of numbers and times.
//!
//! Load feedback is a control loop, and these stages keep it from oscillating: a weight that follows the load
//! at once drives that load away and back.

use super::rounding;
use agentcheck_common::{BootTime, Percent};
use std::time::Duration;

/// How a weight is shaped. Everything but the floor is off by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Shaping {
    /// The time constant of the average; `None` takes the weight as it is.
    pub ewma: Option<Duration>,
    /// A raw weight that is more than this many per cent below the average replaces the average at once; above 0.
    pub sudden_fall: Option<f64>,
    /// How a server that returns regains its share.
    pub ramp: Option<Ramp>,
    /// The largest weight.
    pub ceiling: Percent,
    /// The smallest weight, at least 1 and at most `ceiling`.
    pub floor: Percent,
    /// The largest rise, in points per second; positive.
    pub max_rise: Option<f64>,
    /// The largest fall, in points per second; positive.
    pub max_fall: Option<f64>,
    /// How far, in points, a weight must differ from the present reply to change it. At floor and ceiling it
    /// always changes.
    pub dead_band: f64,
}

impl Default for Shaping {
    fn default() -> Self {
        Self {
            ewma: None,
            sudden_fall: None,
            ramp: None,
            ceiling: Percent::FULL,
            floor: LEAST_FLOOR,
            max_rise: None,
            max_fall: None,
            dead_band: 0.0,
        }
    }
}

/// Load never goes below this: a busy farm would empty itself server by server.
pub const LEAST_FLOOR: Percent = match Percent::new(1) {
    Some(floor) => floor,
    None => Percent::FULL,
};

/// The return after an outage: the share grows from `from` to all of it over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// Its length.
    pub window: Duration,
    /// Its start, in per cent of the weight; 1 to 100.
    pub from: f64,
    /// The share is `(t / window) ^ (1 / aggression)`, as in Envoy's slow start: 1 grows evenly, more grows
    /// fast at first; positive.
    pub aggression: f64,
}

/// The shaping state of one service.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ShapeMemory {
    /// The average, and its time.
    pub smoothed: Option<(f64, BootTime)>,
    /// The start of the ramp.
    pub ramp: Option<BootTime>,
    /// The weight after the step limit, and its time.
    pub stepped: Option<(f64, BootTime)>,
    /// The percentage of the present reply.
    pub last_percent: Option<u16>,
}

impl ShapeMemory {
    /// Begins a ramp: step limit and dead band do not delay the fall to its start.
    pub fn begin_ramp(&mut self, now: BootTime) {
        self.ramp = Some(now);
        self.taken_out();
    }

    /// The server was taken out: the next reply does not depend on earlier ones.
    pub fn taken_out(&mut self) {
        self.stepped = None;
        self.last_percent = None;
    }

    /// Something other than the weight chose `percent`: the weight continues from there.
    pub fn replaced(&mut self, percent: Percent, now: BootTime) {
        self.stepped = Some((f64::from(percent.get()), now));
        self.last_percent = Some(percent.get());
    }
}

/// A weight after each stage, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shaped {
    /// The result of the expression.
    pub raw: f64,
    /// After the average.
    pub smoothed: f64,
    /// After the ramp.
    pub ramped: f64,
    /// Between floor and ceiling.
    pub bounded: f64,
    /// After the step limit.
    pub stepped: f64,
    /// The percentage of the reply.
    pub percent: Percent,
    /// Whether a later evaluation without news would return another percentage.
    pub moving: bool,
}

/// Takes a raw weight through all stages. A weight that is not finite counts as 0.
pub fn shape(shaping: &Shaping, memory: &mut ShapeMemory, raw: f64, now: BootTime) -> Shaped {
    let floor = f64::from(shaping.floor.get());
    let ceiling = f64::from(shaping.ceiling.get()).max(floor);
    // A weight out of range has no meaning, but would weigh on the average for long.
    let usable = if raw.is_finite() {
        raw.clamp(0.0, ceiling.max(100.0))
    } else {
        0.0
    };
    let smoothed = if is_sudden_fall(shaping, memory, usable) {
        usable
    } else {
        smooth(shaping.ewma, memory.smoothed, usable, now)
    };
    memory.smoothed = shaping.ewma.map(|_| (smoothed, now));
    if let (Some(since), Some(ramp)) = (memory.ramp, shaping.ramp)
        && now.since(since) >= ramp.window
    {
        memory.ramp = None;
    }
    let ramped = match (memory.ramp, shaping.ramp) {
        (Some(since), Some(ramp)) => smoothed * share(&ramp, now.since(since)),
        _ => smoothed,
    };
    let bounded = ramped.clamp(floor, ceiling);
    let stepped = match memory.stepped {
        // Floor and ceiling may have moved since.
        Some((before, at)) => {
            let passed = now.since(at).as_secs_f64();
            step(shaping, before.clamp(floor, ceiling), bounded, passed)
        }
        None => bounded,
    };
    memory.stepped = Some((stepped, now));
    let present = memory.last_percent.map(f64::from);
    let whole = dead_band(shaping.dead_band, present, stepped, floor, ceiling);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // floor..=ceiling
    let whole = whole as u16;
    memory.last_percent = Some(whole);
    Shaped {
        raw,
        smoothed,
        ramped,
        bounded,
        stepped,
        percent: Percent::new(whole).unwrap_or(shaping.floor),
        moving: differs(smoothed, usable) || memory.ramp.is_some() || differs(stepped, bounded),
    }
}

fn differs(a: f64, b: f64) -> bool {
    (a - b).abs() > 1e-6
}

/// How close an average comes to its input before it equals the input: an exponential never arrives.
const ARRIVED: f64 = 0.1;

/// Exponentially weighted moving average over irregular steps of time: `alpha = 1 - exp(-dt / tau)`. The first
/// number is taken as it is (a first-order lag, as in Envoy's load-aware locality).
fn smooth(tau: Option<Duration>, before: Option<(f64, BootTime)>, raw: f64, now: BootTime) -> f64 {
    let (Some(tau), Some((before, at))) = (tau, before) else {
        return raw;
    };
    let passed = now.since(at).as_secs_f64();
    let alpha = 1.0 - (-passed / tau.as_secs_f64()).exp();
    // A time constant of zero and no time: 0 / 0.
    let alpha = if alpha.is_finite() { alpha } else { 1.0 };
    let smoothed = before + (raw - before) * alpha;
    if (raw - smoothed).abs() < ARRIVED {
        raw
    } else {
        smoothed
    }
}

/// Whether `raw` is so far below the average that the server lost capacity. Small differences are noise, which an
/// average removes. A lost half of a server is not, and each second of the old weight makes its queue longer.
pub fn is_sudden_fall(shaping: &Shaping, memory: &ShapeMemory, raw: f64) -> bool {
    match (shaping.sudden_fall, memory.smoothed) {
        (Some(fall), Some((average, _))) => raw < average * (1.0 - fall / 100.0),
        _ => false,
    }
}

/// The share of its weight that a server has `passed` after its return: Envoy's slow start.
fn share(ramp: &Ramp, passed: Duration) -> f64 {
    let progress = passed.as_secs_f64() / ramp.window.as_secs_f64().max(1e-9);
    let grown = progress.min(1.0).powf(1.0 / ramp.aggression);
    // max() ignores a value that is not a number.
    grown.max(ramp.from / 100.0).min(1.0)
}

/// As far from `before` towards `target` as `passed` seconds allow.
fn step(shaping: &Shaping, before: f64, target: f64, passed: f64) -> f64 {
    let (rate, sign) = if target >= before {
        (shaping.max_rise, 1.0)
    } else {
        (shaping.max_fall, -1.0)
    };
    match rate {
        Some(rate) if (target - before).abs() > rate * passed => before + sign * rate * passed,
        _ => target,
    }
}

/// The whole percentage of the reply: the present one while the target is close to it. The comparison is with
/// the present reply, not with the last target, so that many small changes add up.
fn dead_band(band: f64, present: Option<f64>, target: f64, floor: f64, ceiling: f64) -> f64 {
    let whole = rounding::floor(target).clamp(floor, ceiling);
    let at_an_end = whole <= floor || whole >= ceiling;
    match present {
        Some(present)
            if !at_an_end
                && (whole - present).abs() < band
                && present >= floor
                && present <= ceiling =>
        {
            present
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests;
