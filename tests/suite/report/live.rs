//! The page in a browser that stays open: it shows a new weight without anything done to the browser.

use agentcheck_tests::processes::{Running, program, wait_for};
use agentcheck_tests::scene::Scene;
use agentcheck_tests::scratch::Scratch;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;

/// A browser that is controlled through two pipes (the Chrome DevTools Protocol).
struct Controlled {
    _process: Running,
    input: File,
    output: BufReader<File>,
    last: u64,
    session: Option<String>,
}

impl Controlled {
    fn start(scratch: &Scratch) -> Self {
        let (input, output) = (scratch.file("to-browser"), scratch.file("from-browser"));
        for pipe in [&input, &output] {
            agentcheck_tests::processes::run(Command::new("mkfifo").arg(pipe));
        }
        // The browser reads commands from descriptor 3 and writes answers to descriptor 4.
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<>\"$IN\" 4<>\"$OUT\"", "browser"]);
        command.env("IN", &input).env("OUT", &output);
        command.arg(program(
            "chromium-headless-shell",
            "chromium-headless-shell",
        ));
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.arg(format!(
            "--user-data-dir={}",
            scratch.directory("browser").display()
        ));
        command.arg("--remote-debugging-pipe");
        let process = Running::start(scratch, "browser", &mut command);
        let open = |pipe| File::options().read(true).write(true).open(pipe).unwrap();
        Self {
            _process: process,
            input: open(input),
            output: BufReader::new(open(output)),
            last: 0,
            session: None,
        }
    }

    /// Sends a command and waits for its result; events before it are dropped.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.input
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let mut bytes = Vec::new();
            self.output.read_until(0, &mut bytes).unwrap();
            let answer: Value = serde_json::from_slice(bytes.strip_suffix(b"\0").unwrap()).unwrap();
            if answer["id"] == self.last {
                return answer["result"].clone();
            }
        }
    }

    /// Opens the page in a new tab. Nothing after this navigates or reloads.
    fn open(&mut self, url: &str) {
        let target = self.call("Target.createTarget", json!({"url": url}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.call("Target.attachToTarget", attach);
        self.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
    }

    /// What the reader sees; empty while the page loads.
    fn text(&mut self) -> String {
        let expression = "document.body ? document.body.innerText : ''";
        let value = self.call("Runtime.evaluate", json!({"expression": expression}));
        value["result"]["value"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn wait_for_text(&mut self, text: &str) {
        wait_for(format_args!("{text} in the browser"), || {
            let seen = self.text();
            match seen.contains(text) {
                true => Ok(()),
                false => Err(seen),
            }
        });
    }
}

#[test]
fn open_page_shows_a_new_weight_by_itself() {
    let mut scene = Scene::new("live-page");
    let source = scene.number("queue", "27");
    let page = "[page]\ninterval = \"1s\"\n";
    scene.configure(&format!(
        "{source}\n{page}\n[service.web]\nweight = \"headroom(queue.value, 100)\"\n"
    ));
    scene.start();
    scene.respond(&["--name-from-client", "--http-documents"]);
    scene.wait_for_reply("web", "up 73%");
    let file = scene.states.path().join("page.html");
    wait_for("the page", || file.metadata());
    let mut browser = Controlled::start(&scene.scratch);
    browser.open(&format!("http://{}/-/page", scene.agent));
    browser.wait_for_text("up 73%");
    for (number, reply) in [("58", "up 42%"), ("91", "up 9%"), ("27", "up 73%")] {
        scene.put("queue", number);
        scene.wait_for_reply("web", reply);
        browser.wait_for_text(reply);
    }
}
