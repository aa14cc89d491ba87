//! `GET /sessions`: the sessions of whoever asks, and of nobody else.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::hub::Hub;
use crate::policy::Principal;
use crate::session::ClientSession;

/// The principal's sessions, the oldest first, as JSON text. Their ids are keys, so only the hash that the audit has stands in it.
pub(super) fn text(hub: &Hub, principal: &Principal) -> String {
    let mut sessions = hub.sessions.all();
    sessions.retain(|session| session.principal == *principal);
    sessions.sort_by_key(|session| session.begun);
    let sessions: Vec<Value> = sessions.iter().map(|session| describe(session)).collect();
    json!({ "principal": &*principal.name, "sessions": sessions }).to_string()
}

fn describe(session: &ClientSession) -> Value {
    json!({
        "session": session.digest(),
        "client": serde_json::from_str::<Value>(&session.client_info).unwrap_or_default(),
        "protocolVersion": session.version,
        "server": session.scope,
        "ageSeconds": session.begun.elapsed().as_secs(),
        "idleSeconds": session.idle().as_secs(),
        "underWay": session.busy.load(Ordering::Relaxed),
    })
}
