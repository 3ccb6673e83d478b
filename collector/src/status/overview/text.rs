//! The account for people.

use super::{Freshness, Liveness, Overview, ServiceOverview};
use crate::render::table::{Cell, Style, Table};
use crate::render::text::{number, span};
use crate::status::snapshot::{
    OverrideStatus, RuleStatus, ServiceStatus, SourceStatus, WeightStatus,
};
use agentcheck_common::{BootTime, Description};

/// One line for each service.
#[must_use]
pub fn brief(account: &Overview) -> Table {
    let mut table = Table::new();
    table.line(vec![collector(account)]);
    refused(account, &mut table);
    table.gap();
    if account.services.is_empty() {
        table.line(vec![
            "no service has a state file, and no collector tells of one".into(),
        ]);
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
    for service in &account.services {
        let known = service.known.as_ref();
        let since = known.and_then(|known| known.since);
        let since = since.map_or("-".to_owned(), |since| ago(account.now, since));
        table.row(vec![
            Cell::new(Style::Name, &service.name),
            reply(service, false),
            age(service, account.now),
            since.into(),
            decided(service, true).into(),
        ]);
        for over in service.overrides() {
            table.line(vec![
                "  override: ".into(),
                Cell::new(Style::Warning, &override_text(over, account.now)),
            ]);
        }
    }
    faults(account, &mut table);
    table
}

/// What is in the files is not what is in force.
fn refused(account: &Overview, table: &mut Table) {
    let Some((began, why)) = account.refused() else {
        return;
    };
    let ago_refused = ago(account.now, began.0);
    let text = format!("a changed configuration was refused {ago_refused} ago: {why}");
    table.line(vec![Cell::new(Style::Bad, &text)]);
    let loaded = account.loaded.map_or_else(String::new, |at| {
        format!(" of {} ago", ago(account.now, at.0))
    });
    let text = format!(
        "  the one{loaded} is in force; agentcheck check tells all, agentcheck reload tries again"
    );
    table.line(vec![text.as_str().into()]);
}

fn faults(account: &Overview, table: &mut Table) {
    for fault in &account.faults {
        let text = format!("an override cannot be used: {fault}");
        table.line(vec![Cell::new(Style::Bad, &text)]);
    }
}

/// All that is known of each service.
#[must_use]
pub fn detailed(account: &Overview) -> Table {
    let mut table = Table::new();
    table.line(vec![collector(account)]);
    refused(account, &mut table);
    for service in &account.services {
        table.gap();
        table.line(vec![Cell::new(Style::Name, &service.name)]);
        block(service, account, &mut table);
    }
    faults(account, &mut table);
    table
}

fn block(service: &ServiceOverview, account: &Overview, table: &mut Table) {
    let now = account.now;
    let mut row = |label: &str, cell: Cell| table.row(vec![format!("  {label}").into(), cell]);
    row("reply", reply(service, true));
    if let Ok(said) = &service.current {
        row("fresh", fresh(said, now));
    }
    row("age", age(service, now));
    row("decided", decided(service, false).into());
    let Some(known) = &service.known else {
        row("note", "the collector tells nothing of this service".into());
        return;
    };
    if let Some(since) = known.since {
        row("since", ago(now, since).into());
    }
    for over in &known.overrides {
        let counts = if over.counts {
            ""
        } else {
            " (another one comes first)"
        };
        let text = override_text(over, now) + counts;
        row("override", Cell::new(Style::Warning, &text));
    }
    for rule in &known.rules {
        row("rule", rule_text(rule, now).into());
    }
    for name in &known.sources {
        row("source", source_cell(name, account.sources.get(name), now));
    }
}

/// Whether a collector is at work.
fn collector(account: &Overview) -> Cell {
    let process = account
        .pid
        .map_or(String::new(), |pid| format!(", process {pid}"));
    let old = account.written.map(|(_, at)| ago(account.now, at.0));
    let old = old.unwrap_or_default();
    let up = account
        .written
        .map(|(started, _)| ago(account.now, started.0));
    let (style, text) = match &account.liveness {
        Liveness::Alive => {
            let up = up.unwrap_or_default();
            (
                Style::Good,
                format!("alive{process}, started {up} ago; its account is {old} old"),
            )
        }
        Liveness::Starting => (
            Style::Warning,
            format!("starting{process}: it has written no account yet"),
        ),
        Liveness::Unresponsive(_) => (
            Style::Warning,
            format!("silent{process}: it holds its lock, but its account is {old} old"),
        ),
        Liveness::Dead => (
            Style::Bad,
            format!(
                "not running; its last account is {old} old. What follows is what the state files say"
            ),
        ),
        Liveness::OtherBoot => (
            Style::Bad,
            "not running: the last account is of another boot".to_owned(),
        ),
        Liveness::Absent => (Style::Bad, "not running, and no account of one".to_owned()),
        Liveness::Unknown(why) => (Style::Bad, format!("cannot be told: {why}")),
    };
    Cell::new(style, &format!("collector: {text}"))
}

fn reply(service: &ServiceOverview, described: bool) -> Cell {
    match &service.current {
        Ok(said) => {
            let description = match described {
                true => said.reply.description,
                false => Description::NONE,
            };
            let text = said.reply.described(description).to_string();
            let warn = service.is_at_floor() || service.decided_by() == Some("failure");
            let style = match () {
                () if said.is_stale() || service.is_out() => Style::Bad,
                () if warn => Style::Warning,
                () => Style::Good,
            };
            Cell::new(style, &text)
        }
        Err(word) => Cell::new(Style::Bad, &format!("{word} (changes nothing)")),
    }
}

/// How old the readings are that it rests on.
fn age(service: &ServiceOverview, now: BootTime) -> Cell {
    let of = service
        .known
        .as_ref()
        .and_then(|known| known.oldest_reading_at);
    let stale = service
        .current
        .as_ref()
        .is_ok_and(super::CurrentReply::is_stale);
    match of {
        Some(of) if stale => Cell::new(Style::Bad, &format!("{} stale", ago(now, of))),
        Some(of) => ago(now, of).into(),
        None if stale => Cell::new(Style::Bad, "stale"),
        None => "-".into(),
    }
}

fn fresh(said: &super::CurrentReply, now: BootTime) -> Cell {
    let next = said.next.map(|(at, reply)| {
        let at = span(at.since(now));
        format!("; in {at}, if nothing renews it: {reply}")
    });
    let next = next.unwrap_or_default();
    match said.fresh {
        Some(Freshness::Until(until)) => {
            format!("for another {}{next}", span(until.since(now))).into()
        }
        Some(Freshness::Stale(since)) => {
            let text = format!("no: not renewed in time, for {}{next}", ago(now, since.0));
            Cell::new(Style::Bad, &text)
        }
        None => "its state file gives it no end".into(),
    }
}

/// Who decided, in one line.
fn decided(service: &ServiceOverview, described: bool) -> String {
    let Some(known) = &service.known else {
        return "-".to_owned();
    };
    let mut text = match (known.decided_by.as_deref(), &known.why) {
        (Some("weight"), _) => stages(known),
        (Some("failure"), Some(why)) => format!("failure: {why}"),
        (Some(by), Some(why)) => format!("{by} {why}"),
        (Some(by), None) => by.to_owned(),
        (None, Some(why)) => format!("no reply yet: {why}"),
        (None, None) => "no reply yet".to_owned(),
    };
    if described
        && let Ok(said) = &service.current
        && !said.reply.description.is_empty()
    {
        text.push_str(" # ");
        text.push_str(said.reply.description.as_str());
    }
    text
}

/// The stages of a weight, as far as they changed something.
fn stages(known: &ServiceStatus) -> String {
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
        ("smoothed", *smoothed),
        ("ramp", *ramped),
        ("bounded", *bounded),
        ("step", *stepped),
        ("said", f64::from(*percent)),
    ] {
        // A number that is only rounded down is not worth a word.
        let rounded = stage == "said" && at <= last && last - at < 1.0;
        if (at - last).abs() > 1e-6 && !rounded {
            text.push_str(&format!(", {stage} {}", number(at)));
        }
        last = at;
    }
    match weight.basis.as_deref() {
        Some("held") => text.push_str(", held without traffic"),
        Some("unmeasured") => text.push_str(", not measured yet"),
        _ => {}
    }
    text
}

