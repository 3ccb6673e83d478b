//! Golden cases: directories of inputs, each with the expected output in the file `expected`. A new case needs no
//! code. `SNAPSHOTS=overwrite` replaces the expected output by the actual one.

use agentcheck_tests::binaries::workspace;
use agentcheck_tests::snapshot;
use std::path::Path;

/// Compares what `run` returns for each directory below `tests/golden/KIND`, of which there are `least` or more, with
/// the expected output.
pub(crate) fn all_as_expected(kind: &str, least: usize, run: impl Fn(&Path) -> String) {
    let all = |_: &Path| true;
    as_expected(&format!("tests/golden/{kind}"), least, all, run);
}

/// The same for those directories below `place` that are `cases`.
pub(crate) fn as_expected(
    place: &str,
    least: usize,
    cases: impl Fn(&Path) -> bool,
    run: impl Fn(&Path) -> String,
) {
    let root = workspace().join(place);
    let mut cases: Vec<_> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| cases(path))
        .collect();
    cases.sort();
    assert!(cases.len() >= least, "cases are missing from {root:?}");
    let compare = |case: &Path| snapshot::compare(&run(case), &case.join("expected")).err();
    let wrong: Vec<_> = cases.iter().filter_map(|case| compare(case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
