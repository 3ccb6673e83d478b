//! The Ansible role of `examples/ansible` installs, configures and reloads a host with systemd, by real ansible-core.

use agentcheck_tests::address::Block;
use agentcheck_tests::binaries;
use agentcheck_tests::package::manager::Made;
use agentcheck_tests::processes::{run, wait_for};
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::{Systemd, put};
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

/// The directory of the Python programs.
pub(crate) fn tools() -> String {
    let script = binaries::workspace().join("tests/packages/tools.sh");
    run(&mut Command::new(script)).trim().to_owned()
}

struct Host {
    systemd: Systemd,
    ansible: String,
    agent: SocketAddr,
}

impl Host {
    /// Runs the role with variables, in JSON.
    fn play(&self, variables: &str) -> Output {
        let command = format!(
            "cd /playbook; LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 {} -i localhost, -c local \
             -e ansible_python_interpreter=/usr/bin/python3 play.yml -e \"$0\"",
            self.ansible
        );
        self.systemd.output(&["sh", "-euc", &command, variables])
    }

    /// Runs the role, which must succeed, and returns how many tasks changed the host.
    fn changes(&self, variables: &str) -> u32 {
        let output = self.play(variables);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{printed}\n{output:?}");
        let recap = printed.lines().rfind(|line| line.contains("changed="));
        let recap = recap.unwrap_or_else(|| panic!("no recap in {printed}"));
        println!("{recap}");
        let changed = recap.split("changed=").nth(1).unwrap();
        changed.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn wait_for_reply(&self, service: &str, beginning: &str) {
        wait_for(format_args!("{beginning:?} of {service}"), || {
            let name = format!("{service}\n");
            match probe(self.agent, name.as_bytes()) {
                Ok(received) if received.text().starts_with(beginning) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    fn processes(&self) -> String {
        self.systemd
            .property("agentcheck-collector.service", "MainPID")
    }
}

#[test]
fn ansible_role_installs_configures_and_reloads() {
    let scratch = Scratch::new("ansible");
    let tree = scratch.directory("tree");
    let package = Made::build(&scratch.directory("packages"), false).deb;
    put(
        &tree,
        "playbook/play.yml",
        "- hosts: all\n  roles: [agentcheck]\n",
    );
    let role = binaries::workspace().join("examples/ansible/roles");
    run(Command::new("cp")
        .arg("-r")
        .arg(role)
        .arg(tree.join("playbook")));
    fs::copy(package, tree.join("playbook/agentcheck.deb")).unwrap();
    let block = Block::claim();
    let host = Host {
        systemd: Systemd::boot_bare(&scratch, &tree),
        ansible: format!("{}/ansible-playbook", tools()),
        agent: block.agent(),
    };
    let variables = |services: &str| {
        format!(
            r#"{{"agentcheck_package": "/playbook/agentcheck.deb", "agentcheck_services": {services},
                "agentcheck_addresses": ["{}"], "agentcheck_balancers": ["127.0.0.0/8"],
                "agentcheck_configuration": "timezone = \"UTC\"\n"}}"#,
            host.agent.ip()
        )
    };
    let both = variables(
        r#"{"web": "[service.web]\nweight = \"73\"\n", "api": "[service.api]\nweight = \"20\"\n"}"#,
    );
    assert!(host.changes(&both) > 0);
    host.wait_for_reply("web", "up 73%");
    host.wait_for_reply("api", "up 20%");
    assert_eq!(host.changes(&both), 0, "a second run changes nothing");
    let first = host.processes();

    // Another weight, and one service less: a reload, of the same process.
    let one = variables(r#"{"web": "[service.web]\nweight = \"42\"\n"}"#);
    assert!(host.changes(&one) > 0);
    host.wait_for_reply("web", "up 42%");
    assert_eq!(host.processes(), first);
    let listed = host.systemd.run(&["ls", "/etc/agentcheck/conf.d"]);
    assert_eq!(listed, "web.toml\n");
    assert_eq!(host.changes(&one), 0);

    // A wrong configuration changes no file of the host, and is not loaded.
    let wrong = host.play(&variables(r#"{"web": "[service.web]\nweight = \"(\"\n"}"#));
    assert!(!wrong.status.success());
    let printed = String::from_utf8_lossy(&wrong.stdout).into_owned();
    assert!(
        printed.contains("Check the next configuration"),
        "{printed}"
    );
    let kept = host
        .systemd
        .run(&["cat", "/etc/agentcheck/conf.d/web.toml"]);
    assert_eq!(kept, "[service.web]\nweight = \"42\"\n");
    host.systemd.run(&["agentcheck", "check"]);
    assert_eq!(host.processes(), first);
    host.wait_for_reply("web", "up 42%");
    assert!(
        host.changes(&one) > 0,
        "the next right run replaces the wrong copy"
    );
    assert_eq!(host.processes(), first);
}

#[test]
fn kubernetes_and_container_examples_are_valid() {
    let python = format!("{}/python", tools());
    let printed = run(Command::new(python)
        .arg("tests/packages/kubernetes.py")
        .current_dir(binaries::workspace()));
    println!("{printed}");
    assert!(printed.contains("Deployment valid"), "{printed}");
}
