//! The actions of Herald's configuration: what each does in HAProxy, and the lists that contain them.

use crate::config::diagnostics::Diagnostic;
use crate::setup::import::document::{Findings, Node, Table, Value};
use crate::setup::import::service::ImportedReply;
use agentcheck_common::Reply;
use agentcheck_common::reply::{AdministrativeState, OperationalState};

/// What an action of Herald's configuration does in HAProxy.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// It changes nothing.
    Nothing,
    /// The server takes traffic. Whether the line contains `ready`, and the line.
    Healthy(bool, String),
    /// The server takes no traffic: `drain`, `down` or `maint`.
    Out(&'static str),
    /// Another line, to be sent as it is.
    Line(String),
    /// HAProxy does not understand it; the reason.
    Unknown(String),
}

impl Action {
    pub(super) fn of(text: &str) -> Self {
        let text = text.trim();
        if text == "noop" {
            return Self::Nothing;
        }
        let reply = match Reply::parse(text.as_bytes()) {
            Ok(reply) => reply,
            Err(error) => return Self::Unknown(format!("HAProxy does not understand it: {error}")),
        };
        let plain = reply.maxconn.is_none() && reply.description.is_empty();
        match (reply.administrative, reply.operational, reply.percent) {
            _ if reply.has_no_words() => Self::Nothing,
            _ if !plain => Self::Line(text.to_owned()),
            (Some(AdministrativeState::Maint), _, _) => Self::Out("maint"),
            (Some(AdministrativeState::Drain), _, _) => Self::Out("drain"),
            (
                _,
                Some(OperationalState::Down | OperationalState::Stopped | OperationalState::Fail),
                _,
            ) => Self::Out("down"),
            // A weight alone does not bring a server back.
            (None, None, Some(_)) => {
                let up = Some(OperationalState::Up);
                Self::Line(
                    Reply {
                        operational: up,
                        ..reply
                    }
                    .to_string(),
                )
            }
            (_, _, Some(_)) => Self::Line(text.to_owned()),
            (ready, _, None) => Self::Healthy(ready.is_some(), text.to_owned()),
        }
    }

    /// Whether it contains `ready`.
    pub(super) fn ready(&self) -> bool {
        match self {
            Self::Healthy(ready, _) => *ready,
            Self::Line(line) => Reply::parse(line.as_bytes())
                .is_ok_and(|reply| reply.administrative == Some(AdministrativeState::Ready)),
            Self::Nothing | Self::Out(_) | Self::Unknown(_) => false,
        }
    }

    /// The reply for `on_stale`; `None` where it changes nothing.
    pub(super) fn reply(&self) -> Option<ImportedReply> {
        match self {
            Self::Nothing | Self::Unknown(_) => None,
            Self::Out(word) => Some(ImportedReply::State(word)),
            Self::Healthy(_, line) | Self::Line(line) => Some(ImportedReply::Raw(line.clone())),
        }
    }

    /// The reply for a rule, which describes the whole state, or keeps the last reply.
    pub(super) fn rule_reply(&self) -> ImportedReply {
        match self {
            Self::Healthy(..) => ImportedReply::State("full"),
            other => other.reply().unwrap_or(ImportedReply::State("keep")),
        }
    }
}

/// One element of a list: an action, and the pattern or threshold for it.
pub(super) struct Element<'n> {
    pub(super) action: &'n str,
    pub(super) value: &'n str,
    pub(super) node: &'n Node,
    /// Further keys of the element.
    pub(super) more: Vec<(&'n str, &'n Node)>,
}

/// The elements of `patterns` or `thresholds`.
pub(super) fn list<'n>(
    table: &mut Table<'n>,
    key: &str,
    findings: &mut Findings,
) -> Vec<Element<'n>> {
    let Some(node) = table.take(key) else {
        return Vec::new();
    };
    let nodes = match &node.value {
        Value::List(nodes) => nodes,
        Value::Null => return Vec::new(),
        _ => {
            findings.push(
                Diagnostic::error(node.span.clone(), format!("{key} is not a list"))
                    .remedy("begin each element with -, as in - down: 0"),
            );
            return Vec::new();
        }
    };
    let element = |node: &'n Node| {
        let Value::Map(entries) = &node.value else {
            return None;
        };
        let pct = entries.iter().position(|entry| entry.key == "pct");
        let first = pct.unwrap_or(0);
        let main = entries.get(first)?;
        let others = entries.iter().enumerate().filter(|(at, _)| *at != first);
        Some(Element {
            action: &main.key,
            value: main.node.scalar()?,
            node: &main.node,
            more: others
                .map(|(_, entry)| (entry.key.as_str(), &entry.node))
                .collect(),
        })
    };
    let mut elements = Vec::new();
    for node in nodes {
        match element(node) {
            Some(element) => elements.push(element),
            None => findings.push(
                Diagnostic::error(
                    node.span.clone(),
                    format!("this is not an element of {key}"),
                )
                .remedy("write an action and its condition, as in - drain: '>7000'"),
            ),
        }
    }
    elements
}
