//! The keys of a service for the time without news: `fresh_for`, `on_stale`, `on_failure`, `on_stop`,
//! `restore_after`, `restore_over`.

use super::diagnostics::Diagnostic;
use super::toml_reader::{Entry, Findings, Table};
use super::{ExpiryAction, OnFailure, Restore, Rule, rules};
use crate::source::Source;
use std::time::Duration;

/// Reads `fresh_for`, or computes it from the sources that are polled for the service.
pub(super) fn fresh_for(
    table: &mut Table<'_>,
    polled: &[&Source],
    findings: &mut Findings<'_>,
) -> Duration {
    let period = |source: &Source| source.interval + source.timeout;
    let longest = polled.iter().map(|source| period(source)).max();
    let longest = longest.unwrap_or_default();
    // Failed polls that `fail_after` ignores must not make the reply stale.
    let rounds = polled
        .iter()
        .map(|source| source.debounce.fail_after.window)
        .max();
    let rounds = u32::from(rounds.unwrap_or(1)) + 2;
    let default = Duration::from_secs(10).max(longest * rounds);
    let Some(entry) = table.take("fresh_for") else {
        return default;
    };
    let Some(chosen) = entry.span_of_time(findings) else {
        return default;
    };
    let display = humantime::format_duration;
    if chosen < longest {
        let slowest = polled.iter().max_by_key(|source| period(source));
        let name = slowest.map_or("", |source| source.name.as_str());
        let message = format!(
            "{}: shorter than interval + timeout of the source {name:?}, {}",
            entry.invalid(findings),
            display(longest)
        );
        let remedy = format!("leave it out: the default is {}", display(default));
        findings.push(Diagnostic::error(entry.span(), message).remedy(remedy));
    }
    let confirmed = |source: &Source| {
        source.interval * u32::from(source.debounce.fail_after.required) + source.timeout
    };
    if let Some(source) = polled.iter().max_by_key(|source| confirmed(source))
        && chosen >= longest
        && chosen < confirmed(source)
    {
        let message = format!(
            "fresh_for is shorter than the time after which the source {:?} counts as failed, {}",
            source.name,
            display(confirmed(source))
        );
        findings.push(
            Diagnostic::warning(entry.span(), message)
                .remedy("the source is overdue before fail_after has an effect"),
        );
    }
    chosen
}

/// The values of `on_stale`, `on_stop`, `restore_after` and `restore_over`.
pub(super) struct StalenessKeys {
    pub(super) on_stale: ExpiryAction,
    pub(super) on_stop: ExpiryAction,
    pub(super) restore: Restore,
}

/// Reads these keys. A rule with `on_stale = "restore"` gets the time of `restore_after`.
pub(super) fn staleness_keys(
    table: &mut Table<'_>,
    rules: &mut [Rule],
    findings: &mut Findings<'_>,
) -> StalenessKeys {
    let on_stale = expiry_action(table.take("on_stale"), findings);
    let on_stop = expiry_action(table.take("on_stop"), findings);
    let restores = [&on_stale, &on_stop].contains(&&ExpiryAction::Restore)
        || rules.iter().any(|rule| rule.hold_for.is_some());
    if !restores {
        for key in ["restore_after", "restore_over"] {
            let Some(span) = table.span_of(key) else {
                continue;
            };
            let message = format!("{key} has no effect without a restore");
            findings.push(
                Diagnostic::error(span, message)
                    .remedy(
                        "add on_stale = \"restore\" or on_stop = \"restore\", or remove the key",
                    )
                    .consequence(),
            );
        }
    }
    let restore = Restore {
        after: table.duration(findings, "restore_after"),
        over: table.duration(findings, "restore_over"),
    };
    for rule in rules {
        if rule.hold_for == Some(rules::RESTORED) {
            rule.hold_for = Some(restore.after);
        }
    }
    StalenessKeys {
        on_stale,
        on_stop,
        restore,
    }
}

/// The value of `on_stale` or `on_stop`.
fn expiry_action(entry: Option<Entry<'_>>, findings: &mut Findings<'_>) -> ExpiryAction {
    let Some((entry, chosen)) = entry.and_then(|entry| Some((entry, entry.string(findings)?)))
    else {
        return ExpiryAction::Keep;
    };
    match chosen.value.as_str() {
        "keep" => ExpiryAction::Keep,
        "restore" => ExpiryAction::Restore,
        "full" => {
            findings.push(
                Diagnostic::error(chosen.span, entry.invalid(findings)).remedy(
                    "write \"restore\": it returns to 100% in steps. \
                 A server that jumps to 100% among busy servers gets too much traffic",
                ),
            );
            ExpiryAction::Keep
        }
        _ => {
            let state = rules::state(&chosen, &["keep", "restore"], findings);
            state.map_or(ExpiryAction::Keep, ExpiryAction::Reply)
        }
    }
}

/// The value of `on_failure`.
pub(super) fn on_failure(table: &mut Table<'_>, findings: &mut Findings<'_>) -> OnFailure {
    let Some(chosen) = table.text(findings, "on_failure") else {
        return OnFailure::Keep;
    };
    match chosen.value.as_str() {
        "keep" => OnFailure::Keep,
        _ => {
            let state = rules::state(&chosen, &["keep"], findings);
            state.map_or(OnFailure::Keep, OnFailure::Reply)
        }
    }
}
