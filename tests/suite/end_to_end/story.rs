//! The story of every host: the weight follows the application, every state is reached from every other,
//! operators keep their states, and a failed application or a killed collector leads to the configured reply.
//!
//! Two services use one socket. `web` leaves the administrative state to operators, and keeps its last reply.
//! `owned` manages the administrative state, drains when its application fails, and goes to the floor when its
//! collector is killed. An operator has taken two more servers of `web` out, one by drain and one by maintenance.

use super::Host;
use super::server_states::{DRAINING, ExpectedServer, FULL, STATES, State, WEIGHT, up, way};
use agentcheck_common::BootTime;
use agentcheck_tests::collector::{Herald, Plan};
use agentcheck_tests::farm::Farm;
use agentcheck_tests::haproxy::{Backend, Haproxy, ServerState};
use agentcheck_tests::prober::{Prober, Sample};
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::now;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const BACKEND: &str = "farm";

/// Between two probes of a prober: under systemd each of them may cost the machine 30 ms.
const PAUSE: Duration = Duration::from_millis(50);

/// Everything that takes part. Dropped in this order.
pub(crate) struct Story<H> {
    test: String,
    haproxy: Haproxy,
    pub(crate) host: H,
    farm: Farm,
    _scratch: Scratch,
}

impl<H: Host> Story<H> {
    /// Both applications idle, both servers at full weight.
    pub(crate) fn begin(test: &str, host: impl FnOnce(Scene) -> H) -> Self {
        let scratch = Scratch::new(test);
        let farm = Farm::start();
        let [web, owned] = farm.services();
        let services = [
            web,
            Herald {
                on_failure: "drain",
                stale: "floor",
                ..owned
            },
        ];
        let scene = Scene::new(test);
        scene.configure(&Herald::configuration(&services));
        let host = host(scene);
        let lines = [
            ("web", "web"),
            ("owned", "owned"),
            ("drained", "web"),
            ("resting", "web"),
        ];
        let servers = farm.servers(host.agent(), &lines);
        let haproxy = Haproxy::start(&scratch, &[Backend::new(BACKEND, servers)]);
        let story = Self {
            test: test.to_owned(),
            haproxy,
            host,
            farm,
            _scratch: scratch,
        };
        story.reach(FULL);
        story
    }

    /// All of it.
    pub(crate) fn the_whole(&mut self) {
        self.the_weight_follows();
        self.every_state_from_every_other();
        self.applications_fail();
        self.the_collector_dies();
    }

    /// Waits until HAProxy sees a server so; gives how it saw it.
    fn wait_for(
        &self,
        server: &str,
        what: &str,
        wanted: impl Fn(&ServerState) -> bool,
    ) -> ServerState {
        self.haproxy.wait_for_server(BACKEND, server, what, wanted)
    }

    fn wait_for_state(&self, server: &str, expected: ExpectedServer) {
        self.wait_for(server, &format!("{expected:?}"), |seen| expected.fit(seen));
    }

    fn wait_for_text(&self, server: &str, expected: ExpectedServer, text: &str) {
        self.wait_for(server, &format!("{expected:?} and {text:?}"), |seen| {
            expected.fit(seen) && seen.agent_sent(text)
        });
    }

    /// Has both applications ask for a state, and waits until both servers are there.
    fn reach(&self, state: State) {
        self.farm.web.set_load(state.messages, state.word);
        self.farm.owned.set_load(state.messages, state.word);
        self.wait_for_state("web", state.shared);
        self.wait_for_state("owned", state.owner);
    }

    /// A server follows its application within a poll and an agent check. The test counts the polls until HAProxy has the
    /// new weight, and no time: the collector polls every 200 ms, and HAProxy asks every 300 ms. One poll may have begun
    /// with the old answer, and two more are possible until HAProxy asks. A busy machine delays some of the changes, but
    /// not the fastest one.
    fn the_weight_follows(&self) {
        let mut counts = Vec::new();
        let mut times = Vec::new();
        let steps = [
            (1890, 73),
            (0, 100),
            (3500, 50),
            (6929, 1),
            (9000, 1),
            (700, 90),
            (6300, 10),
            (1890, 73),
            (70, 99),
            (0, 100),
        ];
        let mut before = 100;
        for (messages, weight) in steps {
            self.farm.web.set_load(messages, "ok");
            let (asked, begun) = (self.farm.web.requests(), Instant::now());
            self.wait_for_state("web", up(weight));
            // Where the weight is the same, there is nothing to see.
            if weight != before {
                counts.push(self.farm.web.requests() - asked);
                times.push(begun.elapsed().as_millis());
            }
            before = weight;
        }
        println!(
            "{}: the weight followed within {counts:?} polls, {times:?} ms",
            self.test
        );
        let fastest = counts.iter().min();
        assert!(
            fastest.is_some_and(|polls| *polls <= 3),
            "too slow: {counts:?} polls"
        );
    }

