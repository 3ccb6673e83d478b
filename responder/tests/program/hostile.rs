//! Invalid state files, refusing kernels and closed descriptors: the answer is only the no-op reply, within few system
//! calls.

use crate::launched::{
    Running, StateDir, limited, on_connection, output, path, program, rest, state, tool,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The answers with NAME and with `--name-from-client`, on a connection that is also standard error.
fn answers(directory: &StateDir) -> (String, String) {
    let answer = |arguments: &[&str], sent: &[u8]| {
        let (mut client, server) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut client, sent).unwrap();
        let mut responder = on_connection(arguments, server);
        let reply = rest(&client);
        drop(client);
        assert_eq!(responder.ended(), Some(0));
        reply
    };
    let path = directory.path();
    (
        answer(&["web", "--state-dir", path], b""),
        answer(&["--name-from-client", "--state-dir", path], b"web\n"),
    )
}

#[test]
fn file_that_is_no_state_file_gives_no_op_reply() {
    let make_fifo = |directory: &StateDir| {
        tool(
            "coreutils",
            Command::new("mkfifo").arg(directory.file("web")),
        );
    };
    let make_device = |directory: &StateDir| {
        // A read of it never ends.
        let made = tool(
            "coreutils",
            Command::new("mknod")
                .arg(directory.file("web"))
                .args(["c", "1", "5"]),
        );
        assert!(made.status.success(), "{made:?}: this test requires root");
    };
    let good = state("web", "up 73%");
    let boot = good.lines().nth(1).unwrap().to_owned();
    #[allow(clippy::type_complexity)]
    let table: [(&str, &dyn Fn(&StateDir)); 13] = [
        ("no-state:web unknown:web", &|_| {}),
        ("unreadable:web", &|directory| {
            fs::create_dir(directory.file("web")).unwrap()
        }),
        ("unreadable:web", &make_fifo),
        ("unreadable:web", &make_device),
        ("unreadable:web", &|directory| {
            directory.write("other", &good);
            symlink(directory.file("other"), directory.file("web")).unwrap();
        }),
        ("unreadable:web", &|directory| {
            symlink("/etc/passwd", directory.file("web")).unwrap()
        }),
        ("bad-state:web", &|directory| directory.write("web", "")),
        ("bad-state:web", &|directory| {
            directory.write("web", &good[..good.len() - 1])
        }),
        ("bad-state:web", &|directory| {
            directory.write("web", &good.repeat(2))
        }),
        ("bad-state:web", &|directory| {
            directory.write("web", &"x".repeat(100_000))
        }),
        ("bad-state:web", &|directory| {
            directory.write("web", &state("api", "up"))
        }),
        ("other-boot:web", &|directory| {
            let other = "boot 00000000-0000-4000-8000-000000000000";
            directory.write("web", &good.replace(&boot, other));
        }),
        ("future:web", &|directory| {
            let future = "from 999999999999999999\nuntil 9999999999999999999";
            directory.write("web", &good.replace("from 1\nuntil 2", future));
        }),
    ];
    for (words, make) in table {
        let directory = StateDir::new();
        make(&directory);
        let mut words = words.split(' ');
        let configured = format!("{}\n", words.next().unwrap());
        let named = words
            .next()
            .map_or(configured.clone(), |word| format!("{word}\n"));
        assert_eq!(answers(&directory), (configured, named));
    }
}

#[test]
fn unreadable_directory_gives_no_op_reply() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let run = || {
        let mut command = program(&["web", "--state-dir", directory.path()]);
        command.uid(65534).gid(65534);
        text(&command.output().unwrap().stdout).to_owned()
    };
    assert_eq!(run(), "up 73%\n");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(run(), "unreadable:web\n");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory.file("web"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run(), "unreadable:web\n");
}

#[test]
fn missing_proc_gives_no_op_reply() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    // The freestanding program needs no other file of the root file system.
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    command.args([
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        path(),
        "web",
        "--state-dir",
        directory.path(),
    ]);
    let output = tool(
        "util-linux",
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"),
    );
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        ("no-boot-id:web\n", Some(0)),
        "{output:?}"
    );
}

// The dynamic loader of the std program needs a descriptor before the program does.
#[cfg(freestanding)]
#[test]
fn descriptor_limit_of_zero_gives_no_op_reply() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let output = limited("-n 0", path())
        .args(["web", "--state-dir", directory.path()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        ("no-descriptor:web\n", Some(0))
    );
}

