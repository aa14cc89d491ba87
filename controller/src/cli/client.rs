//! The HTTP client of the commands: one short connection a request, over TCP or a unix socket, with time limits.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::sanitise::one_line;
use crate::config::ServerAddress;
use crate::http::api::ProblemBody;
use crate::http::token::Token;

/// A server that has not taken the connection by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An answer that has not begun by then does not come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A watch without even an empty line for this long is dead.
const WATCH_TIMEOUT: Duration = Duration::from_secs(45);

/// No answer is longer.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// No line of a watch is longer.
const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// Asks a server. It connects anew for every request.
#[derive(Debug, Clone)]
pub struct Client {
    server: ServerAddress,
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody takes connections there.
    #[error("cannot reach the controller at {server}")]
    Unreachable {
        /// Where.
        server: ServerAddress,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("lost the connection to {server}")]
    Lost {
        /// Where.
        server: ServerAddress,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("{server} did not answer in {} s", after.as_secs())]
    TimedOut {
        /// Where.
        server: ServerAddress,
        /// After how long.
        after: Duration,
    },
    /// The server refuses.
    #[error("{}", problem_text(problem))]
    Refused {
        /// What it says.
        problem: ProblemBody,
    },
    /// The answer is not what this version understands.
    #[error("{server} gave an answer that is not understood")]
    NotUnderstood {
        /// Where.
        server: ServerAddress,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

fn problem_text(problem: &ProblemBody) -> String {
    let text = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
    one_line(text)
}

impl ClientError {
    /// What the user can do about it; empty where nothing is known.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreachable { .. } => "is `evenkeel run` running? `--server` or EVENKEEL_SERVER says where".into(),
            Self::NotUnderstood { .. } => {
                "is another program listening there, or an `evenkeel` of another version?".into()
            }
            Self::Refused { problem } => problem.hints.iter().map(|hint| one_line(hint)).collect::<Vec<_>>().join("; "),
            Self::Lost { .. } | Self::TimedOut { .. } => String::new(),
        }
    }

    /// The status of a refusal.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { problem } => Some(problem.status),
            Self::Unreachable { .. } | Self::Lost { .. } | Self::TimedOut { .. } | Self::NotUnderstood { .. } => None,
        }
    }
}

impl Client {
    /// A client of a server.
    pub fn new(server: ServerAddress) -> Self {
        Self { server }
    }

    /// Gets JSON; `target` is a path with its query.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let response = self.send(Request::get(target), Bytes::new()).await?;
        self.read_json(response).await
    }

    /// Posts JSON with a bearer token, and reads the answer's.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn post<T: DeserializeOwned>(&self, target: &str, token: &Token, body: String) -> Result<T, ClientError> {
        let request = Request::post(target)
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        let response = self.send(request, Bytes::from(body)).await?;
        self.read_json(response).await
    }

    /// Opens a watch.
    ///
    /// # Errors
    /// When there is no answer, or it is a problem.
    pub async fn watch(&self, target: &str) -> Result<LineStream, ClientError> {
        let response = self.send(Request::get(target), Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(self.read_problem(response).await);
        }
        Ok(LineStream { server: self.server.clone(), body: response.into_body(), buffer: Vec::new(), is_ended: false })
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        match &self.server {
            ServerAddress::Http(authority) => {
                let stream = self.connect(TcpStream::connect(authority)).await?;
                self.exchange(stream, request.header(HOST, authority), body).await
            }
            ServerAddress::Unix(path) => {
                let stream = self.connect(UnixStream::connect(path)).await?;
                self.exchange(stream, request.header(HOST, "localhost"), body).await
            }
        }
    }

    async fn connect<S>(&self, connecting: impl Future<Output = io::Result<S>>) -> Result<S, ClientError> {
        let connected =
            timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        connected.map_err(|source| ClientError::Unreachable { server: self.server.clone(), source })
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let request = request.body(Full::new(body)).map_err(|error| self.lost(error))?;
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // The task ends with the connection, which ends with the response's body or when the sender is dropped without one.
            drop(tokio::spawn(connection));
            sender.send_request(request).await
        };
        match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(answer) => answer.map_err(|error| self.lost(error)),
            Err(_) => Err(ClientError::TimedOut { server: self.server.clone(), after: ANSWER_TIMEOUT }),
        }
    }

    async fn read_json<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        if !response.status().is_success() {
            return Err(self.read_problem(response).await);
        }
        let bytes = self.read_body(response).await?;
        let not_understood = |source| ClientError::NotUnderstood { server: self.server.clone(), source };
        serde_json::from_slice(&bytes).map_err(not_understood)
    }

    async fn read_problem(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        let bytes = match self.read_body(response).await {
            Ok(bytes) => bytes,
            Err(error) => return error,
        };
        let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| unexplained(status));
        ClientError::Refused { problem }
    }

    async fn read_body(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        match timeout(ANSWER_TIMEOUT, Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect()).await {
            Ok(body) => Ok(body.map_err(|source| self.lost(source))?.to_bytes()),
            Err(_) => Err(ClientError::TimedOut { server: self.server.clone(), after: ANSWER_TIMEOUT }),
        }
    }

    fn lost(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Lost { server: self.server.clone(), source: source.into() }
    }
}

fn unexplained(status: StatusCode) -> ProblemBody {
    ProblemBody {
        status: status.as_u16(),
        title: format!("the server answers {status}"),
        detail: String::new(),
        hints: Vec::new(),
    }
}

/// The lines of a watch.
#[derive(Debug)]
pub struct LineStream {
    server: ServerAddress,
    body: Incoming,
    buffer: Vec<u8>,
    is_ended: bool,
}

impl LineStream {
    /// The next line as JSON; `None` when the server ended the watch. Empty lines only show that it lives.
    ///
    /// # Errors
    /// When the connection broke or went silent, or a line is not understood.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                if line.len() > 1 {
                    let not_understood = |source| ClientError::NotUnderstood { server: self.server.clone(), source };
                    return serde_json::from_slice(&line).map(Some).map_err(not_understood);
                }
            } else if self.is_ended {
                return Ok(None);
            } else {
                self.read_more().await?;
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), ClientError> {
        let Ok(frame) = timeout(WATCH_TIMEOUT, self.body.frame()).await else {
            return Err(ClientError::TimedOut { server: self.server.clone(), after: WATCH_TIMEOUT });
        };
        match frame {
            None => self.is_ended = true,
            Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(error)) => return Err(ClientError::Lost { server: self.server.clone(), source: error.into() }),
        }
        if self.buffer.len() > MAX_LINE_BYTES {
            let source = io::Error::other("a line of the watch is too long");
            return Err(ClientError::Lost { server: self.server.clone(), source: source.into() });
        }
        Ok(())
    }
}
