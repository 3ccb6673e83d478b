use super::*;
use crate::overrides::{Action, Moment, OverrideStage};
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
        stages: vec![OverrideStage {
            action: Action::Drain,
            until: None,
            end: None,
        }],
        reason: "disk".to_owned(),
        by: String::new(),
    }
}

fn outage(name: &str) -> Key {
    Key::new(name, Kind::Outage)
}

/// The orders in a directory for these services, without anything known before.
fn stored(directory: &Path, services: &[&str]) -> Stored {
    let services = services.iter().map(|name| (*name).to_owned()).collect();
    read(directory, &services, std::iter::empty()).unwrap()
}

#[test]
fn set_overrides_are_read_with_their_owner() {
    let directory = directory("set");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set(&outage("web"), &drain("1")).unwrap();
    locked.set(&outage(ALL), &drain("2")).unwrap();
    let stored = stored(&directory, &["web"]);
    assert_eq!(stored.faults, []);
    assert_eq!(stored.overrides.len(), 2);
    let web = &stored.overrides[&outage("web")];
    assert_eq!((web.id.as_str(), web.reason.as_str()), ("1", "disk"));
    let me = directory.metadata().unwrap().uid();
    assert_eq!(web.by, user(me));
    let mode = directory.join("web.outage").metadata().unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, MODE);
    assert!(locked.remove(&outage("web")).unwrap());
    assert!(!locked.remove(&outage("web")).unwrap());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn limits_and_outages_have_files_of_their_own() {
    let directory = directory("kinds");
    let locked = lock(&directory, PATIENCE).unwrap();
    let mut limit = drain("2");
    limit.stages[0].action = Action::Limit { percent: 20 };
    locked.set(&outage("web"), &drain("1")).unwrap();
    locked.set(&Key::new("web", Kind::Limit), &limit).unwrap();
    locked.set(&outage("api"), &limit).unwrap();
    let stored = stored(&directory, &["api", "web"]);
    assert_eq!(stored.overrides.len(), 2);
    assert!(
        stored.faults[0]
            .text
            .ends_with("api.outage: limit 20% does not belong into this file")
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn only_the_expired_order_of_its_own_file_is_forgotten() {
    let directory = directory("forget");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set(&outage("web"), &drain("2")).unwrap();
    locked.set(&outage("api"), &drain("2")).unwrap();
    locked.forget(&outage("web"), "1");
    assert!(locked.read(&outage("web")).unwrap().is_some());
    locked.forget(&outage("web"), "2");
    assert!(locked.read(&outage("web")).unwrap().is_none());
    assert!(locked.read(&outage("api")).unwrap().is_some());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn unusable_files_are_faults_and_others_are_read() {
    let directory = directory("faults");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set(&outage("good"), &drain("1")).unwrap();
    let text = serde_json::to_string(&drain("1")).unwrap();
    std::fs::write(directory.join("target"), &text).unwrap();
    symlink("target", directory.join("link.outage")).unwrap();
    std::fs::create_dir(directory.join("directory.outage")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        directory.join("fifo.outage"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    std::fs::write(directory.join("half.outage"), &text[..text.len() - 5]).unwrap();
    std::fs::write(directory.join("newer.outage"), text.replace(":1,", ":2,")).unwrap();
    let large = format!("{text}{}", " ".repeat(MAX_BYTES));
    std::fs::write(directory.join("large.outage"), large).unwrap();
    std::fs::write(directory.join("other.txt"), "x").unwrap();
    let services = [
        "good",
        "link",
        "directory",
        "fifo",
        "half",
        "newer",
        "large",
    ];
    let found = stored(&directory, &services);
    let names: Vec<String> = found.keys().map(|key| key.to_string()).collect();
    assert_eq!(names, ["good.outage"]);
    assert_eq!(found.faults.len(), 6, "{:?}", found.faults);
    // Files of no service are reported and not read.
    let none = stored(&directory, &[]);
    assert_eq!(none.overrides.len(), 0);
    assert_eq!(none.faults.len(), 7);
    assert!(
        none.faults
            .iter()
            .all(|fault| fault.key.is_none() && fault.text.contains("unknown service"))
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn faults_are_bounded_in_text_and_number() {
    let directory = directory("many-faults");
    for number in 0..MAX_FAULTS + 30 {
        std::fs::write(directory.join(format!("{number:0200}.outage")), "").unwrap();
    }
    let stored = stored(&directory, &[]);
    assert_eq!((stored.faults.len(), stored.more_faults), (MAX_FAULTS, 30));
    assert!(
        stored
            .faults
            .iter()
            .all(|fault| fault.text.len() <= MAX_FAULT)
    );
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn orders_are_found_by_name_among_too_many_files() {
    let directory = directory("too-many");
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set(&outage("web"), &drain("1")).unwrap();
    for number in 0..=MAX_ENTRIES {
        std::fs::write(directory.join(format!("x{number}.outage")), "").unwrap();
    }
    locked.set(&outage(ALL), &drain("2")).unwrap();
    let stored = stored(&directory, &["web", "api"]);
    let names: Vec<String> = stored.keys().map(|key| key.to_string()).collect();
    assert_eq!(names, ["@all.outage", "web.outage"]);
    let faults = stored.faults.len() + stored.more_faults;
    assert!(
        faults > MAX_ENTRIES - 3,
        "each file of no service, and the directory: {faults}"
    );
    std::fs::remove_dir_all(directory).unwrap();
}

/// A listing may miss a file that is replaced at that moment.
#[test]
fn known_orders_are_looked_up_by_name() {
    let directory = directory("known");
    let services = BTreeSet::from(["web".to_owned()]);
    let locked = lock(&directory, PATIENCE).unwrap();
    locked.set(&outage("web"), &drain("1")).unwrap();
    let known = [outage("web"), outage("removed")];
    let stored = read(&directory, &services, known.into_iter()).unwrap();
    assert_eq!(stored.overrides.len(), 1);
    assert_eq!(stored.faults, []);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn missing_directory_is_empty() {
    let nowhere = Path::new("/nonexistent/overrides");
    assert_eq!(stored(nowhere, &["web"]), Stored::default());
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
                let before = locked.read(&outage("web")).unwrap();
                locked
                    .set(&outage("web"), &drain(&number.to_string()))
                    .unwrap();
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
            .read(&outage("web"))
            .unwrap()
            .unwrap()
            .id,
    ));
    replaced.sort();
    // Each was replaced by exactly one, and the last one is active.
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
    locked.set(&outage("web"), &drain("1")).unwrap();
    assert!(moved.join("web.outage").exists());
    assert!(locked.remove(&outage("web")).unwrap());
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
