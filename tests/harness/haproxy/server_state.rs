//! A server as `show servers state` and `show stat` show it, found by the names in their headers, since
//! columns move from version to version.

use std::collections::HashMap;

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// Its backend.
    pub backend: String,
    /// Its name.
    pub server: String,
    /// 0 stopped, 1 starting, 2 running, 3 soft-stopping.
    pub operational: u8,
    /// A mask: 1 forced maintenance, 8 forced drain; others are inherited or from the configuration.
    pub administrative: u8,
    /// The weight that it has now.
    pub weight: u16,
    /// The weight that is configured.
    pub configured_weight: u16,
    /// `UP`, `DOWN (agent)`, `MAINT`, `DRAIN` and so on.
    pub status: String,
    /// Such as `L7OK`: how the last exchange with the agent ended.
    pub agent_status: String,
    /// Whether an exchange with the agent is under way just now.
    pub agent_asked: bool,
    /// The reply of the agent, or the error; empty while an exchange is under way.
    pub agent_text: String,
    /// How long the last exchange took, in milliseconds.
    pub agent_duration: Option<u64>,
    /// The limit of concurrent sessions; `None` for no limit.
    pub session_limit: Option<u32>,
    /// All sessions so far.
    pub sessions: u64,
}

impl ServerState {
    /// Whether the last exchange with the agent ended so. Where `HAProxy` does not show that, it counts as true.
    #[must_use]
    pub fn agent_ended(&self, status: &str) -> bool {
        self.agent_status == status || !super::Haproxy::shows_agent_results()
    }

    /// Whether the agent's text contains this. Where `HAProxy` does not show the text, it counts as true.
    #[must_use]
    pub fn agent_sent(&self, text: &str) -> bool {
        self.agent_text.contains(text) || !super::Haproxy::shows_agent_results()
    }

    /// Every server that both tables name.
    ///
    /// # Panics
    /// Where a table has not the form that `HAProxy` gives it.
    #[must_use]
    pub fn all(states: &str, statistics: &str) -> Vec<Self> {
        let statistics = statistics_by_server(statistics);
        let mut lines = states.lines();
        let header = lines
            .find_map(|line| line.strip_prefix("# "))
            .unwrap_or_else(|| panic!("no header in {states:?}"));
        let names: Vec<_> = header.split_ascii_whitespace().collect();
        lines
            .filter(|line| !line.trim().is_empty())
            .filter_map(|line| {
                let values = line.split_ascii_whitespace();
                let state: HashMap<_, _> = names.iter().copied().zip(values).collect();
                let key = (state["be_name"].to_owned(), state["srv_name"].to_owned());
                statistics.get(&key).map(|row| Self::one(&state, row))
            })
            .collect()
    }

    fn one(state: &HashMap<&str, &str>, row: &HashMap<String, String>) -> Self {
        let number = |name: &str| {
            let text = state[name];
            text.parse()
                .unwrap_or_else(|_| panic!("{name} is {text:?}"))
        };
        Self {
            backend: state["be_name"].to_owned(),
            server: state["srv_name"].to_owned(),
            operational: small(state["srv_op_state"]),
            administrative: small(state["srv_admin_state"]),
            weight: number("srv_uweight"),
            configured_weight: number("srv_iweight"),
            status: row["status"].clone(),
            agent_status: row["agent_status"].trim_start_matches("* ").to_owned(),
            agent_asked: row["agent_status"].starts_with("* "),
            agent_text: row["last_agt"].clone(),
            agent_duration: row["agent_duration"].parse().ok(),
            session_limit: row["slim"].parse().ok(),
            sessions: row["stot"].parse().unwrap_or_default(),
        }
    }
}

fn small(text: &str) -> u8 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is a state"))
}

type Rows = HashMap<(String, String), HashMap<String, String>>;

fn statistics_by_server(table: &str) -> Rows {
    let (_, table) = table
        .split_once("# ")
        .unwrap_or_else(|| panic!("no header in {table:?}"));
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(table.as_bytes());
    let rows = reader.deserialize::<HashMap<String, String>>();
    rows.map(|row| {
        let row = row.unwrap();
        ((row["pxname"].clone(), row["svname"].clone()), row)
    })
    .collect()
}
