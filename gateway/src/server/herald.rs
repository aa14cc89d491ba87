//! What one instance tells of its resources: asked for as long as somebody wants it, and told to those who do.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::connection::{Connection, own_meta};
use crate::era::Era;
use crate::hub::Change;
use crate::session::Listening;
use crate::subscription::{Due, Outcome, Subscriptions, Told};
use crate::upstream::exchange::{Answer, Exchange, Next, Note, OpenExchange, UpstreamError};
use crate::upstream::http::Dress;
use crate::wire::object::{RawObject, quote};
use crate::wire::reply::RpcError;

/// How long a server has to take a subscription, or its end.
const TAKE_TIME: Duration = Duration::from_secs(10);
/// How long a modern server has to say which it has taken; one that says nothing has taken them all.
const ACKNOWLEDGE_TIME: Duration = Duration::from_secs(3);
/// The first and the longest pause before what was refused, or ended, is asked for again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// How many subscriptions are asked for at once.
const AT_ONCE: usize = 16;
/// How many streams of a modern server are open. Before there are more, one for everything takes their place.
const STREAMS_LIMIT: usize = 8;
/// How many streams that have ended wait to be heard of.
const ENDED_LENGTH: usize = 16;

/// Tells those who want it of one instance's resources.
#[derive(Debug, Clone)]
pub(super) struct Herald {
    /// The instance's id.
    pub(super) instance: String,
    /// Who wants what of the server.
    pub(super) subscriptions: Arc<Subscriptions>,
    /// What the instance has been told.
    pub(super) told: watch::Sender<Told>,
    /// Where updates go.
    pub(super) changes: broadcast::Sender<Change>,
}

/// A stream of a modern server that tells of several resources, of which one at least is still wanted.
struct Stream {
    number: u64,
    uris: BTreeSet<String>,
    _task: Listening,
}

/// Keeps one connection told of what is wanted.
struct Asking {
    herald: Herald,
    connection: Arc<Connection>,
    streams: Vec<Stream>,
    opened: u64,
    ended: mpsc::Sender<u64>,
    /// What was refused, or ended, and is to be asked for again.
    again: BTreeSet<String>,
}

impl Herald {
    /// A resource was updated: those who want it are told.
    pub(super) fn tell(&self, uri: &str) {
        // Whatever else a server says of resources is for nobody.
        if self.told.borrow().is_heard(uri) {
            self.tell_of([uri.to_owned()]);
        }
    }

    /// Any of the resources may have been updated.
    pub(super) fn tell_all(&self) {
        let taken = self.told.borrow().taken();
        self.tell_of(taken);
    }

    fn tell_of(&self, uris: impl IntoIterator<Item = String>) {
        let watched = self.subscriptions.watched(&self.instance, uris);
        if !watched.is_empty() {
            // Nobody may listen.
            drop(self.changes.send(Change::Resources(Arc::new(watched))));
        }
    }

    /// Keeps a connection told of what is wanted, at first of everything, until it is dropped.
    pub(super) fn follow(&self, connection: Arc<Connection>) -> impl Future<Output = Infallible> + use<> {
        self.told.send_replace(Told::opened());
        let (ended, news) = mpsc::channel(ENDED_LENGTH);
        Asking { herald: self.clone(), connection, streams: Vec::new(), opened: 0, ended, again: BTreeSet::new() }
            .run(news)
    }

    /// The connection is gone.
    pub(super) fn close(&self) {
        self.told.send_replace(Told::default());
    }

    /// What is due, which counts as told from now on.
    fn take_due(&self) -> Due {
        let mut due = Due::default();
        self.told.send_if_modified(|told| {
            due = self.subscriptions.due(&self.instance, told);
            let is_news = !due.is_empty();
            told.begin(&mut due);
            is_news
        });
        due
    }
}

impl Asking {
    async fn run(mut self, mut ended: mpsc::Receiver<u64>) -> Infallible {
        let mut changed = self.herald.subscriptions.changed();
        let (first, longest) = PAUSES;
        let mut pause = first;
        // Fixed until then: whatever else changes meanwhile does not put it off.
        let mut retry_at: Option<Instant> = None;
        // What is wanted at the beginning was wanted of an instance before this one, and may have been updated since.
        let mut is_renewed = true;
        loop {
            changed.borrow_and_update();
            let due = self.herald.take_due();
            if !due.is_empty() {
                self.ask(due, is_renewed).await;
                is_renewed = false;
                continue;
            }
            is_renewed = false;
            self.forget_unwanted();
            if self.again.is_empty() {
                (pause, retry_at) = (first, None);
            } else if retry_at.is_none() {
                retry_at = Some(Instant::now() + pause);
                pause = (pause * 2).min(longest);
            }
            let until = retry_at.unwrap_or_else(Instant::now);
            tokio::select! {
                // Cancel-safe: two receivers and a sleep. The order is fixed so that a run can be repeated.
                biased;
                Ok(()) = changed.changed() => {}
                Some(number) = ended.recv() => {
                    self.forget(number);
                }
                () = sleep_until(until), if retry_at.is_some() => {
                    retry_at = None;
                    self.herald.told.send_modify(|told| told.forget(&self.again));
                }
            }
        }
    }

