//! The audit: one line of JSON for each request of each principal, chained by hashes so that an edit shows.

mod chain;
mod draft;
mod question;
mod record;
mod shape;
mod writer;

pub use chain::{ChainFault, Piece, is_first_line, read_piece, verify};
pub use draft::Draft;
pub use question::{Asker, Questions};
pub use record::AuditRecord;
pub(crate) use record::beginning_of;
pub(crate) use shape::arguments_of;
pub use writer::{AuditError, AuditLog};
