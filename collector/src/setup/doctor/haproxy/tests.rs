mod states;

use super::super::Severity::{self, Error, Note, Warning};
use super::*;

/// A balancer with one server in backend farm, in the tables of the real HAProxy.
struct Case {
    server: &'static str,
    admin: u32,
    operational: u32,
    weight: u32,
    configured_weight: u32,
    agent_state: u32,
    status: &'static str,
    agent_status: &'static str,
    agent_text: &'static str,
    check_status: &'static str,
    algorithm: &'static str,
    reply: &'static str,
    floor: u16,
    agent_port: u16,
    tracked: &'static str,
    version: &'static str,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            server: "web",
            admin: 0,
            operational: 2,
            weight: 73,
            configured_weight: 100,
            agent_state: 22,
            status: "UP",
            agent_status: "L7OK",
            agent_text: "Layer7 check passed",
            check_status: "",
            algorithm: "roundrobin",
            reply: "up 73%",
            floor: 1,
            agent_port: 3333,
            tracked: "",
            version: "2.6.12-1+deb12u4",
        }
    }
}

/// A service on the shared port, without a reply.
fn served(name: &str) -> ServedService {
    ServedService {
        name: name.to_owned(),
        floor: 1,
        port: 3333,
        has_maxconn: false,
        has_absolute_weight: false,
        replies: Vec::new(),
    }
}

impl Case {
    fn balancer(&self) -> Balancer {
        let statistics = format!(
            "# pxname,svname,status,check_status,agent_status,last_agt,tracked,algo,-\n\
             farm,{},{},{},{},\"{}\",{},,\n\
             farm,BACKEND,UP,,,,,{},\n\n",
            self.server,
            self.status,
            self.check_status,
            self.agent_status,
            self.agent_text,
            self.tracked,
            self.algorithm
        );
        let states = format!(
            "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
             srv_agent_state srv_agent_addr srv_agent_port\n2 farm 1 {} 127.0.0.1 {} {} {} {} {} - {}\n\n",
            self.server,
            self.operational,
            self.admin,
            self.weight,
            self.configured_weight,
            self.agent_state,
            self.agent_port
        );
        let info = format!("Name: HAProxy\nVersion: {}\nPid: 7\n", self.version);
        Balancer::read(&info, &statistics, &states)
    }

    fn findings(&self) -> Vec<Finding> {
        let service = |name: &str| ServedService {
            floor: self.floor,
            has_absolute_weight: self.reply.contains("weight:"),
            replies: Reply::parse(self.reply.as_bytes()).into_iter().collect(),
            ..served(name)
        };
        let services = [service("web"), service("api")];
        let mut found = super::findings(&self.balancer(), &services, &|address| {
            address == "127.0.0.1"
        });
        // The version.
        found.remove(0);
        found
    }
}

#[test]
fn healthy_server_gives_one_line() {
    assert_eq!(
        Case::default().findings(),
        [Finding::ok(
            "haproxy",
            "farm/web: UP, weight 73 of 100, agent L7OK"
        )]
    );
}

