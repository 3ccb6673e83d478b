//! The table: the replies of an agent, step by step, and the resulting state of the server in `HAProxy`.
//!
//! Every server has weight 100. "Unchanged" starts from `up 37%`, which differs from a fresh server in its
//! weight, and from everything that a misread line could cause.

use super::expected::{Expected, down, draining, maintenance, running};

/// What happens in one step.
#[derive(Clone, Debug)]
pub enum Act {
    /// The agent sends these bytes, and closes.
    Sends(&'static [u8]),
    /// The agent sends these bytes, and leaves the connection open.
    SendsAndStaysOpen(&'static [u8]),
    /// The agent's service has no state file.
    HasNoState,
    /// An operator on the balancer gives this command, with `SERVER` for the server's name.
    Operator(&'static str),
    /// The agent resets the connection.
    Resets,
}

/// One step, and the expected server after at least three exchanges.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happens.
    pub act: Act,
    /// The expected server after it.
    pub expected: Expected,
}

/// A server's story.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in the notes on `HAProxy`.
    pub id: &'static str,
    /// Whether the server has a health check beside the agent.
    pub checked: bool,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// All cases of one step or more that need no more than one agent.
pub fn table(version: (u32, u32)) -> Vec<Case> {
    let mut table = replies();
    table.extend(unchanged(version));
    table.extend(faults());
    table.extend(sequences(false));
    table.extend(sequences(true));
    table
}

fn one(id: &'static str, line: &'static [u8], expected: &Expected) -> Case {
    Case {
        id,
        checked: false,
        steps: vec![sends_step(line, expected.clone())],
    }
}

fn sends_step(line: &'static [u8], expected: Expected) -> Step {
    Step {
        act: Act::Sends(line),
        expected,
    }
}

fn replies() -> Vec<Case> {
    let fine = |weight| running(weight).agent(&["L7OK"]);
    let failed = || down(100).agent(&["L7STS"]);
    let drain = draining(100).status("DRAIN (agent)").agent(&["L7OK"]);
    let disk = failed().text("via agent : down (disk full)");
    let much = maintenance(75).agent(&["L7STS"]).session_limit(30);
    vec![
        one("C01", b"up\n", &fine(100)),
        one("C01", b"UP\r\n", &fine(100)),
        one("C01", b"Up\r", &fine(100)),
        one("C02", b"up 30%\n", &fine(30)),
        one("C02", b"30% ready up\n", &fine(30)),
        one("C02", b"up,ready,30%\n", &fine(30)),
        one("C03", b"up 0%\n", &fine(0)),
        one("C04", b"up 300%\n", &running(256)),
        one("C04", b"050%\n", &running(50)),
        one("C05", b"up drain 100%\n", &drain),
        one("C06", b"maint 100%\n", &maintenance(100)),
        one("C07", b"down 100% # disk full\n", &disk),
        one("C08", b"stopped\n", &failed()),
        one("C08", b"fail\n", &failed()),
        one("C08", b" down\n", &failed()),
        one("C08", b"down \n", &failed()),
        one("C12", b"up\ndown\n", &running(100)),
        one("C12", b"up down\n", &failed()),
        one("C13", b"maint ready\n", &running(100)),
        one("C13", b"ready maint\n", &maintenance(100)),
        one("C16", b"75%,maxconn:30,maint,down\n", &much),
    ]
}

fn from_37(id: &'static str, act: Act, expected: Expected) -> Case {
    Case {
        id,
        checked: false,
        steps: vec![
            sends_step(b"up 37%\n", running(37).agent(&["L7OK"])),
            Step { act, expected },
        ],
    }
}

fn unchanged(version: (u32, u32)) -> Vec<Case> {
    let mut cases = Vec::new();
    let error = running(37)
        .agent(&["CHECKED"])
        .text("agent reports an error");
    for line in [
        &b"down#x\n"[..],
        b"failed\n",
        b"stop\n",
        b"up;ready\n",
        b"50\n",
        b"-5%\n",
        b"\xef\xbb\xbfdown\n",
    ] {
        cases.push(from_37("C09", Act::Sends(line), error.clone()));
    }
    for line in [&b"50.5%\n"[..], b"50%%\n", b"maxconn:30x\n"] {
        let expected = running(37).text("Trailing garbage");
        cases.push(from_37("C10", Act::Sends(line), expected));
    }
    for line in [&b"\n"[..], b" \n", b"# up\n"] {
        let expected = running(37).agent(&["CHECKED"]);
        cases.push(from_37("C11", Act::Sends(line), expected));
    }
    for line in [&b"up"[..], b"down\0\n"] {
        let expected = running(37).text("incomplete line");
        cases.push(from_37("C14", Act::Sends(line), expected));
    }
    // 2.0 keeps the agent's status.
    let nothing = match version < (2, 2) {
        true => running(37).text("incomplete line"),
        false => running(37).agent(&["L7RSP"]),
    };
    cases.push(from_37("C14", Act::Sends(b""), nothing));
    let weight = if version >= (3, 1) {
        running(42)
    } else {
        error.clone()
    };
    cases.push(from_37("C15", Act::Sends(b"weight:42\n"), weight));
    // The responder's own way to change nothing visibly.
    let no_state = error.text("agent reports an error : no-state:");
    cases.push(from_37("no-state", Act::HasNoState, no_state));
    cases
}

/// A fault of the table that has no numbered case.
fn faults() -> Vec<Case> {
    let applied = running(50);
    let reset = running(37).agent(&["SOCKERR", "L4CON", "L7RSP"]);
    let mut cases = vec![
        from_37("fault-open", Act::SendsAndStaysOpen(b"50%\n"), applied),
        from_37("fault-reset", Act::Resets, reset),
    ];
    for case in &mut cases {
        let recovers = running(100).agent(&["L7OK"]);
        case.steps.push(sends_step(b"up ready 100%\n", recovers));
    }
    cases
}

fn sequences(checked: bool) -> Vec<Case> {
    let maint_down = || sends_step(b"maint down\n", maintenance(100));
    let operator = |command, expected| Step {
        act: Act::Operator(command),
        expected,
    };
    let stories = [
        (
            "S01",
            vec![
                sends_step(b"down\n", down(100)),
                sends_step(b"50%\n", down(50)),
                sends_step(b"ready\n", down(50)),
                sends_step(b"up\n", running(50)),
            ],
        ),
        (
            "S02",
            vec![
                sends_step(b"maint\n", maintenance(100)),
                sends_step(b"up\n", maintenance(100)),
                sends_step(b"100%\n", maintenance(100)),
                sends_step(b"ready\n", running(100)),
            ],
        ),
        (
            "S03",
            vec![
                sends_step(b"drain\n", draining(100)),
                sends_step(b"up\n", draining(100)),
                sends_step(b"100%\n", draining(100)),
                sends_step(b"ready\n", running(100)),
            ],
        ),
        (
            "S04",
            vec![
                maint_down(),
                sends_step(b"ready\n", down(100)),
                sends_step(b"up\n", running(100)),
            ],
        ),
        (
            "S04",
            vec![maint_down(), sends_step(b"up ready\n", running(100))],
        ),
        (
            "S05",
            vec![
                sends_step(b"0%\n", running(0)),
                sends_step(b"up\n", running(0)),
                sends_step(b"ready\n", running(0)),
                sends_step(b"100%\n", running(100)),
            ],
        ),
        (
            "S06",
            vec![
                operator("set server SERVER state maint", maintenance(100)),
                sends_step(b"up 50%\n", maintenance(50)),
                sends_step(b"up ready 50%\n", running(50)),
            ],
        ),
    ];
    stories
        .into_iter()
        .map(|(id, steps)| Case { id, checked, steps })
        .collect()
}
