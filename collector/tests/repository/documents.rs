//! The documents are true of the program: examples load, keys are documented, and the commands that they name
//! exist.

use crate::files_below;
use agentcheck_tests::binaries::workspace;
use agentcheck_tests::scratch::Scratch;
use std::path::Path;
use std::process::{Command, Output};

fn read(file: &str) -> String {
    std::fs::read_to_string(workspace().join(file))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The pages of the configuration, one after the other.
fn configuration() -> String {
    [
        "sources",
        "services-and-rules",
        "expressions",
        "files-and-permissions",
    ]
    .map(|page| read(&format!("docs/configuration/{page}.md")))
    .concat()
}

fn check(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_agentcheck"))
        .args(["check", "--config"])
        .arg(file)
        .output()
        .unwrap()
}

/// The fenced blocks of a language, in order.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(named) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if named == language {
                found.push(block.join("\n") + "\n");
            }
        }
    }
    found
}

#[test]
fn examples_load_without_a_warning() {
    let mut seen = 0;
    for file in files_below(&workspace().join("examples")) {
        // A drop-in loads with the file that it is beside.
        let drop_in = file
            .parent()
            .is_some_and(|directory| directory.ends_with("conf.d"));
        if !drop_in
            && file
                .extension()
                .is_some_and(|extension| extension == "toml")
        {
            let output = check(&file);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{file:?}: {output:?}");
            assert!(printed.ends_with(", 0 warnings\n"), "{printed}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}

/// The lines that the shipped file has as comments are a configuration.
#[test]
fn shipped_file_loads_without_its_comment_signs() {
    let text = read("examples/agentcheck.toml");
    let lines = text.lines().map(|line| {
        let inner = line.strip_prefix("# ").unwrap_or(line);
        let key = inner
            .split_once(" = ")
            .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        let is_toml = key || inner.starts_with('[');
        if is_toml { inner } else { line }
    });
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let scratch = Scratch::new("shipped");
    let output = check(&scratch.write("agentcheck.toml", &text));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn getting_started_shows_the_quickstart_example() {
    let page = read("docs/getting-started.md");
    let started = &blocks(&page, "toml")[0];
    assert_eq!(*started, read("examples/quickstart/agentcheck.toml"));
    let scratch = Scratch::new("started");
    let file = scratch.write("started.toml", started);
    let output = check(&file);
    // The program's output, without the file's path.
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line = line.replace(
            &file.display().to_string(),
            "/etc/agentcheck/agentcheck.toml",
        );
        assert!(page.contains(&line), "{line}");
    }
}

/// Every key that the program names is in the reference, and the other way round.
#[test]
fn every_key_is_documented() {
    let reference = configuration();
    let example = read("examples/reference.toml");
    // In roff an underscore is written as it is, a hyphen with a backslash.
    let page = read("man/agentcheck.toml.5").replace("\\-", "-");
    let app = "[source.a.http]\nurl = \"http://127.0.0.1/\"\n";
    let service = "[service.s]\nweight = 'a.ok ? 100 : 50'\n";
    let rule = "[[service.s.rule]]\nname = \"r\"\nwhen = 'a.ok'\nreply = \"full\"\n";
    let unknown = "frobnicate = 1\n";
    let mut documented = 0;
    let scratch = Scratch::new("keys");
    for (index, text) in [
        format!("{app}{unknown}{service}"),
        format!("[source.a.file]\npath = \"/a\"\n{unknown}{service}"),
        format!("[source.a.command]\nargv = [\"/a\"]\n{unknown}{service}"),
        format!("[source.a.system]\nmetric = \"cpu\"\n{unknown}{service}"),
        format!("{app}[derive.d]\nexpression = 'a.latency'\nmax = '1m'\n{unknown}{service}"),
        format!("[source.a.tcp]\naddress = \"a:1\"\n{unknown}{service}"),
        format!("{app}{service}{unknown}"),
        format!("{app}{service}{rule}{unknown}"),
        format!("[metrics]\ntextfile = \"/a.prom\"\n{unknown}{app}{service}"),
        format!("{app}[service.s.capacity]\nrate = '1'\nutilization = '1'\nreference_rate = 1\n{unknown}"),
    ]
    .iter()
    .enumerate()
    {
        let file = scratch.write(&format!("keys-{index}.toml"), text);
        let output = check(&file);
        let printed = String::from_utf8(output.stderr).unwrap();
        let keys = printed.lines().find_map(|line| {
            let (_, keys) = line.split_once("the keys of ")?;
            Some(keys.split_once(" are ")?.1.split(", "))
        });
        for key in keys.unwrap_or_else(|| panic!("{printed}")) {
            let described = reference.contains(&format!("| `{key}` |")) || key == "rule";
            assert!(described, "{key} is not in docs/configuration");
            let is_listed = example.lines().any(|line| {
                line.starts_with(&format!("{key} ="))
                    || line.starts_with('[') && line.contains(&format!(".{key}]"))
            });
            assert!(is_listed, "{key} is not in examples/reference.toml");
            assert!(page.contains(key), "{key} is not in man/agentcheck.toml.5");
            documented += 1;
        }
    }
    assert!(documented > 25, "{documented}");
}

/// `make man` makes the manual from the pages of the configuration: it has their sections and their examples.
#[test]
fn man_page_has_every_heading_of_the_reference() {
    let mut page = read("man/agentcheck.toml.5");
    for (roff, plain) in [("\\-", "-"), ("\\[aq]", "'"), ("\\[dq]", "\""), ("\\&", "")] {
        page = page.replace(roff, plain);
    }
    // Changes of font.
    let parts = page.split("\\f").enumerate().map(|(at, part)| match at {
        0 => part,
        _ => part.split_once(']').map_or(part, |(_, text)| text),
    });
    let page: String = parts.collect::<String>().split_whitespace().collect();
    // Sections are in capitals.
    let page = page.to_uppercase();
    let pages = configuration();
    let headings = pages.lines().filter(|line| line.starts_with('#'));
    let examples = blocks(&pages, "toml");
    for text in headings.chain(examples.iter().map(String::as_str)) {
        let text = text.trim_start_matches('#');
        let words: String = text.to_uppercase().split_whitespace().collect();
        assert!(
            page.contains(&words),
            "{text} is not in man/agentcheck.toml.5: run `make man`"
        );
    }
}

/// What the pages of the configuration show loads, without a warning.
#[test]
fn configurations_in_documents_load() {
    let scratch = Scratch::new("shown");
    let examples = blocks(&configuration(), "toml");
    assert!(examples.len() >= 5, "{}", examples.len());
    for (index, text) in examples.iter().enumerate() {
        let output = check(&scratch.write(&format!("shown-{index}.toml"), text));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.ends_with(", 0 warnings\n"), "{text}\n{output:?}");
    }
}

#[test]
fn documents_name_make_targets_that_exist() {
    let makefile = read("Makefile");
    let reported = read("README.md") + &read("docs/getting-started.md");
    assert!(reported.contains("make demo") && reported.contains("make test"));
    for block in blocks(&reported, "sh") {
        for line in block.lines() {
            let line = line.trim_start_matches("sudo ");
            if let Some(rest) = line.strip_prefix("make ") {
                let target = rest.split_whitespace().next().unwrap();
                assert!(makefile.contains(&format!("\n{target}:")), "{target}");
            }
        }
    }
    assert!(read(".ci/run").contains("make test"));
}

/// The newcomer's xinetd file is the shipped one without its comments.
#[test]
fn xinetd_page_shows_the_shipped_file() {
    let page = read("docs/deploying/xinetd.md");
    let words = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.split('#').next().unwrap_or_default())
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect()
    };
    let shipped = words(&read("xinetd/agentcheck"));
    let commands = blocks(&page, "")
        .into_iter()
        .find(|block| block.starts_with("service agentcheck"))
        .expect("it is there");
    for line in words(&commands) {
        assert!(
            shipped.contains(&line),
            "{line:?} is not in xinetd/agentcheck"
        );
    }
}

/// The troubleshooting page explains each no-op reply of the responder.
#[test]
fn every_no_op_reply_is_explained() {
    let page = read("docs/troubleshooting.md");
    let manual = read("man/agentcheck-responder.8").replace("\\-", "-");
    let words = manual.split(".SH NO-OP REPLIES").nth(1).unwrap();
    let words = words.split(".SH ").next().unwrap();
    let mut seen = 0;
    for line in words.lines().filter(|line| line.starts_with(".B")) {
        // After the macro, words alternate with the commas and the NAME between them.
        for word in line.split_whitespace().skip(1) {
            let name = word.trim_end_matches(':');
            if name.starts_with(|c: char| c.is_ascii_lowercase()) {
                assert!(page.contains(&format!("`{name}")), "{name}: {line}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 12, "{seen}");
}

/// Pages show the real output of `agentcheck explain --reply`.
#[test]
fn shown_explanations_match_the_program() {
    let mut seen = 0;
    for block in blocks(&read("docs/troubleshooting.md"), "console") {
        let (command, expected) = block.split_once('\n').unwrap();
        let words = command
            .strip_prefix("$ agentcheck explain --reply '")
            .unwrap();
        let reply = words.strip_suffix('\'').unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_agentcheck"))
            .args(["explain", "--reply", reply])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        seen += 1;
    }
    assert!(seen > 0);
}

/// Every command of agentcheck that a document writes as code is one.
#[test]
fn documents_name_commands_that_exist() {
    let mut commands = std::collections::BTreeSet::new();
    let documents = files_below(&workspace().join("docs"))
        .into_iter()
        .chain([workspace().join("README.md")]);
    for file in documents.filter(|file| file.extension().is_some_and(|end| end == "md")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let spans = text.split('`').skip(1).step_by(2);
        let lines = text
            .lines()
            .filter(|line| line.starts_with("$ ") || line.starts_with("# "));
        for code in spans.chain(lines) {
            let code = code.trim_start_matches(['$', '#', ' ']);
            let code = code.strip_prefix("sudo ").unwrap_or(code);
            let name = code.strip_prefix("agentcheck ").unwrap_or_default();
            let name = name.split([' ', ';', ',', ')', '\n']).next().unwrap();
            if name.starts_with(|c: char| c.is_ascii_lowercase()) {
                commands.insert(name.to_owned());
            }
        }
    }
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_agentcheck"))
            .args([&command, "--help"])
            .output()
            .unwrap();
        assert!(output.status.success(), "agentcheck {command}: {output:?}");
    }
}

/// Links between documents, and to headings in them.
#[test]
fn links_and_anchors_exist() {
    let anchor = |heading: &str| -> String {
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| {
            if c == ' ' {
                '-'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
    };
    let mut seen = 0;
    let mut documents = files_below(&workspace().join("docs"));
    documents.extend(files_below(&workspace().join("examples")));
    documents.extend(
        [
            "README.md",
            "ARCHITECTURE.md",
            "SECURITY.md",
            "bench/README.md",
            "tests/README.md",
        ]
        .map(|name| workspace().join(name)),
    );
    for file in documents
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "md"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        // Code contains no link.
        let prose: String = text.split('`').step_by(2).collect();
        for link in prose.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            let (name, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match name {
                "" => file.clone(),
                name => file.parent().unwrap().join(name),
            };
            assert!(target.exists(), "{file:?}: {link}");
            if !heading.is_empty() {
                let page = std::fs::read_to_string(&target).unwrap();
                let mut headings = page.lines().filter(|line| line.starts_with('#'));
                let found = headings
                    .any(|line| anchor(line.trim_start_matches('#').trim_start()) == heading);
                assert!(found, "{file:?}: {link}");
            }
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}
