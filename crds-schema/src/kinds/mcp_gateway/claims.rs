//! What an `McpGateway` claims: the port that it listens at.

use super::spec::McpGateway;
use crate::claim::{Claim, Claimed};
use crate::object::Metadata;
use crate::primitive::{HostPort, Protocol};

impl McpGateway {
    pub(crate) fn claims(&self, _metadata: &Metadata) -> Vec<Claim> {
        let claim = |address: std::net::SocketAddr| Claim {
            field: if self.listen.is_some() { "spec.listen" } else { "spec" }.to_owned(),
            what: Claimed::HostPort(HostPort { ip: address.ip(), port: address.port() }, Protocol::Tcp),
        };
        self.listen_address().map(claim).into_iter().collect()
    }
}
