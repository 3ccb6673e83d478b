//! For xinetd: one file for all services. xinetd reads no file with a dot in its name, and a service may have a
//! dot in its name.

use super::{Allowed, File, Plan, Port};
use std::fmt::Write as _;
use std::net::IpAddr;

const SHIPPED: &str = include_str!("../../../../xinetd/agentcheck");

pub(super) fn file(plan: &Plan<'_>) -> File {
    let mut text = String::from(
        "# Then: systemctl reload xinetd, or SIGHUP. If xinetd cannot find the server or the user, it logs one line and\n\
         # switches the service off: try each port.\n",
    );
    for port in &plan.ports {
        text.push('\n');
        text.push_str(&plan.server_lines(port));
        for (number, address) in plan.addresses.iter().enumerate() {
            entry(&mut text, plan, port, *address, number);
        }
    }
    File {
        path: "agentcheck".to_owned(),
        text,
    }
}

/// The shipped entry, for one port at one address.
fn entry(text: &mut String, plan: &Plan<'_>, port: &Port<'_>, address: IpAddr, number: usize) {
    let own = port.services.first().map(ToString::to_string);
    let own = own.unwrap_or_default();
    let name = match port.shared {
        true => "agentcheck".to_owned(),
        false => format!("agentcheck-{own}"),
    };
    let arguments = plan.arguments(port, &own);
    for line in SHIPPED.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            // The header of the entry, and its braces.
            match line.starts_with("service ") {
                true => {
                    let _ = writeln!(text, "service {name}");
                }
                false => {
                    let _ = writeln!(text, "{line}");
                }
            }
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let value = match key {
            "port" => port.number.to_string(),
            "server" => plan.responder.clone(),
            "server_args" => arguments.clone(),
            "bind" => address.to_string(),
            "only_from" => only_from(plan, address),
            _ => value.to_owned(),
        };
        let _ = writeln!(text, "{}", format!("\t{key:<15} = {value}").trim_end());
        if key == "type" {
            // Two entries with one name need two ids.
            let _ = writeln!(text, "\t{:<15} = {name}-{number}", "id");
            if address.is_ipv6() {
                let _ = writeln!(text, "\t{:<15} = IPv6", "flags");
            }
        }
    }
}

/// This host and the allowed clients, of the address's own family.
fn only_from(plan: &Plan<'_>, address: IpAddr) -> String {
    let here = if address.is_ipv4() {
        "127.0.0.1"
    } else {
        "::1"
    };
    let same = |allowed: &&Allowed| allowed.address.is_ipv4() == address.is_ipv4();
    let mut list = here.to_owned();
    for allowed in plan.allow.iter().filter(same) {
        let _ = write!(list, " {allowed}");
    }
    list
}
