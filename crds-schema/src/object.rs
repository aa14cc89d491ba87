//! Objects: a kind, metadata and a spec, and the key that identifies them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::grammar::{RESERVED_PREFIX, check_label, check_labels};
use crate::kinds::{Kind, KindSpec};
use crate::name::Name;
use crate::source_map::key_path;

/// The API version that every manifest of this release writes.
pub const API_VERSION: &str = "evenkeel.dev/v1";

/// The annotation that keeps an object from ever being pruned, when its value is `"true"`.
pub const PROTECT_ANNOTATION: &str = "evenkeel.dev/protect";

/// Counts the versions of one object's spec, from 1; 0 means that no version has been seen.
pub type Generation = u64;

/// What identifies an object: two objects with one key are one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace; `default` unless the manifest names one.
    pub namespace: Name,
    /// The name, unique for its kind and namespace.
    pub name: Name,
}

/// Name, namespace and labels of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The name, unique for its kind and namespace. Example: `web`.
    pub name: Name,
    /// The namespace: a group of objects that refer to each other by name. Default: `default`. Example: `staging`.
    #[serde(default = "Name::default_namespace")]
    pub namespace: Name,
    /// Labels of the object itself, for selection; they are not put on containers. Example: `{ team: platform }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Notes for tools and people. `evenkeel.dev/protect: "true"` keeps the object from ever being pruned.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An object of any kind, parsed and structurally valid.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyObject {
    /// Name, namespace, labels.
    pub metadata: Metadata,
    /// What the user asks for.
    pub spec: KindSpec,
    /// Where it was read.
    pub source: SourceLocation,
}

/// Where an object was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct SourceLocation {
    /// The file, relative to the manifest directory where there is one.
    pub file: String,
    /// The line of its document's first field, from 1; 0 when unknown.
    pub line: u32,
}

impl Metadata {
    fn validate(&self) -> Vec<Diagnostic> {
        let mut faults = check_labels("metadata.labels", &self.labels);
        for (key, value) in &self.annotations {
            let path = key_path("metadata.annotations", key);
            if key == PROTECT_ANNOTATION {
                if value != "true" && value != "false" {
                    let message = format!("`{PROTECT_ANNOTATION}` is `\"true\"` or `\"false\"`");
                    faults.push(Diagnostic::error("E0126", message).at(path));
                }
            } else if key.starts_with(RESERVED_PREFIX) {
                faults.push(
                    Diagnostic::error("E0203", format!("the prefix `{RESERVED_PREFIX}` is reserved"))
                        .hint(format!("the only annotation with it is `{PROTECT_ANNOTATION}`"))
                        .at(path),
                );
            } else {
                faults.extend(check_label(path, key, value));
            }
        }
        faults
    }
}

impl AnyObject {
    /// The key.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            kind: self.spec.kind(),
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone(),
        }
    }

    /// What is wrong with the meaning of the fields: each fault names the object and the path of its field, but no place.
    pub fn validate(&self) -> Vec<Diagnostic> {
        let mut faults = self.metadata.validate();
        faults.extend(self.spec.validate(&self.metadata));
        let key = self.key();
        faults.into_iter().map(|fault| fault.of(&key)).collect()
    }

    /// Whether prune must leave the object alone.
    pub fn is_protected(&self) -> bool {
        self.metadata.annotations.get(PROTECT_ANNOTATION).is_some_and(|value| value == "true")
    }

    /// The manifest as JSON, with keys in reading order: `apiVersion`, `kind`, `metadata`, `spec`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": self.spec.kind().as_str(),
            "metadata": &self.metadata,
            "spec": self.spec.to_json(),
        })
    }
}

impl ObjectKey {
    /// A key in the namespace `default`.
    pub fn in_default(kind: Kind, name: Name) -> Self {
        Self { kind, namespace: Name::default_namespace(), name }
    }

    /// The name that the Engine knows a single primitive of this object by, unless its spec gives an exact one: `NAME` in the
    /// namespace `default`, else `NAMESPACE_NAME`. Unambiguous, because a name never contains `_`.
    pub fn engine_name(&self) -> String {
        if self.namespace.as_str() == "default" {
            self.name.to_string()
        } else {
            format!("{}_{}", self.namespace, self.name)
        }
    }

    /// `Kind/namespace/name`, in whatever namespace: as diagnostics and the API name objects.
    pub fn full_name(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// What people write where the kind is known: `name` in the namespace `default`, else `namespace/name`.
    pub fn local_name(&self) -> String {
        if self.namespace.as_str() == "default" {
            self.name.to_string()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Display for ObjectKey {
    /// `Kind/name` in the namespace `default`, else `Kind/namespace/name`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.local_name())
    }
}

/// Why a text is not an [`ObjectKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an object: write `KIND/NAME` or `KIND/NAMESPACE/NAME`")]
pub struct InvalidObjectKey;

impl FromStr for ObjectKey {
    type Err = InvalidObjectKey;

    fn from_str(text: &str) -> Result<Self, InvalidObjectKey> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (*kind, "default", *name),
            [kind, namespace, name] => (*kind, *namespace, *name),
            _ => return Err(InvalidObjectKey),
        };
        Ok(Self {
            kind: Kind::parse(kind).ok_or(InvalidObjectKey)?,
            namespace: namespace.parse().map_err(|_| InvalidObjectKey)?,
            name: name.parse().map_err(|_| InvalidObjectKey)?,
        })
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
