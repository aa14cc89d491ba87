//! The bridge: a server by standard input and output for clients that speak nothing else, which relays every message to a gateway.
//!
//! # Guarantees
//! Every request that is not cancelled gets one answer, under the id that it came with. A call is never sent twice when it may have been
//! carried out. Nothing but messages is written, each on one line. What is held is bounded: a line, how many requests are under way, and
//! how much waits for the client.

mod asked;
mod backoff;
mod cache;
mod dress;
mod output;
mod relay;
mod remote;
mod reply;
mod request;
mod session;
mod stream;
mod subscription;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::cache::{Cache, file_name};
use self::dress::ToolHeaders;
use self::output::{Output, write_messages};
use self::relay::Relay;
use self::remote::Remote;
use self::request::Bridge;
use self::session::{Parts, SessionHandle, State};
use crate::address::McpAddress;
use crate::upstream::lines::{Line, read_line, skip_line};
use crate::upstream::stdio::LINE_LIMIT;
use crate::wire::reply::RpcError;

/// How long a request waits for a gateway that cannot be reached.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long answers are waited for after the client has closed its side.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How long the gateway has to hear that the session is over, and the client to take the last answers.
const GOODBYE_TIME: Duration = Duration::from_secs(1);
/// The same when the bridge is told to end at once.
const HURRIED_GOODBYE_TIME: Duration = Duration::from_millis(200);
/// How many lines of the client wait at most.
const LINES_LENGTH: usize = 16;

/// How a bridge is set.
#[derive(Debug, Clone)]
pub struct BridgeConfig {
    /// The gateway.
    pub address: McpAddress,
    /// What it is to be told to be let in.
    pub token: Option<String>,
    /// Where what it answered is kept for when it cannot be reached; nowhere when absent.
    pub cache_dir: Option<PathBuf>,
    /// How long a request waits for it, usually [`PATIENCE`].
    pub patience: Duration,
}

/// Why a bridge ended.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The token cannot be sent.
    #[error("the token has characters that no HTTP header can hold")]
    Token,
    /// The client could not be read.
    #[error("cannot read standard input")]
    Input(#[source] std::io::Error),
    /// The client takes no more messages.
    #[error("cannot write standard output")]
    Output(#[source] std::io::Error),
}

/// How the client's side ended.
enum Ending {
    /// It will say nothing more, and may wait for answers.
    Closed,
    /// The bridge was told to end.
    Stopped,
}

/// Relays messages until the client closes its side, or at once when `stop` is ready.
///
/// # Errors
/// When the token cannot be sent, or the client's streams break.
pub async fn run<R, W>(
    config: BridgeConfig,
    input: R,
    output: W,
    stop: impl Future<Output = ()>,
) -> Result<(), BridgeError>
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let BridgeConfig { address, token, cache_dir, patience } = config;
    let remote = Remote::new(&address, token.as_deref()).ok_or(BridgeError::Token)?;
    let cache = Cache::open(cache_dir.map(|directory| directory.join(file_name(&address, token.as_deref()))));
    let (to_client, messages) = Output::new();
    let mut writer = tokio::spawn(write_messages(output, messages));
    let parts = Arc::new(Parts::new(remote, to_client, cache, patience));
    let (session, keeper) = SessionHandle::start(Arc::clone(&parts));
    let bridge = Bridge { parts, session: session.clone(), tools: Arc::new(ToolHeaders::default()) };
    let remote = bridge.parts.remote.clone();
    let mut relay = Relay::new(bridge);

    let (lines_tx, lines) = mpsc::channel(LINES_LENGTH);
    let reader = tokio::spawn(read_lines(input, lines_tx));
    let ending = tokio::select! {
        // Each arm ends the bridge, so that nothing is lost by dropping the others.
        () = relay_lines(&mut relay, lines) => Ok(Ending::Closed),
        () = stop => Ok(Ending::Stopped),
        written = &mut writer => Err(written),
    };
    reader.abort();
    let ending = match ending {
        Ok(ending) => ending,
        Err(written) => {
            keeper.abort();
            return written.unwrap_or(Ok(())).map_err(BridgeError::Output);
        }
    };
    let goodbye = match ending {
        Ending::Closed => {
            relay.drain(DRAIN_TIME).await;
            GOODBYE_TIME
        }
        Ending::Stopped => HURRIED_GOODBYE_TIME,
    };
    keeper.abort();
    // It has been told to end, and how it did is nothing to anybody.
    drop(keeper.await);
    relay.end().await;
    if let State::Open(open) = session.state() {
        drop(timeout(goodbye, remote.end(&open.session)).await);
    }
    // With the last sender gone the writer ends once everything is written.
    match timeout(goodbye, &mut writer).await {
        Ok(written) => written.unwrap_or(Ok(())).map_err(BridgeError::Output)?,
        Err(_) => writer.abort(),
    }
    match reader.await {
        Ok(Err(error)) => Err(BridgeError::Input(error)),
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

async fn relay_lines(relay: &mut Relay, mut lines: mpsc::Receiver<Line>) {
    while let Some(line) = relay.next_of(&mut lines).await {
        match line {
            Line::Text(line) if line.trim().is_empty() => {}
            Line::Text(line) => relay.take(line).await,
            Line::Garbage => relay.refuse(None, &RpcError::new(RpcError::PARSE, "it is no UTF-8")).await,
            Line::TooLong => {
                let message = format!("a message may have {LINE_LIMIT} bytes");
                relay.refuse(None, &RpcError::new(RpcError::TOO_LARGE, message)).await;
            }
            Line::End => return,
        }
    }
}

async fn read_lines<R: AsyncRead + Unpin>(input: R, lines: mpsc::Sender<Line>) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(64 * 1024, input);
    loop {
        let line = read_line(&mut input, LINE_LIMIT).await?;
        let is_too_long = line == Line::TooLong;
        if line == Line::End || lines.send(line).await.is_err() {
            return Ok(());
        }
        if is_too_long {
            skip_line(&mut input).await?;
        }
    }
}
