//! Input of hostile applications and exporters, and of careless operators: the collector's fuzz corpus, each file
//! also cut off and with flipped bits, and documents that are too large. Each gives a value or a reason within
//! bounded time. What fuzzing has found stays fixed, also where no fuzzer is installed.

#[path = "../../fuzz/properties.rs"]
mod properties;

use std::fs;
use std::thread;

/// The stack of a program's first thread, on which configurations are read and expressions evaluated; that
/// of a test is a quarter of it.
const STACK: usize = 8 << 20;

fn on_its_stack(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(work);
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs each file of a corpus, `cuts` of its beginnings, and each with `turns` of its bits turned, both
/// spread over the whole file.
fn run(name: &'static str, property: fn(&[u8]), cuts: usize, turns: usize) {
    on_its_stack(move || corpus(name, property, cuts, turns));
}

fn corpus(name: &str, property: fn(&[u8]), cuts: usize, turns: usize) {
    let directory = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        files += 1;
        property(&bytes);
        for cut in 0..cuts.min(bytes.len()) {
            property(&bytes[..cut * bytes.len() / cuts.min(bytes.len())]);
        }
        let bits = bytes.len() * 8;
        let mut turned = bytes;
        for turn in 0..turns.min(bits) {
            // Not a step that divides by 8, so that each bit of a byte has its turn.
            let bit = (turn * bits / turns.min(bits) + turn % 8).min(bits - 1);
            turned[bit / 8] ^= 1 << (bit % 8);
            property(&turned);
            turned[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(files >= 10, "{directory} has {files} files");
}

#[test]
fn json_corpus_gives_a_value_or_a_reason() {
    run("json", properties::json, 20, 60);
}

#[test]
fn csv_corpus_gives_a_table_or_a_reason() {
    run("csv", properties::csv, 20, 60);
}

#[test]
fn stream_corpus_gives_records_or_a_reason() {
    run("stream", properties::stream, 20, 60);
}

#[test]
fn prometheus_corpus_gives_a_value_or_a_reason() {
    run("prometheus", properties::prometheus, 20, 60);
}

#[test]
fn expression_corpus_gives_a_value_or_a_reason() {
    run("expression", properties::expression, 8, 24);
}

#[test]
fn configuration_corpus_gives_a_value_or_a_reason() {
    run("configuration", properties::configuration, 10, 40);
}

/// A body may have a megabyte unless `max_bytes` is set.
const BODY: usize = 1 << 20;

/// `around.0`, as many of `element` with commas between them as fit a body, `around.1`.
fn filled(around: (&str, &str), element: impl Fn(usize) -> String) -> String {
    let mut text = around.0.to_owned();
    for at in 0.. {
        let element = element(at);
        if text.len() + element.len() + around.1.len() + 1 > BODY {
            break;
        }
        text.push_str(&element);
        text.push(',');
    }
    text.pop();
    text + around.1
}

#[test]
fn large_documents_take_bounded_time_and_stack() {
    let list = ("[", "]");
    let map = ("{", "}");
    for document in [
        "1".repeat(BODY),
        format!("0.{}", "1".repeat(BODY)),
        format!("[1e{}]", "9".repeat(BODY)),
        "[".repeat(BODY),
        "{\"a\":".repeat(BODY / 5),
        format!("\"{}\"", "\\ud800".repeat(BODY / 6)),
        format!("\"{}\"", "\\u0000".repeat(BODY / 6)),
        " ".repeat(BODY),
        filled(list, |_| "0".to_owned()),
        filled(list, |_| "[]".to_owned()),
        // Just as many elements as a loop may have.
        filled(list, |at| format!("{}", 1_000_000_000 + at)),
        filled(list, |at| format!("[{at},1]")),
        filled(list, |_| "{\"load\":1}".to_owned()),
        filled(map, |_| "\"a\":1".to_owned()),
        filled(map, |at| format!("\"{at}\":1")),
        filled(("{\"workers\":[", "]}"), |_| "{\"load\":1}".to_owned()),
        filled(("{\"a\":1,\"workers\":[", "]}"), |_| format!("{}", 1e308)),
    ] {
        on_its_stack(move || properties::json(document.as_bytes()));
    }
}

#[test]
fn large_scrapes_take_bounded_time_and_stack() {
    for scrape in [
        "1".repeat(BODY),
        format!("a {}\n", "1".repeat(BODY)),
        format!("a{{{}}} 1\n", filled(("", ""), |at| format!("l{at}=\"\""))),
        format!("a{{x=\"{}\n", "\\\"".repeat(BODY / 2)),
        "{".repeat(BODY),
        "a 1\n".repeat(BODY / 4),
        format!("a{{b!=\"c\"}}\n{}", "a{b=\"\"} 1\n".repeat(50_000)),
        format!(
            "a{{b=~\"(.*)*x\"}}\na{{b=\"{}\"}} 1\n",
            "a".repeat(BODY / 2)
        ),
        "\n".repeat(BODY),
    ] {
        on_its_stack(move || properties::prometheus(scrape.as_bytes()));
    }
}

#[test]
fn large_configurations_take_bounded_time_and_stack() {
    for text in [
        "[".repeat(BODY),
        format!("a = {}", "[".repeat(BODY / 8)),
        format!("a = {}", "{a=".repeat(10_000)),
        format!("a = \"{}", "\\".repeat(BODY / 8)),
        format!("[{}a]", "a.".repeat(10_000)),
        (0..1000).fold(String::new(), |text, at| {
            text + &format!("[service.s{at}]\nweight = \"s.x\"\n")
        }),
        (0..200).fold("[service.web]\n".to_owned(), |text, at| {
            text + &format!("[derive.d{at}]\nexpression = \"d{}.value\"\n", at + 1)
        }),
    ] {
        on_its_stack(move || properties::configuration(text.as_bytes()));
    }
}

/// Every way to spend much in the few bytes that an expression may have.
#[test]
fn expensive_expressions_take_bounded_time_and_stack() {
    let nested = |before: &str, after: &str, levels: usize| {
        before.repeat(levels) + "app.json.n" + &after.repeat(levels)
    };
    for text in [
        nested("default(", ".a, 0)", 31),
        nested("default([0][", "], 0)", 31),
        nested("max(", ", 1)", 31),
        nested("[", "]", 31),
        nested("{'a': ", "}", 31),
        nested("-(", ")", 32),
        nested("string(", ")", 31),
        nested("app.ok ? ", " : 1", 80),
        nested("1 + ", " * 2", 140),
        "page.text + ".repeat(85) + "''",
        "app.json == app.json && ".repeat(42) + "true",
        "page.text.matches('((((((\\\\w{50}){50}){50}){50}){50}){50}')".to_owned(),
        format!("page.text.matches('{}')", "(a*)*".repeat(150)),
    ] {
        on_its_stack(move || properties::expression(text.as_bytes()));
    }
}

/// The most memory that a reading of a mebibyte takes, in bytes, with its text.
const MOST_MEMORY: usize = 16 << 20;

/// Measured in a process of its own: other tests take memory too.
#[test]
fn largest_documents_take_bounded_memory() {
    const KIND: &str = "AGENTCHECK_TEST_DOCUMENT";
    if let Ok(kind) = std::env::var(KIND) {
        return print_memory(&kind);
    }
    for kind in ["objects", "strings", "rows", "series", "too-many"] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "hostile_input::largest_documents_take_bounded_memory",
            ])
            .arg("--nocapture")
            .env(KIND, kind)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let measured = text.lines().find_map(|line| line.split_once("memory: "));
        let (_, measured) = measured.unwrap_or_else(|| panic!("{kind}: {text}"));
        let bytes: usize = measured.trim().parse().unwrap();
        println!("attack: {kind}: {bytes} bytes for a reading");
        assert!(bytes <= MOST_MEMORY, "{kind}: {bytes}");
        let is_refused = kind == "too-many";
        assert!(
            is_refused || bytes >= BODY / 2,
            "{kind} was not kept: {bytes}"
        );
    }
}

