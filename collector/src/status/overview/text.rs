//! The overview as text.

use super::{Freshness, Liveness, Overview, ServiceOverview};
use crate::render::table::{Cell, Style, Table};
use crate::render::text::{number, span};
use crate::status::snapshot::{
    OverrideStatus, RuleStatus, ServiceStatus, SourceStatus, WeightStatus,
};
use agentcheck_common::{BootTime, Description};

/// What `status` shows where no service exists: a fresh installation.
pub const NO_SERVICE: &str =
    "no service is configured: define one as [service.NAME] in /etc/agentcheck/conf.d/NAME.toml";

/// A table with one row for each service.
#[must_use]
pub fn summary_table(overview: &Overview) -> Table {
    let mut table = Table::new();
    table.line(vec![collector_cell(overview)]);
    refused_lines(overview, &mut table);
    table.gap();
    if overview.services.is_empty() {
        table.line(vec![NO_SERVICE.into()]);
        return table;
    }
    let heading = |text| Cell::new(Style::Name, text);
    table.row(vec![
        heading("SERVICE"),
        heading("REPLY"),
        heading("AGE"),
        heading("SINCE"),
        heading("DECIDED BY"),
    ]);
    for service in &overview.services {
        let known = service.snapshot.as_ref();
        let since = known.and_then(|known| known.since);
        let since = since.map_or("-".to_owned(), |since| ago(overview.now, since));
        table.row(vec![
            Cell::new(Style::Name, &service.name),
            reply_cell(service, false),
            age_cell(service, overview.now),
            since.into(),
            decision_text(service, true).into(),
        ]);
        for over in service.overrides() {
            table.line(vec![
                "  override: ".into(),
                Cell::new(Style::Warning, &override_text(over, overview.now)),
            ]);
        }
    }
    fault_lines(overview, &mut table);
    table
}

/// The lines about a refused configuration, if the latest reload failed.
fn refused_lines(overview: &Overview, table: &mut Table) {
    let Some((began, why)) = overview.refused() else {
        return;
    };
    let ago_refused = ago(overview.now, began.0);
    let text = format!("reload refused {ago_refused} ago: {why}");
    table.line(vec![Cell::new(Style::Bad, &text)]);
    let loaded = overview.loaded_at.map_or_else(String::new, |at| {
        format!(", loaded {} ago,", ago(overview.now, at.0))
    });
    let text = format!(
        "  the current configuration{loaded} remains; run agentcheck check, then agentcheck reload"
    );
    table.line(vec![text.as_str().into()]);
}

fn fault_lines(overview: &Overview, table: &mut Table) {
    for fault in &overview.override_faults {
        let text = format!("override ignored: {fault}");
        table.line(vec![Cell::new(Style::Bad, &text)]);
    }
}

/// A block of rows for each service: reply, rules, overrides and sources.
#[must_use]
pub fn detail_table(overview: &Overview) -> Table {
    let mut table = Table::new();
    table.line(vec![collector_cell(overview)]);
    refused_lines(overview, &mut table);
    for service in &overview.services {
        table.gap();
        table.line(vec![Cell::new(Style::Name, &service.name)]);
        service_rows(service, overview, &mut table);
    }
    fault_lines(overview, &mut table);
    table
}

fn service_rows(service: &ServiceOverview, overview: &Overview, table: &mut Table) {
    let now = overview.now;
    let mut row = |label: &str, cell: Cell| table.row(vec![format!("  {label}").into(), cell]);
    row("reply", reply_cell(service, true));
    if let Ok(current) = &service.current {
        row("fresh", freshness_cell(current, now));
    }
    row("age", age_cell(service, now));
    row("decided", decision_text(service, false).into());
    let Some(known) = &service.snapshot else {
        row("note", "not in the status snapshot".into());
        return;
    };
    if let Some(since) = known.since {
        row("since", ago(now, since).into());
    }
    for over in &known.overrides {
        let counts = if over.counts {
            ""
        } else {
            " (not in effect: another override outranks it)"
        };
        let text = override_text(over, now) + counts;
        row("override", Cell::new(Style::Warning, &text));
    }
    for rule in &known.rules {
        row("rule", rule_text(rule, now).into());
    }
    for name in &known.sources {
        row("source", source_cell(name, overview.sources.get(name), now));
    }
}

