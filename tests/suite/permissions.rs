//! Whose configuration is taken and whose is not, by real users: in the shipped unit's sandbox, too.

use agentcheck_tests::binaries;
use agentcheck_tests::collector::Collector;
use agentcheck_tests::processes::{Running, output, program, wait_until};
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::StateDirectory;
use agentcheck_tests::systemd::{Systemd, installed};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Users that no host has.
const ANN: u32 = 3_000_001;
const BOB: u32 = 3_000_002;

const GOOD: &str =
    "[source.cpu.system]\nmetric = \"cpu\"\n[service.web]\nweight = 'headroom(cpu.value, 100)'\n";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The program where everybody gets at it.
fn collector(scratch: &Scratch) -> PathBuf {
    scratch.program(&binaries::collector())
}

/// What `agentcheck check` says as a user, of errors only, without the scratch directory; nothing if it is
/// content.
fn said_to(user: u32, scratch: &Scratch, file: &Path) -> String {
    let checked = output(
        Command::new(scratch.file("agentcheck"))
            .args(["check", "--config"])
            .arg(file)
            .uid(user)
            .gid(user),
    );
    let printed = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.success(), printed.is_empty(), "{printed}");
    printed.replace(&format!("{}/", scratch.path().display()), "")
}

#[test]
fn configuration_of_another_owner_is_refused() {
    let scratch = Scratch::new("owner");
    collector(&scratch);
    let directory = scratch.directory("etc");
    let file = scratch.write("etc/agentcheck.toml", GOOD);
    for user in [0, ANN, BOB] {
        assert_eq!(said_to(user, &scratch, &file), "");
    }
    chown(&file, Some(ANN), None).unwrap();
    assert_eq!(said_to(ANN, &scratch, &file), "");
    assert_eq!(
        said_to(0, &scratch, &file),
        "etc/agentcheck.toml: error: it belongs to user 3000001, and has to belong to root\n  = chown root \
         etc/agentcheck.toml\nagentcheck: 1 error\n"
    );
    assert_eq!(
        said_to(BOB, &scratch, &file),
        "etc/agentcheck.toml: error: it belongs to user 3000001, and has to belong to root or to user \
         3000002, who runs this\n  = chown root etc/agentcheck.toml\nagentcheck: 1 error\n"
    );
    // Whoever has the directory can put another file there.
    chown(&file, Some(0), None).unwrap();
    chown(&directory, Some(ANN), None).unwrap();
    assert_eq!(said_to(ANN, &scratch, &file), "");
    let printed = said_to(0, &scratch, &file);
    assert!(
        printed.starts_with("etc: error: it belongs to user 3000001,"),
        "{printed}"
    );
    chown(&directory, Some(0), None).unwrap();

    // A drop-in counts as the file itself does, and what is wrong with several is told at once.
    let drop_ins = scratch.directory("etc/conf.d");
    let web = scratch.write("etc/conf.d/web.toml", "");
    let api = scratch.write("etc/conf.d/api.toml", "");
    assert_eq!(said_to(0, &scratch, &file), "");
    chown(&web, Some(ANN), None).unwrap();
    set_mode(&api, 0o666);
    let printed = said_to(0, &scratch, &file);
    let places: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains(": error: "))
        .collect();
    assert_eq!(
        places,
        [
            "etc/conf.d/api.toml: error: everybody may write to it, mode 0666",
            "etc/conf.d/web.toml: error: it belongs to user 3000001, and has to belong to root",
        ]
    );
    chown(&web, Some(0), None).unwrap();
    set_mode(&api, 0o600);
    let printed = said_to(ANN, &scratch, &file);
    assert!(
        printed.contains("etc/conf.d/api.toml: error: cannot be read: Permission denied"),
        "{printed}"
    );
    set_mode(&api, 0o644);
    set_mode(&drop_ins, 0o711);
    let printed = said_to(ANN, &scratch, &file);
    assert!(
        printed.contains("etc/conf.d: error: cannot be read: Permission denied"),
        "{printed}"
    );
    set_mode(&drop_ins, 0o777);
    let printed = said_to(0, &scratch, &file);
    assert!(
        printed.starts_with("etc/conf.d: error: everybody may put files"),
        "{printed}"
    );
}

#[test]
fn another_users_link_in_a_shared_directory_is_refused() {
    let scratch = Scratch::new("sticky");
    collector(&scratch);
    let file = scratch.write("agentcheck.toml", GOOD);
    let shared = scratch.directory("shared");
    set_mode(&shared, 0o1777);
    let link = shared.join("agentcheck.toml");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(said_to(ANN, &scratch, &link), "");
    std::os::unix::fs::lchown(&link, Some(BOB), None).unwrap();
    let printed = said_to(ANN, &scratch, &link);
    assert!(
        printed.starts_with("shared/agentcheck.toml: error: it belongs to user 3000002,"),
        "{printed}"
    );
}

