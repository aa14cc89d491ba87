//! What a `Volume` claims: its name in the Engine.

use super::spec::Volume;
use crate::claim::{Claim, Claimed, EngineNameSort};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};

impl Volume {
    pub(crate) fn claims(&self, metadata: &Metadata) -> Vec<Claim> {
        let key = ObjectKey { kind: Kind::Volume, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let (field, name) = match &self.engine_name {
            Some(name) => ("spec.engineName", name.clone()),
            None => ("metadata.name", key.engine_name()),
        };
        vec![Claim { field: field.to_owned(), what: Claimed::EngineName(EngineNameSort::Volume, name) }]
    }

    #[expect(
        clippy::unused_self,
        clippy::needless_pass_by_ref_mut,
        reason = "every kind has it; this one has no paths"
    )]
    pub(crate) fn resolve_host_paths(&mut self, _directory: &str) {}
}
