//! The files of a configuration, their limits, and the places in them.

use super::super::load;
use super::*;
use agentcheck_tests::scratch::Scratch;
use std::fs;

const GOOD: &str = "[service.web]\nweight = '50'\n";

/// The first lines of the findings, without the scratch directory.
fn wrong(scratch: &Scratch) -> Vec<String> {
    let file = scratch.file("agentcheck.toml");
    let Err(LoadError::Wrong(report)) = load(&file) else {
        return Vec::new();
    };
    let place = format!("{}/", scratch.path().display());
    let firsts = report
        .rendered
        .iter()
        .filter_map(|finding| finding.lines().next());
    firsts.map(|line| line.replace(&place, "")).collect()
}

#[test]
fn drop_ins_are_read_in_the_order_of_their_bytes() {
    let scratch = Scratch::new("files-order");
    let file = scratch.write("agentcheck.toml", GOOD);
    let _ = scratch.directory("conf.d");
    for name in ["b.toml", "B.toml", "10.toml", "9.toml", "ä.toml", ".toml"] {
        fs::write(scratch.file("conf.d").join(name), "").unwrap();
    }
    let files = Files::read(&file).unwrap();
    let names: Vec<String> = files
        .paths()
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "agentcheck.toml",
            "10.toml",
            "9.toml",
            "B.toml",
            "b.toml",
            "ä.toml"
        ]
    );
    assert_eq!(wrong(&scratch), [""; 0]);
}

#[test]
fn unreadable_directory_is_an_error() {
    let scratch = Scratch::new("files-list");
    let _ = scratch.write("agentcheck.toml", GOOD);
    assert_eq!(wrong(&scratch), [""; 0], "none is none");
    let conf_d = scratch.write("conf.d", "");
    let not_a_directory = "conf.d: error: cannot read this: Not a directory (os error 20)";
    assert_eq!(wrong(&scratch), [not_a_directory]);
    fs::remove_file(&conf_d).unwrap();
    std::os::unix::fs::symlink("nowhere", &conf_d).unwrap();
    let nowhere = "conf.d: error: cannot read this: No such file or directory (os error 2)";
    assert_eq!(wrong(&scratch), [nowhere]);
}

#[test]
fn number_and_size_are_bounded() {
    let scratch = Scratch::new("files-bounds");
    let _ = scratch.write("agentcheck.toml", GOOD);
    let conf_d = scratch.directory("conf.d");
    for number in 0..MAX_DROP_INS {
        fs::write(conf_d.join(format!("{number}.toml")), "").unwrap();
    }
    assert_eq!(wrong(&scratch), [""; 0]);
    fs::write(conf_d.join("more.toml"), "").unwrap();
    let many = "conf.d: error: more than 1024 drop-ins: the limit is 1024";
    assert_eq!(wrong(&scratch), [many]);
    fs::remove_dir_all(&conf_d).unwrap();

    let _ = scratch.directory("conf.d");
    let half = "# half\n".repeat(usize::try_from(MAX_BYTES).unwrap() / 14);
    fs::write(conf_d.join("a.toml"), &half).unwrap();
    assert_eq!(wrong(&scratch), [""; 0]);
    fs::write(conf_d.join("b.toml"), &half).unwrap();
    fs::write(conf_d.join("c.toml"), "[service.web]\n").unwrap();
    let large =
        "conf.d/b.toml: error: cannot read this: the configuration is larger than 16777216 bytes";
    let second = "conf.d/c.toml:1:10: error: duplicate service \"web\", first defined at line 1 of agentcheck.toml";
    assert_eq!(wrong(&scratch), [large, second]);
}

#[test]
fn places_are_found_in_their_files() {
    let mut files = Files::one(Path::new("a"), "1\n");
    files.push(PathBuf::from("b"), "");
    files.push(PathBuf::from("c"), "22");
    assert_eq!(files.text(), "1\n\n\n22");
    let place = |at: usize| {
        let position = files.position(at);
        let file = position.file.to_str().unwrap();
        format!(
            "{file}:{}:{}:{}",
            position.line, position.column, position.text
        )
    };
    let found: Vec<String> = (0..8).map(place).collect();
    assert_eq!(
        found,
        [
            "a:1:1:1", "a:1:2:1", "a:2:1:", "b:1:1:", "c:1:1:22", "c:1:2:22", "c:1:3:22",
            "c:1:3:22"
        ]
    );
    assert_eq!(Files::default().position(3).line, 1);
}
