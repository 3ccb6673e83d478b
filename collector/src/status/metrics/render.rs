//! The whole text: which metrics there are, what is said of them, and their lines.

use super::page::{Kind, Page};
use super::{By, Durations, Metrics, ServiceMetrics, SourceMetrics, Unwritten};
use crate::reading::Reason;
use crate::simulation::replay;

/// The states of a service, as [`replay::state`] names them.
pub(super) const STATES: [&str; 4] = ["up", "drain", "maint", "down"];

/// The whole text.
#[must_use]
pub fn render(metrics: &Metrics<'_>) -> String {
    let mut page = Page::new();
    collector(metrics, &mut page);
    sources(&metrics.sources, &mut page);
    services(&metrics.services, &mut page);
    page.text()
}

fn collector(metrics: &Metrics<'_>, page: &mut Page) {
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
        "When the collector was started.",
        metrics.started,
    );
    gauge(
        "agentcheck_written_timestamp_seconds",
        "When this was put together.",
        metrics.written,
    );
    gauge(
        "agentcheck_config_last_reload_successful",
        "Whether the latest attempt to load the configuration led to the one in use.",
        f64::from(u8::from(metrics.loaded)),
    );
    gauge(
        "agentcheck_config_last_reload_success_timestamp_seconds",
        "When the configuration in use was loaded.",
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
        "How often a file could not be written.",
    );
    let Unwritten {
        state,
        status,
        history,
        metrics: own,
    } = metrics.unwritten;
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
        "How long evaluating a service took, with the writing of its state file.",
    );
    for ((_, bound), count) in Durations::BOUNDS.iter().zip(&evaluations.within) {
        page.part("_bucket", &[("le", bound)], count);
    }
    page.part("_bucket", &[("le", "+Inf")], evaluations.count);
    page.part("_sum", &[], evaluations.sum.as_secs_f64());
    page.part("_count", &[], evaluations.count);
}

fn sources(sources: &[SourceMetrics<'_>], page: &mut Page) {
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
        "Whether the latest poll gave what it should.",
        &|source| {
            source
                .polls
                .latest
                .map(|(_, good)| f64::from(u8::from(good)))
        },
    );
    gauge(
        "agentcheck_source_interval_seconds",
        "How often the source is polled.",
        &|source| Some(source.interval.as_secs_f64()),
    );
    gauge(
        "agentcheck_source_last_poll_timestamp_seconds",
        "When the latest poll that has finished was sent.",
        &|source| source.polled,
    );
    gauge(
        "agentcheck_source_last_success_timestamp_seconds",
        "When the latest poll that gave what it should was sent.",
        &|source| source.succeeded,
    );
    gauge(
        "agentcheck_source_last_poll_duration_seconds",
        "How long the latest poll took.",
        &|source| source.polls.latest.map(|(took, _)| took.as_secs_f64()),
    );
    page.family(
        "agentcheck_source_poll_duration_seconds",
        Kind::Summary,
        "How long polls took; the count is that of all polls.",
    );
    for source in sources {
        let labels = [("source", source.name)];
        page.part("_sum", &labels, source.polls.took.as_secs_f64());
        page.part("_count", &labels, source.polls.count);
    }
    page.family(
        "agentcheck_source_failures_total",
        Kind::Counter,
        "Polls that failed, for the reasons that there were.",
    );
    for source in sources {
        let reasons = Reason::ALL.iter().zip(&source.polls.failures);
        for (reason, count) in reasons.filter(|(_, count)| **count > 0) {
            page.line(&[("source", source.name), ("reason", reason.word())], count);
        }
    }
}

fn services(services: &[ServiceMetrics<'_>], page: &mut Page) {
    page.family(
        "agentcheck_service_weight_ratio",
        Kind::Gauge,
        "The weight that is said, of the configured one: 1 is 100%. It counts where the state is up.",
    );
    for service in services {
        let said = service.reply.as_ref();
        if let Some(percent) = said.and_then(|said| said.reply.percent) {
            let ratio = f64::from(percent.get()) / 100.0;
            page.line(&[("service", service.name)], ratio);
        }
    }
    page.family(
        "agentcheck_service_maxconn",
        Kind::Gauge,
        "The limit of connections that is said to each balancer; 0 is none.",
    );
    for service in services {
        let said = service.reply.as_ref();
        if let Some(limit) = said.and_then(|said| said.reply.maxconn) {
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
        "When the oldest poll that the reply rests on was sent.",
        &|service| service.reply.as_ref().map(|said| said.reading),
    );
    gauge(
        "agentcheck_service_fresh_until_timestamp_seconds",
        "When the reply that was written last stops being fresh.",
        &|service| service.fresh_until,
    );
    page.family(
        "agentcheck_service_evaluations_total",
        Kind::Counter,
        "How often the service was evaluated.",
    );
    for service in services {
        page.line(&[("service", service.name)], service.evaluations);
    }
    page.family(
        "agentcheck_service_changes_total",
        Kind::Counter,
        "How often something else was said than before, whatever the description.",
    );
    for service in services {
        page.line(&[("service", service.name)], service.changes);
    }
}

/// Where a service should be, and who says so.
fn decided(services: &[ServiceMetrics<'_>], page: &mut Page) {
    page.family(
        "agentcheck_service_state",
        Kind::Gauge,
        "Whether this is the state that the reply leads to.",
    );
    for service in services {
        let said = service.reply.as_ref();
        let seen = said.map(|said| replay::state(&said.reply));
        for state in STATES {
            let labels = [("service", service.name), ("state", state)];
            page.line(&labels, u8::from(seen == Some(state)));
        }
    }
    page.family(
        "agentcheck_service_decided_by",
        Kind::Gauge,
        "Whether this is who decided the reply.",
    );
    for service in services {
        let seen = service.reply.as_ref().map(|said| said.by.word());
        for by in By::WORDS {
            let labels = [("service", service.name), ("by", by)];
            page.line(&labels, u8::from(seen == Some(by)));
        }
    }
    page.family(
        "agentcheck_service_rule",
        Kind::Gauge,
        "Whether this rule decided the reply.",
    );
    for service in services {
        let seen = service.reply.as_ref().map(|said| said.by);
        for (index, rule) in service.rules.iter().enumerate() {
            let labels = [("service", service.name), ("rule", *rule)];
            page.line(&labels, u8::from(seen == Some(By::Rule(index))));
        }
    }
}

fn overrides(services: &[ServiceMetrics<'_>], page: &mut Page) {
    let all = || {
        services.iter().flat_map(|service| {
            let each = service.overrides.iter();
            each.map(|one| (one, [("service", service.name), ("action", one.action)]))
        })
    };
    page.family(
        "agentcheck_service_override",
        Kind::Gauge,
        "An override that counts: 1 as long as it does.",
    );
    for (_, labels) in all() {
        page.line(&labels, 1);
    }
    page.family(
        "agentcheck_service_override_set_timestamp_seconds",
        Kind::Gauge,
        "When that override was set.",
    );
    for (one, labels) in all() {
        page.line(&labels, one.set);
    }
}
