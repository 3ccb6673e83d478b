//! `[service.NAME]`

use super::diagnostics::Diagnostic;
use super::sources::Sources;
use super::staleness::{self, StalenessKeys};
use super::toml_reader::{Entry, Findings, Table};
use super::weight::Weighing;
use super::{ExpiryAction, OnFailure, Rule, Service, Weight, derived, rules};
use crate::expression::Environment;
use crate::reply::state::{AdminState, DescriptionDetail, ServerState};
use crate::source::Source;
use agentcheck_common::{Administrative, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::PathBuf;

const SERVICE_KEYS: [&str; 29] = [
    "weight",
    "capacity",
    "ewma",
    "ramp",
    "ramp_from",
    "ramp_aggression",
    "ramp_on_start",
    "ramp_on_reset",
    "ceiling",
    "floor",
    "haproxy_weight",
    "max_rise",
    "max_fall",
    "dead_band",
    "maxconn",
    "maxconn_normal",
    "balancers",
    "fresh_for",
    "on_stale",
    "restore_after",
    "restore_over",
    "on_failure",
    "on_stop",
    "admin_state",
    "override_admin_state",
    "description_detail",
    "maintenance_file",
    "port",
    "rule",
];

/// What services may use.
struct Names<'k> {
    environment: Environment,
    sources: &'k Sources,
    derived: &'k [derived::Named],
}

/// What services have taken so far.
#[derive(Default)]
struct Used {
    /// The names of sources and derived numbers.
    names: BTreeSet<String>,
    /// Ports, each with its service and where that says so.
    ports: BTreeMap<NonZeroU16, (String, usize)>,
}

impl Names<'_> {
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
    let mut environment = sources.environment();
    for named in derived {
        environment.add_derived(&named.derived.name);
    }
    for name in broken {
        environment.add_broken(name);
    }
    let known = Names {
        environment,
        sources,
        derived,
    };
    let mut taken = Used::default();
    let services = table
        .map(|mut table| table.take_all())
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| service(entry, &known, &mut taken, findings))
        .collect();
    warn_of_unused(&known, taken.names, findings);
    services
}

/// What is polled or derived for nobody is probably a slip of the pen.
fn warn_of_unused(known: &Names<'_>, mut used: BTreeSet<String>, findings: &mut Findings<'_>) {
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
    known: &Names<'_>,
    taken: &mut Used,
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

    let weight_entry = table
        .span_of("weight")
        .or_else(|| table.span_of("capacity"));
    let weighing = Weighing {
        environment: &known.environment,
        name: entry.key,
    };
    let weight = weighing.weight(&mut table, findings);
    let rules = table
        .take("rule")
        .and_then(|entry| entry.tables(findings, "[[service.web.rule]]"))
        .unwrap_or_default();
    let rules = rules::read(rules, &known.environment, &known.sources.named, findings);
    if let (Some((always, _)), Some(weight)) = (
        rules.iter().find(|(rule, _)| rules::always_holds(rule)),
        weight_entry,
    ) {
        let message = format!(
            "the weight is never used: rule {:?} always holds",
            always.name
        );
        findings.push(Diagnostic::warning(weight, message));
    }
    let mut rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
    let StalenessKeys {
        on_stale: stale,
        on_stop,
        restore: release,
    } = staleness::staleness_keys(&mut table, &mut rules, findings);
    let administration = admin_state(&mut table, "admin_state", findings);

    let restarts = table.span_of("ramp").is_some() || matches!(weight, Weight::Capacity(_));
    let shaping = weighing.shaping(&mut table, &weight, findings);
    let mut service = Service {
        shaping,
        restarts: weighing.restarts(&mut table, restarts, findings),
        maxconn: weighing.maxconn(&mut table, findings),
        weight,
        rules,
        on_stale: stale,
        on_stop,
        restore: release,
        on_failure: staleness::on_failure(&mut table, findings),
        admin_state: administration.unwrap_or(AdminState::Preserve),
        override_admin_state: self::admin_state(&mut table, "override_admin_state", findings)
            .or(administration)
            .unwrap_or(AdminState::Preserve),
        description_detail: table
            .take("description_detail")
            .and_then(|entry| entry.choice(findings, &DESCRIPTIONS))
            .unwrap_or(DescriptionDetail::Full),
        maintenance_file: maintenance_file(&mut table, findings),
        port: port(&mut table, entry.key, taken, findings),
        ..Service::new(name?)
    };
    let names: BTreeSet<String> = service
        .expressions()
        .flat_map(|expression| expression.uses().keys().cloned())
        .collect();
    service.sources = known.indices(&names);
    taken.names.extend(names);
    let polled = service.sources.iter();
    let polled: Vec<&Source> = polled.flat_map(|index| known.polled(*index)).collect();
    service.fresh_for = staleness::fresh_for(&mut table, &polled, findings);
    warn_of_missing_failure_rule(&service, &span, findings);
    warn_of_irreversible_replies(&service, &span, findings);
    table.finish(findings, &SERVICE_KEYS);
    Some(service)
}

