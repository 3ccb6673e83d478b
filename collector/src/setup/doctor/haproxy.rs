//! What a balancer shows of its servers, against what the agent says.
//!
//! `HAProxy` does not show agent-send, so which service a server line asks for is told by names: that of the
//! server or the backend, or there is only one service.

pub mod tables;
pub mod version;

use super::{Finding, probe};
use agentcheck_common::{Administrative, Operational, Reply};
use std::collections::BTreeSet;
use tables::{Balancer, Server};

/// A service as the agent has it.
#[derive(Clone, Debug)]
pub struct ServedService {
    /// Its name.
    pub name: String,
    /// The smallest percentage that load can lead to.
    pub floor: u16,
    /// What is said for it now.
    pub reply: Option<Reply>,
}

/// What is to be said of a balancer. `local` tells whether an address is one of this host.
#[must_use]
pub fn findings(
    balancer: &Balancer,
    services: &[ServedService],
    local: &dyn Fn(&str) -> bool,
) -> Vec<Finding> {
    let mut found = vec![match &balancer.version {
        Some(version) => version::finding(version),
        None => Finding::note("haproxy", "its version is not shown"),
    }];
    let here: Vec<&Server> = balancer
        .servers
        .iter()
        .filter(|one| local(one.agent_host()))
        .collect();
    let looked_at: Vec<&Server> = if here.is_empty() {
        if !balancer.servers.is_empty() {
            let what = "no server line has an address of this host: all of them are looked at";
            found.push(Finding::note("haproxy", what));
        }
        balancer.servers.iter().collect()
    } else {
        here
    };
    let asking: BTreeSet<&str> = balancer
        .servers
        .iter()
        .filter(|server| server.has_agent())
        .map(|server| server.backend.as_str())
        .collect();
    if asking.is_empty() {
        found.push(Finding::error(
            "haproxy",
            "no server line has an agent-check",
            "put agent-check agent-port 3333 agent-send \"NAME\\n\" on it, as above",
        ));
    }
    let mut backends = BTreeSet::new();
    for server in looked_at {
        let service = service_of(server, services);
        if server.has_agent() {
            backends.insert(server.backend.as_str());
            found.extend(of_server(server, service, services));
        } else if !asking.is_empty()
            && (named(server, services) || asking.contains(server.backend.as_str()))
        {
            found.push(Finding::warning(
                "haproxy",
                format!("{server}: no agent-check on its server line"),
                "put agent-check agent-port 3333 agent-send \"NAME\\n\" on it, as above; it has its full weight meanwhile",
            ));
        }
    }
    for backend in backends {
        found.extend(of_backend(
            backend,
            balancer.algorithms.get(backend).map(String::as_str),
        ));
    }
    found
}

fn named(server: &Server, services: &[ServedService]) -> bool {
    let mut services = services.iter();
    services.any(|service| service.name == server.name || service.name == server.backend)
}

fn service_of<'s>(server: &Server, services: &'s [ServedService]) -> Option<&'s ServedService> {
    let by = |name: &str| services.iter().find(|service| service.name == name);
    by(&server.name)
        .or_else(|| by(&server.backend))
        .or(match services {
            [only] => Some(only),
            _ => None,
        })
}

fn of_backend(backend: &str, algorithm: Option<&str>) -> Option<Finding> {
    let about = "haproxy";
    let remedy = "balance roundrobin, leastconn or random";
    match algorithm.unwrap_or_default() {
        "" => Some(
            Finding::note(about, format!("backend {backend}: its balance algorithm is not shown"))
                .remedy("give the stats socket level operator or admin"),
        ),
        "static-rr" => Some(Finding::warning(
            about,
            format!("backend {backend}: balance static-rr takes no weight but 0% and 100% from the agent"),
            remedy,
        )),
        "first" => Some(Finding::warning(
            about,
            format!("backend {backend}: balance first does not look at weights"),
            remedy,
        )),
        algorithm @ ("source" | "uri" | "url_param" | "hdr" | "rdp-cookie" | "hash") => Some(
            Finding::note(
                about,
                format!(
                    "backend {backend}: balance {algorithm} takes weights from the agent with hash-type consistent \
                     alone, and that is not shown here"
                ),
            )
            .remedy("look for hash-type consistent in haproxy.cfg"),
        ),
        _ => None,
    }
}

fn of_server(
    server: &Server,
    service: Option<&ServedService>,
    services: &[ServedService],
) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    if !server.asks() {
        found.push(Finding::warning(
            "haproxy",
            format!("{server}: its agent checks are switched off on the balancer"),
            format!("enable agent {server}, on the stats socket"),
        ));
    } else if let Some(finding) = exchange(server) {
        found.push(finding);
    }
    found.extend(weight(server, service, services));
    // Without a name to go by, what every service says is what the agent says.
    let replies: Option<Vec<&Reply>> = match service {
        Some(service) => service.reply.as_ref().map(|reply| vec![reply]),
        None => services
            .iter()
            .map(|service| service.reply.as_ref())
            .collect(),
    };
    if let Some(replies) = replies.filter(|replies| !replies.is_empty()) {
        found.extend(states(server, service, &replies));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            "haproxy",
            format!(
                "{server}: {}, weight {} of {}, agent {}",
                server.status, server.weight, server.configured, server.agent_status
            ),
        ));
    }
    found
}

