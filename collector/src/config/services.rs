//! `[service.NAME]`

use super::diagnostic::Diagnostic;
use super::raw::{Entry, Findings, Table};
use super::sources::Sources;
use super::{Administration, OnFailure, Service, Stale, State, derived, rules};
use crate::expression::{Type, Vocabulary};
use crate::source::Source;
use agentcheck_common::{Administrative, Percent, ServiceName};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

const SERVICE_KEYS: [&str; 9] = [
    "weight",
    "floor",
    "fresh_for",
    "stale",
    "release_after",
    "release_over",
    "on_failure",
    "administration",
    "rule",
];
const LATER_SERVICE_KEYS: [&str; 13] = [
    "ceiling",
    "smooth",
    "ramp",
    "max_step",
    "dead_band",
    "maxconn",
    "balancers",
    "describe",
    "on_stop",
    "haproxy_weight",
    "override_administration",
    "maintenance_file",
    "capacity",
];
/// The longest time that anything may be good for, or take.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// What services may use.
struct Known<'k> {
    vocabulary: Vocabulary,
    sources: &'k Sources,
    derived: &'k [derived::Named],
}

impl Known<'_> {
    /// The indices, in the order of the configuration's names, of the sources and derived numbers with
    /// these names.
    fn indices(&self, names: &BTreeSet<String>) -> Vec<usize> {
        let mut indices = self.sources.indices(names.iter());
        let first = self.sources.named.len();
        let derived = self.derived.iter().enumerate();
        indices.extend(
            derived
                .filter(|(_, named)| names.contains(&named.derived.name))
                .map(|(at, _)| first + at),
        );
        indices
    }

    /// The sources behind such an index.
    fn polled(&self, index: usize) -> Vec<&Source> {
        let named = &self.sources.named;
        let source = |index: usize| named.get(index).map(|named| &named.source);
        match index.checked_sub(named.len()) {
            None => source(index).into_iter().collect(),
            Some(at) => {
                let behind = self.derived.get(at).map(|named| &named.derived.sources);
                let behind = behind.into_iter().flatten();
                behind.filter_map(|index| source(*index)).collect()
            }
        }
    }
}

pub(super) fn read(
    table: Option<Table<'_>>,
    sources: &Sources,
    (derived, broken): &(Vec<derived::Named>, Vec<String>),
    findings: &mut Findings<'_>,
) -> Vec<Service> {
    let mut vocabulary = sources.vocabulary();
    for named in derived {
        vocabulary.add_derived(&named.derived.name);
    }
    for name in broken {
        vocabulary.add_broken(name);
    }
    let known = Known {
        vocabulary,
        sources,
        derived,
    };
    let mut used = BTreeSet::new();
    let services = table
        .map(|mut table| table.take_all())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| service(entry, &known, &mut used, findings))
        .collect();
    warn_of_unused(&known, used, findings);
    services
}

/// What is polled or derived for nobody is probably a slip of the pen.
fn warn_of_unused(known: &Known<'_>, mut used: BTreeSet<String>, findings: &mut Findings<'_>) {
    for named in known.derived {
        let name = &named.derived.name;
        if !used.contains(name) {
            let message = format!("no service uses {name}");
            findings.push(Diagnostic::warning(named.span.clone(), message).consequence());
        }
        let sources = named.derived.sources.iter();
        used.extend(sources.filter_map(|index| {
            let named = known.sources.named.get(*index)?;
            Some(named.source.name.clone())
        }));
    }
    for named in &known.sources.named {
        if !used.contains(&named.source.name) {
            let message = format!("no service uses the source {}", named.source.name);
            findings.push(Diagnostic::warning(named.span.clone(), message).consequence());
        }
    }
}

fn service(
    entry: Entry<'_>,
    known: &Known<'_>,
    used: &mut BTreeSet<String>,
    findings: &mut Findings<'_>,
) -> Option<Service> {
    let span = entry.key_span();
    let name = ServiceName::parse(entry.key.as_bytes());
    if name.is_none() {
        findings.push(
            Diagnostic::error(
                span.clone(),
                format!("a service cannot be called {:?}", entry.key),
            )
            .remedy(
                "1 to 64 letters, digits, dots, underscores and hyphens, a letter or digit first",
            ),
        );
    }
    let mut table = entry.table(findings, &format!("[service.{}]", entry.key))?;

    let weight_entry = table.take("weight");
    let weight = weight_entry.and_then(|entry| {
        let text = entry.text(findings, "'headroom(cpu.value, 100)'")?;
        rules::expression(&text, Type::Number, &known.vocabulary, findings)
    });
    let rules = table
        .take("rule")
        .and_then(|entry| entry.tables(findings, "[[service.web.rule]]"))
        .unwrap_or_default();
    let rules = rules::read(rules, &known.vocabulary, &known.sources.named, findings);
    if let (Some((always, _)), Some(weight)) = (
        rules.iter().find(|(rule, _)| rules::always_holds(rule)),
        weight_entry,
    ) {
        let message = format!(
            "the weight is never used: rule {:?} always holds",
            always.name
        );
        findings.push(Diagnostic::warning(weight.key_span(), message));
    }

    let mut names = BTreeSet::new();
    let expressions = rules.iter().map(|(rule, _)| &rule.when).chain(&weight);
    for expression in expressions {
        names.extend(expression.uses().keys().cloned());
    }
    used.extend(names.iter().cloned());
    let indices = known.indices(&names);
    let polled = indices.iter().flat_map(|index| known.polled(*index));
    let polled: Vec<&Source> = polled.collect();

    let service = Service {
        name: name?,
        fresh_for: fresh_for(&mut table, &polled, findings),
        stale: stale(&mut table, findings),
        on_failure: on_failure(&mut table, findings),
        floor: table
            .take("floor")
            .and_then(|entry| entry.integer(findings, 1, 100))
            .and_then(|floor| u16::try_from(floor).ok())
            .and_then(Percent::new)
            .unwrap_or(LEAST_FLOOR),
        administration: table
            .take("administration")
            .and_then(|entry| {
                let choices = [
                    ("shared", Administration::Shared),
                    ("owner", Administration::Owner),
                ];
                entry.choice(findings, &choices)
            })
            .unwrap_or(Administration::Shared),
        sources: indices,
        rules: rules.into_iter().map(|(rule, _)| rule).collect(),
        weight,
    };
    warn_of_silence(&service, &span, findings);
    warn_of_what_stays(&service, &span, findings);
    table.finish(findings, &SERVICE_KEYS, &LATER_SERVICE_KEYS);
    Some(service)
}

