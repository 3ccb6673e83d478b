//! xinetd's files: whether one of them serves the agents' port, and whether its limits are high enough. The caller
//! follows `includedir`.

use super::Finding;
use super::http_probe::HttpLauncher;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One `service` section with the attributes of `defaults`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its file.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Its attributes, with those of `defaults`, without operators.
    pub attributes: BTreeMap<String, String>,
    /// Lines without blanks around the `=`.
    pub unspaced: Vec<String>,
}

/// Reads the sections of files, which are pairs of name and text in the order in which xinetd reads them.
#[must_use]
pub fn parse(files: &[(String, String)]) -> Vec<Entry> {
    let mut defaults = BTreeMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    for (file, text) in files {
        // `None` outside of sections. The name of `defaults` is empty.
        let mut section: Option<Entry> = None;
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || line == "{" {
                continue;
            }
            if line == "}" {
                match section.take() {
                    Some(entry) if entry.name.is_empty() => defaults = entry.attributes,
                    Some(entry) => entries.push(entry),
                    None => {}
                }
                continue;
            }
            if let Some(entry) = &mut section {
                read_attribute(line, entry);
                continue;
            }
            let mut words = line.split_whitespace();
            let name = match (words.next(), words.next()) {
                (Some("service"), Some(name)) => name,
                (Some("defaults"), _) => "",
                _ => continue,
            };
            section = Some(Entry {
                file: file.clone(),
                name: name.trim_end_matches('{').to_owned(),
                attributes: BTreeMap::new(),
                unspaced: Vec::new(),
            });
        }
    }
    for entry in &mut entries {
        for (key, value) in &defaults {
            let own = entry.attributes.entry(key.clone());
            own.or_insert_with(|| value.clone());
        }
    }
    entries
}

fn read_attribute(line: &str, entry: &mut Entry) {
    let Some((key, value)) = line.split_once('=') else {
        return;
    };
    let spaced = key.ends_with([' ', '\t', '+', '-'])
        && (value.is_empty() || value.starts_with([' ', '\t']));
    if !spaced {
        entry.unspaced.push(line.to_owned());
    }
    let key = key.trim_end_matches(['+', '-']).trim().to_owned();
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    entry.attributes.insert(key, value);
}

impl Entry {
    fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    /// The address that it listens on, from either attribute; empty for all addresses.
    fn bind(&self) -> &str {
        match self.get("bind") {
            "" => self.get("interface"),
            bind => bind,
        }
    }

    /// Whether it starts the responder or uses one of its ports.
    #[must_use]
    pub fn is_ours(&self, ports: &[u16]) -> bool {
        self.has_port(ports) || self.starts_responder() || self.name == "agentcheck"
    }

    fn has_port(&self, ports: &[u16]) -> bool {
        let port = self.get("port").parse();
        port.is_ok_and(|port| ports.contains(&port))
    }

    fn starts_responder(&self) -> bool {
        self.get("server").rsplit('/').next() == Some("agentcheck-responder")
    }

    fn is_disabled(&self) -> bool {
        self.get("disable") == "yes"
    }

    /// Its address; `port` is the default port. `None` for a host name.
    fn address(&self, port: u16) -> Option<SocketAddr> {
        let ip: IpAddr = match self.bind() {
            "" => Ipv6Addr::UNSPECIFIED.into(),
            bind if bind.contains(' ') => Ipv6Addr::UNSPECIFIED.into(),
            bind => bind.parse().ok()?,
        };
        Some(SocketAddr::new(
            ip,
            self.get("port").parse().unwrap_or(port),
        ))
    }
}

/// Facts about the host.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// Whether a program exists and can be run.
    pub can_run: &'a dyn Fn(&str) -> bool,
    /// Whether a user exists.
    pub has_user: &'a dyn Fn(&str) -> bool,
    /// Whether xinetd runs.
    pub is_running: bool,
    /// The expected number of probes a second.
    pub probes: u64,
}

/// The addresses of the enabled entries that serve all services; `port` is the default port. Host names are left out.
#[must_use]
pub fn addresses(entries: &[Entry], port: u16) -> Vec<SocketAddr> {
    let shared = |entry: &&Entry| {
        (entry.name == "agentcheck" || entry.has_port(&[port])) && !entry.is_disabled()
    };
    let entries = entries.iter().filter(shared);
    entries.filter_map(|entry| entry.address(port)).collect()
}

/// The enabled entries that start the responder with `--http`.
#[must_use]
pub fn http_launchers(entries: &[Entry], port: u16) -> Vec<HttpLauncher> {
    let has_http = |entry: &&Entry| {
        let arguments = entry.get("server_args").split(' ');
        !entry.is_disabled() && entry.starts_responder() && HttpLauncher::has_http(arguments)
    };
    let launcher = |entry: &Entry| HttpLauncher {
        name: format!("{}, service {}", entry.file, entry.name),
        addresses: entry.address(port).into_iter().collect(),
    };
    entries.iter().filter(has_http).map(launcher).collect()
}

