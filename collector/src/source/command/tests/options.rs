//! Options of a command: plugin format, environment, directory, user.

use super::*;

fn plugin(script: &str) -> Found {
    let plugin = Command {
        reads: Reads::Nagios,
        ..shell(script)
    };
    poll(plugin, AMPLE)
}

#[test]
fn plugin_statuses_up_to_2_are_good() {
    for status in 0..=2 {
        let found = plugin(&format!(
            "echo 'DISK - 5% free | /=95%;80;90 '; echo long; exit {status}"
        ));
        assert_eq!(found.exit, Some(status));
        assert_eq!(found.text.as_deref(), Some("DISK - 5% free"));
        let perf = BTreeMap::from([("/".to_owned(), 95.0)]);
        assert_eq!(found.outcome, Ok(Content::Perf(perf)));
    }
    for status in [3, 4, 127] {
        let found = plugin(&format!("echo 'UNKNOWN - no route | a=1'; exit {status}"));
        assert_eq!(
            failure(&found).to_string(),
            format!("exit: status {status}: UNKNOWN - no route")
        );
        assert_eq!(found.exit, Some(status));
        assert_eq!(found.text.as_deref(), Some("UNKNOWN - no route"));
    }
    let killed = plugin("echo half; kill -9 $$");
    assert_eq!(failure(&killed).reason, Reason::Signal);
    let silent = plugin("exit 2");
    assert_eq!(silent.outcome, Ok(Content::Perf(BTreeMap::new())));
    let bytes = plugin(r"printf 'a\377|x=1'; exit 1");
    assert_eq!(bytes.text.as_deref(), Some("a\u{fffd}"));
    assert!(bytes.outcome.is_ok());
}

#[test]
fn variables_are_added_and_not_printed() {
    let mut command = shell("echo $AGENTCHECK_TEST $HOME ${PATH:+path}");
    command.env = Environment::from([
        ("AGENTCHECK_TEST".to_owned(), "hidden-word".into()),
        ("HOME".to_owned(), "/elsewhere".into()),
    ]);
    for printed in [format!("{command:?}"), command.to_string()] {
        assert!(!printed.contains("hidden-word"), "{printed}");
    }
    let found = poll(command, AMPLE);
    assert_eq!(found.text.as_deref(), Some("hidden-word /elsewhere path\n"));
}

#[test]
fn command_runs_in_its_directory() {
    let within = |directory: &str| {
        let command = Command {
            directory: Some(directory.into()),
            ..shell("pwd")
        };
        poll(command, AMPLE)
    };
    assert_eq!(within("/usr").text.as_deref(), Some("/usr\n"));
    for (directory, detail) in [
        (
            "/no/such",
            "missing: \"/no/such\": No such file or directory (os error 2)",
        ),
        (
            "/proc/uptime",
            "missing: \"/proc/uptime\" is not a directory",
        ),
    ] {
        assert_eq!(failure(&within(directory)).to_string(), detail);
    }
}

/// The script as a command of this user and group.
///
/// # Panics
/// Where the test does not run as root, which alone can start a process of another user.
fn poll_as(user: &str, group: Option<&str>, script: &str, timeout: Duration) -> Found {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root can start a command of another user: run the tests as root"
    );
    let command = Command {
        user: Some(User {
            user: user.to_owned(),
            group: group.map(str::to_owned),
        }),
        ..shell(script)
    };
    poll(command, timeout)
}

/// It becomes the user and keeps no group and no capability of root's.
#[test]
fn command_runs_as_its_user() {
    let by = |user: &str, group: Option<&str>| {
        let script =
            "id -u; id -g; id -G; echo $USER $HOME; grep -E '^Cap(Prm|Eff)' /proc/self/status";
        poll_as(user, group, script, AMPLE)
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let nobody = passwd.lines().find(|line| line.starts_with("nobody:"));
    let fields: Vec<&str> = nobody.expect("nobody is everywhere").split(':').collect();
    let none = "0000000000000000";
    let expected = |gid: &str| {
        format!(
            "{}\n{gid}\n{gid}\nnobody {}\nCapPrm:\t{none}\nCapEff:\t{none}\n",
            fields[2], fields[5]
        )
    };
    for (user, group, gid) in [
        ("nobody", None, fields[3]),
        (fields[2], None, fields[3]),
        ("nobody", Some("12345"), "12345"),
    ] {
        let found = by(user, group);
        assert_eq!(found.text, Some(expected(gid)), "{found:?}");
    }
    let missing = failure(&by("no-such-user", None));
    assert_eq!(
        missing.to_string(),
        "missing: unknown user \"no-such-user\": not in /etc/passwd"
    );
}

/// A session of its own has no terminal, and no process of another session can be reached through one.
#[test]
fn another_users_command_has_a_session_of_its_own() {
    let script =
        "read id rest < /proc/self/stat; set -- $rest; echo $(($4 == $$)) $(($5 == $$)) $6";
    let found = poll_as("nobody", None, script, AMPLE);
    assert_eq!(found.text.as_deref(), Some("1 1 0\n"), "{found:?}");
}

/// The system's error is about the interpreter and names the program.
#[test]
fn unusable_interpreter_is_named() {
    for (name, content, wrong) in [
        (
            "crlf",
            "#!/bin/sh\r\necho 1\r\n",
            "its first line, #!/bin/sh, ends with CRLF: save it with LF line ends",
        ),
        (
            "absent",
            "#!/no/such/interpreter -x\n",
            "its interpreter /no/such/interpreter does not exist",
        ),
        (
            "none",
            "echo 1\n",
            "not an executable format: begin it with #!/bin/sh",
        ),
    ] {
        let script = Scratch::new(name);
        let path = script.show().to_string();
        // By another process, as in `script_without_interpreter_is_not_given_to_a_shell`.
        let write = format!("printf '{content}' > {path}; chmod 755 {path}");
        assert!(poll(shell(&write), AMPLE).outcome.is_ok());
        let failure = failure(&poll(command(&[&path]), AMPLE));
        assert_eq!(failure.detail, format!("{path:?}: {wrong}"));
    }
}

#[test]
fn expected_exit_status_is_good() {
    let is_active = |status: u8| {
        let command = Command {
            expect_exit: Ranges::exits("0,3").unwrap(),
            ..shell(&format!("echo inactive; exit {status}"))
        };
        poll(command, AMPLE)
    };
    let expected = is_active(3);
    assert_eq!(expected.outcome, Ok(Content::Text));
    assert_eq!(
        (expected.exit, expected.text.as_deref()),
        (Some(3), Some("inactive\n"))
    );
    assert!(is_active(0).outcome.is_ok());
    assert_eq!(failure(&is_active(1)).to_string(), "exit: status 1");
}

/// A process of another user is killed like every other.
#[test]
fn another_users_process_is_killed_at_the_deadline() {
    let found = poll_as("nobody", None, "sleep 60 & sleep 60", SHORT);
    assert_eq!(failure(&found).reason, Reason::Timeout);
}
