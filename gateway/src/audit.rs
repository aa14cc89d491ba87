//! The audit: one line of JSON for each request of each principal, chained by hashes so that an edit shows.

mod backup;
mod chain;
mod draft;
mod file;
mod log;
mod question;
mod record;
mod shape;
mod tail;
mod writer;

pub use backup::parse_backup_name;
pub use chain::{ChainFault, Piece, Place, read_piece, verify};
pub use draft::{Draft, Ended};
pub use log::{AuditError, AuditLog};
pub use question::{Asker, Questions};
pub use record::AuditRecord;
pub(crate) use record::beginning_of;
pub(crate) use shape::arguments_of;

#[cfg(test)]
mod tests;