#[test]
fn faults_of_a_server_are_found() {
    let case = Case::default;
    for (given, severity, part) in [
        (
            Case {
                configured_weight: 1,
                weight: 0,
                ..case()
            },
            Error,
            "the configured weight is 1",
        ),
        (
            Case {
                configured_weight: 50,
                ..case()
            },
            Warning,
            "the floor of 1% of it is 0",
        ),
        (
            Case {
                configured_weight: 0,
                ..case()
            },
            Warning,
            "the configured weight is 0",
        ),
        (
            Case {
                weight: 0,
                ..case()
            },
            Warning,
            "weight 0 of 100, which our reply does not give: up 73%",
        ),
        (
            Case {
                agent_state: 0,
                ..case()
            },
            Error,
            "no server line has an agent-check",
        ),
        (
            Case {
                agent_state: 18,
                agent_status: "",
                ..case()
            },
            Warning,
            "its agent checks are off",
        ),
        (
            Case {
                admin: 8,
                status: "DRAIN",
                ..case()
            },
            Warning,
            "DRAIN is set on the balancer",
        ),
        (
            Case {
                admin: 1,
                status: "MAINT",
                ..case()
            },
            Warning,
            "MAINT is set on the balancer",
        ),
        (
            Case {
                admin: 1,
                reply: "up ready 73%",
                status: "MAINT",
                ..case()
            },
            Note,
            "sends ready",
        ),
        (
            Case {
                agent_status: "L4CON",
                ..case()
            },
            Error,
            "agent L4CON",
        ),
        (
            Case {
                agent_status: "L4TOUT",
                ..case()
            },
            Error,
            "agent L4TOUT",
        ),
        (
            Case {
                agent_status: "L7TOUT",
                ..case()
            },
            Error,
            "agent L7TOUT",
        ),
        (
            Case {
                agent_status: "L7RSP",
                ..case()
            },
            Error,
            "agent L7RSP",
        ),
        (
            Case {
                agent_status: "SOCKERR",
                ..case()
            },
            Error,
            "agent SOCKERR",
        ),
        (
            Case {
                agent_status: "",
                ..case()
            },
            Note,
            "no exchange with the agent",
        ),
        (
            Case {
                agent_status: "CHECKED",
                agent_text: "agent reports an error : no-state:web",
                ..case()
            },
            Error,
            "no-state:web",
        ),
        (
            Case {
                operational: 0,
                status: "DOWN (agent)",
                ..case()
            },
            Warning,
            "DOWN (agent)",
        ),
        (
            Case {
                operational: 0,
                status: "DOWN",
                check_status: "L4CON",
                ..case()
            },
            Warning,
            "its health check fails (L4CON)",
        ),
        (
            Case {
                server: "other",
                admin: 8,
                status: "DRAIN",
                ..case()
            },
            Warning,
            "DRAIN is set",
        ),
    ] {
        let found = given.findings();
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        assert_eq!(found[0].severity, severity, "{found:?}");
        assert!(found[0].what.contains(part), "{found:?}");
        assert!(found[0].remedy.is_some(), "{found:?}");
    }
    let drain = Case { admin: 8, ..case() }.findings();
    assert!(
        drain[0]
            .remedy
            .as_ref()
            .unwrap()
            .contains("agentcheck ready web")
    );
}

#[test]
fn balance_algorithms_are_judged() {
    for (algorithm, severity, part) in [
        ("static-rr", Warning, "applies only 0% and 100%"),
        ("first", Warning, "ignores every weight but 0"),
        ("uri", Note, "hash-type consistent"),
        ("source", Note, "hash-type consistent"),
        ("", Note, "does not show its balance algorithm"),
        (
            "unknown",
            Note,
            "balance random, which follows weights, or balance sticky",
        ),
    ] {
        let found = Case {
            algorithm,
            ..Case::default()
        }
        .findings();
        assert_eq!(found[1].severity, severity, "{found:?}");
        assert!(found[1].what.contains(part), "{found:?}");
    }
}

#[test]
fn server_without_agent_check_beside_others_is_found() {
    let mut balancer = Case::default().balancer();
    let plain = Server {
        name: "plain".to_owned(),
        agent_state: 0,
        ..balancer.servers[0].clone()
    };
    let elsewhere = Server {
        backend: "static".to_owned(),
        ..plain.clone()
    };
    balancer.servers.extend([plain, elsewhere]);
    let found = findings(&balancer, &[], &|_| true);
    let missing: Vec<_> = found.iter().filter(|one| one.severity == Warning).collect();
    assert_eq!(missing.len(), 1, "{found:?}");
    assert!(missing[0].what.starts_with("farm/plain: no agent-check"));
    // Without a server of this host, all are checked.
    let found = findings(&balancer, &[], &|_| false);
    assert!(found[1].what.contains("checking all servers"));
}

