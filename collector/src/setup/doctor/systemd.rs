//! systemd's socket units, by `systemctl show`.

use super::Finding;
use super::http_probe::HttpLauncher;
use agentcheck_common::ServiceName;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The properties for `systemctl show --property`.
pub const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Result,UnitFileState,Accept,MaxConnections,\
                              TriggerLimitIntervalUSec,TriggerLimitBurst,PollLimitIntervalUSec,PollLimitBurst,Listen,Triggers";

/// The properties of the services that the sockets start.
pub const SERVICE_PROPERTIES: &str = "Id,ExecStart";

/// The packaged units, which serve all services.
pub const UNITS: [&str; 2] = ["agentcheck.socket", "agentcheck-inetd.socket"];

/// The properties of a unit, by name.
pub type Unit = BTreeMap<String, String>;

/// The socket unit of a service with a port of its own, as `agentcheck generate` names it.
#[must_use]
pub fn own_unit(service: &ServiceName) -> String {
    format!("agentcheck@{service}.socket")
}

/// Reads the properties of each unit: blocks of `Key=value`, separated by empty lines.
#[must_use]
pub fn parse(shown: &str) -> Vec<Unit> {
    let mut units = vec![BTreeMap::new()];
    for line in shown.lines() {
        match (line.split_once('='), units.last_mut()) {
            (Some((key, value)), Some(unit)) => {
                // A key that repeats, such as Listen, is a list.
                let entry: &mut String = unit.entry(key.to_owned()).or_default();
                if !entry.is_empty() {
                    entry.push_str(", ");
                }
                entry.push_str(value);
            }
            _ => units.push(BTreeMap::new()),
        }
    }
    units.retain(|unit| !unit.is_empty());
    units
}

fn is_active(unit: &Unit) -> bool {
    unit.get("ActiveState")
        .is_some_and(|state| state == "active")
}

fn listened(unit: &Unit) -> impl Iterator<Item = SocketAddr> {
    let listen = unit.get("Listen").map_or("", String::as_str).split(", ");
    listen.filter_map(|one| one.strip_suffix(" (Stream)")?.parse().ok())
}

/// The addresses on which the active units listen: with `port`, all units on this port, else the packaged units.
#[must_use]
pub fn addresses(units: &[Unit], port: Option<u16>) -> Vec<SocketAddr> {
    let is_shared = |unit: &&Unit| {
        unit.get("Id")
            .is_some_and(|id| UNITS.contains(&id.as_str()))
    };
    let units = units.iter().filter(|unit| is_active(unit));
    match port {
        None => units.filter(is_shared).flat_map(listened).collect(),
        Some(port) => units
            .flat_map(listened)
            .filter(|one| one.port() == port)
            .collect(),
    }
}

/// The service that an active socket unit starts; with `Accept=yes`, any instance of it.
#[must_use]
pub fn service_of(unit: &Unit) -> Option<String> {
    let get = |key: &str| unit.get(key).map_or("", String::as_str);
    is_active(unit).then_some(())?;
    match get("Accept") {
        "yes" => Some(format!(
            "{}@doctor.service",
            get("Id").strip_suffix(".socket")?
        )),
        _ => get("Triggers").split(' ').next().map(str::to_owned),
    }
}

/// The socket units whose service has `--http`.
#[must_use]
pub fn http_launchers(sockets: &[Unit], services: &[Unit]) -> Vec<HttpLauncher> {
    let launcher = |socket: &Unit| {
        let name = service_of(socket)?;
        let service = services
            .iter()
            .find(|service| service.get("Id") == Some(&name))?;
        let (_, arguments) = service.get("ExecStart")?.split_once("argv[]=")?;
        let arguments = arguments.split(" ;").next()?.split(' ');
        HttpLauncher::has_http(arguments).then(|| HttpLauncher {
            name,
            addresses: listened(socket).collect(),
        })
    };
    sockets.iter().filter_map(launcher).collect()
}

