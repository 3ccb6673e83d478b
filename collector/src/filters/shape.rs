//! From a raw weight to the whole percentage that is said: smoothing, ramp, ceiling, floor, the largest
//! step, the dead band, in this order. Pure: each stage is a function of numbers and times.
//!
//! Load feedback is a control loop, and what keeps it from swinging is here: a weight that follows load as
//! it is drives that load away and back again.

use super::rounding;
use agentcheck_common::{BootTime, Percent};
use std::time::Duration;

/// How a weight is shaped. All of it is off by default, but for the floor.
#[derive(Clone, Debug, PartialEq)]
pub struct Shaping {
    /// The time constant of the average; none takes the weight as it is.
    pub ewma: Option<Duration>,
    /// How a server that comes back gets its share again.
    pub ramp: Option<Ramp>,
    /// The greatest weight.
    pub ceiling: Percent,
    /// The least weight, at least 1 and at most `ceiling`.
    pub floor: Percent,
    /// By how many points a second the weight rises at most; positive.
    pub max_rise: Option<f64>,
    /// By how many points a second it falls at most; positive.
    pub max_fall: Option<f64>,
    /// By how many points it has to differ from what is being said before something else is said; at the
    /// ceiling and at the floor it need not.
    pub dead_band: f64,
}

impl Default for Shaping {
    fn default() -> Self {
        Self {
            ewma: None,
            ramp: None,
            ceiling: Percent::FULL,
            floor: LEAST_FLOOR,
            max_rise: None,
            max_fall: None,
            dead_band: 0.0,
        }
    }
}

/// Load never leads below this: a busy farm would empty itself node by node.
pub const LEAST_FLOOR: Percent = match Percent::new(1) {
    Some(floor) => floor,
    None => Percent::FULL,
};

/// The way back after a server was out: its share grows from `from` to all of it over `window`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    /// How long it takes.
    pub window: Duration,
    /// Where it begins, in per cent of the weight; 1 to 100.
    pub from: f64,
    /// The share is `(t / window) ^ (1 / aggression)`, as in Envoy's slow start: 1 grows evenly, more grows
    /// fast at first; positive.
    pub aggression: f64,
}

/// What the shaping of one service remembers.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct ShapeMemory {
    /// The average, and when it was taken.
    pub smoothed: Option<(f64, BootTime)>,
    /// Since when the server comes back.
    pub ramp: Option<BootTime>,
    /// Where the steps are, and since when.
    pub stepped: Option<(f64, BootTime)>,
    /// What is being said.
    pub last_percent: Option<u16>,
}

impl ShapeMemory {
    /// Begins a ramp: steps and dead band do not hold up the fall to where it begins.
    pub fn begin_ramp(&mut self, now: BootTime) {
        self.ramp = Some(now);
        self.taken_out();
    }

    /// The server was taken out: what is said next has nothing to do with what was said before.
    pub fn taken_out(&mut self) {
        self.stepped = None;
        self.last_percent = None;
    }

    /// Something else than the weight decided to say `percent`: the weight goes on from there.
    pub fn replaced(&mut self, percent: Percent, now: BootTime) {
        self.stepped = Some((f64::from(percent.get()), now));
        self.last_percent = Some(percent.get());
    }
}

/// A weight at each stage, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shaped {
    /// What the expression gave.
    pub raw: f64,
    /// After the average.
    pub smoothed: f64,
    /// After the ramp.
    pub ramped: f64,
    /// Between floor and ceiling.
    pub bounded: f64,
    /// After the largest step.
    pub stepped: f64,
    /// What is said.
    pub percent: Percent,
    /// Whether another evaluation without news would say something else some time.
    pub moving: bool,
}

/// Takes a raw weight through all stages. What is not finite counts as 0.
pub fn shape(shaping: &Shaping, memory: &mut ShapeMemory, raw: f64, now: BootTime) -> Shaped {
    let floor = f64::from(shaping.floor.get());
    let ceiling = f64::from(shaping.ceiling.get()).max(floor);
    // Beyond its ends a weight says nothing, but would weigh on the average for long.
    let usable = if raw.is_finite() {
        raw.clamp(0.0, 100.0)
    } else {
        0.0
    };
    let smoothed = smooth(shaping.ewma, memory.smoothed, usable, now);
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
    let said = memory.last_percent.map(f64::from);
    let whole = dead_band(shaping.dead_band, said, stepped, floor, ceiling);
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

/// How near an average comes to its input before it is the input: an exponential never arrives.
const ARRIVED: f64 = 0.1;

/// Exponentially weighted moving average over irregular steps of time: `alpha = 1 - exp(-dt / tau)`; the
/// first number is taken as it is (control theory's first-order lag; as Envoy's load-aware locality does).
fn smooth(tau: Option<Duration>, before: Option<(f64, BootTime)>, raw: f64, now: BootTime) -> f64 {
    let (Some(tau), Some((before, at))) = (tau, before) else {
        return raw;
    };
    let passed = now.since(at).as_secs_f64();
    let alpha = 1.0 - (-passed / tau.as_secs_f64()).exp();
    // A time constant of nothing, and no time: 0 / 0.
    let alpha = if alpha.is_finite() { alpha } else { 1.0 };
    let smoothed = before + (raw - before) * alpha;
    if (raw - smoothed).abs() < ARRIVED {
        raw
    } else {
        smoothed
    }
}

/// The share of its weight that a server has `passed` after it came back: Envoy's slow start.
fn share(ramp: &Ramp, passed: Duration) -> f64 {
    let progress = passed.as_secs_f64() / ramp.window.as_secs_f64().max(1e-9);
    let grown = progress.min(1.0).powf(1.0 / ramp.aggression);
    // max() passes over what is not a number.
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

/// The whole percentage to say: what is being said as long as that is near enough. It is compared with
/// what is said, not with the number before, so that many small changes add up.
fn dead_band(band: f64, said: Option<f64>, target: f64, floor: f64, ceiling: f64) -> f64 {
    let whole = rounding::floor(target).clamp(floor, ceiling);
    let at_an_end = whole <= floor || whole >= ceiling;
    match said {
        Some(said)
            if !at_an_end && (whole - said).abs() < band && said >= floor && said <= ceiling =>
        {
            said
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests;
