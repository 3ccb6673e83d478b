//! The rules of the house that a compiler does not know: which room may import which, who depends on
//! what and why, and that nothing is left half-done.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// All files below a directory that end in `ending`.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The collector's rooms, in the order of the picture in ARCHITECTURE.md: a room imports from those
/// before it.
const ROOMS: &[&str] = &[
    "text",
    "table",
    "words",
    "clock",
    "plot",
    "prometheus",
    "reading",
    "confirm",
    "source",
    "fields",
    "expression",
    "derive",
    "template",
    "shape",
    "capacity",
    "config",
    "recording",
    "wording",
    "state_file",
    "overrides",
    "evaluate",
    "observe",
    "sample",
    "unnoticed",
    "plan",
    "overrule",
    "replay",
    "history",
    "status",
    "metrics",
    "account",
    "explain",
    "report",
    "lock",
    "last_word",
    "background",
    "journal",
    "fold",
    "daemon",
    "import",
    "units",
    "doctor",
    "cli",
    "main",
];

#[test]
fn no_module_imports_from_a_later_room() {
    let source = root().join("collector/src");
    let mut wrong = Vec::new();
    for file in files(&source, ".rs") {
        let within = file.strip_prefix(&source).unwrap();
        let first = within.components().next().unwrap();
        let room = first.as_os_str().to_string_lossy();
        let room = room.trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let stage = ROOMS
            .iter()
            .position(|known| *known == room)
            .unwrap_or_else(|| panic!("{room} is in no place of the picture"));
        for part in read(&file).split("crate::").skip(1) {
            let name: String = part
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            match ROOMS.iter().position(|known| *known == name) {
                Some(imported) if imported > stage => {
                    wrong.push(format!("{} imports {name}", within.display()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The lines of a section of a Cargo.toml.
fn section(manifest: &str, name: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| *line != format!("[{name}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .map(str::to_owned)
        .collect()
}

#[test]
fn common_and_responder_have_no_dependencies() {
    let common = read(&root().join("common/Cargo.toml"));
    assert!(section(&common, "dependencies").is_empty());
    assert!(section(&common, "features").is_empty());
    let responder = read(&root().join("responder/Cargo.toml"));
    let names: Vec<String> = section(&responder, "dependencies")
        .iter()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim().to_owned()))
        .collect();
    assert_eq!(names, ["agentcheck-common"]);
}

#[test]
fn every_dependency_has_a_reason_beside_it() {
    for member in ["common", "collector", "responder", "tests"] {
        let manifest = read(&root().join(member).join("Cargo.toml"));
        for name in ["dependencies", "dev-dependencies"] {
            let lines = section(&manifest, name);
            for (before, line) in lines.iter().zip(lines.iter().skip(1)) {
                let dependency = line.contains('=') && !line.starts_with(['#', ' ']);
                let explained = before.starts_with('#') || before.contains('=');
                assert!(!dependency || explained, "{member}: {line}");
            }
            let first = lines.iter().find(|line| !line.is_empty());
            assert!(first.is_none_or(|line| line.starts_with('#')), "{member}");
        }
    }
}

#[test]
fn sources_have_no_unfinished_marks() {
    // Spelt in halves, so that this file does not find itself.
    let marks = ["todo", "unimplemented"].map(|name| format!("{name}{}", "!("));
    let notes = [format!("FIX{}", "ME"), format!("XX{}", "X")];
    let mut wrong = Vec::new();
    for member in ["common", "collector", "responder", "tests"] {
        for file in files(&root().join(member), ".rs") {
            let text = read(&file);
            let found = marks.iter().chain(&notes).any(|mark| text.contains(mark));
            if found || text.contains(&format!("#[{}]", "ignore")) {
                wrong.push(file.display().to_string());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `print!` panics where nobody reads; the programs write and look at what came of it.
#[test]
fn programs_use_no_print_macro() {
    for member in ["common", "collector", "responder"] {
        for file in files(&root().join(member).join("src"), ".rs") {
            let text = read(&file);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in ["println!(", "print!(", "dbg!("] {
                let mut before = code.split(word);
                let prints = before.next().is_some_and(|part| part.len() < code.len());
                assert!(!prints || file.ends_with("build.rs"), "{file:?}: {word}");
            }
        }
    }
}
