//! The output of `systemd-analyze` for the units, as they ship and with each optional drop-in.

use super::{OPTIONAL, enable};
use agentcheck_tests::processes::{output, run};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::{installed, other_root, tool, version};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Where the units are installed.
const UNITS: &str = "usr/lib/systemd/system";
const POLL_LIMIT: &str = "agentcheck-inetd.socket.d/poll-limit.conf";

/// A service, the drop-in that is enabled, and the worst score that it may have then.
const SCORES: [(&str, Option<&str>, f64); 5] = [
    ("agentcheck-collector.service", None, 1.1),
    (
        "agentcheck-collector.service",
        Some("agentcheck-collector.service.d/commands-as-another-user.conf"),
        2.3,
    ),
    ("agentcheck.service", None, 0.3),
    ("agentcheck-inetd@.service", None, 2.5),
    (
        "agentcheck-inetd@.service",
        Some("agentcheck-inetd@.service.d/tight.conf"),
        0.2,
    ),
];

/// The name of an instance, where `unit` is a template.
fn instance(unit: &str) -> String {
    unit.replace("@.", "@probe.")
}

fn score(root: &Path, unit: &str) -> f64 {
    let report = run(tool("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--root={}", root.display()))
        .arg(unit)
        .env("LC_ALL", "C.UTF-8"));
    let last = report.lines().last().unwrap();
    let (_, score) = last.split_once(&format!("for {unit}: ")).unwrap();
    score.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn security_scores_are_as_documented() {
    for (unit, drop_in, worst) in SCORES {
        let scratch = Scratch::new("scores");
        let root = installed(&scratch);
        let claims = match drop_in {
            Some(drop_in) => {
                enable(&root, drop_in);
                root.join(OPTIONAL).join(drop_in)
            }
            None => root.join(UNITS).join(unit),
        };
        let score = score(&root, &instance(unit));
        println!("{unit} {drop_in:?}: {score}");
        assert!(score <= worst, "{unit} {drop_in:?}: {score}, not {worst}");
        let claims = fs::read_to_string(claims).unwrap();
        assert!(claims.contains(&format!("score {score:.1}")), "{claims}");
    }
}

/// Every drop-in that ships.
fn drop_ins(root: &Path) -> Vec<String> {
    let root = root.join(OPTIONAL);
    let found = run(Command::new("find")
        .arg(&root)
        .args(["-type", "f", "-printf", "%P\n"]));
    let mut found: Vec<_> = found.lines().map(str::to_owned).collect();
    found.sort();
    found
}

#[test]
fn every_service_drop_in_has_a_documented_score() {
    let scratch = Scratch::new("claimed");
    let of_services = drop_ins(&installed(&scratch));
    let of_services = of_services
        .iter()
        .filter(|drop_in| drop_in.contains(".service.d/"));
    let mut claimed: Vec<_> = SCORES
        .iter()
        .filter_map(|(_, drop_in, _)| *drop_in)
        .collect();
    claimed.sort_unstable();
    assert_eq!(of_services.collect::<Vec<_>>(), claimed);
}

/// What the systemd that judges needs to know about.
fn add_the_hosts_units(root: &Path) {
    let host = other_root().unwrap_or_else(|| "/".into());
    run(Command::new("cp")
        .arg("-a")
        .arg(host.join("lib/systemd/system/."))
        .arg(root.join(UNITS)));
    // The collector's unit starts it.
    let tmpfiles = "usr/bin/systemd-tmpfiles";
    fs::copy(host.join(tmpfiles), root.join(tmpfiles)).unwrap();
}

/// All of its output. It ends with status 0 even for an unknown key, so any output is a failure.
fn verify(root: &Path) -> String {
    let services = SCORES.iter().map(|(unit, _, _)| instance(unit));
    let sockets = ["agentcheck.socket", "agentcheck-inetd.socket"].map(str::to_owned);
    let output = output(
        tool("systemd-analyze")
            .arg("verify")
            .arg(format!("--root={}", root.display()))
            .args(services.chain(sockets)),
    );
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn systemd_analyze_verify_accepts_units_and_drop_ins() {
    let scratch = Scratch::new("verify");
    let root = installed(&scratch);
    add_the_hosts_units(&root);
    assert_eq!(verify(&root), "");
    for drop_in in drop_ins(&root) {
        enable(&root, &drop_in);
        let printed = verify(&root);
        if drop_in == POLL_LIMIT && version() < 255 {
            // As the drop-in's comment describes.
            let unknown = |line: &str| line.contains("Unknown key 'PollLimitIntervalSec'");
            assert!(
                !printed.is_empty() && printed.lines().all(unknown),
                "{printed}"
            );
        } else {
            assert_eq!(printed, "", "{drop_in}");
        }
        fs::remove_file(root.join(super::OPERATOR).join(&drop_in)).unwrap();
    }

    // A missing program is an error, so the check above could fail.
    fs::remove_file(root.join("usr/bin/agentcheck-responder")).unwrap();
    let printed = verify(&root);
    assert!(printed.contains("agentcheck-responder"), "{printed:?}");
}
