//! The Engine's stream of events.

use std::collections::HashMap;
use std::sync::Arc;

use bollard::ClientVersion;
use bollard::errors::Error;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;

use super::failure::Call;
use super::transport::{Address, Mode, open_client};
use crate::engine::classify::clean_text;
use crate::engine::{EngineError, EngineEvent, EventSubject};

/// Subscribes, and returns once the Engine has accepted: what happens after that is in the stream.
///
/// Without the wait, a list made right after could miss what an event of the same moment tells.
pub(super) async fn subscribe(
    address: &Address,
    version: &ClientVersion,
    call: Call,
) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
    let answered = Arc::new(Notify::new());
    let docker =
        open_client(address, version, Mode::Announced(Arc::clone(&answered))).map_err(|error| call.fail(&error))?;
    let subjects = ["container", "image", "network", "volume"].map(str::to_owned).to_vec();
    let options = EventsOptionsBuilder::new().filters(&HashMap::from([("type", subjects)])).build();
    let mut messages = Box::pin(docker.events(Some(options)));
    // Both arms are cancel-safe: a notification is kept until it is taken, and `next` loses nothing when dropped.
    let first = tokio::select! {
        biased;
        () = answered.notified() => None,
        message = messages.next() => match message {
            Some(Ok(message)) => Some(Ok(message)),
            Some(Err(error)) => return Err(call.fail(&error)),
            None => None,
        },
    };
    let translate = move |message: Result<EventMessage, Error>| match message {
        Ok(message) => engine_event(message).map(Ok),
        Err(error) => Some(Err(call.fail(&error))),
    };
    Ok(stream::iter(first).chain(messages).filter_map(move |message| std::future::ready(translate(message))).boxed())
}

/// One event in our words; `None` for one without an id or about something else.
fn engine_event(message: EventMessage) -> Option<EngineEvent> {
    let subject = event_subject(message.typ?)?;
    let actor = message.actor?;
    let attributes = actor.attributes.unwrap_or_default();
    let action = message.action.unwrap_or_default();
    let told = match subject {
        EventSubject::Container | EventSubject::Image => "name",
        EventSubject::Network | EventSubject::Volume => "container",
    };
    Some(EngineEvent {
        subject,
        id: actor.id?,
        actor: attributes.get(told).map(|text| clean_text(text)).unwrap_or_default(),
        exit_code: if action == "die" { attributes.get("exitCode").and_then(|code| code.parse().ok()) } else { None },
        // The command line of a probe is part of the action.
        action: clean_text(&action).chars().take(ACTION_LIMIT).collect(),
    })
}

fn event_subject(typ: EventMessageTypeEnum) -> Option<EventSubject> {
    match typ {
        EventMessageTypeEnum::CONTAINER => Some(EventSubject::Container),
        EventMessageTypeEnum::IMAGE => Some(EventSubject::Image),
        EventMessageTypeEnum::NETWORK => Some(EventSubject::Network),
        EventMessageTypeEnum::VOLUME => Some(EventSubject::Volume),
        EventMessageTypeEnum::EMPTY
        | EventMessageTypeEnum::BUILDER
        | EventMessageTypeEnum::CONFIG
        | EventMessageTypeEnum::DAEMON
        | EventMessageTypeEnum::NODE
        | EventMessageTypeEnum::PLUGIN
        | EventMessageTypeEnum::SECRET
        | EventMessageTypeEnum::SERVICE => None,
    }
}

/// The most characters of an action that are kept.
const ACTION_LIMIT: usize = 64;

#[cfg(test)]
mod tests {
    use super::engine_event;
    use crate::engine::{EngineEvent, EventSubject};

    #[test]
    fn a_death_tells_its_exit_code_and_a_network_event_its_container() {
        let event = |text: &str| engine_event(serde_json::from_str(text).unwrap());
        let die = r#"{"status":"die","id":"01","from":"web","Type":"container","Action":"die","Actor":{"ID":"01",
            "Attributes":{"exitCode":"137","image":"web","name":"web-0"}},"scope":"local","time":1,"timeNano":1}"#;
        let expected = EngineEvent {
            subject: EventSubject::Container,
            id: "01".into(),
            action: "die".into(),
            actor: "web-0".into(),
            exit_code: Some(137),
        };
        assert_eq!(event(die), Some(expected));
        let network = r#"{"Type":"network","Action":"connect","Actor":{"ID":"02","Attributes":{"container":"01","name":"back","type":"bridge"}}}"#;
        assert_eq!(event(network).map(|event| event.actor), Some("01".into()));
        let exec = r#"{"Type":"container","Action":"exec_start: /bin/sh -c \u001b[31mpretend to be something else than it is, at some length","Actor":{"ID":"01"}}"#;
        let action = event(exec).unwrap().action;
        assert!(action.starts_with("exec_start: /bin/sh -c \\u{1b}") && action.chars().count() == 64, "{action}");
        assert_eq!(event(r#"{"Type":"daemon","Action":"reload","Actor":{"ID":"x"}}"#), None);
    }
}
