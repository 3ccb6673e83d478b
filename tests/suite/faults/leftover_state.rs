//! State files that a starting collector finds. One of this boot is where it goes on from; one of another
//! boot says nothing to anybody.

use agentcheck_tests::address::Block;
use agentcheck_tests::application::Application;
use agentcheck_tests::collector::{Collector, Herald, Plan};
use agentcheck_tests::prober::Prober;
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::raw_probe::{Heard, probe};
use agentcheck_tests::responder::Loop;
use agentcheck_tests::scratch::Scratch;
use agentcheck_tests::state::{StateDirectory, boot_id, now};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const HEALTHY: &str = "up 73% # app_web.msg-per-second=1890";

/// A collector that was started where something lay already, its application down, and a responder.
struct Scene {
    application: Application,
    collector: Collector,
    _responder: Loop,
    agent: SocketAddr,
    states: StateDirectory,
    configuration: PathBuf,
    _block: Block,
    scratch: Scratch,
}

impl Scene {
    fn new(test: &str, leave_behind: impl FnOnce(&StateDirectory)) -> Self {
        let scratch = Scratch::new(test);
        let block = Block::claim();
        let states = StateDirectory::at(scratch.directory("state"));
        let mut application = Application::start(block.address(8081), 1890);
        application.dies();
        let mut service = Herald::new("web", &application.url());
        // Long enough for a restart and a poll that times out on a busy machine.
        service.fresh_for = "8s";
        let configuration = scratch.write("agentcheck.toml", Herald::configuration(&[service]));
        leave_behind(&states);
        let agent = block.agent();
        Self {
            _responder: Loop::start(&scratch, &states, &["web"], &[agent]),
            collector: Collector::start(&scratch, "collector", &configuration, &states),
            application,
            agent,
            states,
            configuration,
            _block: block,
            scratch,
        }
    }

    fn heard(&self) -> Heard {
        probe(self.agent, b"").unwrap()
    }

    /// Waits until the collector knows that its application is down.
    fn wait_for_the_failure(&mut self) {
        self.collector.process().wait_for_log("refused");
    }

    /// Waits until this is what the collector has written, and HAProxy would hear.
    fn wait_for(&mut self, line: &str) {
        let said = |plan: &Plan| plan.fresh == line;
        self.collector.wait_for_plan(&self.states, "web", said);
        assert_eq!(self.heard(), Heard::line(line));
    }
}

#[test]
fn what_another_boot_left_is_refused_and_replaced() {
    let mut scene = Scene::new("foreign", |states| {
        let other = boot_id().to_string();
        let other = other.replace(|digit: char| digit.is_ascii_hexdigit(), "7");
        let from = now();
        let until = from.after(Duration::from_secs(3600));
        let file = format!(
            "agentcheck 1 web\nboot {other}\nfrom {from}\nuntil {until} down 100%\nthen down 100%\n"
        );
        states.holds("web", file.as_bytes());
        // Its account of rules that held is as foreign: whoever believed it would say maint.
        let status = format!(
            r#"{{"version":1,"boot":"{other}","pid":1,"started":1,"at":{from},"sources":{{}},
            "services":{{"web":{{"reply":"down 100%","rules":[{{"name":"maint",
            "when":"app_web.json.state == 'maint'","held":true,"of":{from}}}]}}}}}}"#
        );
        std::fs::write(states.path().join("status.json"), status).unwrap();
    });
    assert_eq!(scene.heard(), Heard::line("other-boot:web"));
    scene.wait_for_the_failure();
    // What is to be said of a failure is `keep`, and there is nothing to keep.
    assert_eq!(scene.heard(), Heard::line("other-boot:web"));
    scene.application.revive();
    scene.wait_for(HEALTHY);
}

#[test]
fn what_comes_from_the_future_is_refused_and_replaced() {
    let mut scene = Scene::new("future", |states| {
        let (boot, from) = (boot_id(), now().after(Duration::from_secs(3600)));
        let file = format!("agentcheck 1 web\nboot {boot}\nfrom {from}\nthen down 100%\n");
        states.holds("web", file.as_bytes());
    });
    assert_eq!(scene.heard(), Heard::line("future:web"));
    scene.wait_for_the_failure();
    assert_eq!(scene.heard(), Heard::line("future:web"));
    scene.application.revive();
    scene.wait_for(HEALTHY);
}

#[test]
fn what_this_boot_left_is_kept_until_there_is_news() {
    let mut scene = Scene::new("own", |states| states.says("web", "up 42% # stale"));
    scene.wait_for("up 42% # kept: app_web refused");
    scene.application.revive();
    scene.wait_for(HEALTHY);
}

/// Taken out by a rule, the collector killed, the application silent, a new collector: it has nothing to
/// go by but what the first one left, and the server stays out.
#[test]
fn what_was_taken_out_stays_out_over_a_restart() {
    let mut scene = Scene::new("taken-out", |_| {});
    scene.application.reports(1890, "maint");
    scene.application.revive();
    scene.wait_for("stopped 100% # maintenance rule=maint");
    // The account is written right after the reply.
    let account = scene.states.path().join("status.json");
    wait_until("the rule in the account", || {
        std::fs::read_to_string(&account).is_ok_and(|text| text.contains("\"held\":true"))
    });
    let agent = scene.agent;
    let prober = Prober::start(Duration::from_millis(10), move || probe(agent, b""));

    scene.application.hangs();
    scene.collector.process().kill();
    scene.collector =
        Collector::start(&scene.scratch, "again", &scene.configuration, &scene.states);
    // At first the rule's last truth stands, and when that is too old the last reply does.
    scene.wait_for("stopped 100% # maintenance rule=maint kept: app_web timeout");
    scene.wait_for("stopped 100% # maintenance kept: app_web timeout");
    let samples = prober.samples();
    for sample in &samples {
        assert!(sample.line.starts_with("stopped 100% "), "{sample:?}");
    }
    println!("{} answers, all of them stopped", samples.len());
    scene.application.reports(1890, "ok");
    scene.wait_for(HEALTHY);
}
