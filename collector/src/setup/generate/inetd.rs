//! For openbsd-inetd: lines of `inetd.conf`.

use super::{File, Plan, at};
use std::fmt::Write as _;

pub(super) fn lines(plan: &Plan<'_>) -> File {
    let mut text = String::from(
        "# Add to inetd.conf of openbsd-inetd; then: systemctl reload inetd, or SIGHUP. Without the number after\n\
         # nowait, inetd answers 256 probes a minute.\n",
    );
    if plan.addresses.iter().any(|address| !address.is_loopback()) {
        let allowed: Vec<String> = plan.allow.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "# inetd has no access list: let the packet filter accept only {}.",
            allowed.join(" ")
        );
    }
    for port in &plan.ports {
        text.push_str(&plan.server_lines(port));
        let own = port.services.first().map(ToString::to_string);
        let arguments = plan.arguments(port, &own.unwrap_or_default());
        for address in &plan.addresses {
            let at = at(*address, port.number);
            let family = if address.is_ipv4() { "tcp" } else { "tcp6" };
            let program = &plan.responder;
            let _ = writeln!(
                text,
                "{at} stream {family} nowait.100000 nobody {program} agentcheck-responder {arguments}"
            );
        }
    }
    File {
        path: String::new(),
        text,
    }
}
