//! Who is told that a list or a resource has changed: sessions of the Legacy era, streams of the Modern one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, RoleServer, SubscriptionSendError, SubscriptionSink};

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The contents of the resource with this URI.
    Updated(&'static str),
}

/// The URIs that one session has subscribed to.
pub(crate) type Subscribed = Arc<Mutex<BTreeSet<String>>>;

/// One that wants to be told.
#[derive(Debug, Clone)]
enum Listener {
    Session { peer: Peer<RoleServer>, subscribed: Subscribed },
    Stream(SubscriptionSink),
}

/// All that want to be told. Those that are gone are dropped at the next change.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    /// Adds a session of the Legacy era.
    pub(crate) fn add_session(&self, peer: Peer<RoleServer>, subscribed: Subscribed) {
        self.add(Listener::Session { peer, subscribed });
    }

    /// Adds a stream of the Modern era.
    pub(crate) fn add_stream(&self, sink: SubscriptionSink) {
        self.add(Listener::Stream(sink));
    }

    fn add(&self, listener: Listener) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Tells everyone whom it concerns.
    pub(crate) async fn tell(&self, change: Change) {
        let listeners = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for listener in listeners {
            let is_there = match &listener {
                Listener::Session { peer, subscribed } => tell_session(peer, subscribed, change).await,
                Listener::Stream(sink) => tell_stream(sink, change).await,
            };
            if is_there {
                self.add(listener);
            }
        }
    }
}

/// Tells a session; returns whether it is still there.
async fn tell_session(peer: &Peer<RoleServer>, subscribed: &Subscribed, change: Change) -> bool {
    if peer.is_transport_closed() {
        return false;
    }
    let told = match change {
        Change::Tools => peer.notify_tool_list_changed().await,
        Change::Prompts => peer.notify_prompt_list_changed().await,
        Change::Resources => peer.notify_resource_list_changed().await,
        Change::Updated(uri) => {
            if !subscribed.lock().unwrap_or_else(PoisonError::into_inner).contains(uri) {
                return true;
            }
            peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await
        }
    };
    told.is_ok()
}

/// Tells a stream, which knows itself what was asked of it; returns whether it is still there.
async fn tell_stream(sink: &SubscriptionSink, change: Change) -> bool {
    let told = match change {
        Change::Tools => sink.notify_tool_list_changed().await,
        Change::Prompts => sink.notify_prompt_list_changed().await,
        Change::Resources => sink.notify_resource_list_changed().await,
        Change::Updated(uri) => sink.notify_resource_updated(uri).await,
    };
    match told {
        Ok(()) | Err(SubscriptionSendError::NotificationNotAccepted(_)) => true,
        Err(_) => false,
    }
}
