//! Every flag of `agentcheck-responder` is in its `--help`, its man page and its shell completions. These name no
//! other flag.

use agentcheck_tests::binaries;
use agentcheck_tests::processes;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn read(file: &str) -> String {
    let file = binaries::workspace().join(file);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"))
}

/// The words that begin with two hyphens, without them.
fn flags(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in text.split("--").skip(1) {
        let flag: String = part
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '-')
            .collect();
        if !flag.is_empty() && !flag.starts_with('-') {
            found.insert(flag.trim_end_matches('-').to_owned());
        }
    }
    found
}

fn of_help() -> BTreeSet<String> {
    let mut help = Command::new(binaries::responder());
    help.arg("--help").stdin(Stdio::null());
    let flags = flags(&processes::run(&mut help));
    assert_eq!(flags.len(), 12, "{flags:?}");
    flags
}

#[test]
fn help_names_exactly_the_accepted_flags() {
    for flag in of_help() {
        // Each with something after it that no flag takes for its value's end.
        let mut command = Command::new(binaries::responder());
        command.arg(format!("--{flag}")).stdin(Stdio::null());
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!printed.contains("unknown"), "--{flag}: {printed}");
    }
    let mut command = Command::new(binaries::responder());
    command.arg("--no-such-flag").stdin(Stdio::null());
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}

#[test]
fn man_page_documents_every_flag() {
    // In roff a hyphen of a flag is written with a backslash.
    let page = read("man/agentcheck-responder.8").replace("\\-", "-");
    let documented = flags(&page);
    for flag in of_help() {
        assert!(
            documented.contains(&flag),
            "--{flag} is not in the man page"
        );
    }
}

#[test]
fn bash_completes_every_flag() {
    let bash = processes::program("bash", "bash");
    let script = "source completions/agentcheck-responder.bash
        COMP_WORDS=(agentcheck-responder --) COMP_CWORD=1
        _agentcheck_responder; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut command = Command::new(bash);
    command
        .args(["-c", script])
        .current_dir(binaries::workspace());
    assert_eq!(flags(&processes::run(&mut command)), of_help());
}

#[test]
fn zsh_and_fish_complete_every_flag() {
    let zsh = read("completions/_agentcheck-responder");
    assert_eq!(flags(&zsh.replace("opt_args[--state-dir]", "")), of_help());
    let fish = read("completions/agentcheck-responder.fish");
    let reported: BTreeSet<String> = fish
        .split(" -l ")
        .skip(1)
        .map(|part| part.split_whitespace().next().unwrap().to_owned())
        .collect();
    assert_eq!(reported, of_help());
}
