//! A `Network` lowers to one network.

use super::spec::{Network, Subnet};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};
use crate::primitive::{Lowered, NetworkSpec, Primitive, SubnetSpec};

impl Network {
    pub(crate) fn lower(&self, metadata: &Metadata) -> Lowered {
        let key = ObjectKey { kind: Kind::Network, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        let subnets = self.ipam.iter().flat_map(|ipam| &ipam.subnets).map(lower_subnet).collect();
        let network = NetworkSpec {
            engine_name: self.engine_name.clone().unwrap_or_else(|| key.engine_name()),
            driver: self.driver.clone().unwrap_or_else(|| "bridge".to_owned()),
            internal: self.internal,
            attachable: self.attachable,
            ipv6: self.ipv6,
            subnets,
            options: self.options.clone(),
            labels: self.labels.clone(),
        };
        Lowered { primitive: Primitive::Network(network), suspend: self.suspend, depends_on: Vec::new() }
    }
}

fn lower_subnet(subnet: &Subnet) -> SubnetSpec {
    SubnetSpec { subnet: subnet.subnet.clone(), gateway: subnet.gateway.clone(), range: subnet.range.clone() }
}
