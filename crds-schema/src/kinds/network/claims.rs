//! What a `Network` claims: its name in the Engine, and its subnets.

use super::spec::Network;
use crate::claim::{Claim, Claimed, EngineNameSort};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};

impl Network {
    pub(crate) fn claims(&self, metadata: &Metadata) -> Vec<Claim> {
        let key = ObjectKey { kind: Kind::Network, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let (field, name) = match &self.engine_name {
            Some(name) => ("spec.engineName", name.clone()),
            None => ("metadata.name", key.engine_name()),
        };
        let mut claims =
            vec![Claim { field: field.to_owned(), what: Claimed::EngineName(EngineNameSort::Network, name) }];
        for (index, subnet) in self.ipam.iter().flat_map(|ipam| &ipam.subnets).enumerate() {
            if let Ok(range) = subnet.subnet.parse() {
                let field = format!("spec.ipam.subnets[{index}].subnet");
                claims.push(Claim { field, what: Claimed::Subnet(range) });
            }
        }
        claims
    }

    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "every kind has it; this one has no paths"
    )]
    pub(crate) fn resolve_host_paths(&mut self, _directory: &str) {}
}
