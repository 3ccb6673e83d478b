//! `make release` refuses sources that are not ready, and names each reason.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{output, program, run};
use agentcheck_tests::scene::stderr;
use agentcheck_tests::scratch::Scratch;
use std::path::Path;
use std::process::{Command, Output};

fn git(repository: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    let mut command = Command::new(program("git", "git"));
    run(command
        .current_dir(repository)
        .args(identity)
        .args(arguments));
}

fn edit(repository: &Path, script: &str) {
    let mut command = Command::new("sh");
    run(command.current_dir(repository).args(["-euc", script]));
}

fn check(repository: &Path) -> Output {
    output(
        Command::new(repository.join("packaging/release.sh"))
            .args(["check", "7.8.9"])
            .current_dir(repository),
    )
}

#[test]
fn release_needs_a_complete_changelog_and_one_version_everywhere() {
    let scratch = Scratch::new("release");
    let repository = scratch.directory("repository");
    let copy =
        "git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t \"$0\"";
    run(Command::new("sh")
        .args(["-euc", copy])
        .arg(&repository)
        .current_dir(binaries::workspace()));
    git(&repository, &["init", "-q"]);
    git(&repository, &["add", "-A"]);
    git(&repository, &["commit", "-qm", "All"]);
    let printed = stderr(check(&repository));
    for reason in [
        "Cargo.toml has another version",
        "Cargo.lock has another version of agentcheck-responder: run cargo check",
        "examples/kubernetes/chart/Chart.yaml has another appVersion",
        "examples/ansible/playbook.yml has another version",
        "CHANGELOG.md has a section \"Unreleased\": name it \"7.8.9 (DATE)\"",
    ] {
        let line = format!("not ready for 7.8.9: {reason}\n");
        assert!(printed.contains(&line), "{line} is not in {printed}");
    }

    let version = env!("CARGO_PKG_VERSION");
    edit(
        &repository,
        &format!(
            "files='Cargo.toml Cargo.lock examples/kubernetes/chart/Chart.yaml examples/ansible/playbook.yml'
             sed -i 's/{version}/7.8.9/' $files
             sed -i 's/^## Unreleased/## 7.8.9 (2026-12-01)/' CHANGELOG.md"
        ),
    );
    let printed = stderr(check(&repository));
    assert_eq!(
        printed,
        "not ready for 7.8.9: there are changes without a commit: git status\n"
    );
    git(&repository, &["commit", "-qam", "Release 7.8.9"]);
    let ready = check(&repository);
    assert!(ready.status.success(), "{ready:?}");
    let notes = String::from_utf8(ready.stdout).unwrap();
    assert!(notes.contains("### Upgrade and rollback"), "{notes}");
    assert!(!notes.contains("## 7.8.9"), "{notes}");

    git(&repository, &["tag", "v7.8.9"]);
    assert_eq!(
        stderr(check(&repository)),
        "not ready for 7.8.9: the tag v7.8.9 exists\n"
    );
}
