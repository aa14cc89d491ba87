//! A link of either sort.

use super::exchange::{Answer, Exchange, UpstreamError};
use super::http::{Dress, HttpLink, HttpSession};
use super::stdio::StdioLink;
use crate::wire::object::RawObject;

/// The way to one instance of a server.
#[derive(Debug, Clone)]
pub enum Link {
    /// By its standard input and output.
    Stdio(StdioLink),
    /// By HTTP.
    Http(HttpLink),
}

impl Link {
    /// Whether it is the same link, and not only one to the same place.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdio(one), Self::Stdio(other)) => one.is_same(other),
            (Self::Http(one), Self::Http(other)) => one.is_same(other),
            (Self::Stdio(_), Self::Http(_)) | (Self::Http(_), Self::Stdio(_)) => false,
        }
    }

    /// Sends a request. How it is dressed matters to HTTP alone.
    pub async fn call(&self, dress: Dress<'_>, method: &str, params: RawObject<'_>, wants_progress: bool) -> Exchange {
        match self {
            Self::Stdio(link) => link.call(method, params, wants_progress).await,
            Self::Http(link) => link.call(dress, method, params, wants_progress).await,
        }
    }

    /// The same with params that are written already.
    pub async fn call_with(&self, dress: Dress<'_>, method: &str, params: &str, wants_progress: bool) -> Exchange {
        match self {
            Self::Stdio(link) => link.call_with(method, params, wants_progress).await,
            Self::Http(link) => link.call_with(dress, method, params, wants_progress).await,
        }
    }

    /// Begins a session of a legacy server.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn initialize(&self, params: RawObject<'_>) -> Result<(Answer, Option<String>), UpstreamError> {
        match self {
            Self::Stdio(link) => Ok((link.call("initialize", params, false).await.answer().await?, None)),
            Self::Http(link) => link.initialize(params).await,
        }
    }

    /// Answers a request of the server's.
    ///
    /// # Errors
    /// When the answer does not get there.
    pub async fn respond(&self, session: &HttpSession, reply: String) -> Result<(), UpstreamError> {
        match self {
            Self::Stdio(link) => {
                link.respond(reply).await;
                Ok(())
            }
            Self::Http(link) => link.respond(session, reply).await,
        }
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When it does not get there.
    pub async fn notify(&self, session: &HttpSession, method: &str, params: Option<&str>) -> Result<(), UpstreamError> {
        match self {
            Self::Stdio(link) => {
                link.notify(method, params).await;
                Ok(())
            }
            Self::Http(link) => link.notify(Dress::Session(session), method, params).await,
        }
    }
}
