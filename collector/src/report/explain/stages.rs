//! The stages of a weight: one line for each that is configured.

use super::Lines;
use crate::config::{Service, Weight};
use crate::decision::evaluate::{ServiceMemory, Weighed};
use crate::filters::capacity::Basis;
use crate::filters::shape::is_sudden_fall;
use crate::render::text::{number, span};
use agentcheck_common::BootTime;

/// Appends the stages from the raw weight to the reply.
pub(super) fn push_stages(
    service: &Service,
    before: &ServiceMemory,
    weighed: &Weighed,
    now: BootTime,
    lines: &mut Lines,
) {
    let (shaping, shaped) = (&service.shaping, &weighed.shaped);
    if let Some(weight) = weighed.capacity {
        let capacity = number(weight.capacity);
        let text = match weight.basis {
            Basis::Measured => format!("measured: {capacity}"),
            Basis::Held => format!("{capacity}, kept: no traffic, or not for long enough"),
            Basis::Unmeasured => "100, not measured yet: it needs traffic".to_owned(),
        };
        lines.push(("", text));
    }
    let mut stage = |name: &'static str, from: f64, to: f64, how: String| {
        let change = if (from - to).abs() > 1e-6 {
            format!("{} -> {}", number(from), number(to))
        } else {
            number(to)
        };
        lines.push((name, format!("{change}, {how}")));
    };
    if let (Some(weight), Weight::Capacity(capacity)) = (weighed.capacity, &service.weight)
        && capacity.terms.headroom_exponent > 0.0
    {
        let how = format!(
            "free share^{} is {}",
            number(capacity.terms.headroom_exponent),
            number(weight.headroom)
        );
        stage("headroom", weight.capacity, shaped.raw, how);
    }
    let usable = shaped.raw.clamp(0.0, 100.0);
    if let Some(smooth) = shaping.ewma {
        let sudden = if is_sudden_fall(shaping, &before.shape, usable) {
            "; a sudden fall replaces it"
        } else {
            ""
        };
        let was = before.shape.smoothed.map_or_else(
            || "no average yet".to_owned(),
            |(was, at)| format!("average was {}, {} ago", number(was), span(now.since(at))),
        );
        stage(
            "ewma",
            usable,
            shaped.smoothed,
            format!("over {}: {was}{sudden}", span(smooth)),
        );
    }
    if let Some(ramp) = shaping.ramp {
        let how = match before.shape.ramp.filter(|_| weighed.ramping) {
            Some(since) => format!(
                "{} of {} since the return",
                span(now.since(since)),
                span(ramp.window)
            ),
            None if weighed.ramping => {
                format!("just returned; {} to go", span(ramp.window))
            }
            None => "no ramp in progress".to_owned(),
        };
        stage("ramp", shaped.smoothed, shaped.ramped, how);
    }
    let bounds = format!(
        "floor {}%, ceiling {}%",
        shaping.floor.get(),
        shaping.ceiling.get()
    );
    stage("bounds", shaped.ramped, shaped.bounded, bounds);
    if shaping.max_rise.is_some() || shaping.max_fall.is_some() {
        let rate = |rate: Option<f64>| rate.map_or("any".to_owned(), number);
        let how = format!(
            "at most +{} and -{} per second",
            rate(shaping.max_rise),
            rate(shaping.max_fall)
        );
        stage("step", shaped.bounded, shaped.stepped, how);
    }
    let percent = f64::from(shaped.percent.get());
    let change = if (shaped.stepped - percent).abs() > 1e-6 {
        format!("{} -> {}", number(shaped.stepped), number(percent))
    } else {
        number(percent)
    };
    let dead_band = (shaping.dead_band > 0.0).then(|| {
        let last = before.shape.last_percent;
        let last = last.map_or("none".to_owned(), |last| format!("{last}%"));
        format!(
            ", dead band {}, last reply {last}",
            number(shaping.dead_band)
        )
    });
    lines.push(("rounded", change + &dead_band.unwrap_or_default()));
}
