//! How often an idle collector wakes up.

use agentcheck_tests::mount::Mounted;
use agentcheck_tests::processes::wait_for;
use agentcheck_tests::scene::Scene;
use std::fs;

/// The polls during which wake-ups are counted.
const POLLS: u64 = 8;

/// How often the threads of a process waited and were woken.
fn wake_ups(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let count = |thread: fs::DirEntry| -> Option<u64> {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        count.trim().parse().ok()
    };
    threads.filter_map(|thread| count(thread.unwrap())).sum()
}

/// How many polls the collector finished.
fn polls(scene: &Scene) -> Result<u64, String> {
    let metrics = fs::read_to_string(scene.scratch.file("agentcheck.prom"));
    let metrics = metrics.map_err(|error| error.to_string())?;
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("agentcheck_source_poll_duration_seconds_count{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(counts.sum())
}

/// The bar is two wake-ups a poll, with two sources every two seconds. The thread that polls, the loop and the thread of
/// overrides need 1.5, and the metrics 0.4. On a busy machine, two readings may arrive apart, and a thread may wait for another.
#[test]
fn idle_collector_sleeps_between_polls() {
    let mut scene = Scene::new("wake-ups");
    // On a disk, the loop would also wait for the disk.
    scene.mounted = Some(Mounted::tmpfs(scene.states.path(), "size=1m"));
    let _ = scene.overrides();
    let mut text = format!(
        "[metrics]\ntextfile = {:?}\ninterval = \"5s\"\n",
        scene.scratch.file("agentcheck.prom")
    );
    for name in ["first", "second"] {
        text += &format!(
            "[source.{name}.system]\nmetric = \"memory\"\ninterval = \"2s\"\n\
             [service.{name}]\nweight = \"{name}.ok ? 73 : 1\"\n"
        );
    }
    scene.configure(&text);
    scene.start();
    for service in ["first", "second"] {
        scene.wait_for_reply(service, "up 73%");
    }
    let pid = scene.process().pid();
    let count = |least: u64| {
        wait_for("more polls", || match polls(&scene)? {
            polls if polls >= least => Ok(polls),
            polls => Err(format!("{polls} polls")),
        })
    };
    let (before, woken) = (count(2), wake_ups(pid));
    let (after, woken) = (count(before + POLLS), wake_ups(pid) - woken);
    let polls = after - before;
    println!("{woken} wake-ups in {polls} polls");
    assert!(woken <= 4 * polls, "{woken} wake-ups in {polls} polls");
}
