//! xinetd with the generated file.

use super::{LINES, all_answer, at, printed, wait_for_listeners, write_states};
use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::binaries;
use agentcheck_tests::processes::{Running, output, program, wait_until};
use agentcheck_tests::raw_probe::{Received, probe};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A running xinetd that includes a directory with the file `services`, as in a distribution, and its log.
fn xinetd(scratch: &Scratch, services: String) -> (Running, PathBuf) {
    xinetd_within(&["env"], scratch, services)
}

/// The same, started by another program.
fn xinetd_within(by: &[&str], scratch: &Scratch, services: String) -> (Running, PathBuf) {
    let directory = scratch.directory("xinetd.d");
    fs::write(directory.join("agentcheck"), services).unwrap();
    let log = scratch.file("xinetd.log");
    let file = format!(
        "defaults\n{{\n\tlog_type = FILE {}\n}}\nincludedir {}\n",
        log.display(),
        directory.display()
    );
    let file = scratch.write("xinetd.conf", file);
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(program("xinetd", "xinetd"));
    command.arg("-dontfork").arg("-filelog").arg(&log);
    command.arg("-f").arg(file);
    command.arg("-pidfile").arg(scratch.file("xinetd.pid"));
    (Running::start(scratch, "xinetd", &mut command), log)
}

#[test]
fn xinetd_serves_the_generated_file() {
    let block = Block::claim();
    let scratch = Scratch::new("units-xinetd");
    let address = block.address(3333).ip();
    let states = StateDirectory::at(scratch.directory("state"));
    write_states(&states);
    // xinetd takes one address for a service, so that each has its own section.
    let other = block.address(3333).ip();
    let services = printed(&scratch, "xinetd", &[address, other], &states);
    assert_eq!(services.matches("\nservice ").count(), 6, "{services}");
    let (mut xinetd, log) = xinetd(&scratch, services);
    wait_for_listeners(other);
    all_answer(other);
    wait_for_listeners(address);
    all_answer(address);
    // On these two, and on no other one.
    let elsewhere = block.address(3333);
    assert!(!is_listening(elsewhere), "{elsewhere}");
    // More than its default of 50 a second.
    for _ in 0..120 {
        let received = probe(at(address, 3335), b"").unwrap();
        assert_eq!(received, Received::line(LINES[3].1), "{}", received.text());
    }
    // The doctor probes each service on its port.
    let checked = output(
        Command::new(binaries::collector())
            .args(["doctor", "--config"])
            .arg(scratch.file("agentcheck.toml"))
            .arg("--state-dir")
            .arg(states.path())
            .args(["--agent", &at(address, 3333).to_string()]),
    );
    let checked = String::from_utf8(checked.stdout).unwrap();
    for (asked, (_, line)) in [
        "agent-send \"web\\n\"",
        "agent-send \"shop\\n\"",
        "port 3334 for api",
        "port 3335 for 1.my-db_2",
    ]
    .into_iter()
    .zip(LINES)
    {
        let probed = format!("ok      probe: {asked}: {line}, after ");
        assert!(checked.contains(&probed), "{checked}");
    }
    let server =
        "server api ADDRESS:PORT check weight 100 agent-check agent-port 3334 agent-inter 2s\n";
    assert!(checked.contains(server), "{checked}");
    let printed = fs::read_to_string(&log).unwrap_or_default();
    assert!(
        !printed.contains("ERROR") && !printed.contains("WARNING"),
        "{printed}"
    );
    assert!(xinetd.is_running());
}

/// What the doctor warns of: two addresses in one `bind`. In a network of its own, of which every address is
/// free.
#[test]
fn xinetd_drops_a_bind_of_two_addresses() {
    let scratch = Scratch::new("units-xinetd-bind");
    let states = StateDirectory::at(scratch.directory("state"));
    write_states(&states);
    let services = printed(&scratch, "xinetd", &["127.0.0.1".parse().unwrap()], &states);
    let both = services.replace(
        "bind            = 127.0.0.1\n",
        "bind            = 127.0.0.1 127.0.0.2\n",
    );
    assert_eq!(both.matches(" 127.0.0.2\n").count(), 3, "{both}");
    let network = ["unshare", "--net"];
    let (mut xinetd, log) = xinetd_within(&network, &scratch, both);
    // 3335, on 0.0.0.0 or on ::, where it listens.
    let wanted = ["00000000:0D07", "00000000000000000000000000000000:0D07"];
    wait_until("xinetd on every address", || {
        let tables = ["tcp", "tcp6"].map(|table| format!("/proc/{}/net/{table}", xinetd.pid()));
        let tables = tables.map(|table| fs::read_to_string(table).unwrap());
        let lines = tables.iter().flat_map(|table| table.lines());
        let mut words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
        words.any(|words| words[3] == "0A" && wanted.contains(&words[1]))
    });
    let printed = fs::read_to_string(&log).unwrap();
    let warned = "WARNING: attribute bind expects 1 values and 2 values were specified";
    assert_eq!(printed.matches(warned).count(), 3, "{printed}");
    assert!(xinetd.is_running());
}
