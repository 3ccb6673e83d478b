//! The generated texts. tests/suite/generate.rs tries them on the real targets.

#![allow(clippy::panic)]

use super::*;
use crate::config;

fn config(services: &str) -> Config {
    let (config, _) =
        config::parse(Path::new("test"), services).unwrap_or_else(|wrong| panic!("{wrong}"));
    config
}

/// A service without a port, and one with.
const BOTH: &str = "[service.web]\n[service.'my.api-2']\nport = 3334\n";

/// The request without options.
fn plain<'r>() -> Request<'r> {
    Request {
        addresses: &[],
        allow: &[],
        port: NonZeroU16::new(3333).unwrap(),
        responder: Path::new("/usr/bin/agentcheck-responder"),
        state_dir: Path::new(DEFAULT_STATE_DIR),
        http: false,
    }
}

fn generated(target: Target, services: &str, addresses: &[&str], allow: &[&str]) -> Vec<File> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
    let allow: Vec<Allowed> = allow.iter().map(|one| one.parse().unwrap()).collect();
    let request = Request {
        addresses: &addresses,
        allow: &allow,
        ..plain()
    };
    files(target, &config(services), &request).unwrap()
}

fn settings(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[test]
fn systemd_files_are_the_shipped_units_with_other_addresses() {
    let files = generated(
        Target::Systemd,
        BOTH,
        &["10.0.0.11", "2001:db8::11"],
        &["10.0.0.2", "10.0.1.0/24"],
    );
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "agentcheck.socket.d/listen.conf",
            "agentcheck@.service",
            "agentcheck@my.api-2.socket"
        ]
    );
    assert_eq!(
        settings(&files[0].text),
        [
            "[Socket]",
            "ListenStream=",
            "ListenStream=10.0.0.11:3333",
            "ListenStream=[2001:db8::11]:3333",
            "IPAddressAllow=10.0.0.11 2001:db8::11 10.0.0.2 10.0.1.0/24",
        ]
    );
    assert!(files[0].text.contains(
        "server web 10.0.0.11:PORT check weight 100 agent-check agent-port 3333 agent-inter 2s agent-send \"web\\n\"\n"
    ));
    // All that is shipped is there, but for what names the service.
    let shipped = settings(include_str!("../../../../systemd/agentcheck.service"));
    let mut template = settings(&files[1].text);
    template.retain(|line| *line != "Slice=system.slice");
    assert_eq!(shipped.len(), template.len());
    let differing: Vec<&str> = template
        .iter()
        .zip(&shipped)
        .filter_map(|(made, shipped)| (made != shipped).then_some(*made))
        .collect();
    assert_eq!(
        differing,
        [
            "Description=agentcheck replies for %i",
            "Requires=agentcheck@%i.socket",
            "ExecStart=/usr/bin/agentcheck-responder %i --idle off",
            "Also=agentcheck@%i.socket",
        ]
    );
    assert_eq!(
        settings(&files[2].text),
        [
            "[Unit]",
            "Description=agentcheck replies for my.api-2",
            "Documentation=file:/usr/share/doc/agentcheck/README.md",
            "StartLimitIntervalSec=0",
            "[Socket]",
            "ListenStream=10.0.0.11:3334",
            "ListenStream=[2001:db8::11]:3334",
            "FreeBind=yes",
            "IPAddressDeny=any",
            "IPAddressAllow=localhost 10.0.0.11 2001:db8::11 10.0.0.2 10.0.1.0/24",
            "TriggerLimitIntervalSec=0",
            "[Install]",
            "WantedBy=sockets.target",
        ]
    );
}

