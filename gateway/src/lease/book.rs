//! The book of what is taken, and tickets for it.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::whole_file::{Durability, write_whole};

/// What is kept for as long as something is lent.
pub type Loan = Box<dyn fmt::Debug + Send + Sync>;

/// Lends instances that others may want as well.
#[async_trait]
pub trait Lend: Send + Sync + fmt::Debug {
    /// Lends an instance for as long as the loan is kept. `None`: somebody has, or had it.
    async fn lend(&self, id: &str) -> io::Result<Option<Loan>>;
}

/// Which instances are taken, or were. One for all hubs that reach the same instances.
#[derive(Debug, Default)]
pub struct LeaseBook {
    state: Mutex<Taken>,
    file: Option<PathBuf>,
    /// Who has to lend what is taken here, where that is somebody else.
    source: Option<Arc<dyn Lend>>,
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
        let state = Mutex::new(Taken { ever, now: BTreeSet::new() });
        Self { state, file: Some(file), source: None, fault }
    }

    /// A book of what somebody else lends, who also remembers it.
    pub fn of_what_is_lent(source: Arc<dyn Lend>) -> Self {
        Self { source: Some(source), ..Self::default() }
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

    /// Takes an instance, until the ticket is dropped. `None`: somebody has, or had it. It is to be confirmed before it is used.
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
        let (book, is_decided) = (Arc::clone(self), self.source.is_none());
        Ok(Some(Ticket { id: id.to_owned(), book, lender: lender.clone(), loan: None, is_decided }))
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
    /// What somebody else has lent with it.
    loan: Option<Loan>,
    /// Whether it is known who has it: as long as it is not, it may be taken again.
    is_decided: bool,
}

impl Ticket {
    /// Has it lent by whoever has to. `false`: somebody else has, or had it.
    ///
    /// # Errors
    /// When that is not known. It may be tried again.
    pub async fn confirm(&mut self) -> io::Result<bool> {
        let Some(source) = &self.book.source else { return Ok(true) };
        self.loan = source.lend(&self.id).await?;
        self.is_decided = true;
        Ok(self.loan.is_some())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.book.lock();
        state.now.remove(&self.id);
        if !self.is_decided {
            state.ever.remove(&self.id);
        }
        drop(state);
        self.lender.lent.fetch_sub(1, Ordering::Relaxed);
        self.lender.told.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;

    use super::{LeaseBook, Lend, Lender, Loan};

    /// Answers with what was put there, the last first.
    #[derive(Debug, Default)]
    struct Script(Mutex<Vec<io::Result<Option<Loan>>>>);

    #[async_trait]
    impl Lend for Script {
        async fn lend(&self, _: &str) -> io::Result<Option<Loan>> {
            self.0.lock().unwrap().pop().unwrap()
        }
    }

    #[tokio::test]
    async fn what_somebody_else_lends_is_kept_until_it_is_given_back() {
        let script = Arc::new(Script::default());
        let book = Arc::new(LeaseBook::of_what_is_lent(Arc::<Script>::clone(&script)));
        let kept = Arc::new(());
        let answers =
            [Ok(None), Ok(Some(Box::new(Arc::clone(&kept)) as Loan)), Err(io::Error::other("nobody is there"))];
        script.0.lock().unwrap().extend(answers);

        let mut ticket = book.take("a", &Lender::default()).unwrap().unwrap();
        ticket.confirm().await.unwrap_err();
        drop(ticket);
        let mut ticket = book.take("a", &Lender::default()).unwrap().expect("it may be tried again");
        assert!(ticket.confirm().await.unwrap());
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(ticket);
        assert_eq!(Arc::strong_count(&kept), 1);
        assert!(book.take("a", &Lender::default()).unwrap().is_none());

        let mut ticket = book.take("b", &Lender::default()).unwrap().unwrap();
        assert!(!ticket.confirm().await.unwrap());
        drop(ticket);
        assert!(book.take("b", &Lender::default()).unwrap().is_none(), "it is not asked for again");
    }

    #[derive(Debug)]
    struct Silent;

    #[async_trait]
    impl Lend for Silent {
        async fn lend(&self, _: &str) -> io::Result<Option<Loan>> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn whoever_gives_up_before_he_is_answered_has_taken_nothing() {
        let book = Arc::new(LeaseBook::of_what_is_lent(Arc::new(Silent)));
        let mut ticket = book.take("a", &Lender::default()).unwrap().unwrap();
        tokio::select! {
            biased;
            _ = ticket.confirm() => panic!("nobody answers"),
            () = std::future::ready(()) => {}
        }
        drop(ticket);
        assert!(book.take("a", &Lender::default()).unwrap().is_some());
    }

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
