//! What a server says outside of any request, told to the client whose session it says it in.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::question::AskingServer;
use crate::audit::{Asker, Draft, Questions};
use crate::era::Era;
use crate::secrets::SecretsSince;
use crate::session::ClientSession;
use crate::upstream::exchange::Note;
use crate::upstream::http::{HttpLink, HttpSession};
use crate::upstream::link::Link;
use crate::wire::reply::notification;

/// What tells a client something that belongs to none of its requests.
pub(super) struct Teller {
    pub(super) server: Arc<str>,
    /// Its id.
    pub(super) instance: String,
    pub(super) questions: Arc<Questions>,
    /// What it may not be told.
    pub(super) secrets: SecretsSince,
}

impl Teller {
    /// Listens to a server's session for the client whose session it is. The receiver tells that the server has opened its stream, or has none.
    pub(super) fn listen(
        self,
        client: Weak<ClientSession>,
        link: &HttpLink,
        session: &HttpSession,
    ) -> (AbortHandle, oneshot::Receiver<()>) {
        let (link, session) = (link.clone(), session.clone());
        let (tell_open, opened) = oneshot::channel();
        let task = tokio::spawn(async move {
            let notes = link.listen_on(&session).await;
            // Whoever waited may have had enough.
            tell_open.send(()).unwrap_or(());
            let Ok(Some(mut notes)) = notes else { return };
            let asker = || AskingServer { link: Link::Http(link.clone()), session: session.clone() };
            while let Some(note) = notes.recv().await {
                let Some(client) = client.upgrade() else { return };
                let message = match note {
                    // Lists are the gateway's own, and it tells of their changes itself.
                    Note::Notification { method, .. } if method.ends_with("/list_changed") => continue,
                    // It is the gateway's own session that subscribes, for all who want it.
                    Note::Notification { method, .. } if method == "notifications/resources/updated" => continue,
                    // Progress belongs to a call, and is told beside that.
                    Note::Notification { method, .. } if method == "notifications/progress" => continue,
                    Note::Notification { method, params } if method == "notifications/cancelled" => {
                        let Some(message) = asker().cancel(&client, params.as_deref()) else { continue };
                        message
                    }
                    Note::Notification { method, params } => notification(&method, params.as_deref()),
                    Note::Request { id, method, params } => {
                        let draft = self.begin_question(&client, &method, params.as_deref());
                        asker().ask(&client, draft, id, &method, params.as_deref())
                    }
                };
                client.tell(self.secrets.hide(message).into_owned());
            }
        });
        (task.abort_handle(), opened)
    }

    fn begin_question(&self, client: &ClientSession, method: &str, params: Option<&str>) -> Draft {
        let asker = Asker {
            server: &self.server,
            instance: Some(&self.instance),
            name: None,
            principal: &client.principal,
            era: Era::Legacy,
            session: Some(client),
        };
        self.questions.begin(asker, &self.secrets, method, params)
    }
}