/// The line about the collector.
fn collector_cell(overview: &Overview) -> Cell {
    let process = overview
        .pid
        .map_or(String::new(), |pid| format!(", process {pid}"));
    let old = overview
        .snapshot_times
        .map(|(_, at)| ago(overview.now, at.0));
    let old = old.unwrap_or_default();
    let up = overview
        .snapshot_times
        .map(|(started, _)| ago(overview.now, started.0));
    let (style, text) = match &overview.liveness {
        Liveness::Running => {
            let up = up.unwrap_or_default();
            (
                Style::Good,
                format!("running{process}, started {up} ago; last update {old} ago"),
            )
        }
        Liveness::Starting => (
            Style::Warning,
            format!("starting{process}; no status snapshot yet"),
        ),
        Liveness::Unresponsive(_) => (
            Style::Warning,
            format!("unresponsive{process}; last update {old} ago"),
        ),
        Liveness::Stopped => (
            Style::Bad,
            format!("not running; last update {old} ago. Replies are from the state files"),
        ),
        Liveness::OtherBoot => (
            Style::Bad,
            "not running; the status snapshot is from another boot".to_owned(),
        ),
        Liveness::Absent => (Style::Bad, "not running; no status snapshot".to_owned()),
        Liveness::Unknown(why) => (Style::Bad, format!("unknown: {why}")),
    };
    Cell::new(style, &format!("collector: {text}"))
}

fn reply_cell(service: &ServiceOverview, described: bool) -> Cell {
    match &service.current {
        Ok(current) => {
            let description = match described {
                true => current.reply.description,
                false => Description::EMPTY,
            };
            let text = current.reply.with_description(description).to_string();
            let warn = service.is_at_floor() || service.decided_by() == Some("failure");
            let style = match () {
                () if current.is_stale() || service.is_out() => Style::Bad,
                () if warn => Style::Warning,
                () => Style::Good,
            };
            Cell::new(style, &text)
        }
        Err(word) => Cell::new(Style::Bad, &format!("{word} (no-op)")),
    }
}

/// The age of the oldest poll behind the reply.
fn age_cell(service: &ServiceOverview, now: BootTime) -> Cell {
    let oldest = service
        .snapshot
        .as_ref()
        .and_then(|known| known.oldest_reading_at);
    let stale = service
        .current
        .as_ref()
        .is_ok_and(super::CurrentReply::is_stale);
    match oldest {
        Some(at) if stale => Cell::new(Style::Bad, &format!("{} stale", ago(now, at))),
        Some(at) => ago(now, at).into(),
        None if stale => Cell::new(Style::Bad, "stale"),
        None => "-".into(),
    }
}

fn freshness_cell(current: &super::CurrentReply, now: BootTime) -> Cell {
    let next = |expired_at: BootTime| {
        current.next.map_or_else(String::new, |(at, reply)| {
            if at == expired_at {
                format!("; if nothing renews it, HAProxy then gets: {reply}")
            } else {
                let at = span(at.since(now));
                format!("; if nothing renews it, HAProxy gets in {at}: {reply}")
            }
        })
    };
    match current.freshness {
        Some(Freshness::Until(until)) => {
            format!("for {}{}", span(until.since(now)), next(until)).into()
        }
        Some(Freshness::Stale(since)) => {
            let text = format!("stale for {}{}", ago(now, since.0), next(since));
            Cell::new(Style::Bad, &text)
        }
        None => "always: the state file has no expiry".into(),
    }
}

