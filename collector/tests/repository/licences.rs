//! Every linked crate has a licence and a source that deny.toml allows. `make deny` has cargo-deny check the same
//! file, the texts of the licences and advisories; this test needs only cargo, so every test run checks it.
//! packaging/third-party-licences.txt has the texts that the programs need.

use agentcheck_tests::binaries::workspace;
use agentcheck_tests::snapshot;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use toml::de::{DeTable, DeValue};

/// The strings of a list in deny.toml; of a list of tables, those with the key `crate`.
fn list(text: &str, section: &str, key: &str) -> Vec<String> {
    let table = DeTable::parse(text).unwrap().into_inner();
    let section = table[section].get_ref().as_table().unwrap();
    let values = section[key].get_ref().as_array().unwrap().clone();
    let string = |value: &DeValue<'_>| -> String {
        let named = value.as_table().map(|table| table["crate"].get_ref());
        named.unwrap_or(value).as_str().unwrap().to_owned()
    };
    values.iter().map(|value| string(value.get_ref())).collect()
}

/// The packages that are built for a target, but for our own, as cargo describes them.
fn packages(target: &str) -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", target])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter().cloned();
    let others: Vec<_> = packages
        .filter(|package| !package["source"].is_null())
        .collect();
    assert!(others.len() > 50, "cargo names {} packages", others.len());
    others
}

/// Whether one may do with `expression` (SPDX) what the licences in `allowed` permit.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // "/" is how "OR" used to be written.
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let allows = any(&mut rest, allowed);
    assert!(rest.is_empty(), "{expression}: {rest:?} is left");
    allows
}

