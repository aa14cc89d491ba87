//! What an `McpServer` claims: what its containers do.

use super::spec::McpServer;
use crate::claim::Claim;
use crate::object::Metadata;

impl McpServer {
    pub(crate) fn claims(&self, metadata: &Metadata) -> Vec<Claim> {
        if self.image.is_none() {
            return Vec::new();
        }
        let claims = self.to_deployment(metadata).claims(metadata);
        claims.into_iter().map(|claim| Claim { field: own_path(&claim.field), ..claim }).collect()
    }
}

/// The path of a field of the `Deployment` that says what the containers are, as the user has it.
pub(super) fn own_path(field: &str) -> String {
    if field.starts_with("spec.ports") { "spec.port".to_owned() } else { field.to_owned() }
}
