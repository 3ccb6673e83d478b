//! The findings about one server of a balancer: its agent check, its weight and its state.

use super::super::http_probe::BALANCER_FIRST;
use super::super::probe;
use super::{ABOUT, Finding, ServedService, tables};
use crate::reply::haproxy_versions::{FactId, Version, fact};
use agentcheck_common::{AdministrativeState, OperationalState, Reply};
use tables::Server;

/// The findings about one server.
pub(super) fn findings(
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
pub(super) fn foreign_weight<'s>(
    server: &Server,
    service: &'s ServedService,
) -> Option<(u32, &'s Reply)> {
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
        reply.operational == Some(OperationalState::Up)
            && !matches!(
                reply.administrative,
                Some(AdministrativeState::Drain | AdministrativeState::Maint)
            )
    };
    let all = replies.iter().filter(in_service).count() == replies.len();
    let reply = replies.first().filter(|_| all)?;
    let ready = replies
        .iter()
        .all(|reply| reply.administrative == Some(AdministrativeState::Ready));
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
            false
                // By version: 2.0, 2.2, 2.6; 2.4, 2.8, 3.0; from 3.2 on.
                if matches!(check.as_str(), "L7RSP" | "L7TOUT" | "SOCKERR")
                    && service.is_some_and(|service| server.check_port == Some(service.port)) =>
            {
                (
                    ", its health check asks the agent's port and fails",
                    format!("if the check is option httpchk: {BALANCER_FIRST}"),
                )
            }
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