    /// A stream has ended: what it told of is to be asked for again.
    fn forget(&mut self, number: u64) {
        let place = self.streams.iter().position(|stream| stream.number == number);
        let uris = place.map(|place| self.streams.swap_remove(place).uris).unwrap_or_default();
        let ended = refused(&UpstreamError::Gone("it ended the subscription".to_owned()));
        self.herald.told.send_modify(|told| uris.iter().for_each(|uri| told.settle(uri, ended.clone())));
        self.again.extend(uris);
    }

    /// What nobody wants any more is not asked for again.
    fn forget_unwanted(&mut self) {
        let told = self.herald.told.borrow();
        self.again.retain(|uri| matches!(told.outcome(uri), Some(Outcome::Refused(_))));
    }

    /// Asks for what is due; what comes to nothing is to be asked for again. Of what is renewed those who want it are told, since they may
    /// have missed something.
    async fn ask(&mut self, due: Due, is_renewed: bool) {
        self.unsubscribe(due.unsubscribe).await;
        let outcomes = if due.subscribe.is_empty() {
            Vec::new()
        } else {
            match self.connection.era {
                Era::Legacy => self.subscribe(due.subscribe).await,
                Era::Modern => self.listen(due.subscribe).await,
            }
        };
        let mut renewed = Vec::new();
        for (uri, outcome) in outcomes {
            let is_taken = outcome == Outcome::Taken;
            self.herald.told.send_modify(|told| told.settle(&uri, outcome));
            if !is_taken {
                self.again.insert(uri);
            } else if self.again.remove(&uri) || is_renewed {
                renewed.push(uri);
            }
        }
        self.herald.tell_of(renewed);
    }

    /// Asks a legacy server, some at once.
    async fn subscribe(&self, uris: BTreeSet<String>) -> Vec<(String, Outcome)> {
        let uris: Vec<String> = uris.into_iter().collect();
        let mut outcomes = Vec::with_capacity(uris.len());
        for some in uris.chunks(AT_ONCE) {
            let asked = some.iter().map(|uri| async move {
                let outcome = match self.say("resources/subscribe", uri).await {
                    Ok(Answer::Result(_)) => Outcome::Taken,
                    Ok(Answer::Error(error)) => Outcome::Refused(error),
                    Err(error) => refused(&error),
                };
                (uri.clone(), outcome)
            });
            outcomes.extend(join_all(asked).await);
        }
        outcomes
    }

    async fn unsubscribe(&mut self, uris: BTreeSet<String>) {
        if self.connection.era == Era::Modern {
            self.streams.iter_mut().for_each(|stream| stream.uris.retain(|uri| !uris.contains(uri)));
            self.streams.retain(|stream| !stream.uris.is_empty());
            return;
        }
        let uris: Vec<String> = uris.into_iter().collect();
        for some in uris.chunks(AT_ONCE) {
            // One that does not hear it tells of what nobody wants.
            drop(join_all(some.iter().map(|uri| self.say("resources/unsubscribe", uri))).await);
        }
    }

    async fn say(&self, method: &str, uri: &str) -> Result<Answer, UpstreamError> {
        let params = format!("{{\"uri\":{}}}", quote(uri));
        let params = RawObject::parse(&params).unwrap_or_default();
        let Connection { link, .. } = &*self.connection;
        let asking = async { link.call(self.connection.dress(None), method, params, false).await.answer().await };
        timeout(TAKE_TIME, asking).await.unwrap_or_else(|_| Err(silent()))
    }

