//! Which owners and modes of a configuration are accepted, tried by real users, and in the sandbox of the shipped
//! unit.

use agentcheck_tests::binaries;
use agentcheck_tests::processes::{output, program, run, wait_until};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot::{self, file, str};
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

/// The errors of `agentcheck check` as a user, without the scratch directory; nothing where there is none.
fn errors_for(user: u32, scratch: &Scratch, file: &Path) -> String {
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

/// Commands that another user may not run name the group that may.
#[test]
fn other_user_reads_which_group_is_needed() {
    let mut scene = Scene::with("outsider", |_| GOOD.to_owned());
    scene.wait_for_reply("web", "up ");
    let _ = scene.overrides();
    set_mode(&scene.data(), 0o750);
    set_mode(scene.states.path(), 0o755);
    let agentcheck = collector(&scene.scratch);
    let (states, data) = (scene.states.path().display().to_string(), scene.data());
    let data = data.display().to_string();
    let (states, data) = (["--state-dir", &states], ["--data-dir", &data]);
    for arguments in [
        [&["status"][..], &states].concat(),
        [&["reload"][..], &states].concat(),
        [&["history"][..], &data].concat(),
        [&["explain", "web", "--at", "1m"][..], &data].concat(),
        [
            &["drain", "web", "--config"][..],
            &[scene.configuration.to_str().unwrap()],
            &states,
            &data,
        ]
        .concat(),
    ] {
        let refused = output(Command::new(&agentcheck).args(&arguments).uid(ANN).gid(ANN));
        let printed = String::from_utf8([refused.stdout, refused.stderr].concat()).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {printed}");
        assert!(
            printed.contains("; be root or in group agentcheck"),
            "{arguments:?}: {printed}"
        );
    }
}

#[test]
fn configuration_of_another_owner_is_refused() {
    let scratch = Scratch::new("owner");
    collector(&scratch);
    let directory = scratch.directory("etc");
    let file = scratch.write("etc/agentcheck.toml", GOOD);
    for user in [0, ANN, BOB] {
        assert_eq!(errors_for(user, &scratch, &file), "");
    }
    chown(&file, Some(ANN), None).unwrap();
    assert_eq!(errors_for(ANN, &scratch, &file), "");
    let mut text = String::new();
    let mut refused = |what: &str, user: u32| {
        let printed = errors_for(user, &scratch, &file);
        assert!(!printed.is_empty(), "{what}");
        text += &format!("# {what}, as user {user}\n{printed}\n");
    };
    refused("the file is another user's", 0);
    refused("the file is another user's", BOB);
    // The owner of the directory can put another file there.
    chown(&file, Some(0), None).unwrap();
    chown(&directory, Some(ANN), None).unwrap();
    assert_eq!(errors_for(ANN, &scratch, &file), "");
    refused("the directory is another user's", 0);
    chown(&directory, Some(0), None).unwrap();

    // A drop-in counts like the file itself, and faults of several files are reported together.
    let drop_ins = scratch.directory("etc/conf.d");
    let web = scratch.write("etc/conf.d/web.toml", "");
    let api = scratch.write("etc/conf.d/api.toml", "");
    assert_eq!(errors_for(0, &scratch, &file), "");
    chown(&web, Some(ANN), None).unwrap();
    set_mode(&api, 0o666);
    refused(
        "one drop-in is another user's, everybody may write to the other",
        0,
    );
    chown(&web, Some(0), None).unwrap();
    set_mode(&api, 0o600);
    refused("a drop-in cannot be read", ANN);
    set_mode(&api, 0o644);
    set_mode(&drop_ins, 0o711);
    refused("the directory of drop-ins cannot be read", ANN);
    set_mode(&drop_ins, 0o777);
    refused("everybody may write to the directory of drop-ins", 0);
    snapshot::check(&text, &[], file!["permissions/refused.txt"]);
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
    assert_eq!(errors_for(ANN, &scratch, &link), "");
    std::os::unix::fs::lchown(&link, Some(BOB), None).unwrap();
    snapshot::check(
        &errors_for(ANN, &scratch, &link),
        &[],
        str![[r#"
shared/agentcheck.toml: error: the owner is user 3000002; it has to belong to root or to user 3000001, who runs agentcheck
  = chown root shared/agentcheck.toml
agentcheck: 1 error

"#]],
    );
}

#[test]
fn collect_refuses_foreign_files_and_warns_of_readable_secrets() {
    let mut scene = Scene::new("secrets");
    let token = scene.scratch.write("token", "t0ps3cret");
    scene.configure(&format!(
        "[source.app.http]\nurl = \"http://127.0.0.1:9/\"\nbearer_file = {token:?}\n\
         format = \"number\"\n[service.web]\nweight = 'headroom(app.value, 100)'\n"
    ));
    let file = scene.configuration.clone();
    let warning = format!(
        "every user can read {0}, mode 0644: chmod o-r {0}",
        token.display()
    );
    scene.start();
    scene.wait_for_log(&warning);
    scene.kill();

    let check = |directory: &str| {
        let mut check = Command::new(binaries::collector());
        check.args(["check", "--config"]).arg(&file);
        run(check.env("CREDENTIALS_DIRECTORY", directory))
    };
    let place = format!("{}:3:15: warning: {warning}\n", file.display());
    assert!(check("").starts_with(&place));
    // With the directory in systemd's variable for credentials, there is no warning.
    assert!(check(&scene.scratch.path().display().to_string()).ends_with(", 0 warnings\n"));
    set_mode(&token, 0o600);
    assert!(check("").ends_with(", 0 warnings\n"));

    set_mode(&file, 0o646);
    let printed = scene.fails(&["collect"]);
    let wrong = format!(
        "{}: error: every user can write to this file, mode 0646\n",
        file.display()
    );
    assert!(printed.starts_with(&wrong), "{printed}");
}

/// All users may read the files of the responder and of Prometheus. Only the group may read the status snapshot and the history.
#[test]
fn written_files_have_their_modes() {
    let mut scene = Scene::new("rights");
    let (data, _) = (scene.data(), scene.overrides());
    let metrics = scene.scratch.directory("metrics").join("agentcheck.prom");
    scene.configure(&format!("[metrics]\ntextfile = {metrics:?}\n{GOOD}"));
    scene.start();
    let states = scene.states.clone();
    let written = [
        (states.path().join("web.state"), 0o644),
        (states.path().join(".collector.lock"), 0o600),
        (states.path().join(".collector.sock"), 0o660),
        (states.path().join(".collector.pid"), 0o644),
        (states.path().join("status.json"), 0o640),
        (data.join("history/current.jsonl"), 0o640),
        (metrics, 0o644),
    ];
    for (path, mode) in &written {
        wait_until(format_args!("{}", path.display()), || path.exists());
        let found = path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, *mode, "{}", path.display());
    }
    // A user who can open the lock file can take the lock, and no collector starts.
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
    scene.succeeds(&["drain", "web"]);
    for (name, mode) in [("web.outage", 0o644), (".lock", 0o660)] {
        let path = data.join("overrides").join(name);
        let found = path.metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{}", path.display());
    }
}

/// The shipped unit has `PrivateUsers=yes`: inside it, an administrator's file belongs to `nobody`.
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
    assert!(!restart("3000001"), "another user's");
    let wrong = "/etc/agentcheck/agentcheck.toml: error: the owner is nobody, or a user outside of this \
                 sandbox; it has to belong to root or to agentcheck (";
    systemd.wait_for_journal(UNIT, wrong);
    assert!(restart("root"));
}
