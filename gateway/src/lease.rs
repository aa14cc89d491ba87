//! Leases: instances that one session, or one call, has to itself.
//!
//! Whoever had an instance to himself may have left something of his in it, so it is given to nobody else: once given back it is used up,
//! and whoever runs it removes it. What is taken is written down before it is used, so that the next process knows it as well.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::server::instance::InstanceHandle;
use crate::whole_file::{Durability, write_whole};

/// Which instances are taken, or were. One for all hubs that reach the same instances.
#[derive(Debug, Default)]
pub struct LeaseBook {
    state: Mutex<Taken>,
    file: Option<PathBuf>,
    /// Why the file cannot be read: nobody knows what was taken, so nothing can be.
    fault: Option<io::Error>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Taken now, or used up and not yet gone.
    ever: BTreeSet<String>,
    now: BTreeSet<String>,
}

impl LeaseBook {
    /// The book that a file holds. What was taken when it was last written is used up by now.
    pub fn open(file: PathBuf) -> Self {
        let (text, fault) = match std::fs::read_to_string(&file) {
            Ok(text) => (text, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(error) => (String::new(), Some(error)),
        };
        let ever = text.lines().map(str::to_owned).collect();
        Self { state: Mutex::new(Taken { ever, now: BTreeSet::new() }), file: Some(file), fault }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has ever had an instance to himself.
    pub fn is_fresh(&self, id: &str) -> bool {
        !self.lock().ever.contains(id)
    }

    /// Whether somebody has an instance to himself now.
    pub fn is_taken(&self, id: &str) -> bool {
        self.lock().now.contains(id)
    }

    /// Whether somebody had an instance to himself: it is to go.
    pub fn is_used_up(&self, id: &str) -> bool {
        let state = self.lock();
        state.ever.contains(id) && !state.now.contains(id)
    }

    /// Takes an instance, until the ticket is dropped. `None`: somebody has, or had it.
    ///
    /// # Errors
    /// When it cannot be written down: after a restart it would be given to somebody else.
    pub fn take(self: &Arc<Self>, id: &str, lender: &Lender) -> io::Result<Option<Ticket>> {
        if let Some(fault) = &self.fault {
            return Err(io::Error::new(fault.kind(), fault.to_string()));
        }
        let mut state = self.lock();
        if !state.ever.insert(id.to_owned()) {
            return Ok(None);
        }
        if let Err(error) = self.write(&state.ever) {
            state.ever.remove(id);
            return Err(error);
        }
        state.now.insert(id.to_owned());
        drop(state);
        lender.lent.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Ticket { id: id.to_owned(), book: Arc::clone(self), lender: lender.clone() }))
    }

    /// Every instance that somebody has or had to himself.
    pub fn ids(&self) -> Vec<String> {
        self.lock().ever.iter().cloned().collect()
    }

    /// Forgets instances that are not there any more, unless somebody has them all the same.
    pub fn forget(&self, gone: &[String]) {
        let mut state = self.lock();
        let Taken { ever, now } = &mut *state;
        let before = ever.len();
        for id in gone.iter().filter(|id| !now.contains(*id)) {
            ever.remove(id);
        }
        if ever.len() != before
            && let Err(error) = self.write(ever)
        {
            // No other instance ever has the id of one that is gone.
            tracing::debug!(error = %error, "what is not there any more stays written down");
        }
    }

    fn write(&self, ids: &BTreeSet<String>) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let text: String = ids.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
        write_whole(file, text.as_bytes(), Durability::Process)
    }
}

/// Who lends: how much is lent, and what is told when something comes back.
#[derive(Debug, Clone, Default)]
pub struct Lender {
    /// How many instances are lent.
    pub lent: Arc<AtomicUsize>,
    /// Told of what comes back.
    pub told: Arc<Notify>,
}

/// An instance that is taken for as long as this is kept.
#[derive(Debug)]
pub struct Ticket {
    id: String,
    book: Arc<LeaseBook>,
    lender: Lender,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.book.lock().now.remove(&self.id);
        self.lender.lent.fetch_sub(1, Ordering::Relaxed);
        self.lender.told.notify_one();
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::{LeaseBook, Lender};

    #[test]
    fn what_somebody_had_to_himself_is_given_to_nobody_else() {
        let book = Arc::new(LeaseBook::default());
        let lender = Lender::default();
        let ticket = book.take("a", &lender).unwrap().unwrap();
        assert_eq!(lender.lent.load(Ordering::Relaxed), 1);
        assert!(book.take("a", &lender).unwrap().is_none());
        assert!(book.is_taken("a") && !book.is_used_up("a"));
        drop(ticket);
        assert_eq!(lender.lent.load(Ordering::Relaxed), 0);
        assert!(book.is_used_up("a") && !book.is_fresh("a"));
        assert!(book.take("a", &Lender::default()).unwrap().is_none());
        assert!(book.is_fresh("b"));
        book.forget(&["a".to_owned()]);
        assert!(book.is_fresh("a"), "no other has its id");
    }

    #[test]
    fn the_next_process_knows_what_was_taken() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("leases");
        let book = Arc::new(LeaseBook::open(file.clone()));
        let ticket = book.take("a", &Lender::default()).unwrap().unwrap();
        let next = LeaseBook::open(file.clone());
        assert!(next.is_used_up("a"));
        next.forget(&next.ids());
        assert!(LeaseBook::open(file).is_fresh("a"));
        drop(ticket);
    }

    #[test]
    fn what_cannot_be_written_down_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let book = Arc::new(LeaseBook::open(directory.path().join("no/such/directory")));
        assert!(book.take("a", &Lender::default()).is_err());
        assert!(book.is_fresh("a"));
        let book = Arc::new(LeaseBook::open(directory.path().to_owned()));
        assert!(book.take("a", &Lender::default()).is_err(), "nobody knows what was taken");
    }
}
