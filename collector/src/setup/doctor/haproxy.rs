//! Compares what a balancer shows of its servers with the agent's replies.
//!
//! HAProxy does not show agent-send. A server belongs to the service with the name of the server or of the backend,
//! or to the only service.

pub mod tables;

use super::{Finding, Severity, probe};
use crate::reply::haproxy_versions::{FACTS, FactId, Impact, Version, fact};
use agentcheck_common::{Administrative, Operational, Reply};
use std::collections::BTreeSet;
use tables::{Balancer, Server};

/// The subject of all findings here.
const ABOUT: &str = "haproxy";

const ADD_AGENT_CHECK: &str =
    "add agent-check agent-port 3333 agent-send \"NAME\\n\" to it, as above";

/// A service of this host.
#[derive(Clone, Debug)]
pub struct ServedService {
    /// Its name.
    pub name: String,
    /// The smallest percentage that load can lead to.
    pub floor: u16,
    /// The port that its replies are served on.
    pub port: u16,
    /// Whether a reply of it may contain a limit of connections.
    pub has_maxconn: bool,
    /// Whether its replies contain the weight itself.
    pub has_absolute_weight: bool,
    /// The replies in its state file before and after the balancer was read.
    pub replies: Vec<Reply>,
}

/// The findings about a balancer. `is_local` tells whether an address belongs to this host.
#[must_use]
pub fn findings(
    balancer: &Balancer,
    services: &[ServedService],
    is_local: &dyn Fn(&str) -> bool,
) -> Vec<Finding> {
    let version = balancer.version.as_deref().and_then(Version::parse);
    let mut found = version_findings(balancer.version.as_deref(), version, services);
    let here: Vec<&Server> = balancer
        .servers
        .iter()
        .filter(|one| is_local(one.agent_host()))
        .collect();
    let examined: Vec<&Server> = if here.is_empty() {
        if !balancer.servers.is_empty() {
            let what = "no server has an address of this host: checking all servers";
            found.push(Finding::note(ABOUT, what));
        }
        balancer.servers.iter().collect()
    } else {
        here
    };
    let with_agent: BTreeSet<&str> = balancer
        .servers
        .iter()
        .filter(|server| server.has_agent())
        .map(|server| server.backend.as_str())
        .collect();
    if with_agent.is_empty() {
        found.push(Finding::error(
            ABOUT,
            "no server line has an agent-check",
            ADD_AGENT_CHECK,
        ));
    }
    let mut backends = BTreeSet::new();
    for server in examined {
        let service = service_of(server, services);
        if server.has_agent() {
            backends.insert(server.backend.as_str());
            found.extend(server_findings(
                server,
                service,
                services,
                version,
                is_static(balancer, server),
            ));
        } else if !with_agent.is_empty()
            && (is_named(server, services) || with_agent.contains(server.backend.as_str()))
        {
            let remedy = format!("{ADD_AGENT_CHECK}; without it the server has its full weight");
            let what = format!("{server}: no agent-check on its server line");
            found.push(Finding::warning(ABOUT, what, remedy));
        }
    }
    for backend in backends {
        let algorithm = balancer.algorithms.get(backend);
        found.extend(algorithm_finding(backend, algorithm.map(String::as_str)));
        if backend.contains(' ') {
            let what = format!(
                "backend {backend:?}: {}",
                fact(FactId::BlankInBackendName).meaning
            );
            let remedy = fact(FactId::BlankInBackendName).remedy;
            found.push(Finding::note(ABOUT, what).remedy(remedy));
        }
    }
    found
}

/// Whether a server that is not in an exchange has a weight that none of its service's replies gives. It may still be
/// the reply before: look again after a few exchanges.
#[must_use]
pub fn has_foreign_weight(balancer: &Balancer, services: &[ServedService]) -> bool {
    let mut servers = balancer.servers.iter();
    servers.any(|server| {
        let service = service_of(server, services).filter(|_| !is_static(balancer, server));
        service.is_some_and(|service| foreign_weight(server, service).is_some())
    })
}

