//! Outage and limit are separate: all orders of two and three commands, in both scopes, on a real `HAProxy`.

use super::start;
use agentcheck_tests::haproxy::{Backend, ServerState};
use agentcheck_tests::scene::Scene;
use std::fmt::Write as _;

/// The commands, each with its arguments after the service or `--all`.
const COMMANDS: [(&str, &[&str]); 7] = [
    ("drain", &[]),
    ("maint", &[]),
    ("down", &[]),
    ("force-up", &["--for", "1h"]),
    ("limit", &["--percent", "30"]),
    ("limit", &["--off"]),
    ("resume", &[]),
];

/// The commands that end each kind of override.
const ENDS: [usize; 2] = [5, 6];

/// The weight of rules and weight.
const WEIGHT: u16 = 73;

/// What a scope has after some commands.
#[derive(Clone, Copy, Default)]
struct Expected {
    /// The command of its outage or force-up.
    outage: Option<usize>,
    limited: bool,
}

/// The state of the server in `HAProxy`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Stopped,
    Weight(u16),
}

impl Expected {
    fn after(commands: &[usize]) -> Self {
        let mut scope = Self::default();
        for command in commands {
            match command {
                4 => scope.limited = true,
                5 => scope.limited = false,
                6 => scope.outage = None,
                outage => scope.outage = Some(*outage),
            }
        }
        scope
    }

    /// The state that `HAProxy` has then; `all` is the wider scope.
    fn state(self, all: Self) -> State {
        let weight = match all.outage.or(self.outage) {
            Some(0) => return State::Weight(0),
            Some(1 | 2) => return State::Stopped,
            Some(_) => 100,
            None => WEIGHT,
        };
        State::Weight(if self.limited || all.limited {
            weight.min(30)
        } else {
            weight
        })
    }
}

/// All orders of two and of three of these commands.
fn orders(all: &[usize]) -> Vec<Vec<usize>> {
    let two = all.iter().flat_map(|a| all.iter().map(|b| vec![*a, *b]));
    let three = two
        .clone()
        .flat_map(|two| all.iter().map(move |c| [&two[..], &[*c]].concat()));
    two.clone().chain(three).collect()
}

/// A collector, a responder and `HAProxy` with these services, none of which changes but by a command.
fn scene(name: &str, services: &[String]) -> Scene {
    let mut scene = Scene::new(name);
    let _ = scene.overrides();
    let mut text = format!(
        "[source.number.file]\npath = {:?}\nformat = \"number\"\ninterval = \"1h\"\n",
        scene.scratch.write("number", WEIGHT.to_string())
    );
    for service in services {
        let _ = write!(text, "[service.{service}]\nweight = \"number.value\"\n");
    }
    // The services of other tests are called `web`.
    let _ = write!(text, "[service.web]\nweight = \"number.value\"\n");
    scene.configure(&text);
    start(&mut scene);
    scene.respond(&["--name-from-client"]);
    let mut servers: Vec<_> = services
        .iter()
        .map(|service| scene.server(service))
        .collect();
    for server in &mut servers {
        server.agent_inter = 100;
    }
    scene.balance(&[Backend::new("farm", servers)]);
    scene
}

fn run(scene: &Scene, scope: &str, command: usize) {
    let (word, arguments) = COMMANDS[command];
    let output = scene.operator(&[&[word, scope], arguments].concat());
    let remains = String::from_utf8_lossy(&output.stderr).contains("is still overridden");
    assert!(
        output.status.success() || remains,
        "{word} {scope}: {output:?}"
    );
}

fn wait_for_state(scene: &Scene, service: &str, state: State, order: &[usize]) {
    let words: Vec<_> = order.iter().map(|command| COMMANDS[*command]).collect();
    let what = format!("{state:?} after {words:?}");
    let is_there = |seen: &ServerState| {
        seen.administrative == 0
            && match state {
                State::Stopped => seen.operational == 0,
                State::Weight(weight) => seen.operational == 2 && seen.weight == weight,
            }
    };
    scene
        .haproxy()
        .wait_for_server("farm", service, &what, is_there);
}

#[test]
fn all_orders_of_commands_for_services() {
    let all: Vec<usize> = (0..COMMANDS.len()).collect();
    let orders = orders(&all);
    let services: Vec<String> = (0..orders.len())
        .map(|number| format!("s{number}"))
        .collect();
    let scene = scene("orders", &services);
    std::thread::scope(|scope| {
        for part in 0..4 {
            let (scene, orders, services) = (&scene, &orders, &services);
            scope.spawn(move || {
                for (order, service) in orders.iter().zip(services).skip(part).step_by(4) {
                    order
                        .iter()
                        .for_each(|command| run(scene, service, *command));
                }
            });
        }
    });
    for (order, service) in orders.iter().zip(&services) {
        let state = Expected::after(order).state(Expected::default());
        wait_for_state(&scene, service, state, order);
    }
    println!("{} orders", orders.len());
}

#[test]
fn all_orders_of_commands_for_all_services() {
    let scene = scene("orders-all", &["s".to_owned()]);
    // Each order with one of the outages: they differ in the reply alone.
    let mut count = 0;
    for outage in 0..3 {
        for (number, order) in orders(&[outage, 3, 4, 5, 6]).iter().enumerate() {
            if order.len() == 3 && number % 3 != outage {
                continue;
            }
            count += 1;
            order
                .iter()
                .for_each(|command| run(&scene, "--all", *command));
            let state = Expected::default().state(Expected::after(order));
            wait_for_state(&scene, "s", state, order);
            ENDS.iter()
                .for_each(|command| run(&scene, "--all", *command));
        }
    }
    // Each command in one scope, over each in the other.
    for all in 0..COMMANDS.len() {
        for one in 0..COMMANDS.len() {
            run(&scene, "--all", all);
            run(&scene, "s", one);
            let state = Expected::after(&[one]).state(Expected::after(&[all]));
            wait_for_state(&scene, "s", state, &[all, one]);
            for scope in ["--all", "s"] {
                ENDS.iter().for_each(|command| run(&scene, scope, *command));
            }
        }
    }
    println!(
        "{count} orders and {} pairs",
        COMMANDS.len() * COMMANDS.len()
    );
}