/// The findings about the units, where up to `probes` probes a second are expected.
#[must_use]
pub fn findings(units: &[Unit], probes: u64) -> Vec<Finding> {
    let about = "systemd";
    let mut found = Vec::new();
    let mut active = 0;
    for unit in units {
        let get = |key: &str| unit.get(key).map_or("", String::as_str);
        let name = get("Id");
        if get("LoadState") != "loaded" {
            continue;
        }
        match get("ActiveState") {
            "active" => active += usize::from(UNITS.contains(&name)),
            "failed" => {
                let what = format!("{name} has failed: {}", get("Result"));
                let remedy = format!(
                    "systemctl reset-failed {name}; systemctl restart {name}; journalctl -u {name}"
                );
                found.push(Finding::error(about, what, remedy));
                continue;
            }
            state => {
                found.push(Finding::note(about, format!("{name} is {state}")));
                continue;
            }
        }
        let limits = limits(unit, probes);
        if limits.is_empty() {
            let how = match get("Accept") {
                "yes" => "a process per probe",
                _ => "one process for all probes",
            };
            found.push(Finding::ok(
                about,
                format!("{name} listens on {}, {how}", get("Listen")),
            ));
        }
        for (what, remedy) in limits {
            let remedy = format!("systemctl edit {name}: [Socket] {remedy}");
            found.push(Finding::warning(about, format!("{name}: {what}"), remedy));
        }
    }
    if active > 1 {
        found.push(Finding::warning(
            about,
            "agentcheck.socket and agentcheck-inetd.socket are both active",
            "systemctl disable --now agentcheck-inetd.socket",
        ));
    }
    found
}

