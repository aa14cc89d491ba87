//! The list of kinds. Adding a resource is one folder beside this file and one line in [`kinds!`].

pub mod deployment;
pub mod mcp_gateway;
pub mod mcp_server;
pub mod network;
pub mod volume;

use std::fmt;

use crate::claim::Claim;
use crate::diagnostic::Diagnostic;
use crate::object::Metadata;
use crate::primitive::Lowered;

/// Writes [`Kind`] and [`KindSpec`] from the list: the variant, its module's spec type, its plural and its short names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($spec:ty), $plural:literal, [$($short:literal),*];)*) => {
        /// The kinds of object that users write.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        /// The spec of an object, by kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum KindSpec { $($(#[$doc])* $kind($spec),)* }

        impl Kind {
            /// Every kind, in the order that tables show them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The name as manifests write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }

            /// The lower-case plural, for the command line.
            pub const fn plural(self) -> &'static str {
                match self { $(Self::$kind => $plural,)* }
            }

            /// The kind that a user means: its name, its plural or a short name, whatever the case.
            pub fn parse(text: &str) -> Option<Self> {
                let text = text.to_ascii_lowercase();
                match text.as_str() {
                    $(name if name == stringify!($kind).to_ascii_lowercase() || name == $plural $(|| name == $short)* => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// The JSON Schema of the kind's `spec`.
            pub fn spec_schema(self) -> schemars::Schema {
                match self { $(Self::$kind => schemars::schema_for!($spec),)* }
            }

            /// Reads a spec from JSON.
            ///
            /// # Errors
            /// When the JSON does not fit the kind's schema.
            pub fn spec_from_json(self, json: serde_json::Value) -> Result<KindSpec, serde_json::Error> {
                match self { $(Self::$kind => serde_json::from_value::<$spec>(json).map(KindSpec::$kind),)* }
            }
        }

        impl KindSpec {
            /// The kind.
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)* }
            }

            /// The spec as JSON, without the fields that were left at their defaults of absence.
            pub fn to_json(&self) -> serde_json::Value {
                match self { $(Self::$kind(spec) => serde_json::to_value(spec).unwrap_or_default(),)* }
            }

            /// What is wrong with the meaning of the fields, each fault with the path of its field.
            pub fn validate(&self, metadata: &Metadata) -> Vec<Diagnostic> {
                match self { $(Self::$kind(spec) => spec.validate(metadata),)* }
            }

            /// What the object claims of the world that other objects may claim too, or must provide.
            pub fn claims(&self, metadata: &Metadata) -> Vec<Claim> {
                match self { $(Self::$kind(spec) => spec.claims(metadata),)* }
            }

            /// Makes relative paths of the host absolute, without looking at the disk. An empty `directory` changes nothing.
            pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
                match self { $(Self::$kind(spec) => spec.resolve_host_paths(directory),)* }
            }

            /// What the object means in primitives.
            pub fn lower(&self, metadata: &Metadata) -> Lowered {
                match self { $(Self::$kind(spec) => spec.lower(metadata),)* }
            }
        }
    };
}

kinds! {
    /// A network that containers join.
    Network(network::Network), "networks", ["net"];
    /// A named volume that outlives containers.
    Volume(volume::Volume), "volumes", ["vol"];
    /// Replicated, long-running containers.
    Deployment(deployment::Deployment), "deployments", ["deploy"];
    /// A server of the Model Context Protocol.
    McpServer(mcp_server::McpServer), "mcpservers", ["mcp"];
    /// The one endpoint that agents reach such servers at.
    McpGateway(mcp_gateway::McpGateway), "mcpgateways", ["gateway"];
}

impl KindSpec {
    /// The files of the host that hold secrets of its containers.
    pub fn secret_files(&self) -> Vec<&str> {
        let mounts = match self {
            Self::Deployment(deployment) => deployment.mounts.as_slice(),
            Self::McpServer(server) => server.mounts.as_slice(),
            Self::Network(_) | Self::Volume(_) | Self::McpGateway(_) => &[],
        };
        mounts.iter().filter_map(|mount| mount.secret_file.as_deref()).collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
