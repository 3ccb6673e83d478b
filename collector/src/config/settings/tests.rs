//! The tables of keys, the manual and examples/reference.toml agree. `SNAPSHOTS=overwrite` writes the rows of
//! the manual.

use super::*;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A section, its page of docs/configuration, the headings of its tables, and the form of its table in
/// examples/reference.toml.
const PAGES: [(&Section, &str, &[&str], &str); 13] = [
    (&TOP, "files-and-permissions.md", &["## Top-level keys"], ""),
    (
        &METRICS,
        "files-and-permissions.md",
        &["## Metrics file"],
        "[metrics]",
    ),
    (
        &PAGE,
        "files-and-permissions.md",
        &["## Web page"],
        "[page]",
    ),
    (
        &SERVICE,
        "services-and-rules.md",
        &[
            "## Keys of a service",
            "## Shaping a weight",
            "## Connection limit",
        ],
        "[service.",
    ),
    (
        &CAPACITY,
        "services-and-rules.md",
        &["## Weight by capacity"],
        ".capacity]",
    ),
    (&RULE, "services-and-rules.md", &["## Rules"], "[[service."),
    (
        &DERIVE,
        "expressions.md",
        &["## Derived numbers"],
        "[derive.",
    ),
    (
        &sources::HTTP,
        "sources.md",
        &[EVERY, FORMATS, "## http"],
        "[source.",
    ),
    (
        &sources::FILE,
        "sources.md",
        &[EVERY, FORMATS, "## file"],
        "[source.",
    ),
    (
        &sources::COMMAND,
        "sources.md",
        &[EVERY, FORMATS, "## command"],
        "[source.",
    ),
    (
        &sources::STREAM,
        "sources.md",
        &[EVERY, FORMATS, "## stream"],
        "[source.",
    ),
    (
        &sources::TCP,
        "sources.md",
        &[EVERY, FORMATS, "## tcp"],
        "[source.",
    ),
    (
        &sources::SYSTEM,
        "sources.md",
        &[EVERY, "## system"],
        "[source.",
    ),
];

const EVERY: &str = "## Keys of every source";
const FORMATS: &str = "## Formats";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The row of a key. The table of system metrics has a column more, which remains as it is in `line`.
fn row(setting: &Setting, line: &str) -> String {
    let Setting {
        key,
        kind,
        default,
        doc,
        ..
    } = setting;
    let cells: Vec<&str> = line.split(" | ").collect();
    match cells.as_slice() {
        [_, metrics, _, _, _] => format!("| `{key}` | {metrics} | {kind} | {default} | {doc} |"),
        _ => format!("| `{key}` | {kind} | {default} | {doc} |"),
    }
}

/// The rows below headings, as line numbers; a table ends with the line that is no row.
fn rows(page: &[String], headings: &[&str]) -> Vec<usize> {
    let mut found = Vec::new();
    for heading in headings {
        let start = page.iter().position(|line| line == heading);
        let start = start.unwrap_or_else(|| panic!("there is no heading {heading:?}"));
        let section = page.iter().enumerate().skip(start + 1);
        let lines = section.take_while(|(_, line)| !line.starts_with("## "));
        let all: Vec<(usize, &String)> = lines.collect();
        let header = all.iter().position(|(_, line)| line.starts_with("| key "));
        let table = all.iter().skip(header.expect("there is a table") + 2);
        found.extend(table.map_while(|(at, line)| line.starts_with("| ").then_some(*at)));
    }
    found
}

#[test]
fn manual_has_the_row_of_every_key() {
    let bless = std::env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite");
    let mut wrong = Vec::new();
    for (section, page, headings, _) in PAGES {
        let file = root().join("docs/configuration").join(page);
        let text = std::fs::read_to_string(&file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut documented = BTreeSet::new();
        for at in rows(&lines, headings) {
            let key = lines[at].split('`').nth(1).unwrap_or_default().to_owned();
            let Some(setting) = section.setting(&key) else {
                wrong.push(format!("{page}: {key:?} is no key of {}", section.header));
                continue;
            };
            let expected = row(setting, &lines[at]);
            if lines[at] != expected {
                wrong.push(format!("{page}: expected {expected}\nfound {}", lines[at]));
                lines[at] = expected;
            }
            documented.insert(key);
        }
        for key in section.keys().filter(|key| !documented.contains(*key)) {
            wrong.push(format!("{page}: no row for {key:?} of {}", section.header));
        }
        if bless {
            std::fs::write(&file, lines.join("\n") + "\n").unwrap();
        }
    }
    assert!(wrong.is_empty() || bless, "{}", wrong.join("\n"));
}

#[test]
fn reference_has_every_key() {
    let text = std::fs::read_to_string(root().join("examples/reference.toml")).unwrap();
    for (section, _, _, header) in PAGES {
        let mut current = "";
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if line.starts_with('[') {
                current = line;
                if let Some(child) = line.trim_matches(['[', ']']).split('.').nth(2)
                    && header == "[service."
                {
                    seen.insert(child.to_owned());
                }
                if header.is_empty() {
                    let table = line.trim_matches(['[', ']']).split('.').next();
                    seen.extend(table.map(str::to_owned));
                }
                continue;
            }
            let inside = match header {
                "" => current.is_empty(),
                ".capacity]" => current.contains(header),
                "[service." => current.starts_with(header) && !current.contains(".capacity]"),
                header => current.starts_with(header),
            };
            if let Some((key, _)) = line.split_once(" = ").filter(|_| inside) {
                seen.insert(key.to_owned());
            }
        }
        let missing: Vec<&str> = section.keys().filter(|key| !seen.contains(*key)).collect();
        assert_eq!(
            missing, [""; 0],
            "of {} in examples/reference.toml",
            section.header
        );
    }
}

/// Each default and each example is a value that the key accepts, and each synonym replaces an unknown key.
#[test]
fn defaults_and_examples_are_in_range() {
    for (section, ..) in PAGES {
        for setting in section.settings {
            let values = setting.value().into_iter().chain([setting.example]);
            for value in values.filter(|value| !value.is_empty()) {
                let name = format!("{} of {}: {value}", setting.key, section.header);
                let text = value.trim_matches(['"', '\'']);
                match &setting.kind {
                    Kind::Duration(..) | Kind::DurationOrOff(..) => {
                        let (least, most) = setting.durations();
                        let given = humantime::parse_duration(text).expect(&name);
                        assert!((least..=most).contains(&given), "{name}");
                    }
                    Kind::Integer(least, most, _) => {
                        assert!(
                            (least..=most).contains(&&text.parse().expect(&name)),
                            "{name}"
                        );
                    }
                    Kind::Number(least, most, _) => {
                        assert!(
                            (least..=most).contains(&&text.parse().expect(&name)),
                            "{name}"
                        );
                    }
                    Kind::Words(words) => assert!(words.contains(&text), "{name}"),
                    Kind::Expression(_) | Kind::Other(_) => {}
                }
            }
        }
        for (other, _) in section.synonyms {
            assert!(
                section.setting(other).is_none(),
                "{other} is a key of {}",
                section.header
            );
        }
    }
}
