//! The files that other programs read: where `make install` puts them, and what xinetd makes of its file
//! (`xinetd`). `systemd.rs` tests the units.

mod xinetd;

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{output, program, run};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::systemd::tool;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

const SERVICES: [&str; 3] = [
    "agentcheck-collector.service",
    "agentcheck.service",
    "agentcheck-inetd@.service",
];
const SOCKETS: [&str; 2] = ["agentcheck.socket", "agentcheck-inetd.socket"];
const UNIT_DIRECTORY: &str = "usr/lib/systemd/system";

/// `make TARGET` with the binaries that the other tests run.
fn make(target: &str, root: &Path, variables: &[&str]) -> Command {
    let mut command = Command::new(program("make", "make"));
    command
        .current_dir(binaries::workspace())
        .args(["--silent", target])
        .arg(format!("DESTDIR={}", root.display()))
        .arg(format!("RELEASE={}", binaries::directory().display()))
        .args(variables)
        // Inside `make test`, make would take the outer one's flags.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL");
    command
}

fn install(root: &Path) {
    // Fails where they are missing or stale.
    let _ = (binaries::collector(), binaries::responder());
    run(&mut make("install", root, &[]));
}

/// Every file below `directory`, relative to it.
fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                let inside = path.strip_prefix(directory).unwrap();
                found.insert(inside.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn uninstall_removes_everything_that_install_added() {
    let scratch = Scratch::new("install");
    let root = scratch.directory("root");
    install(&root);

    let mut expected: BTreeSet<String> = [
        "etc/xinetd.d/agentcheck",
        "usr/bin/agentcheck",
        "usr/bin/agentcheck-responder",
        "usr/lib/agentcheck/setup",
        "usr/lib/sysusers.d/agentcheck.conf",
        "usr/lib/tmpfiles.d/agentcheck.conf",
    ]
    .map(str::to_owned)
    .into();
    let units = SERVICES.into_iter().chain(SOCKETS);
    expected.extend(units.map(|unit| format!("{UNIT_DIRECTORY}/{unit}")));
    let workspace = binaries::workspace();
    for (from, to) in [
        ("systemd/optional", "usr/share/doc/agentcheck/systemd"),
        ("packaging/init", "usr/share/doc/agentcheck/init"),
        ("xinetd", "usr/share/doc/agentcheck/xinetd"),
        ("examples", "usr/share/doc/agentcheck/examples"),
    ] {
        let from = files(&workspace.join(from));
        expected.extend(from.iter().map(|file| format!("{to}/{file}")));
    }
    // It runs what was built in its own workspace.
    assert!(expected.remove("usr/share/doc/agentcheck/examples/demo.sh"));
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "third-party-licences.txt",
    ] {
        expected.insert(format!("usr/share/doc/agentcheck/{name}"));
    }
    // Documents link to these.
    let of_bench = files(&workspace.join("bench"));
    let pages = of_bench
        .iter()
        .filter(|file| file.ends_with(".md") || file.ends_with(".svg"));
    expected.extend(pages.map(|page| format!("usr/share/doc/agentcheck/bench/{page}")));
    // What the README links to; the samples of recipes are for the tests.
    let docs = files(&workspace.join("docs"));
    let pages = docs.iter().filter(|file| file.ends_with(".md"));
    expected.extend(pages.map(|page| format!("usr/share/doc/agentcheck/docs/{page}")));
    let man = workspace.join("man");
    // git keeps no empty directory.
    let pages = if man.is_dir() {
        files(&man)
    } else {
        BTreeSet::new()
    };
    for page in pages {
        let section = page.rsplit('.').next().unwrap();
        expected.insert(format!("usr/share/man/man{section}/{page}"));
    }
    for completion in [
        "bash-completion/completions/agentcheck",
        "bash-completion/completions/agentcheck-responder",
        "zsh/vendor-completions/_agentcheck",
        "zsh/vendor-completions/_agentcheck-responder",
        "fish/vendor_completions.d/agentcheck.fish",
        "fish/vendor_completions.d/agentcheck-responder.fish",
    ] {
        expected.insert(format!("usr/share/{completion}"));
    }
    expected.insert("etc/agentcheck/agentcheck.toml".to_owned());
    assert_eq!(files(&root), expected);
    assert!(root.join("etc/agentcheck/conf.d").is_dir());
    for file in &expected {
        let mode = fs::metadata(root.join(file)).unwrap().permissions().mode();
        let program = file.starts_with("usr/bin/");
        assert_eq!(mode & 0o666, 0o644, "{file}");
        assert!(!program || mode & 0o111 == 0o111, "{file}");
    }

    run(&mut make("uninstall", &root, &[]));
    let configuration = "etc/agentcheck/agentcheck.toml";
    expected.retain(|file| file == configuration);
    assert_eq!(files(&root), expected);
}

