//! `agentcheck decommission` releases every server, on a real `HAProxy`, before the agent is removed.

use agentcheck_tests::haproxy::{Backend, Server};
use agentcheck_tests::processes::{output, run};
use agentcheck_tests::scene::{Scene, stderr};
use agentcheck_tests::snapshot::{self, str};

/// One with the words of an owner and a drain above 90, and one whose limit of connections is managed.
const SERVICES: &str = r#"
[service.web]
weight = "headroom(a.value, 100)"
admin_state = "manage"

[[service.web.rule]]
name = "full"
when = "a.value > 90"
reply = "drain"

[service.api]
weight = "headroom(b.value, 100)"
maxconn = "3"
maxconn_normal = 200
"#;

#[test]
fn decommission_writes_release_replies() {
    let mut scene = Scene::with("retired", |scene| {
        scene.number("a", "20") + &scene.number("b", "20") + SERVICES
    });
    scene.respond(&["--name-from-client"]);
    let server = |name: &str| Server {
        more: "maxconn 200".to_owned(),
        ..scene.server(name)
    };
    let servers = vec![server("web"), server("api")];
    scene.balance(&[Backend::new("farm", servers)]);
    scene.put("a", "95");
    let haproxy = scene.haproxy();
    haproxy.wait_for_server("farm", "web", "a drain", |seen| {
        seen.administrative & 8 != 0
    });
    haproxy.wait_for_server("farm", "api", "80% and slim 3", |seen| {
        seen.weight == 80 && seen.session_limit == Some(3)
    });

    // While there is a collector, its word is the last one.
    let printed = stderr(output(&mut scene.command(&["decommission"])));
    assert!(printed.contains("; stop it first: "), "{printed}");

    scene.kill();
    let haproxy = scene.haproxy();
    let printed = run(&mut scene.command(&["decommission", "--wait", "--agent-inter", "1s"]));
    snapshot::check(
        &printed,
        &[],
        str![[r#"
api: up 100% maxconn:200 # agentcheck is being removed
web: up ready 100% # agentcheck is being removed
waited two agent intervals (1s): every balancer has polled

"#]],
    );
    for name in ["web", "api"] {
        haproxy.wait_for_server("farm", name, "its full share", |seen| {
            seen.administrative == 0
                && seen.operational == 2
                && seen.weight == 100
                && seen.session_limit == Some(200)
        });
    }

    // Without a status snapshot, the normal state is unknown, and a file that is no state file stays unchanged.
    scene.states.set_reply("web", "up drain 10%");
    scene.states.set_reply("api", "up 10% maxconn:3 # b=90");
    std::fs::remove_file(scene.states.path().join("status.json")).unwrap();
    let bad = scene.states.file("bad");
    std::fs::write(&bad, "up 5%\n").unwrap();
    let printed = stderr(output(&mut scene.command(&["decommission"])));
    snapshot::check(
        &printed,
        &[],
        str![[r#"
api: up 100% # agentcheck is being removed; maxconn:3 remains, because the normal limit is unknown
web: up ready 100%
agentcheck: bad: not a valid state file; left unchanged

"#]],
    );
    assert_eq!(std::fs::read_to_string(bad).unwrap(), "up 5%\n");
}
