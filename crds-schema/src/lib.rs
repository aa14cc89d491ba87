//! What users write, and nothing else: kinds, names, units, diagnostics, and the primitives that every kind lowers to.
//!
//! This crate is pure. It never reads a clock, a file, the environment or a random source, and it knows neither tokio
//! nor Docker's API. Start at [`kinds`], which is the list of kinds, then [`primitive`], which is what they lower to.

pub mod address;
pub mod claim;
pub mod codes;
pub mod condition;
pub mod config_file;
pub mod crosscheck;
pub mod diagnostic;
mod document;
pub mod escape;
pub mod explain;
pub mod grammar;
pub mod host_path;
pub mod kinds;
mod later;
pub mod name;
mod node;
pub mod object;
pub mod open_secret;
pub mod primitive;
pub mod reference;
pub mod schema;
mod shape;
pub mod source_map;
mod source_text;
mod structure;
mod suggestion;
pub mod units;
pub mod yaml;

pub use condition::{Condition, ConditionStatus, ConditionType};
pub use crosscheck::crosscheck;
pub use diagnostic::{Diagnostic, Severity, Span};
pub use explain::explain;
pub use kinds::{Kind, KindSpec};
pub use name::Name;
pub use object::{AnyObject, Generation, Metadata, ObjectKey, SourceLocation};
pub use source_text::Place;
pub use yaml::{LoadedFile, Loader, ManifestFile, load};
