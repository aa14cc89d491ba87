//! A subscription of a session to a resource.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Relay;
use crate::server::instance::InFlight;
use crate::session::ClientSession;
use crate::subscription::Subscription;
use crate::upstream::exchange::{Answer, UpstreamError};

/// A subscription that is not taken yet: dropped before it is, there is none.
struct Pending<'session> {
    session: &'session ClientSession,
    /// Absent once it is taken.
    subscription: Option<Arc<Subscription>>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(subscription) = self.subscription.take() else { return };
        let uri = &subscription.watched.uri;
        let mut subscriptions = ClientSession::lock(&self.session.subscriptions);
        // The session may have ended it meanwhile, or subscribed anew.
        if subscriptions.get(uri).is_some_and(|known| Arc::ptr_eq(known, &subscription)) {
            subscriptions.remove(uri);
        }
    }
}

impl Relay {
    /// Subscribes a session to a resource. It is told of updates from now on, and not any more where the server does not take it.
    pub(super) async fn subscribe(
        &self,
        session: &ClientSession,
        instance: &InFlight,
    ) -> Result<Answer, UpstreamError> {
        let uri = &*self.target.original;
        let gone = || UpstreamError::Gone("it is another one for each call".to_owned());
        let place = self.server.place_of(&self.caller).ok_or_else(gone)?;
        instance.ask_anew(&BTreeSet::from([uri.to_owned()]));
        let subscription = Arc::new(self.server.subscriptions().add(place, uri));
        let mut pending = Pending { session, subscription: Some(Arc::clone(&subscription)) };
        ClientSession::lock(&session.subscriptions).insert(uri.to_owned(), subscription);
        let answer = instance.until_taken(uri).await;
        if let Ok(Answer::Result(_)) = &answer {
            pending.subscription = None;
        }
        answer
    }
}
