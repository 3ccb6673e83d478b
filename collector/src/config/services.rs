//! `[service.NAME]`

use super::diagnostics::Diagnostic;
use super::settings::{RULE, SERVICE};
use super::sources::Sources;
use super::staleness::{self, StalenessKeys};
use super::toml_reader::{Entry, Findings, Table};
use super::weight::Weighing;
use super::{
    DerivedId, ExpiryAction, InputId, OnFailure, Service, SourceId, Weight, derived, rules,
};
use crate::expression::Environment;
use crate::reply::state::{AdminStatePolicy, DescriptionDetail, ServerState, WeightForm};
use crate::source::system::Metric;
use crate::source::{Kind, Source};
use agentcheck_common::{AdministrativeState, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::ops::Range;
use std::path::PathBuf;

/// The names that services can read.
struct Names<'k> {
    environment: Environment,
    sources: &'k Sources,
    derived: &'k [derived::Named],
    ids: BTreeMap<&'k str, InputId>,
    /// The sources and derived numbers that measure only the load of this machine.
    load: BTreeSet<String>,
}

/// The names and ports of the services before the current one.
#[derive(Default)]
struct Used {
    /// The names of sources and derived numbers.
    names: BTreeSet<String>,
    /// Ports, each with its service and its place.
    ports: BTreeMap<NonZeroU16, (String, usize)>,
}

impl<'k> Names<'k> {
    fn new(sources: &'k Sources, derived: &'k [derived::Named], broken: &[String]) -> Self {
        let mut environment = sources.environment();
        let by_name = sources.by_name().into_iter();
        let mut ids: BTreeMap<&str, InputId> =
            by_name.map(|(name, id)| (name, id.into())).collect();
        let is_load =
            |source: &Source| matches!(&source.kind, Kind::System(metric) if measures_load(metric));
        let mut load: BTreeSet<String> = sources
            .named
            .iter()
            .filter(|named| is_load(&named.source))
            .map(|named| named.source.name.clone())
            .collect();
        for (at, named) in derived.iter().enumerate() {
            let name = &named.derived.name;
            environment.add_derived(name, named.range);
            ids.insert(name, InputId::derived(DerivedId(at), sources.named.len()));
            let mut behind = named.derived.sources.iter();
            let of_load = |id: &SourceId| {
                let source = sources.named.get(id.0);
                source.is_some_and(|named| is_load(&named.source))
            };
            if !named.derived.sources.is_empty() && behind.all(of_load) {
                load.insert(name.clone());
            }
        }
        for name in broken {
            environment.add_broken(name);
        }
        Self {
            environment,
            sources,
            derived,
            ids,
            load,
        }
    }

