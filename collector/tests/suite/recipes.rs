//! The recipes of docs/recipes: each loads without a warning, and recorded output of its application leads to
//! the expected replies.
//!
//! The configuration is the recipe's first `toml` block. `story.jsonl` in tests/golden/recipes/NAME has the lines of
//! other golden cases: readings as in a recording, and overrides. A `text` may be a file beside it,
//! `{"text":{"file":"busy.json"}}`. An empty line starts a new collector. Lines of the same time lead to one
//! decision. `expected` has the lines with the replies.
//!
//! Texts go through the sources themselves: served by HTTP, printed by a command, read from the disk.

use crate::evaluation::{Line, Player, moment};
use agentcheck::config::{self, Config, SourceId};
use agentcheck::reading::Reading;
use agentcheck::simulation::{blind_spots, fields};
use agentcheck::source::command::Command;
use agentcheck::source::tcp::Peer;
use agentcheck::source::{Cancellation, Kind, Poller, Source};
use agentcheck_common::BootTime;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes")
}

/// Stories and recorded output, a directory for each recipe.
fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/recipes")
}

/// The text of the first block of a language, without its fences.
fn block<'a>(document: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("\n```{language}\n"))?;
    let (block, _) = rest.split_once("```\n")?;
    Some(block)
}

/// Serves one request on a unix socket; gives its first line.
fn serve(listener: &UnixListener, status: &str, body: &[u8]) -> String {
    let (mut connection, _) = listener.accept().unwrap();
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
    let asked = lines.next().unwrap().unwrap();
    for line in lines {
        if line.unwrap().is_empty() {
            break;
        }
    }
    let length = body.len();
    let head = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n\r\n");
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body).unwrap();
    asked
}

/// One poll of `source`, which gets these fields of a reading; `samples` has the files of texts.
fn poll(source: &Source, fields: &Value, samples: &Path, scratch: &Path) -> Reading {
    let mut source = source.clone();
    // Other tests keep the machine busy, so the configured timeout does not apply.
    source.timeout = Duration::from_secs(60);
    let poll = |source: &Source| Poller::new(source).poll(&Cancellation::new());
    let number = |field: &str| fields.get(field).and_then(Value::as_u64).expect(field);
    let text = match (&source.kind, sample(fields)) {
        (_, Some(file)) => samples.join(file),
        (Kind::File(_), None) if fields.get("exists") == Some(&Value::Bool(false)) => {
            scratch.join("absent")
        }
        _ => return fields::reading(&source, fields, BootTime(0)).unwrap(),
    };
    match &mut source.kind {
        Kind::Http(http) => {
            let (status, body) = (number("status").to_string(), std::fs::read(text).unwrap());
            let socket = scratch.join("http");
            let _ = std::fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).unwrap();
            http.unix = Some(socket);
            // They are in files of the machine that the recipe is for.
            http.credentials = None;
            let (_, path) = http.url.split_once("://").unwrap();
            let path = path.find('/').map_or("/", |at| &path[at..]).to_owned();
            std::thread::scope(|scope| {
                let served = scope.spawn(|| serve(&listener, &status, &body));
                let reading = poll(&source);
                assert_eq!(served.join().unwrap(), format!("GET {path} HTTP/1.1"));
                reading
            })
        }
        Kind::Command(command) => {
            let script = format!("cat \"$1\" && exit {}", number("exit"));
            prints(command, &script, &text);
            poll(&source)
        }
        Kind::Stream(stream) => {
            prints(&mut stream.command, "cat \"$1\"; exec sleep 60", &text);
            stream.newline = false;
            poll(&source)
        }
        Kind::Tcp(tcp) => {
            let response = std::fs::read(text).unwrap();
            let socket = scratch.join("tcp");
            let _ = std::fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).unwrap();
            tcp.peer = Peer::Unix(socket);
            std::thread::scope(|scope| {
                scope.spawn(|| listener.accept().unwrap().0.write_all(&response).unwrap());
                poll(&source)
            })
        }
        Kind::File(file) => {
            file.path = text;
            poll(&source)
        }
        kind @ Kind::System(_) => panic!("{kind} has no text"),
    }
}

/// The file of a reading's text.
fn sample(fields: &Value) -> Option<&str> {
    fields.get("text")?.get("file")?.as_str()
}

