//! The state of a server, and its causes.

use super::*;

#[test]
fn state_by_the_agents_own_reply_is_no_fault() {
    let case = Case::default;
    for given in [
        Case {
            admin: 8,
            status: "DRAIN (agent)",
            weight: 100,
            reply: "up drain 100%",
            ..case()
        },
        Case {
            admin: 1,
            status: "MAINT",
            weight: 100,
            reply: "maint 100%",
            ..case()
        },
        Case {
            operational: 0,
            status: "DOWN (agent)",
            weight: 100,
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
            configured_weight: 50,
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
        let found = given.findings();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].severity, Severity::Ok, "{found:?}");
    }
}

/// A server whose state comes from elsewhere, or that HAProxy asks elsewhere.
#[test]
fn cause_of_the_state_is_found() {
    let case = Case::default;
    for (given, severity, part, remedy) in [
        (
            Case {
                agent_port: 3399,
                ..case()
            },
            Warning,
            "HAProxy asks 127.0.0.1:3399, and this host serves web on port 3333",
            "server state file",
        ),
        (
            Case {
                weight: 90,
                ..case()
            },
            Warning,
            "weight 90 of 100, which our reply does not give: up 73%",
            "another agent answers",
        ),
        (
            Case {
                admin: 1,
                operational: 0,
                agent_state: 18,
                agent_status: "",
                status: "MAINT",
                ..case()
            },
            Warning,
            "like a server after add server",
            "enable agent farm/web; enable server farm/web",
        ),
        (
            Case {
                admin: 5,
                operational: 0,
                status: "MAINT",
                ..case()
            },
            Warning,
            "disabled in haproxy.cfg",
            "enable server farm/web",
        ),
        (
            Case {
                agent_status: "CHECKED",
                agent_text: "agent reports an error : bad-name",
                ..case()
            },
            Error,
            "bad-name",
            "agent-send is not the name of a service",
        ),
    ] {
        let found = given.findings();
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        assert_eq!(found[0].severity, severity, "{found:?}");
        assert!(found[0].what.contains(part), "{found:?}");
        let printed = found[0].remedy.as_deref().unwrap();
        assert!(printed.contains(remedy), "{found:?}");
    }
    let tracking = Case {
        operational: 0,
        status: "DOWN (via other/one)",
        tracked: "other/one",
        ..case()
    };
    let found = tracking.findings();
    assert_eq!(found[0].severity, Note, "{found:?}");
    assert!(found[0].what.contains("it tracks other/one"), "{found:?}");
    // The columns of 2.4.0 to 2.4.2.
    let empty = Case {
        agent_status: "",
        agent_text: "",
        version: "2.4.0",
        ..case()
    };
    let balancer = empty.balancer();
    let found = findings(&balancer, &[], &|_| true);
    let note = found
        .iter()
        .find(|one| one.what.contains("shows no result of the agent check"));
    assert_eq!(note.map(|one| one.severity), Some(Note), "{found:?}");
}
