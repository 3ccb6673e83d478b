//! The keys of a service that make its weight and its limit of connections: `weight` or `capacity`, what
//! shapes it, `maxconn`.

use super::LONGEST;
use super::diagnostics::Diagnostic;
use super::toml_reader::{Entry, Findings, Table};
use super::{Capacity, MaxconnLimit, Restarts, Weight, rules};
use crate::expression::{Environment, Expression, Type};
use crate::filters::capacity::Terms;
use crate::filters::shape::{LEAST_FLOOR, Ramp, Shaping};
use agentcheck_common::{Maxconn, Percent};
use std::time::Duration;

const CAPACITY_KEYS: [&str; 7] = [
    "rate",
    "utilization",
    "errors",
    "reference_rate",
    "error_penalty",
    "blackout_period",
    "expiration_period",
];

/// What smooths a weight by capacity unless the operator says otherwise: Envoy's load-aware locality has 5 s,
/// and 3 points cost nothing in the balance of load while they save two weight changes out of three.
const CAPACITY_SMOOTH: Duration = Duration::from_secs(5);
const CAPACITY_DEAD_BAND: f64 = 3.0;

const SHORTEST: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads the keys of one service.
pub(super) struct Weighing<'k> {
    pub(super) environment: &'k Environment,
    /// The service.
    pub(super) name: &'k str,
}

impl Weighing<'_> {
    fn number(
        &self,
        entry: Entry<'_>,
        example: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Expression> {
        let text = entry.text(findings, example)?;
        rules::expression(&text, Type::Number, self.environment, findings)
    }

    pub(super) fn weight(&self, table: &mut Table<'_>, findings: &mut Findings<'_>) -> Weight {
        let capacity = table.take("capacity");
        let weight = table.take("weight");
        if let (Some(capacity), Some(_)) = (&capacity, &weight) {
            findings.push(
                Diagnostic::error(
                    capacity.key_span(),
                    "a service has a weight or a capacity, not both",
                )
                .remedy("with capacity the weight follows from rate and utilization"),
            );
        }
        let weight = weight.map(|entry| {
            self.number(entry, "'headroom(cpu.value, 100)'", findings)
                .map_or(Weight::Full, Weight::Expression)
        });
        let capacity = capacity.map(|entry| {
            let example = format!("[service.{}.capacity]", self.name);
            entry
                .table(findings, &example)
                .and_then(|table| self.capacity(table, findings))
                .map_or(Weight::Full, |capacity| {
                    Weight::Capacity(Box::new(capacity))
                })
        });
        weight.or(capacity).unwrap_or(Weight::Full)
    }

    fn capacity(&self, mut table: Table<'_>, findings: &mut Findings<'_>) -> Option<Capacity> {
        let mut needed = |key, example: &str, findings: &mut Findings<'_>| {
            let entry = table.need(findings, key, example)?;
            self.number(entry, example, findings)
        };
        let rate = needed("rate", "'requests.value'", findings);
        let utilization = needed("utilization", "'cpu.value / 100'", findings);
        let errors = table.take("errors");
        let errors = errors.and_then(|entry| self.number(entry, "'errors.value'", findings));
        let full = table
            .need(findings, "reference_rate", "200")
            .and_then(|entry| entry.number(findings, 0.001, 1e9));
        let mut span = |key, least, default| {
            table
                .take(key)
                .and_then(|entry| entry.duration(findings, least, HOUR))
                .unwrap_or(default)
        };
        let blackout = span("blackout_period", Duration::ZERO, Duration::from_secs(10));
        let expire = span("expiration_period", SHORTEST, Duration::from_secs(180));
        let penalty = table
            .take("error_penalty")
            .and_then(|entry| entry.number(findings, 0.0, 1000.0));
        table.finish(findings, &CAPACITY_KEYS);
        Some(Capacity {
            rate: rate?,
            utilization: utilization?,
            errors,
            terms: Terms {
                reference_rate: full?,
                error_penalty: penalty.unwrap_or(1.0),
                blackout_period: blackout,
                expiration_period: expire,
            },
        })
    }

    pub(super) fn shaping(
        &self,
        table: &mut Table<'_>,
        weight: &Weight,
        findings: &mut Findings<'_>,
    ) -> Shaping {
        let by_capacity = matches!(weight, Weight::Capacity(_));
        let smooth = table.take("ewma").map_or_else(
            || by_capacity.then_some(CAPACITY_SMOOTH),
            |entry| {
                let chosen = entry.duration(findings, Duration::ZERO, HOUR);
                chosen.filter(|tau| *tau >= SHORTEST)
            },
        );
        let ends = Ends::read(table, findings);
        let mut points = |key| {
            let entry = table.take(key)?;
            entry.number(findings, 0.01, 1000.0)
        };
        Shaping {
            ewma: smooth,
            max_rise: points("max_rise"),
            max_fall: points("max_fall"),
            ramp: ramp(table, findings),
            ceiling: ends.ceiling,
            floor: ends.floor,
            dead_band: table
                .take("dead_band")
                .and_then(|entry| entry.number(findings, 0.0, 50.0))
                .unwrap_or(if by_capacity { CAPACITY_DEAD_BAND } else { 0.0 }),
        }
    }

    /// What begins a ramp beside a return that the agent saw; `used` is whether there is anything that a
    /// restart has an effect on.
    pub(super) fn restarts(
        &self,
        table: &mut Table<'_>,
        used: bool,
        findings: &mut Findings<'_>,
    ) -> Restarts {
        let start = table.take("ramp_on_start");
        let counter = table.take("ramp_on_reset");
        if !used {
            without_effect([&start, &counter], "ramp or a capacity", findings);
        }
        let start = start.and_then(|entry| {
            let text = entry.text(findings, "'app.json.started'")?;
            let start = rules::expression(&text, Type::Unknown, self.environment, findings)?;
            rules::simple(start, "a time is a number or text", findings)
        });
        Restarts {
            start,
            counter: counter.and_then(|entry| self.number(entry, "'app.json.uptime'", findings)),
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
        // The one mistake that everybody makes: a number where an expression stands.
        let total = match total.integer_or_text(findings, "'app.json.workers * 4'") {
            Some((digits, span)) => {
                let text = super::toml_reader::Text {
                    value: digits,
                    span,
                };
                rules::expression(&text, Type::Number, self.environment, findings)
            }
            None => None,
        };
        let Some(normal) = normal else {
            findings.push(
                Diagnostic::error(place, "maxconn without maxconn_normal").remedy(
                    "add maxconn_normal, the maxconn on the server's line in haproxy.cfg: \
                     HAProxy has no word that sets it back",
                ),
            );
            return None;
        };
        let normal = normal.integer(findings, 1, i64::from(Maxconn::MAX));
        let balancers = balancers.map_or(Some(1), |entry| entry.integer(findings, 1, 1000));
        Some(MaxconnLimit {
            total: total?,
            normal: Maxconn::new(u32::try_from(normal?).ok()?)?,
            balancers: u32::try_from(balancers?).ok()?,
        })
    }
}

