use super::*;
use crate::overrides::{Action, Moment, Stage};
use std::os::unix::fs::{PermissionsExt, symlink};

fn directory(name: &str) -> PathBuf {
    let process = std::process::id();
    let directory = std::env::temp_dir().join(format!("agentcheck-store-{name}-{process}"));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir(&directory).unwrap();
    directory
}

fn drain(id: &str) -> Override {
    let set = Moment {
        boot: "a".to_owned(),
        at: 1,
        wall: 1,
    };
    Override {
        version: VERSION,
        id: id.to_owned(),
        set,
        stages: vec![Stage {
            action: Action::Drain,
            until: None,
            end: None,
        }],
        reason: "disk".to_owned(),
        by: String::new(),
    }
}

#[test]
fn what_is_set_is_read_with_its_owner() {
    let directory = directory("set");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set("web", &drain("1")).unwrap();
    locked.set(ALL, &drain("2")).unwrap();
    let stored = read(&directory).unwrap();
    assert_eq!(stored.faults, Vec::<String>::new());
    assert_eq!(stored.overrides.len(), 2);
    let web = &stored.overrides["web"];
    assert_eq!((web.id.as_str(), web.reason.as_str()), ("1", "disk"));
    let me = directory.metadata().unwrap().uid();
    assert_eq!(web.by, user_name(me));
    let mode = directory.join("web.override").metadata().unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, MODE);
    assert!(locked.remove("web").unwrap());
    assert!(!locked.remove("web").unwrap());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn only_what_is_over_is_forgotten() {
    let directory = directory("forget");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set("web", &drain("2")).unwrap();
    locked.forget("web", "1");
    assert!(locked.read("web").unwrap().is_some());
    locked.forget("web", "2");
    assert!(locked.read("web").unwrap().is_none());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_cannot_be_used_is_told_and_nothing_else_is_lost() {
    let directory = directory("faults");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set("good", &drain("1")).unwrap();
    let text = serde_json::to_string(&drain("1")).unwrap();
    std::fs::write(directory.join("target"), &text).unwrap();
    symlink("target", directory.join("link.override")).unwrap();
    std::fs::create_dir(directory.join("directory.override")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.join("fifo.override"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    std::fs::write(directory.join("half.override"), &text[..text.len() - 5]).unwrap();
    std::fs::write(directory.join("newer.override"), text.replace(":1,", ":2,")).unwrap();
    let large = format!("{text}{}", " ".repeat(MAX_BYTES));
    std::fs::write(directory.join("large.override"), large).unwrap();
    std::fs::write(directory.join("other.txt"), "x").unwrap();
    let stored = read(&directory).unwrap();
    let names: Vec<&String> = stored.overrides.keys().collect();
    assert_eq!(names, ["good"]);
    assert_eq!(stored.faults.len(), 6, "{:?}", stored.faults);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_directory_that_is_not_there_is_empty() {
    let nowhere = Path::new("/nonexistent/overrides");
    assert_eq!(read(nowhere).unwrap(), Stored::default());
    assert!(lock(nowhere, PATIENCE).is_err());
}

#[test]
fn two_operators_take_turns() {
    let directory = directory("turns");
    let commands: Vec<_> = (0..8)
        .map(|number: u32| {
            let directory = directory.clone();
            std::thread::spawn(move || {
                let locked = lock(&directory, PATIENCE).unwrap();
                let before = locked.read("web").unwrap();
                locked.set("web", &drain(&number.to_string())).unwrap();
                before.map(|before| before.id)
            })
        })
        .collect();
    let mut replaced: Vec<Option<String>> = commands
        .into_iter()
        .map(|command| command.join().unwrap())
        .collect();
    replaced.push(Some(
        lock(&directory, PATIENCE)
            .unwrap()
            .read("web")
            .unwrap()
            .unwrap()
            .id,
    ));
    replaced.sort();
    // Each was replaced by just one, and the last one stands.
    let expected = (0..8).map(|number: u32| Some(number.to_string()));
    let mut expected: Vec<Option<String>> = expected.chain([None]).collect();
    expected.sort();
    assert_eq!(replaced, expected);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_link_in_the_place_of_the_directory_is_not_followed() {
    let directory = directory("elsewhere");
    let link = directory.with_extension("link");
    let _ = std::fs::remove_file(&link);
    symlink(&directory, &link).unwrap();
    let error = lock(&link, PATIENCE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory, "{error}");
    // One that comes later is not, either.
    let moved = directory.with_extension("moved");
    let locked = lock(&directory, PATIENCE).unwrap();
    std::fs::rename(&directory, &moved).unwrap();
    std::fs::create_dir(directory.with_extension("victim")).unwrap();
    symlink(directory.with_extension("victim"), &directory).unwrap();
    locked.set("web", &drain("1")).unwrap();
    assert!(moved.join("web.override").exists());
    assert!(locked.remove("web").unwrap());
    for name in [&link, &directory] {
        std::fs::remove_file(name).unwrap();
    }
    std::fs::remove_dir(directory.with_extension("victim")).unwrap();
    std::fs::remove_dir_all(moved).unwrap();
}

#[test]
fn a_lock_file_that_is_there_keeps_its_rights() {
    let directory = directory("rights");
    let mode = |file: &Path| file.metadata().unwrap().permissions().mode() & 0o777;
    drop(lock(&directory, PATIENCE).unwrap());
    assert_eq!(mode(&directory.join(LOCK)), 0o660);
    std::fs::remove_file(directory.join(LOCK)).unwrap();
    let secret = directory.join("secret");
    std::fs::write(&secret, "s").unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::hard_link(&secret, directory.join(LOCK)).unwrap();
    drop(lock(&directory, PATIENCE).unwrap());
    assert_eq!(mode(&secret), 0o600);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn who_has_no_patience_waits_for_nobody() {
    let directory = directory("patience");
    let held = lock(&directory, PATIENCE).unwrap();
    let error = lock(&directory, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    // The child of another test may hold the file for a moment, until it has become another program.
    drop(held);
    lock(&directory, PATIENCE).unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}
