//! Outage and limit are separate: all orders of two and three commands, in both scopes, on a real `HAProxy`.

use super::start;
use agentcheck_tests::haproxy::{Backend, ServerState};
use agentcheck_tests::scene::Scene;
use std::fmt::Write as _;

/// The commands, each with its arguments after the service or `--all`.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("drain", &[]),
    ("force-up", &["--for", "1h"]),
    ("limit", &["--percent", "30"]),
    ("limit", &["--off"]),
    ("resume", &[]),
];

/// The weight of rules and weight.
const WEIGHT: u16 = 73;

/// What a scope has after some commands.
#[derive(Clone, Copy, Default)]
struct Expected {
    drained: bool,
    forced_up: bool,
    limited: bool,
}

impl Expected {
    fn after(commands: &[usize]) -> Self {
        let mut scope = Self::default();
        for command in commands {
            match command {
                0 => (scope.drained, scope.forced_up) = (true, false),
                1 => (scope.drained, scope.forced_up) = (false, true),
                2 => scope.limited = true,
                3 => scope.limited = false,
                _ => (scope.drained, scope.forced_up) = (false, false),
            }
        }
        scope
    }

    /// The weight that `HAProxy` has then; `all` is the wider scope.
    fn weight(self, all: Self) -> u16 {
        let decides = if all.drained || all.forced_up {
            all
        } else {
            self
        };
        let weight = match (decides.drained, decides.forced_up) {
            (true, _) => return 0,
            (_, true) => 100,
            _ => WEIGHT,
        };
        if self.limited || all.limited {
            weight.min(30)
        } else {
            weight
        }
    }
}

/// All orders of two and of three commands.
fn orders() -> Vec<Vec<usize>> {
    let all = 0..COMMANDS.len();
    let two = all
        .clone()
        .flat_map(|a| all.clone().map(move |b| vec![a, b]));
    let three = two.clone().flat_map(|two| {
        let all = 0..COMMANDS.len();
        all.map(move |c| [&two[..], &[c]].concat())
    });
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

fn wait_for_weight(scene: &Scene, service: &str, weight: u16, order: &[usize]) {
    let words: Vec<_> = order.iter().map(|command| COMMANDS[*command]).collect();
    let what = format!("weight {weight} after {words:?}");
    let is_there = |seen: &ServerState| seen.weight == weight && seen.administrative == 0;
    scene
        .haproxy()
        .wait_for_server("farm", service, &what, is_there);
}

#[test]
fn all_orders_of_commands_for_services() {
    let orders = orders();
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
        let weight = Expected::after(order).weight(Expected::default());
        wait_for_weight(&scene, service, weight, order);
    }
    println!("{} orders", orders.len());
}

#[test]
fn all_orders_of_commands_for_all_services() {
    let scene = scene("orders-all", &["s".to_owned()]);
    let orders = orders();
    for order in &orders {
        order
            .iter()
            .for_each(|command| run(&scene, "--all", *command));
        let weight = Expected::default().weight(Expected::after(order));
        wait_for_weight(&scene, "s", weight, order);
        // Back to none.
        [3, 4]
            .iter()
            .for_each(|command| run(&scene, "--all", *command));
    }
    // Each command in one scope, over each in the other.
    for all in 0..COMMANDS.len() {
        for one in 0..COMMANDS.len() {
            run(&scene, "--all", all);
            run(&scene, "s", one);
            let weight = Expected::after(&[one]).weight(Expected::after(&[all]));
            wait_for_weight(&scene, "s", weight, &[all, one]);
            for scope in ["--all", "s"] {
                [3, 4]
                    .iter()
                    .for_each(|command| run(&scene, scope, *command));
            }
        }
    }
    println!(
        "{} orders and {} pairs",
        orders.len(),
        COMMANDS.len() * COMMANDS.len()
    );
}
