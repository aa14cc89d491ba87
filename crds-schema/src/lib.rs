//! What users write, and nothing else: kinds, names, units, diagnostics, and the primitives that every kind lowers to.
//!
//! This crate is pure. It never reads a clock, a file, the environment or a random source, and it knows neither tokio
//! nor Docker's API. Start at [`kinds`], which is the list of kinds, then [`primitive`], which is what they lower to.

pub mod condition;
pub mod config_file;
pub mod diagnostic;
pub mod kinds;
pub mod name;
pub mod object;
pub mod primitive;
pub mod units;

pub use condition::{Condition, ConditionStatus, ConditionType};
pub use diagnostic::{Diagnostic, Severity, Span};
pub use kinds::{Kind, KindSpec};
pub use name::Name;
pub use object::{AnyObject, Generation, Metadata, ObjectKey, SourceLocation};
