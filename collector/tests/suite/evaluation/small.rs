//! The small configurations of docs/recipes/small.md: each loads without a warning, has at most the lines that the
//! agent which it replaces deserves, and gives the replies in tests/golden/small. And the field cases of functions.

use super::{moment, play};
use crate::golden;
use agentcheck::config;
use agentcheck::expression::{Environment, Expression, Scope, Type};
use agentcheck::simulation::blind_spots;
use agentcheck::simulation::fields;
use agentcheck_tests::binaries::workspace;
use agentcheck_tests::scratch::Scratch;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The most lines of each, by its heading. Empty lines do not count.
const MOST_LINES: [(&str, usize); 9] = [
    ("Share of the connections", 10),
    ("A drain at a planned moment", 8),
    ("The Redis primary", 12),
    ("A GPU that others use", 14),
    ("CPU and network, smoothed", 12),
    ("Names of the failed checks", 14),
    ("Block height by JSON-RPC", 12),
    ("A script that may leave the weight unchanged", 8),
    ("One expression in four places", 10),
];

/// The `toml` block of each section, by its heading.
fn configurations(page: &str) -> BTreeMap<&str, &str> {
    let sections = page.split("\n## ").skip(1).map(|section| {
        let (heading, text) = section.split_once('\n').unwrap();
        let (_, block) = text.split_once("\n```toml\n").expect(heading);
        let (block, rest) = block.split_once("```\n").expect(heading);
        assert!(!rest.contains("```"), "{heading}: one block, all of it");
        (heading, block)
    });
    sections.collect()
}

/// The directory in tests/golden/small.
fn directory_name(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    kept.replace("--", "-")
}

fn page() -> String {
    std::fs::read_to_string(workspace().join("docs/recipes/small.md")).unwrap()
}

#[test]
fn small_configurations_are_small() {
    let page = page();
    let configurations = configurations(&page);
    assert_eq!(configurations.len(), MOST_LINES.len());
    for (heading, most) in MOST_LINES {
        let lines = configurations[heading].lines();
        let count = lines.filter(|line| !line.trim().is_empty()).count();
        assert!(count <= most, "{heading}: {count} lines instead of {most}");
    }
}

#[test]
fn small_configurations_give_the_expected_replies() {
    let page = page();
    let scratch = Scratch::new("small");
    let mut cases = BTreeMap::new();
    for (heading, text) in configurations(&page) {
        let name = directory_name(heading);
        let file = scratch.write(&format!("{name}.toml"), text);
        let (config, report) = config::load_with(&file, blind_spots::find)
            .unwrap_or_else(|error| panic!("{heading}: {error}"));
        assert_eq!(report.to_string(), "", "{heading}");
        cases.insert(name, config);
    }
    golden::all_as_expected("small", MOST_LINES.len(), |case| {
        let name = case.file_name().unwrap().to_str().unwrap();
        let story = std::fs::read_to_string(case.join("story.jsonl")).unwrap();
        play(cases.get(name).expect(name), &story)
    });
}

/// The table of docs/configuration/expressions.md: what an application prints, an expression, its value.
#[test]
fn field_cases_of_functions_give_their_results() {
    let text = "[source.app.http]\nurl = \"http://127.0.0.1/\"\nformat = \"json\"\n\
                [source.flag.file]\npath = \"/flag\"\n[service.web]\n";
    let (config, _) = config::parse(Path::new("agentcheck.toml"), text)
        .unwrap_or_else(|report| panic!("{report}"));
    let environment = Environment::new(&config.sources);
    let page = workspace().join("docs/configuration/expressions.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, table) = page
        .split_once("\n### What the functions are for\n")
        .unwrap();
    let (table, _) = table.split_once("\n[Small").unwrap();
    let mut expressions = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [_, printed, expression, result] = cells[..] else {
            panic!("{row}");
        };
        let printed: Value = serde_json::from_str(printed.trim_matches('`')).expect(row);
        let (index, given) = match &printed {
            Value::String(text) => (1, json!({"exists": true, "mtime_age": 0, "text": text})),
            document => (0, json!({"json": document})),
        };
        let source = &config.sources[index];
        let reading = fields::reading(source, &given, moment(1.0)).expect(row);
        let mut scope = Scope::new();
        scope.set(&source.name, &reading);
        scope.at(moment(2.0));
        let expression = expression.trim_matches('`');
        let compiled = Expression::compile(expression, Type::Unknown, &environment)
            .unwrap_or_else(|faults| panic!("{row}: {faults:?}"));
        let value = compiled
            .shown(&scope)
            .unwrap_or_else(|unknown| panic!("{row}: {unknown:?}"));
        let wanted = result.trim_matches(['|', ' ', '`', '"']);
        assert_eq!(value, wanted, "{row}");
        expressions.push(expression.to_owned());
    }
    for function in [
        "trim", "lower", "upper", "split", "join", "replace", "floor", "ceil", "round", "abs",
        "pow", "int", "double", "string",
    ] {
        let call = format!("{function}(");
        let called = |expression: &String| expression.contains(&call);
        assert!(
            expressions.iter().any(called),
            "{function} has no field case"
        );
    }
}
