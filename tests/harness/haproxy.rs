//! The real `HAProxy`: a test describes its configuration, and uses its stats socket. `AGENTCHECK_HAPROXY` names
//! another binary than the installed one.

use crate::processes::{Running, program, wait_for, wait_until};
use crate::scratch::Scratch;
use rustix::process::Signal;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

mod server_state;
pub use server_state::ServerState;

/// One server line.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Where sessions, and health checks if there are any, go.
    pub address: SocketAddr,
    /// Where the agent is.
    pub agent: SocketAddr,
    /// The configured weight.
    pub weight: u16,
    /// Milliseconds from the end of one agent check to the next.
    pub agent_inter: u32,
    /// The text for the agent in the notation of `HAProxy`'s configuration (`web\n` with the backslash).
    pub agent_send: Option<String>,
    /// Whether there is a health check beside the agent's.
    pub check: bool,
    /// Further options of the line.
    pub more: String,
}

impl Server {
    /// A server of weight 100 without health check, asked every 300 ms.
    #[must_use]
    pub fn new(name: &str, address: SocketAddr, agent: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            agent,
            weight: 100,
            agent_inter: 300,
            agent_send: None,
            check: false,
            more: String::new(),
        }
    }

    /// The same with a health check every 300 ms, up and down at the first result.
    #[must_use]
    pub fn checked(mut self) -> Self {
        self.check = true;
        self
    }

    /// The same with something to send to the agent.
    #[must_use]
    pub fn sending(mut self, text: &str) -> Self {
        self.agent_send = Some(text.to_owned());
        self
    }

    fn line(&self) -> String {
        let Self {
            name,
            address,
            agent,
            weight,
            agent_inter,
            more,
            ..
        } = self;
        let check = if self.check {
            " check inter 300 rise 1 fall 1"
        } else {
            ""
        };
        let send = self
            .agent_send
            .as_ref()
            .map(|text| format!(" agent-send \"{text}\""))
            .unwrap_or_default();
        format!(
            "server {name} {address} weight {weight}{check} agent-check agent-addr {} \
             agent-port {} agent-inter {agent_inter}{send} {more}",
            agent.ip(),
            agent.port()
        )
    }
}

/// One backend, and how it is reached.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// Where a frontend for it listens, if there is one.
    pub frontend: Option<SocketAddr>,
    /// Further lines, such as `balance` and timeouts.
    pub lines: Vec<String>,
    /// Its servers.
    pub servers: Vec<Server>,
}

impl Backend {
    /// A backend without frontend, roundrobin. The deadline of checks is far above any agent-inter, so a busy machine
    /// causes no failed check.
    #[must_use]
    pub fn new(name: &str, servers: Vec<Server>) -> Self {
        Self {
            name: name.to_owned(),
            frontend: None,
            lines: vec![
                "balance roundrobin".to_owned(),
                "timeout check 10s".to_owned(),
            ],
            servers,
        }
    }

    fn section(&self) -> String {
        let name = &self.name;
        let mut text = String::new();
        if let Some(address) = self.frontend {
            let _ = writeln!(
                text,
                "frontend to-{name}\n  bind {address}\n  default_backend {name}\n"
            );
        }
        let _ = writeln!(text, "backend {name}");
        for line in &self.lines {
            let _ = writeln!(text, "  {line}");
        }
        for server in &self.servers {
            let _ = writeln!(text, "  {}", server.line());
        }
        text
    }
}

/// The `HAProxy` that is tested: the one in `AGENTCHECK_HAPROXY`, or the installed one.
///
/// # Panics
/// There is none.
#[must_use]
pub fn binary() -> PathBuf {
    let Some(chosen) = std::env::var_os("AGENTCHECK_HAPROXY") else {
        return program("haproxy", "haproxy");
    };
    let path = PathBuf::from(chosen);
    assert!(
        path.is_file(),
        "AGENTCHECK_HAPROXY={} is not a file",
        path.display()
    );
    path
}

/// A running `HAProxy`.
#[derive(Debug)]
pub struct Haproxy {
    process: Running,
    directory: PathBuf,
    configuration: PathBuf,
    socket: PathBuf,
}

impl Haproxy {
    /// Writes the configuration, has `HAProxy` check it, starts it in the foreground and waits until it
    /// answers on its socket.
    #[must_use]
    pub fn start(scratch: &Scratch, backends: &[Backend]) -> Self {
        let directory = scratch.directory("haproxy");
        let socket = directory.join("admin.sock");
        let states = directory.join("servers.state");
        let mut text = format!(
            "global\n  stats socket {} mode 600 level admin expose-fd listeners\n  \
             server-state-file {}\n  log stdout format raw local0\n\n\
             defaults\n  mode http\n  log global\n  option log-health-checks\n  \
             timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n  \
             load-server-state-from-file global\n\n",
            socket.display(),
            states.display()
        );
        for backend in backends {
            let _ = writeln!(text, "{}", backend.section());
        }
        let configuration = directory.join("haproxy.cfg");
        std::fs::write(&configuration, text).unwrap();
        // There is no state to load the first time; without the file HAProxy warns and continues.
        let _ = std::fs::remove_file(&states);
        let process = Self::launch(scratch, &configuration, &[]);
        let mut haproxy = Self {
            process,
            directory,
            configuration,
            socket,
        };
        haproxy.wait_until_it_answers();
        haproxy
    }

