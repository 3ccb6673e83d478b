//! Golden cases of `agentcheck check`: each directory of tests/golden/configuration has a configuration and the
//! whole output for it, with the exit status in the last line.

use crate::{agentcheck_in, golden};
use agentcheck_tests::snapshot::{self, str};
use std::path::Path;

fn check(directory: &Path, file: &str) -> String {
    agentcheck_in(directory, &["check", "--config", file])
}

#[test]
fn configurations_give_the_expected_findings() {
    golden::all_as_expected("configuration", 20, |case| check(case, "agentcheck.toml"));
}

#[test]
fn unreadable_file_is_named() {
    let printed = check(Path::new("/"), "/nowhere/agentcheck.toml");
    snapshot::check(
        &printed,
        &[],
        str![[r#"
/nowhere/agentcheck.toml: error: cannot be read: No such file or directory (os error 2)
exit status 1

"#]],
    );
}
