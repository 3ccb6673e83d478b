//! The keys of a service for its weight and its connection limit: `weight` or `capacity`, the shaping, `maxconn`.

use super::diagnostics::Diagnostic;
use super::settings::CAPACITY;
use super::toml_reader::{Entry, Findings, Table, Text};
use super::{Capacity, MaxconnLimit, Restarts, Weight, rules};
use crate::expression::{Environment, Expression, Type};
use crate::filters::capacity::Terms;
use crate::filters::shape::{LEAST_FLOOR, Ramp, Shaping};
use agentcheck_common::{Maxconn, Percent};
use std::time::Duration;

/// The default average of a weight by capacity. `sudden_fall` lets it be this slow.
const CAPACITY_EWMA: Duration = Duration::from_secs(8);
/// The default average with `headroom_exponent`: that of Envoy's load-aware locality. More delay makes it swing.
const HEADROOM_EWMA: Duration = Duration::from_secs(5);
/// The default of `sudden_fall` for a weight by capacity, in per cent: rarer than noise, and less than a lost half.
const CAPACITY_SUDDEN_FALL: f64 = 30.0;
/// The default dead band of a weight by capacity, in points: the balance of load stays the same, with a third of
/// the weight changes. With `headroom_exponent` the weights are smaller, and 3 points are too much of them.
const CAPACITY_DEAD_BAND: f64 = 3.0;

/// Reads the keys of one service.
pub(super) struct Weighing<'k> {
    pub(super) environment: &'k Environment,
    /// The name of the service.
    pub(super) name: &'k str,
}

impl Weighing<'_> {
    fn expression(&self, entry: Entry<'_>, findings: &mut Findings<'_>) -> Option<Expression> {
        let text = entry.string(findings)?;
        rules::expression(&text, Type::Number, self.environment, findings)
    }

    pub(super) fn weight(&self, table: &mut Table<'_>, findings: &mut Findings<'_>) -> Weight {
        let capacity = table.take("capacity");
        let weight = table.take("weight");
        if let (Some(capacity), Some(_)) = (&capacity, &weight) {
            findings.push(
                Diagnostic::error(capacity.key_span(), "both weight and capacity").remedy(
                    "remove one: with capacity, the weight follows from rate and utilization",
                ),
            );
        }
        let weight = weight.map(|entry| self.constant_or_expression(entry, findings));
        let capacity = capacity.map(|entry| {
            entry
                .section(findings, &CAPACITY)
                .and_then(|table| self.capacity(table, findings))
                .map_or(Weight::Full, |capacity| {
                    Weight::Capacity(Box::new(capacity))
                })
        });
        weight.or(capacity).unwrap_or(Weight::Full)
    }

    fn constant_or_expression(&self, entry: Entry<'_>, findings: &mut Findings<'_>) -> Weight {
        let Some(expression) = self.expression(entry, findings) else {
            return Weight::Full;
        };
        self.warn_of_fraction(&expression, findings);
        Weight::Expression(expression)
    }

    /// A weight that cannot exceed 1 is a fraction where a percentage is meant.
    fn warn_of_fraction(&self, weight: &Expression, findings: &mut Findings<'_>) {
        let Some((least, most)) = weight.range(self.environment) else {
            return;
        };
        if most > 1.0 || least < 0.0 || weight.uses().is_empty() {
            return;
        }
        let message = format!(
            "the weight of {} is between {least} and {most}, so it cannot exceed 1%",
            self.name
        );
        let remedy = format!(
            "a weight is a percentage: write 100 * ({})",
            weight.text().trim()
        );
        findings.push(Diagnostic::warning(weight.place(), message).remedy(remedy));
    }

    fn capacity(&self, mut table: Table<'_>, findings: &mut Findings<'_>) -> Option<Capacity> {
        let mut needed = |key, findings: &mut Findings<'_>| {
            let entry = table.required(findings, key)?;
            self.expression(entry, findings)
        };
        let rate = needed("rate", findings);
        let utilization = needed("utilization", findings);
        let errors = table.take("errors");
        let errors = errors.and_then(|entry| self.expression(entry, findings));
        let reference_rate = table
            .required(findings, "reference_rate")
            .and_then(|entry| entry.number(findings));
        let terms = Terms {
            blackout_period: table.duration(findings, "blackout_period"),
            expiration_period: table.duration(findings, "expiration_period"),
            error_penalty: table.number(findings, "error_penalty").unwrap_or(1.0),
            reference_rate: reference_rate.unwrap_or(1.0),
            headroom_exponent: table.number(findings, "headroom_exponent").unwrap_or(0.0),
        };
        table.close(findings);
        reference_rate?;
        Some(Capacity {
            rate: rate?,
            utilization: utilization?,
            errors,
            terms,
        })
    }

    pub(super) fn shaping(
        &self,
        table: &mut Table<'_>,
        weight: &Weight,
        findings: &mut Findings<'_>,
    ) -> Shaping {
        let by_capacity = matches!(weight, Weight::Capacity(_));
        let by_headroom =
            matches!(weight, Weight::Capacity(capacity) if capacity.terms.headroom_exponent > 0.0);
        let ewma = match table.take("ewma") {
            Some(entry) => entry.span_of_time(findings),
            None if by_headroom => Some(HEADROOM_EWMA),
            None => by_capacity.then_some(CAPACITY_EWMA),
        };
        let limits = Limits::read(table, findings);
        let dead_band = match table.take("dead_band") {
            Some(entry) => entry.number(findings).unwrap_or(0.0),
            None if by_capacity && !by_headroom => CAPACITY_DEAD_BAND,
            None => 0.0,
        };
        Shaping {
            ewma,
            sudden_fall: match table.take("sudden_fall") {
                Some(entry) => entry.number(findings),
                None => (by_capacity && !by_headroom).then_some(CAPACITY_SUDDEN_FALL),
            },
            max_rise: table.number(findings, "max_rise"),
            max_fall: table.number(findings, "max_fall"),
            ramp: ramp(table, findings),
            ceiling: limits.ceiling,
            floor: limits.floor,
            dead_band,
        }
    }

    /// Reads `ramp_on_start` and `ramp_on_reset`. They have an effect only with a ramp or a capacity.
    pub(super) fn restarts(
        &self,
        table: &mut Table<'_>,
        effective: bool,
        findings: &mut Findings<'_>,
    ) -> Restarts {
        let start = table.take("ramp_on_start");
        let counter = table.take("ramp_on_reset");
        if !effective {
            without_effect([&start, &counter], "ramp or capacity", findings);
        }
        let start = start.and_then(|entry| {
            let text = entry.string(findings)?;
            let start = rules::expression(&text, Type::Unknown, self.environment, findings)?;
            rules::simple(start, findings)
        });
        Restarts {
            start,
            counter: counter.and_then(|entry| self.expression(entry, findings)),
        }
    }

    pub(super) fn maxconn(
        &self,
        table: &mut Table<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<MaxconnLimit> {
        let total = table.take("maxconn");
        let normal = table.take("maxconn_normal");
        let balancers = table.take("balancers");
        let Some(total) = total else {
            without_effect([&normal, &balancers], "maxconn", findings);
            return None;
        };
        let place = total.key_span();
        // A number is an expression, too.
        let total = match total.integer_or_text(findings, "'app.json.workers * 4'") {
            Some((value, span)) => {
                let text = Text { value, span };
                rules::expression(&text, Type::Number, self.environment, findings)
            }
            None => None,
        };
        let Some(normal) = normal else {
            findings.push(
                Diagnostic::error(place, "maxconn without maxconn_normal").remedy(
                    "add maxconn_normal, the maxconn of the server line in haproxy.cfg: \
                 HAProxy has no word that resets a limit",
                ),
            );
            return None;
        };
        let normal = normal.count(findings);
        let balancers = balancers.map_or(Some(1), |entry| entry.count(findings));
        Some(MaxconnLimit {
            total: total?,
            normal: Maxconn::new(u32::try_from(normal?).ok()?)?,
            balancers: u32::try_from(balancers?).ok()?,
        })
    }
}

