//! Compares what a balancer shows of its servers with the agent's replies.
//!
//! HAProxy does not show agent-send. A server belongs to the service with the name of the server or of the backend,
//! or to the only service.

pub mod http_checks;
mod server;
pub mod tables;

use super::{Finding, Severity};
use crate::reply::haproxy_versions::{FACTS, FactId, Impact, Version, fact};
use agentcheck_common::Reply;
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

/// The findings about a balancer. `is_local`: an address belongs to this host.
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
            found.extend(server::findings(
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
/// that of the reply before: read again after a few exchanges.
#[must_use]
pub fn has_foreign_weight(balancer: &Balancer, services: &[ServedService]) -> bool {
    let mut servers = balancer.servers.iter();
    servers.any(|server| {
        let service = service_of(server, services).filter(|_| !is_static(balancer, server));
        service.is_some_and(|service| server::foreign_weight(server, service).is_some())
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

#[cfg(test)]
mod tests;
