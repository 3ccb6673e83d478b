//! The model against the real `HAProxy`: every move from every reachable state. A walk visits them with many
//! servers at once; the model plans the walk beforehand.

use super::lockstep::Lockstep;
use super::model::{Command, FAULTS, Move, Server};
use agentcheck_tests::haproxy::Haproxy;
use agentcheck_tests::state::reply;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many servers walk.
const WIDTH: usize = 200;

/// A walk through the table: what each server does, step by step.
type Walk = Vec<Vec<(usize, Move)>>;

/// The words of all renderings, and each word alone.
const REPLIES: [&str; 21] = [
    "up 100%",
    "up 0%",
    "down 100%",
    "stopped 100%",
    "up ready 100%",
    "up drain 100%",
    "down ready 100%",
    "maint 100%",
    "up",
    "down",
    "fail",
    "ready",
    "drain",
    "maint",
    "maint down",
    "drain down",
    "30%",
    "up weight:30",
    "100%",
    "maxconn:30",
    "maxconn:50",
];

const COMMANDS: [Command; 15] = [
    Command::Ready,
    Command::Drain,
    Command::Maint,
    Command::EnableServer,
    Command::DisableServer,
    Command::EnableAgent,
    Command::DisableAgent,
    Command::AgentUp,
    Command::AgentDown,
    Command::HealthUp,
    Command::HealthDown,
    Command::Weight(100),
    Command::Weight(30),
    Command::Limit(50),
    Command::Limit(30),
];

/// Everything that can happen to a server, but for reloads, which happen to all.
fn moves(checked: bool, changes: Changes) -> Vec<Move> {
    let lost = FAULTS.map(Move::Loses);
    let passes = [false, true].map(Move::Passes);
    REPLIES
        .iter()
        .map(|line| Move::Sends(reply(line)))
        .chain(COMMANDS.map(Move::Commands))
        .chain(lost)
        .chain(passes.into_iter().filter(|_| checked))
        .filter(|step| changes == Changes::All || !is_quantity(step))
        .collect()
}

/// Which part of a server's state is walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// Health and administration; weight and limit as the words of those carry them.
    Kinds,
    /// Weight and limit in every combination, too.
    All,
}

/// Whether a move is about weight or limit alone.
fn is_quantity(step: &Move) -> bool {
    match step {
        Move::Sends(reply) => reply.operational.is_none() && reply.administrative.is_none(),
        Move::Commands(command) => matches!(command, Command::Weight(_) | Command::Limit(_)),
        _ => false,
    }
}

/// The states that moves lead to from a fresh server, each with where every move leads.
fn table(checked: bool, changes: Changes) -> BTreeMap<Server, Vec<(Move, Server)>> {
    let moves = moves(checked, changes);
    let mut table = BTreeMap::new();
    let mut next = vec![Server::new(checked)];
    while let Some(server) = next.pop() {
        if table.contains_key(&server) {
            continue;
        }
        let ways: Vec<(Move, Server)> = moves
            .iter()
            .filter(|step| server.asked || !matches!(step, Move::Sends(_) | Move::Loses(_)))
            .map(|step| (*step, server.clone().after(step)))
            .collect();
        next.extend(ways.iter().map(|(_, after)| after.clone()));
        // A reload may lead to states that nothing else leads to.
        next.extend([false, true].map(|saved| server.clone().after(&Move::Reload { saved })));
        table.insert(server, ways);
    }
    table
}

type Table = BTreeMap<Server, Vec<(Move, Server)>>;

/// The shortest way from `from` to a state that `wanted` accepts.
fn way(table: &Table, from: &Server, wanted: impl Fn(&Server) -> bool) -> Option<Vec<Move>> {
    let mut before: BTreeMap<&Server, (&Server, Move)> = BTreeMap::new();
    let mut seen = BTreeSet::from([from]);
    let mut next = VecDeque::from([from]);
    while let Some(server) = next.pop_front() {
        if wanted(server) {
            let mut moves = Vec::new();
            let mut at = server;
            while let Some((earlier, step)) = before.get(at) {
                moves.push(*step);
                at = earlier;
            }
            moves.reverse();
            return Some(moves);
        }
        for (step, after) in &table[server] {
            if seen.insert(after) {
                before.insert(after, (server, *step));
                next.push_back(after);
            }
        }
    }
    None
}

