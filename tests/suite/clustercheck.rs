//! `examples/clustercheck` on real parts: a node of MariaDB with Galera, the collector, xinetd, systemd and HAProxy. The
//! script that it replaces (`bench/clustercheck.sh`) runs beside it.

use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::balancer::Balancer;
use agentcheck_tests::binaries::{collector, responder, workspace};
use agentcheck_tests::collector::Collector;
use agentcheck_tests::mariadb::{Mariadb, galera};
use agentcheck_tests::processes::{Running, output, program, run, wait_for, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot;
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed, put};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

const SYNCED: &str = "Percona XtraDB Cluster Node is synced.";
const NOT_SYNCED: &str = "Percona XtraDB Cluster Node is not synced.";

fn example(file: &str) -> String {
    let path = workspace().join("examples/clustercheck").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// A node of MariaDB with Galera: a cluster of one.
struct Node {
    server: Mariadb,
    /// The client's options of the example, with the socket of this node.
    options: PathBuf,
}

impl Node {
    fn start(scratch: &Scratch, block: &Block) -> Self {
        let options = galera(block.address(3306), block);
        let server = Mariadb::start(scratch, "mariadb", &options);
        let options = format!(
            "{}socket = {}\n",
            example("clustercheck.cnf"),
            server.socket.display()
        );
        let mut node = Self {
            server,
            options: scratch.write("clustercheck.cnf", options),
        };
        wait_for("Galera", || {
            let process = &mut node.server.process;
            assert!(process.is_running(), "{}", process.log());
            match node.state().as_str() {
                "4" => Ok(()),
                other => Err(other.to_owned()),
            }
        });
        node.query("CREATE USER clustercheck@localhost IDENTIFIED BY 'a long password'");
        node
    }

    fn query(&self, statement: &str) {
        self.server.query(statement);
    }

    /// The state of the node as Galera's number; empty while it does not answer.
    fn state(&self) -> String {
        let answer = output(
            &mut self
                .server
                .client("SHOW GLOBAL STATUS LIKE 'wsrep_local_state'"),
        );
        let text = String::from_utf8(answer.stdout).unwrap();
        text.split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned()
    }

    /// Status and text of the script that the example replaces.
    fn script(&self) -> (u16, String) {
        let mut command = Command::new(workspace().join("bench/clustercheck.sh"));
        let answer = output(command.arg(&self.options));
        let text = String::from_utf8(answer.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        (status.parse().unwrap(), body.trim_end().to_owned())
    }

    fn collect(&self, scratch: &Scratch, states: &StateDirectory) -> Collector {
        let text = example("agentcheck.toml");
        let shipped = "/etc/agentcheck/clustercheck.cnf";
        assert!(text.contains(shipped));
        let text = text.replace(shipped, self.options.to_str().unwrap());
        let configuration = scratch.write("agentcheck.toml", text);
        Collector::start_by(
            scratch,
            "collector",
            &mut Collector::command(&["collect"], &configuration, states),
        )
    }
}

/// Status and body of a GET.
fn get(address: SocketAddr) -> (u16, String) {
    let mut command = Command::new(program("curl", "curl"));
    command.args(["-sS", "-w", "%{http_code}"]);
    let text = run(command.arg(format!("http://{address}/")));
    let (body, status) = text.split_at(text.len() - 3);
    (status.parse().unwrap(), body.trim_end().to_owned())
}

/// xinetd with one entry for each address. Its file can be replaced while it runs.
struct Xinetd {
    file: PathBuf,
    process: Running,
}

impl Xinetd {
    fn start(scratch: &Scratch, text: &str, addresses: &[SocketAddr]) -> Self {
        let file = scratch.write("xinetd.conf", text);
        let mut command = Command::new(program("xinetd", "xinetd"));
        command.arg("-dontfork").arg("-f").arg(&file);
        command.arg("-filelog").arg(scratch.file("xinetd.log"));
        command.arg("-pidfile").arg(scratch.file("xinetd.pid"));
        let process = Running::start(scratch, "xinetd-errors", &mut command);
        for address in addresses {
            wait_until(format_args!("{address}"), || is_listening(*address));
        }
        Self { file, process }
    }

    /// Replaces its file, and makes it read the new one.
    fn replace(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
        self.process.signal(Signal::HUP);
    }
}

/// Entries that start `line` for each address, as xinetd has them for clustercheck.
fn entries(addresses: &[SocketAddr], line: &str) -> String {
    let (server, arguments) = line.split_once(' ').unwrap();
    let entry = |address: &SocketAddr| {
        format!(
            "service mysqlchk\n{{\n\tid = {ip}\n\ttype = UNLISTED\n\tport = {port}\n\tbind = {ip}\n\t\
             socket_type = stream\n\tprotocol = tcp\n\twait = no\n\tuser = root\n\tserver = {server}\n\t\
             server_args = {arguments}\n\tcps = 0 0\n\tper_source = UNLIMITED\n\tinstances = UNLIMITED\n}}\n",
            ip = address.ip(),
            port = address.port(),
        )
    };
    addresses.iter().map(entry).collect()
}

/// The example's files are what `agentcheck generate` prints for its configuration.
#[test]
fn example_files_are_the_generated_ones() {
    let directory = workspace().join("examples/clustercheck");
    let generate = |target: &str| {
        let mut command = Command::new(collector());
        command.args(["generate", target, "--http", "--config"]);
        command.arg(directory.join("agentcheck.toml"));
        command.args([
            "--address",
            "192.0.2.11",
            "--allow",
            "192.0.2.1",
            "--allow",
            "192.0.2.2",
        ]);
        let built = responder();
        run(&mut command).replace(built.to_str().unwrap(), "/usr/bin/agentcheck-responder")
    };
    let units = generate("systemd");
    let socket = "# /etc/systemd/system/agentcheck@mysql.socket";
    let (template, rest) = units.split_once(&format!("\n{socket}")).unwrap();
    for (file, text) in [
        ("agentcheck@.service", template.to_owned()),
        ("agentcheck@mysql.socket", format!("{socket}{rest}")),
        ("xinetd", generate("xinetd")),
    ] {
        snapshot::compare(&text, &directory.join(file)).unwrap();
        println!("{file}: {} lines", text.lines().count());
    }
}

/// Old HTTP checks follow the node through the example, with the status and the text of the script.
#[test]
fn old_http_checks_follow_the_node() {
    let scratch = Scratch::new("clustercheck");
    let block = Block::claim();
    let mut node = Node::start(&scratch, &block);
    let states = StateDirectory::at(scratch.directory("state"));
    let mut collector = node.collect(&scratch, &states);
    let address = block.address(9200);
    let program = scratch.program(&responder());
    let arguments = format!("mysql --http --state-dir {}", states.path().display());
    let entry = example("xinetd")
        .replace("192.0.2.11", &address.ip().to_string())
        .replace("/usr/bin/agentcheck-responder", program.to_str().unwrap())
        .replace("mysql --http", &arguments);
    let entry = entry.replace(
        &format!("only_from       = 127.0.0.1 {}", address.ip()),
        &format!("only_from       = 127.0.0.0/8 {}", address.ip()),
    );
    let _xinetd = Xinetd::start(
        &scratch,
        &entry.replace("disable         = yes", ""),
        &[address],
    );
    let check = format!(
        "check addr {} port 9200 inter 200 rise 1 fall 1",
        address.ip()
    );
    let agent = format!(
        "weight 100 agent-check agent-addr {} agent-port 9200 agent-inter 200 agent-send \"mysql\\n\"",
        address.ip()
    );
    let text =
        "option httpchk|http-check expect string Percona\\ XtraDB\\ Cluster\\ Node\\ is\\ synced.";
    let pattern = "option httpchk|http-check expect rstring is\\ synced";
    let haproxy = Balancer::start(
        &scratch,
        &[
            ("status", "option httpchk", check.clone()),
            ("text", text, check.clone()),
            ("pattern", pattern, check),
            ("agent", "balance roundrobin", agent),
        ],
    );
    let mut steps = 0;
    let mut follows = |node: &Node, status: u16, text: &str, server: &str| {
        wait_for(format_args!("{status} {text}"), || {
            let (found, line) = get(address);
            match found == status && line.ends_with(text) {
                true => Ok(()),
                false => Err(format!("{found} {line}")),
            }
        });
        assert_eq!(node.script(), (status, text.to_owned()));
        for backend in ["status", "text", "pattern"] {
            haproxy.wait_for(backend, "status", server);
        }
        // Without a health check, HAProxy shows "no check" instead of UP.
        match server {
            "UP" => haproxy.wait_for("agent", "agent_status", "L7OK"),
            _ => haproxy.wait_for("agent", "status", server),
        }
        steps += 1;
    };
    follows(&node, 200, SYNCED, "UP");
    node.query("SET GLOBAL wsrep_desync = ON");
    assert_eq!(node.state(), "2");
    follows(&node, 503, NOT_SYNCED, "DOWN");
    node.query("SET GLOBAL wsrep_desync = OFF");
    follows(&node, 200, SYNCED, "UP");
    // It leaves the cluster: no primary component.
    let nowhere = block.address(4567);
    node.query(&format!(
        "SET GLOBAL wsrep_cluster_address = 'gcomm://{nowhere}'"
    ));
    follows(&node, 503, NOT_SYNCED, "DOWN");
    node.query("SET GLOBAL wsrep_cluster_address = 'gcomm://'");
    follows(&node, 200, SYNCED, "UP");
    // Without the collector, the last state stays; the text ends with the reply's validity.
    collector.process().kill();
    haproxy.wait_for("text", "status", "DOWN");
    haproxy.wait_for("pattern", "status", "DOWN");
    haproxy.wait_for("status", "status", "UP");
    haproxy.wait_for("agent", "agent_status", "L7OK");
    assert_eq!(get(address), (200, "up 100% # stale".to_owned()));
    let _collector = node.collect(&scratch, &states);
    follows(&node, 200, SYNCED, "UP");
    node.server.process.kill();
    follows(&node, 503, NOT_SYNCED, "DOWN");
    println!("{steps} states of the node");
}

/// The order of the steps. An HTTP check against an agent-check port takes every server out; an agent-check against
/// clustercheck changes nothing; with `--http`, the order does not matter.
#[test]
fn servers_stay_up_in_the_documented_order() {
    let scratch = Scratch::new("clustercheck-order");
    let block = Block::claim();
    let node = Node::start(&scratch, &block);
    let states = StateDirectory::at(scratch.directory("state"));
    let mut collector = node.collect(&scratch, &states);
    collector.wait_for_plan(&states, "mysql", |plan| plan.fresh.starts_with("up 100%"));
    let addresses: Vec<SocketAddr> = (0..3).map(|_| block.address(9200)).collect();
    let script = format!(
        "{} {}",
        workspace().join("bench/clustercheck.sh").display(),
        node.options.display()
    );
    let responder = |arguments: &str| {
        let program = scratch.program(&responder());
        let directory = states.path().display();
        format!(
            "{} mysql {arguments} --state-dir {directory}",
            program.display()
        )
    };
    let xinetd = Xinetd::start(&scratch, &entries(&addresses, &script), &addresses);
    let mut backends = Vec::new();
    let names: Vec<(String, String)> = (1..=3)
        .map(|number| (format!("http{number}"), format!("agent{number}")))
        .collect();
    for ((http, agent), address) in names.iter().zip(&addresses) {
        let (ip, port) = (address.ip(), address.port());
        let check = format!("check addr {ip} port {port} inter 200");
        backends.push((http.as_str(), "option httpchk", check));
        let check = format!(
            "weight 100 agent-check agent-addr {ip} agent-port {port} agent-inter 200 agent-send \"mysql\\n\""
        );
        backends.push((agent.as_str(), "balance roundrobin", check));
    }
    let haproxy = Balancer::start(&scratch, &backends);
    // clustercheck: the HTTP checks pass, and its answer changes nothing for an agent-check.
    for (http, agent) in &names {
        haproxy.wait_for(http, "check_status", "L7OK");
        haproxy.wait_for(agent, "agent_status", "CHECKED");
        assert_eq!(haproxy.server(agent)["status"], "no check");
        assert_eq!(haproxy.server(agent)["weight"], "100");
    }
    let downs = |backend: &str| haproxy.server(backend)["chkdown"].clone();
    // The responder with --http takes the script's place: both kinds of checks pass.
    xinetd.replace(&entries(&addresses, &responder("--http")));
    for (_, agent) in &names {
        haproxy.wait_for(agent, "agent_status", "L7OK");
    }
    node.query("SET GLOBAL wsrep_desync = ON");
    for (http, agent) in &names {
        haproxy.wait_for(http, "status", "DOWN");
        haproxy.wait_for(agent, "status", "DOWN");
        // The only time that the server went down.
        assert_eq!(downs(http), "1", "{http}");
    }
    node.query("SET GLOBAL wsrep_desync = OFF");
    for (http, agent) in &names {
        haproxy.wait_for(http, "status", "UP");
        haproxy.wait_for(agent, "agent_status", "L7OK");
    }
    // Without --http, while the balancer still asks over HTTP: every server goes down.
    xinetd.replace(&entries(&addresses, &responder("")));
    for (http, agent) in &names {
        haproxy.wait_for(http, "status", "DOWN");
        haproxy.wait_for(http, "check_status", "L7RSP");
        assert_eq!(haproxy.server(agent)["status"], "no check");
    }
    println!("{} servers", names.len());
}

/// The example's units under systemd: an HTTP check and an agent-check have their answers on port 9200.
#[test]
fn socket_unit_serves_old_http_checks() {
    let scratch = Scratch::new("clustercheck-units");
    let block = Block::claim();
    let address = block.address(9200);
    let tree = installed(&scratch);
    for unit in ["agentcheck@.service", "agentcheck@mysql.socket"] {
        let text = example(unit).replace("192.0.2.11", &address.ip().to_string());
        put(&tree, &format!("etc/systemd/system/{unit}"), &text);
    }
    let systemd = Systemd::boot(&scratch, &tree);
    let states = StateDirectory::at(systemd.path("/run/agentcheck"));
    let line = format!("up 100% # {SYNCED}");
    states.set_reply("mysql", &line);
    systemd.run(&["systemctl", "enable", "--now", "agentcheck@mysql.socket"]);
    wait_until("port 9200", || is_listening(address));
    assert_eq!(get(address), (200, line));
    states.set_reply("mysql", &format!("down 100% # {NOT_SYNCED}"));
    assert_eq!(get(address), (503, format!("down 100% # {NOT_SYNCED}")));
    assert_eq!(
        systemd.property("agentcheck@mysql.service", "NRestarts"),
        "0"
    );
}
