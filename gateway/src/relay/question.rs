//! What a server asks of a client, as the client is asked it.

use super::edit;
use crate::audit::Draft;
use crate::session::{Asked, ClientSession};
use crate::upstream::http::HttpSession;
use crate::upstream::link::Link;
use crate::wire::id::Id;
use crate::wire::object::RawObject;
use crate::wire::reply::{notification, request};

/// A server, and the session that it asks in.
pub(super) struct AskingServer {
    pub(super) link: Link,
    pub(super) session: HttpSession,
}

impl AskingServer {
    /// Puts a request of a server to the client whose session it is: the message that the client gets, with an id and a token of progress of
    /// the gateway's own. What the client says of either goes back under the server's. `draft`: the record of it.
    pub(super) fn ask(
        self,
        client: &ClientSession,
        draft: Draft,
        id: Id,
        method: &str,
        params: Option<&str>,
    ) -> String {
        let Self { link, session } = self;
        let progress_token = params.and_then(edit::progress_token);
        let has_token = progress_token.is_some();
        let number = client.ask(Asked::Server { link, session, id, progress_token }, draft);
        let params =
            params.map(|params| if has_token { edit::set_progress_token(params, number) } else { params.to_owned() });
        request(&Id::number(number), method, params.as_deref())
    }

    /// The message that tells the client that the server does not wait for an answer any more; `None` where it waits for none.
    pub(super) fn cancel(&self, client: &ClientSession, params: Option<&str>) -> Option<String> {
        let mut fields = RawObject::parse(params?)?;
        let id = serde_json::from_str(fields.get("requestId")?).ok().and_then(Id::parse)?;
        let number = client.cancel_asked(&self.link, &self.session, &id)?;
        fields.set("requestId", number.to_string());
        Some(notification("notifications/cancelled", Some(&fields.to_json())))
    }
}
