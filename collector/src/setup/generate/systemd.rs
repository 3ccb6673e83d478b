//! For systemd: a drop-in for the shipped socket where services share a port. Each service with a port of its own
//! gets a socket, and one template of the shipped accept loop serves them.

use super::{File, Plan, Port, at};
use std::fmt::Write as _;

const SERVICE: &str = include_str!("../../../../systemd/agentcheck.service");
const SOCKET: &str = include_str!("../../../../systemd/agentcheck.socket");

pub(super) fn files(plan: &Plan<'_>) -> Vec<File> {
    let mut files = Vec::new();
    for port in plan.ports.iter().filter(|port| port.shared) {
        files.push(listening(plan, port));
        if plan.state_dir.is_some() || plan.http {
            let start = format!("{} {}", plan.responder, plan.arguments(port, ""));
            files.push(File {
                path: "agentcheck.service.d/arguments.conf".to_owned(),
                text: format!("[Service]\nExecStart=\nExecStart={start} --idle off\n"),
            });
        }
    }
    let mut own = plan.ports.iter().filter(|port| !port.shared).peekable();
    if let Some(first) = own.peek() {
        files.push(template(plan, first));
    }
    files.extend(own.flat_map(|port| socket(plan, port)));
    files
}

/// Where the shipped socket listens.
fn listening(plan: &Plan<'_>, port: &Port<'_>) -> File {
    let mut text = format!(
        "# One port for all services without a port of their own: HAProxy names the service.\n{}\
         # Then: systemctl daemon-reload && systemctl enable --now agentcheck.socket\n\
         # (systemctl restart agentcheck.socket if it is running.)\n[Socket]\n\
         # Replaces the packaged addresses; the packaged limits and access list stay.\nListenStream=\n",
        plan.server_lines(port)
    );
    streams(&mut text, plan, port);
    if !plan.allow.is_empty() {
        let _ = writeln!(text, "IPAddressAllow={}", allowed(plan));
    }
    File {
        path: "agentcheck.socket.d/listen.conf".to_owned(),
        text,
    }
}

fn streams(text: &mut String, plan: &Plan<'_>, port: &Port<'_>) {
    for address in &plan.addresses {
        let _ = writeln!(text, "ListenStream={}", at(*address, port.number));
    }
}

/// The access list, for one line.
fn allowed(plan: &Plan<'_>) -> String {
    let allowed: Vec<String> = plan.allow.iter().map(ToString::to_string).collect();
    allowed.join(" ")
}

/// The shipped accept loop as a template; the instance is the service.
fn template(plan: &Plan<'_>, port: &Port<'_>) -> File {
    let start = format!(
        "ExecStart={} {} --idle off\n",
        plan.responder,
        plan.arguments(port, "%i")
    );
    let mut text = String::from(
        "# agentcheck.service for one service that has its own port. The socket of the same name starts it.\n\n",
    );
    for line in settings(SERVICE) {
        match line.split_once('=') {
            Some(("Description", _)) => text.push_str("Description=agentcheck replies for %i\n"),
            Some(("Requires", _)) => text.push_str("Requires=agentcheck@%i.socket\n"),
            Some(("ExecStart", _)) => text.push_str(&start),
            Some(("Group", _)) => {
                text.push_str(line);
                text.push_str(
                    "\n# By default, instances share a slice of their own, and CPUWeight= counts within that slice.\n\
                     Slice=system.slice\n",
                );
            }
            Some(("Also", _)) => text.push_str("Also=agentcheck@%i.socket\n"),
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    File {
        path: "agentcheck@.service".to_owned(),
        text,
    }
}

/// The shipped socket, for one service.
fn socket(plan: &Plan<'_>, port: &Port<'_>) -> Option<File> {
    let name = port.services.first()?;
    let unit = format!("agentcheck@{name}.socket");
    let mut text = format!(
        "{}# Then: systemctl daemon-reload && systemctl enable --now {unit}\n\n",
        plan.server_lines(port)
    );
    let mut listens = false;
    for line in settings(SOCKET) {
        match line.split_once('=') {
            Some(("Description", _)) => {
                let _ = writeln!(text, "Description=agentcheck replies for {name}");
            }
            // This socket has a port of its own.
            Some(("Conflicts", _)) => {}
            Some(("ListenStream", _)) if listens => {}
            Some(("ListenStream", _)) => {
                streams(&mut text, plan, port);
                listens = true;
            }
            Some(("IPAddressAllow", shipped)) => {
                let _ = write!(text, "IPAddressAllow={shipped}");
                for allowed in &plan.allow {
                    let _ = write!(text, " {allowed}");
                }
                text.push('\n');
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Some(File { path: unit, text })
}

/// A shipped unit without its comments, which describe the unit as shipped.
fn settings(unit: &str) -> impl Iterator<Item = &str> {
    let mut last_was_empty = true;
    unit.lines().filter(move |line| {
        let comment = line.starts_with('#');
        let doubled = line.is_empty() && last_was_empty;
        if !comment {
            last_was_empty = line.is_empty();
        }
        !comment && !doubled
    })
}
