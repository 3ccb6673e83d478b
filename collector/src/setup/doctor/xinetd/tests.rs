use super::super::Severity;
use super::*;

const SHIPPED: &str = include_str!("../../../../../xinetd/agentcheck");

fn findings_for(text: &str, probes: u64, defaults: &str) -> Vec<Finding> {
    let files = [
        (
            "xinetd.conf".to_owned(),
            format!("defaults\n{{\n{defaults}\n}}\nincludedir /etc/xinetd.d\n"),
        ),
        ("agentcheck".to_owned(), text.to_owned()),
    ];
    let host = Host {
        can_run: &|path| path == "/usr/bin/agentcheck-responder",
        has_user: &|name| name == "nobody",
        is_running: true,
        probes,
    };
    findings(&parse(&files), &[3333], &host)
}

fn with(key: &str, value: &str) -> String {
    let lines = SHIPPED.lines().map(|line| {
        let name = line.split('=').next().unwrap_or_default().trim();
        if name == key {
            format!("\t{key} = {value}")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn without(key: &str) -> String {
    let lines = SHIPPED
        .lines()
        .filter(|line| !line.trim().starts_with(&format!("{key} ")));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn shipped_file_gives_no_warning() {
    let found = findings_for(SHIPPED, 1_000_000, "");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].severity, Severity::Ok);
}

#[test]
fn mistakes_are_found() {
    use Severity::{Error, Note, Warning};
    for (text, probes, defaults, severity, part) in [
        (with("disable", "yes"), 1, "", Note, "disabled"),
        (with("wait", "yes"), 1, "", Error, "never starts the server"),
        (with("server", "/nowhere"), 1, "", Error, "/nowhere"),
        (with("user", "ghost"), 1, "", Error, "ghost"),
        (with("cps", "50 10"), 30, "", Warning, "cps 50 10"),
        (without("cps"), 30, "", Warning, "cps 50 10"),
        (without("cps"), 30, "cps = 20 30", Warning, "cps 20 30"),
        (with("instances", "5"), 1, "", Warning, "instances 5"),
        (
            without("per_source"),
            20,
            "per_source = 10",
            Warning,
            "per_source 10",
        ),
        (
            with("bind", "127.0.0.1 10.0.0.11"),
            1,
            "",
            Warning,
            "listens on every address",
        ),
        (
            without("bind"),
            1,
            "interface = 127.0.0.1 ::1",
            Warning,
            "listens on every address",
        ),
        (with("port", "3334"), 1, "", Note, "port 3334"),
        (
            SHIPPED.replace("wait            = no", "wait=no"),
            1,
            "",
            Error,
            "no blanks",
        ),
    ] {
        let found = findings_for(&text, probes, defaults);
        assert_eq!(found.len(), 1, "{part}: {found:?}");
        assert_eq!(found[0].severity, severity, "{found:?}");
        assert!(found[0].what.contains(part), "{found:?}");
    }
    let open = with("bind", "0.0.0.0").replace("only_from       = 127.0.0.1", "");
    assert!(findings_for(&open, 1, "")[0].what.contains("no only_from"));
    let both = with("bind", "127.0.0.1 ::1").replace("only_from       = 127.0.0.1", "");
    let found = findings_for(&both, 1, "");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].what.contains("no only_from"), "{found:?}");
}

#[test]
fn addresses_are_those_of_enabled_entries() {
    let at = |text: &str| {
        let files = [("agentcheck".to_owned(), text.to_owned())];
        let found = addresses(&parse(&files), 3333);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(at(SHIPPED), ["127.0.0.1:3333"]);
    assert_eq!(at(&with("bind", "10.0.0.11")), ["10.0.0.11:3333"]);
    assert_eq!(at(&with("port", "3334")), ["127.0.0.1:3334"]);
    assert_eq!(at(&without("bind")), ["[::]:3333"]);
    assert_eq!(at(&with("bind", "10.0.0.11 127.0.0.1")), ["[::]:3333"]);
    assert_eq!(at(&with("bind", "web1.example.org")), none);
    assert_eq!(at(&with("disable", "yes")), none);
    let own = with("port", "3334").replace("service agentcheck", "service agentcheck-api");
    assert_eq!(at(&own), none);
}

#[test]
fn sufficient_limits_give_no_warning() {
    assert_eq!(
        findings_for(&with("cps", "50 10"), 4, "")[0].severity,
        Severity::Ok
    );
    assert_eq!(
        findings_for(&with("per_source", "100"), 4, "")[0].severity,
        Severity::Ok
    );
}

#[test]
fn other_services_are_ignored_and_a_stopped_xinetd_is_found() {
    assert_eq!(findings_for("service echo\n{\n\tport = 7\n}\n", 1, ""), []);
    let files = [("agentcheck".to_owned(), SHIPPED.to_owned())];
    let host = Host {
        can_run: &|_| true,
        has_user: &|_| true,
        is_running: false,
        probes: 1,
    };
    let found = findings(&parse(&files), &[3333], &host);
    assert!(found[0].what.contains("xinetd does not run"));
}
