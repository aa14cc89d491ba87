//! One session of a legacy client: what it is, what is under way in it, and what servers hold for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use crate::audit::Draft;
use crate::lease::Leases;
use crate::policy::Principal;
use crate::server::instance::InstanceHandle;
use crate::sessions::Beginning;
use crate::subscription::{RESOURCES_LIMIT, Subscription};
use crate::upstream::exchange::Answer;
use crate::upstream::http::{Dress, HttpLink, HttpSession};
use crate::upstream::link::Link;
use crate::wire::id::Id;
use crate::wire::object::{RawObject, quote};

/// How many messages wait for a client's stream at most; what comes beyond them is not kept. All resources of a session may have been updated
/// at once, and there is more to tell than that.
const OUTBOX_LENGTH: usize = RESOURCES_LIMIT + 256;

/// How long a server has to take a level of log messages.
const LEVEL_TIME: Duration = Duration::from_secs(5);

/// How many requests to one client wait for their answers at most; of more the oldest are given up.
const ASKED_LIMIT: usize = 256;

/// One session of a legacy client.
#[derive(Debug)]
pub struct ClientSession {
    /// Its id, which is a key.
    pub id: String,
    /// Whose it is.
    pub principal: Principal,
    /// The version that was agreed on.
    pub version: &'static str,
    /// The one server that it is about, where it is.
    pub scope: Option<String>,
    /// The client's capabilities, as JSON text.
    pub capabilities: Arc<str>,
    /// Who the client is, as JSON text.
    pub client_info: Arc<str>,
    /// The level of log messages that was asked for.
    pub level: Mutex<Option<String>>,
    /// Resources that it wants to hear of, by their URIs.
    pub subscriptions: Mutex<BTreeMap<String, Arc<Subscription>>>,
    /// Requests of its that are under way: a message on the channel cancels.
    pub in_flight: Mutex<BTreeMap<Id, oneshot::Sender<()>>>,
    /// How many requests are under way.
    pub busy: AtomicUsize,
    /// Each with the instance that it is of. Another run of that, or another way to it, is another one.
    upstreams: Mutex<Vec<(Weak<InstanceHandle>, Arc<UpstreamCell>)>>,
    /// Instances that it has to itself, by server.
    pub leases: Leases,
    digest: String,
    /// How many began before it.
    pub(crate) place: u64,
    /// Each with its record, which says how it ended.
    asked: Mutex<BTreeMap<u64, (Asked, Draft)>>,
    next_asked: AtomicU64,
    outbox: Mutex<Option<mpsc::Sender<String>>>,
    /// When it began.
    pub begun: Instant,
    used: Mutex<Instant>,
}

/// A server's session, once it is begun: what needs it meanwhile waits for that one, and for no other server's.
pub type UpstreamCell = OnceCell<Arc<UpstreamSession>>;

/// Listens for as long as it is kept.
#[derive(Debug)]
pub struct Listening(AbortHandle);

