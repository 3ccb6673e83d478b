//! Capacity times headroom is stable when replies are late: 8 balancers without shared state place long-lived
//! connections by the weights that the configuration of the recipe gives.
//!
//! A simulation without a clock: 20 servers of capacity 1, 2 and 4, lifetimes of 160 s, message rates from a capped
//! Pareto distribution, 70% load, `agent-inter 2s`.

use crate::evaluation::Player;
use agentcheck::config::{self, Config};
use agentcheck::decision::evaluate::DecisionSource;
use serde_json::json;
use std::collections::VecDeque;
use std::path::Path;

const CAPACITIES: [f64; 20] = [
    1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0, 4.0,
    4.0,
];
const BALANCERS: usize = 8;
/// Seconds.
const LIFETIME: f64 = 160.0;
const AGENT_INTER: f64 = 2.0;
const SETTLED: f64 = 280.0;
const END: f64 = 520.0;
/// Open connections for each unit of capacity.
const PER_UNIT: f64 = 100.0;
/// What a unit of capacity serves, in messages per second; the largest server has the recipe's 7000.
const UNIT: f64 = 1750.0;

/// Splitmix64: the same numbers in each run.
struct Random(u64);

impl Random {
    #[allow(clippy::cast_precision_loss)] // 53 bits
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// Capped at 50, with a mean of 2.41.
    fn message_rate(&mut self) -> f64 {
        (1.0 - self.uniform()).powf(-1.0 / 1.6).min(50.0)
    }

    /// The index of a weight, drawn by weight.
    fn drawn(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }
}

struct Connection {
    balancer: usize,
    server: usize,
    rate: f64,
    end: f64,
}

#[derive(Clone, Copy)]
enum Balance {
    Random2,
    Leastconn,
}

impl Balance {
    /// The server that one balancer chooses, by its own connections.
    fn choose(self, weights: &[f64], open: &[f64], random: &mut Random) -> usize {
        match self {
            Self::Random2 => {
                let (first, second) = (random.drawn(weights), random.drawn(weights));
                if open[second] * weights[first] < open[first] * weights[second] {
                    second
                } else {
                    first
                }
            }
            Self::Leastconn => {
                let cost = |server: usize| (open[server] + 1.0) / weights[server];
                let start = random.drawn(&[1.0; CAPACITIES.len()]);
                (0..CAPACITIES.len())
                    .map(|step| (start + step) % CAPACITIES.len())
                    .min_by(|a, b| cost(*a).total_cmp(&cost(*b)))
                    .unwrap()
            }
        }
    }
}

fn recipe(exponent: &str) -> Config {
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes/long-lived-connections.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("\n```toml\n").unwrap();
    let (text, _) = rest.split_once("```\n").unwrap();
    let text = text.replace(
        "headroom_exponent = 2",
        &format!("headroom_exponent = {exponent}"),
    );
    config::parse(Path::new("recipe.toml"), &text).unwrap().0
}

/// The mean over time of the largest utilization over the mean one, when replies are `delay` agent intervals late.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // small counts
fn peak_over_mean(exponent: &str, balance: Balance, delay: usize) -> f64 {
    let config = recipe(exponent);
    let mut players: Vec<Player> = CAPACITIES.iter().map(|_| Player::new(&config)).collect();
    let total: f64 = CAPACITIES.iter().sum();
    let scale = 0.7 * UNIT / (PER_UNIT * 2.41);
    let mut random = Random(1);
    let mut connections: Vec<Connection> = Vec::new();
    let mut open = vec![[0.0; CAPACITIES.len()]; BALANCERS];
    let mut load = [0.0; CAPACITIES.len()];
    let mut replies: VecDeque<[f64; CAPACITIES.len()]> =
        VecDeque::from(vec![[100.0; CAPACITIES.len()]; delay + 1]);
    let mut peaks = Vec::new();
    let (mut now, mut next) = (1.0, 1.0);
    while now < END {
        let until = now + AGENT_INTER;
        let weights = *replies.front().unwrap();
        while next < until {
            let balancer = random.drawn(&[1.0; BALANCERS]);
            let rate = scale * random.message_rate();
            let server = balance.choose(&weights, &open[balancer], &mut random);
            let end = next + random.exponential(LIFETIME);
            connections.push(Connection {
                balancer,
                server,
                rate,
                end,
            });
            open[balancer][server] += 1.0;
            load[server] += rate;
            next += random.exponential(LIFETIME / (PER_UNIT * total));
        }
        connections.retain(|connection| {
            let stays = connection.end > until;
            if !stays {
                open[connection.balancer][connection.server] -= 1.0;
                load[connection.server] -= connection.rate;
            }
            stays
        });
        now = until;
        let mut polled = [0.0; CAPACITIES.len()];
        for (server, player) in players.iter_mut().enumerate() {
            let utilization = (load[server] / (UNIT * CAPACITIES[server])).clamp(0.0, 1.0);
            let served = utilization * UNIT * CAPACITIES[server];
            let reading = json!({"json": {"msg-per-second": served, "utilization": utilization}});
            let (_, decision) = player.poll(now, "app", &reading).remove(0);
            let verdict = decision.final_decision.unwrap().verdict;
            let DecisionSource::Weight(weighed) = verdict.decided else {
                panic!("{}", verdict.reply);
            };
            polled[server] = f64::from(weighed.shaped.percent.get());
        }
        replies.push_back(polled);
        replies.pop_front();
        if now >= SETTLED {
            let mean = load.iter().sum::<f64>() / (UNIT * total);
            let peak = load
                .iter()
                .zip(CAPACITIES)
                .map(|(load, capacity)| load / (UNIT * capacity));
            peaks.push(peak.fold(0.0, f64::max) / mean);
        }
    }
    peaks.iter().sum::<f64>() / peaks.len() as f64
}

#[test]
fn capacity_times_headroom_is_stable_for_three_intervals_of_delay() {
    for (exponent, balance, name, delays) in [
        ("2", Balance::Random2, "random(2)", 0..=3),
        ("1", Balance::Random2, "random(2)", 3..=3),
        ("1", Balance::Leastconn, "leastconn", 3..=3),
    ] {
        for delay in delays {
            let peak = peak_over_mean(exponent, balance, delay);
            println!("{name}, exponent {exponent}, {delay} intervals late: {peak:.3}");
            assert!(
                peak <= 1.25,
                "{name}, exponent {exponent}, {delay} intervals late: {peak:.3}"
            );
        }
    }
}

/// The same simulation shows a loop that swings.
#[test]
fn capacity_times_headroom_swings_when_replies_are_a_minute_late() {
    let peak = peak_over_mean("2", Balance::Leastconn, 30);
    println!("leastconn, exponent 2, 30 intervals late: {peak:.3}");
    assert!(peak > 1.4, "{peak:.3}");
}