/// The version, and the facts about it that matter to these services.
fn version_findings(
    text: Option<&str>,
    version: Option<Version>,
    services: &[ServedService],
) -> Vec<Finding> {
    let Some(text) = text else {
        return vec![Finding::note(ABOUT, "HAProxy does not show its version")];
    };
    let Some(version) = version else {
        return vec![Finding::note(ABOUT, format!("unknown version {text:?}"))];
    };
    let has_maxconn = services.iter().any(|service| service.has_maxconn);
    let has_absolute_weight = services.iter().any(|service| service.has_absolute_weight);
    let facts = FACTS.iter().filter(|fact| fact.applies_to(version));
    let found: Vec<Finding> = facts
        .filter_map(|fact| {
            let severity = match (fact.id, fact.impact) {
                (FactId::MaxconnDeadlock, _) if has_maxconn => Severity::Error,
                (FactId::WeightWordUnknown, _) if has_absolute_weight => Severity::Error,
                (FactId::MaxconnDeadlock | FactId::EmptyAgentColumns, _) => Severity::Note,
                (_, Impact::Error) => Severity::Error,
                (_, Impact::Warning) => Severity::Warning,
                // They concern options that the stats socket does not show.
                (_, Impact::Note) => return None,
            };
            let what = format!("version {text}: {}", fact.meaning);
            Some(Finding::new(severity, ABOUT, &what, Some(fact.remedy)))
        })
        .collect();
    match found.is_empty() {
        true => vec![Finding::ok(ABOUT, format!("version {text}"))],
        false => found,
    }
}

/// Whether the backend of a server applies only 0% and 100%.
fn is_static(balancer: &Balancer, server: &Server) -> bool {
    let algorithm = balancer.algorithms.get(&server.backend);
    algorithm.is_some_and(|algorithm| algorithm == "static-rr")
}

fn is_named(server: &Server, services: &[ServedService]) -> bool {
    let mut services = services.iter();
    services.any(|service| service.name == server.name || service.name == server.backend)
}

fn service_of<'s>(server: &Server, services: &'s [ServedService]) -> Option<&'s ServedService> {
    let by_name = |name: &str| services.iter().find(|service| service.name == name);
    by_name(&server.name)
        .or_else(|| by_name(&server.backend))
        .or(match services {
            [only] => Some(only),
            _ => None,
        })
}

fn algorithm_finding(backend: &str, algorithm: Option<&str>) -> Option<Finding> {
    let remedy = "use balance roundrobin, leastconn or random";
    match algorithm.unwrap_or_default() {
        "" => Some(
            Finding::note(ABOUT, format!("backend {backend}: HAProxy does not show its balance algorithm"))
                .remedy("give the stats socket level operator or admin"),
        ),
        "static-rr" => Some(Finding::warning(
            ABOUT,
            format!("backend {backend}: balance static-rr applies only 0% and 100% of an agent"),
            remedy,
        )),
        "first" => Some(Finding::warning(
            ABOUT,
            format!("backend {backend}: balance first ignores every weight but 0"),
            remedy,
        )),
        "unknown" => Some(
            Finding::note(
                ABOUT,
                format!(
                    "backend {backend}: balance random, which follows weights, or balance sticky, which ignores all but 0: \
                     HAProxy shows both as unknown"
                ),
            )
            .remedy("check balance in haproxy.cfg; random is the default from 3.3 on"),
        ),
        algorithm @ ("source" | "uri" | "url_param" | "hdr" | "rdp-cookie" | "hash") => Some(
            Finding::note(
                ABOUT,
                format!(
                    "backend {backend}: balance {algorithm} follows an agent's weight only with hash-type consistent, which \
                     HAProxy does not show"
                ),
            )
            .remedy("check hash-type in haproxy.cfg"),
        ),
        _ => None,
    }
}

fn server_findings(
    server: &Server,
    service: Option<&ServedService>,
    services: &[ServedService],
    version: Option<Version>,
    is_static: bool,
) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    if !server.asks() {
        found.push(not_asked(server));
    } else if let Some(finding) = exchange(server, version) {
        found.push(finding);
    }
    found.extend(service.and_then(|service| endpoint(server, service)));
    found.extend(weight(server, service, services, is_static));
    found.extend(state(server, service, services));
    if found.is_empty() {
        let columns = match server.agent_status.is_empty() {
            true => String::new(),
            false => format!(", agent {}", server.agent_status),
        };
        let what = format!(
            "{server}: {}, weight {} of {}{columns}",
            server.status, server.weight, server.configured_weight
        );
        found.push(Finding::ok(ABOUT, what));
    }
    found
}

/// HAProxy does not ask the agent.
fn not_asked(server: &Server) -> Finding {
    if server.administrative & tables::MAINT != 0 && server.administrative & tables::DISABLED == 0 {
        return Finding::warning(
            ABOUT,
            format!(
                "{server}: in maintenance, and its agent checks are off, like a server after add server"
            ),
            format!("on the stats socket: enable agent {server}; enable server {server}"),
        );
    }
    Finding::warning(
        ABOUT,
        format!("{server}: its agent checks are off"),
        format!("on the stats socket: enable agent {server}"),
    )
}

