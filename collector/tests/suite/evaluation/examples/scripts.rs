//! Agents that are a script or a few lines: each has its formula here as a shell or a program has it.

use super::{
    Place, Player, Poll, configuration, halves, last_reply, ours, read, recorded, reply_after,
    shown_in_readme, theirs,
};
use serde_json::{Value, json};

/// One line of vmstat(8): us sy id wa st are the columns 13 to 17.
struct Vmstat([f64; 5]);

impl Vmstat {
    fn parse(line: &str) -> Self {
        let columns: Vec<f64> = line
            .split_ascii_whitespace()
            .map(|column| column.parse().expect(line))
            .collect();
        Self(columns[12..17].try_into().unwrap())
    }

    /// What the collector sees at that moment: waiting for disks is idle in its `value`, as it is not in
    /// `idle`.
    fn reading(&self) -> Poll {
        let [user, system, idle, iowait, steal] = self.0;
        let value = user + system + steal;
        let reading = json!({
            "value": value, "user": user, "system": system, "idle": idle, "iowait": iowait, "steal": steal
        });
        ("cpu", reading)
    }

    /// `LOAD=$(vmstat 1 2 | tail -1 | awk '{print $15}'); echo "$LOAD%"`
    fn script(&self) -> String {
        format!("{}%", self.0[2])
    }
}

/// The same, but that 0% empties the server, and ours is the floor.
fn same(place: Place, line: &str, case: &str) {
    match theirs(line) {
        Place::Drain => assert_eq!(place, Place::Weight(1), "{case}"),
        same => assert_eq!(place, same, "{case}"),
    }
}

#[test]
fn vmstat_idle_example_matches_the_script() {
    let config = configuration("vmstat-idle");
    let text = read("vmstat-idle", "vmstat");
    let rows: Vec<Vmstat> = text
        .lines()
        .filter(|line| line.starts_with(|first: char| first == ' ' || first.is_ascii_digit()))
        .filter(|line| !line.contains("swpd"))
        .map(Vmstat::parse)
        .collect();
    assert!(rows.len() >= 10, "{} rows", rows.len());
    for row in &rows {
        let reading = row.reading();
        let place = ours(&reply_after(&config, "web", std::slice::from_ref(&reading)));
        same(place, &row.script(), &format!("{reading:?}"));
    }
    for idle in 0..=100 {
        for iowait in [0, (100 - idle) / 2, 100 - idle] {
            let busy = f64::from(100 - idle - iowait);
            let row = Vmstat([busy, 0.0, f64::from(idle), f64::from(iowait), 0.0]);
            let reading = row.reading();
            let place = ours(&reply_after(&config, "web", std::slice::from_ref(&reading)));
            same(place, &row.script(), &format!("{reading:?}"));
        }
    }
    // vmstat rounds to the nearest whole number, a weight is rounded down.
    for idle in halves().filter(|idle| *idle >= 1.0) {
        let reading = ("cpu", json!({"value": 0, "idle": idle}));
        let place = ours(&reply_after(&config, "web", &[reading]));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 100
        let (down, nearest) = (idle as u16, idle.round() as u16);
        assert_eq!(place, Place::Weight(down));
        assert!(nearest - down <= 1);
    }
}

/// The variant of it: three readings, one a second, and their mean in whole numbers.
fn mean_of_three(idle: &[f64]) -> String {
    format!("{}%", (idle.iter().sum::<f64>() / 3.0).floor())
}

#[test]
fn vmstat_idle_over_three_seconds_matches_the_script() {
    let rows = recorded("vmstat-idle", "steady");
    let idle: Vec<f64> = rows.iter().map(|row| row.number("cpu", "idle")).collect();
    for (last, recorded) in idle.windows(3).zip(rows.iter().skip(2)) {
        let place = ours(&recorded.printed);
        same(place, &mean_of_three(last), &recorded.line);
    }
    // And over numbers in no order.
    let config = configuration("vmstat-idle");
    let mut player = Player::new(&config);
    let mut last = Vec::new();
    for second in 0..500_u32 {
        let idle = f64::from(second * 37 % 101);
        let outcomes = player.poll(f64::from(second), "cpu", &json!({"value": 0, "idle": idle}));
        last.push(idle);
        if let [.., a, b, c] = last[..] {
            let place = ours(&last_reply(outcomes, "steady").unwrap());
            same(place, &mean_of_three(&[a, b, c]), &format!("{a} {b} {c}"));
        }
    }
}

/// The example of HAProxy's documentation: `if cpuIdle < 10 { "50%\n" } else { "100%\n" }`.
fn half(idle: f64) -> &'static str {
    if idle < 10.0 { "50%" } else { "100%" }
}

