//! `HAProxy` with the generated server lines and backends.

use super::CONFIGURATION;
use agentcheck_tests::binaries;
use agentcheck_tests::haproxy::{Backend, binary};
use agentcheck_tests::processes::{output, run};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use std::process::Command;

/// The server lines, with the place of the server put in, as HAProxy reads them.
fn server_lines(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("#   "));
    let lines = lines.filter(|line| line.starts_with("server "));
    let lines = lines.map(|line| line.replace("ADDRESS:PORT", "127.0.0.1:80"));
    lines
        .map(|line| format!("    {}\n", line.replace(":PORT", ":80")))
        .collect()
}

#[test]
fn haproxy_accepts_the_generated_server_lines() {
    let scratch = Scratch::new("units-haproxy");
    let configuration = scratch.write("agentcheck.toml", CONFIGURATION);
    for more in [&[][..], &["--address", "10.0.0.11", "--allow", "10.0.0.2"]] {
        for launcher in ["systemd", "xinetd", "inetd"] {
            let text = run(Command::new(binaries::collector())
                .args(["generate", launcher, "--config"])
                .arg(&configuration)
                .args(more));
            let servers = server_lines(&text);
            assert_eq!(servers.lines().count(), 4, "{text}");
            let file = format!(
                "defaults\n    mode http\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n\
                 frontend f\n    bind 127.0.0.1:8080\n    default_backend b\nbackend b\n{servers}"
            );
            let file = scratch.write("haproxy.cfg", file);
            let checked = output(Command::new(binary()).args(["-c", "-f"]).arg(file));
            let printed = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success(), "{servers}{printed}");
        }
    }
}

/// The printed backends, with the port of a real application, are a configuration that HAProxy runs without a warning,
/// and its servers follow the agent.
#[test]
fn haproxy_follows_the_agent_with_the_generated_backends() {
    let mut scene = Scene::new("generate-haproxy");
    let sources = ["web", "shop"].map(|name| scene.number(&format!("{name}_number"), "73"));
    scene.put("shop_number", "12");
    scene.configure(&format!(
        "{}[service.web]\nweight = \"web_number.value\"\n[service.shop]\nweight = \"shop_number.value\"\n",
        sources.concat()
    ));
    scene.start();
    scene.wait_for_reply("web", "up 73%");
    scene.wait_for_reply("shop", "up 12%");
    scene.respond(&["--name-from-client"]);
    let application = scene.serve(0).address();
    let host = scene.agent.ip().to_string();
    let configuration = scene.configuration.to_str().unwrap();
    let words = [
        "generate",
        "haproxy",
        "--address",
        &host,
        "--config",
        configuration,
    ];
    let text = run(&mut scene.command(&words));
    assert_eq!(text.matches(&format!("{host}:PORT")).count(), 2, "{text}");
    // In this test, application and responder have an address each.
    // (2.0 does not inherit an agent-addr from default-server.)
    let address = format!("{application} agent-addr {host}");
    let text = text.replace(&format!("{host}:PORT"), &address);
    // A faster check than the printed one, for the test's sake.
    let text = text.replace("agent-inter 2s", "agent-inter 300");
    let backends: Vec<Backend> = text
        .split("\nbackend ")
        .skip(1)
        .map(|section| {
            let mut lines = section.lines().map(str::trim);
            let mut backend = Backend::new(lines.next().unwrap(), vec![]);
            backend.lines = lines.map(str::to_owned).collect();
            backend
        })
        .collect();
    assert_eq!(backends.len(), 2, "{text}");
    let haproxy = scene.balance(&backends);
    for (service, weight) in [("web", 73), ("shop", 12)] {
        let server = format!("{service}-1");
        haproxy.wait_for_server(service, &server, "the agent's weight", |seen| {
            seen.weight == weight && seen.status == "UP" && seen.agent_ended("L7OK")
        });
    }
    let log = haproxy.log();
    // The results of checks are warnings, too; those about the configuration name its file.
    assert!(
        !log.contains("parsing [") && !log.contains("[ALERT]"),
        "{log}"
    );
}