    /// The sources and derived numbers with these names, in order.
    fn inputs(&self, names: &BTreeSet<String>) -> Vec<InputId> {
        let ids = names.iter().filter_map(|name| self.ids.get(name.as_str()));
        let mut ids: Vec<InputId> = ids.copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The sources behind an input.
    fn polled(&self, input: InputId) -> Vec<&Source> {
        let named = &self.sources.named;
        let source = |id: SourceId| named.get(id.0).map(|named| &named.source);
        match input.source(named.len()) {
            Ok(id) => source(id).into_iter().collect(),
            Err(DerivedId(at)) => {
                let behind = self.derived.get(at).map(|named| &named.derived.sources);
                let behind = behind.into_iter().flatten();
                behind.filter_map(|id| source(*id)).collect()
            }
        }
    }
}

/// Whether a metric rises with the load. The number of processes shows whether a program runs, and a full disk does
/// not empty itself.
fn measures_load(metric: &Metric) -> bool {
    !matches!(metric, Metric::Processes { .. } | Metric::Disk { .. })
}

pub(super) fn read(
    table: Option<Table<'_>>,
    sources: &Sources,
    (derived, broken): &(Vec<derived::Named>, Vec<String>),
    findings: &mut Findings<'_>,
) -> Vec<Service> {
    let known = Names::new(sources, derived, broken);
    let mut used = Used::default();
    let entries = table.map(|mut table| table.take_all()).unwrap_or_default();
    let mut services = Vec::with_capacity(entries.len());
    for entry in entries {
        services.extend(service(entry, &known, &mut used, findings));
    }
    warn_of_unused(&known, used.names, findings);
    services
}

/// A source or a derived number that no service uses is probably a mistake.
fn warn_of_unused(known: &Names<'_>, mut used: BTreeSet<String>, findings: &mut Findings<'_>) {
    // Each derived number comes after those that it reads.
    for named in known.derived.iter().rev() {
        let name = &named.derived.name;
        if !used.contains(name) {
            let message = format!("no service uses the derived number {name:?}");
            findings.push(Diagnostic::warning(named.span.clone(), message).consequence());
        }
        used.extend(named.reads.iter().cloned());
        let sources = named.derived.sources.iter();
        used.extend(sources.filter_map(|id| {
            let named = known.sources.named.get(id.0)?;
            Some(named.source.name.clone())
        }));
    }
    for named in &known.sources.named {
        let name = &named.source.name;
        if !used.contains(name) {
            let message = format!("no service uses the source {name:?}");
            findings.push(Diagnostic::warning(named.span.clone(), message).consequence());
        }
    }
}

fn service(
    entry: Entry<'_>,
    known: &Names<'_>,
    used: &mut Used,
    findings: &mut Findings<'_>,
) -> Option<Service> {
    let span = entry.key_span();
    let name = ServiceName::parse(entry.key.as_bytes());
    if name.is_none() {
        let message = format!("invalid service name {:?}", entry.key);
        findings.push(Diagnostic::error(span.clone(), message).remedy(rules::NAME_FORM));
    }
    let mut table = entry.section(findings, &SERVICE)?;

    let weight_key = table
        .span_of("weight")
        .or_else(|| table.span_of("capacity"));
    let weighing = Weighing {
        environment: &known.environment,
        name: entry.key,
    };
    let weight = weighing.weight(&mut table, findings);
    let header = format!("service.{}.rule", entry.key);
    let tables = table.take("rule");
    let tables = tables.map(|entry| entry.sections(findings, &RULE, &header));
    let read = rules::read(
        tables.unwrap_or_default(),
        &known.environment,
        &known.load,
        findings,
    );
    if let (Some(always), Some(weight)) = (&read.always, weight_key) {
        let message = format!("the weight is never used: rule {always:?} is always active");
        findings.push(Diagnostic::warning(weight, message));
    }
    let mut rules = read.rules;
    let StalenessKeys {
        on_stale,
        on_stop,
        restore,
    } = staleness::staleness_keys(&mut table, &mut rules, findings);
    let admin = [AdminStatePolicy::Preserve, AdminStatePolicy::Manage];
    let admin_state = table.choice(findings, "admin_state", admin);
    let override_admin_state = table.choice(findings, "override_admin_state", admin);
    let forms = [WeightForm::Percent, WeightForm::Absolute];
    let weight_form = table.choice(findings, "weight_form", forms);
    let details = [
        DescriptionDetail::Full,
        DescriptionDetail::State,
        DescriptionDetail::None,
    ];
    let description_detail = table.choice(findings, "description_detail", details);

    let restarts = table.span_of("ramp").is_some() || matches!(weight, Weight::Capacity(_));
    let shaping = weighing.shaping(&mut table, &weight, findings);
    let mut service = Service {
        shaping,
        restarts: weighing.restarts(&mut table, restarts, findings),
        maxconn: weighing.maxconn(&mut table, findings),
        weight,
        rules,
        on_stale,
        on_stop,
        restore,
        on_failure: staleness::on_failure(&mut table, findings),
        admin_state: admin_state.unwrap_or(AdminStatePolicy::Preserve),
        override_admin_state: override_admin_state
            .or(admin_state)
            .unwrap_or(AdminStatePolicy::Preserve),
        description_detail: description_detail.unwrap_or(DescriptionDetail::Full),
        weight_form: weight_form.unwrap_or(WeightForm::Percent),
        maintenance_file: maintenance_file(&mut table, findings),
        port: port(&mut table, entry.key, used, findings),
        ..Service::new(name?)
    };
    let names: BTreeSet<String> = service
        .expressions()
        .flat_map(|expression| expression.uses().keys().cloned())
        .collect();
    service.inputs = known.inputs(&names);
    used.names.extend(names);
    let polled = service.inputs.iter();
    let polled: Vec<&Source> = polled.flat_map(|input| known.polled(*input)).collect();
    service.fresh_for = staleness::fresh_for(&mut table, &polled, findings);
    warn_of_constant_reply(&service, &span, findings);
    warn_of_irreversible_replies(&service, &span, findings);
    table.close(findings);
    Some(service)
}

/// The port of one service.
fn port(
    table: &mut Table<'_>,
    service: &str,
    used: &mut Used,
    findings: &mut Findings<'_>,
) -> Option<NonZeroU16> {
    let entry = table.take("port")?;
    let number = entry.count(findings)?;
    let port = NonZeroU16::new(u16::try_from(number).ok()?)?;
    let at = entry.span().start;
    if let Some((other, first)) = used.ports.get(&port) {
        let place = findings.place(*first, at);
        let message =
            format!("duplicate port {port}, first defined by the service {other:?} {place}");
        findings.push(
            Diagnostic::error(entry.span(), message)
                .remedy("a port serves one service; services that share a socket need no port"),
        );
        return None;
    }
    used.ports.insert(port, (service.to_owned(), at));
    Some(port)
}

/// The absolute path of a file that starts maintenance while it exists.
pub(super) fn maintenance_file(
    table: &mut Table<'_>,
    findings: &mut Findings<'_>,
) -> Option<PathBuf> {
    let entry = table.take("maintenance_file")?;
    let text = entry.string(findings)?;
    let path = PathBuf::from(&text.value);
    if !path.is_absolute() {
        let message = format!("{}: expected an absolute path", entry.invalid(findings));
        findings.push(
            Diagnostic::error(text.span, message)
                .remedy("write \"/etc/agentcheck/maintenance\", for example"),
        );
        return None;
    }
    Some(path)
}

/// A service without a weight and without rules replies 100% at all times. That is probably a mistake.
fn warn_of_constant_reply(service: &Service, span: &Range<usize>, findings: &mut Findings<'_>) {
    if matches!(service.weight, Weight::Full)
        && service.rules.is_empty()
        && service.maxconn.is_none()
    {
        let message = format!(
            "the service {:?} has no weight and no rule",
            service.name.as_str()
        );
        findings.push(
            Diagnostic::warning(span.clone(), message)
                .remedy("its reply is always 100%: add a weight or a rule")
                .consequence(),
        );
    }
}

/// A raw line can set a state that no other reply of the service resets: the server would keep it.
fn warn_of_irreversible_replies(
    service: &Service,
    span: &Range<usize>,
    findings: &mut Findings<'_>,
) {
    let rules = service.rules.iter().map(|rule| {
        let user = format!("rule {:?}", rule.name);
        (user, Some(&rule.state))
    });
    fn of_expiry(action: &ExpiryAction) -> Option<&ServerState> {
        match action {
            ExpiryAction::Reply(state) => Some(state),
            ExpiryAction::Keep | ExpiryAction::Restore => None,
        }
    }
    let on_failure = match &service.on_failure {
        OnFailure::Reply(state) => Some(state),
        OnFailure::Keep => None,
    };
    let others = [
        ("on_stale".to_owned(), of_expiry(&service.on_stale)),
        ("on_stop".to_owned(), of_expiry(&service.on_stop)),
        ("on_failure".to_owned(), on_failure),
    ];
    for (user, state) in rules.chain(others) {
        let Some(ServerState::Raw(line)) = state else {
            continue;
        };
        let mut warn = |message: String, remedy: &str| {
            findings.push(Diagnostic::warning(span.clone(), message).remedy(remedy));
        };
        let taken_out = line
            .administrative
            .filter(|word| *word != AdministrativeState::Ready);
        if let Some(word) = taken_out
            && service.admin_state == AdminStatePolicy::Preserve
        {
            warn(
                format!("{user} sends {}, and no other reply resets it", word.word()),
                "use reply = \"drain\" or \"maint\", or set admin_state = \"manage\"",
            );
        }
        if line.maxconn.is_some() && service.maxconn.is_none() {
            warn(
                format!("{user} sets maxconn, and no other reply resets it"),
                "add maxconn and maxconn_normal: then every reply sends a limit",
            );
        }
        if line.operational.is_none() && line.percent.is_some() {
            warn(
                format!("{user} does not send up, so a server that is down remains down"),
                "write up before the weight: HAProxy changes only what a line contains",
            );
        }
    }
}
