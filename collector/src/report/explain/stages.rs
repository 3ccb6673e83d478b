//! The stages of a weight: one line for each that is configured.

use super::Lines;
use crate::config::Service;
use crate::decision::evaluate::{ServiceMemory, Weighed};
use crate::filters::capacity::Basis;
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
    match weighed.basis {
        Some(Basis::Measured) => lines.push(("", format!("measured: {}", number(shaped.raw)))),
        Some(Basis::Held) => {
            let text = format!(
                "{}, kept: no traffic, or not for long enough",
                number(shaped.raw)
            );
            lines.push(("", text));
        }
        Some(Basis::Unmeasured) => {
            lines.push(("", "100, not measured yet: it needs traffic".to_owned()));
        }
        None => {}
    }
    let mut stage = |name: &'static str, from: f64, to: f64, how: String| {
        let change = if (from - to).abs() > 1e-6 {
            format!("{} -> {}", number(from), number(to))
        } else {
            number(to)
        };
        lines.push((name, format!("{change}, {how}")));
    };
    let usable = shaped.raw.clamp(0.0, 100.0);
    if let Some(smooth) = shaping.ewma {
        let was = before.shape.smoothed.map_or_else(
            || "no average yet".to_owned(),
            |(was, at)| format!("average was {}, {} ago", number(was), span(now.since(at))),
        );
        stage(
            "ewma",
            usable,
            shaped.smoothed,
            format!("over {}: {was}", span(smooth)),
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
