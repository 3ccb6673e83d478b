//! The steps of docs/monitoring.md under a real systemd, with the shipped unit and Debian's unit of
//! `node_exporter`, each with its own rights.

use super::series::value;
use agentcheck_tests::address::{Block, is_listening};
use agentcheck_tests::processes::{program, wait_for, wait_until};
use agentcheck_tests::prometheus::scrape;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::{Systemd, installed, put};

const COLLECTOR: &str = "agentcheck-collector.service";
const EXPORTER: &str = "prometheus-node-exporter.service";

#[test]
fn packaged_node_exporter_reads_what_the_shipped_unit_writes() {
    let _ = program("prometheus-node-exporter", "prometheus-node-exporter");
    let scratch = Scratch::new("installed");
    let tree = installed(&scratch);
    let write = |inside: &str, text: &str| put(&tree, inside, text);
    let document = include_str!("../../../docs/monitoring.md");
    let table = "[metrics]\ntextfile = \"/run/agentcheck/agentcheck.prom\"\n";
    assert!(document.contains(table));
    let link = "ln -s /run/agentcheck/agentcheck.prom /var/lib/prometheus/node-exporter/";
    assert!(document.contains(link));
    write(
        "etc/agentcheck/agentcheck.toml",
        &format!("{table}interval = \"1s\"\n[service.web]\nweight = \"73\"\n"),
    );
    let block = Block::claim();
    let address = block.address(9100);
    write(
        "etc/default/prometheus-node-exporter",
        &format!("ARGS=\"--web.listen-address={address}\"\n"),
    );
    let systemd = Systemd::boot(&scratch, &tree);
    // The link first: it leads nowhere, as after a reboot.
    systemd.run(&["sh", "-c", link]);
    systemd.run(&["systemctl", "start", EXPORTER]);
    wait_until("node_exporter to listen", || is_listening(address));
    let before = scrape(address);
    assert_eq!(value(&before, "node_textfile_scrape_error"), Some(1.0));
    assert!(
        value(&before, "node_boot_time_seconds").is_some(),
        "{before}"
    );
    systemd.run(&["systemctl", "start", COLLECTOR]);
    let weight = "agentcheck_service_weight_ratio{service=\"web\"}";
    let after = wait_for("the metrics to be scraped", || {
        let text = scrape(address);
        if value(&text, weight) == Some(0.73) {
            Ok(text)
        } else {
            Err(text)
        }
    });
    assert_eq!(value(&after, "node_textfile_scrape_error"), Some(0.0));
    // Stopped: the file stays, and grows older.
    systemd.run(&["systemctl", "stop", COLLECTOR]);
    let file =
        "node_textfile_mtime_seconds{file=\"/var/lib/prometheus/node-exporter/agentcheck.prom\"}";
    let stamp = || value(&scrape(address), file);
    let stopped = stamp().expect("the file is read");
    assert_eq!(stamp(), Some(stopped));
    systemd.run(&["systemctl", "start", COLLECTOR]);
    wait_until("it to be written again", || stamp() > Some(stopped));
}
