//! The shipped examples on a real `HAProxy`: each moves a server as its README claims. Only the application's
//! address is changed.

use super::server_states::up;
use super::started;
use agentcheck_tests::application::Application;
use agentcheck_tests::binaries::workspace;
use agentcheck_tests::haproxy::{Backend, Server, ServerState};
use agentcheck_tests::scene::Scene;

const BACKEND: &str = "farm";

/// One example at work: its application, its collector, and a balancer that asks for one of its services.
struct Example {
    /// Where the sessions and the health checks go: the port is always healthy.
    _site: Application,
    scene: Scene,
}

impl Example {
    /// `answer` is the application's first response; `more` has further options of the server line.
    fn start(case: &str, service: &str, answer: &str, more: &str) -> Self {
        let mut scene = Scene::new(case);
        let site = Application::start(scene.block.address(8080), 0);
        let application = scene.serve(0);
        application.set_response(200, answer);
        let file = workspace().join(format!("examples/{case}/agentcheck.toml"));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("127.0.0.1:8081"), "{text}");
        let text = text.replace("127.0.0.1:8081", &application.address().to_string());
        scene.configure(&text);
        let mut scene = started(scene, None);
        let server = Server {
            more: more.to_owned(),
            ..Server::new("one", site.address(), scene.agent)
                .sending(&format!("{service}\\n"))
                .checked()
        };
        scene.balance(&[Backend::new(BACKEND, vec![server])]);
        Self { _site: site, scene }
    }

    fn wait_for(&self, what: &str, wanted: impl Fn(&ServerState) -> bool) -> ServerState {
        self.scene
            .haproxy()
            .wait_for_server(BACKEND, "one", what, wanted)
    }

    /// Waits until the server is down by the agent's reply, for this reason. It waits for all parts, because the test
    /// reads `HAProxy`'s two tables one after the other.
    fn wait_until_down(&self, reason: &str) {
        self.wait_for(&format!("down because of {reason:?}"), |seen| {
            (seen.operational, seen.administrative) == (0, 0)
                && seen.status == "DOWN (agent)"
                && seen.agent_sent(reason)
        });
    }

    /// Waits until the server is up with this weight, and the agent's reply has the reason.
    fn wait_until_up(&self, weight: u16, why: &str) {
        self.wait_for(&format!("up({weight}) because of {why:?}"), |seen| {
            up(weight).fit(seen) && seen.agent_sent(why)
        });
    }
}

#[test]
fn herald_example_moves_the_weight() {
    let messages = |number: u32| format!("{{\"msg-per-second\": {number}}}");
    let mut example = Example::start("herald", "web", &messages(1890), "");
    example.wait_until_up(73, "msg-per-second=1890");
    example
        .scene
        .application()
        .set_response(200, &messages(3500));
    example.wait_until_up(50, "msg-per-second=3500");
    // Beyond its limit, and never out.
    example
        .scene
        .application()
        .set_response(200, &messages(9000));
    example.wait_until_up(1, "msg-per-second=9000");
}

#[test]
fn worker_queue_example_takes_a_full_worker_out() {
    let queue = |waiting: u32| format!("{{\"active\": 64, \"waiting\": {waiting}}}");
    let mut example = Example::start("worker-queue", "web", &queue(12), "");
    example.wait_until_up(54, "queue.waiting=12");
    example.scene.application().set_response(200, &queue(873));
    example.wait_until_up(0, "873 waiting");
    example.scene.application().set_response(200, &queue(6044));
    example.wait_until_down("6044 waiting");
    // Out until the queue is nearly empty, and then back at once.
    example.scene.application().set_response(200, &queue(130));
    example.wait_until_down("130 waiting");
    example.scene.application().set_response(200, &queue(0));
    example.wait_until_up(66, "queue.waiting=0");
}

#[test]
fn healthz_example_takes_an_unhealthy_server_down() {
    let mut example = Example::start("healthz", "web", "ok", "");
    example.wait_for("up", |seen| up(100).fit(seen));
    example.scene.application().set_response(503, "draining");
    example.wait_until_down("healthz status");
    example.scene.application().set_response(200, "ok");
    example.wait_for("up again", |seen| up(100).fit(seen));
    example.scene.application().stop();
    example.wait_until_down("healthz refused");
    example.scene.application().hang();
    example.scene.application().restart();
    example.wait_until_down("healthz timeout");
}

#[test]
fn maxconn_example_limits_sessions() {
    let limited =
        |limit| move |seen: &ServerState| up(100).fit(seen) && seen.session_limit == Some(limit);
    let workers = |number: u32| format!("{{\"workers\": {number}}}");
    let constant = Example::start("maxconn", "web", &workers(16), "maxconn 200");
    constant.wait_for("slim 30", limited(30));

    let mut pool = Example::start("maxconn", "pool", &workers(16), "maxconn 200");
    pool.wait_for("slim 32", limited(32));
    pool.scene.application().set_response(200, &workers(0));
    pool.wait_for("slim 1: 0 would be no limit", limited(1));
    pool.scene.application().set_response(200, &workers(100));
    pool.wait_for("slim 200", limited(200));
}