/// HAProxy asks another address than the one that serves the service.
fn endpoint(server: &Server, service: &ServedService) -> Option<Finding> {
    let port = server.agent_port.filter(|port| *port != service.port)?;
    let name = &service.name;
    let host = server.agent_host();
    Some(Finding::warning(
        ABOUT,
        format!(
            "{server}: HAProxy asks {host}:{port}, and this host serves {name} on port {}",
            service.port
        ),
        format!(
            "correct agent-port. If haproxy.cfg is right, a server state file has restored the old port: set server \
             {server} agent-addr {host} port {}",
            service.port
        ),
    ))
}

/// How the last exchange with the agent ended, where it did not end well.
fn exchange(server: &Server, version: Option<Version>) -> Option<Finding> {
    let (status, text) = (server.agent_status.as_str(), server.agent_text.as_str());
    let error = |remedy: &str| {
        let what = format!("{server}: agent {status} {text}; the server keeps its state");
        Some(Finding::error(ABOUT, what, remedy))
    };
    match status {
        "L7OK" | "L7STS" => None,
        "" if version
            .is_some_and(|version| fact(FactId::EmptyAgentColumns).applies_to(version)) =>
        {
            let remedy = fact(FactId::EmptyAgentColumns).remedy;
            let what = format!("{server}: this version shows no result of the agent check");
            Some(Finding::note(ABOUT, what).remedy(remedy))
        }
        "" | "INI" | "UNK" => Some(
            Finding::note(
                ABOUT,
                format!("{server}: no exchange with the agent so far"),
            )
            .remedy("wait for one agent-inter, and run doctor again"),
        ),
        "L4CON" => error(
            "connection refused: nothing listens on agent-addr and agent-port, or a packet filter rejects it",
        ),
        "L4TOUT" => error(
            "connection not accepted in time: a packet filter drops it, or the launcher's queue is full",
        ),
        "L7TOUT" => error(
            "no complete reply within agent-inter (or timeout check): the agent hangs; with --name-from-client, agent-send \
             may lack its newline",
        ),
        "L7RSP" => error(
            "closed without a reply: xinetd refuses (cps, only_from), or the responder does not start",
        ),
        "SOCKERR" => error("connection reset: the launcher closes at once, or there is no route"),
        "CHECKED" => {
            let word = text
                .rsplit_once(" : ")
                .map_or(text, |(_, word)| word)
                .trim();
            if word.is_empty() || !text.contains("error") {
                return None;
            }
            error(probe::remedy(word))
        }
        _ => error("see the balancer's log (option log-health-checks)"),
    }
}

/// The weight that a reply gives a server; `None` where it contains no percentage.
fn weight_by(reply: &Reply, configured: u16) -> Option<u32> {
    let percent = u32::from(reply.percent?.get());
    if reply.absolute {
        return Some(percent);
    }
    Some((u32::from(configured) * percent / 100).min(256))
}

/// The weight and the replies, where no reply of the service gives the server its weight.
fn foreign_weight<'s>(server: &Server, service: &'s ServedService) -> Option<(u32, &'s Reply)> {
    let settled = server.asks() && matches!(server.agent_status.as_str(), "L7OK" | "L7STS");
    let weight = u32::from(server.weight);
    let expected = |reply: &Reply| weight_by(reply, server.configured_weight);
    let reply = service
        .replies
        .last()
        .filter(|_| settled && !server.in_exchange)?;
    let agrees = service
        .replies
        .iter()
        .any(|reply| expected(reply).is_none_or(|one| one == weight));
    (!agrees).then_some((weight, reply))
}

fn weight(
    server: &Server,
    service: Option<&ServedService>,
    services: &[ServedService],
    is_static: bool,
) -> Option<Finding> {
    let floor = match service {
        Some(service) => service.floor,
        None => services.iter().map(|service| service.floor).min()?,
    };
    let configured = server.configured_weight;
    let is_absolute = service.is_some_and(|service| service.has_absolute_weight);
    if is_absolute {
        let (weight, reply) = foreign_weight(server, service.filter(|_| !is_static)?)?;
        return Some(foreign_weight_finding(server, weight, reply));
    }
    if configured == 0 {
        return Some(Finding::warning(
            ABOUT,
            format!("{server}: the configured weight is 0, which no percentage raises"),
            "set weight 100 on its server line",
        ));
    }
    if configured == 1 && floor < 100 {
        return Some(Finding::error(
            ABOUT,
            format!(
                "{server}: the configured weight is 1 (the default): every percentage below 100 is no traffic"
            ),
            "set weight 100 on every server line of the backend",
        ));
    }
    if u32::from(configured) * u32::from(floor.max(1)) / 100 == 0 {
        return Some(Finding::warning(
            ABOUT,
            format!(
                "{server}: the configured weight is {configured}, and the floor of {floor}% of it is 0: no traffic"
            ),
            format!(
                "set weight 100 on every server line of the backend, or haproxy_weight = {configured} in the service"
            ),
        ));
    }
    let (weight, reply) = foreign_weight(server, service.filter(|_| !is_static)?)?;
    Some(foreign_weight_finding(server, weight, reply))
}