/// Keys that say something about one that is not there.
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
    let window = table.take("ramp");
    let from = table.take("ramp_from");
    let aggression = table.take("ramp_aggression");
    let Some(window) = window else {
        without_effect([&from, &aggression], "ramp", findings);
        return None;
    };
    let window = window.duration(findings, Duration::ZERO, LONGEST)?;
    // Where a server comes back, and how fast its share grows at first: Envoy's defaults.
    let from = from.map_or(Some(10.0), |entry| entry.number(findings, 1.0, 100.0));
    let aggression = aggression.map_or(Some(1.0), |entry| entry.number(findings, 0.1, 100.0));
    Some(Ramp {
        window,
        from: from?,
        aggression: aggression?,
    })
    .filter(|ramp| ramp.window >= SHORTEST)
}

/// The ends of a weight.
struct Ends {
    ceiling: Percent,
    floor: Percent,
}

impl Ends {
    fn read(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Self {
        let weight = table
            .take("haproxy_weight")
            .and_then(|entry| entry.integer(findings, 1, 256))
            .unwrap_or(100);
        // HAProxy rounds down: less than this would be a weight of 0.
        let least = (100 + weight - 1) / weight;
        let ceiling_entry = table.take("ceiling");
        let floor_entry = table.take("floor");
        let ceiling = ceiling_entry.and_then(|entry| entry.integer(findings, 1, 100));
        let floor = floor_entry.and_then(|entry| entry.integer(findings, 1, 100));
        let ceiling = ceiling.unwrap_or(100);
        let floor = floor.unwrap_or(1).max(least);
        if floor > ceiling {
            let span = ceiling_entry.or(floor_entry).map(|entry| entry.key_span());
            findings.push(
                Diagnostic::error(
                    span.unwrap_or_default(),
                    format!("the ceiling, {ceiling}%, is below the floor, {floor}%"),
                )
                .remedy(if least > 1 {
                    "haproxy_weight raises the floor: HAProxy rounds less than that down to 0"
                } else {
                    "a weight lies between the two"
                }),
            );
        }
        let percent = |number: i64| u16::try_from(number).ok().and_then(Percent::new);
        Self {
            ceiling: percent(ceiling).unwrap_or(Percent::FULL),
            floor: percent(floor).unwrap_or(LEAST_FLOOR),
        }
    }
}
