//! The states of a server: how the application requests each, and how `HAProxy` shows it, in both styles of
//! replies.

use agentcheck_tests::haproxy::ServerState;

/// One state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The application's output.
    pub(crate) word: &'static str,
    /// And how many messages it serves.
    pub(crate) messages: u32,
    /// The server where operators own the administrative state.
    pub(crate) shared: ExpectedServer,
    /// The server where the agent does.
    pub(crate) owner: ExpectedServer,
}

/// What of a server is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedServer {
    operational: u8,
    administrative: u8,
    weight: u16,
    status: &'static str,
}

const fn expected(
    operational: u8,
    administrative: u8,
    weight: u16,
    status: &'static str,
) -> ExpectedServer {
    ExpectedServer {
        operational,
        administrative,
        weight,
        status,
    }
}

impl ExpectedServer {
    /// Whether the server is as expected.
    pub(crate) fn fit(self, seen: &ServerState) -> bool {
        seen.operational == self.operational
            && seen.administrative == self.administrative
            && seen.weight == self.weight
            && seen.status == self.status
    }
}

/// Up, with this weight.
pub(crate) const fn up(weight: u16) -> ExpectedServer {
    expected(2, 0, weight, "UP")
}

const DOWN: ExpectedServer = expected(0, 0, 100, "DOWN (agent)");

/// Draining, as `admin_state = "manage"` has it.
pub(crate) const DRAINING: ExpectedServer = expected(2, 8, 100, "DRAIN (agent)");

pub(crate) const FULL: State = State {
    word: "ok",
    messages: 0,
    shared: up(100),
    owner: up(100),
};

/// Herald's example: 1890 of 7000 messages leave 73 per cent.
pub(crate) const WEIGHT: State = State {
    word: "ok",
    messages: 1890,
    shared: up(73),
    owner: up(73),
};

const DRAIN: State = State {
    word: "drain",
    messages: 1890,
    shared: up(0),
    owner: DRAINING,
};

const MAINT: State = State {
    word: "maint",
    messages: 1890,
    shared: DOWN,
    owner: expected(0, 1, 100, "MAINT"),
};

const DOWNED: State = State {
    word: "down",
    messages: 1890,
    shared: DOWN,
    owner: DOWN,
};

/// All of them; the first is where the way through them begins and ends.
pub(crate) const STATES: [State; 5] = [FULL, WEIGHT, DRAIN, MAINT, DOWNED];

/// A way through `count` states, from the first to the first, that takes every step from one to another
/// exactly once.
pub(crate) fn way(count: usize) -> Vec<usize> {
    let mut way = vec![0];
    walk(0, count, &mut way);
    way
}

fn walk(from: usize, count: usize, way: &mut Vec<usize>) {
    // There and back for all but the next one; with that one in between, its own walk.
    for to in from + 2..count {
        way.extend([to, from]);
    }
    if from + 1 < count {
        way.push(from + 1);
        walk(from + 1, count, way);
        way.push(from);
    }
}
