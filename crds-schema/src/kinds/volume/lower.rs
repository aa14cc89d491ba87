//! A `Volume` lowers to one volume.

use super::spec::{DeletionPolicy, Volume};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};
use crate::primitive::{Lowered, Primitive, VolumeSpec};

impl Volume {
    pub(crate) fn lower(&self, metadata: &Metadata) -> Lowered {
        let key = ObjectKey { kind: Kind::Volume, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let volume = VolumeSpec {
            engine_name: self.engine_name.clone().unwrap_or_else(|| key.engine_name()),
            driver: self.driver.clone().unwrap_or_else(|| "local".to_owned()),
            driver_options: self.driver_options.clone(),
            labels: self.labels.clone(),
            delete_with_object: self.deletion_policy == DeletionPolicy::Delete,
        };
        Lowered { primitive: Primitive::Volume(volume), suspend: self.suspend, depends_on: Vec::new() }
    }
}
