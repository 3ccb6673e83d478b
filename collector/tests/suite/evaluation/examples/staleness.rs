//! Herald's staleness: `now - last write > staleness_interval` gives `staleness_response`, and `noop` an empty
//! line. Here the schedule contains it, and the responder selects the line.

use super::super::{Player, lines};
use super::{Place, Poll, configuration, ours, read, theirs};
use agentcheck_common::BootTime;
use serde_json::{Value, json};

/// baseplugin.py, `is_stale` and `respond`; 0 is never.
fn respond<'l>(last: &'l str, age: f64, interval: f64, response: &'l str) -> &'l str {
    match (interval > 0.0 && age > interval, response) {
        (true, "noop") => "",
        (true, response) => response,
        (false, _) => last,
    }
}

/// The reply so many seconds after the last good reading, without a collector since then.
fn abandoned(service: &str, (source, reading): Poll, seconds: u64) -> Place {
    let config = configuration("herald-rules");
    let mut player = Player::new(&config);
    let decisions = player.poll(1000.0, source, &reading);
    let (_, decision) = decisions
        .into_iter()
        .find(|(known, _)| known.name.as_str() == service)
        .unwrap();
    let plan = decision.final_decision.unwrap().plan;
    let now = BootTime((1000 + seconds) * 1_000_000_000);
    let stage = plan.stages.iter().find(|stage| now < stage.until);
    ours(stage.map_or(&plan.then, |stage| &stage.reply))
}

#[test]
fn schedule_goes_stale_when_herald_would() {
    for seconds in (0..60).filter(|seconds| ![10, 20].contains(seconds)) {
        #[allow(clippy::cast_precision_loss)] // below 60
        let age = seconds as f64;
        let place = abandoned("workers", ("workers", json!({"value": 100})), seconds);
        assert_eq!(place, theirs(respond("up", age, 20.0, "down")), "{age}");
        // noop: HAProxy keeps its state, and agentcheck repeats the reply.
        let reading = json!({"json": {"health": "healthy", "outgoing-messsage-per-second": 700}});
        let place = abandoned("api", ("app", reading), seconds);
        match theirs(respond("ready 90%", age, 10.0, "noop")) {
            Place::Unchanged => assert!(age > 10.0),
            same => assert_eq!(same, Place::Weight(90)),
        }
        assert_eq!(place, Place::Weight(90), "{age}");
    }
}

/// The application fails while the collector works. Herald writes nothing, and its cache becomes stale. A rule of
/// agentcheck decides at the next poll.
#[test]
fn silent_application_goes_stale_when_herald_would() {
    let config = configuration("herald-rules");
    let mut player = Player::new(&config);
    let mut written = 0.0;
    let (mut kept, mut down) = (0, 0);
    for line in lines(&read("herald-rules", "story.jsonl")) {
        let decisions = player.play(line);
        let parsed: Value = serde_json::from_str(line).unwrap();
        let now = parsed["t"].as_f64().unwrap();
        if parsed["source"] != "workers" {
            continue;
        }
        if parsed["reading"].get("value").is_some() {
            written = now;
            continue;
        }
        let (_, decision) = decisions
            .into_iter()
            .find(|(known, _)| known.name.as_str() == "workers")
            .unwrap();
        let place = ours(&decision.final_decision.unwrap().verdict.reply);
        // The last number of the recording is 100.
        let same = theirs(respond("up", now - written, 20.0, "down"));
        assert_eq!(place, same, "{line}");
        kept += usize::from(place == Place::Weight(100));
        down += usize::from(place == Place::Down);
    }
    assert!(kept >= 3 && down >= 2, "{kept} kept, {down} down");
}