#[test]
fn server_in_an_exchange_is_replaced_by_a_later_reading() {
    let mut first = Case {
        agent_status: "* L7OK",
        agent_text: "",
        ..Case::default()
    }
    .balancer();
    assert!(first.is_in_exchange());
    first.replace_in_exchange(
        &Case {
            agent_status: "L4CON",
            ..Case::default()
        }
        .balancer(),
    );
    assert!(!first.is_in_exchange());
    assert_eq!(first.servers[0].agent_status, "L4CON");
}

#[test]
fn other_text_contains_no_server() {
    for text in [
        "",
        "\n",
        "# ",
        "# pxname,svname\n,,,\n\"",
        "# be_name srv_name\na b c d\n",
        "Unknown command.",
    ] {
        let balancer = Balancer::read(text, text, text);
        assert_eq!(balancer.servers, []);
        let found = findings(&balancer, &[], &|_| true);
        assert!(found.iter().any(|one| one.severity == Error), "{found:?}");
    }
}

#[test]
fn version_facts_become_findings() {
    for (version, has_maxconn, severity, part) in [
        ("2.6.12-1+deb12u4", true, Severity::Ok, "version 2.6.12"),
        ("2.0.0", false, Note, "an agent's maxconn hangs"),
        ("2.0.0", true, Error, "an agent's maxconn hangs"),
        ("2.2.0", false, Error, "overrides failed health checks"),
        ("3.3.0", false, Warning, "agent health begins at 0"),
        ("1.8.0", false, Note, "maxconn"),
        ("next", false, Note, "unknown version"),
    ] {
        let service = ServedService {
            has_maxconn,
            ..served("web")
        };
        let balancer = Case {
            version,
            ..Case::default()
        }
        .balancer();
        let found = super::findings(&balancer, &[service], &|_| true);
        assert_eq!(found[0].severity, severity, "{version}: {found:?}");
        assert!(found[0].what.contains(part), "{version}: {found:?}");
    }
}

#[test]
fn fields_with_line_ends_and_names_with_blanks_are_read() {
    let statistics = "# pxname,svname,status,agent_status,last_agt,algo,-\n\
                      my farm,web,UP,L7OK,\"Invalid weight.\nsee \"\"docs\"\"\",,\n\
                      my farm,BACKEND,UP,,,roundrobin,\n";
    let states = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
                  srv_agent_state srv_agent_addr srv_agent_port\n\
                  2 my farm 1 web 127.0.0.1 2 0 73 100 22 - 3333\n";
    let balancer = Balancer::read("Version: 3.4.0\n", statistics, states);
    let [server] = balancer.servers.as_slice() else {
        panic!("{balancer:?}")
    };
    assert_eq!(server.to_string(), "my farm/web");
    assert_eq!((server.weight, server.agent_port), (73, Some(3333)));
    assert_eq!(server.agent_text, "Invalid weight.\nsee \"docs\"");
    let found = super::findings(&balancer, &[], &|_| true);
    assert!(
        found
            .iter()
            .any(|one| one.what.contains("may contain blanks")),
        "{found:?}"
    );
}

/// The weight on the server line does not matter for `weight:N`, which older versions do not know.
#[test]
fn absolute_weight_is_compared_as_it_is() {
    let case = Case {
        configured_weight: 1,
        weight: 73,
        reply: "up weight:73",
        version: "3.2.0",
        ..Case::default()
    };
    assert_eq!(
        case.findings()[0].severity,
        Severity::Ok,
        "{:?}",
        case.findings()
    );
    let other = Case { weight: 9, ..case };
    assert!(
        other.findings()[0]
            .what
            .contains("weight 9 of 1, which our reply does not give")
    );
    let old = Case {
        version: "3.0.0",
        ..other
    };
    let service = ServedService {
        has_absolute_weight: true,
        ..served("web")
    };
    let found = super::findings(&old.balancer(), &[service], &|_| true);
    assert_eq!(found[0].severity, Error, "{found:?}");
    assert!(
        found[0].what.contains("weight:N is an unknown word"),
        "{found:?}"
    );
}
