//! Reads `show info`, `show stat` and `show servers state` by the names in their headers, because columns move from
//! version to version.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Bits of the administrative state: maintenance and drain, set by a command or by an agent.
pub const MAINT: u32 = 1;
/// See [`MAINT`].
pub const DRAIN: u32 = 8;
/// Bit of the administrative state: `disabled` in haproxy.cfg.
pub const DISABLED: u32 = 4;
/// Bits of the administrative state: maintenance and drain of the server that this one tracks.
const INHERITED: u32 = 2 | 16;

/// Bits of the agent's state: it is configured, enabled, paused.
const CONFIGURED: u32 = 2;
const ENABLED: u32 = 4;
const PAUSED: u32 = 8;

/// What HAProxy reports of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancer {
    /// Its version, as text.
    pub version: Option<String>,
    /// The number of its process, in the namespace that it runs in.
    pub pid: Option<u32>,
    /// Balance algorithms by backend, where HAProxy shows them.
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
    /// The address of its sessions.
    pub address: String,
    /// The agent's address, where it is not the server's.
    pub agent_address: Option<String>,
    /// The agent's port, where HAProxy shows it (2.4 and later).
    pub agent_port: Option<u16>,
    /// The port of the health checks, where HAProxy shows it (2.4 and later).
    pub check_port: Option<u16>,
    /// 0 stopped, 1 starting, 2 running, 3 soft-stopping.
    pub operational: u32,
    /// A mask; see [`MAINT`], [`DRAIN`] and [`DISABLED`].
    pub administrative: u32,
    /// The current weight.
    pub weight: u16,
    /// The configured weight.
    pub configured_weight: u16,
    /// A mask of the agent check's own state.
    pub agent_state: u32,
    /// `UP`, `DOWN (agent)`, `MAINT` and so on.
    pub status: String,
    /// How the last exchange with the agent ended, such as `L7OK`; empty where HAProxy does not show it.
    pub agent_status: String,
    /// Whether an exchange is under way, so that the last one's result is hidden.
    pub in_exchange: bool,
    /// The agent's text, or its fault.
    pub agent_text: String,
    /// How the last health check ended.
    pub check_status: String,
    /// The server that this one tracks, as `BACKEND/SERVER`.
    pub tracks: Option<String>,
}

/// As the commands of the stats socket name it.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.backend, self.name)
    }
}

impl Server {
    /// The address that HAProxy asks the agent at.
    #[must_use]
    pub fn agent_host(&self) -> &str {
        self.agent_address.as_deref().unwrap_or(&self.address)
    }

    /// Whether its line has an agent-check.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        self.agent_state & CONFIGURED != 0
    }

    /// Whether HAProxy asks its agent.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.has_agent() && self.agent_state & (ENABLED | PAUSED) == ENABLED
    }

    /// Whether a command or an agent has set drain or maintenance.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.administrative & (MAINT | DRAIN) != 0
    }

    /// Whether the state comes from another server.
    #[must_use]
    pub fn is_inherited(&self) -> bool {
        self.tracks.is_some() || self.administrative & INHERITED != 0
    }
}

impl Balancer {
    /// Reads the output of `show info`, `show stat` and `show servers state`.
    #[must_use]
    pub fn read(info: &str, statistics: &str, states: &str) -> Self {
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
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
            version: field("Version: ").map(|version| version.trim().to_owned()),
            pid: field("Pid: ").and_then(|pid| pid.trim().parse().ok()),
            algorithms,
            servers: servers(states, &rows),
        }
    }

    /// Whether an exchange with an agent is under way for any server.
    #[must_use]
    pub fn is_in_exchange(&self) -> bool {
        self.servers.iter().any(|server| server.in_exchange)
    }

    /// Replaces servers that were in an exchange by what `later` shows.
    pub fn replace_in_exchange(&mut self, later: &Self) {
        for server in self.servers.iter_mut().filter(|server| server.in_exchange) {
            let same = |one: &&Server| one.backend == server.backend && one.name == server.name;
            if let Some(seen) = later.servers.iter().find(same) {
                *server = seen.clone();
            }
        }
    }
}

/// The columns of one line of `show servers state`: by blanks, or, where a backend's name contains blanks, by the names
/// that `show stat` has.
fn columns<'l>(line: &'l str, count: usize, rows: &'l Rows) -> Option<Vec<&'l str>> {
    let plain: Vec<&str> = line.split_ascii_whitespace().collect();
    if plain.len() <= count {
        return Some(plain);
    }
    let (number, rest) = line.trim_start().split_once(' ')?;
    rows.keys().find_map(|(backend, server)| {
        let after = rest.strip_prefix(backend.as_str())?.strip_prefix(' ')?;
        let (id, after) = after.split_once(' ')?;
        let after = after.strip_prefix(server.as_str())?.strip_prefix(' ')?;
        let mut columns = vec![number, backend, id, server];
        columns.extend(after.split_ascii_whitespace());
        (columns.len() <= count && id.parse::<u32>().is_ok()).then_some(columns)
    })
}

fn servers(states: &str, rows: &Rows) -> Vec<Server> {
    let mut lines = states.lines();
    let Some(header) = lines.find_map(|line| line.strip_prefix("# ")) else {
        return Vec::new();
    };
    let names: Vec<&str> = header.split_ascii_whitespace().collect();
    let server = |line: &str| {
        let columns = columns(line, names.len(), rows)?;
        let state: HashMap<&str, &str> = names.iter().copied().zip(columns).collect();
        let number = |name: &str| state.get(name)?.parse::<u32>().ok();
        let weight = |name: &str| u16::try_from(number(name)?).ok();
        let text = |name: &str| state.get(name).map(|text| (*text).to_owned());
        let (backend, name) = (text("be_name")?, text("srv_name")?);
        let row = rows.get(&(backend.clone(), name.clone()));
        let cell = |column: &str| {
            let value = row.and_then(|row| row.get(column));
            value.cloned().unwrap_or_default()
        };
        let agent_status = cell("agent_status");
        let port = |name: &str| {
            let port = u16::try_from(number(name)?).ok();
            port.filter(|port| *port > 0)
        };
        Some(Server {
            address: text("srv_addr")?,
            agent_address: text("srv_agent_addr").filter(|address| address != "-"),
            agent_port: port("srv_agent_port"),
            check_port: port("srv_check_port"),
            operational: number("srv_op_state")?,
            administrative: number("srv_admin_state")?,
            weight: weight("srv_uweight")?,
            configured_weight: weight("srv_iweight")?,
            agent_state: number("srv_agent_state")?,
            status: cell("status"),
            in_exchange: agent_status.starts_with("* "),
            agent_status: agent_status.trim_start_matches("* ").to_owned(),
            agent_text: cell("last_agt"),
            check_status: cell("check_status").trim_start_matches("* ").to_owned(),
            tracks: Some(cell("tracked")).filter(|tracked| !tracked.is_empty()),
            backend,
            name,
        })
    };
    lines.filter_map(server).collect()
}

type Rows = HashMap<(String, String), HashMap<String, String>>;

fn rows(table: &str) -> Rows {
    let header = table.lines().position(|line| line.starts_with("# "));
    let lines = table
        .split_inclusive('\n')
        .skip(header.unwrap_or(usize::MAX));
    let table: String = lines.collect();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(table.trim_start_matches("# ").as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let row = |values: csv::StringRecord| {
        let cells = names.iter().zip(&values);
        let row: HashMap<_, _> = cells
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let key = (row.get("pxname")?.clone(), row.get("svname")?.clone());
        Some((key, row))
    };
    reader.records().flatten().filter_map(row).collect()
}
