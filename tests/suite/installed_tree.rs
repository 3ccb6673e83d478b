//! The tree that `make install` makes: its documents have no dead link, and `make uninstall` reports what it leaves.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{program, run};
use agentcheck_tests::scratch::Scratch;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DOCUMENTS: &str = "usr/share/doc/agentcheck";

/// `make GOAL`, with the binaries that the other tests run; gives its output.
fn make(goal: &str, root: &Path) -> String {
    // These panic where the binaries are missing or stale.
    let _ = (binaries::collector(), binaries::responder());
    run(Command::new(program("make", "make"))
        .current_dir(binaries::workspace())
        .args(["--silent", goal])
        .arg(format!("DESTDIR={}", root.display()))
        .arg(format!("RELEASE={}", binaries::directory().display()))
        // Inside `make test`, make would use the outer one's flags.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL"))
}

/// Every file below `directory`.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A line of Markdown without its code spans, which contain no link.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of a line's links: `[text](target)`, `[name]: target`, and `href="target"`.
fn links(line: &str) -> Vec<String> {
    let prose = without_code(line);
    let mut found: Vec<String> = Vec::new();
    for (begin, end) in [("](", ')'), ("href=\"", '"'), ("src=\"", '"')] {
        for rest in prose.split(begin).skip(1) {
            found.extend(rest.split(end).next().map(str::to_owned));
        }
    }
    if let Some((_, target)) = prose
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
    {
        found.push(target.trim().to_owned());
    }
    // A title may follow the target.
    found
        .iter()
        .filter_map(|target| target.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The anchors of a page's headings, as forges make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut code = false;
    for line in page.lines() {
        code ^= line.starts_with("```");
        if code || !line.starts_with('#') {
            continue;
        }
        let heading = line.trim_start_matches('#').trim();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept
            .map(|c| if c == ' ' { '-' } else { c })
            .flat_map(char::to_lowercase)
            .collect();
        // A heading that comes again gets a number.
        let mut name = anchor.clone();
        let mut count = 0;
        while !found.insert(name) {
            count += 1;
            name = format!("{anchor}-{count}");
        }
    }
    found
}

/// The dead links of a document, each as `FILE:LINE: TARGET`, and the number of links that were checked.
fn dead_links(root: &Path, file: &Path) -> (String, usize) {
    let text = fs::read_to_string(file).unwrap();
    let document = file.strip_prefix(root).unwrap().display();
    let (mut dead, mut checked, mut code) = (String::new(), 0, false);
    for (index, line) in text.lines().enumerate() {
        code ^= line.trim_start().starts_with("```");
        if code {
            continue;
        }
        for link in links(line) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (name, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if name.is_empty() {
                file.to_owned()
            } else {
                file.parent().unwrap().join(name)
            };
            // Of the tree, and not of the directories around it.
            let inside = fs::canonicalize(&target)
                .ok()
                .filter(|path| path.starts_with(fs::canonicalize(root).unwrap()));
            let reason = match inside {
                None => "is not installed",
                Some(path) if !anchor.is_empty() => {
                    let page = fs::read_to_string(path).unwrap_or_default();
                    if anchors(&page).contains(anchor) {
                        continue;
                    }
                    "has no such heading"
                }
                Some(_) => continue,
            };
            writeln!(dead, "{document}:{}: {link} {reason}", index + 1).unwrap();
        }
    }
    (dead, checked)
}

/// A file that only the sources contain is named by a URL, or by its name without a link.
#[test]
fn installed_documents_have_no_dead_link() {
    let scratch = Scratch::new("links");
    let root = scratch.directory("root");
    make("install", &root);
    let (mut dead, mut checked) = (String::new(), 0);
    for file in files(&root.join(DOCUMENTS)) {
        if file.extension().is_some_and(|end| end == "md") {
            let (found, count) = dead_links(&root, &file);
            dead += &found;
            checked += count;
        }
    }
    assert!(checked > 40, "only {checked} links were found");
    assert!(dead.is_empty(), "dead links:\n{dead}");
}

/// `agentcheck(1)` and the like, in documents and in manual pages, and the files that manual pages and units name
/// below the installed documents.
#[test]
fn references_to_manual_pages_and_documents_lead_to_installed_files() {
    let scratch = Scratch::new("references");
    let root = scratch.directory("root");
    make("install", &root);
    let installed = files(&root);
    let pages: BTreeSet<String> = installed
        .iter()
        .filter(|file| file.starts_with(root.join("usr/share/man")))
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let (mut dead, mut checked) = (String::new(), 0);
    for file in &installed {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        let name = file.strip_prefix(&root).unwrap().display();
        for (index, line) in text.lines().enumerate() {
            // troff escapes hyphens and sets names in another font.
            let line = line
                .replace("\\-", "-")
                .replace("\\fB", "")
                .replace("\\fR", "")
                .replace("\\fP", "");
            for (at, _) in line.match_indices("agentcheck") {
                let rest = &line[at..];
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c))
                    .unwrap_or(rest.len());
                let section = rest[end..]
                    .strip_prefix('(')
                    .and_then(|rest| rest.split_once(')'));
                if let Some((section, _)) = section
                    && matches!(section, "1" | "5" | "8")
                {
                    checked += 1;
                    if !pages.contains(&format!("{}.{section}", &rest[..end])) {
                        writeln!(dead, "{name}:{}: {}({section})", index + 1, &rest[..end])
                            .unwrap();
                    }
                }
            }
            for (at, _) in line.match_indices("/usr/share/doc/agentcheck/") {
                let rest = &line[at..];
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && !"-_./@".contains(c))
                    .unwrap_or(rest.len());
                let path = rest[..end].trim_end_matches(['.', '/']);
                // A path that ends before an ellipsis or a wildcard names no file.
                checked += 1;
                if !root.join(path.trim_start_matches('/')).exists() {
                    writeln!(dead, "{name}:{}: {path}", index + 1).unwrap();
                }
            }
        }
    }
    assert!(checked > 10, "only {checked} references were found");
    assert!(dead.is_empty(), "dead references:\n{dead}");
}

