//! Golden cases: directories of inputs, each with what is expected in the file `expected`. A new case needs
//! no code; `AGENTCHECK_BLESS=1` writes what is seen as what is expected, to be read before it is
//! committed.

use std::path::Path;

/// Compares what `told` tells of each directory below `tests/golden/KIND`, of which there are `least` or
/// more, with what is expected.
pub(crate) fn all_as_expected(kind: &str, least: usize, reported: impl Fn(&Path) -> String) {
    let all = |_: &Path| true;
    as_expected(&format!("tests/golden/{kind}"), least, all, reported);
}

/// The same for those directories below `place` that are `cases`.
pub(crate) fn as_expected(
    place: &str,
    least: usize,
    cases: impl Fn(&Path) -> bool,
    reported: impl Fn(&Path) -> String,
) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(place);
    let mut cases: Vec<_> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| cases(path))
        .collect();
    cases.sort();
    assert!(cases.len() >= least, "the cases are gone from {root:?}");
    let bless = std::env::var_os("AGENTCHECK_BLESS").is_some();
    let mut wrong = Vec::new();
    for case in &cases {
        let reported = reported(case);
        let file = case.join("expected");
        if bless {
            std::fs::write(&file, &reported).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if reported != expected {
            wrong.push(format!(
                "{case:?}\n--- expected\n{expected}--- seen\n{reported}"
            ));
        }
    }
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
