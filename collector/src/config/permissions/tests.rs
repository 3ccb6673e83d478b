//! Trusted and untrusted paths, on real files. Users are numbers, so that the tests do not need root.

#![allow(clippy::panic)]

use super::*;
use agentcheck_tests::scratch::Scratch;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The doubts about a path, without the scratch directory.
fn doubts(scratch: &Scratch, path: &Path) -> Vec<String> {
    let doubts = Trust::of_this_process().doubts(path);
    let place = format!("{}/", scratch.path().display());
    let lines = doubts.iter().map(|doubt| {
        let line = format!(
            "{}: {}; {}",
            doubt.path.display(),
            doubt.message,
            doubt.remedy
        );
        line.replace(&place, "")
    });
    lines.collect()
}

#[test]
fn file_that_others_can_write_to_is_refused() {
    let scratch = Scratch::new("trust-file");
    let file = scratch.write("a.toml", "");
    assert_eq!(doubts(&scratch, &file), [""; 0]);
    set_mode(&file, 0o400);
    assert_eq!(doubts(&scratch, &file), [""; 0]);
    set_mode(&file, 0o646);
    assert_eq!(
        doubts(&scratch, &file),
        ["a.toml: every user can write to this file, mode 0646; chmod o-w a.toml"]
    );
    // By its path, by a relative one, and through other directories.
    let round = scratch.directory("within").join("../a.toml");
    assert_eq!(doubts(&scratch, &round).len(), 1);
    assert_eq!(doubts(&scratch, &scratch.file("missing")), [""; 0]);
}

#[test]
fn directory_that_others_can_write_to_is_refused() {
    let scratch = Scratch::new("trust-directory");
    let file = scratch.directory("open/inner").join("a.toml");
    fs::write(&file, "").unwrap();
    set_mode(&file, 0o644);
    let open = scratch.file("open");
    assert_eq!(doubts(&scratch, &file), [""; 0]);
    set_mode(&open, 0o757);
    let expected = "open: every user can create files in this directory, mode 0757; chmod o-w open";
    // A user who can replace a directory above can replace the file.
    assert_eq!(doubts(&scratch, &file), [expected]);
    // In a sticky directory, no user can remove the file of another user.
    set_mode(&open, 0o1777);
    assert_eq!(doubts(&scratch, &file), [""; 0]);
}

#[test]
fn links_are_followed() {
    let scratch = Scratch::new("trust-links");
    let open = scratch.directory("open");
    let file = open.join("a.toml");
    fs::write(&file, "").unwrap();
    set_mode(&file, 0o644);
    set_mode(&open, 0o757);
    let link = scratch.file("link.toml");
    symlink(&file, &link).unwrap();
    assert_eq!(doubts(&scratch, &link).len(), 1, "where it leads to");
    set_mode(&open, 0o755);
    assert_eq!(doubts(&scratch, &link), [""; 0]);
    set_mode(&file, 0o666);
    assert_eq!(doubts(&scratch, &link).len(), 1, "the file itself");
    set_mode(&file, 0o644);

    // Through a directory in which every user can create a link.
    let through = scratch.directory("through");
    symlink("../open/a.toml", through.join("a.toml")).unwrap();
    assert_eq!(doubts(&scratch, &through.join("a.toml")), [""; 0]);
    set_mode(&through, 0o757);
    assert_eq!(doubts(&scratch, &through.join("a.toml")).len(), 1);

    let round = scratch.file("round");
    symlink(&round, &round).unwrap();
    assert_eq!(
        doubts(&scratch, &round),
        [""; 0],
        "opening the file reports it"
    );
    assert_eq!(doubts(&scratch, Path::new("/dev/null")), [""; 0]);
}

#[test]
fn each_directory_is_reported_once() {
    let scratch = Scratch::new("trust-once");
    let open = scratch.directory("open");
    set_mode(&open, 0o757);
    let mut trust = Trust::of_this_process();
    fs::write(open.join("a"), "").unwrap();
    fs::write(open.join("b"), "").unwrap();
    assert_eq!(trust.doubts(&open.join("a")).len(), 1);
    assert_eq!(trust.doubts(&open.join("b")).len(), 0);
}

#[test]
fn root_and_the_user_of_agentcheck_are_trusted() {
    let doubt = |user, owner| {
        let trust = Trust {
            user,
            seen: BTreeSet::new(),
        };
        let doubt = trust.of_owner(Path::new("/f"), owner);
        doubt.map(|doubt| format!("{}; {}", doubt.message, doubt.remedy))
    };
    for (user, owner) in [(0, 0), (4_000_001, 4_000_001), (4_000_001, 0)] {
        assert_eq!(doubt(user, owner), None);
    }
    assert_eq!(
        doubt(0, 4_000_002).unwrap(),
        "the owner is user 4000002; it has to belong to root; chown root /f"
    );
    assert_eq!(
        doubt(4_000_001, 4_000_002).unwrap(),
        "the owner is user 4000002; it has to belong to root or to user 4000001, who runs agentcheck; \
         chown root /f"
    );
    // The owner of other users' files in the sandbox of the shipped unit.
    assert_eq!(
        doubt(4_000_001, OVERFLOW).unwrap(),
        "the owner is nobody, or a user outside of this sandbox; it has to belong \
         to root or to user 4000001, who runs agentcheck; chown root /f"
    );
}

#[test]
fn group_with_one_member_can_write() {
    let facts = |is_directory, mode, group_is_owners| Facts {
        is_directory,
        owner: 0,
        mode: Mode::from_raw_mode(mode),
        group_is_owners,
    };
    let doubt =
        |facts| of_mode(Path::new("/f"), facts).map(|doubt| doubt.message + "; " + &doubt.remedy);
    assert_eq!(doubt(facts(false, 0o664, true)), None);
    assert_eq!(doubt(facts(true, 0o775, true)), None);
    assert_eq!(
        doubt(facts(false, 0o664, false)).unwrap(),
        "its group can write to this file, mode 0664; chmod g-w /f"
    );
    assert_eq!(
        doubt(facts(false, 0o666, false)).unwrap(),
        "every user can write to this file, mode 0666; chmod go-w /f"
    );
    assert_eq!(
        doubt(facts(true, 0o2775, false)).unwrap(),
        "its group can create files in this directory, mode 2775; chmod g-w /f"
    );
    // A sticky bit on a file has no effect.
    assert!(doubt(facts(false, 0o1666, true)).is_some());
}

#[test]
fn secrets_that_others_can_read_are_reported() {
    let scratch = Scratch::new("trust-secrets");
    let file = scratch.write("token", "t0ps3cret");
    let path = file.display();
    assert_eq!(
        exposed(&file).unwrap(),
        format!("every user can read {path}, mode 0644: chmod o-r {path}")
    );
    set_mode(&file, 0o600);
    assert_eq!(exposed(&file), None);
    assert_eq!(exposed(&scratch.file("missing")), None);
    // Through a link.
    let link = scratch.file("link");
    symlink(&file, &link).unwrap();
    set_mode(&file, 0o604);
    assert!(exposed(&link).is_some());
}