    fn launch(scratch: &Scratch, configuration: &PathBuf, more: &[String]) -> Running {
        let mut command = Command::new(binary());
        command.arg("-db").arg("-f").arg(configuration).args(more);
        Running::start(scratch, "haproxy", &mut command)
    }

    fn wait_until_it_answers(&mut self) {
        let pid = format!("Pid: {}\n", self.process.pid());
        wait_until("HAProxy to answer on its socket", || {
            assert!(
                self.process.is_running(),
                "HAProxy ended:\n{}",
                self.process.log()
            );
            // After a reload the old process may answer for a moment.
            self.try_query("show info")
                .is_ok_and(|info| info.contains(&pid))
        });
    }

    /// Starts a new process that takes over from this one, as `systemctl reload haproxy` does; the new
    /// one loads the servers' states only where they are saved first.
    ///
    /// # Panics
    /// Where the old process does not end.
    pub fn reload(&mut self, scratch: &Scratch, save_states: bool) {
        let states = self.directory.join("servers.state");
        if save_states {
            std::fs::write(&states, self.query("show servers state")).unwrap();
        } else {
            let _ = std::fs::remove_file(&states);
        }
        let more = ["-sf".to_owned(), self.process.pid().to_string()];
        let new = Self::launch(scratch, &self.configuration, &more);
        let mut old = std::mem::replace(&mut self.process, new);
        self.wait_until_it_answers();
        old.wait_for_exit();
    }

    /// Ends it as a service manager does.
    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.wait_for_exit();
    }

    /// What it has logged: lines of health and agent checks among others.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Its version, as two numbers.
    ///
    /// # Panics
    /// Where `haproxy -v` prints none.
    #[must_use]
    pub fn version() -> (u32, u32) {
        let (major, minor, _) = Self::release();
        (major, minor)
    }

    /// Its version, as three numbers; the third one is 0 for a development version.
    ///
    /// # Panics
    /// `haproxy -v` prints no version.
    #[must_use]
    pub fn release() -> (u32, u32, u32) {
        static VERSION: OnceLock<(u32, u32, u32)> = OnceLock::new();
        *VERSION.get_or_init(|| {
            let text = crate::processes::run(Command::new(binary()).arg("-v"));
            let number = text.split_ascii_whitespace().nth(2).expect("a version");
            let mut parts = number.split(['.', '-']).map(|part| part.parse().ok());
            match (parts.next().flatten(), parts.next().flatten()) {
                (Some(major), Some(minor)) => (major, minor, parts.next().flatten().unwrap_or(0)),
                _ => panic!("no version in {text:?}"),
            }
        })
    }

    /// Whether the tables of the stats socket have the result of the agent check: those of 2.4.0 to 2.4.2 do not.
    #[must_use]
    pub fn shows_agent_results() -> bool {
        !((2, 4, 0)..=(2, 4, 2)).contains(&Self::release())
    }

    /// Whether an agent's `up` overrides failed health checks (#1176).
    #[must_use]
    pub fn up_overrides_checks() -> bool {
        let release = Self::release();
        ((2, 2, 0)..=(2, 2, 10)).contains(&release) || ((2, 3, 0)..=(2, 3, 6)).contains(&release)
    }

    /// Whether an agent's health begins at 0: a server that fails before its agent has sent `up` stays down. So do
    /// 3.3 and 3.4; of these, 3.3.12 and 3.4.2 and later were not tried.
    #[must_use]
    pub fn agent_health_begins_at_zero() -> bool {
        ((3, 3)..=(3, 4)).contains(&Self::version())
    }

    fn try_query(&self, command: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        writeln!(stream, "{command}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The answer to one command on the stats socket.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn query(&self, command: &str) -> String {
        self.try_query(command)
            .unwrap_or_else(|error| panic!("{command:?}: {error}\n{}", self.log()))
    }

    /// Carries out one command of an operator, such as `set server web/one state maint`.
    ///
    /// # Panics
    /// Where `HAProxy` prints anything.
    pub fn run(&self, command: &str) {
        let answer = self.query(command);
        assert_eq!(answer.trim(), "", "{command:?}");
    }

    /// All servers, as the stats socket shows them.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerState> {
        ServerState::all(&self.query("show servers state"), &self.query("show stat"))
    }

    /// One server.
    ///
    /// # Panics
    /// Where there is none of that name.
    #[must_use]
    pub fn server(&self, backend: &str, server: &str) -> ServerState {
        let states = self.query(&format!("show servers state {backend}"));
        let statistics = self.query(&format!("show stat {backend} 4 -1"));
        ServerState::all(&states, &statistics)
            .into_iter()
            .find(|seen| seen.server == server)
            .unwrap_or_else(|| panic!("no server {backend}/{server}"))
    }

    /// One server, at a moment when no exchange with its agent is under way: `HAProxy` clears the reply when it
    /// probes again.
    #[must_use]
    pub fn server_at_rest(&self, backend: &str, server: &str) -> ServerState {
        self.wait_for_server(backend, server, "a moment between two exchanges", |seen| {
            !seen.agent_asked
        })
    }

    /// Waits until `wanted` is true of a server, and returns its state.
    pub fn wait_for_server(
        &self,
        backend: &str,
        server: &str,
        what: &str,
        wanted: impl Fn(&ServerState) -> bool,
    ) -> ServerState {
        wait_for(format_args!("{backend}/{server}: {what}"), || {
            let seen = self.server(backend, server);
            if wanted(&seen) {
                Ok(seen)
            } else {
                Err(format!("{seen:?}"))
            }
        })
    }
}