/// How the last exchange with the agent ended, where it did not end well.
fn exchange(server: &Server) -> Option<Finding> {
    let (status, text) = (server.agent_status.as_str(), server.agent_text.as_str());
    let error = |remedy: &str| {
        let what = format!("{server}: agent {status} {text}; the server's state is frozen");
        Some(Finding::error("haproxy", what, remedy))
    };
    match status {
        "L7OK" | "L7STS" => None,
        "" | "INI" | "UNK" => Some(
            Finding::note(
                "haproxy",
                format!("{server}: the agent has not been asked yet"),
            )
            .remedy("wait for one agent-inter, and look again"),
        ),
        "L4CON" => error(
            "refused: nobody listens on agent-addr and agent-port, or a packet filter rejects",
        ),
        "L4TOUT" => {
            error("not accepted in time: a packet filter drops it, or the launcher's queue is full")
        }
        "L7TOUT" => error(
            "no whole reply within agent-inter (or timeout check): a stuck agent; no newline in agent-send makes --name-from-client wait, too",
        ),
        "L7RSP" => error(
            "closed without a reply: xinetd past cps or only_from, or a responder that cannot be started",
        ),
        "SOCKERR" => error("the connection was reset: a launcher that closes at once, or no route"),
        "CHECKED" => {
            let word = text
                .rsplit_once(" : ")
                .map_or(text, |(_, word)| word)
                .trim();
            if word.is_empty() || !text.contains("error") {
                return None;
            }
            error(probe::meaning(word))
        }
        _ => error("see the balancer's log (option log-health-checks)"),
    }
}

fn weight(
    server: &Server,
    service: Option<&ServedService>,
    services: &[ServedService],
) -> Option<Finding> {
    let floor = match service {
        Some(service) => service.floor,
        None => services.iter().map(|service| service.floor).min()?,
    };
    let of = |percent: u16| u32::from(server.configured) * u32::from(percent) / 100;
    let configured = server.configured;
    if configured == 0 {
        return Some(Finding::warning(
            "haproxy",
            format!("{server}: weight 0 is configured: the agent cannot raise it"),
            "weight 100 on its server line",
        ));
    }
    if configured == 1 && floor < 100 {
        return Some(Finding::error(
            "haproxy",
            format!(
                "{server}: weight 1 is configured (the default): every percentage below 100 is no traffic at all"
            ),
            "weight 100 on every server line of the backend",
        ));
    }
    if of(floor.max(1)) == 0 {
        return Some(Finding::warning(
            "haproxy",
            format!(
                "{server}: weight {configured} is configured, of which the floor of {floor}% is 0: no traffic"
            ),
            format!(
                "weight 100 on every server line of the backend, or haproxy_weight = {configured} in the service"
            ),
        ));
    }
    let percent = service?.reply.as_ref()?.percent?.get();
    if server.weight == 0 && of(percent) > 0 && server.asks() {
        return Some(Finding::warning(
            "haproxy",
            format!("{server}: weight 0, and the agent says {percent}%"),
            "it is taken back within an agent-inter; if not, the server line asks for another service",
        ));
    }
    None
}

/// What keeps a server out although the agent says that it is in.
fn states(server: &Server, service: Option<&ServedService>, replies: &[&Reply]) -> Option<Finding> {
    let in_service = |reply: &&&Reply| {
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
    if server.forced() && !ready {
        let state = if server.administrative & tables::MAINT != 0 {
            "MAINT"
        } else {
            "DRAIN"
        };
        let name = service.map_or("SERVICE", |service| service.name.as_str());
        return Some(Finding::warning(
            "haproxy",
            format!("{server}: {state} is set on the balancer, and the agent says: {reply}"),
            format!(
                "where no operator wants it there, another agent left it: agentcheck ready {name}, or on the stats \
                 socket set server {server} state ready"
            ),
        ));
    }
    if server.forced() && ready {
        return Some(
            Finding::note(
                "haproxy",
                format!("{server}: {}, and the agent says ready", server.status),
            )
            .remedy("it is lifted with the next exchange"),
        );
    }
    if server.operational == 0 && server.administrative == 0 {
        let check = &server.check_status;
        let (why, remedy) = if matches!(check.as_str(), "" | "L4OK" | "L6OK" | "L7OK" | "L7OKC") {
            (
                "",
                "the agent's up has not arrived: see how its exchanges end, above",
            )
        } else {
            (
                ", its health check fails",
                "the health check decides that, whatever the agent says",
            )
        };
        return Some(Finding::warning(
            "haproxy",
            format!(
                "{server}: {}{why} ({check}), and the agent says: {reply}",
                server.status
            ),
            remedy,
        ));
    }
    None
}

#[cfg(test)]
mod tests;