#[test]
fn check_accepts_the_installed_configuration() {
    let scratch = Scratch::new("accepted");
    let root = scratch.directory("root");
    install(&root);
    run(Command::new(root.join("usr/bin/agentcheck"))
        .args(["check", "--config"])
        .arg(root.join("etc/agentcheck/agentcheck.toml")));
}

#[test]
fn install_and_uninstall_keep_an_edited_configuration() {
    let scratch = Scratch::new("configuration");
    let root = scratch.directory("root");
    let kept = [
        "etc/agentcheck/agentcheck.toml",
        "etc/agentcheck/conf.d/mine.toml",
        "etc/xinetd.d/agentcheck",
    ];
    install(&root);
    for file in kept {
        fs::write(root.join(file), "# mine\n").unwrap();
    }
    let of_others = root.join("srv/empty");
    fs::create_dir_all(&of_others).unwrap();
    install(&root);
    run(&mut make("uninstall", &root, &[]));

    let left = files(&root);
    assert_eq!(left, kept.map(str::to_owned).into());
    for file in kept {
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), "# mine\n");
    }
    assert!(
        of_others.is_dir(),
        "an empty directory of others is removed"
    );
}

#[test]
fn installed_files_name_their_own_paths() {
    let scratch = Scratch::new("prefix");
    for (prefix, units) in [
        ("/usr/local", "usr/local/lib/systemd/system"),
        ("/opt/agentcheck", "opt/etc/systemd/system"),
    ] {
        let root = scratch.directory(prefix.trim_matches('/'));
        let variables = [&format!("PREFIX={prefix}"), "SYSCONFDIR=/opt/etc"];
        run(&mut make("install", &root, &variables));
        for file in files(&root) {
            let Ok(text) = fs::read_to_string(root.join(&file)) else {
                continue;
            };
            let part = ["/systemd/", "/xinetd.d/", "/tmpfiles.d/", "/sysusers.d/"];
            if part.iter().any(|part| file.contains(part)) {
                for path in ["/usr/bin/", "/usr/share/", " /etc/agentcheck"] {
                    assert!(!text.contains(path), "{file} names {path}");
                }
            }
        }
        let unit = root.join(units).join("agentcheck-collector.service");
        let unit = fs::read_to_string(unit).unwrap();
        let start = format!(
            "ExecStart={prefix}/bin/agentcheck collect --config /opt/etc/agentcheck/agentcheck.toml"
        );
        assert!(unit.contains(&start), "{unit}");
        run(&mut make("uninstall", &root, &variables));
        let left = files(&root);
        assert!(
            left.iter().all(|file| file.ends_with("agentcheck.toml")),
            "{left:?}"
        );
    }
}

#[test]
fn install_without_binaries_fails_and_changes_nothing() {
    let scratch = Scratch::new("unbuilt");
    let root = scratch.directory("root");
    let nowhere = format!("RELEASE={}", scratch.file("nowhere").display());
    let output = output(&mut make("install", &root, &[&nowhere]));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(printed.contains("make build"), "{printed}");
    assert_eq!(files(&root), BTreeSet::new());
}