    /// Twenty steps, each from one state to another, and every one of them once; both renderings.
    fn every_state_from_every_other(&self) {
        let operator = |server: &str, state: &str| {
            let command = format!("set server {BACKEND}/{server} state {state}");
            self.haproxy.run(&command);
        };
        operator("drained", "drain");
        operator("resting", "maint");

        let way = way(STATES.len());
        let steps: BTreeSet<_> = way.windows(2).map(|step| (step[0], step[1])).collect();
        assert_eq!((steps.len(), way.len()), (20, 21), "every step once");
        let begun = Instant::now();
        for step in &way {
            self.reach(STATES[*step]);
            // No reply changed the operator's state.
            let administrative = |server: &str| self.seen(server).administrative;
            assert_eq!(administrative("drained"), 8, "at {:?}", STATES[*step]);
            assert_eq!(administrative("resting"), 1, "at {:?}", STATES[*step]);
        }
        println!(
            "{}: {} steps from state to state in {:.1} s, in both renderings",
            self.test,
            steps.len(),
            begun.elapsed().as_secs_f64()
        );

        // The operators end their states, and the servers reach the agent's state.
        self.reach(WEIGHT);
        for server in ["drained", "resting"] {
            assert_ne!(self.seen(server).administrative, 0);
            operator(server, "ready");
            self.wait_for_state(server, up(73));
        }
    }

    fn seen(&self, server: &str) -> ServerState {
        self.haproxy.server(BACKEND, server)
    }

    /// An application that refuses, and one that hangs, under a live collector.
    fn applications_fail(&mut self) {
        self.reach(WEIGHT);
        self.farm.web.stop();
        self.farm.owned.stop();
        self.wait_for_text("web", up(73), "kept: app_web refused");
        self.wait_for_text("owned", DRAINING, "app_owned refused");

        for application in [&mut self.farm.web, &mut self.farm.owned] {
            application.hang();
            application.restart();
        }
        self.wait_for_text("web", up(73), "kept: app_web timeout");
        self.wait_for_text("owned", DRAINING, "app_owned timeout");

        self.reach(FULL);
    }

    /// The collector is killed. Its last replies apply until their end, then the stale ones, until a new collector
    /// starts. No other reply is sent meanwhile.
    fn the_collector_dies(&mut self) {
        self.reach(WEIGHT);
        let mut probers = self.probers();
        self.host.kill_collector();
        let killed = now();
        let plans = ["web", "owned"].map(|service| self.plan(service));
        let [web, owned] = &plans;
        assert_eq!(web.fresh, "up 73% # app_web.msg-per-second=1890");
        assert_eq!(web.then, "up 73% # stale");
        assert_eq!(owned.fresh, "up ready 73% # app_owned.msg-per-second=1890");
        assert_eq!(owned.then, "up ready 1% # stale");

        self.wait_for_text("web", up(73), "stale");
        self.wait_for_text("owned", up(1), "stale");
        for prober in &mut probers {
            prober.wait_for_answers(2);
        }
        // No process has changed it.
        assert_eq!(plans, ["web", "owned"].map(|service| self.plan(service)));

        let restarted = now();
        self.host.start_collector();
        self.wait_for_state("owned", up(73));
        self.wait_for("web", "up(73), no longer stale", |seen| {
            up(73).fit(seen) && seen.agent_sent("1890")
        });
        for (prober, plan) in probers.into_iter().zip(&plans) {
            let samples = prober.samples();
            let counts = on_time(&samples, plan, killed, restarted);
            println!("{}: {plan:?}: {counts}", self.test);
        }
    }

    /// One that asks for `web` all the time, and one for `owned`.
    pub(crate) fn probers(&self) -> [Prober; 2] {
        let agent = self.host.agent();
        let prober = |name: &'static [u8]| Prober::start(PAUSE, move || probe(agent, name));
        [prober(b"web\n"), prober(b"owned\n")]
    }

    /// The schedule of a service.
    pub(crate) fn plan(&self, service: &str) -> Plan {
        let plan = Plan::read(self.host.states(), service);
        plan.unwrap_or_else(|error| panic!("{service}: {error}"))
    }

    /// Waits until both servers are where Herald's example has them.
    pub(crate) fn reach_the_example(&self) {
        self.reach(WEIGHT);
    }
}

/// Runs the story for all of these at the same time, because most of it is waiting.
pub(crate) fn each<T: std::fmt::Debug + Sync>(all: &[T], run: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        let reported: Vec<_> = (all.iter())
            .map(|one| (one, scope.spawn(|| run(one))))
            .collect();
        let wrong: Vec<_> = reported
            .into_iter()
            .filter_map(|(one, reported)| reported.join().is_err().then_some(one))
            .collect();
        assert!(wrong.is_empty(), "see above what went wrong for {wrong:?}");
    });
}

/// Compares every reply with the last schedule of a collector that was killed at `killed`; the next one was started
/// at `restarted`.
fn on_time(samples: &[Sample], plan: &Plan, killed: BootTime, restarted: BootTime) -> String {
    let (mut held, mut stale, mut again) = (0, 0, 0);
    for sample in samples {
        let fresh = sample.line == plan.fresh;
        assert!(
            fresh || sample.line == plan.then,
            "neither {:?} nor {:?}: {sample:?}",
            plan.fresh,
            plan.then
        );
        if sample.received_at < plan.until {
            assert!(fresh, "stale before its time: {sample:?} {plan:?}");
            held += usize::from(sample.sent_at >= killed);
        } else if sample.sent_at >= plan.until && sample.received_at < restarted {
            assert!(!fresh, "fresh after its time: {sample:?} {plan:?}");
            stale += 1;
        } else if sample.sent_at >= restarted {
            assert!(fresh || again == 0, "stale again: {sample:?}");
            again += usize::from(fresh);
        }
    }
    assert!(held > 0 && stale > 0, "{held} held, {stale} stale");
    format!("{held} answers held, {stale} stale, {again} fresh again")
}
