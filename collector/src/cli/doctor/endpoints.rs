//! Where the services are served, and the probes of these addresses.

use super::host_facts::Launchers;
use super::own_port;
use super::probe_client::{self, Route, Target};
use crate::config::Config;
use crate::setup::doctor::haproxy::http_checks::HttpCheck;
use crate::setup::doctor::http_probe::{HttpLauncher, Origin, Request};
use crate::setup::doctor::probe::ProbeOutcome;
use crate::setup::doctor::{Finding, listener};
use crate::setup::server_line::ServerLine;
use agentcheck_common::{DEFAULT_PORT, Reply, ServiceName};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

/// The largest number of services that are probed, one after the other.
const MAX_PROBED: usize = 50;

/// Reads the current reply of a service.
type CurrentReply<'a> = &'a dyn Fn(&ServiceName) -> Option<Reply>;

/// One service and its address.
struct Endpoint<'n> {
    name: &'n ServiceName,
    route: Route,
    own_port: Option<NonZeroU16>,
}

/// The addresses of all services.
pub(super) struct Endpoints<'n> {
    /// The address that serves several services by name; `None` where each service has a port of its own.
    shared: Option<Route>,
    services: Vec<Endpoint<'n>>,
    /// The launchers with `--http`.
    http: Vec<HttpLauncher>,
}

impl<'n> Endpoints<'n> {
    /// Chooses the addresses: that of `--agent`, else the launchers', else the default.
    pub(super) fn choose(
        agent: Option<SocketAddr>,
        launchers: &Launchers,
        config: Option<&Config>,
        names: &'n [ServiceName],
        found: &mut Vec<Finding>,
    ) -> Self {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT));
        let needs_shared =
            names.is_empty() || names.iter().any(|name| own_port(config, name).is_none());
        let shared = match agent {
            Some(to) => Some(Route { to, from: None }),
            None => needs_shared.then(|| {
                let to = launchers.shared(DEFAULT_PORT).unwrap_or(usual);
                if !to.ip().is_loopback() {
                    found.push(listener::chosen(to));
                }
                Route::within_host(to)
            }),
        };
        let endpoint = |name| {
            let own_port = own_port(config, name);
            let default = shared.unwrap_or(Route {
                to: usual,
                from: None,
            });
            let route = match own_port.map(NonZeroU16::get) {
                None => default,
                Some(port) => match launchers.own(port).filter(|_| agent.is_none()) {
                    Some(to) => Route::within_host(to),
                    None => default.with_port(port),
                },
            };
            Endpoint {
                name,
                route,
                own_port,
            }
        };
        Self {
            services: names.iter().map(endpoint).collect(),
            shared: shared.filter(|_| needs_shared),
            http: Vec::new(),
        }
    }

    /// Examines the launchers of these addresses, where up to `probes` probes a second are expected.
    pub(super) fn examine(&mut self, launchers: &Launchers, probes: u64, found: &mut Vec<Finding>) {
        let own = self.services.iter().filter(|one| one.own_port.is_some());
        let own = own.take(MAX_PROBED).map(|one| one.route.to);
        let agents: Vec<SocketAddr> = self
            .shared
            .iter()
            .map(|route| route.to)
            .chain(own)
            .collect();
        let (findings, http) = launchers.examine(&agents, probes);
        found.extend(findings);
        self.http = http;
    }

    fn launcher(&self, to: SocketAddr) -> Option<&HttpLauncher> {
        self.http.iter().find(|launcher| launcher.serves(to))
    }

    /// Probes each service, over HTTP, too, where its launcher has `--http`.
    pub(super) fn probe(&self, current: CurrentReply<'_>, found: &mut Vec<Finding>) {
        for Endpoint {
            name,
            route,
            own_port,
        } in self.services.iter().take(MAX_PROBED)
        {
            let launcher = self.launcher(route.to);
            let target = match (own_port, launcher) {
                (None, _) => Target::Name(name),
                (Some(_), None) => Target::OwnPort(name),
                (Some(_), Some(_)) => Target::OwnHttpPort(name),
            };
            let expected = || current(name);
            let probe = probe_client::probe(*route, target, &expected);
            let answers = !matches!(
                probe.outcome,
                ProbeOutcome::NotConnected(_) | ProbeOutcome::Silent(_)
            );
            found.push(probe.finding());
            if let Some(launcher) = launcher.filter(|_| answers) {
                let origin = Origin::Launcher(launcher.name.clone());
                let request = Request {
                    method: "GET".to_owned(),
                    target: format!("/{name}"),
                };
                let expected = || expected().into_iter().collect();
                found.push(probe_client::request(*route, &origin, &request, &expected).finding());
            }
        }
        if self.services.len() > MAX_PROBED {
            let what = format!(
                "probed the first {MAX_PROBED} services; name others: agentcheck doctor SERVICE"
            );
            found.push(Finding::note("probe", what));
        }
        if let Some(route) = self.shared {
            found.push(probe_client::probe(route, Target::Unnamed, &|| None).finding());
        }
    }

    /// Sends the requests of a balancer's HTTP checks.
    pub(super) fn probe_checks(
        &self,
        checks: &[HttpCheck],
        current: CurrentReply<'_>,
        found: &mut Vec<Finding>,
    ) {
        for check in checks.iter().take(MAX_PROBED) {
            let path = check.request.target.trim_start_matches('/');
            let first = path.split(['/', '?']).next().unwrap_or_default();
            let on_port = |one: &&Endpoint<'_>| one.route.to.port() == check.port;
            let here: Vec<&Endpoint<'_>> = self.services.iter().filter(on_port).collect();
            let named = [first, &check.server, &check.backend];
            let named = named
                .iter()
                .find_map(|name| here.iter().find(|one| one.name.as_str() == *name));
            // The responder's default service is not known.
            let services = named.map_or(here.as_slice(), std::slice::from_ref);
            let Some(service) = services.first() else {
                continue;
            };
            let origin = Origin::HealthCheck(format!("{}/{}", check.backend, check.server));
            let expected = || {
                services
                    .iter()
                    .filter_map(|one| current(one.name))
                    .collect()
            };
            let probe = probe_client::request(service.route, &origin, &check.request, &expected);
            found.push(probe.finding());
        }
    }

    /// The server lines for haproxy.cfg.
    pub(super) fn server_lines(&self) -> impl Iterator<Item = Finding> {
        self.services.iter().map(|endpoint| {
            let to = endpoint.route.to;
            let port = NonZeroU16::new(to.port()).unwrap_or(NonZeroU16::MAX);
            let line = ServerLine {
                service: endpoint.name,
                agent_port: endpoint.own_port.unwrap_or(port),
                sends_name: endpoint.own_port.is_none() || self.launcher(to).is_some(),
            };
            let host = match to.ip() {
                ip if ip.is_loopback() || ip.is_unspecified() => "ADDRESS".to_owned(),
                ip => ip.to_string(),
            };
            Finding::note("haproxy.cfg", line.line(&host))
        })
    }

    /// The port of each service.
    pub(super) fn ports(&self) -> impl Iterator<Item = (&ServiceName, u16)> {
        self.services
            .iter()
            .map(|one| (one.name, one.route.to.port()))
    }
}
