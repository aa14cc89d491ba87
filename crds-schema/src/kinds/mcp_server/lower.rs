//! An `McpServer` lowers to a set of hardened containers, or, where it runs elsewhere, to nothing.

use super::spec::{McpServer, McpTransport};
use crate::object::Metadata;
use crate::primitive::{Lowered, Primitive, Readiness};

impl McpServer {
    pub(crate) fn lower(&self, metadata: &Metadata) -> Lowered {
        if self.image.is_none() {
            return Lowered { primitive: Primitive::Nothing, suspend: self.suspend, depends_on: Vec::new() };
        }
        let mut lowered = self.to_deployment(metadata).lower(metadata);
        if let Primitive::Containers(set) = &mut lowered.primitive {
            set.readiness = Readiness::Probed;
            set.template.open_stdin = self.transport() == McpTransport::Stdio;
        }
        lowered
    }
}
