//! xinetd's files: whether one of them serves the agents' port, and whether its limits leave room.
//!
//! Not here: which files there are (`includedir` is followed by who reads them).

use super::Finding;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// One `service` section over the `defaults`, attribute by attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file that it is in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Its attributes, those of `defaults` included, without operators.
    pub attributes: BTreeMap<String, String>,
    /// Lines that have no blanks around the `=`.
    pub unspaced: Vec<String>,
}

/// The sections of files, given as names and texts in the order in which xinetd reads them.
#[must_use]
pub fn parse(files: &[(String, String)]) -> Vec<Entry> {
    let mut defaults = BTreeMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    for (file, text) in files {
        // None outside of sections; the name is empty for `defaults`.
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

    /// The address that it listens on, under either name of the attribute; empty for all.
    fn bind(&self) -> &str {
        match self.get("bind") {
            "" => self.get("interface"),
            bind => bind,
        }
    }

    /// Whether it is about the responder or its port.
    #[must_use]
    pub fn is_ours(&self, port: u16) -> bool {
        let server = self.get("server");
        self.get("port") == port.to_string()
            || server.rsplit('/').next() == Some("agentcheck-responder")
            || self.name == "agentcheck"
    }
}

/// What else of the host has to be known.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// Whether a program is there and can be run.
    pub runs: &'a dyn Fn(&str) -> bool,
    /// Whether there is such a user.
    pub user: &'a dyn Fn(&str) -> bool,
    /// Whether an xinetd is running.
    pub running: bool,
    /// How many probes a second are to be expected.
    pub probes: u64,
}

/// Where the entries listen that are enabled and serve all services, which is on `port` by default. An address
/// that is given by name is none.
#[must_use]
pub fn addresses(entries: &[Entry], port: u16) -> Vec<SocketAddr> {
    let shared = |entry: &&Entry| {
        (entry.name == "agentcheck" || entry.get("port") == port.to_string())
            && entry.get("disable") != "yes"
    };
    let address = |entry: &Entry| {
        let ip: IpAddr = match entry.bind() {
            "" => Ipv6Addr::UNSPECIFIED.into(),
            bind if bind.contains(' ') => Ipv6Addr::UNSPECIFIED.into(),
            bind => bind.parse().ok()?,
        };
        Some(SocketAddr::new(
            ip,
            entry.get("port").parse().unwrap_or(port),
        ))
    };
    entries.iter().filter(shared).filter_map(address).collect()
}

/// What is to be said of the entries about the agents' port.
#[must_use]
pub fn findings(entries: &[Entry], port: u16, host: &Host<'_>) -> Vec<Finding> {
    let ours = entries.iter().filter(|entry| entry.is_ours(port));
    ours.flat_map(|entry| of_entry(entry, port, host)).collect()
}

fn of_entry(entry: &Entry, port: u16, host: &Host<'_>) -> Vec<Finding> {
    let about = "xinetd";
    let mut found = Vec::new();
    let place = format!("{}, service {}", entry.file, entry.name);
    let warning =
        |what: String, remedy: &str| Finding::warning(about, format!("{place}: {what}"), remedy);
    let error =
        |what: String, remedy: &str| Finding::error(about, format!("{place}: {what}"), remedy);
    if entry.get("disable") == "yes" {
        let said = format!("{place}: disabled");
        return vec![
            Finding::note(about, said).remedy("to use it: disable = no, and reload xinetd"),
        ];
    }
    for line in entry.unspaced.iter().take(5) {
        found.push(error(
            format!("no blanks around the = in {line:?}: xinetd drops the service"),
            "write key = value",
        ));
    }
    if !host.running {
        found.push(error(
            "enabled, and no xinetd is running".to_owned(),
            "systemctl start xinetd",
        ));
    }
    let given = entry.get("port");
    if !given.is_empty() && given != port.to_string() {
        found.push(Finding::note(
            about,
            format!("{place}: serves port {given}, not {port}"),
        ));
    }
    let (wait, only_from) = (entry.get("wait") == "yes", entry.get("only_from"));
    if wait && !only_from.is_empty() && entry.get("socket_type") != "dgram" {
        found.push(error(
            "wait = yes and only_from: xinetd refuses the listening socket for want of a peer, again and again, and \
             never starts the server"
                .to_owned(),
            "wait = no, or without only_from and with a packet filter instead",
        ));
    }
    let server = entry.get("server");
    if !(host.runs)(server) {
        found.push(error(
            format!("server {server:?} cannot be run: xinetd drops the service, with one line in its log"),
            "the path of agentcheck-responder, and rights for its user",
        ));
    }
    let user = entry.get("user");
    if !(host.user)(user) {
        found.push(error(
            format!("there is no user {user:?}: xinetd drops the service"),
            "user = nobody",
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
            format!("more than one word in bind = {bind}: xinetd drops the line, and listens on every address"),
            "a section for each address, each with an id of its own: agentcheck generate xinetd --address A --address B",
        ));
    }
    // A line that is dropped binds nothing.
    let loopback = !bind.contains(' ') && (bind.starts_with("127.") || bind == "::1");
    if only_from.is_empty() && !loopback {
        found.push(warning(
            "no only_from: whoever can connect can read every reply".to_owned(),
            "only_from = the addresses of the balancers",
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

/// The limits that this many probes a second can trip over.
fn limits(entry: &Entry, probes: u64) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let cps = match entry.get("cps") {
        "" => "50 10",
        given => given,
    };
    let mut numbers = cps.split(' ').map(|number| number.parse::<u64>().ok());
    let most = numbers.next().flatten().unwrap_or(50);
    let pause = numbers.next().flatten().unwrap_or(10);
    // Counted in whole seconds, so that half of it within one can trip it.
    if most != 0 && most / 2 < probes {
        found.push((
            format!(
                "cps {cps} and up to {probes} probes a second: past it probes get empty replies, and the port is \
                 closed for {pause} s"
            ),
            "cps = 0 0",
        ));
    }
    for (key, remedy) in [
        ("instances", "instances = UNLIMITED"),
        ("per_source", "per_source = UNLIMITED"),
    ] {
        // Without it there is no limit.
        if let Ok(most) = entry.get(key).parse::<u64>()
            && most < probes.max(10)
        {
            found.push((
                format!("{key} {most}: probes that come together are refused past it"),
                remedy,
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests;
