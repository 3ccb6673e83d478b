//! Golden cases of `agentcheck import`: each directory of tests/golden/import contains a configuration of
//! another agent (`in.yml` of Herald, `in.xml` and `in.json` of Loadbalancer.org's agent) and the exact output
//! with the exit status. A result of status 0 loads; the warnings and the decision for a `sample.json` follow it.
//! A result of status 1 does not load, and the errors of `check` follow it.
//! `AGENTCHECK_BLESS=1` writes the output as the expected one: read the diff before you commit it.

use crate::{AGENTCHECK, agentcheck, golden};
use agentcheck::config;
use agentcheck::setup::import::{Agent, MAX_BYTES, convert};
use agentcheck::simulation::{blind_spots, sample};
use agentcheck_tests::binaries::workspace;
use agentcheck_tests::scene::stderr;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, str};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const INPUTS: [(&str, &str, Agent); 3] = [
    ("in.yml", "herald", Agent::Herald),
    ("in.xml", "loadbalancer", Agent::Loadbalancer),
    ("in.json", "loadbalancer", Agent::Loadbalancer),
];

fn imported(case: &Path) -> String {
    let input = INPUTS.iter().find(|(file, ..)| case.join(file).exists());
    let (file, agent, _) = input.unwrap_or_else(|| panic!("{case:?} has no input"));
    let output = Command::new(AGENTCHECK)
        .args(["import", agent, file])
        .current_dir(case)
        .output()
        .unwrap();
    let made = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let status = output.status.code().expect("it was not killed");
    let mut reported = format!("{made}{stderr}exit status {status}\n");
    let loaded = config::parse(Path::new("agentcheck.toml"), &made);
    if status != 0 {
        assert_eq!(status, 1, "{case:?}: {reported}");
        assert!(!stderr.is_empty(), "{case:?}: {reported}");
        if !made.is_empty() {
            let report = loaded.expect_err("a result with undecided parts does not load");
            reported.push_str(&report.to_string());
        }
        return reported;
    }
    let (config, warnings) = loaded.unwrap_or_else(|report| panic!("{case:?}: {report}\n{made}"));
    assert!(!config.services.is_empty());
    let names = config
        .names()
        .chain(config.services.iter().map(|service| service.name.as_str()));
    assert!(
        !names.into_iter().any(|name| name == "evil"),
        "{case:?}: {made}"
    );
    reported.push_str(&warnings.to_string());
    for finding in blind_spots::find(&config) {
        reported.push_str(&format!("warning: {}\n", finding.message()));
    }
    if let Ok(text) = fs::read_to_string(case.join("sample.json")) {
        let tried = sample::try_out(&config, &text).unwrap();
        reported.push_str(&tried.text);
        assert!(tried.findings.is_empty(), "{case:?}: {:?}", tried.findings);
    }
    reported
}

#[test]
fn configurations_of_other_agents_give_the_expected_toml() {
    golden::all_as_expected("import", 33, imported);
}