#[test]
fn half_while_busy_example_matches_the_script() {
    for recorded in recorded("cpu-idle-half", "web") {
        let line = half(recorded.number("cpu", "idle"));
        assert_eq!(ours(&recorded.printed), theirs(line), "{}", recorded.line);
    }
    let config = configuration("cpu-idle-half");
    let near = (0..=400).map(|step| 8.0 + f64::from(step) / 100.0);
    for idle in halves().chain(near) {
        let reading = ("cpu", json!({"value": 0, "idle": idle}));
        let place = ours(&reply_after(&config, "web", &[reading]));
        assert_eq!(place, theirs(half(idle)), "{idle}");
    }
}

#[test]
fn half_while_busy_with_a_second_limit_matches_the_script() {
    let rule = "[[service.web.rule]]\nname = \"busy\"\nwhen = \"cpu.idle < 10\"\n\
        clear_when = \"cpu.idle > 30\"\nfor = \"10s\"\nraw_reply = \"up 50%\"\n";
    let config = shown_in_readme("cpu-idle-half", rule, |text| text + "\n" + rule);
    assert_eq!(config.services[0].rules.len(), 1);
}

/// litmus: w - w * active / (3 * max) - 2w * queued / (3 * max), here of 64 workers; and by the depth alone
/// drain past 500 and down past 5000.
fn backlog(active: u64, waiting: u64) -> Place {
    if waiting > 5000 {
        return Place::Down;
    }
    if waiting > 500 {
        return Place::Drain;
    }
    // In whole numbers: in doubles 64 and 16 are not quite 50.
    let weight = (3 * 64 * 100_u64).saturating_sub(100 * active + 200 * waiting) / (3 * 64);
    Place::Weight(weight.max(1).try_into().unwrap())
}

#[test]
fn worker_queue_example_matches_its_formula() {
    let mut held = 0;
    let mut before = Place::Weight(100);
    for recorded in recorded("worker-queue", "web") {
        let queue = recorded.json("queue");
        let number = |key: &str| queue[key].as_u64().unwrap();
        let place = ours(&recorded.printed);
        let bare = backlog(number("active"), number("waiting"));
        // Until the queue is nearly empty again, the reply stays. The original script has no such hysteresis.
        if place == bare {
            before = place;
        } else {
            assert_eq!(place, before, "{}", recorded.line);
            assert!(number("waiting") >= 100, "{}", recorded.line);
            held += 1;
        }
        if matches!(place, Place::Down | Place::Drain) {
            let reason = format!("# {} waiting", number("waiting"));
            assert!(recorded.printed.to_string().ends_with(&reason));
        }
    }
    assert!(held > 0, "nothing was held");
    let config = configuration("worker-queue");
    let depths = (0..=120).chain([499, 500, 501, 4999, 5000, 5001, 1_000_000]);
    for waiting in depths {
        for active in (0..=64).step_by(4) {
            let reading = (
                "queue",
                json!({"json": {"active": active, "waiting": waiting}}),
            );
            let place = ours(&reply_after(&config, "web", &[reading]));
            assert_eq!(place, backlog(active, waiting), "{active} {waiting}");
        }
    }
}

/// `curl -fs http://127.0.0.1:8081/healthz && echo up || echo down`
fn healthz(reading: &Value) -> &'static str {
    if reading.get("error").is_none() {
        "up"
    } else {
        "down"
    }
}

#[test]
fn healthz_example_matches_the_script() {
    let mut places = Vec::new();
    for recorded in recorded("healthz", "web") {
        let reading = &recorded.latest["healthz"];
        let place = ours(&recorded.printed);
        assert_eq!(place, theirs(healthz(reading)), "{}", recorded.line);
        places.push(place);
    }
    assert!(places.contains(&Place::Down) && places.contains(&Place::Weight(100)));
    let config = configuration("healthz");
    let reasons = agentcheck::reading::Reason::ALL.iter();
    let failures = reasons.map(|reason| json!({"error": reason.word()}));
    let statuses = (300..600).map(|status| json!({"status": status, "error": "status"}));
    let bodies = ["ok", "", "{\"status\": \"down\"}"].map(|text| json!({"text": text}));
    for reading in failures.chain(statuses).chain(bodies) {
        let place = ours(&reply_after(
            &config,
            "web",
            &[("healthz", reading.clone())],
        ));
        assert_eq!(place, theirs(healthz(&reading)), "{reading}");
    }
}

/// `maxconn:30` for every reading; and four connections a worker, shared by two balancers, never 0, which is no
/// limit.
#[test]
fn maxconn_example_matches_its_formula() {
    for recorded in recorded("maxconn", "web") {
        assert_eq!(recorded.printed.to_string(), "up 100% maxconn:30");
    }
    let config = configuration("maxconn");
    for workers in 0..=200_u32 {
        let reading = ("app", json!({"json": {"workers": workers}}));
        let reply = reply_after(&config, "pool", &[reading]);
        let each = (workers * 4 / 2).max(1);
        assert_eq!(reply.maxconn.map(|maxconn| maxconn.get()), Some(each));
        assert_eq!(ours(&reply), Place::Weight(100));
    }
}