/// A walk of `servers` that makes every move from every state of the tables at least once.
fn every_move(tables: &BTreeMap<bool, Table>, servers: &[Server]) -> Walk {
    let mut servers = servers.to_vec();
    let mut open: BTreeMap<&Server, Vec<Move>> = tables
        .values()
        .flatten()
        .map(|(server, ways)| (server, ways.iter().map(|(step, _)| *step).collect()))
        .collect();
    let mut on_the_way: Vec<VecDeque<Move>> = servers.iter().map(|_| VecDeque::new()).collect();
    let mut walk = Walk::new();
    while open.values().any(|moves| !moves.is_empty()) {
        let mut steps = Vec::new();
        for (at, server) in servers.iter_mut().enumerate() {
            let step = on_the_way[at].pop_front().or_else(|| {
                if let Some(step) = open.get_mut(&*server)?.pop() {
                    return Some(step);
                }
                let is_open =
                    |state: &Server| open.get(state).is_some_and(|moves| !moves.is_empty());
                let mut way = VecDeque::from(way(&tables[&server.checked], server, is_open)?);
                let first = way.pop_front();
                on_the_way[at] = way;
                first
            });
            if let Some(step) = step {
                steps.push((at, step));
                *server = server.clone().after(&step);
            }
        }
        if steps.is_empty() {
            let left: Vec<_> = open.iter().filter(|(_, moves)| !moves.is_empty()).collect();
            panic!("only a reload leads to {left:?}");
        }
        walk.push(steps);
    }
    walk
}

/// Every move from every state, on the real `HAProxy`.
pub(crate) fn every_transition(changes: Changes) {
    let tables: BTreeMap<bool, Table> = [false, true]
        .map(|checked| (checked, table(checked, changes)))
        .into();
    let states: Vec<&Server> = tables.values().flat_map(BTreeMap::keys).collect();
    // As many of each kind as it has states.
    let share = tables[&false].len() * WIDTH / states.len();
    let checked: Vec<bool> = (0..WIDTH).map(|at| at >= share).collect();
    let mut stage = Lockstep::start("recovery", &checked);

    let walk = every_move(&tables, &stage.servers);
    for steps in &walk {
        stage.play(steps);
    }
    let transitions: usize = tables.values().flatten().map(|(_, ways)| ways.len()).sum();

    let mut reloads = 0;
    for saved in [false, true] {
        let mut open: BTreeSet<&Server> = states.iter().copied().collect();
        while !open.is_empty() {
            reloads += 1;
            to_states(&tables, &mut stage, &mut open);
            stage.reload(saved);
        }
    }
    println!(
        "{} states of a server, {transitions} moves from them and {} reloads: {} moves of {WIDTH} servers \
         in {} steps and {reloads} reloads, model and HAProxy {:?} of one opinion",
        states.len(),
        2 * states.len(),
        stage.moves,
        walk.len(),
        Haproxy::version()
    );
}

/// Brings each server to a state of its own out of `open`, as far as they suffice.
fn to_states(tables: &BTreeMap<bool, Table>, stage: &mut Lockstep, open: &mut BTreeSet<&Server>) {
    let mut ways = Vec::new();
    for (at, server) in stage.servers.iter().enumerate() {
        let table = &tables[&server.checked];
        if let Some(way) = way(table, server, |state| open.contains(state)) {
            let there = way
                .iter()
                .fold(server.clone(), |server, step| server.after(step));
            open.remove(&there);
            ways.push((at, VecDeque::from(way)));
        }
    }
    loop {
        let steps: Vec<(usize, Move)> = ways
            .iter_mut()
            .filter_map(|(at, way)| Some((*at, way.pop_front()?)))
            .collect();
        if steps.is_empty() {
            return;
        }
        stage.play(&steps);
    }
}
