use super::super::Severity::{self, Error, Note, Warning};
use super::*;

const INFO: &str = "Name: HAProxy\nVersion: 2.6.12-1+deb12u4\nPid: 7\n";

/// A balancer with one server in backend farm, from tables such as the real one gives.
struct Case {
    server: &'static str,
    admin: u32,
    operational: u32,
    weight: u32,
    configured: u32,
    agent_state: u32,
    status: &'static str,
    agent_status: &'static str,
    agent_text: &'static str,
    check_status: &'static str,
    algorithm: &'static str,
    reply: &'static str,
    floor: u16,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            server: "web",
            admin: 0,
            operational: 2,
            weight: 73,
            configured: 100,
            agent_state: 22,
            status: "UP",
            agent_status: "L7OK",
            agent_text: "Layer7 check passed",
            check_status: "",
            algorithm: "roundrobin",
            reply: "up 73%",
            floor: 1,
        }
    }
}

impl Case {
    fn balancer(&self) -> Balancer {
        let statistics = format!(
            "# pxname,svname,status,check_status,agent_status,last_agt,algo,-\n\
             farm,{},{},{},{},\"{}\",,\n\
             farm,BACKEND,UP,,,,{},\n\n",
            self.server,
            self.status,
            self.check_status,
            self.agent_status,
            self.agent_text,
            self.algorithm
        );
        let states = format!(
            "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight \
             srv_agent_state srv_agent_addr\n2 farm 1 {} 127.0.0.1 {} {} {} {} {} -\n\n",
            self.server,
            self.operational,
            self.admin,
            self.weight,
            self.configured,
            self.agent_state
        );
        Balancer::read(INFO, &statistics, &states)
    }

    fn look(&self) -> Vec<Finding> {
        let service = |name: &str| ServedService {
            name: name.to_owned(),
            floor: self.floor,
            reply: Reply::parse(self.reply.as_bytes()).ok(),
        };
        let services = [service("web"), service("api")];
        let mut found = findings(&self.balancer(), &services, &|address| {
            address == "127.0.0.1"
        });
        // The version.
        found.remove(0);
        found
    }
}

#[test]
fn a_healthy_server_is_one_line() {
    assert_eq!(
        Case::default().look(),
        [Finding::ok(
            "haproxy",
            "farm/web: UP, weight 73 of 100, agent L7OK"
        )]
    );
}

#[test]
fn each_fault_is_found() {
    let case = Case::default;
    for (given, severity, part) in [
        (
            Case {
                configured: 1,
                weight: 0,
                ..case()
            },
            Error,
            "weight 1 is configured",
        ),
        (
            Case {
                configured: 50,
                ..case()
            },
            Warning,
            "the floor of 1% is 0",
        ),
        (
            Case {
                configured: 0,
                ..case()
            },
            Warning,
            "weight 0 is configured",
        ),
        (
            Case {
                weight: 0,
                ..case()
            },
            Warning,
            "the agent says 73%",
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
            "switched off",
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
            "says ready",
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
            "has not been asked",
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
        let found = given.look();
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        assert_eq!(found[0].severity, severity, "{found:?}");
        assert!(found[0].what.contains(part), "{found:?}");
        assert!(found[0].remedy.is_some(), "{found:?}");
    }
    let drain = Case { admin: 8, ..case() }.look();
    assert!(
        drain[0]
            .remedy
            .as_ref()
            .unwrap()
            .contains("agentcheck ready web")
    );
}

#[test]
fn what_the_agent_itself_wants_is_no_fault() {
    let case = Case::default;
    for given in [
        Case {
            admin: 8,
            status: "DRAIN (agent)",
            reply: "up drain 100%",
            ..case()
        },
        Case {
            admin: 1,
            status: "MAINT",
            reply: "maint 100%",
            ..case()
        },
        Case {
            operational: 0,
            status: "DOWN (agent)",
            reply: "down 100%",
            agent_status: "L7STS",
            ..case()
        },
        Case {
            weight: 0,
            reply: "up 0%",
            ..case()
        },
        Case {
            configured: 50,
            weight: 36,
            floor: 2,
            ..case()
        },
        Case {
            agent_status: "CHECKED",
            agent_text: "",
            ..case()
        },
    ] {
        let found = given.look();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Ok, "{found:?}");
    }
}

#[test]
fn algorithms() {
    for (algorithm, severity, part) in [
        ("static-rr", Warning, "takes no weight but 0% and 100%"),
        ("first", Warning, "does not look at weights"),
        ("uri", Note, "hash-type consistent"),
        ("source", Note, "hash-type consistent"),
        ("", Note, "is not shown"),
    ] {
        let found = Case {
            algorithm,
            ..Case::default()
        }
        .look();
        assert_eq!(found[1].severity, severity, "{found:?}");
        assert!(found[1].what.contains(part), "{found:?}");
    }
}

#[test]
fn a_line_without_agent_check_beside_others_that_have_one() {
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
    // Of another host, as long as there are any of this one.
    let found = findings(&balancer, &[], &|_| false);
    assert!(found[1].what.contains("all of them are looked at"));
}

#[test]
fn an_exchange_under_way_is_looked_at_again() {
    let mut first = Case {
        agent_status: "* L7OK",
        agent_text: "",
        ..Case::default()
    }
    .balancer();
    assert!(first.asks_now());
    first.take_at_rest(
        &Case {
            agent_status: "L4CON",
            ..Case::default()
        }
        .balancer(),
    );
    assert!(!first.asks_now());
    assert_eq!(first.servers[0].agent_status, "L4CON");
}

#[test]
fn tables_of_anything_else_are_no_servers() {
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
