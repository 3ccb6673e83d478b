//! What is believed, on real files. Users are numbers here, so that it takes no root to look.

#![allow(clippy::panic)]

use super::*;
use agentcheck_tests::scratch::Scratch;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What is said of a path, without where the scratch directory is.
fn said(scratch: &Scratch, path: &Path) -> Vec<String> {
    let doubts = Trust::of_this_process().look(path);
    let place = format!("{}/", scratch.path().display());
    let lines = doubts.iter().map(|doubt| {
        let line = format!("{}: {}; {}", doubt.path.display(), doubt.what, doubt.remedy);
        line.replace(&place, "")
    });
    lines.collect()
}

#[test]
fn a_file_that_others_may_write_to() {
    let scratch = Scratch::new("trust-file");
    let file = scratch.write("a.toml", "");
    assert_eq!(said(&scratch, &file), [""; 0]);
    set_mode(&file, 0o400);
    assert_eq!(said(&scratch, &file), [""; 0]);
    set_mode(&file, 0o646);
    assert_eq!(
        said(&scratch, &file),
        ["a.toml: everybody may write to it, mode 0646; chmod o-w a.toml"]
    );
    // By its path, and by one that is relative, or leads through others.
    let round = scratch.directory("within").join("../a.toml");
    assert_eq!(said(&scratch, &round).len(), 1);
    assert_eq!(said(&scratch, &scratch.file("missing")), [""; 0]);
}

#[test]
fn a_directory_that_others_may_write_to() {
    let scratch = Scratch::new("trust-directory");
    let file = scratch.directory("open/inner").join("a.toml");
    fs::write(&file, "").unwrap();
    set_mode(&file, 0o644);
    let open = scratch.file("open");
    assert_eq!(said(&scratch, &file), [""; 0]);
    set_mode(&open, 0o757);
    let told = "open: everybody may put files into this directory, mode 0757; chmod o-w open";
    // Whoever can replace a directory further up can replace the file.
    assert_eq!(said(&scratch, &file), [told]);
    // What another owns in a sticky directory cannot be taken away.
    set_mode(&open, 0o1777);
    assert_eq!(said(&scratch, &file), [""; 0]);
}

#[test]
fn links_are_followed_to_what_they_are_of() {
    let scratch = Scratch::new("trust-links");
    let open = scratch.directory("open");
    let file = open.join("a.toml");
    fs::write(&file, "").unwrap();
    set_mode(&file, 0o644);
    set_mode(&open, 0o757);
    let link = scratch.file("link.toml");
    symlink(&file, &link).unwrap();
    assert_eq!(said(&scratch, &link).len(), 1, "where it leads to");
    set_mode(&open, 0o755);
    assert_eq!(said(&scratch, &link), [""; 0]);
    set_mode(&file, 0o666);
    assert_eq!(said(&scratch, &link).len(), 1, "the file itself");
    set_mode(&file, 0o644);

    // Through a directory that anybody can put another link into.
    let through = scratch.directory("through");
    symlink("../open/a.toml", through.join("a.toml")).unwrap();
    assert_eq!(said(&scratch, &through.join("a.toml")), [""; 0]);
    set_mode(&through, 0o757);
    assert_eq!(said(&scratch, &through.join("a.toml")).len(), 1);

    let round = scratch.file("round");
    symlink(&round, &round).unwrap();
    assert_eq!(said(&scratch, &round), [""; 0], "opening it tells");
    assert_eq!(said(&scratch, Path::new("/dev/null")), [""; 0]);
}

#[test]
fn each_place_is_told_of_once() {
    let scratch = Scratch::new("trust-once");
    let open = scratch.directory("open");
    set_mode(&open, 0o757);
    let mut trust = Trust::of_this_process();
    fs::write(open.join("a"), "").unwrap();
    fs::write(open.join("b"), "").unwrap();
    assert_eq!(trust.look(&open.join("a")).len(), 1);
    assert_eq!(trust.look(&open.join("b")).len(), 0);
}

#[test]
fn root_and_who_runs_this_may_own_it() {
    let who = |user, owner| {
        let trust = Trust {
            user,
            seen: BTreeSet::new(),
        };
        let doubt = trust.of_owner(Path::new("/f"), owner);
        doubt.map(|doubt| format!("{}; {}", doubt.what, doubt.remedy))
    };
    for (user, owner) in [(0, 0), (4_000_001, 4_000_001), (4_000_001, 0)] {
        assert_eq!(who(user, owner), None);
    }
    assert_eq!(
        who(0, 4_000_002).unwrap(),
        "it belongs to user 4000002, and has to belong to root; chown root /f"
    );
    assert_eq!(
        who(4_000_001, 4_000_002).unwrap(),
        "it belongs to user 4000002, and has to belong to root or to user 4000001, who runs this; \
         chown root /f"
    );
    // As the sandbox of the shipped unit shows everybody else.
    assert_eq!(
        who(4_000_001, OVERFLOW).unwrap(),
        "it belongs to nobody, or to a user who is not seen from within this sandbox, and has to belong \
         to root or to user 4000001, who runs this; chown root /f"
    );
}

#[test]
fn a_group_of_ones_own_may_write() {
    let facts = |is_directory, mode, group_is_owners| Facts {
        is_directory,
        owner: 0,
        mode: Mode::from_raw_mode(mode),
        group_is_owners,
    };
    let told =
        |facts| of_mode(Path::new("/f"), facts).map(|doubt| doubt.what + "; " + &doubt.remedy);
    assert_eq!(told(facts(false, 0o664, true)), None);
    assert_eq!(told(facts(true, 0o775, true)), None);
    assert_eq!(
        told(facts(false, 0o664, false)).unwrap(),
        "its group may write to it, mode 0664; chmod g-w /f"
    );
    assert_eq!(
        told(facts(false, 0o666, false)).unwrap(),
        "everybody may write to it, mode 0666; chmod go-w /f"
    );
    assert_eq!(
        told(facts(true, 0o2775, false)).unwrap(),
        "its group may put files into this directory, mode 2775; chmod g-w /f"
    );
    // A sticky bit on a file means nothing.
    assert!(told(facts(false, 0o1666, true)).is_some());
}

#[test]
fn secrets_that_others_may_read() {
    let scratch = Scratch::new("trust-secrets");
    let file = scratch.write("token", "t0ps3cret");
    let shown = file.display();
    assert_eq!(
        exposed(&file).unwrap(),
        format!("everybody may read {shown}, mode 0644: chmod o-r {shown}")
    );
    set_mode(&file, 0o600);
    assert_eq!(exposed(&file), None);
    assert_eq!(exposed(&scratch.file("missing")), None);
    // By what it leads to.
    let link = scratch.file("link");
    symlink(&file, &link).unwrap();
    set_mode(&file, 0o604);
    assert!(exposed(&link).is_some());
}
