//! `examples/balancers` on the real programs: HAProxy's external check, keepalived and ldirectord run `agentcheck probe`.
//! Envoy and Traefik are in `tests/balancers.sh`, because they are not in Debian.
//!
//! keepalived's and ldirectord's balancing needs IPVS in the kernel. Without it, keepalived runs its VRRP scripts, and
//! checks the configuration of its balancing. ldirectord runs its checks, and a script in place of ipvsadm records the
//! weights.

use agentcheck_tests::address::Block;
use agentcheck_tests::balancer::Balancer;
use agentcheck_tests::binaries::{collector, responder, workspace};
use agentcheck_tests::collector::Herald;
use agentcheck_tests::processes::{Running, output, program, wait_until};
use agentcheck_tests::responder::{Loop, arguments};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::fs::Permissions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the example, with the built program in place of the installed one.
fn example(file: &str) -> String {
    let path = workspace().join("examples/balancers").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.replace("/usr/bin/agentcheck", collector().to_str().unwrap())
}

fn script(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.write(name, text);
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

/// The state files and a responder for them.
fn agent(scratch: &Scratch, block: &Block) -> (StateDirectory, Loop, SocketAddr) {
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73%");
    let address = block.agent();
    let responder = Loop::start(scratch, &states, &["--name-from-client"], &[address]);
    (states, responder, address)
}

#[test]
fn haproxy_external_check_follows_the_reply() {
    let scratch = Scratch::new("external-check");
    let block = Block::claim();
    let (states, _responder, address) = agent(&scratch, &block);
    let probe = script(&scratch, "agentcheck-probe", &example("agentcheck-probe"));
    let lines = format!(
        "option external-check|external-check command {}",
        probe.display()
    );
    // HAProxy passes the address of the server, not that of the check.
    let server = format!(
        "weight 100 check inter 200 rise 1 fall 1|server two {address} check inter 200 rise 1 fall 1"
    );
    let haproxy = Balancer::start(
        &scratch,
        &[("web", lines.as_str(), server.replace('|', "\n  "))],
    );
    for (reply, status) in [
        ("up 73%", "UP"),
        ("down 100%", "DOWN"),
        ("up 5%", "UP"),
        ("up drain 100%", "DOWN"),
        ("up ready 100%", "UP"),
        ("maint 100%", "DOWN"),
    ] {
        states.set_reply("web", reply);
        haproxy.wait_for_server("web", "two", "status", status);
        haproxy.wait_for_server("web", "two", "check_status", "PROC");
    }
}

/// keepalived runs `agentcheck probe` as a VRRP script: the host gives up the address while its service is out.
#[test]
fn keepalived_gives_up_the_address_while_the_service_is_out() {
    let scratch = Scratch::new("keepalived-vrrp");
    let states = StateDirectory::at(scratch.directory("state"));
    states.set_reply("web", "up 73%");
    let shortened = example("keepalived-vrrp.conf")
        .replace("script_user nobody", "script_user root")
        .replace("interval 2", "interval 1")
        .replace("192.0.2.100/24", "10.99.0.9/24");
    let configuration = scratch.write("keepalived.conf", shortened);
    // Its own network: keepalived sends multicast, and the address is set on an interface.
    let start = format!(
        "set -e\nip link set lo up\nip link add eth0 type veth peer name eth1\nip addr add 10.99.0.1/24 dev eth0\n\
         ip link set eth0 up\nip link set eth1 up\n{} {} --listen 127.0.0.1:3333 &\n\
         exec {} --vrrp --dont-fork --log-console --log-detail -f {} -p {pid} -r {pid}-vrrp\n",
        responder().display(),
        arguments(&states, &["--name-from-client"]).join(" "),
        program("keepalived", "keepalived").display(),
        configuration.display(),
        pid = scratch.file("keepalived.pid").display(),
    );
    let start = script(&scratch, "start", &start);
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--net", "sh"]).arg(start);
    let keepalived = Running::start(&scratch, "keepalived", &mut command);
    keepalived.wait_for_log("Entering MASTER STATE");
    states.set_reply("web", "down 100%");
    keepalived.wait_for_log("Entering FAULT STATE");
    states.set_reply("web", "up 5%");
    keepalived.wait_for_lines(2, "Entering MASTER STATE");
}

/// keepalived accepts the example's checks with `misc_dynamic` and by HTTP, and refuses a misspelled keyword.
#[test]
fn keepalived_accepts_the_checks_of_its_balancing() {
    let scratch = Scratch::new("keepalived");
    let check = |text: &str| {
        let file = scratch.write("keepalived.conf", text);
        let mut command = Command::new(program("keepalived", "keepalived"));
        output(command.arg("--config-test").arg("-f").arg(&file))
    };
    let text = example("keepalived.conf").replace("script_user nobody", "script_user root");
    let accepted = check(&text);
    assert!(accepted.status.success(), "{accepted:?}");
    for keyword in ["misc_dynamic", "status_code"] {
        let refused = check(&text.replace(keyword, &keyword[1..]));
        assert!(!refused.status.success(), "{refused:?}");
    }
}

#[test]
fn ldirectord_external_check_follows_the_reply() {
    let scratch = Scratch::new("ldirectord");
    let block = Block::claim();
    let (states, _responder, address) = agent(&scratch, &block);
    let probe = script(&scratch, "agentcheck-probe", &example("agentcheck-probe"));
    // ldirectord prefers the ipvsadm of its working directory while it debugs. This one records the weight, and shows it.
    let recorded = scratch.file("weight");
    let server = format!("{}:80", address.ip());
    let record = format!(
        "#!/bin/sh\ncase $1 in\n-a | -e) echo \"$@\" | sed 's/.* -w //' > {file} ;;\n-L) printf 'IP\\nProt\\n  ->\\n'\n\
         printf 'TCP  192.0.2.100:80 wlc\\n'\ntest ! -s {file} || case $* in\n*thresholds*) echo '  -> {server} 0 0 0' ;;\n\
         *) echo \"  -> {server} Route $(cat {file}) 0 0\" ;;\nesac ;;\nesac\n",
        file = recorded.display()
    );
    script(&scratch, "ipvsadm", &record);
    let configuration = example("ldirectord.cf")
        .replace("checkinterval = 2", "checkinterval = 1")
        .replace("192.0.2.11", &address.ip().to_string())
        .replace("        real = 192.0.2.12:80 gate 100\n", "")
        .replace("/usr/local/bin/agentcheck-probe", probe.to_str().unwrap());
    let configuration = scratch.write("ldirectord.cf", configuration);
    let mut command = Command::new(program("ldirectord", "ldirectord"));
    command.arg("-d").arg(&configuration).arg("start");
    command.current_dir(scratch.path());
    let mut ldirectord = Running::start(&scratch, "ldirectord", &mut command);
    let mut wait_for_weight = |weight: u32| {
        wait_until(format_args!("weight {weight}"), || {
            assert!(ldirectord.is_running(), "{}", ldirectord.log());
            let text = std::fs::read_to_string(&recorded).unwrap_or_default();
            text.trim() == weight.to_string()
        });
    };
    wait_for_weight(100);
    for (reply, weight) in [("down 100%", 0), ("up 5%", 100), ("up drain 100%", 0)] {
        states.set_reply("web", reply);
        wait_for_weight(weight);
    }
}

/// The request of the kubelet for the example's readiness probe follows the replies, and the drain of the preStop hook.
#[test]
fn kubernetes_readiness_probe_follows_the_drain() {
    let manifest = example("kubernetes.yaml");
    let mut scene = Scene::new("kubernetes");
    let application = scene.serve(700).url();
    scene.configure(&Herald::configuration(&[Herald::new("web", &application)]));
    assert!(scene.overrides().is_dir());
    scene.start();
    scene.respond(&["--name-from-client", "--http"]);
    scene.wait_for_reply("web", "up");
    let address = scene.agent;
    assert!(manifest.contains("httpGet: { path: /web, port: 3333 }"));
    let probe = || {
        let mut client = TcpStream::connect(address).unwrap();
        let request = format!(
            "GET /web HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n"
        );
        client.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        response.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(probe(), "HTTP/1.1 200 OK");
    let hook = "agentcheck drain web --wait";
    assert!(manifest.contains(hook));
    scene.succeeds(&["drain", "web", "--wait"]);
    assert_eq!(probe(), "HTTP/1.1 503 Service Unavailable");
    scene.succeeds(&["resume", "web"]);
    assert_eq!(probe(), "HTTP/1.1 200 OK");
}

/// The manifests and configurations are YAML.
#[test]
fn yaml_files_are_well_formed() {
    let directory = workspace().join("examples/balancers");
    let script = "import sys, yaml\nfor file in sys.argv[1:]:\n  assert yaml.safe_load(open(file))";
    let files: Vec<PathBuf> = ["kubernetes.yaml", "envoy.yaml", "traefik.yaml"]
        .map(|file| directory.join(file))
        .into();
    assert!(files.iter().map(PathBuf::as_path).all(Path::is_file));
    let mut command = Command::new("/usr/bin/python3");
    let read = output(command.args(["-c", script]).args(&files));
    assert!(
        read.status.success(),
        "apt-get install -y python3-yaml: {read:?}"
    );
}
