//! For HAProxy: a backend with server lines for each service.

use super::{File, Plan};
use crate::setup::server_line::ServerLine;
use std::fmt::Write as _;
use std::net::IpAddr;

pub(super) fn backends(plan: &Plan<'_>) -> File {
    let mut text = String::from(
        "# Add to haproxy.cfg: a backend for each service. Replace PORT with the port of your application, and add a server\n\
         # line for each host that runs agentcheck. In an existing backend, add the options to its server lines.\n\
         # Then: haproxy -c -f /etc/haproxy/haproxy.cfg && systemctl reload haproxy; agentcheck doctor --haproxy SOCKET\n",
    );
    for port in &plan.ports {
        for service in &port.services {
            let line = ServerLine {
                service,
                agent_port: port.number,
                sends_name: port.shared || plan.http,
            };
            let _ = write!(
                text,
                "\nbackend {service}\n    balance roundrobin\n    # HAProxy scales weight 100 by the percentage of the reply. Some releases of 3.3 and 3.4 need default-server.\n    \
                 default-server {}\n",
                line.options()
            );
            for (index, host) in hosts(plan).iter().enumerate() {
                let _ = writeln!(text, "    server {service}-{} {host}:PORT", index + 1);
            }
        }
    }
    File {
        path: String::new(),
        text,
    }
}

/// The addresses by which HAProxy reaches the servers, as a server line has them.
fn hosts(plan: &Plan<'_>) -> Vec<String> {
    let remote = plan
        .addresses
        .iter()
        .filter(|address| !address.is_unspecified());
    let hosts: Vec<String> = remote
        .map(|address| match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        })
        .collect();
    match hosts.is_empty() {
        true => vec!["ADDRESS".to_owned()],
        false => hosts,
    }
}
