//! The release archive: it unpacks, installs and uninstalls on a host that has nothing but busybox, and the same
//! sources give the same bytes. `make dist` fills it with static programs.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{program, run};
use agentcheck_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "agentcheck-test";

/// Makes the archive of the programs that the other tests run.
fn archive(scratch: &Scratch, work: &str) -> PathBuf {
    // These panic where the programs are missing or stale.
    let _ = (binaries::collector(), binaries::responder());
    let file = scratch.file(&format!("{work}.tar.gz"));
    run(
        Command::new(binaries::workspace().join("packaging/archive.sh"))
            .arg(binaries::directory())
            .arg(NAME)
            .arg(scratch.directory(work))
            .arg(&file)
            .env("SOURCE_DATE_EPOCH", "1700000000"),
    );
    file
}

/// A root file system with busybox, the libraries of busybox and of the programs, and nothing else.
fn busybox_root(scratch: &Scratch) -> PathBuf {
    let root = scratch.directory("root");
    let script = r#"
        mkdir -p bin dev etc proc run tmp var/lib
        cp "$BUSYBOX" bin/busybox
        for file in "$BUSYBOX" "$COLLECTOR"; do
            ldd "$file" | grep -o '/[^ ]*' | while read -r library; do
                mkdir -p ".${library%/*}"
                cp -L "$library" ".$library"
            done
        done
        for applet in $(bin/busybox --list); do
            [ -e "bin/$applet" ] || ln -s busybox "bin/$applet"
        done
        echo root:x:0:0::/:/bin/sh >etc/passwd
        echo agentcheck:x:990:990::/:/bin/false >>etc/passwd
        printf 'root:x:0:\nagentcheck:x:990:\n' >etc/group
        mknod -m 666 dev/null c 1 3
    "#;
    run(Command::new("bash")
        .args(["-euc", script])
        .current_dir(&root)
        .env("BUSYBOX", program("busybox", "busybox"))
        .env("COLLECTOR", binaries::collector()));
    root
}

/// Runs a line of busybox's shell in the root.
fn inside(root: &Path, line: &str) -> String {
    run(Command::new(program("chroot", "coreutils"))
        .arg(root)
        .args(["/bin/sh", "-euc", line])
        .env_clear()
        .env("PATH", "/usr/local/bin:/bin"))
}

fn files(root: &Path) -> String {
    inside(
        root,
        "find / -xdev ! -type d ! -path '/bin/*' ! -path '/lib*' ! -path '/tmp/*' | sort",
    )
}

#[test]
fn installs_and_uninstalls_with_busybox_alone() {
    let scratch = Scratch::new("archive");
    let root = busybox_root(&scratch);
    fs::copy(archive(&scratch, "work"), root.join("tmp/archive.tar.gz")).unwrap();
    let before = files(&root);

    inside(&root, "cd /tmp; tar xzf archive.tar.gz");
    let printed = inside(&root, &format!("/tmp/{NAME}/install.sh"));
    assert!(
        printed.contains("sh /usr/local/lib/agentcheck/setup"),
        "{printed}"
    );
    // The same files as `make install` installs.
    let expected = scratch.directory("expected");
    run(Command::new(program("make", "make"))
        .current_dir(binaries::workspace())
        .args(["--silent", "install", "PREFIX=/usr/local"])
        .arg(format!("RELEASE={}", binaries::directory().display()))
        .arg(format!("DESTDIR={}", expected.display()))
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL"));
    for directory in ["usr/local", "etc/agentcheck", "etc/xinetd.d"] {
        run(Command::new("diff")
            .arg("-r")
            .args([expected.join(directory), root.join(directory)]));
    }
    assert!(inside(&root, "agentcheck check").contains(": ok, "));

    let made = inside(
        &root,
        "sh /usr/local/lib/agentcheck/setup directories
         ls -ldn /run/agentcheck /var/lib/agentcheck /var/lib/agentcheck/overrides",
    );
    let made: Vec<Vec<&str>> = made
        .lines()
        .map(|line| line.split_whitespace().collect())
        .map(|words: Vec<&str>| [&words[..1], &words[2..4]].concat())
        .collect();
    let of_agentcheck = |mode| vec![mode, "990", "990"];
    assert_eq!(
        made,
        ["drwxr-xr-x", "drwxr-x---", "drwxrws---"].map(of_agentcheck)
    );

    let report = inside(&root, &format!("/tmp/{NAME}/install.sh uninstall"));
    for left in [
        "/etc/agentcheck",
        "/run/agentcheck",
        "/var/lib/agentcheck",
        "userdel agentcheck",
    ] {
        assert!(report.contains(left), "{left} is not in {report}");
    }
    inside(
        &root,
        "rm -r /etc/agentcheck /run/agentcheck /var/lib/agentcheck",
    );
    assert_eq!(files(&root), before);
}

#[test]
fn the_same_sources_give_the_same_archive() {
    let scratch = Scratch::new("twice");
    let (one, other) = (archive(&scratch, "one"), archive(&scratch, "other"));
    assert!(fs::read(one).unwrap() == fs::read(other).unwrap());
}
