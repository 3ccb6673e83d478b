//! What is built in has a licence, and comes from a place, that deny.toml allows. `make deny` has
//! cargo-deny look at the same file, at the texts of the licences and at advisories too; this needs
//! nothing but cargo, so that every test run holds to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)] // a test says what it expects in the shortest way

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::de::{DeTable, DeValue};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

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
        .current_dir(root())
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
fn what_is_built_in_is_allowed() {
    let text = std::fs::read_to_string(root().join("deny.toml")).unwrap();
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
fn expressions_are_read_as_spdx_has_them() {
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
