//! What an object claims of the world: the facts that can only be judged by looking at other objects too.

use std::net::IpAddr;

use crate::address::Cidr;
use crate::object::ObjectKey;
use crate::primitive::{HostPort, Protocol};

/// One claim, and the field that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The path of the field.
    pub field: String,
    /// What is claimed.
    pub what: Claimed,
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// A port of the host.
    HostPort(HostPort, Protocol),
    /// An exact or derived name in the Engine. Names of one sort must differ.
    EngineName(EngineNameSort, String),
    /// A range of addresses, for a network.
    Subnet(Cidr),
    /// A fixed address on a network.
    Address(ObjectKey, IpAddr),
    /// Another object, which must be defined.
    Reference(ObjectKey),
    /// Another object, which must be defined, and must come first.
    Dependency(ObjectKey),
}

/// What a name in the Engine names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineNameSort {
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// A container.
    Container,
}

impl EngineNameSort {
    /// Lower-case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Container => "container",
        }
    }
}