/// The port of the service alone.
fn port(
    table: &mut Table<'_>,
    service: &str,
    taken: &mut Used,
    findings: &mut Findings<'_>,
) -> Option<NonZeroU16> {
    let entry = table.take("port")?;
    let number = entry.integer(findings, 1, i64::from(u16::MAX))?;
    let port = NonZeroU16::new(u16::try_from(number).ok()?)?;
    if let Some((other, at)) = taken.ports.get(&port) {
        let place = findings.place(*at);
        let message = format!("port {port} is that of the service {other} already, in {place}");
        findings.push(Diagnostic::error(entry.span(), message).remedy(
            "whoever asks there says no name; services that share one have none of their own",
        ));
        return None;
    }
    let at = entry.span().start;
    taken.ports.insert(port, (service.to_owned(), at));
    Some(port)
}

const DESCRIPTIONS: [(&str, DescriptionDetail); 3] = [
    ("full", DescriptionDetail::Full),
    ("state", DescriptionDetail::State),
    ("none", DescriptionDetail::None),
];

/// A flag file, by its absolute path.
pub(super) fn maintenance_file(
    table: &mut Table<'_>,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let text = table
        .take("maintenance_file")?
        .text(findings, "\"/etc/agentcheck/maintenance\"")?;
    let path = PathBuf::from(&text.value);
    if !path.is_absolute() {
        findings.push(
            Diagnostic::error(text.span, "a path that is not absolute")
                .remedy("write it from the root, as in \"/etc/agentcheck/maintenance\""),
        );
        return None;
    }
    Some(path)
}

fn admin_state(
    table: &mut Table<'_>,
    key: &str,
    findings: &mut Findings<'_>,
) -> Option<AdminState> {
    let choices = [
        ("preserve", AdminState::Preserve),
        ("manage", AdminState::Manage),
    ];
    table
        .take(key)
        .and_then(|entry| entry.choice(findings, &choices))
}

/// A service that neither weighs nor rules says full for ever; that is hardly meant.
fn warn_of_missing_failure_rule(
    service: &Service,
    span: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    if matches!(service.weight, Weight::Full)
        && service.rules.is_empty()
        && service.maxconn.is_none()
    {
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
fn warn_of_irreversible_replies(
    service: &Service,
    span: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    let rules = service.rules.iter().map(|rule| {
        let who = format!("rule {:?}", rule.name);
        (who, Some(rule.state))
    });
    let said = |stale: ExpiryAction| match stale {
        ExpiryAction::Reply(state) => Some(state),
        ExpiryAction::Keep | ExpiryAction::Restore => None,
    };
    let on_failure = match service.on_failure {
        OnFailure::Reply(state) => Some(state),
        OnFailure::Keep => None,
    };
    let others = [
        ("on_stale".to_owned(), said(service.on_stale)),
        ("on_stop".to_owned(), said(service.on_stop)),
        ("on_failure".to_owned(), on_failure),
    ];
    for (who, state) in rules.chain(others) {
        let Some(ServerState::Raw(line)) = state else {
            continue;
        };
        let taken_out = line
            .administrative
            .filter(|word| *word != Administrative::Ready);
        if let Some(word) = taken_out
            && service.admin_state == AdminState::Preserve
        {
            let word = word.word();
            let message = format!("{who} says {word}, and nothing that the weight says lifts it");
            findings.push(
                Diagnostic::warning(span.clone(), message)
                    .remedy("admin_state = \"manage\" lifts it; reply = \"drain\" or \"maint\" needs no lifting"),
            );
        }
        if line.maxconn.is_some() && service.maxconn.is_none() {
            let message =
                format!("{who} sets maxconn, and nothing that the weight says sets it back");
            findings.push(
                Diagnostic::warning(span.clone(), message)
                    .remedy("with maxconn and maxconn_normal every other reply says the limit"),
            );
        }
        if line.operational.is_none() && line.percent.is_some() {
            let message = format!("{who} does not say up, and leaves a server that is down there");
            findings.push(
                Diagnostic::warning(span.clone(), message)
                    .remedy("HAProxy changes only what a line says: write up beside the weight"),
            );
        }
    }
}