/// The findings about the entries for the agents' ports, of which the first is that of all services.
#[must_use]
pub fn findings(entries: &[Entry], ports: &[u16], host: &Host<'_>) -> Vec<Finding> {
    let ours = entries.iter().filter(|entry| entry.is_ours(ports));
    ours.flat_map(|entry| entry_findings(entry, ports, host))
        .collect()
}

fn entry_findings(entry: &Entry, ports: &[u16], host: &Host<'_>) -> Vec<Finding> {
    let about = "xinetd";
    let mut found = Vec::new();
    let place = format!("{}, service {}", entry.file, entry.name);
    let warning =
        |what: String, remedy: &str| Finding::warning(about, format!("{place}: {what}"), remedy);
    let error =
        |what: String, remedy: &str| Finding::error(about, format!("{place}: {what}"), remedy);
    if entry.is_disabled() {
        let what = format!("{place}: disabled");
        return vec![
            Finding::note(about, what).remedy("to use it, write disable = no, and reload xinetd"),
        ];
    }
    for line in entry.unspaced.iter().take(5) {
        found.push(error(
            format!("no blanks around the = in {line:?}: xinetd ignores the service"),
            "write key = value",
        ));
    }
    if !host.is_running {
        found.push(error(
            "enabled, but xinetd does not run".to_owned(),
            "systemctl start xinetd",
        ));
    }
    let own = entry.get("port");
    if !own.is_empty() && !entry.has_port(ports) {
        let expected: Vec<String> = ports.iter().map(u16::to_string).collect();
        found.push(Finding::note(
            about,
            format!("{place}: serves port {own}, not {}", expected.join(" or ")),
        ));
    }
    let (wait, only_from) = (entry.get("wait") == "yes", entry.get("only_from"));
    if wait && !only_from.is_empty() && entry.get("socket_type") != "dgram" {
        found.push(error(
            "wait = yes with only_from: xinetd refuses the listening socket, which has no peer, and never starts the server"
                .to_owned(),
            "write wait = no, or replace only_from by a packet filter",
        ));
    }
    let server = entry.get("server");
    if !(host.can_run)(server) {
        found.push(error(
            format!(
                "cannot run server {server:?}: xinetd ignores the service, with one line in its log"
            ),
            "write the path of agentcheck-responder, which its user can run",
        ));
    }
    let user = entry.get("user");
    if !(host.has_user)(user) {
        found.push(error(
            format!("unknown user {user:?}: xinetd ignores the service"),
            "write user = nobody",
        ));
    }
    if !wait {
        found.extend(
            limits(entry, host.probes)
                .into_iter()
                .map(|(what, remedy)| warning(what, remedy)),
        );
    }
    let bind = entry.bind();
    if bind.contains(' ') {
        found.push(warning(
            format!("more than one address in bind = {bind}: xinetd ignores the line, and listens on every address"),
            "write a section for each address, each with an id: agentcheck generate xinetd --address A --address B",
        ));
    }
    // xinetd ignores such a line.
    let loopback = !bind.contains(' ') && (bind.starts_with("127.") || bind == "::1");
    if only_from.is_empty() && !loopback {
        found.push(warning(
            "no only_from: every host that can connect can read every reply".to_owned(),
            "write only_from = the addresses of the balancers",
        ));
    }
    if found.is_empty() {
        let cps = entry.get("cps");
        found.push(Finding::ok(
            about,
            format!("{place}: enabled, cps {cps}, only_from {only_from}"),
        ));
    }
    found
}

/// The limits that are too low for this many probes a second, with their remedies.
fn limits(entry: &Entry, probes: u64) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let cps = match entry.get("cps") {
        "" => "50 10",
        own => own,
    };
    let mut numbers = cps.split(' ').map(|number| number.parse::<u64>().ok());
    let most = numbers.next().flatten().unwrap_or(50);
    let pause = numbers.next().flatten().unwrap_or(10);
    // xinetd counts in whole seconds, so half of the limit can be reached within one second.
    if most != 0 && most / 2 < probes {
        found.push((
            format!(
                "cps {cps}, and up to {probes} probes a second: beyond the limit probes get empty replies, and the port \
                 is closed for {pause} s"
            ),
            "write cps = 0 0",
        ));
    }
    for (key, remedy) in [
        ("instances", "instances = UNLIMITED"),
        ("per_source", "per_source = UNLIMITED"),
    ] {
        // A missing key is no limit.
        if let Ok(most) = entry.get(key).parse::<u64>()
            && most < probes.max(10)
        {
            found.push((
                format!("{key} {most}: simultaneous probes beyond it are refused"),
                remedy,
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
