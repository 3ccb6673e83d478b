//! The same tests with the program built for other machines and run in other ways: for aarch64, as the std
//! shell, under memcheck. Nothing is compiled twice but the program itself: this test program runs itself
//! again, with the other program in the place of the usual one.

use crate::launched::{OTHER, StateDir, tool};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every build has to do: pipes, files and terminals, connections, asking, the loop and its end.
const CORE: [&str; 7] = [
    "accept_loop::loop_replies_as_the_one_shot",
    "accept_loop::loop_listens_on_every_given_address",
    "accept_loop::each_socket_serves_its_own_service",
    "ending::queue_of_own_socket_is_served_before_the_end",
    "oneshot::name_can_come_by_a_pipe",
    "oneshot::reply_is_written_to_a_connection",
    "oneshot::reply_is_written_to_pipes_terminals_and_files",
];

/// Builds the program alone, in a target directory of its own; where that is.
fn built(directory: &str, rustflags: &str, arguments: &[&str]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package",
            "agentcheck-responder",
        ])
        .args(["--bin", "agentcheck-responder", "--target-dir"])
        .arg(&directory)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", rustflags);
    let linker = "aarch64-linux-gnu-gcc";
    let output = command
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", linker)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}\nfor aarch64: rustup target add aarch64-unknown-linux-gnu; apt-get install \
         gcc-aarch64-linux-gnu qemu-user",
        String::from_utf8_lossy(&output.stderr)
    );
    directory
}

/// Runs these tests with another program.
fn again(program: &Path, tests: &[&str]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command
        .arg("--exact")
        .args(tests)
        .env(OTHER, program)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let all = format!("{} passed; 0 failed", tests.len());
    assert!(
        output.status.success() && printed.contains(&all),
        "{printed}"
    );
}

/// A program that runs `program` by `how`.
fn wrapped(directory: &StateDir, how: &str, program: &Path) -> PathBuf {
    let path = Path::new(directory.path()).join("wrapper");
    let script = format!("#!/bin/sh\nexec {how} {} \"$@\"\n", program.display());
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn program_works_on_aarch64() {
    let target = "aarch64-unknown-linux-gnu";
    let directory = built("aarch64", "", &["--release", "--target", target]);
    let program = directory.join(target).join("release/agentcheck-responder");
    let header = tool("binutils", Command::new("readelf").arg("-hl").arg(&program));
    let header = String::from_utf8_lossy(&header.stdout).into_owned();
    assert!(header.contains("AArch64"), "{header}");
    assert_eq!(header.matches("LOAD").count(), 1, "{header}");
    tool("qemu-user", Command::new("qemu-aarch64").arg("--version"));
    let scratch = StateDir::new();
    again(&wrapped(&scratch, "qemu-aarch64", &program), &CORE);
}

#[test]
fn std_build_works() {
    let directory = built("std", "--cfg agentcheck_std", &[]);
    let program = directory.join("debug/agentcheck-responder");
    again(&program, &CORE);
}

/// The std shell, since memcheck knows the C library; all but its way into the kernel is the same code.
#[test]
fn program_is_clean_under_memcheck() {
    let directory = built("std", "--cfg agentcheck_std", &[]);
    let program = directory.join("debug/agentcheck-responder");
    tool("valgrind", Command::new("valgrind").arg("--version"));
    let scratch = StateDir::new();
    let log = scratch.path().to_owned();
    let how = format!("valgrind --quiet --error-exitcode=99 --log-file={log}/%p.log");
    let tests = [
        "accept_loop::clients::slow_and_broken_clients_block_nothing",
        "oneshot::reply_is_written_to_pipes_terminals_and_files",
        "oneshot::missing_name_and_missing_state_give_a_no_op_reply",
    ];
    again(&wrapped(&scratch, &how, &program), &tests);
    let mut runs = 0;
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            runs += 1;
            let errors = std::fs::read_to_string(&path).unwrap();
            assert_eq!(errors, "", "{}", path.display());
        }
    }
    println!("{runs} runs under memcheck, 0 errors");
    assert!(runs >= 7, "{runs}");
}
