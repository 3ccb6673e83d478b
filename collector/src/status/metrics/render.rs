//! The metrics file: the metrics, their help texts and their lines.

use super::text_format::{Kind, TextFormat};
use super::{DecidedBy, Durations, Metrics, ServiceMetrics, SourceMetrics, WriteFailures};
use crate::reading::Reason;
use crate::simulation::replay;

/// The states of a service, as [`replay::state`] names them.
pub(super) const STATES: [&str; 4] = ["up", "drain", "maint", "down"];

/// The content of the metrics file.
#[must_use]
pub fn render(metrics: &Metrics<'_>) -> String {
    let mut page = TextFormat::new();
    collector(metrics, &mut page);
    sources(&metrics.sources, &mut page);
    services(&metrics.services, &mut page);
    page.text()
}

fn collector(metrics: &Metrics<'_>, page: &mut TextFormat) {
    page.family(
        "agentcheck_build_info",
        Kind::Gauge,
        "The collector's version.",
    );
    page.line(&[("version", metrics.version)], 1);
    let mut gauge = |name, help, value: f64| {
        page.family(name, Kind::Gauge, help);
        page.line(&[], value);
    };
    gauge(
        "agentcheck_start_time_seconds",
        "When the collector started.",
        metrics.started,
    );
    gauge(
        "agentcheck_written_timestamp_seconds",
        "When these metrics were collected.",
        metrics.collected_at,
    );
    gauge(
        "agentcheck_config_last_reload_successful",
        "Whether the latest load of the configuration succeeded.",
        f64::from(u8::from(metrics.last_reload_succeeded)),
    );
    gauge(
        "agentcheck_config_last_reload_success_timestamp_seconds",
        "When the current configuration was loaded.",
        metrics.loaded_at,
    );
    page.family(
        "agentcheck_override_faults",
        Kind::Gauge,
        "Overrides that cannot be used.",
    );
    page.line(&[], metrics.override_faults);
    page.family(
        "agentcheck_write_failures_total",
        Kind::Counter,
        "Failed writes of a kind of file.",
    );
    let WriteFailures {
        state,
        status,
        history,
        metrics: own,
    } = metrics.write_failures;
    let files = [
        ("state", state),
        ("status", status),
        ("history", history),
        ("metrics", own),
    ];
    for (file, count) in files {
        page.line(&[("file", file)], count);
    }
    let evaluations = &metrics.evaluations;
    page.family(
        "agentcheck_evaluation_duration_seconds",
        Kind::Histogram,
        "Time to evaluate a service and write its state file.",
    );
    for ((_, bound), count) in Durations::BOUNDS.iter().zip(&evaluations.within) {
        page.part("_bucket", &[("le", bound)], count);
    }
    page.part("_bucket", &[("le", "+Inf")], evaluations.count);
    page.part("_sum", &[], evaluations.sum.as_secs_f64());
    page.part("_count", &[], evaluations.count);
}

fn sources(sources: &[SourceMetrics<'_>], page: &mut TextFormat) {
    let mut gauge = |name, help, value: &dyn Fn(&SourceMetrics<'_>) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for source in sources {
            if let Some(value) = value(source) {
                page.line(&[("source", source.name)], value);
            }
        }
    };
    gauge(
        "agentcheck_source_up",
        "Whether the latest poll succeeded.",
        &|source| {
            source
                .polls
                .latest
                .map(|(_, good)| f64::from(u8::from(good)))
        },
    );
    gauge(
        "agentcheck_source_interval_seconds",
        "The configured interval.",
        &|source| Some(source.interval.as_secs_f64()),
    );
    gauge(
        "agentcheck_source_last_poll_timestamp_seconds",
        "When the latest finished poll was sent.",
        &|source| source.last_poll_at,
    );
    gauge(
        "agentcheck_source_last_success_timestamp_seconds",
        "When the latest successful poll was sent.",
        &|source| source.last_success_at,
    );
    gauge(
        "agentcheck_source_last_poll_duration_seconds",
        "Duration of the latest poll.",
        &|source| source.polls.latest.map(|(took, _)| took.as_secs_f64()),
    );
    page.family(
        "agentcheck_source_poll_duration_seconds",
        Kind::Summary,
        "Durations of all polls.",
    );
    for source in sources {
        let labels = [("source", source.name)];
        page.part("_sum", &labels, source.polls.total_duration.as_secs_f64());
        page.part("_count", &labels, source.polls.count);
    }
    page.family(
        "agentcheck_source_failures_total",
        Kind::Counter,
        "Failed polls, by reason.",
    );
    for source in sources {
        let counts = source.polls.failures.as_deref().into_iter().flatten();
        let reasons = Reason::ALL.iter().zip(counts);
        for (reason, count) in reasons.filter(|(_, count)| **count > 0) {
            page.line(&[("source", source.name), ("reason", reason.word())], count);
        }
    }
}

