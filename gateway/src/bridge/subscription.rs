//! A modern client's subscription: opened again when the gateway went away, so that the client keeps the one that it has.

use super::asked::Asked;
use super::backoff::Backoff;
use super::remote::{Content, RemoteError};
use super::reply::{Read, Reply, refusal, unavailable};
use super::request::Bridge;
use crate::wire::envelope::Message;
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::reply::notification;

/// What the gateway says first.
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Forwards what comes until the gateway refuses it; a client that wants no more drops this.
pub(super) async fn hold(bridge: &Bridge, asked: &Asked) {
    let output = &bridge.parts.output;
    let mut subscription = Subscription { is_acknowledged: false, has_missed: false };
    let mut backoff = Backoff::within(bridge.parts.patience);
    loop {
        let why = match bridge.parts.remote.post(&bridge.tools.dress(asked), &asked.line).await {
            Ok(arrived) => match arrived.content {
                Content::Whole(text) => {
                    let reply = match (Reply::read(&text), refusal(arrived.status, &text)) {
                        (Some(Read::Reply(reply)), _) => Ok(reply),
                        (_, refused) => refused.map(|error| Reply::Error(error.to_json())),
                    };
                    match reply {
                        Ok(reply) => return output.write(reply.to_line(&asked.id)).await,
                        Err(why) => why,
                    }
                }
                Content::Stream(mut stream) => loop {
                    match stream.next().await {
                        Ok(Some(text)) => match Reply::read(&text) {
                            // It ends itself, and not what the client wants.
                            Some(Read::Reply(Reply::Result(_))) if subscription.is_acknowledged => {
                                break "the gateway ended it".to_owned();
                            }
                            Some(Read::Reply(reply)) => return output.write(reply.to_line(&asked.id)).await,
                            Some(Read::Other(method)) => {
                                backoff = Backoff::endless();
                                for message in subscription.forward(&method, text, &asked.id) {
                                    output.write(message).await;
                                }
                            }
                            None => {}
                        },
                        Ok(None) => break "its stream ended".to_owned(),
                        Err(RemoteError::Unreachable(why) | RemoteError::Broken(why)) => break why,
                    }
                },
            },
            Err(RemoteError::Unreachable(why) | RemoteError::Broken(why)) => why,
        };
        tracing::debug!(error = %why, "a subscription has to be opened again");
        subscription.has_missed = true;
        if !backoff.wait().await {
            let error = unavailable(&why, false).to_json();
            return output.write(Reply::Error(error).to_line(&asked.id)).await;
        }
    }
}

/// What the client knows of its subscription.
struct Subscription {
    is_acknowledged: bool,
    /// It was not there for a while.
    has_missed: bool,
}

impl Subscription {
    /// The messages that a message of the gateway becomes: the client hears once that it is acknowledged, and after a gap that whatever
    /// it listens for may have changed.
    fn forward(&mut self, method: &str, text: String, id: &Id) -> Vec<String> {
        if method != ACKNOWLEDGED {
            return vec![text];
        }
        let missed = if self.has_missed { changes_of(&text, id) } else { Vec::new() };
        self.has_missed = false;
        let is_first = !self.is_acknowledged;
        self.is_acknowledged = true;
        is_first.then_some(text).into_iter().chain(missed).collect()
    }
}

/// Everything that an acknowledged subscription listens for, told as changed.
fn changes_of(acknowledged: &str, id: &Id) -> Vec<String> {
    let Ok(Message::Notification { params, .. }) = Message::parse(acknowledged) else { return Vec::new() };
    let params = RawObject::of(params);
    let wanted = params.get("notifications").and_then(RawObject::parse).unwrap_or_default();
    let tag = format!("\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{}}}", id.as_json());
    let lists =
        [("toolsListChanged", "tools"), ("promptsListChanged", "prompts"), ("resourcesListChanged", "resources")];
    let lists = lists.into_iter().filter(|(flag, _)| wanted.get(flag) == Some("true"));
    let mut messages: Vec<String> = lists
        .map(|(_, list)| notification(&format!("notifications/{list}/list_changed"), Some(&format!("{{{tag}}}"))))
        .collect();
    let uris: Vec<&serde_json::value::RawValue> =
        wanted.get("resourceSubscriptions").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    messages.extend(
        uris.iter()
            .map(|uri| notification("notifications/resources/updated", Some(&format!("{{\"uri\":{uri},{tag}}}")))),
    );
    messages
}

#[cfg(test)]
mod tests {
    use super::{ACKNOWLEDGED, Subscription};
    use crate::wire::id::Id;

    #[test]
    fn a_gap_is_told_as_changes_and_the_acknowledgement_once() {
        let ack = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a://b"]},"_meta":{}}}"#;
        let mut subscription = Subscription { is_acknowledged: false, has_missed: false };
        let id = Id::number(3);
        assert_eq!(subscription.forward(ACKNOWLEDGED, ack.to_owned(), &id), [ack]);
        assert_eq!(subscription.forward("n", "{}".to_owned(), &id), ["{}"]);
        subscription.has_missed = true;
        let told = subscription.forward(ACKNOWLEDGED, ack.to_owned(), &id);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("tools/list_changed") && told[0].contains("subscriptionId\":3"), "{}", told[0]);
        assert!(told[1].contains("resources/updated") && told[1].contains("\"uri\":\"a://b\""), "{}", told[1]);
        assert_eq!(subscription.forward(ACKNOWLEDGED, ack.to_owned(), &id), Vec::<String>::new());
    }
}