fn limits(unit: &Unit, probes: u64) -> Vec<(String, &'static str)> {
    let get = |key: &str| unit.get(key).map_or("", String::as_str);
    let number = |key: &str| get(key).parse::<u64>().ok();
    let accept = get("Accept") == "yes";
    let mut found = Vec::new();
    // Without Accept=yes, an activation starts the service; it is not a probe.
    let expected = if accept { probes } else { 0 };
    let mut limit = |interval: &str, burst: &str, what: &str, remedy: &'static str| {
        let (span, most) = (get(interval), number(burst).unwrap_or_default());
        let seconds = humantime::parse_duration(span).map_or(0.0, |span| span.as_secs_f64());
        let has_limit = !matches!(span, "" | "0" | "infinity") && most > 0;
        #[allow(clippy::cast_precision_loss, reason = "limits are small numbers")]
        if has_limit && (most as f64) < expected as f64 * seconds * 2.0 {
            found.push((
                format!("{most} connections in {span}, and up to {probes} probes a second: beyond the limit {what}"),
                remedy,
            ));
        }
    };
    limit(
        "TriggerLimitIntervalUSec",
        "TriggerLimitBurst",
        "the socket fails until a restart",
        "TriggerLimitIntervalSec=0",
    );
    limit(
        "PollLimitIntervalUSec",
        "PollLimitBurst",
        "the socket pauses, and balancers time out",
        "PollLimitIntervalSec=0",
    );
    if accept && number("MaxConnections").is_some_and(|most| most < probes.max(64)) {
        found.push((
            format!(
                "MaxConnections={}: a probe beyond it is dropped",
                get("MaxConnections")
            ),
            "MaxConnections=1024",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    const SHOWN: &str = "Id=agentcheck.socket\nLoadState=loaded\nActiveState=active\nAccept=no\nMaxConnections=64\n\
        TriggerLimitIntervalUSec=0\nTriggerLimitBurst=20\nListen=127.0.0.1:3333 (Stream)\nListen=[::1]:3333 (Stream)\n\
        \nId=agentcheck-inetd.socket\nLoadState=not-found\nActiveState=inactive\n";
    const INETD: &str = "Id=agentcheck-inetd.socket\nLoadState=loaded\nActiveState=active\nAccept=yes\n\
        MaxConnections=1024\nTriggerLimitIntervalUSec=0\nTriggerLimitBurst=200\nListen=127.0.0.1:3333 (Stream)\n";

    fn findings_for(shown: &str, probes: u64) -> Vec<Finding> {
        findings(&parse(shown), probes)
    }

    #[test]
    fn shipped_units_give_no_warning() {
        assert_eq!(
            findings_for(SHOWN, 100_000),
            [Finding::ok(
                "systemd",
                "agentcheck.socket listens on 127.0.0.1:3333 (Stream), [::1]:3333 (Stream), one process for all probes"
            )]
        );
        assert_eq!(findings_for(INETD, 1000)[0].severity, Severity::Ok);
    }

    #[test]
    fn addresses_are_those_of_active_units() {
        let at = |shown: &str| addresses(&parse(shown), None);
        let both: Vec<SocketAddr> = ["127.0.0.1:3333", "[::1]:3333"]
            .iter()
            .map(|one| one.parse().unwrap())
            .collect();
        assert_eq!(at(SHOWN), both);
        assert_eq!(at(&SHOWN.replace("=active", "=inactive")), []);
        let others = "Id=agentcheck.socket\nActiveState=active\nListen=10.0.0.11:3333 (Stream)\nListen=/run/x (Stream)\n\
            Listen=10.0.0.11:53 (Datagram)\n";
        assert_eq!(at(others), ["10.0.0.11:3333".parse().unwrap()]);
        let own = others.replace("agentcheck.socket", "agentcheck@web.socket");
        assert_eq!(at(&own), []);
        assert_eq!(addresses(&parse(&own), Some(3333)), at(others));
        assert_eq!(addresses(&parse(&own), Some(3334)), []);
    }

    #[test]
    fn launchers_with_http_are_those_whose_service_has_the_option() {
        let accepting = INETD.replace("Accept=yes", "Accept=yes\nTriggers=");
        let sockets = SHOWN.replace("Accept=no", "Accept=no\nTriggers=agentcheck.service");
        for (sockets, service) in [
            (sockets.as_str(), "agentcheck.service"),
            (accepting.as_str(), "agentcheck-inetd@doctor.service"),
        ] {
            let launchers = |arguments: &str| {
                let path = "/usr/bin/agentcheck-responder";
                let shown = format!(
                    "Id={service}\nExecStart={{ path={path} ; argv[]={path} {arguments} ; ignore_errors=no ; pid=0 }}\n"
                );
                http_launchers(&parse(sockets), &parse(&shown))
            };
            let found = launchers("--name-from-client --http --idle off");
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].name, service);
            assert!(found[0].serves("127.0.0.1:3333".parse().unwrap()));
            assert!(!found[0].serves("127.0.0.1:3334".parse().unwrap()));
            assert_eq!(launchers("--name-from-client --http-fallback 200"), []);
            assert_eq!(
                http_launchers(&parse(&sockets.replace("=active", "=failed")), &parse("")),
                []
            );
        }
    }

    #[test]
    fn low_limits_are_found() {
        for (from, to, part) in [
            (
                "TriggerLimitIntervalUSec=0",
                "TriggerLimitIntervalUSec=2s",
                "the socket fails",
            ),
            ("MaxConnections=1024", "MaxConnections=63", "is dropped"),
            (
                "Accept=yes",
                "Accept=yes\nPollLimitIntervalUSec=2s\nPollLimitBurst=150",
                "pauses",
            ),
        ] {
            let found = findings_for(&INETD.replace(from, to), 60);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].severity, Severity::Warning);
            assert!(found[0].what.contains(part), "{found:?}");
        }
        let few = INETD.replace("TriggerLimitIntervalUSec=0", "TriggerLimitIntervalUSec=2s");
        assert_eq!(findings_for(&few, 4)[0].severity, Severity::Ok);
    }

    #[test]
    fn failed_inactive_and_conflicting_units_are_found() {
        let failed = SHOWN.replace(
            "ActiveState=active",
            "ActiveState=failed\nResult=trigger-limit-hit",
        );
        assert!(
            findings_for(&failed, 1)[0]
                .what
                .contains("trigger-limit-hit")
        );
        let inactive = SHOWN.replace("ActiveState=active", "ActiveState=inactive");
        assert_eq!(findings_for(&inactive, 1)[0].severity, Severity::Note);
        let both = findings_for(&format!("{SHOWN}\n{INETD}"), 1);
        assert!(both.last().unwrap().what.contains("both active"));
        assert_eq!(findings_for("", 1), []);
    }
}
