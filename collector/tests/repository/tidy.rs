//! The rules of the house that the compiler does not check: which room imports which, which rooms are pure,
//! dependencies and their reasons, and unfinished marks.

use std::collections::BTreeSet;
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

/// The collector's rooms in the order of their imports, as in lib.rs: a room imports only from rooms above it.
/// A line is of equals, which do not import each other.
const ROOMS: [&[&str]; 14] = [
    &["render"],
    &["filters"],
    &["reading"],
    &["sys"],
    &["overrides"],
    &["source"],
    &["expression"],
    &["reply"],
    &["config"],
    &["decision"],
    &["simulation"],
    &["status"],
    &["report", "setup", "daemon"],
    &["cli"],
];

/// The rooms without files, network, threads, processes and clocks.
const PURE: [&str; 9] = [
    "render",
    "filters",
    "reading",
    "reply",
    "decision",
    "simulation",
    "status",
    "report",
    "setup",
];

/// The files of pure rooms that touch the host, each with the reason.
const IMPURE: [(&str, &str); 2] = [
    ("status/history.rs", "writes and reads the history"),
    ("setup/import.rs", "reads the configuration to import"),
];

/// What a pure room does not use. Addresses of `std::net` are data.
const HOST: [&str; 8] = [
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "ToSocketAddrs",
    "std::thread",
    "std::process",
    "SystemTime::now",
    "Instant::now",
];

/// A file of the collector without its comments and its tests.
struct Source {
    /// Below collector/src, as in `config/rules.rs`.
    path: String,
    /// The module, as in `["config", "rules"]`; empty for lib.rs and main.rs.
    module: Vec<String>,
    code: String,
}

fn collector() -> Vec<Source> {
    let root = root().join("collector/src");
    let mut sources = Vec::new();
    for file in files(&root, ".rs") {
        let path = file
            .strip_prefix(&root)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if path.ends_with("/tests.rs") || path.contains("/tests/") {
            continue;
        }
        let name = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = match name {
            "lib" | "main" => Vec::new(),
            name => name.split('/').map(str::to_owned).collect(),
        };
        let text = read(&file);
        let code: String = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .lines()
            .map(|line| line.split("//").next().unwrap().to_owned() + "\n")
            .collect();
        sources.push(Source { path, module, code });
    }
    sources
}

/// Adds every path of a `use` tree: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap();
        paths.push(format!("{prefix}{path}"));
        return;
    };
    let inner = rest.rsplit_once('}').unwrap().0;
    let (mut depth, mut start) = (0, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&format!("{prefix}{head}"), &inner[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        flatten(&format!("{prefix}{head}"), &inner[start..], paths);
    }
}

/// The paths of modules and items of this crate that a file names, from the root of the crate.
fn imports(source: &Source) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut rest = source.code.clone();
    while let Some(at) = rest.find("use ") {
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        // At the beginning of a line: texts contain `use`, too.
        let before = rest[..at].rsplit('\n').next().unwrap().trim();
        let is_statement = before.is_empty() || before.starts_with("pub");
        if is_statement && !rest[at..end].contains('"') {
            flatten("", &rest[at + 4..end], &mut paths);
            rest.replace_range(at..end, "");
        } else {
            rest.replace_range(at..at + 4, "");
        }
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    for root in ["crate::", "super::", "self::"] {
        let mut from = 0;
        while let Some(at) = rest[from..].find(root).map(|at| from + at) {
            let begins = !rest[..at].ends_with(is_name);
            let path: String = rest[at..].chars().take_while(|c| is_name(*c)).collect();
            from = at + root.len();
            if begins {
                paths.push(path);
            }
        }
    }
    let resolve = |path: String| {
        let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
        let mut base = match *parts.first()? {
            "crate" => Vec::new(),
            "super" | "self" => source.module.clone(),
            _ => return None,
        };
        while let Some(first @ ("crate" | "super" | "self")) = parts.first().copied() {
            parts.remove(0);
            if first == "super" {
                base.pop();
            }
        }
        base.extend(parts.into_iter().map(str::to_owned));
        Some(base)
    };
    paths.into_iter().filter_map(resolve).collect()
}

fn stage(room: &str) -> usize {
    let stage = ROOMS.iter().position(|equals| equals.contains(&room));
    stage.unwrap_or_else(|| panic!("the room {room} is missing in ROOMS"))
}

#[test]
fn no_room_imports_from_a_later_room() {
    let mut wrong = Vec::new();
    for source in collector() {
        let Some(room) = source.module.first() else {
            continue;
        };
        for path in imports(&source) {
            let Some(imported) = path.first().filter(|imported| *imported != room) else {
                continue;
            };
            if stage(imported) >= stage(room) {
                wrong.push(format!("{} imports {}", source.path, path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The daemon evaluates costly services on another thread, so it calls the halves of `decide` one by one.
#[test]
fn only_decision_and_daemon_use_the_halves_of_decide() {
    let halves = [
        ["decision", "evaluate", "evaluate"],
        ["decision", "decide", "apply_orders"],
    ];
    for source in collector() {
        let room = source.module.first().map_or("", String::as_str);
        for path in imports(&source) {
            assert!(
                ["decision", "daemon"].contains(&room) || !halves.iter().any(|half| path == *half),
                "{} uses {}: call decide",
                source.path,
                path.join("::")
            );
        }
    }
}

#[test]
fn pure_rooms_do_not_touch_the_host() {
    let mut wrong = Vec::new();
    for source in collector() {
        let pure = source
            .module
            .first()
            .is_some_and(|room| PURE.contains(&room.as_str()));
        if !pure || IMPURE.iter().any(|(path, _)| *path == source.path) {
            continue;
        }
        for word in HOST.iter().filter(|word| source.code.contains(**word)) {
            wrong.push(format!("{} uses {word}", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A module and the modules below it may import each other; other files may not form a circle.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = collector();
    let place = |path: &[String]| {
        let known = |length: &usize| {
            let prefix = &path[..*length];
            sources
                .iter()
                .position(|source| !prefix.is_empty() && source.module == prefix)
        };
        (1..=path.len()).rev().find_map(|length| known(&length))
    };
    let edges: Vec<BTreeSet<usize>> = sources
        .iter()
        .map(|source| {
            let family = |other: &Vec<String>| {
                other.starts_with(&source.module) || source.module.starts_with(other)
            };
            imports(source)
                .iter()
                .filter_map(|path| place(path))
                .filter(|imported| !family(&sources[*imported].module))
                .collect()
        })
        .collect();
    for start in 0..sources.len() {
        let mut reached = BTreeSet::new();
        let mut open: Vec<usize> = edges[start].iter().copied().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(&edges[next]);
            }
        }
        let circle = || {
            reached
                .iter()
                .map(|at| sources[*at].path.as_str())
                .collect::<Vec<_>>()
        };
        assert!(
            !reached.contains(&start),
            "{}: a circle within {:?}",
            sources[start].path,
            circle()
        );
    }
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

/// `print!` panics when the reader is closed; the programs write and handle the error.
#[test]
fn programs_use_no_print_macro() {
    for member in ["common", "collector", "responder"] {
        let sources = files(&root().join(member).join("src"), ".rs");
        for file in sources.iter().filter(|file| !file.ends_with("tests.rs")) {
            let text = read(file);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in ["println!(", "print!(", "dbg!("] {
                let mut before = code.split(word);
                let prints = before.next().is_some_and(|part| part.len() < code.len());
                assert!(!prints || file.ends_with("build.rs"), "{file:?}: {word}");
            }
        }
    }
}