impl Listening {
    /// Keeps a task for as long as this is kept.
    pub const fn new(task: AbortHandle) -> Self {
        Self(task)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Who waits for the client's answer to a request that was put to it.
#[derive(Debug)]
pub enum Asked {
    /// A server behind.
    Server {
        /// The way to it.
        link: Link,
        /// Its session.
        session: HttpSession,
        /// The id that it asked with.
        id: Id,
        /// The token that it wants progress to be told with, as JSON text.
        progress_token: Option<String>,
    },
    /// The gateway itself.
    Gateway(oneshot::Sender<Answer>),
}

/// A session that a server has for one session of a client.
#[derive(Debug)]
pub struct UpstreamSession {
    /// The way to it.
    pub link: HttpLink,
    /// The server's session.
    pub session: HttpSession,
    /// What listens to it.
    pub listener: Option<AbortHandle>,
}

/// Tells a server which level of log messages is wanted in a session.
pub async fn set_level(link: &Link, session: &HttpSession, level: &str) {
    let params = format!("{{\"level\":{}}}", quote(level));
    let params = RawObject::parse(&params).unwrap_or_default();
    let asking = async { link.call(Dress::Session(session), "logging/setLevel", params, false).await.answer().await };
    // A server without logging says so, and nobody needs to know; one that says nothing is not waited for.
    drop(timeout(LEVEL_TIME, asking).await);
}

impl Drop for UpstreamSession {
    fn drop(&mut self) {
        if let Some(listener) = &self.listener {
            listener.abort();
        }
        let (link, session) = (self.link.clone(), self.session.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody waits for it: a server that does not hear it reaps the session by itself.
            drop(runtime.spawn(async move { link.end(&session).await }));
        }
    }
}

impl ClientSession {
    /// What waits in a lock that was poisoned is as good as it was.
    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was used just now.
    pub fn touch(&self) {
        *Self::lock(&self.used) = Instant::now();
    }

    /// How long ago it was last used.
    pub fn idle(&self) -> Duration {
        Self::lock(&self.used).elapsed()
    }

    /// Where the session of an instance stands, or will.
    pub fn upstream(&self, instance: &Arc<InstanceHandle>) -> Arc<UpstreamCell> {
        let mut upstreams = Self::lock(&self.upstreams);
        if let Some((_, known)) = upstreams.iter().find(|(of, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(instance))) {
            return Arc::clone(known);
        }
        let new = Arc::default();
        upstreams.push((Arc::downgrade(instance), Arc::clone(&new)));
        new
    }

    /// Every session that a server has begun for it.
    pub fn upstreams(&self) -> Vec<Arc<UpstreamSession>> {
        Self::lock(&self.upstreams).iter().filter_map(|(_, cell)| cell.get().cloned()).collect()
    }

    /// Lets go of the sessions of instances that are gone, which they are not while a call is under way on them.
    pub(crate) fn forget_gone_upstreams(&self) {
        Self::lock(&self.upstreams).retain(|(of, _)| of.strong_count() > 0);
    }

    /// The ways to all servers that know this session from others.
    pub fn own_links(&self) -> Vec<(Link, HttpSession)> {
        let upstreams = self.upstreams().into_iter();
        let mut links: Vec<_> =
            upstreams.map(|upstream| (Link::Http(upstream.link.clone()), upstream.session.clone())).collect();
        let stdio = self.leases.all().into_iter().filter(|lease| matches!(lease.connection.link, Link::Stdio(_)));
        links.extend(stdio.map(|lease| (lease.connection.link.clone(), lease.connection.session.clone())));
        links
    }

    /// Forgets a session that its server does not know any more, unless there is another one by now.
    pub fn forget_upstream(&self, lost: &Arc<UpstreamSession>) {
        let is_lost = |cell: &UpstreamCell| cell.get().is_some_and(|known| Arc::ptr_eq(known, lost));
        Self::lock(&self.upstreams).retain(|(_, cell)| !is_lost(cell));
    }

    /// Puts a request to the client: the number that its answer will carry.
    pub fn ask(&self, asked: Asked, draft: Draft) -> u64 {
        let number = self.next_asked.fetch_add(1, Ordering::Relaxed);
        let mut waiting = Self::lock(&self.asked);
        waiting.insert(number, (asked, draft));
        // A client that answers nothing must not fill the memory.
        while waiting.len() > ASKED_LIMIT {
            waiting.pop_first();
        }
        number
    }

    /// Who waits for the client's answer of this number, and the record of the question.
    pub fn take_asked(&self, number: u64) -> Option<(Asked, Draft)> {
        Self::lock(&self.asked).remove(&number)
    }

    /// Who asked what the client tells progress of by this number, and the token that he knows it by.
    pub fn asked_with_token(&self, number: u64) -> Option<(Link, HttpSession, String)> {
        match &Self::lock(&self.asked).get(&number)?.0 {
            Asked::Server { link, session, progress_token, .. } => {
                Some((link.clone(), session.clone(), progress_token.clone()?))
            }
            Asked::Gateway(_) => None,
        }
    }

    /// A server does not wait any more for what it asked: the number that the client knows it by.
    pub fn cancel_asked(&self, by: &Link, within: &HttpSession, as_id: &Id) -> Option<u64> {
        let mut asked = Self::lock(&self.asked);
        let is_it = |asked: &Asked| match asked {
            Asked::Server { link, session, id, .. } => link.is_same(by) && session == within && id == as_id,
            Asked::Gateway(_) => false,
        };
        let number = asked.iter().find(|(_, (asked, _))| is_it(asked)).map(|(number, _)| *number)?;
        asked.remove(&number);
        Some(number)
    }

    /// Nobody waits for answers of the client any more.
    pub(crate) fn give_up_asked(&self) {
        Self::lock(&self.asked).clear();
    }

    /// The stream that the client listens on from now; one that it listened on before ends.
    pub fn open_outbox(&self) -> mpsc::Receiver<String> {
        let (tx, rx) = mpsc::channel(OUTBOX_LENGTH);
        *Self::lock(&self.outbox) = Some(tx);
        rx
    }

    /// Tells the client something that belongs to no request of its own. Whoever does not listen does not hear it.
    pub fn tell(&self, message: String) {
        if let Some(outbox) = &*Self::lock(&self.outbox) {
            drop(outbox.try_send(message));
        }
    }

    /// A number that tells it from others.
    pub fn number(&self) -> u64 {
        use sha2::{Digest, Sha256};
        let hash: [u8; 32] = Sha256::digest(self.id.as_bytes()).into();
        u64::from_le_bytes([hash[8], hash[9], hash[10], hash[11], hash[12], hash[13], hash[14], hash[15]])
    }

    /// The first digits of the id's hash: what may be written down of it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// A session that begins now. `place`: how many began before it.
    pub(crate) fn begin(id: String, place: u64, beginning: Beginning) -> Self {
        Self {
            place,
            digest: digest_of(&id),
            id,
            principal: beginning.principal,
            version: beginning.version,
            scope: beginning.scope,
            capabilities: beginning.capabilities,
            client_info: beginning.client_info,
            level: Mutex::default(),
            subscriptions: Mutex::default(),
            in_flight: Mutex::default(),
            busy: AtomicUsize::new(0),
            upstreams: Mutex::default(),
            leases: Leases::default(),
            asked: Mutex::default(),
            next_asked: AtomicU64::new(1),
            outbox: Mutex::default(),
            begun: Instant::now(),
            used: Mutex::new(Instant::now()),
        }
    }

    /// Whether something is under way in it, or its client listens.
    pub(crate) fn is_in_use(&self) -> bool {
        let is_listening = Self::lock(&self.outbox).as_ref().is_some_and(|outbox| !outbox.is_closed());
        self.busy.load(Ordering::Relaxed) > 0 || is_listening
    }

    /// Everything of it ends.
    pub(crate) fn end(&self) {
        *Self::lock(&self.outbox) = None;
        self.give_up_asked();
        Self::lock(&self.subscriptions).clear();
        self.leases.clear();
        let in_flight = std::mem::take(&mut *Self::lock(&self.in_flight));
        for cancel in in_flight.into_values() {
            cancel.send(()).unwrap_or(());
        }
    }
}

fn digest_of(id: &str) -> String {
    use sha2::{Digest, Sha256};
    let mut digest = format!("{:x}", Sha256::digest(id.as_bytes()));
    digest.truncate(16);
    digest
}