#[test]
fn systemd_gets_no_file_that_no_service_needs() {
    let paths = |services| {
        let files = generated(Target::Systemd, services, &[], &[]);
        files.into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    assert_eq!(
        paths("[service.web]\n"),
        ["agentcheck.socket.d/listen.conf"]
    );
    assert_eq!(
        paths("[service.web]\nport = 1\n[service.api]\nport = 65535\n"),
        [
            "agentcheck@.service",
            "agentcheck@web.socket",
            "agentcheck@api.socket"
        ]
    );
}

#[test]
fn xinetd_file_has_an_entry_per_port_and_address() {
    let files = generated(
        Target::Xinetd,
        BOTH,
        &["10.0.0.11", "::1"],
        &["10.0.0.2", "2001:db8::/32"],
    );
    let [file] = files.as_slice() else {
        panic!("{files:?}")
    };
    let settings = settings(&file.text);
    let entries: Vec<&[&str]> = settings.split_inclusive(|line| *line == "}").collect();
    assert_eq!(entries.len(), 4);
    assert_eq!(
        entries[2],
        [
            "service agentcheck-my.api-2",
            "{",
            "disable         = no",
            "type            = UNLISTED",
            "id              = agentcheck-my.api-2-0",
            "port            = 3334",
            "socket_type     = stream",
            "protocol        = tcp",
            "wait            = no",
            "user            = nobody",
            "server          = /usr/bin/agentcheck-responder",
            "server_args     = my.api-2",
            "bind            = 10.0.0.11",
            "only_from       = 127.0.0.1 10.0.0.11 10.0.0.2",
            "cps             = 0 0",
            "instances       = UNLIMITED",
            "per_source      = UNLIMITED",
            "log_on_success  =",
            "log_on_failure  = HOST",
            "}",
        ]
    );
    assert!(entries[1].contains(&"flags           = IPv6"));
    assert!(entries[1].contains(&"only_from       = ::1 2001:db8::/32"));
    assert!(entries[1].contains(&"server_args     = --name-from-client"));
}

#[test]
fn inetd_has_a_line_per_port() {
    let files = generated(Target::Inetd, BOTH, &[], &[]);
    assert_eq!(
        settings(&files[0].text),
        [
            "127.0.0.1:3333 stream tcp nowait.100000 nobody /usr/bin/agentcheck-responder \
             agentcheck-responder --name-from-client",
            "127.0.0.1:3334 stream tcp nowait.100000 nobody /usr/bin/agentcheck-responder \
             agentcheck-responder my.api-2",
        ]
    );
    assert!(!files[0].text.contains("packet filter"));
    let files = generated(Target::Inetd, BOTH, &["10.0.0.11"], &["10.0.0.2"]);
    assert!(
        files[0]
            .text
            .contains("packet filter accept only 10.0.0.11 10.0.0.2.\n")
    );
}

#[test]
fn request_that_cannot_be_served_is_an_error() {
    let refused = |addresses: &[&str], port: u16, state: &str, responder: &str| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
        let request = Request {
            addresses: &addresses,
            port: NonZeroU16::new(port).unwrap(),
            responder: Path::new(responder),
            state_dir: Path::new(state),
            ..plain()
        };
        let all = [Target::Systemd, Target::Xinetd, Target::Inetd];
        let errors = all.map(|target| files(target, &config(BOTH), &request).unwrap_err());
        assert!(errors.iter().all(|one| *one == errors[0]), "{errors:?}");
        errors[0].to_string()
    };
    let program = "/usr/bin/agentcheck-responder";
    assert!(refused(&["10.0.0.11"], 3333, DEFAULT_STATE_DIR, program).contains("--allow"));
    assert!(refused(&[], 3334, DEFAULT_STATE_DIR, program).contains("my.api-2"));
    for path in [
        "relative",
        "/with blank",
        "/a\nExecStart=/bin/sh",
        "/a%i",
        "/a$b",
        "/a\"",
        "/a=b;",
    ] {
        assert!(
            refused(&[], 3333, path, program).contains("letters"),
            "{path}"
        );
        assert!(
            refused(&[], 3333, DEFAULT_STATE_DIR, path).contains("letters"),
            "{path}"
        );
    }
}

#[test]
fn client_is_an_address_or_a_network() {
    for good in [
        "10.0.0.2",
        "10.0.0.0/24",
        "0.0.0.0/0",
        "::1",
        "2001:db8::/128",
    ] {
        assert_eq!(good.parse::<Allowed>().unwrap().to_string(), good);
    }
    for bad in [
        "",
        "localhost",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.2 any",
        "1.2.3.4\nX",
    ] {
        assert!(bad.parse::<Allowed>().is_err(), "{bad}");
    }
}

#[test]
fn other_state_directory_is_in_every_file() {
    let request = Request {
        responder: Path::new("/opt/agentcheck-responder"),
        state_dir: Path::new("/run/other"),
        ..plain()
    };
    let systemd = files(Target::Systemd, &config(BOTH), &request).unwrap();
    assert_eq!(
        systemd[1].text,
        "[Service]\nExecStart=\n\
         ExecStart=/opt/agentcheck-responder --name-from-client --state-dir /run/other --idle off\n"
    );
    assert!(
        systemd[2]
            .text
            .contains("responder %i --state-dir /run/other --idle off\n")
    );
    let xinetd = files(Target::Xinetd, &config(BOTH), &request).unwrap();
    assert!(
        xinetd[0]
            .text
            .contains(" = --name-from-client --state-dir /run/other\n")
    );
}

#[test]
fn http_is_in_every_file_and_clients_send_the_name() {
    let request = Request {
        http: true,
        ..plain()
    };
    for (target, shared, own) in [
        (
            Target::Systemd,
            "--name-from-client --http --idle off\n",
            "%i --http --idle off\n",
        ),
        (
            Target::Xinetd,
            " = --name-from-client --http\n",
            " = my.api-2 --http\n",
        ),
        (
            Target::Inetd,
            " --name-from-client --http\n",
            " my.api-2 --http\n",
        ),
    ] {
        let files = files(target, &config(BOTH), &request).unwrap();
        let text: String = files.iter().map(|file| file.text.as_str()).collect();
        assert!(text.contains(shared) && text.contains(own), "{text}");
        assert!(text.contains("agent-send \"my.api-2\\n\""), "{text}");
    }
}

#[test]
fn haproxy_gets_a_backend_per_service_and_a_server_per_address() {
    let files = generated(Target::Haproxy, BOTH, &["10.0.0.11", "2001:db8::11"], &[]);
    assert_eq!(files.len(), 1);
    assert_eq!(
        settings(&files[0].text),
        [
            "backend web",
            "balance roundrobin",
            "default-server check weight 100 agent-check agent-port 3333 agent-inter 2s agent-send \"web\\n\"",
            "server web-1 10.0.0.11:PORT",
            "server web-2 [2001:db8::11]:PORT",
            "backend my.api-2",
            "balance roundrobin",
            "default-server check weight 100 agent-check agent-port 3334 agent-inter 2s",
            "server my.api-2-1 10.0.0.11:PORT",
            "server my.api-2-2 [2001:db8::11]:PORT",
        ]
    );
    let files = generated(Target::Haproxy, "[service.web]\n", &[], &[]);
    assert!(files[0].text.contains("\n    server web-1 ADDRESS:PORT\n"));
}