/// What decided the reply, in one line.
fn decision_text(service: &ServiceOverview, described: bool) -> String {
    let Some(known) = &service.snapshot else {
        return "-".to_owned();
    };
    let mut text = match (known.decided_by.as_deref(), &known.why) {
        (Some("weight"), _) => weight_stages(known),
        (Some("failure"), Some(why)) => format!("failure: {why}"),
        (Some(by), Some(why)) => format!("{by} {why}"),
        (Some(by), None) => by.to_owned(),
        (None, Some(why)) => format!("no reply yet: {why}"),
        (None, None) => "no reply yet".to_owned(),
    };
    if described
        && let Ok(current) = &service.current
        && !current.reply.description.is_empty()
    {
        text.push_str(" # ");
        text.push_str(current.reply.description.as_str());
    }
    text
}

/// The weight and each stage that changed it.
fn weight_stages(known: &ServiceStatus) -> String {
    let Some(weight) = &known.weight else {
        return format!("weight {}", known.why.as_deref().unwrap_or_default());
    };
    let WeightStatus {
        raw,
        smoothed,
        ramped,
        bounded,
        stepped,
        percent,
        ..
    } = weight;
    let mut text = format!("weight {}", number(*raw));
    let mut last = *raw;
    for (stage, at) in [
        ("ewma", *smoothed),
        ("ramp", *ramped),
        ("bounded", *bounded),
        ("step", *stepped),
        ("rounded", f64::from(*percent)),
    ] {
        // Rounding down alone is not shown.
        let rounded = stage == "rounded" && at <= last && last - at < 1.0;
        if (at - last).abs() > 1e-6 && !rounded {
            text.push_str(&format!(", {stage} {}", number(at)));
        }
        last = at;
    }
    match weight.basis.as_deref() {
        Some("held") => text.push_str(", kept without traffic"),
        Some("unmeasured") => text.push_str(", not measured yet"),
        _ => {}
    }
    text
}

fn rule_text(rule: &RuleStatus, now: BootTime) -> String {
    let state = match rule.active {
        Some(true) => "active",
        Some(false) => "inactive",
        None => "unknown",
    };
    let observed = rule
        .observed_at
        .map(|at| format!(", as of {} ago", ago(now, at)));
    let pending = rule.pending_since.map(|since| {
        let since = ago(now, since);
        format!("; change pending for {since}")
    });
    format!(
        "{}: {state}{}{}; when {}",
        rule.name,
        observed.unwrap_or_default(),
        pending.unwrap_or_default(),
        rule.when
    )
}

fn source_cell(name: &str, source: Option<&SourceStatus>, now: BootTime) -> Cell {
    let Some(source) = source else {
        return Cell::new(Style::Warning, &format!("{name}: not polled yet"));
    };
    let mut text = format!("{name}: ");
    match &source.error {
        None => text.push_str("ok"),
        Some(error) => text.push_str(error),
    }
    if let Some(detail) = &source.detail {
        text.push_str(&format!(", {detail}"));
    }
    if let Some(value) = source.value {
        text.push_str(&format!(", {}", number(value)));
    }
    if let Some(status) = source.status {
        text.push_str(&format!(", HTTP status {status}"));
    }
    if let Some(exit) = source.exit {
        text.push_str(&format!(", exit status {exit}"));
    }
    let latency = std::time::Duration::try_from_secs_f64(source.latency).unwrap_or_default();
    text.push_str(&format!(
        ", in {}, {} ago",
        span(latency),
        ago(now, source.sent)
    ));
    let style = if source.ok { Style::Plain } else { Style::Bad };
    Cell::new(style, &text)
}

/// An override in one line.
fn override_text(over: &OverrideStatus, now: BootTime) -> String {
    let mut text = format!("{} by {}", over.action, over.by);
    if over.scope != "service" {
        text.push_str(&format!(", for {}", over.scope));
    }
    if let Some(ends) = over.ends {
        text.push_str(&format!(", ends in {}", span(BootTime(ends).since(now))));
    }
    if let Some(until) = over.until.as_ref().filter(|_| over.stage == 0) {
        text.push_str(&format!(", until {until}"));
        if let Some(error) = &over.until_error {
            text.push_str(&format!(" (cannot evaluate: {error})"));
        }
    }
    if !over.reason.is_empty() {
        text.push_str(&format!(": {}", over.reason));
    }
    text
}

fn ago(now: BootTime, then: u64) -> String {
    span(now.since(BootTime(then)))
}