fn prints(command: &mut Command, script: &str, file: &Path) {
    command.argv = ["/bin/sh", "-c", script, "sh", &file.display().to_string()]
        .map(str::to_owned)
        .to_vec();
    command.user = None;
}

/// Plays a story; its lines with the replies, and the files that it used.
fn play(
    config: &Config,
    story: &str,
    samples: &Path,
    scratch: &Path,
) -> (String, BTreeSet<String>) {
    let mut reported = String::new();
    let mut readings: BTreeMap<(usize, String), Reading> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for part in story.split("\n\n") {
        if !reported.is_empty() {
            reported.push('\n');
        }
        let mut player = Player::new(config);
        let mut lines = part.lines().peekable();
        while let Some(text) = lines.next() {
            writeln!(reported, "{text}").unwrap();
            if text.starts_with('#') {
                continue;
            }
            let line = Line::parse(text);
            let now = moment(line.t);
            if let (Some(name), Some(fields)) = (&line.source, &line.reading) {
                let found = config.sources.iter().position(|one| one.name == *name);
                let at = found.unwrap_or_else(|| panic!("no source: {text}"));
                used.extend(sample(fields).map(str::to_owned));
                let reading = readings
                    .entry((at, fields.to_string()))
                    .or_insert_with(|| poll(&config.sources[at], fields, samples, scratch));
                let reading = Reading {
                    sent: now,
                    latency: Duration::from_millis(10),
                    ..reading.clone()
                };
                player.take(SourceId(at), reading);
            } else {
                player.order(line);
            }
            let next = lines.peek().filter(|next| !next.starts_with('#'));
            if next.is_some_and(|next| moment(Line::parse(next).t) == now) {
                continue;
            }
            for (service, decision) in player.decide(now) {
                let reply = decision.final_decision.map(|last| last.verdict.reply);
                let reply = reply.map_or_else(|| "nothing".to_owned(), |reply| reply.to_string());
                writeln!(reported, "  {}: {reply}", service.name).unwrap();
            }
        }
    }
    (reported, used)
}

/// The story of a recipe with the actual replies, and every finding against the recipe.
fn tried(name: &str, document: &str, story: &str) -> (String, Vec<String>) {
    let mut wrong = Vec::new();
    let scratch = Scratch::new(name);
    let file = scratch.file("agentcheck.toml");
    std::fs::write(&file, block(document, "toml").expect(name)).unwrap();
    let (config, report) = match config::load_with(&file, blind_spots::find) {
        Ok(loaded) => loaded,
        Err(error) => return (story.to_owned(), vec![format!("{name}: {error}")]),
    };
    if !report.rendered.is_empty() {
        wrong.push(format!("{name}: {report}"));
    }
    // The page states when the reply of a dead collector is marked stale.
    let stated = document.split_once("`# stale` after ").map(|(_, rest)| {
        let (seconds, _) = rest.split_once(" s").expect(name);
        Duration::from_secs(seconds.parse().expect(name))
    });
    for service in &config.services {
        if stated.is_some_and(|stated| stated != service.fresh_for) {
            wrong.push(format!("{name}: stale after {:?}", service.fresh_for));
        }
    }
    if !document.contains("\n| the collector dies |") {
        wrong.push(format!("{name}: no reply for a dead collector"));
    }
    let samples = fixtures().join(name);
    let (actual, mut used) = play(&config, story, &samples, scratch.path());
    used.extend(["story.jsonl", "expected"].map(str::to_owned));
    for entry in std::fs::read_dir(&samples).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !used.contains(&file) {
            wrong.push(format!("{name}: nothing uses {file}"));
        }
    }
    (actual, wrong)
}

#[test]
fn every_recipe_gives_the_expected_replies() {
    let index = std::fs::read_to_string(recipes().join("README.md")).unwrap();
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(recipes()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // The small ones are tried by evaluation/small.rs.
        if name == "README" || name == "small" {
            continue;
        }
        assert!(
            index.contains(&format!("({name}.md)")),
            "{name}: not in the index"
        );
        let document = std::fs::read_to_string(&path).unwrap();
        let case = fixtures().join(&name);
        let story = std::fs::read_to_string(case.join("story.jsonl")).expect(&name);
        let (actual, found) = tried(&name, &document, &story);
        wrong.extend(snapshot::compare(&actual, &case.join("expected")).err());
        wrong.extend(found);
        names.insert(name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(names.len() >= 20, "{names:?}");
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "fixtures of no recipe: {name}");
    }
}
