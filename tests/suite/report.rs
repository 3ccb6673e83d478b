//! `agentcheck report` on the directories of a real collector, rendered by a real browser.

mod browser;
mod live;

use agentcheck_tests::processes::{output, run, wait_for};
use agentcheck_tests::scene::{Scene, queue_service, stderr};
use browser::{Browser, Scheme};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

const OTHERS: &str = r#"
[source.other.file]
path = "/nonexistent/<b>other</b>"
format = "number"
interval = "100ms"

[service.db]
weight = "100"
"#;

const REASON: &str = "<script>alert('x')</script> & <img src=x>";

/// A collector whose `web` has had three different replies, and is drained by an operator.
fn eventful() -> Scene {
    let mut scene = Scene::new("report");
    let _ = scene.overrides();
    let queue = scene.scratch.write("queue", "27");
    let rule = "when = \"queue.value > 90 && queue.ok\"\nreply = \"down\"\n";
    scene.configure(&(queue_service(&queue, rule) + OTHERS));
    scene.start();
    for (number, beginning) in [("27", "up 73% "), ("95", "down "), ("40", "up 60% ")] {
        scene.put("queue", number);
        scene.wait_for_reply("web", beginning);
    }
    scene.succeeds(&["drain", "web", "--reason", REASON]);
    scene
}

fn command(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = scene.command(&[&["report"], arguments].concat());
    command.arg("--data-dir").arg(scene.data());
    command.current_dir(scene.scratch.path());
    command
}

/// Makes the page, without any output.
fn report(scene: &Scene, arguments: &[&str]) -> String {
    assert_eq!(run(&mut command(scene, arguments)), "");
    fs::read_to_string(scene.scratch.file("status.html")).unwrap()
}

#[test]
fn browser_renders_the_page_of_a_running_collector() {
    let scene = eventful();
    let file = scene.scratch.file("status.html");
    let written = report(&scene, &["-o", "status.html", "--since", "1h"]);
    let mode = || file.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o644);
    let browser = Browser::new(&scene.scratch);

    // What was written is what the browser makes of it: nothing is repaired, left out or added.
    let seen = browser.dom(&file);
    for tag in [
        "h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "section", "article",
        "details", "summary", "svg", "path", "rect", "line", "code", "small", "li", "script",
        "img", "b",
    ] {
        let count = |html: &str| {
            html.matches(&format!("<{tag} ")).count() + html.matches(&format!("<{tag}>")).count()
        };
        assert_eq!(count(&seen), count(&written), "<{tag}> in\n{seen}");
    }
    assert!(
        !seen.contains("<script") && !seen.contains("<img") && !seen.contains("<b>"),
        "{seen}"
    );
    for part in [
        "<strong>The collector was running</strong>",
        "<article id=\"service-web\" aria-labelledby=\"name-web\">",
        "<article id=\"service-db\" aria-labelledby=\"name-db\">",
        "Override: <strong>drain</strong> for this service, in effect; set by ",
        "Reason: &lt;script&gt;alert('x')&lt;/script&gt; &amp; &lt;img src=x&gt;",
        "<td>inactive</td><td><code>queue.value &gt; 90 &amp;&amp; queue.ok</code></td>",
        "role=\"img\" aria-label=\"web: weight and state\"",
        "<rect class=\"down\" ",
        "<rect class=\"drain\" ",
        "<li class=\"badge drain\">1 drain</li>",
        "2 sources, 1 of them failed at the latest poll.",
    ] {
        assert!(seen.contains(part), "{part} in\n{seen}");
    }

    // White or dark, as the reader's system has it, with the lines and bands of the plots in their colours.
    for (scheme, background, line) in [
        (Scheme::Light, [255, 255, 255], [0x09, 0x69, 0xda]),
        (Scheme::Dark, [0x0d, 0x11, 0x17], [0x44, 0x93, 0xf8]),
    ] {
        let shot = browser.shot(&file, scheme, (1000, 1600));
        assert_eq!(shot.size, (1000, 1600));
        assert_eq!(shot.pixel(0, 0), background, "{scheme:?}");
        assert_eq!(shot.pixel(999, 0), background, "{scheme:?}");
        assert!(shot.colours() > 50, "{scheme:?}: {}", shot.colours());
        // A horizontal line of the weight is hundreds of pixels long.
        assert!(shot.count(line) > 300, "{scheme:?}: {}", shot.count(line));
    }

    // On a phone nothing exceeds the right edge: wider parts scroll within the page.
    let phone = browser.shot(&file, Scheme::Light, (360, 1600));
    assert!(phone.colours() > 50);
    for x in 352..360 {
        for y in 0..1600 {
            assert_eq!(phone.pixel(x, y), [255, 255, 255], "at {x},{y}");
        }
    }

    // A plot opens at its newest end. Its title is at the oldest end.
    let oldest = scene
        .scratch
        .write("oldest.html", written.replace("scroll latest", "scroll"));
    let oldest = browser.shot(&oldest, Scheme::Light, (360, 1600));
    let text = [0x1f, 0x23, 0x28];
    assert!(
        phone.count(text) < oldest.count(text),
        "{} and {}",
        phone.count(text),
        oldest.count(text)
    );
}

#[test]
fn page_shows_a_dead_collector_and_errors_keep_the_last_page() {
    let mut scene = eventful();
    scene.kill();
    let dead = wait_for("the snapshot to be old", || {
        let page = report(&scene, &["--output", "status.html", "--mode", "640"]);
        let dead = page.contains("<strong>The collector was not running</strong>");
        if dead { Ok(page) } else { Err(page) }
    });
    let file = scene.scratch.file("status.html");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    // The page of a collector that has ended still has the last reply, and a plot of stale replies.
    assert!(
        dead.contains("override=drain") && dead.contains("<rect class=\"stale\""),
        "{dead}"
    );

    let fails = |arguments: &[&str], why: &str| {
        let printed = stderr(output(&mut command(&scene, arguments)));
        assert!(printed.contains(why), "{why} in {printed}");
        let kept = fs::read_to_string(&file).unwrap();
        assert_eq!(kept, dead, "the page before stays");
    };
    fails(
        &["-o", "nowhere/status.html"],
        "cannot write page nowhere/status.html: ",
    );
    let snapshot = scene.states.path().join("status.json");
    let text = fs::read(&snapshot).unwrap();
    fs::remove_file(&snapshot).unwrap();
    fs::create_dir(&snapshot).unwrap();
    fails(&["-o", "status.html"], "status.json: not a regular file");
    fs::remove_dir(&snapshot).unwrap();

    // A status snapshot of another boot is not used.
    let boot = agentcheck_tests::state::boot_id();
    let other = String::from_utf8(text)
        .unwrap()
        .replace(boot.as_str(), "6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11");
    fs::write(&snapshot, other).unwrap();
    let page = report(&scene, &["-o", "status.html"]);
    assert!(page.contains("<strong>The collector was not running</strong>: none has run since"));
    let left: Vec<_> = fs::read_dir(scene.scratch.path())
        .unwrap()
        .flatten()
        .collect();
    assert!(
        left.iter()
            .all(|entry| !entry.file_name().to_string_lossy().ends_with(".new"))
    );
    assert!(scene.configuration.is_file());
}
