//! The HTTP health checks in HAProxy's configuration, which its stats socket does not show.

use super::super::http_probe::Request;
use super::tables::Balancer;
use std::collections::BTreeMap;

/// The keywords that begin a section without health checks.
const OTHER_SECTIONS: [&str; 16] = [
    "acme",
    "cache",
    "crt-store",
    "fcgi-app",
    "frontend",
    "global",
    "http-errors",
    "log-forward",
    "log-profile",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

/// A server whose health is checked by HTTP requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCheck {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub server: String,
    /// The address of the checks; `None` if it is that of the server.
    pub address: Option<String>,
    /// The port of the checks.
    pub port: u16,
    /// The request.
    pub request: Request,
}

/// What a `defaults` section or a proxy sets for checks.
#[derive(Clone, Debug, Default)]
struct Proxy {
    /// Whether the last check option is `httpchk`.
    is_http: bool,
    /// Whether the connection or the target of the checks is made by rules that this parser does not read.
    is_unknown: bool,
    /// The method and the target of `option httpchk`.
    option: (Option<String>, Option<String>),
    /// Those of `http-check send`, which come first.
    sent: (Option<String>, Option<String>),
    /// What `default-server` sets.
    server: ServerOptions,
}

#[derive(Clone, Debug, Default)]
struct ServerOptions {
    is_checked: bool,
    is_tracking: bool,
    address: Option<String>,
    port: Option<u16>,
}

