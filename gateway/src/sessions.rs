//! All sessions of legacy clients: bound to their principals, bounded, shared fairly, and reaped.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::policy::Principal;
use crate::session::ClientSession;

/// What a client says at the beginning of its session.
#[derive(Debug)]
pub struct Beginning {
    /// Whose it is.
    pub principal: Principal,
    /// The version that was agreed on.
    pub version: &'static str,
    /// The one server that it is about.
    pub scope: Option<String>,
    /// The client's capabilities, as JSON text.
    pub capabilities: Arc<str>,
    /// Who the client is, as JSON text.
    pub client_info: Arc<str>,
}

/// All sessions.
#[derive(Debug)]
pub struct Sessions {
    by_id: Mutex<BTreeMap<String, Arc<ClientSession>>>,
    begun: AtomicU64,
    limit: usize,
    idle: Duration,
}

impl Sessions {
    /// At most so many, each silent for at most so long.
    pub fn new(limit: usize, idle: Duration) -> Self {
        Self { by_id: Mutex::default(), begun: AtomicU64::new(0), limit, idle }
    }

    /// Begins a session. `None`: there are as many as there may be, none of them is idle, and nobody has more than his share.
    pub fn begin(&self, beginning: Beginning) -> Option<Arc<ClientSession>> {
        if self.len() >= self.limit {
            self.reap();
        }
        if self.len() >= self.limit
            && let Some(id) = self.beyond_share(&beginning.principal)
        {
            self.end(&id);
        }
        let id = new_id()?;
        let place = self.begun.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(ClientSession::begin(id, place, beginning));
        let mut by_id = ClientSession::lock(&self.by_id);
        if by_id.len() >= self.limit {
            return None;
        }
        by_id.insert(session.id.clone(), Arc::clone(&session));
        Some(session)
    }

    /// The session of this id, if it is this principal's: anybody else's is as if it were not there.
    pub fn find(&self, id: &str, principal: &Principal, scope: Option<&str>) -> Option<Arc<ClientSession>> {
        let session = ClientSession::lock(&self.by_id).get(id).cloned()?;
        let is_his = session.principal == *principal && session.scope.as_deref() == scope;
        is_his.then(|| {
            session.touch();
            session
        })
    }

    /// Ends a session.
    pub fn end(&self, id: &str) {
        let ended = ClientSession::lock(&self.by_id).remove(id);
        if let Some(session) = ended {
            session.end();
        }
    }

    /// The session that makes way for one more of a principal who has fewer than his share: of those of the principal who has most the one
    /// that nothing is under way in and that has been silent for longest. Its client begins another.
    fn beyond_share(&self, principal: &Principal) -> Option<String> {
        let by_id = ClientSession::lock(&self.by_id);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::from([(&*principal.name, 0)]);
        for session in by_id.values() {
            *counts.entry(&session.principal.name).or_default() += 1;
        }
        let share = self.limit / counts.len();
        let (greediest, most) = counts.iter().max_by_key(|(_, count)| **count)?;
        if counts.get(&*principal.name).is_some_and(|count| *count >= share) || *most <= share {
            return None;
        }
        let of_greediest = by_id.values().filter(|session| *session.principal.name == **greediest);
        let waiting = of_greediest.filter(|session| session.busy.load(Ordering::Relaxed) == 0);
        waiting.max_by_key(|session| (session.idle(), Reverse(session.place))).map(|session| session.id.clone())
    }

    /// Ends what has been silent for too long, and lets go of what the others have with instances that are gone.
    pub fn reap(&self) {
        let is_idle = |session: &Arc<ClientSession>| !session.is_in_use() && session.idle() > self.idle;
        for session in self.all().iter().filter(|session| is_idle(session)) {
            self.end(&session.id);
        }
        for session in self.all() {
            session.forget_gone_upstreams();
        }
    }

    /// All that there are, the oldest first: their ids have no order that could be repeated.
    pub fn all(&self) -> Vec<Arc<ClientSession>> {
        let mut all: Vec<_> = ClientSession::lock(&self.by_id).values().cloned().collect();
        all.sort_unstable_by_key(|session| session.place);
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        ClientSession::lock(&self.by_id).len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// 256 bits that nobody guesses. `None` when the system has none to give.
fn new_id() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Beginning, Sessions};
    use crate::policy::Principal;

    fn beginning(name: &str) -> Beginning {
        Beginning {
            principal: Principal { name: name.into(), roles: vec![] },
            version: "2025-11-25",
            scope: None,
            capabilities: "{}".into(),
            client_info: "{}".into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_its_principals_alone_and_the_idle_make_room() {
        let sessions = Sessions::new(2, Duration::from_mins(1));
        let first = sessions.begin(beginning("ann")).unwrap();
        assert_eq!(first.id.len(), 43);
        assert!(sessions.find(&first.id, &first.principal, None).is_some());
        let bob = Principal { name: "bob".into(), roles: vec![] };
        assert!(sessions.find(&first.id, &bob, None).is_none());
        assert!(sessions.find(&first.id, &first.principal, Some("time")).is_none());
        sessions.begin(beginning("bob")).unwrap();
        assert!(sessions.begin(beginning("eve")).is_none());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(sessions.begin(beginning("eve")).is_some());
        assert_eq!(sessions.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_most_makes_way_for_those_who_have_less_than_their_share() {
        let sessions = Sessions::new(6, Duration::from_mins(1));
        let greedy: Vec<_> = (0..6).map(|_| sessions.begin(beginning("eve")).unwrap()).collect();
        assert!(sessions.begin(beginning("eve")).is_none(), "nobody makes way for his own");
        tokio::time::advance(Duration::from_secs(5)).await;
        // Something is under way in the oldest.
        greedy[0].busy.store(1, std::sync::atomic::Ordering::Relaxed);
        greedy[2..].iter().for_each(|session| session.touch());
        for _ in 0..3 {
            assert!(sessions.begin(beginning("ann")).is_some());
        }
        assert!(sessions.begin(beginning("ann")).is_none(), "she has her share");
        let is_there = |number: usize| sessions.find(&greedy[number].id, &greedy[number].principal, None).is_some();
        assert!(is_there(0), "what is under way goes on");
        assert!(!is_there(1), "the one that was silent for longest made way");
        assert!(sessions.begin(beginning("bob")).is_some(), "the share of three is two");
        assert_eq!(sessions.len(), 6);
    }

    #[tokio::test]
    async fn a_second_stream_ends_the_first() {
        let sessions = Sessions::new(2, Duration::from_mins(1));
        let session = sessions.begin(beginning("ann")).unwrap();
        session.tell("nobody hears this".to_owned());
        let mut first = session.open_outbox();
        session.tell("a".to_owned());
        let mut second = session.open_outbox();
        session.tell("b".to_owned());
        assert_eq!((first.recv().await.as_deref(), first.recv().await), (Some("a"), None));
        assert_eq!(second.recv().await.as_deref(), Some("b"));
        sessions.end(&session.id);
        assert_eq!(second.recv().await, None);
    }
}
