//! The recipes of docs/recipes: each loads without a warning, and recorded output of its application leads to
//! the expected replies.
//!
//! The configuration is the recipe's first `toml` block. The file `story` in tests/golden/recipes/NAME holds
//! polls and the expected replies; `SNAPSHOTS=overwrite` writes the actual replies into it. A line of it is
//! a comment, an event, or, indented, a reply; an empty line starts a new collector. An event is a time in
//! seconds, a source, and the result of its poll; the other sources are polled with it and return the same
//! result as before:
//!
//! - http: a status and a file, the body; command: an exit status and a file, the output
//! - stream: a file, its record; tcp: a file, the response
//! - file: a file, or `absent`; system: the value, and parts as in `steal=3`
//! - any: `error` and its reason
//!
//! Files are those beside the story. They go through the sources themselves: served by HTTP, printed by a
//! command, read from the disk.

use agentcheck::config::{self, Config, SourceId};
use agentcheck::decision::evaluate::{ServiceMemory, evaluate};
use agentcheck::decision::observations::Observations;
use agentcheck::reading::{Content, Failure, Numbers, Reading, Reason};
use agentcheck::simulation::blind_spots;
use agentcheck::source::tcp::Peer;
use agentcheck::source::{Cancellation, Kind, Poller, Source};
use agentcheck_common::BootTime;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::snapshot;
use std::collections::BTreeSet;
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

/// One poll of `source`, of which `what` came.
fn poll(source: &Source, what: &[&str], samples: &Path, scratch: &Path) -> Reading {
    let mut source = source.clone();
    // A machine that is busy with other tests is not what is looked at.
    source.timeout = Duration::from_secs(60);
    let poll = |source: &Source| Poller::new(source).poll(&Cancellation::new());
    match (&mut source.kind, what) {
        (_, ["error", reason]) => {
            let known = Reason::ALL.iter().find(|known| known.word() == *reason);
            let failure = Failure::new(*known.expect(reason), "");
            Reading::failed(BootTime(0), Duration::ZERO, failure)
        }
        (Kind::Http(http), [status, file]) => {
            let body = std::fs::read(samples.join(file)).expect(file);
            let socket = scratch.join("http");
            let _ = std::fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).unwrap();
            http.unix = Some(socket);
            // They are in files of the machine that the recipe is for.
            http.credentials = None;
            let (_, path) = http.url.split_once("://").unwrap();
            let path = path.find('/').map_or("/", |at| &path[at..]).to_owned();
            std::thread::scope(|scope| {
                let served = scope.spawn(|| serve(&listener, status, &body));
                let reading = poll(&source);
                assert_eq!(served.join().unwrap(), format!("GET {path} HTTP/1.1"));
                reading
            })
        }
        (Kind::Command(command), [status, file]) => {
            let file = samples.join(file).display().to_string();
            let script = "cat \"$1\" && exit \"$2\"";
            command.argv = ["/bin/sh", "-c", script, "sh", &file, status]
                .map(str::to_owned)
                .to_vec();
            command.user = None;
            poll(&source)
        }
        (Kind::Stream(stream), [file]) => {
            let file = samples.join(file).display().to_string();
            let script = "cat \"$1\"; exec sleep 60";
            stream.command.argv = ["/bin/sh", "-c", script, "sh", &file]
                .map(str::to_owned)
                .to_vec();
            stream.command.user = None;
            stream.newline = false;
            poll(&source)
        }
        (Kind::Tcp(tcp), [file]) => {
            let response = std::fs::read(samples.join(file)).expect(file);
            let socket = scratch.join("tcp");
            let _ = std::fs::remove_file(&socket);
            let listener = UnixListener::bind(&socket).unwrap();
            tcp.peer = Peer::Unix(socket);
            std::thread::scope(|scope| {
                scope.spawn(|| listener.accept().unwrap().0.write_all(&response).unwrap());
                poll(&source)
            })
        }
        (Kind::File(file), [name]) => {
            file.path = match *name {
                "absent" => scratch.join("absent"),
                name => samples.join(name),
            };
            poll(&source)
        }
        (Kind::System(metric), [value, parts @ ..]) => {
            let numbers = Numbers {
                value: value.parse().unwrap(),
                parts: parts
                    .iter()
                    .map(|part| {
                        let (name, value) = part.split_once('=').unwrap();
                        let known = metric.parts().iter().find(|known| **known == name);
                        (*known.expect(name), value.parse().unwrap())
                    })
                    .collect(),
            };
            Reading {
                outcome: Ok(Content::Numbers(numbers)),
                ..Reading::failed(BootTime(0), Duration::ZERO, Failure::new(Reason::Other, ""))
            }
        }
        (kind, what) => panic!("{kind} gives no {what:?}"),
    }
}

/// Plays the events of a block; gives the block with what is said after each, and the files that it used.
fn play(
    config: &Config,
    played: &str,
    samples: &Path,
    scratch: &Path,
) -> (String, BTreeSet<String>) {
    let mut reported = String::new();
    let mut used = BTreeSet::new();
    for part in played.split("\n\n") {
        if !reported.is_empty() {
            reported.push('\n');
        }
        let mut observed = Observations::new(config, BootTime(0));
        let mut memories = vec![ServiceMemory::default(); config.services.len()];
        let mut given: Vec<Option<Reading>> = vec![None; config.sources.len()];
        let mut lines = part
            .lines()
            .filter(|line| !line.starts_with(' '))
            .peekable();
        while let Some(line) = lines.next() {
            writeln!(reported, "{line}").unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            let [seconds, name, what @ ..] = &words[..] else {
                panic!("no event: {line}");
            };
            if *seconds == "#" {
                continue;
            }
            let now = BootTime(seconds.parse::<u64>().unwrap() * 1_000_000_000);
            let mut sources = config.sources.iter().enumerate();
            let found = sources.find(|(_, source)| source.name == **name);
            let (index, source) = found.unwrap_or_else(|| panic!("no source: {line}"));
            used.extend(what.last().map(|file| (*file).to_owned()));
            given[index] = Some(poll(source, what, samples, scratch));
            // What comes at once is looked at together.
            let at_once = format!("{seconds} ");
            if lines.peek().is_some_and(|next| next.starts_with(&at_once)) {
                continue;
            }
            for (index, reading) in given.iter().enumerate() {
                if let Some(reading) = reading.clone() {
                    let latency = Duration::from_millis(10);
                    let sent = now;
                    let reading = Reading {
                        sent,
                        latency,
                        ..reading
                    };
                    observed.take(SourceId(index), reading, now);
                }
            }
            for (service, memory) in config.services.iter().zip(&mut memories) {
                let outcome = evaluate(service, &observed.context(now), memory, now);
                *memory = outcome.memory;
                let printed = outcome.verdict.map(|verdict| verdict.reply.to_string());
                let printed = printed.unwrap_or_else(|| "nothing".to_owned());
                writeln!(reported, "  {}: {printed}", service.name).unwrap();
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
    used.insert("story".to_owned());
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
        let story = fixtures().join(&name).join("story");
        let expected = std::fs::read_to_string(&story).expect(&name);
        let (actual, found) = tried(&name, &document, &expected);
        wrong.extend(snapshot::compare(&actual, &story).err());
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