fn foreign_weight_finding(server: &Server, weight: u32, reply: &Reply) -> Finding {
    let configured = server.configured_weight;
    Finding::warning(
        ABOUT,
        format!(
            "{server}: weight {weight} of {configured}, which our reply does not give: {reply}"
        ),
        "another agent answers, or agent-send names another service: compare agent-addr, agent-port and agent-send",
    )
}

/// Why a server is out although the agent sends that it is in.
fn state(
    server: &Server,
    service: Option<&ServedService>,
    services: &[ServedService],
) -> Option<Finding> {
    // Without a service to compare with, all replies must agree.
    let last = |service: &'_ ServedService| service.replies.last().copied();
    let replies: Vec<Reply> = match service {
        Some(service) => last(service).into_iter().collect(),
        None => services.iter().map(last).collect::<Option<_>>()?,
    };
    let in_service = |reply: &&Reply| {
        reply.operational == Some(Operational::Up)
            && !matches!(
                reply.administrative,
                Some(Administrative::Drain | Administrative::Maint)
            )
    };
    let all = replies.iter().filter(in_service).count() == replies.len();
    let reply = replies.first().filter(|_| all)?;
    let ready = replies
        .iter()
        .all(|reply| reply.administrative == Some(Administrative::Ready));
    let out = server.operational == 0 || server.is_forced();
    if server.is_inherited() && (out || server.administrative != 0) {
        let of = server.tracks.as_deref().unwrap_or("another server");
        return Some(Finding::note(
            ABOUT,
            format!(
                "{server}: {}; it tracks {of}, which decides its state, and the agent sends: {reply}",
                server.status
            ),
        ));
    }
    if server.administrative & tables::DISABLED != 0 && server.is_forced() {
        let finding = if ready {
            Finding::note(ABOUT, format!("{server}: disabled in haproxy.cfg, and the agent sends ready"))
                .remedy("the next exchange enables it; for a server that stays out, use admin_state = \"preserve\"")
        } else {
            Finding::warning(
                ABOUT,
                format!("{server}: disabled in haproxy.cfg, and the agent sends: {reply}"),
                format!(
                    "remove disabled from its server line, or on the stats socket: enable server {server}"
                ),
            )
        };
        return Some(finding);
    }
    if server.is_forced() && !ready && server.asks() {
        let state = if server.administrative & tables::MAINT != 0 {
            "MAINT"
        } else {
            "DRAIN"
        };
        let name = service.map_or("SERVICE", |service| service.name.as_str());
        return Some(Finding::warning(
            ABOUT,
            format!("{server}: {state} is set on the balancer, and the agent sends: {reply}"),
            format!(
                "if no operator set it, another agent left it: agentcheck ready {name}, or on the stats socket set \
                 server {server} state ready"
            ),
        ));
    }
    if server.is_forced() && ready {
        return Some(
            Finding::note(
                ABOUT,
                format!("{server}: {}, and the agent sends ready", server.status),
            )
            .remedy("the next exchange lifts it"),
        );
    }
    if server.operational == 0 && server.administrative == 0 {
        let check = &server.check_status;
        let passes = matches!(check.as_str(), "" | "L4OK" | "L6OK" | "L7OK" | "L7OKC");
        let (why, remedy) = match passes {
            true => (
                "",
                format!(
                    "the agent's up has not arrived: see its exchanges above, or set server {server} agent up"
                ),
            ),
            false => (
                ", its health check fails",
                "the health check decides, whatever the agent sends".to_owned(),
            ),
        };
        return Some(Finding::warning(
            ABOUT,
            format!(
                "{server}: {}{why} ({check}), and the agent sends: {reply}",
                server.status
            ),
            remedy,
        ));
    }
    None
}

#[cfg(test)]
mod tests;
