//! The keys of a service that say what happens when there is no news: `fresh_for`, `stale`, `on_failure`,
//! `on_stop`.

use super::diagnostics::Diagnostic;
use super::toml_reader::{Entry, Findings, Table};
use super::{ExpiryAction, OnFailure, Restore, Rule, rules};
use crate::source::Source;
use std::time::Duration;

/// The longest time that anything may be good for, or take.
pub(super) const LONGEST: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn fresh_for(
    table: &mut Table<'_>,
    polled: &[&Source],
    findings: &mut Findings<'_>,
) -> Duration {
    let period = polled
        .iter()
        .map(|source| source.interval + source.timeout)
        .max()
        .unwrap_or_default();
    // Polls that are passed over until a failure is confirmed must not make the reply stale.
    let rounds = polled
        .iter()
        .map(|source| source.debounce.fail_after.window)
        .max();
    let rounds = u32::from(rounds.unwrap_or(1)) + 2;
    let default = Duration::from_secs(10).max(period * rounds);
    let Some(entry) = table.take("fresh_for") else {
        return default;
    };
    let least = Duration::from_millis(100);
    let Some(chosen) = entry.duration(findings, least, LONGEST) else {
        return default;
    };
    if chosen < period {
        let slowest = polled
            .iter()
            .max_by_key(|source| source.interval + source.timeout)
            .map_or("", |source| source.name.as_str());
        findings.push(
            Diagnostic::error(
                entry.span(),
                format!(
                    "fresh_for is shorter than every + timeout of {slowest}, {}",
                    humantime::format_duration(period)
                ),
            )
            .remedy(format!(
                "a reply would be stale before its next reading; the default is {}",
                humantime::format_duration(default)
            )),
        );
    }
    let confirmed = |source: &Source| {
        source.interval * u32::from(source.debounce.fail_after.required) + source.timeout
    };
    if let Some(source) = polled.iter().max_by_key(|source| confirmed(source))
        && chosen >= period
        && chosen < confirmed(source)
    {
        findings.push(
            Diagnostic::warning(
                entry.span(),
                format!(
                    "fresh_for is shorter than {} takes to count as failed, {}",
                    source.name,
                    humantime::format_duration(confirmed(source))
                ),
            )
            .remedy("it is overdue before fail_after has an effect"),
        );
    }
    chosen
}

/// The way back to full, and where it leads from: `restore_after`, `restore_over`, `stale`, `on_stop`.
pub(super) struct StalenessKeys {
    pub(super) on_stale: ExpiryAction,
    pub(super) on_stop: ExpiryAction,
    pub(super) restore: Restore,
}

/// `rules` are looked at because one that is released needs the way back, too.
pub(super) fn staleness_keys(
    table: &mut Table<'_>,
    rules: &mut [Rule],
    findings: &mut Findings<'_>,
) -> StalenessKeys {
    let after = table.take("restore_after");
    let over = table.take("restore_over");
    let stale = expiry_action(table.take("on_stale"), findings);
    let on_stop = expiry_action(table.take("on_stop"), findings);
    let released = |stale: ExpiryAction| stale == ExpiryAction::Restore;
    let by_rule = rules.iter().any(|rule| rule.hold_for.is_some());
    if !released(stale) && !released(on_stop) && !by_rule {
        for entry in [after, over].into_iter().flatten() {
            findings.push(
                Diagnostic::error(
                    entry.key_span(),
                    format!("{} has no effect without a release", entry.key),
                )
                .remedy(
                    "stale or on_stop = \"restore\" is one, or on_stale = \"restore\" of a rule",
                )
                .consequence(),
            );
        }
    }
    let mut span = |entry: Option<Entry<'_>>, default| {
        entry
            .and_then(|entry| entry.duration(findings, Duration::from_secs(1), LONGEST))
            .unwrap_or(default)
    };
    let default = Restore::default();
    let release = Restore {
        after: span(after, default.after),
        over: span(over, default.over),
    };
    for rule in rules {
        if rule.hold_for == Some(rules::RESTORED) {
            rule.hold_for = Some(release.after);
        }
    }
    StalenessKeys {
        on_stale: stale,
        on_stop,
        restore: release,
    }
}

/// What is said when nobody decides any more.
fn expiry_action(entry: Option<Entry<'_>>, findings: &mut Findings<'_>) -> ExpiryAction {
    let Some((entry, chosen)) =
        entry.and_then(|entry| Some((entry, entry.text(findings, "\"keep\"")?)))
    else {
        return ExpiryAction::Keep;
    };
    match chosen.value.as_str() {
        "keep" => ExpiryAction::Keep,
        "restore" => ExpiryAction::Restore,
        "full" => {
            let message = format!("{} cannot be \"full\"", entry.key);
            findings.push(Diagnostic::error(chosen.span, message).remedy(
                "a server that jumps to full among busy ones gets too much; \
                 \"release\" goes there step by step",
            ));
            ExpiryAction::Keep
        }
        _ => rules::say(&chosen, findings).map_or(ExpiryAction::Keep, ExpiryAction::Reply),
    }
}

pub(super) fn on_failure(table: &mut Table<'_>, findings: &mut Findings<'_>) -> OnFailure {
    let Some(chosen) = table
        .take("on_failure")
        .and_then(|entry| entry.text(findings, "\"keep\""))
    else {
        return OnFailure::Keep;
    };
    match chosen.value.as_str() {
        "keep" => OnFailure::Keep,
        _ => rules::say(&chosen, findings).map_or(OnFailure::Keep, OnFailure::Reply),
    }
}