impl ServerOptions {
    fn read(&mut self, words: &[String]) {
        for (index, word) in words.iter().enumerate() {
            match word.as_str() {
                "check" => self.is_checked = true,
                "no-check" => self.is_checked = false,
                "track" => self.is_tracking = true,
                "addr" => self.address = words.get(index + 1).cloned(),
                "port" => self.port = words.get(index + 1).and_then(|port| parse_port(port)),
                _ => {}
            }
        }
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `+80` and `-80` are offsets.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

impl Proxy {
    fn read(&mut self, words: &[String]) {
        let (is_off, words) = match words {
            [no, rest @ ..] if no == "no" => (true, rest),
            words => (false, words),
        };
        let names: Vec<&str> = words.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["option", "httpchk", arguments @ ..] => {
                self.is_http = !is_off;
                let owned = |text: &&str| Some((*text).to_owned());
                self.option = match arguments {
                    [] => (None, None),
                    [target] => (None, owned(target)),
                    [method, target, ..] => (owned(method), owned(target)),
                };
            }
            ["option", kind, ..] if kind.ends_with("-check") || kind.ends_with("chk") => {
                self.is_http = false;
            }
            ["http-check", "connect", ..] => self.is_unknown = true,
            ["http-check", "send", arguments @ ..] => {
                let after = |key: &str| {
                    let at = arguments.iter().position(|word| *word == key)?;
                    arguments.get(at + 1).map(|value| (*value).to_owned())
                };
                self.is_unknown |= arguments.contains(&"uri-lf");
                self.sent = (after("meth"), after("uri"));
            }
            ["default-server", ..] => self.server.read(words),
            _ => {}
        }
    }

    fn check(&self, backend: &str, words: &[String]) -> Option<HttpCheck> {
        let [_, name, address, options @ ..] = words else {
            return None;
        };
        let mut server = self.server.clone();
        server.read(options);
        let own = || parse_port(address.rsplit_once(':')?.1);
        let request = Request {
            method: choose(&self.sent.0, &self.option.0, "OPTIONS"),
            target: choose(&self.sent.1, &self.option.1, "/"),
        };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let is_known = !self.is_unknown && is_plain(&request.method) && is_plain(&request.target);
        (self.is_http && is_known && server.is_checked && !server.is_tracking).then_some(())?;
        Some(HttpCheck {
            backend: backend.to_owned(),
            server: name.clone(),
            address: server.address,
            port: server.port.or_else(own)?,
            request,
        })
    }
}

fn choose(first: &Option<String>, second: &Option<String>, default: &str) -> String {
    let chosen = first.as_deref().or(second.as_deref());
    chosen.unwrap_or(default).to_owned()
}

/// The servers with HTTP checks in configuration files, in the order in which HAProxy reads them.
#[must_use]
pub fn parse(files: &[String]) -> Vec<HttpCheck> {
    let mut sections: Vec<Vec<Vec<String>>> = Vec::new();
    for line in files.iter().flat_map(|file| file.lines()) {
        // HAProxy refuses a line with an unfinished quote, too.
        let words = shlex::split(line).unwrap_or_default();
        let Some(keyword) = words.first().map(String::as_str) else {
            continue;
        };
        let is_proxy = matches!(keyword, "defaults" | "backend" | "listen");
        match sections.last_mut() {
            Some(section) if !is_proxy && !OTHER_SECTIONS.contains(&keyword) => section.push(words),
            _ => sections.push(vec![words]),
        }
    }
    // The settings of all named `defaults`; those of the last one are also at the empty name.
    let mut defaults: BTreeMap<String, Proxy> = BTreeMap::new();
    let mut found = Vec::new();
    for section in &sections {
        let Some(([keyword, rest @ ..], lines)) =
            section.split_first().map(|(h, l)| (h.as_slice(), l))
        else {
            continue;
        };
        let is_defaults = keyword == "defaults";
        if !is_defaults && keyword != "backend" && keyword != "listen" {
            continue;
        }
        let (name, from) = match rest {
            [from, base, ..] if from == "from" => ("", base.as_str()),
            [name, from, base, ..] if from == "from" => (name.as_str(), base.as_str()),
            [name, ..] => (name.as_str(), ""),
            [] => ("", ""),
        };
        let base = defaults
            .get(from)
            .filter(|_| !is_defaults || !from.is_empty());
        let mut proxy = base.cloned().unwrap_or_default();
        for words in lines {
            proxy.read(words);
        }
        if is_defaults {
            defaults.insert(name.to_owned(), proxy.clone());
            defaults.insert(String::new(), proxy);
            continue;
        }
        let servers = lines
            .iter()
            .filter(|words| words.first().is_some_and(|word| word == "server"));
        found.extend(servers.filter_map(|words| proxy.check(name, words)));
    }
    found
}

/// The checks on one of these ports of this host, each request of a port once. A server has an address in `balancer`.
#[must_use]
pub fn on_ports(
    checks: Vec<HttpCheck>,
    balancer: &Balancer,
    ports: &[u16],
    is_local: &dyn Fn(&str) -> bool,
) -> Vec<HttpCheck> {
    let is_here = |check: &HttpCheck| {
        let mut servers = balancer.servers.iter();
        let server = servers.find(|one| one.backend == check.backend && one.name == check.server);
        server.is_some_and(|server| is_local(check.address.as_deref().unwrap_or(&server.address)))
    };
    let mut kept: Vec<HttpCheck> = Vec::new();
    for check in checks {
        let is_new = |one: &HttpCheck| one.port != check.port || one.request != check.request;
        if ports.contains(&check.port) && kept.iter().all(is_new) && is_here(&check) {
            kept.push(check);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        let checks = parse(&[text.to_owned()]);
        let line = |one: &HttpCheck| {
            format!(
                "{}/{} {} {}",
                one.backend, one.server, one.port, one.request
            )
        };
        checks.iter().map(line).collect()
    }

    #[test]
    fn servers_with_http_checks_are_found() {
        for (text, expected) in [
            (
                "backend b\n option httpchk\n server s 192.0.2.1:80 check port 9200 inter 1s\n",
                "b/s 9200 OPTIONS /",
            ),
            (
                "backend b\n server s 192.0.2.1:9200 check\n option httpchk GET /web HTTP/1.1\n",
                "b/s 9200 GET /web",
            ),
            (
                "defaults\n option httpchk /x # y\n default-server check port 9200\nlisten l\n server s [::1]:80\n",
                "l/s 9200 OPTIONS /x",
            ),
            (
                "backend b\n option httpchk\n http-check send meth HEAD uri /web ver HTTP/1.1 hdr Host \"a b\"\n \
                 server s 10.0.0.1 check port 1\n",
                "b/s 1 HEAD /web",
            ),
            (
                "defaults one\n option httpchk\ndefaults two from one\n http-check send uri /2\ndefaults\n\
                 backend b from two\n server s a:1 check\n",
                "b/s 1 OPTIONS /2",
            ),
        ] {
            assert_eq!(parsed(text), [expected], "{text}");
        }
    }

    #[test]
    fn other_checks_are_not_http() {
        for text in [
            "",
            "backend b\n server s 10.0.0.1:80 check port 9200\n",
            "backend b\n option httpchk\n server s 10.0.0.1:80\n",
            "backend b\n option httpchk\n server s 10.0.0.1:80 track b/t\n",
            "backend b\n option httpchk\n server s 10.0.0.1:+80 check\n",
            "backend b\n option httpchk\n option tcp-check\n server s 10.0.0.1:80 check\n",
            "backend b\n option httpchk\n http-check connect port 1\n server s 10.0.0.1:80 check\n",
            "backend b\n option httpchk\n http-check send uri-lf /%[x]\n server s 10.0.0.1:80 check\n",
            "defaults\n option httpchk\nbackend b\n no option httpchk\n server s 10.0.0.1:80 check\n",
            "defaults\n option httpchk\ndefaults\nbackend b\n server s 10.0.0.1:80 check\n",
            "backend b\n option httpchk\npeers p\n server s 10.0.0.1:80 check\n",
            "backend b\n option httpchk 'GET\n server s\n server 'x y:80 check\n",
            "backend b\n option httpchk GET \"/a b\"\n server s 10.0.0.1:80 check\n",
            "server s 10.0.0.1:80 check\noption httpchk\n",
        ] {
            assert_eq!(parsed(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn each_request_of_a_local_port_is_kept_once() {
        let states = "1\n# be_name srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_agent_state\n\
                      b s 127.0.0.1 2 0 1 1 0\nb t 127.0.0.1 2 0 1 1 0\nb far 10.0.0.9 2 0 1 1 0\n";
        let balancer = Balancer::read("", "", states);
        let file = "backend b\n option httpchk\n default-server check port 9200\n server s a\n server t a\n \
                    server far b\n server s a addr 10.0.0.9\n server u a port 1\n server unknown a\n";
        let kept = |ports: &[u16]| {
            let checks = on_ports(parse(&[file.to_owned()]), &balancer, ports, &|address| {
                address == "127.0.0.1"
            });
            checks
                .iter()
                .map(|one| one.server.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(kept(&[9200, 1]), ["s"]);
        assert_eq!(kept(&[3333]), [""; 0]);
    }
}