fn services(services: &[ServiceMetrics<'_>], page: &mut TextFormat) {
    page.family(
        "agentcheck_service_weight_ratio",
        Kind::Gauge,
        "Weight in the reply; 1 is 100%. It counts only in state up.",
    );
    for service in services {
        let reply = service.reply.as_ref();
        if let Some(percent) = reply.and_then(|reply| reply.reply.percent) {
            let ratio = f64::from(percent.get()) / 100.0;
            page.line(&[("service", service.name)], ratio);
        }
    }
    page.family(
        "agentcheck_service_maxconn",
        Kind::Gauge,
        "Connection limit in the reply, for each balancer; 0 is no limit.",
    );
    for service in services {
        let reply = service.reply.as_ref();
        if let Some(limit) = reply.and_then(|reply| reply.reply.maxconn) {
            page.line(&[("service", service.name)], limit.get());
        }
    }
    decided(services, page);
    overrides(services, page);
    let mut gauge = |name, help, value: &dyn Fn(&ServiceMetrics<'_>) -> Option<f64>| {
        page.family(name, Kind::Gauge, help);
        for service in services {
            if let Some(value) = value(service) {
                page.line(&[("service", service.name)], value);
            }
        }
    };
    gauge(
        "agentcheck_service_reading_timestamp_seconds",
        "When the oldest poll behind the reply was sent.",
        &|service| service.reply.as_ref().map(|reply| reply.reading),
    );
    gauge(
        "agentcheck_service_fresh_until_timestamp_seconds",
        "Until when the latest reply is fresh.",
        &|service| service.fresh_until,
    );
    page.family(
        "agentcheck_service_evaluations_total",
        Kind::Counter,
        "Evaluations of the service.",
    );
    for service in services {
        page.line(&[("service", service.name)], service.evaluations);
    }
    page.family(
        "agentcheck_service_changes_total",
        Kind::Counter,
        "Changes of the reply, apart from its description.",
    );
    for service in services {
        page.line(&[("service", service.name)], service.changes);
    }
}

/// The state of each service and what decided it.
fn decided(services: &[ServiceMetrics<'_>], page: &mut TextFormat) {
    page.family(
        "agentcheck_service_state",
        Kind::Gauge,
        "1 for the state that the reply leads to.",
    );
    for service in services {
        let reply = service.reply.as_ref();
        let current = reply.map(|reply| replay::state(&reply.reply));
        for state in STATES {
            let labels = [("service", service.name), ("state", state)];
            page.line(&labels, u8::from(current == Some(state)));
        }
    }
    page.family(
        "agentcheck_service_decided_by",
        Kind::Gauge,
        "1 for what decided the reply.",
    );
    for service in services {
        let current = service.reply.as_ref().map(|reply| reply.by.word());
        for by in DecidedBy::WORDS {
            let labels = [("service", service.name), ("by", by)];
            page.line(&labels, u8::from(current == Some(by)));
        }
    }
    page.family(
        "agentcheck_service_rule",
        Kind::Gauge,
        "1 for the rule that decided the reply.",
    );
    for service in services {
        let current = service.reply.as_ref().map(|reply| reply.by);
        for (index, rule) in service.rules.iter().enumerate() {
            let labels = [("service", service.name), ("rule", *rule)];
            page.line(&labels, u8::from(current == Some(DecidedBy::Rule(index))));
        }
    }
}

fn overrides(services: &[ServiceMetrics<'_>], page: &mut TextFormat) {
    let all = || {
        services.iter().flat_map(|service| {
            let each = service.overrides.iter();
            each.map(|one| (one, [("service", service.name), ("action", one.action)]))
        })
    };
    page.family(
        "agentcheck_service_override",
        Kind::Gauge,
        "1 while the override is in effect.",
    );
    for (_, labels) in all() {
        page.line(&labels, 1);
    }
    page.family(
        "agentcheck_service_override_set_timestamp_seconds",
        Kind::Gauge,
        "When the override was set.",
    );
    for (one, labels) in all() {
        page.line(&labels, one.set_at);
    }
}
