//! The packages: their contents, whether two builds are the same, what lintian reports, and how dpkg and rpm
//! install, upgrade and remove them on a host. It needs cargo-deb, cargo-generate-rpm, lintian and rpm; `make
//! test-packages` runs it. `tests/suite/packaging.rs` tests the packages' scripts without these.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test asserts in the shortest way, and prints what it did"
)]

mod ansible;
mod static_programs;

use agentcheck_tests::binaries;
use agentcheck_tests::package::manager::{Made, Manager, install};
use agentcheck_tests::package::{lifecycle, without_systemd};
use agentcheck_tests::processes::{output, program, run};
use agentcheck_tests::scratch::Scratch;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

#[test]
fn dpkg_installs_upgrades_removes_and_purges() {
    lifecycle::check(Manager::Dpkg);
}

#[test]
fn rpm_installs_upgrades_and_removes() {
    lifecycle::check(Manager::Rpm);
}

#[test]
fn dpkg_installs_and_removes_without_systemd() {
    without_systemd::check(Manager::Dpkg);
}

/// The files of `make install`, each with its mode in the notation of `ls`; manual pages compressed.
fn installed(scratch: &Scratch) -> BTreeSet<String> {
    let root = scratch.directory("root");
    install(&root);
    let found = run(Command::new("find")
        .arg(&root)
        .args(["-type", "f", "-printf", "%M %P\n"]));
    found
        .lines()
        .map(|line| {
            let page = line.contains(" usr/share/man/");
            format!("{line}{}", if page { ".gz" } else { "" })
        })
        .collect()
}

#[test]
fn packages_contain_what_make_install_installs() {
    let scratch = Scratch::new("contents");
    let made = Made::build(&scratch.directory("packages"), false);
    let expected = installed(&scratch);
    let owned_by_root = |line: &str, names: [usize; 3]| -> Option<String> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [user, group, path] = names;
        assert!(
            ["root", "0"].contains(&words[user]) && words[user] == words[group],
            "{line}"
        );
        let path = words[path].trim_start_matches("./").trim_start_matches('/');
        words[0]
            .starts_with('-')
            .then(|| format!("{} {path}", words[0]))
    };

    let listed = run(Command::new("dpkg-deb").arg("-c").arg(&made.deb));
    let deb: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| owned_by_root(&line.replacen('/', " ", 1), [1, 2, 6]))
        .collect();
    let of_debian: Vec<_> = deb.difference(&expected).map(String::as_str).collect();
    assert_eq!(
        of_debian,
        [
            "-rw-r--r-- usr/share/doc/agentcheck/changelog.Debian.gz",
            "-rw-r--r-- usr/share/doc/agentcheck/copyright",
            "-rw-r--r-- usr/share/lintian/overrides/agentcheck",
        ]
    );
    let missing: Vec<_> = expected.difference(&deb).collect();
    assert_eq!(missing, Vec::<&String>::new());

    let listed = run(Command::new(program("rpm", "rpm"))
        .args(["-qplv"])
        .arg(&made.rpm));
    let rpm: BTreeSet<_> = listed
        .lines()
        .filter_map(|line| owned_by_root(line, [2, 3, 8]))
        .collect();
    assert_eq!(rpm, expected);

    let marked = run(Command::new("dpkg-deb")
        .arg("-I")
        .arg(&made.deb)
        .arg("conffiles"));
    assert_eq!(
        marked,
        "/etc/agentcheck/agentcheck.toml\n/etc/xinetd.d/agentcheck\n"
    );
    let marked = run(Command::new("rpm").arg("-qpc").arg(&made.rpm));
    assert_eq!(
        marked,
        "/etc/agentcheck/agentcheck.toml\n/etc/xinetd.d/agentcheck\n"
    );
}

#[test]
fn lintian_finds_no_error() {
    let scratch = Scratch::new("lintian");
    let made = Made::build(&scratch.directory("packages"), false);
    let lintian = program("lintian", "lintian");
    let printed = output(Command::new(&lintian).arg("--allow-root").arg(&made.deb));
    let printed = String::from_utf8([printed.stdout, printed.stderr].concat()).unwrap();
    println!("{printed}");
    let errors: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with("E:"))
        .collect();
    assert_eq!(errors, Vec::<&str>::new());
    // lintian checks the package, and uses each override.
    let text = output(
        Command::new(&lintian)
            .args(["--allow-root", "--show-overrides"])
            .arg(&made.deb),
    );
    let text = String::from_utf8(text.stdout).unwrap();
    let tag = |line: &str| {
        let tag = line.strip_prefix("O: agentcheck: ")?.split(' ').next()?;
        Some(tag.to_owned())
    };
    let overridden: BTreeSet<_> = text.lines().filter_map(tag).collect();
    let expected = [
        "initial-upload-closes-no-bugs",
        "maintainer-script-calls-systemctl",
        "shared-library-lacks-prerequisites",
        "wrong-name-for-upstream-changelog",
    ];
    assert_eq!(overridden, expected.map(str::to_owned).into());
}

/// The directory of the sources and the time of packing make no difference. (`make reproducible` builds the programs
/// twice and compares them.)
#[test]
fn packages_are_reproducible() {
    let scratch = Scratch::new("twice");
    let version = env!("CARGO_PKG_VERSION");
    let here = Made::build(&scratch.directory("here"), false);

    let elsewhere = scratch.directory("elsewhere");
    let workspace = binaries::workspace();
    let copy = format!(
        "cd {} && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t {}",
        workspace.display(),
        elsewhere.display()
    );
    run(Command::new("sh").args(["-euc", &copy]));
    let there = Made::build_in(&elsewhere, &scratch.directory("there"), version);
    for (one, other) in [(here.deb, there.deb), (here.rpm, there.rpm)] {
        assert_eq!(one.file_name(), other.file_name());
        assert!(
            fs::read(&one).unwrap() == fs::read(&other).unwrap(),
            "{one:?}"
        );
    }
}
