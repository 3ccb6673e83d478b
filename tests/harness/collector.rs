//! Our collector as a real process, configurations for it, and the state files that it writes.

use crate::binaries;
use crate::processes::{Running, wait_for};
use crate::scratch::Scratch;
use crate::state::StateDirectory;
use agentcheck_common::BootTime;
use agentcheck_common::schedule::Schedule;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `agentcheck collect`.
#[derive(Debug)]
pub struct Collector {
    process: Running,
}

impl Collector {
    /// The data directory that belongs to a state directory; it is there only where a test makes it.
    #[must_use]
    pub fn data(states: &StateDirectory) -> PathBuf {
        states.path().with_extension("data")
    }

    /// A command with these arguments, about the collector that writes there; `collect` starts it.
    #[must_use]
    pub fn command(arguments: &[&str], configuration: &Path, states: &StateDirectory) -> Command {
        let mut command = Command::new(binaries::collector());
        command
            .args(arguments)
            .arg("--config")
            .arg(configuration)
            .arg("--state-dir")
            .arg(states.path())
            .arg("--data-dir")
            .arg(Self::data(states));
        command
    }

    /// Starts it by `command`; its log is `NAME.log` in `scratch`, after the lines of an earlier one of that name.
    #[must_use]
    pub fn start_by(scratch: &Scratch, name: &str, command: &mut Command) -> Self {
        Self {
            process: Running::start(scratch, name, command),
        }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.process
    }

    /// Waits until `wanted` accepts the state file of `service`.
    ///
    /// # Panics
    /// Where the collector ends meanwhile, or it takes too long.
    pub fn wait_for_plan(
        &mut self,
        states: &StateDirectory,
        service: &str,
        wanted: impl Fn(&Plan) -> bool,
    ) -> Plan {
        wait_for(format_args!("the collector's word on {service}"), || {
            assert!(
                self.process.is_running(),
                "the collector ended: {}",
                self.process.log()
            );
            let plan = Plan::read(states, service)?;
            if wanted(&plan) {
                Ok(plan)
            } else {
                Err(format!("{plan:?}"))
            }
        })
    }
}

/// A state file as it was written: its first line, the end of that stage, and its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When it was written.
    pub from: BootTime,
    /// The line of the first stage.
    pub fresh: String,
    /// When that stage ends.
    pub until: BootTime,
    /// The last line.
    pub then: String,
}

impl Plan {
    /// Reads the state file of `service`, of any boot.
    ///
    /// # Errors
    /// Where there is none, or none in the format, or none with a stage.
    pub fn read(states: &StateDirectory, service: &str) -> Result<Self, String> {
        let file = std::fs::read(states.file(service)).map_err(|error| error.to_string())?;
        let schedule = Schedule::decode(&file).map_err(|refused| format!("{refused:?}"))?;
        let at = |moment| {
            let picked = schedule
                .reply_at(moment)
                .map_err(|error| format!("{error:?}"))?;
            let line = String::from_utf8_lossy(picked.line).into_owned();
            Ok::<_, String>((line, picked.until))
        };
        let (fresh, until) = at(schedule.from)?;
        let (then, _) = at(BootTime(u64::MAX))?;
        Ok(Self {
            from: schedule.from,
            fresh,
            until: until.ok_or("it has no stage")?,
            then,
        })
    }
}

/// A service whose application reports its messages a second and its state, as in Herald's README. Its limit
/// is 7000 messages.
#[derive(Clone, Debug)]
pub struct Herald {
    /// The name of the service; its source is called `app_NAME`.
    pub name: String,
    /// The URL of the application.
    pub url: String,
    /// The source's `timeout`.
    pub timeout: &'static str,
    /// The service's `fresh_for`.
    pub fresh_for: &'static str,
    /// The service's `stale`.
    pub stale: &'static str,
    /// The service's `on_failure`.
    pub on_failure: &'static str,
    /// The service's `administration`.
    pub administration: &'static str,
}

impl Herald {
    /// All defaults, but for times that a test can wait for: a reply is good for four seconds.
    #[must_use]
    pub fn new(name: &str, url: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            timeout: "1s",
            fresh_for: "4s",
            stale: "keep",
            on_failure: "keep",
            administration: "preserve",
        }
    }

    /// A whole configuration: these services, each application asked every 200 ms.
    #[must_use]
    pub fn configuration(services: &[Self]) -> String {
        let mut text = String::new();
        for service in services {
            let _ = write!(text, "{}", service.tables());
        }
        text
    }

    fn tables(&self) -> String {
        let Self {
            name,
            url,
            timeout,
            fresh_for,
            stale,
            on_failure,
            administration,
        } = self;
        let mut text = format!(
            r#"
[source.app_{name}.http]
url = "{url}"
format = "json"
interval = "200ms"
timeout = "{timeout}"

[service.{name}]
weight = "headroom(app_{name}.json['msg-per-second'], 7000)"
fresh_for = "{fresh_for}"
on_stale = "{stale}"
on_failure = "{on_failure}"
admin_state = "{administration}"
"#
        );
        for reply in ["maint", "drain", "down"] {
            let _ = write!(
                text,
                r#"
[[service.{name}.rule]]
name = "{reply}"
when = "app_{name}.json.state == '{reply}'"
reply = "{reply}"
"#
            );
        }
        text
    }
}
