//! The number of processes of a name, by /proc.
//!
//! Not here: threads, which are parts of a process; zombies, which do nothing; resource usage of a process. In
//! a container only its own processes are visible.

use super::{Deadline, malformed, read};
use crate::reading::{Failure, Numbers, Reason};
use crate::source::io_reason;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How much of a process's name the kernel keeps, in bytes (TASK_COMM_LEN, less the NUL).
const KEPT: usize = 15;

/// The number of processes with that name of their own, as ps(1) shows it, or with a program file of that name,
/// where the collector may see the file.
///
/// The kernel keeps 15 bytes of a process's own name. A longer name that begins with them is compared with the
/// program file or, where that is not visible, with the first argument.
pub(super) fn read_processes(
    root: &Path,
    name: &str,
    deadline: Deadline,
) -> Result<Numbers, Failure> {
    see_others(root, deadline)?;
    let proc = root.join("proc");
    let failure = |error: std::io::Error| {
        Failure::new(
            io_reason(&error),
            format_args!("{}: {error}", proc.display()),
        )
    };
    let mut count = 0_u32;
    for entry in fs::read_dir(&proc).map_err(failure)? {
        let entry = entry.map_err(failure)?.file_name();
        let Some(process) = entry.to_str().filter(|name| is_number(name)) else {
            continue;
        };
        // A process that has ended by now does not count. A name that is not UTF-8 cannot be the wanted one.
        if let Ok(stat) = read(root, &format!("proc/{process}/stat"), deadline)
            && is_of_name(&proc.join(process), parse_stat(&stat)?, name)
        {
            count = count.saturating_add(1);
        }
        if deadline.has_passed() {
            return Err(deadline.failure("not all processes seen"));
        }
    }
    Ok(Numbers {
        value: f64::from(count),
        parts: Vec::new(),
    })
}

/// With hidepid, /proc does not list the processes of others: no number is better than one that is too small.
/// Process 1 always exists and always belongs to another user.
fn see_others(root: &Path, deadline: Deadline) -> Result<(), Failure> {
    match read(root, "proc/1/stat", deadline) {
        Ok(_) => Ok(()),
        Err(failure) if root.join("proc/self").symlink_metadata().is_err() => Err(failure),
        Err(_) => Err(Failure::new(
            Reason::Denied,
            "other users' processes are hidden from the collector (hidepid, ProtectProc=)",
        )),
    }
}

fn is_number(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// The content of /proc/PID/stat.
#[derive(Debug, PartialEq)]
struct Process<'s> {
    /// The part of its name that the kernel keeps.
    name: &'s str,
    lives: bool,
}

/// `PID (NAME) STATE ...`, by proc_pid_stat(5). The name may contain blanks and brackets: it ends at the last
/// closing one.
fn parse_stat(stat: &str) -> Result<Process<'_>, Failure> {
    let parts = stat.split_once('(').and_then(|(_, rest)| {
        let (name, rest) = rest.rsplit_once(')')?;
        Some((name, rest.trim_start().chars().next()?))
    });
    match parts {
        // Z is a zombie; X and x are dead.
        Some((name, state)) => Ok(Process {
            name,
            lives: !matches!(state, 'Z' | 'X' | 'x'),
        }),
        None => Err(malformed(format_args!("/proc/PID/stat: {stat:?}"))),
    }
}

fn is_of_name(directory: &Path, process: Process<'_>, wanted: &str) -> bool {
    if !process.lives {
        return false;
    }
    if process.name == wanted && wanted.len() <= KEPT {
        return true;
    }
    match fs::read_link(directory.join("exe")) {
        // A program file that was replaced continues to run.
        Ok(program) => base_name(
            program
                .as_os_str()
                .as_bytes()
                .strip_suffix(b" (deleted)")
                .unwrap_or(program.as_os_str().as_bytes()),
        )
        .is_some_and(|name| name == wanted),
        Err(_) => {
            let begins = wanted.as_bytes().get(..KEPT) == Some(process.name.as_bytes());
            begins && first_argument_is(directory, wanted)
        }
    }
}

fn first_argument_is(directory: &Path, wanted: &str) -> bool {
    let arguments = fs::read(directory.join("cmdline")).unwrap_or_default();
    let first = arguments.split(|byte| *byte == 0).next();
    first.and_then(base_name).is_some_and(|name| name == wanted)
}