#[test]
fn collect_refuses_foreign_files_and_warns_of_readable_secrets() {
    let scratch = Scratch::new("secrets");
    let token = scratch.write("token", "t0ps3cret");
    let file = scratch.write(
        "agentcheck.toml",
        format!(
            "[source.app.http]\nurl = \"http://127.0.0.1:9/\"\nbearer_file = \"{}\"\n\
             format = \"number\"\n[service.web]\nweight = 'headroom(app.value, 100)'\n",
            token.display()
        ),
    );
    let states = StateDirectory::at(scratch.directory("state"));
    let warning = format!(
        "everybody may read {0}, mode 0644: chmod o-r {0}",
        token.display()
    );
    let running = Running::start(&scratch, "collect", &mut Collector::command(&file, &states));
    running.wait_for_log(&warning);
    drop(running);

    let check = |directory: &str| {
        let checked = output(
            Command::new(binaries::collector())
                .args(["check", "--config"])
                .arg(&file)
                .env("CREDENTIALS_DIRECTORY", directory),
        );
        assert!(checked.status.success(), "{checked:?}");
        String::from_utf8(checked.stdout).unwrap()
    };
    let place = format!("{}:3:15: warning: {warning}\n", file.display());
    assert!(check("").starts_with(&place));
    // As systemd says where it put them.
    assert!(check(&scratch.path().display().to_string()).ends_with(", 0 warnings\n"));
    set_mode(&token, 0o600);
    assert!(check("").ends_with(", 0 warnings\n"));

    set_mode(&file, 0o646);
    let refused = output(&mut Collector::command(&file, &states));
    assert_eq!(refused.status.code(), Some(1));
    let printed = String::from_utf8(refused.stderr).unwrap();
    let wrong = format!(
        "{}: error: everybody may write to it, mode 0646\n",
        file.display()
    );
    assert!(printed.starts_with(&wrong), "{printed}");
}

/// Everybody may read what the responder and Prometheus read; the account and the history are the group's.
#[test]
fn written_files_have_their_modes() {
    let scratch = Scratch::new("rights");
    let states = StateDirectory::at(scratch.directory("state"));
    let data = Collector::data(&states);
    fs::create_dir_all(data.join("overrides")).unwrap();
    let metrics = scratch.directory("metrics").join("agentcheck.prom");
    let file = scratch.write(
        "agentcheck.toml",
        format!("[metrics]\ntextfile = {metrics:?}\n{GOOD}"),
    );
    let collector = Running::start(&scratch, "collect", &mut Collector::command(&file, &states));
    let written = [
        (states.path().join("web.state"), 0o644),
        (states.path().join(".collector.lock"), 0o640),
        (states.path().join("status.json"), 0o640),
        (data.join("history/current.jsonl"), 0o640),
        (metrics, 0o644),
    ];
    for (path, mode) in &written {
        wait_until(format_args!("{}", path.display()), || path.exists());
        let found = path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, *mode, "{}", path.display());
    }
    // Whoever can open the lock could keep a collector from starting, by holding it.
    let held = output(
        Command::new(program("flock", "util-linux"))
            .args(["--nonblock", "--shared"])
            .arg(states.path().join(".collector.lock"))
            .arg("true")
            .uid(ANN)
            .gid(ANN),
    );
    let error = String::from_utf8(held.stderr).unwrap();
    assert!(error.contains("Permission denied"), "{error}");
    let set = output(&mut Collector::operator(&["drain", "web"], &file, &states));
    assert!(set.status.success(), "{set:?}");
    for (name, mode) in [("web.override", 0o644), (".lock", 0o660)] {
        let path = data.join("overrides").join(name);
        let found = path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{}", path.display());
    }
    drop(collector);
}

/// The shipped unit has `PrivateUsers=yes`: to it, a file of an administrator's is one of nobody's.
#[test]
fn shipped_unit_accepts_files_of_root_and_its_own_user() {
    const UNIT: &str = "agentcheck-collector.service";
    let scratch = Scratch::new("trust-unit");
    let tree = installed(&scratch);
    let file = tree.join("etc/agentcheck/agentcheck.toml");
    fs::write(&file, GOOD).unwrap();
    fs::write(
        tree.join("etc/agentcheck/conf.d/shop.toml"),
        "[service.shop]\nweight = 'headroom(cpu.value, 100)'\n",
    )
    .unwrap();
    let systemd = Systemd::boot(&scratch, &tree);
    systemd.run(&["systemctl", "start", UNIT]);
    for service in ["web", "shop"] {
        let state = systemd.path(&format!("/run/agentcheck/{service}.state"));
        wait_until(format_args!("{}", state.display()), || state.exists());
    }
    let restart = |owner: &str| {
        systemd.run(&["chown", owner, "/etc/agentcheck/agentcheck.toml"]);
        let restarted = systemd.output(&["systemctl", "restart", UNIT]);
        restarted.status.success()
    };
    assert!(restart("agentcheck"), "its own");
    assert!(!restart("3000001"), "somebody else's");
    let wrong = "/etc/agentcheck/agentcheck.toml: error: it belongs to nobody, or to a user who is not \
                 seen from within this sandbox, and has to belong to root or to agentcheck (";
    systemd.wait_for_journal(UNIT, wrong);
    assert!(restart("root"));
}
