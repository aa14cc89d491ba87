//! Where a candidate is, and how it names what is behind it.

use std::net::SocketAddr;

use crate::tool::Era;

/// How many servers are behind each candidate.
pub(crate) const SERVERS: usize = 15;
/// How many tools each has.
pub(crate) const TOOLS: usize = 10;

/// A candidate, to which clients of one era come.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// The era of its clients and of its servers.
    pub(crate) era: Era,
    /// How it is reached.
    pub(crate) way: Way,
    /// The token that it asks for.
    pub(crate) token: Option<String>,
}

/// How a candidate is reached.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// Each server has an address of its own.
    Direct(Vec<SocketAddr>),
    /// One address, each server under a path of its own, which begins with this.
    Hop(SocketAddr, &'static str),
    /// One address for all servers, and tools whose names begin with their server's and this.
    Gateway(SocketAddr, &'static str),
}

impl Place {
    /// The address to which requests for a server go.
    pub(crate) fn address(&self, server: usize) -> SocketAddr {
        match &self.way {
            Way::Direct(addresses) => addresses[server % addresses.len()],
            Way::Hop(address, _) | Way::Gateway(address, _) => *address,
        }
    }

    /// The path of requests for a server.
    pub(crate) fn path(&self, server: usize) -> String {
        match &self.way {
            Way::Direct(_) | Way::Gateway(..) => "/mcp".to_owned(),
            Way::Hop(_, prefix) => format!("{prefix}/{}/mcp", server_name(server % SERVERS)),
        }
    }

    /// The name of a server's first tool.
    pub(crate) fn tool(&self, server: usize) -> String {
        match &self.way {
            Way::Direct(_) | Way::Hop(..) => "tool_000".to_owned(),
            Way::Gateway(_, separator) => format!("{}{separator}tool_000", server_name(server % SERVERS)),
        }
    }
}

/// The name of a server.
pub(crate) fn server_name(server: usize) -> String {
    format!("s{server}")
}