fn any(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut allows = all(rest, allowed);
    while let Some(("OR", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        *rest = after;
        allows |= all(rest, allowed);
    }
    allows
}

fn all(rest: &mut &[&str], allowed: &[String]) -> bool {
    let mut allows = one(rest, allowed);
    while let Some(("AND", after)) = rest.split_first().map(|(first, after)| (*first, after)) {
        *rest = after;
        allows &= one(rest, allowed);
    }
    allows
}

fn one(rest: &mut &[&str], allowed: &[String]) -> bool {
    let (first, after) = rest.split_first().expect("a licence");
    *rest = after;
    if *first == "(" {
        let allows = any(rest, allowed);
        assert_eq!(rest.first(), Some(&")"));
        *rest = &rest[1..];
        return allows;
    }
    let mut name = (*first).to_owned();
    if let ["WITH", exception, after @ ..] = *rest {
        name = format!("{name} WITH {exception}");
        *rest = after;
    }
    allowed.contains(&name)
}

#[test]
fn linked_crates_have_allowed_licences_and_sources() {
    let text = std::fs::read_to_string(workspace().join("deny.toml")).unwrap();
    let licences = list(&text, "licenses", "allow");
    let banned = list(&text, "bans", "deny");
    let registries = list(&text, "sources", "allow-registry");
    let mut wrong = Vec::new();
    for target in list(&text, "graph", "targets") {
        for package in packages(&target) {
            let field = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
            let (name, licence) = (field("name"), field("license"));
            if !is_allowed(&licence, &licences) {
                wrong.push(format!("{name}: licence {licence:?}"));
            }
            if banned.contains(&name) {
                wrong.push(format!("{name} is banned"));
            }
            let source = field("source");
            let registry = source.strip_prefix("registry+").unwrap_or_default();
            if !registries.iter().any(|known| known == registry) {
                wrong.push(format!("{name} is from {source}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn licence_expressions_follow_spdx() {
    let allowed = ["MIT", "ISC"].map(str::to_owned);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("ISC AND MIT", true),
        // AND binds closer.
        ("MIT OR ISC AND GPL-3.0-only", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("GPL-3.0-only AND (MIT OR ISC) OR ISC", true),
        ("MIT WITH LLVM-exception", false),
        ("MIT WITH LLVM-exception OR ISC", true),
    ] {
        assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
    }
}

/// Where the texts are that go along with the programs.
const TEXTS: &str = "packaging/third-party-licences.txt";

/// A file with a licence in it, or with who has the rights.
fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let begins = ["licen", "copying", "copyright", "notice", "unlicen"];
    begins.iter().any(|begin| name.starts_with(begin)) && !name.ends_with(".rs")
}

/// The licence files of a package, by their paths in it.
fn licence_files(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                // No program contains these.
                if !["tests", "benches", "examples", "fuzz"].contains(&name.as_str()) {
                    left.push(path);
                }
            } else if is_licence(&name) {
                let text = std::fs::read_to_string(&path).unwrap();
                let within = path.strip_prefix(directory).unwrap();
                found.insert(within.to_str().unwrap().to_owned(), text);
            }
        }
    }
    found
}

/// The beginning of MIT's text that follows on the copyright.
const MIT: &str = "Permission is hereby granted, free of charge";

/// What has to go along of a package: where MIT is enough and there, none of the licences instead of it.
fn needed(expression: &str, mut files: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_mit = |text: &String| text.contains(MIT);
    if is_allowed(expression, &["MIT".to_owned()]) && files.values().any(is_mit) {
        let instead = |name: &str| {
            let name = name.to_ascii_lowercase();
            ["apache", "unlicense", "isc"]
                .iter()
                .any(|other| name.contains(other))
        };
        files.retain(|name, _| !instead(name));
    }
    files
}

/// The crates that are linked into the programs, by name and version, without those that only run during the build.
fn linked(target: &str) -> BTreeSet<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", "agentcheck", "--target", target])
        .args(["--edges", "normal,no-proc-macro"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let package = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let version = words.next()?.strip_prefix('v')?.to_owned();
        (!name.starts_with("agentcheck")).then_some((name, version))
    };
    text.lines().filter_map(package).collect()
}

/// A text by which it is known again, however its lines are broken.
fn words_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// MIT's text, without whose it is.
fn mit() -> String {
    let ours = std::fs::read_to_string(workspace().join("LICENSE-MIT")).unwrap();
    ours[ours.find(MIT).unwrap()..].to_owned()
}

/// All texts, each with those whose it is.
fn third_parties() -> String {
    let config = std::fs::read_to_string(workspace().join("deny.toml")).unwrap();
    let mut texts: BTreeMap<String, (BTreeSet<String>, String)> = BTreeMap::new();
    let mut add = |whose: String, text: &str| {
        let (all, _) = texts
            .entry(words_of(text))
            .or_insert_with(|| (BTreeSet::new(), text.to_owned()));
        all.insert(whose);
    };
    add(
        "Rust's standard library".to_owned(),
        &format!("Copyright (c) The Rust Project Contributors\n\n{}", mit()),
    );
    for target in list(&config, "graph", "targets") {
        let described = packages(&target);
        for (name, version) in linked(&target) {
            let is_it = |package: &&Value| package["name"] == name && package["version"] == version;
            let package = described.iter().find(is_it).expect("a package");
            let expression = package["license"].as_str().unwrap();
            let manifest = Path::new(package["manifest_path"].as_str().unwrap());
            let files = needed(expression, licence_files(manifest.parent().unwrap()));
            for text in files.values() {
                add(format!("{name} {version} ({expression})"), text);
            }
            if files.is_empty() {
                // MIT requires no more than this text.
                let is_mit = is_allowed(expression, &["MIT".to_owned()]);
                assert!(is_mit, "{name} has no text of its licence");
                let authors = package["authors"].as_array().unwrap().iter();
                let authors: Vec<&str> = authors.filter_map(Value::as_str).collect();
                let whose = format!("Copyright (c) {}", authors.join(", "));
                add(
                    format!("{name} {version} ({expression}), by its package"),
                    &format!("{whose}\n\n{}", mit()),
                );
            }
        }
    }
    let mut sorted: Vec<_> = texts.into_values().collect();
    sorted.sort();
    let mut whole =
        "The licences of what is linked into agentcheck, beside agentcheck itself; where there is \
                     a choice, MIT's.\nThose of the parts of Rust's standard library come with Rust: \
                     share/doc/rust/COPYRIGHT-library.html.\nOf others agentcheck-responder holds \
                     nothing but what it uses of Rust's core library.\n"
            .to_owned();
    for (whose, text) in sorted {
        whole += &format!("\n{}\n", "=".repeat(80));
        whole.extend(whose.into_iter().map(|one| one + "\n"));
        whole += &format!("{}\n\n", "-".repeat(80));
        let text = text.trim_end().trim_start_matches(['\n', '\r']);
        whole.extend(text.lines().map(|line| line.trim_end().to_owned() + "\n"));
    }
    whole
}

/// `SNAPSHOTS=overwrite` writes them.
#[test]
fn licence_texts_match_the_linked_crates() {
    let compared = snapshot::compare(&third_parties(), &workspace().join(TEXTS));
    assert!(compared.is_ok(), "{}", compared.unwrap_err());
}

/// `wildcards = "deny"`: every dependency on a registry has a version.
#[test]
fn no_dependency_has_a_wildcard_version() {
    let config = std::fs::read_to_string(workspace().join("deny.toml")).unwrap();
    let config = DeTable::parse(&config).unwrap().into_inner();
    let bans = config["bans"].get_ref().as_table().unwrap();
    assert_eq!(bans["wildcards"].get_ref().as_str(), Some("deny"));
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--no-deps"])
        .current_dir(workspace())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let dependencies = metadata["packages"].as_array().unwrap().iter();
    let dependencies: Vec<&Value> = dependencies
        .flat_map(|package| package["dependencies"].as_array().unwrap())
        .filter(|dependency| !dependency["source"].is_null())
        .collect();
    assert!(dependencies.len() > 20, "{}", dependencies.len());
    for dependency in dependencies {
        assert_ne!(dependency["req"], "*", "{}", dependency["name"]);
    }
}
