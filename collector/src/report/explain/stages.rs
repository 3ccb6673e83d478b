//! The stages of a weight, one line for each that is switched on.

use super::Lines;
use crate::config::Service;
use crate::decision::evaluate::{ServiceMemory, Weighed};
use crate::filters::capacity::Basis;
use crate::render::text::{number, span};
use agentcheck_common::BootTime;

/// From what the expression gave to what is said.
pub(super) fn told(
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
                "{}, held: no traffic, or not for long enough",
                number(shaped.raw)
            );
            lines.push(("", text));
        }
        Some(Basis::Unmeasured) => {
            lines.push((
                "",
                "100, since it was never measured: only traffic can tell".to_owned(),
            ));
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
            || "nothing to average with yet".to_owned(),
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
                "{} of {} since it came back",
                span(now.since(since)),
                span(ramp.window)
            ),
            None if weighed.ramping => {
                format!("it has just come back; {} to go", span(ramp.window))
            }
            None => "no ramp under way".to_owned(),
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
            "at most {} up and {} down a second",
            rate(shaping.max_rise),
            rate(shaping.max_fall)
        );
        stage("step", shaped.bounded, shaped.stepped, how);
    }
    let percent = f64::from(shaped.percent.get());
    let how = if shaping.dead_band > 0.0 {
        let said = before
            .shape
            .last_percent
            .map_or("nothing".to_owned(), |said| format!("{said}%"));
        format!(
            "rounded down; dead band {}, {said} was said",
            number(shaping.dead_band)
        )
    } else {
        "rounded down".to_owned()
    };
    stage("said", shaped.stepped, percent, how);
}
