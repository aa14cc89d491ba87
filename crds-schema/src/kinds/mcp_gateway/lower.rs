//! An `McpGateway` lowers to nothing: it is the controller itself that listens, or a process that somebody else starts.

use super::spec::McpGateway;
use crate::object::Metadata;
use crate::primitive::{Lowered, Primitive};

impl McpGateway {
    pub(crate) fn lower(&self, _metadata: &Metadata) -> Lowered {
        Lowered { primitive: Primitive::Nothing, suspend: self.suspend, depends_on: Vec::new() }
    }
}
