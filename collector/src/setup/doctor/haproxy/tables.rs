//! `show info`, `show stat` and `show servers state`, read by the names in their headers, since columns move
//! from version to version.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Bit of the administrative state: forced maintenance.
pub const MAINT: u32 = 1;

/// Bit of the administrative state: forced drain.
pub const DRAIN: u32 = 8;

/// Bits of the agent's state: there is an agent-check, it is switched on, it is paused.
const CONFIGURED: u32 = 2;
const ENABLED: u32 = 4;
const PAUSED: u32 = 8;

/// All that is looked at of a balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancer {
    /// Its version, as it shows it.
    pub version: Option<String>,
    /// Balance algorithms by backend, where they are shown.
    pub algorithms: BTreeMap<String, String>,
    /// Its servers.
    pub servers: Vec<Server>,
}

/// One server line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// Where sessions go.
    pub address: String,
    /// Where the agent is, if that is said apart.
    pub agent_address: Option<String>,
    /// 0 stopped, 1 starting, 2 running, 3 soft-stopping.
    pub operational: u32,
    /// A mask; see [`MAINT`] and [`DRAIN`].
    pub administrative: u32,
    /// The weight that it has now.
    pub weight: u16,
    /// The weight that is configured.
    pub configured: u16,
    /// A mask of the agent-check's own state.
    pub agent_state: u32,
    /// `UP`, `DOWN (agent)`, `MAINT` and so on.
    pub status: String,
    /// How the last exchange with the agent ended, such as `L7OK`.
    pub agent_status: String,
    /// Whether an exchange is under way, so that what it ended with is not shown.
    pub asked_now: bool,
    /// What the agent said, or what was wrong.
    pub agent_text: String,
    /// How the last health check ended.
    pub check_status: String,
}

impl fmt::Display for Server {
    /// As the stats socket's commands name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.name)
    }
}

impl Server {
    /// Where its agent is asked.
    #[must_use]
    pub fn agent_host(&self) -> &str {
        self.agent_address.as_deref().unwrap_or(&self.address)
    }

    /// Whether its line has an agent-check.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        self.agent_state & CONFIGURED != 0
    }

    /// Whether its agent is being asked.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.has_agent() && self.agent_state & (ENABLED | PAUSED) == ENABLED
    }

    /// Whether it is in a drain or maintenance that was set on it.
    #[must_use]
    pub fn forced(&self) -> bool {
        self.administrative & (MAINT | DRAIN) != 0
    }
}

impl Balancer {
    /// What the answers to `show info`, `show stat` and `show servers state` tell.
    #[must_use]
    pub fn read(info: &str, statistics: &str, states: &str) -> Self {
        let version = info.lines().find_map(|line| line.strip_prefix("Version: "));
        let rows = rows(statistics);
        let algorithms = rows
            .iter()
            .filter(|((_, name), _)| name == "BACKEND")
            .filter_map(|((backend, _), row)| {
                let algorithm = row.get("algo").filter(|algorithm| !algorithm.is_empty())?;
                Some((backend.clone(), algorithm.clone()))
            })
            .collect();
        Self {
            version: version.map(|version| version.trim().to_owned()),
            algorithms,
            servers: servers(states, &rows),
        }
    }

    /// Whether an exchange with an agent is under way for any server.
    #[must_use]
    pub fn asks_now(&self) -> bool {
        self.servers.iter().any(|server| server.asked_now)
    }

    /// Takes over, for servers that were in an exchange, what another look saw at rest.
    pub fn take_at_rest(&mut self, other: &Self) {
        for server in self.servers.iter_mut().filter(|server| server.asked_now) {
            let same = |one: &&Server| one.backend == server.backend && one.name == server.name;
            if let Some(seen) = other.servers.iter().find(same) {
                *server = seen.clone();
            }
        }
    }
}

fn servers(states: &str, rows: &Rows) -> Vec<Server> {
    let mut lines = states.lines();
    let Some(header) = lines.find_map(|line| line.strip_prefix("# ")) else {
        return Vec::new();
    };
    let names: Vec<&str> = header.split_ascii_whitespace().collect();
    let server = |line: &str| {
        let state: HashMap<&str, &str> = names
            .iter()
            .copied()
            .zip(line.split_ascii_whitespace())
            .collect();
        let number = |name: &str| state.get(name)?.parse::<u32>().ok();
        let weight = |name: &str| u16::try_from(number(name)?).ok();
        let text = |name: &str| state.get(name).map(|text| (*text).to_owned());
        let (backend, name) = (text("be_name")?, text("srv_name")?);
        let row = rows.get(&(backend.clone(), name.clone()));
        let shown = |column: &str| {
            let value = row.and_then(|row| row.get(column));
            value.cloned().unwrap_or_default()
        };
        let agent_status = shown("agent_status");
        Some(Server {
            address: text("srv_addr")?,
            agent_address: text("srv_agent_addr").filter(|address| address != "-"),
            operational: number("srv_op_state")?,
            administrative: number("srv_admin_state")?,
            weight: weight("srv_uweight")?,
            configured: weight("srv_iweight")?,
            agent_state: number("srv_agent_state")?,
            status: shown("status"),
            asked_now: agent_status.starts_with("* "),
            agent_status: agent_status.trim_start_matches("* ").to_owned(),
            agent_text: shown("last_agt"),
            check_status: shown("check_status").trim_start_matches("* ").to_owned(),
            backend,
            name,
        })
    };
    lines.filter_map(server).collect()
}

type Rows = HashMap<(String, String), HashMap<String, String>>;

fn rows(table: &str) -> Rows {
    let mut lines = table.lines();
    let Some(header) = lines.find_map(|line| line.strip_prefix("# ")) else {
        return Rows::new();
    };
    let names = values(header);
    lines
        .filter_map(|line| {
            let row: HashMap<_, _> = names.iter().cloned().zip(values(line)).collect();
            let key = (row.get("pxname")?.clone(), row.get("svname")?.clone());
            Some((key, row))
        })
        .collect()
}

/// The fields of a line of CSV; a field in quotes may hold commas, and quotes as two quotes.
fn values(line: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                value.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value)),
            other => value.push(other),
        }
    }
    values.push(value);
    values
}