fn rule_text(rule: &RuleStatus, now: BootTime) -> String {
    let holds = match rule.active {
        Some(true) => "holds",
        Some(false) => "does not hold",
        None => "never known",
    };
    let of = rule
        .observed_at
        .map(|of| format!(", as of {} ago", ago(now, of)));
    let changing = rule.pending_since.map(|since| {
        let since = ago(now, since);
        format!("; about to change, for {since} now")
    });
    format!(
        "{}: {holds}{}{}; when {}",
        rule.name,
        of.unwrap_or_default(),
        changing.unwrap_or_default(),
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

/// What an operator has put above the rules.
fn override_text(over: &OverrideStatus, now: BootTime) -> String {
    let mut text = format!("{} by {}", over.action, over.by);
    if over.scope != "service" {
        text.push_str(&format!(", for {}", over.scope));
    }
    if let Some(ends) = over.ends {
        text.push_str(&format!(
            ", for another {}",
            span(BootTime(ends).since(now))
        ));
    }
    if let Some(until) = over.until.as_ref().filter(|_| over.stage == 0) {
        text.push_str(&format!(", until {until}"));
    }
    if !over.reason.is_empty() {
        text.push_str(&format!(": {}", over.reason));
    }
    text
}

fn ago(now: BootTime, then: u64) -> String {
    span(now.since(BootTime(then)))
}
