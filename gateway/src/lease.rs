//! Leases: instances that one session, or one call, has to itself.
//!
//! Whoever had an instance to himself may have left something of his in it, so it is given to nobody else: once given back it is used up,
//! and whoever runs it removes it. What is taken is written down before it is used, so that the next process knows it as well.

mod book;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::server::instance::InstanceHandle;

pub use book::{LeaseBook, Lend, Lender, Loan, Ticket};

/// An instance that somebody has to himself.
#[derive(Debug)]
pub struct Lease {
    /// The instance.
    pub(crate) handle: Arc<InstanceHandle>,
    /// The way to it that the gateway has for itself.
    pub(crate) base: Arc<Connection>,
    /// The way to it in the name of whoever has it.
    pub connection: Arc<Connection>,
    used: Mutex<Instant>,
    _ticket: Ticket,
}

impl Lease {
    pub(crate) fn new(
        handle: Arc<InstanceHandle>,
        base: Arc<Connection>,
        connection: Arc<Connection>,
        ticket: Ticket,
    ) -> Self {
        Self { handle, base, connection, used: Mutex::new(Instant::now()), _ticket: ticket }
    }

    /// Whether the instance is still in the run that it was taken in.
    pub(crate) fn is_live(&self) -> bool {
        self.handle.connection().is_some_and(|connection| Arc::ptr_eq(&connection, &self.base))
    }

    /// It was used just now.
    pub(crate) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Where a lease stands, or will: what needs it meanwhile waits for that one.
pub type LeaseCell = OnceCell<Arc<Lease>>;

/// The leases of one session by server, or of one server by principal.
#[derive(Debug, Default)]
pub struct Leases(Mutex<BTreeMap<String, Arc<LeaseCell>>>);

impl Leases {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<LeaseCell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the lease of this name stands, or will.
    pub fn cell(&self, name: &str) -> Arc<LeaseCell> {
        let mut cells = self.lock();
        if let Some(known) = cells.get(name) {
            return Arc::clone(known);
        }
        Arc::clone(cells.entry(name.to_owned()).or_default())
    }

    /// Gives back a lease whose instance is gone, unless there is another one by now.
    pub fn forget(&self, name: &str, lost: &Arc<Lease>) {
        let mut cells = self.lock();
        let is_lost = |cell: &Arc<LeaseCell>| cell.get().is_some_and(|known| Arc::ptr_eq(known, lost));
        if cells.get(name).is_some_and(is_lost) {
            cells.remove(name);
        }
    }

    /// Every lease.
    pub fn all(&self) -> Vec<Arc<Lease>> {
        self.lock().values().filter_map(|cell| cell.get().cloned()).collect()
    }

    /// Gives back what nobody has used for too long: as long as is said for its name, where anything is, and what has no lease at all.
    pub fn release_idle(&self, longest: impl Fn(&str) -> Option<Duration>) {
        self.lock().retain(|name, cell| match cell.get() {
            // Whoever uses it holds it.
            Some(lease) if Arc::strong_count(lease) == 1 => longest(name).is_none_or(|longest| lease.idle() <= longest),
            Some(_) => true,
            None => Arc::strong_count(cell) > 1,
        });
    }

    /// Gives back all of them.
    pub fn clear(&self) {
        let cells = std::mem::take(&mut *self.lock());
        drop(cells);
    }
}