fn print_memory(kind: &str) {
    use agentcheck::source::Format;
    use agentcheck::source::format::MAX_VALUES;
    const READINGS: usize = 8;
    let list = |count: usize, element: &dyn Fn(usize) -> String| {
        let elements: Vec<String> = (0..count).map(element).collect();
        format!("[{}]", elements.join(","))
    };
    let (format, body) = match kind {
        "objects" => (
            Format::Json,
            list(MAX_VALUES / 2 - 1, &|at| format!("{{\"k{at}\":{at}}}")),
        ),
        "strings" => (
            Format::Json,
            list(MAX_VALUES - 1, &|at| format!("\"{at:045}\"")),
        ),
        "rows" => (
            Format::Csv,
            "column\n".to_owned() + &"a\n".repeat(MAX_VALUES / 2),
        ),
        "series" => (
            Format::Prometheus,
            (0..100_000)
                .map(|at| format!("m{at} {}\n", at % 10))
                .collect(),
        ),
        _ => (Format::Json, list(BODY / 3, &|_| "{}".to_owned())),
    };
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse::<usize>().unwrap() * 1024
    };
    let before = resident();
    let readings: Vec<_> = (0..READINGS)
        .map(|_| (format.read(body.as_bytes()), body.clone()))
        .collect();
    let taken = resident().saturating_sub(before) / READINGS;
    assert_eq!(readings[0].0.is_ok(), kind != "too-many");
    println!("memory: {taken}");
}

/// The words of a dictionary of the fuzzer, without their quotes.
fn dictionary(name: &str) -> Vec<String> {
    let file = format!(
        "{}/fuzz/dictionaries/{name}.dict",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = fs::read_to_string(file).unwrap();
    let words = text.lines().filter(|line| !line.starts_with('#'));
    words
        .map(|word| word.trim_matches(|c| "\"\\".contains(c)).to_owned())
        .collect()
}

#[test]
fn fuzzer_knows_every_key_and_every_function() {
    let root = agentcheck_tests::binaries::workspace();
    let keys = dictionary("configuration");
    let reference = fs::read_to_string(root.join("examples/reference.toml")).unwrap();
    let mut seen = 0;
    for line in reference.lines() {
        let Some((key, _)) = line.trim_start_matches(['#', ' ']).split_once(" = ") else {
            continue;
        };
        if key.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            assert!(
                keys.iter().any(|known| known == key),
                "{key} is not in configuration.dict"
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
    let functions = dictionary("expression");
    let page = fs::read_to_string(root.join("docs/configuration/expressions.md")).unwrap();
    let (_, table) = page.split_once("\n## Functions\n").unwrap();
    let (table, _) = table.split_once("\n- ").unwrap();
    seen = 0;
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let calls = row.split('|').nth(1).unwrap().split('(');
        for before in calls.filter(|before| before.ends_with(|c: char| c.is_ascii_lowercase())) {
            let name = before
                .rsplit(|c: char| !c.is_ascii_alphabetic() && c != '_')
                .next()
                .unwrap();
            let call = format!("{name}(");
            assert!(
                functions.contains(&call),
                "{name} is not in expression.dict"
            );
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