/// Reports keys that depend on a key that is absent.
fn without_effect<const N: usize>(
    entries: [&Option<Entry<'_>>; N],
    missing: &str,
    findings: &mut Findings<'_>,
) {
    for entry in entries.into_iter().flatten() {
        let message = format!("{} has no effect without {missing}", entry.key);
        findings.push(Diagnostic::error(entry.key_span(), message).consequence());
    }
}

fn ramp(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Ramp> {
    let Some(window) = table.take("ramp") else {
        let (from, aggression) = (table.take("ramp_from"), table.take("ramp_aggression"));
        without_effect([&from, &aggression], "ramp", findings);
        return None;
    };
    let window = window.span_of_time(findings);
    let from = table.number(findings, "ramp_from");
    let aggression = table.number(findings, "ramp_aggression");
    Some(Ramp {
        window: window?,
        from: from?,
        aggression: aggression?,
    })
}

/// The limits of a weight.
struct Limits {
    ceiling: Percent,
    floor: Percent,
}

impl Limits {
    fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Self {
        let weight = table.integer(findings, "haproxy_weight").unwrap_or(100);
        // HAProxy rounds down: a smaller percentage is a weight of 0.
        let least = (100 + weight - 1) / weight;
        let span = table.span_of("ceiling").or(table.span_of("floor"));
        let ceiling = table.integer(findings, "ceiling").unwrap_or(100);
        let floor = table.integer(findings, "floor").unwrap_or(1).max(least);
        if floor > ceiling {
            let message = format!("the ceiling of {ceiling}% is below the floor of {floor}%");
            findings.push(Diagnostic::error(span.unwrap_or_default(), message).remedy(
                if least > 1 {
                    "haproxy_weight raises the floor: HAProxy rounds a smaller percentage down to 0"
                } else {
                    "raise the ceiling, or lower the floor"
                },
            ));
        }
        let percent = |number: i64| u16::try_from(number).ok().and_then(Percent::new);
        Self {
            ceiling: percent(ceiling).unwrap_or(Percent::FULL),
            floor: percent(floor).unwrap_or(LEAST_FLOOR),
        }
    }
}