#[test]
fn uninstall_reports_everything_that_it_leaves() {
    let scratch = Scratch::new("leaves");
    let root = scratch.directory("root");
    make("install", &root);
    // What the operator and the collector have put there.
    let left = [
        "etc/agentcheck/conf.d/web.toml",
        "etc/xinetd.d/agentcheck",
        "etc/init.d/agentcheck",
        "etc/default/agentcheck",
        "etc/systemd/system/agentcheck.socket.d/addresses.conf",
        "run/agentcheck/web.state",
        "var/lib/agentcheck/overrides/web.override",
    ];
    for file in left {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "# mine\n").unwrap();
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/:/bin/sh\nagentcheck:x:990:990::/:/usr/sbin/nologin\n",
    )
    .unwrap();
    let printed = make("uninstall", &root);

    let report: Vec<&str> = printed
        .lines()
        .skip_while(|line| !line.starts_with("These are left."))
        .collect();
    assert!(
        report[0].contains("run the command beside it as root"),
        "{printed}"
    );
    let without_root = |line: &&str| line.replace(root.to_str().unwrap(), "");
    let mut commands: Vec<String> = report[1..]
        .iter()
        .map(without_root)
        .map(|line| {
            let at = line
                .find(" rm ")
                .or_else(|| line.find(" userdel "))
                .unwrap();
            line[at + 1..].to_owned()
        })
        .collect();
    commands.sort();
    assert_eq!(
        commands,
        [
            "rm -r /etc/agentcheck",
            "rm -r /etc/default/agentcheck",
            "rm -r /etc/init.d/agentcheck",
            "rm -r /etc/systemd/system/agentcheck.socket.d",
            "rm -r /etc/xinetd.d/agentcheck",
            "rm -r /run/agentcheck",
            "rm -r /var/lib/agentcheck",
            "userdel agentcheck",
        ]
    );
    // The report is complete: its commands leave nothing of agentcheck.
    for command in commands {
        if let Some(path) = command.strip_prefix("rm -r ") {
            run(Command::new("rm")
                .arg("-r")
                .arg(format!("{}{path}", root.display())));
        }
    }
    let remaining: Vec<PathBuf> = files(&root)
        .into_iter()
        .filter(|file| file.strip_prefix(&root).unwrap() != Path::new("etc/passwd"))
        .collect();
    assert_eq!(remaining, Vec::<PathBuf>::new());
}

/// The expression library has a second parser, with `unsafe` code. It is compiled, and no part of it is linked.
#[test]
fn collector_contains_no_code_of_the_second_parser() {
    let program = fs::read(binaries::collector()).unwrap();
    let contains = |text: &str| {
        let mut windows = program.windows(text.len());
        windows.any(|window| window == text.as_bytes())
    };
    // Places of possible panics name the files of a linked library.
    assert!(contains("/cel-0."));
    assert!(!contains("antlr4rust"));
}

/// Nothing of the responder's memory can be written and executed, and its address is random.
#[test]
fn responder_has_one_segment_that_cannot_be_written() {
    let mut readelf = Command::new(program("readelf", "binutils"));
    let headers = run(readelf.arg("-hlW").arg(binaries::responder()));
    let lines = |kind: &str| -> Vec<&str> {
        let lines = headers.lines().map(str::trim);
        lines.filter(|line| line.starts_with(kind)).collect()
    };
    let (segments, stack) = (lines("LOAD "), lines("GNU_STACK "));
    assert!(
        headers.contains("DYN (") && segments.len() == 1,
        "{headers}"
    );
    assert!(segments[0].contains(" R E "), "{headers}");
    assert!(stack.len() == 1 && stack[0].contains(" RW "), "{headers}");
}
