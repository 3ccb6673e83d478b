//! What both configurations have in common continues, with all that it remembers.

use super::service;
use agentcheck_tests::prober::Prober;
use agentcheck_tests::processes::wait_until;
use agentcheck_tests::raw_probe::probe;
use agentcheck_tests::scene::Scene;
use agentcheck_tests::state::now;
use rustix::process::Signal;
use std::time::Duration;

/// Between 10 and 90 the rule is true only if it was true before, and the average takes an hour.
fn remembering(name: &str) -> String {
    service(name, "a")
        + "ewma = \"1h\"\n"
        + &format!(
            "[[service.{name}.rule]]\nname = \"full\"\nwhen = \"a.value > 90\"\n\
             clear_when = \"a.value < 10\"\nreply = \"drain\"\n"
        )
}

#[test]
fn reload_keeps_rule_state_and_average() {
    let mut scene = Scene::with("remembers", |scene| {
        scene.number("a", "20") + &remembering("held") + &remembering("smoothed")
    });
    let (a, b) = (scene.number("a", "20"), scene.number("b", "20"));
    scene.wait_for_reply("smoothed", "up 80% ");
    scene.put("a", "95");
    scene.wait_for_reply("held", "up 0% ");
    scene.put("a", "50");
    let after = now();
    let held = scene.wait_for_plan("held", |plan| plan.from > after);
    assert!(held.fresh.starts_with("up 0% "), "{held:?}");

    // Another order, other services, other sources; one service uses both.
    let both = service("both", "a").replace("a.value", "a.value + b.value");
    let text = format!(
        "# new\n{b}{a}{both}{}{}",
        remembering("smoothed"),
        remembering("held")
    );
    let printed = scene.reload(&text);
    assert!(
        printed.contains("2 sources, 3 services; added both\n"),
        "{printed}"
    );
    let after = now();
    let held = scene.wait_for_plan("held", |plan| plan.from > after);
    assert!(
        held.fresh.starts_with("up 0% "),
        "the hold is lost: {held:?}"
    );
    scene.wait_for_reply("both", "up 30% ");

    // Out of the rule: the average is still that of before, where a new one would begin at 95.
    scene.put("a", "5");
    let smoothed = scene.wait_for_plan("held", |plan| {
        plan.fresh.starts_with("up ") && !plan.fresh.starts_with("up 0% ")
    });
    assert!(
        smoothed.fresh.starts_with("up 80% "),
        "the average is lost: {smoothed:?}"
    );
    println!("held: {}; then: {}", held.fresh, smoothed.fresh);
}

#[test]
fn changed_source_is_polled_and_the_old_one_no_longer() {
    let mut scene = Scene::with("another", |scene| {
        scene.number("a", "20") + &service("web", "a")
    });
    scene.wait_for_reply("web", "up 80% ");
    let asks = |count: &str, every: &str| {
        format!(
            "[source.a.command]\nargv = [\"/bin/sh\", \"-c\", \"echo >> {}; echo 40\"]\n\
             format = \"number\"\ninterval = \"{every}\"\n{}",
            scene.scratch.file(count).display(),
            service("web", "a")
        )
    };
    let polls = |count: &str| {
        let text = std::fs::read_to_string(scene.scratch.file(count)).unwrap_or_default();
        text.lines().count()
    };
    let printed = scene.reload(&asks("first", "100ms"));
    assert!(printed.contains("changed web\n"), "{printed}");
    wait_until("the new source", || polls("first") > 3);
    scene.reload(&asks("second", "100ms"));
    wait_until("the next one", || polls("second") > 3);
    // A poll that was under way may have ended since; there is no other.
    let before = polls("first");
    let enough = polls("second") + 20;
    wait_until("twenty polls more", || polls("second") > enough);
    let after = polls("first");
    assert!(after <= before + 1, "{before} polls, then {after}");
    println!(
        "{after} polls of the removed source, {} of the other",
        polls("second")
    );
}

#[test]
fn many_reloads_leave_no_gap_and_no_thread() {
    let mut scene = Scene::with("storm", |scene| {
        scene.number("a", "20") + &scene.number("b", "20") + &service("web", "a")
    });
    let web = scene.wait_for_reply("web", "up 80% ");
    let (a, b) = (scene.number("a", "20"), scene.number("b", "20"));
    scene.respond(&["--name-from-client"]);
    let agent = scene.agent;
    let mut prober = Prober::start(Duration::from_millis(2), move || probe(agent, b"web\n"));
    let threads = |scene: &mut Scene| {
        let pid = scene.process().pid();
        std::fs::read_dir(format!("/proc/{pid}/task"))
            .unwrap()
            .count()
    };
    let before = threads(&mut scene);
    for round in 0..100 {
        let command = format!(
            "[source.c.command]\nargv = [\"/bin/sleep\", \"1000\"]\nformat = \"number\"\n\
             interval = \"{}s\"\ntimeout = \"1h\"\n[service.other]\nweight = \"c.value\"\n",
            round + 1
        );
        let text = match round % 3 {
            0 => format!("{a}{}{command}", service("web", "a")),
            1 => format!("{b}{a}{}{}", service("web", "a"), service("more", "b")),
            _ => format!("{a}{b}{}", service("web", "a")),
        };
        scene.configure(&text);
        scene.process().signal(Signal::HUP);
        if round % 10 == 0 {
            scene.reload(&text);
        }
    }
    scene.reload(&format!("{a}{b}{}", service("web", "a")));
    wait_until("the threads of removed sources to end", || {
        threads(&mut scene) <= before + 1
    });
    prober.wait_for_answers(10);
    let samples = prober.samples();
    for sample in &samples {
        assert_eq!(sample.line, web.fresh, "{sample:?}");
    }
    println!(
        "attack: 111 reloads, {} answers, all {:?}; {before} threads before",
        samples.len(),
        web.fresh
    );
    let log = scene.process().log();
    assert!(!log.contains("panic"), "{log}");
}

/// The kept reply belongs to the service: a reload and a restart do not change it, even with other rules and another
/// weight. A service without a reply has none to keep.
#[test]
fn kept_reply_remains_over_a_reload_and_a_restart() {
    let keep = |service: &str, name: &str| {
        format!(
            "[[service.{service}.rule]]\nname = \"{name}\"\nwhen = \"hold.value == 1\"\nreply = \"keep\"\n"
        )
    };
    let mut scene = Scene::with("kept", |scene| {
        let sources = scene.number("a", "20") + &scene.number("hold", "0");
        sources + &service("web", "a") + &keep("web", "unsure")
    });
    scene.wait_for_reply("web", "up 80% # a=20");
    scene.put("hold", "1");
    scene.wait_for_reply("web", "up 80% # rule=unsure");
    scene.put("a", "60");

    let sources = scene.number("a", "60") + &scene.number("hold", "1");
    let other = service("other", "a") + &keep("other", "unsure");
    for (name, weight) in [("unsure", "a"), ("renamed", "a"), ("renamed", "hold")] {
        let web = service("web", weight) + &keep("web", name);
        scene.reload(&(sources.clone() + &web + &other));
        scene.check_next_reply("web", &format!("up 80% # rule={name}"));
    }
    scene.wait_for_log("other: no reply yet: rule unsure keeps the reply, and there is none");

    scene.kill();
    scene.start();
    scene.check_next_reply("web", "up 80% # rule=renamed");
    scene.put("a", "70");
    scene.put("hold", "0");
    scene.wait_for_reply("web", "up 100% # hold=0");
    scene.wait_for_reply("other", "up 30% # a=70");
}