#[test]
fn unreadable_file_is_named() {
    let none = imported_file("/nowhere/config.yml");
    snapshot::check(
        &none,
        &[],
        str![[r#"
/nowhere/config.yml: error: cannot read the file: No such file or directory (os error 2)

"#]],
    );
    let endless = imported_file("/dev/zero");
    snapshot::check(
        &endless,
        &[],
        str![[r#"
/dev/zero: error: cannot read the file: not a regular file

"#]],
    );
    let scratch = Scratch::new("import-unreadable");
    let large = scratch.write("large", "#".repeat(MAX_BYTES + 1));
    assert!(imported_file(large.to_str().unwrap()).contains("it has more than 262144 bytes"));
    let latin = scratch.write("latin", b"name: \xe9");
    assert!(imported_file(latin.to_str().unwrap()).contains("it is not UTF-8 from byte 6 on"));
}

/// The FIFO has no writer: a program that opens it for reading without O_NONBLOCK waits for ever.
#[test]
fn fifo_is_refused_at_once() {
    let scratch = Scratch::new("import-fifo");
    let fifo = scratch.file("config.yml");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    assert!(
        imported_file(fifo.to_str().unwrap())
            .ends_with("cannot read the file: not a regular file\n")
    );
}

/// Neither the excerpts of errors nor comments of a result pass on characters that steer a terminal or hide text.
#[test]
fn hostile_characters_of_the_file_are_not_printed() {
    let hostile = "\u{202e}\u{9b}31m\u{200b}\u{2028}";
    for text in [
        format!("plugins:\n- name: \"a{hostile}\"\n  herald_plugin_name: [{hostile}\n"),
        format!(
            "plugins:\n- name: a\n  herald_plugin_name: c\n  interval: \"x{hostile}\" # {hostile}\n"
        ),
        format!(
            "plugins:\n- name: 'a{hostile}'\n  herald_plugin_name: herald_file\n  file_path: /x\n  \"{hostile}\": '{hostile}'\n  \
             patterns: [{{up: '{hostile}('}}]\n"
        ),
    ] {
        let printed = match convert(Agent::Herald, Path::new("in"), &text) {
            Ok(imported) => imported.toml,
            Err(report) => report.to_string(),
        };
        let hidden =
            |c: char| c != '\n' && (c.is_control() || hostile.contains(c) && !c.is_ascii());
        assert!(!printed.contains(hidden), "{printed:?}");
    }
}

fn imported_file(file: &str) -> String {
    stderr(agentcheck(&["import", "herald", file]))
}

/// The configurations in docs/moving-over.md load without a warning.
#[test]
fn configurations_shown_in_the_document_load() {
    let document = workspace().join("docs/moving-over.md");
    let document = fs::read_to_string(document).unwrap();
    let sections: Vec<&str> = document
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(sections.len(), 2);
    for text in sections {
        let (config, warnings) =
            config::parse(Path::new("shown"), text).unwrap_or_else(|report| panic!("{report}"));
        assert!(warnings.rendered.is_empty(), "{warnings}");
        let found = blind_spots::find(&config);
        assert!(found.is_empty(), "{found:?}\n{text}");
    }
}

/// The result of any input loads exactly where nothing is undecided; otherwise there is an error with its line.
fn check_conversion(agent: Agent, text: &str) {
    match convert(agent, Path::new("in"), text) {
        Ok(imported) => {
            let made = &imported.toml;
            let loaded = config::parse(Path::new("out"), made);
            match (loaded, imported.undecided) {
                (Ok(_), 0) | (Err(_), 1..) => {}
                (Ok(_), count) => {
                    panic!("{count} undecided, and it loads:\n{made}\n--- of\n{text}")
                }
                (Err(report), 0) => panic!("{report}\n{made}\n--- of\n{text}"),
            }
        }
        Err(report) => {
            assert!(report.errors > 0, "{text}");
            for finding in &report.rendered {
                assert!(finding.starts_with("in:"), "{finding}");
                assert!(finding.contains(" = "), "no remedy: {finding}");
            }
        }
    }
}

#[test]
fn damaged_files_give_a_loadable_result_or_an_error() {
    let cases = workspace().join("tests/golden/import");
    let mut cases: Vec<PathBuf> = fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    for case in cases {
        for (file, _, agent) in INPUTS {
            let Ok(text) = fs::read_to_string(case.join(file)) else {
                continue;
            };
            let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            places.push(text.len());
            for at in (0..places.len()).step_by((places.len() / 5).max(1)) {
                let (before, after) = text.split_at(places[at]);
                check_conversion(agent, before);
                // A line or a character left out, and others put there.
                for length in [40, 1] {
                    let rest = &text[places[(at + length).min(places.len() - 1)]..];
                    check_conversion(agent, &format!("{before}{rest}"));
                }
                for other in ["\n", "\"", "9e999", "\u{2028}]"] {
                    check_conversion(agent, &format!("{before}{other}{after}"));
                }
            }
        }
    }
}

#[test]
fn large_files_give_a_loadable_result_or_an_error() {
    let many = |before: &str, piece: &str, after: &str| {
        let room = MAX_BYTES - before.len() - after.len();
        format!("{before}{}{after}", piece.repeat(room / piece.len()))
    };
    for text in [
        many("", "[", ""),
        many("", "{\"a\":", ""),
        many("", "- ", ""),
        many("", "? ", ""),
        many("", "a: ", ""),
        many("plugins: [", "{name: a, herald_plugin_name: b},", "]"),
        many(
            "plugins:\n",
            "- {name: a, herald_plugin_name: c, patterns: [{down: b}]}\n",
            "",
        ),
        many(
            "plugins:\n- {name: a, herald_plugin_name: c, thresholds: [",
            "{down: 1},",
            "]}",
        ),
        many(
            "plugins:\n- {name: a, herald_plugin_name: c, thresholds: [",
            "{pct: 1},",
            "]}",
        ),
        many(
            "plugins:\n- {name: a, herald_plugin_name: c, thresholds: [{pct: 1}], patterns: [",
            "{up: b},",
            "]}",
        ),
        many(
            "plugins:\n- {name: a, herald_plugin_name: c, thresholds: [{pct: 1}], patterns_metric: \"",
            "r+",
            "r\", patterns: [{up: b}]}",
        ),
        many(
            "plugins:\n- {name: a, herald_plugin_name: c, patterns: [{up: '",
            "(a?){99}",
            "'}]}",
        ),
        many(
            "plugins:\n- {name: '",
            "a",
            "', herald_plugin_name: c, patterns: [{up: b}]}",
        ),
    ] {
        check_conversion(Agent::Herald, &text);
    }
    for text in [
        many("", "<a>", ""),
        many("<xml>", "<a/>", "</xml>"),
        many("<xml><Port value=\"", "&lt;", "\"/></xml>"),
        many("<xml><Port ", "a=\"\" ", "/></xml>"),
        many(
            "<xml>",
            "<TCPService><Port value=\"1\"/></TCPService>",
            "</xml>",
        ),
        many(
            "<xml>",
            "<TCPService><Port value=\"1\"/><MaxConnections value=\"9\"/><ImportanceFactor value=\"1\"/></TCPService>",
            "</xml>",
        ),
        many("{\"monitors\":", "[", ""),
        many("{\"monitors\":{\"a\":", "{\"a\":", ""),
        format!(
            "{{{}\"b\":1}}",
            (0..20_000)
                .map(|n| format!("\"{n}\":1,"))
                .collect::<String>()
        ),
        many("{\"monitors\":{\"", "\\ud83d", "\":1}}"),
        format!(
            "{{\"monitors\":{{{}\"b\":{{\"metric-type\":\"cpu\"}}}},\"responders\":{{}}}}",
            (0..600)
                .map(|n| format!("\"m{n}\":{{\"metric-type\":\"ram\"}},"))
                .collect::<String>()
        ),
    ] {
        check_conversion(Agent::Loadbalancer, &text);
    }
    let large = convert(Agent::Herald, Path::new("in"), &"#".repeat(MAX_BYTES + 1));
    assert!(large.unwrap_err().rendered[0].contains("more than 262144 bytes"));
}
