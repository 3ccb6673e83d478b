//! Two services with an application each, and their servers on a balancer: `web` leaves the administrative state to
//! operators, and `owned` manages it.

use crate::address::Block;
use crate::application::Application;
use crate::collector::Herald;
use crate::haproxy::Server;
use std::net::SocketAddr;

/// The applications.
#[derive(Debug)]
pub struct Farm {
    /// The application of the service `web`.
    pub web: Application,
    /// The application of the service `owned`.
    pub owned: Application,
    /// Takes the sessions and the health checks, which always succeed.
    site: Application,
    block: Block,
}

impl Farm {
    /// Starts all, idle.
    #[must_use]
    pub fn start() -> Self {
        let block = Block::claim();
        Self {
            web: Application::start(block.address(8081), 0),
            owned: Application::start(block.address(8081), 0),
            site: Application::start(block.address(8080), 0),
            block,
        }
    }

    /// An address for an agent.
    #[must_use]
    pub fn agent(&self) -> SocketAddr {
        self.block.agent()
    }

    /// Both services: `web`, then `owned`.
    #[must_use]
    pub fn services(&self) -> [Herald; 2] {
        [
            Herald::new("web", &self.web.url()),
            Herald {
                administration: "manage",
                ..Herald::new("owned", &self.owned.url())
            },
        ]
    }

    /// Server lines, each a name and a service that `agent` replies for.
    #[must_use]
    pub fn servers(&self, agent: SocketAddr, lines: &[(&str, &str)]) -> Vec<Server> {
        let line = |(name, service): &(&str, &str)| {
            Server::new(name, self.site.address(), agent)
                .sending(&format!("{service}\\n"))
                .checked()
        };
        lines.iter().map(line).collect()
    }
}