// std opens /dev/null for closed standard descriptors, so the std program never sees them closed.
#[cfg(freestanding)]
#[test]
fn closed_standard_descriptors_are_handled() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let run = |redirections: &str, service: &str| {
        let script = format!("exec \"$@\" {redirections}");
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &script,
            "sh",
            path(),
            service,
            "--state-dir",
            directory.path(),
        ]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        (
            text(&output.stdout).to_owned(),
            text(&output.stderr).to_owned(),
            output.status.code(),
        )
    };
    assert_eq!(run("<&-", "web"), ("up 73%\n".into(), "".into(), Some(0)));
    assert_eq!(
        run("<&- 2>&-", "web"),
        ("up 73%\n".into(), "".into(), Some(0))
    );
    assert_eq!(
        run("<&-", "--name-from-client"),
        ("no-name\n".into(), "".into(), Some(0))
    );
    assert_eq!(
        run("<&- 2>&-", "--bogus"),
        ("bad-arguments\n".into(), "".into(), Some(2))
    );
    // The line cannot be written.
    assert_eq!(run(">&-", "web"), ("".into(), "".into(), Some(1)));
    assert_eq!(run("<&- >&- 2>&-", "web"), ("".into(), "".into(), Some(1)));
    assert_eq!(run(">/dev/full", "web"), ("".into(), "".into(), Some(1)));
}

/// The reply and the system calls of the program on a connection, after exec. `inject` are arguments of strace.
fn traced(directory: &StateDir, inject: &[&str]) -> (String, Vec<String>) {
    let (client, server) = UnixStream::pair().unwrap();
    let trace = directory.file("trace");
    let mut command = Command::new("strace");
    command.arg("-o").arg(&trace).args(inject);
    command
        .args([path(), "web", "--state-dir", directory.path()])
        .env_clear();
    command
        .stdin(std::os::fd::OwnedFd::from(server))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut strace = Running(
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install strace")),
    );
    drop(command);
    // As HAProxy does: closes as soon as it has the line.
    let reply = {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(&client), &mut line).unwrap();
        line
    };
    drop(client);
    assert_eq!(strace.ended(), Some(0));
    let calls = fs::read_to_string(&trace).unwrap();
    let calls = calls
        .lines()
        .skip_while(|line| !line.starts_with("execve("))
        .skip(1);
    let calls = calls
        .filter(|line| !line.starts_with("+++"))
        .map(str::to_owned);
    (reply, calls.collect())
}

/// One write of the reply, and at most 15 system calls.
#[test]
fn one_write_and_at_most_15_system_calls() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    let (reply, calls) = traced(&directory, &[]);
    assert_eq!(reply, "up 73%\n");
    let count = |call: &str| calls.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!(count("sendto(0, \"up 73%\\n\", 7,"), 1, "{calls:#?}");
    assert_eq!(count("sendto(") + count("write("), 1, "{calls:#?}");
    assert_eq!(count("shutdown(0, SHUT_WR)"), 1, "{calls:#?}");
    // The start-up of the std program makes its own calls.
    if !cfg!(freestanding) {
        return;
    }
    assert!(calls.len() <= 15, "{calls:#?}");
    let opened: Vec<&String> = calls
        .iter()
        .filter(|line| line.starts_with("open"))
        .collect();
    assert_eq!(opened.len(), 2, "{opened:#?}");
    assert!(
        opened[0].contains("/web.state\"") && opened[1].contains("/boot_id\""),
        "{opened:#?}"
    );
    assert!(
        calls.last().unwrap().starts_with("exit_group(0)"),
        "{calls:#?}"
    );
}

// The start-up of the std program makes the same calls before the program does.
#[cfg(freestanding)]
#[test]
fn failing_system_calls_give_no_op_replies() {
    let directory = StateDir::with(&[("web", "up 73%")]);
    for (inject, expected) in [
        ("read:error=EIO:when=1", "unreadable:web\n"),
        ("read:error=EINTR:when=1", "up 73%\n"),
        // Ten bytes that were never written: a file that begins with zeroes.
        ("read:retval=10:when=1", "bad-state:web\n"),
        ("read:error=EIO:when=2", "no-boot-id:web\n"),
        ("read:retval=5:when=2", "no-boot-id:web\n"),
        ("openat:error=EACCES:when=1", "unreadable:web\n"),
        ("openat:error=ENFILE:when=1", "no-descriptor:web\n"),
        ("openat:error=ENOENT:when=2", "no-boot-id:web\n"),
        ("fstat:error=EIO", "unreadable:web\n"),
        ("shutdown:error=ENOTCONN", "up 73%\n"),
        ("recvfrom:error=ECONNRESET", "up 73%\n"),
        ("sendto:error=EPIPE", ""),
        ("sendto:error=ECONNRESET", ""),
    ] {
        let (reply, _) = traced(&directory, &["-e", &format!("inject={inject}")]);
        assert_eq!(reply, expected, "{inject}");
    }
}

#[test]
fn file_that_is_replaced_while_read_gives_a_whole_reply() {
    let directory = StateDir::with(&[("web", "up 1%")]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut percent = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                percent = percent % 100 + 1;
                let long = "x".repeat(percent);
                directory.write("next", &state("web", &format!("up {percent}% # {long}")));
                fs::rename(directory.file("next"), directory.file("web")).unwrap();
            }
        });
        for _ in 0..100 {
            let output = output(&["web", "--state-dir", directory.path()]);
            let line = text(&output.stdout);
            assert!(line.starts_with("up ") && line.ends_with('\n'), "{line:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
