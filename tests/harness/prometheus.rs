//! Prometheus's own: `node_exporter` with its textfile collector alone, and `promtool`, which checks metrics
//! and rules.

use crate::binaries;
use crate::processes::{Running, program, run, wait_until};
use crate::scratch::Scratch;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running `prometheus-node-exporter`.
#[derive(Debug)]
pub struct NodeExporter {
    address: SocketAddr,
    process: Running,
}

impl NodeExporter {
    /// Starts one that reads the `*.prom` files in `directory`, and waits until it answers.
    ///
    /// # Panics
    /// Where it ends.
    #[must_use]
    pub fn start(scratch: &Scratch, address: SocketAddr, directory: &Path) -> Self {
        let package = "prometheus-node-exporter";
        let mut command = Command::new(program(package, package));
        command
            .arg(format!("--web.listen-address={address}"))
            .arg("--collector.disable-defaults")
            .arg("--collector.textfile")
            .arg(format!(
                "--collector.textfile.directory={}",
                directory.display()
            ));
        let mut exporter = Self {
            address,
            process: Running::start(scratch, "node-exporter", &mut command),
        };
        wait_until("node_exporter to listen", || {
            assert!(
                exporter.process.is_running(),
                "it ended: {}",
                exporter.process.log()
            );
            crate::address::is_listening(address)
        });
        exporter
    }

    /// What Prometheus would get of it.
    #[must_use]
    pub fn scrape(&self) -> String {
        scrape(self.address)
    }
}

/// What Prometheus would get of an exporter.
///
/// # Panics
/// Where it gives nothing.
#[must_use]
pub fn scrape(address: SocketAddr) -> String {
    let url = format!("http://{address}/metrics");
    run(Command::new(program("curl", "curl")).args(["-sSf", &url]))
}

/// The command `promtool`, as `tests/install-deps.sh` has unpacked it.
///
/// # Panics
/// Where it is not there.
#[must_use]
pub fn promtool() -> Command {
    let program: PathBuf = binaries::target().join("test-programs/prometheus/usr/bin/promtool");
    assert!(
        program.is_file(),
        "promtool is not unpacked: run tests/install-deps.sh (apt-get download prometheus)"
    );
    Command::new(program)
}