    /// Opens a stream of a modern server.
    async fn listen(&mut self, uris: BTreeSet<String>) -> Vec<(String, Outcome)> {
        let is_full = self.streams.len() >= STREAMS_LIMIT;
        let held = self.streams.iter().filter(|_| is_full).flat_map(|stream| &stream.uris);
        let list: Vec<String> = uris.iter().chain(held).map(|uri| quote(uri)).collect();
        let wanted = format!("{{\"resourceSubscriptions\":[{}]}}", list.join(","));
        let params = format!("{{\"notifications\":{wanted},\"_meta\":{}}}", own_meta());
        let params = RawObject::parse(&params).unwrap_or_default();
        let dress = Dress::Modern { name: None, params: &[] };
        let opening = self.connection.link.call(dress, "subscriptions/listen", params, false);
        let opened = timeout(TAKE_TIME, opening).await.unwrap_or_else(|_| Exchange::Done(Err(silent())));
        let refused = match opened {
            Exchange::Done(answer) => refusal(answer),
            Exchange::Open(mut open) => match timeout(ACKNOWLEDGE_TIME, acknowledged(&mut open)).await {
                Ok(Err(answer)) => refusal(answer),
                Ok(Ok(taken)) => return self.hold(open, uris, Some(&taken), is_full),
                Err(_) => return self.hold(open, uris, None, is_full),
            },
        };
        uris.into_iter().map(|uri| (uri, refused.clone())).collect()
    }

    /// Holds a stream for those resources that the server has taken; all of them where it did not say. One that is for everything takes the
    /// place of the others, except for what they alone tell of.
    fn hold(
        &mut self,
        mut open: OpenExchange,
        uris: BTreeSet<String>,
        taken: Option<&BTreeSet<String>>,
        is_for_all: bool,
    ) -> Vec<(String, Outcome)> {
        self.opened += 1;
        let (number, herald, ended) = (self.opened, self.herald.clone(), self.ended.clone());
        let task = tokio::spawn(async move {
            while let Next::Note(note) = open.next().await {
                if let Note::Notification { method, params } = note
                    && method == "notifications/resources/updated"
                {
                    let params = params.as_deref().and_then(RawObject::parse).unwrap_or_default();
                    herald.tell(&params.get_str("uri").unwrap_or_default());
                }
            }
            // Whoever keeps it may be gone.
            ended.send(number).await.unwrap_or(());
        });
        let is_taken = |uri: &String| taken.is_none_or(|taken| taken.contains(uri));
        let not_told = RpcError::new(RpcError::INVALID_PARAMS, "the server does not tell of this resource").to_json();
        let outcome = |uri: &String| if is_taken(uri) { Outcome::Taken } else { Outcome::Refused(not_told.clone()) };
        let outcomes = uris.iter().map(|uri| (uri.clone(), outcome(uri))).collect();
        let mut uris: BTreeSet<String> = uris.into_iter().filter(is_taken).collect();
        if is_for_all {
            for stream in &mut self.streams {
                let (replaced, kept) = std::mem::take(&mut stream.uris).into_iter().partition(is_taken);
                stream.uris = kept;
                let replaced: BTreeSet<String> = replaced;
                uris.extend(replaced);
            }
            self.streams.retain(|stream| !stream.uris.is_empty());
        }
        // Where nothing was taken the stream ends with this.
        let task = Listening::new(task.abort_handle());
        if !uris.is_empty() {
            self.streams.push(Stream { number, uris, _task: task });
        }
        outcomes
    }
}

/// What a server says that it has taken, or its answer where it ends the stream before.
async fn acknowledged(open: &mut OpenExchange) -> Result<BTreeSet<String>, Result<Answer, UpstreamError>> {
    loop {
        match open.next().await {
            Next::Answer(answer) => return Err(answer),
            Next::Note(Note::Notification { method, params })
                if method == "notifications/subscriptions/acknowledged" =>
            {
                let params = params.as_deref().and_then(RawObject::parse).unwrap_or_default();
                let taken = params.get("notifications").and_then(RawObject::parse).unwrap_or_default();
                let taken = taken.get("resourceSubscriptions").and_then(|text| serde_json::from_str(text).ok());
                return Ok(taken.unwrap_or_default());
            }
            Next::Note(_) => {}
        }
    }
}

fn refusal(answer: Result<Answer, UpstreamError>) -> Outcome {
    match answer {
        Ok(Answer::Error(error)) => Outcome::Refused(error),
        Ok(Answer::Result(_)) => refused(&UpstreamError::Gone("it ended the subscription".to_owned())),
        Err(error) => refused(&error),
    }
}

fn refused(error: &UpstreamError) -> Outcome {
    Outcome::Refused(RpcError::new(RpcError::SERVER_UNAVAILABLE, error.to_string()).to_json())
}

fn silent() -> UpstreamError {
    UpstreamError::Gone(format!("it did not take a subscription within {}s", TAKE_TIME.as_secs()))
}