fn base_name(path: &[u8]) -> Option<&OsStr> {
    Path::new(OsStr::from_bytes(path)).file_name()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    fn count(root: &Path, name: &str) -> Result<f64, Failure> {
        let deadline = Deadline::within(Duration::from_secs(30));
        read_processes(root, name, deadline).map(|numbers| numbers.value)
    }

    #[test]
    fn names_may_contain_anything() {
        for (stat, name, lives) in [
            ("1 (systemd) S 0 1 1 0", "systemd", true),
            ("7 (a) b (c)) R 1", "a) b (c)", true),
            ("7 () D 1", "", true),
            ("7 (nginx) Z 1", "nginx", false),
        ] {
            assert_eq!(parse_stat(stat), Ok(Process { name, lives }), "{stat}");
        }
        for bad in ["", "7", "7 (nginx", "7 nginx) S", "7 (nginx)"] {
            assert!(parse_stat(bad).is_err(), "{bad:?}");
        }
    }

    /// A fabricated /proc with some processes, removed at the end.
    struct Proc(PathBuf);

    impl Proc {
        fn new(name: &str) -> Self {
            let name = format!("agentcheck-processes-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(root.join("proc")).unwrap();
            symlink("42", root.join("proc/self")).unwrap();
            fs::write(root.join("proc/uptime"), "1 1").unwrap();
            Self(root)
        }

        fn with(&self, process: u32, stat: &str, program: Option<&str>, argument: &str) {
            let directory = self.0.join(format!("proc/{process}"));
            fs::create_dir(&directory).unwrap();
            fs::write(directory.join("stat"), format!("{process} {stat} 0 0")).unwrap();
            fs::write(directory.join("cmdline"), format!("{argument}\0-x\0")).unwrap();
            if let Some(program) = program {
                symlink(program, directory.join("exe")).unwrap();
            }
        }
    }

    impl Drop for Proc {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn processes_are_found_by_own_name_and_by_program() {
        let proc = Proc::new("names");
        proc.with(1, "(init) S", None, "/sbin/init");
        proc.with(10, "(nginx) S", None, "nginx: master process");
        proc.with(11, "(nginx) S", Some("/usr/sbin/nginx"), "nginx: worker");
        proc.with(12, "(nginx) Z", None, "");
        proc.with(13, "(nginx-debug) S", None, "nginx-debug");
        proc.with(14, "(worker 3) R", Some("/opt/app/puma (deleted)"), "puma");
        proc.with(15, "(a-rather-long-n) S", None, "/bin/a-rather-long-name");
        proc.with(16, "(a-rather-long-n) S", None, "/bin/a-rather-long-nose");
        proc.with(
            17,
            "(a-rather-long-n) S",
            Some("/bin/a-rather-long-name"),
            "x",
        );
        proc.with(18, "(sh) S", Some("/bin/dash"), "/bin/a-rather-long-name");
        for (name, expected) in [
            ("nginx", 2.0),
            ("nginx-debug", 1.0),
            ("puma", 1.0),
            ("worker 3", 1.0),
            ("dash", 1.0),
            ("sh", 1.0),
            ("a-rather-long-name", 2.0),
            ("a-rather-long-n", 3.0),
            ("no-such-process", 0.0),
        ] {
            assert_eq!(count(&proc.0, name), Ok(expected), "{name}");
        }
    }

    #[test]
    fn hidden_processes_are_denied() {
        let proc = Proc::new("hidden");
        proc.with(42, "(agentcheck) S", None, "agentcheck");
        let failure = count(&proc.0, "agentcheck").unwrap_err();
        assert_eq!(failure.reason, Reason::Denied);
        let none = count(Path::new("/no/such/root"), "x").unwrap_err();
        assert_eq!(none.reason, Reason::Missing);
    }

    #[test]
    fn processes_of_this_machine() {
        // A program with a unique name.
        let name = format!("ac-{}", std::process::id());
        let program = std::env::temp_dir().join(&name);
        let _ = fs::remove_file(&program);
        symlink("/bin/cat", &program).unwrap();
        let start = || -> Child {
            let mut command = Command::new(&program);
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            command.spawn().unwrap()
        };
        let root = Path::new("/");
        assert_eq!(count(root, &name), Ok(0.0));
        let mut children = [start(), start(), start()];
        assert_eq!(count(root, &name), Ok(3.0));
        // A child that has exited and was not reaped is a zombie.
        let [first, ..] = &mut children;
        first.kill().unwrap();
        while !fs::read_to_string(format!("/proc/{}/stat", first.id()))
            .unwrap()
            .contains(") Z ")
        {
            std::thread::yield_now();
        }
        assert_eq!(count(root, &name), Ok(2.0));
        for child in &mut children {
            let _ = child.kill();
            child.wait().unwrap();
        }
        assert_eq!(count(root, &name), Ok(0.0));
        fs::remove_file(&program).unwrap();
    }
}