/// Load never leads below this: a busy farm would empty itself node by node.
const LEAST_FLOOR: Percent = match Percent::new(1) {
    Some(floor) => floor,
    None => Percent::FULL,
};

/// A service that neither weighs nor rules says full for ever; that is hardly meant.
fn warn_of_silence(service: &Service, span: &Range<usize>, findings: &mut Findings<'_>) {
    if service.weight.is_none() && service.rules.is_empty() {
        findings.push(
            Diagnostic::warning(
                span.clone(),
                format!("the service {} has no weight and no rule", service.name),
            )
            .remedy("it always says full")
            .consequence(),
        );
    }
}

/// A line can say what no reply of ours takes back: the server would keep it for ever.
fn warn_of_what_stays(service: &Service, span: &Range<usize>, findings: &mut Findings<'_>) {
    let rules = service.rules.iter().map(|rule| {
        let who = format!("rule {:?}", rule.name);
        (who, Some(rule.state))
    });
    let stale = match service.stale {
        Stale::Say(state) => Some(state),
        Stale::Keep | Stale::Release { .. } => None,
    };
    let on_failure = match service.on_failure {
        OnFailure::Say(state) => Some(state),
        OnFailure::Keep => None,
    };
    let others = [
        ("stale".to_owned(), stale),
        ("on_failure".to_owned(), on_failure),
    ];
    for (who, state) in rules.chain(others) {
        let Some(State::Line(line)) = state else {
            continue;
        };
        let taken_out = line
            .administrative
            .filter(|word| *word != Administrative::Ready);
        if let Some(word) = taken_out
            && service.administration == Administration::Shared
        {
            let word = word.word();
            let message = format!("{who} says {word}, and nothing that the weight says lifts it");
            findings.push(
                Diagnostic::warning(span.clone(), message)
                    .remedy("administration = \"owner\" lifts it; reply = \"drain\" or \"maint\" needs no lifting"),
            );
        }
        if line.maxconn.is_some() {
            let message =
                format!("{who} sets maxconn, and nothing that the weight says sets it back");
            findings.push(Diagnostic::warning(span.clone(), message));
        }
    }
}

fn fresh_for(table: &mut Table<'_>, polled: &[&Source], findings: &mut Findings<'_>) -> Duration {
    let period = polled
        .iter()
        .map(|source| source.every + source.timeout)
        .max()
        .unwrap_or_default();
    // Polls that are passed over until a failure is confirmed must not make the reply stale.
    let rounds = polled
        .iter()
        .map(|source| source.confirm.fail_after.of)
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
            .max_by_key(|source| source.every + source.timeout)
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
        source.every * u32::from(source.confirm.fail_after.needed) + source.timeout
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

fn stale(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Stale {
    let after = table.take("release_after");
    let over = table.take("release_over");
    let chosen = table
        .take("stale")
        .and_then(|entry| entry.text(findings, "\"keep\""));
    let released = chosen
        .as_ref()
        .is_some_and(|chosen| chosen.value == "release");
    if !released {
        for entry in [after, over].into_iter().flatten() {
            findings.push(
                Diagnostic::error(
                    entry.key_span(),
                    format!("{} has no effect without stale = \"release\"", entry.key),
                )
                .consequence(),
            );
        }
    }
    let Some(chosen) = chosen else {
        return Stale::Keep;
    };
    match chosen.value.as_str() {
        "keep" => Stale::Keep,
        "release" => {
            let mut span = |entry: Option<Entry<'_>>, default| {
                entry
                    .and_then(|entry| entry.duration(findings, Duration::from_secs(1), LONGEST))
                    .unwrap_or(default)
            };
            Stale::Release {
                after: span(after, Duration::from_secs(300)),
                over: span(over, Duration::from_secs(300)),
            }
        }
        "full" => {
            findings.push(
                Diagnostic::error(chosen.span, "stale cannot be \"full\"").remedy(
                    "a server that jumps to full among busy ones gets too much; \
                     \"release\" goes there step by step",
                ),
            );
            Stale::Keep
        }
        _ => rules::say(&chosen, findings).map_or(Stale::Keep, Stale::Say),
    }
}

fn on_failure(table: &mut Table<'_>, findings: &mut Findings<'_>) -> OnFailure {
    let Some(chosen) = table
        .take("on_failure")
        .and_then(|entry| entry.text(findings, "\"keep\""))
    else {
        return OnFailure::Keep;
    };
    match chosen.value.as_str() {
        "keep" => OnFailure::Keep,
        _ => rules::say(&chosen, findings).map_or(OnFailure::Keep, OnFailure::Say),
    }
}