#[test]
fn sysusers_and_tmpfiles_create_accounts_and_directories() {
    let scratch = Scratch::new("accounts");
    let root = scratch.directory("root");
    install(&root);
    let option = format!("--root={}", root.display());
    run(tool("systemd-sysusers").arg(&option).arg("agentcheck.conf"));
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    let account = |name: &str| -> (u32, u32) {
        let line = passwd
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")));
        let fields: Vec<_> = line
            .unwrap_or_else(|| panic!("no {name} in {passwd}"))
            .split(':')
            .collect();
        assert!(fields[6].ends_with("nologin"), "{fields:?}");
        (fields[2].parse().unwrap(), fields[3].parse().unwrap())
    };
    let collector = account("agentcheck");
    assert_ne!(collector, account("agentcheck-responder"));

    run(tool("systemd-tmpfiles").args(["--create", &option, "agentcheck.conf"]));
    for (directory, mode) in [("run/agentcheck", 0o755), ("var/lib/agentcheck", 0o750)] {
        let data = fs::metadata(root.join(directory)).unwrap();
        assert_eq!(data.permissions().mode() & 0o7777, mode, "{directory}");
        assert_eq!((data.uid(), data.gid()), collector, "{directory}");
    }
}

/// Every argument that a unit or the xinetd file gives to one of our programs, after the program.
fn command_lines(root: &Path) -> Vec<(String, Vec<String>)> {
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let mut found = Vec::new();
    for unit in SERVICES {
        let text = fs::read_to_string(root.join(UNIT_DIRECTORY).join(unit)).unwrap();
        let starts: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart="))
            .collect();
        assert_eq!(starts.len(), 1, "{unit}");
        found.push((unit.to_owned(), words(starts[0])));
    }
    let text = fs::read_to_string(root.join("etc/xinetd.d/agentcheck")).unwrap();
    let value = |key: &str| -> &str {
        let mut values = text
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .filter(|(name, _)| name.trim() == key)
            .map(|(_, value)| value);
        values
            .next()
            .unwrap_or_else(|| panic!("no {key} in {text}"))
    };
    let line = format!("{} {}", value("server"), value("server_args"));
    found.push(("xinetd".to_owned(), words(&line)));
    found
}

#[test]
fn units_use_only_options_that_the_programs_know() {
    let scratch = Scratch::new("options");
    let root = scratch.directory("root");
    install(&root);
    for (place, words) in command_lines(&root) {
        let program = root.join(words[0].trim_start_matches('/'));
        let mut help = Command::new(&program);
        if let Some(subcommand) = words.get(1).filter(|word| !word.starts_with('-')) {
            help.arg(subcommand);
        }
        let help = run(help.arg("--help"));
        let options = words.iter().filter(|word| word.starts_with("--"));
        let known: BTreeSet<_> = help
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .collect();
        let mut count = 0;
        for option in options {
            assert!(known.contains(option.as_str()), "{place}: {option}\n{help}");
            count += 1;
        }
        assert!(count > 0, "{place}: {words:?}");
    }
}

/// A drop-in that ships must be one that `make install` ships, beside a unit that there is.
#[test]
fn optional_drop_ins_belong_to_units_that_exist() {
    let directory = binaries::workspace().join("systemd/optional");
    let units: BTreeSet<&str> = SERVICES.into_iter().chain(SOCKETS).collect();
    for file in files(&directory) {
        let path = Path::new(&file);
        let unit = path.parent().and_then(Path::to_str).unwrap();
        let unit = unit.strip_suffix(".d").expect("UNIT.d/NAME.conf");
        assert!(units.contains(unit), "{file}");
        assert_eq!(path.extension().unwrap(), "conf", "{file}");
    }
}
