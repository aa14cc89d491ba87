//! The server on stdin and stdout, one message a line.
//!
//! `rmcp` reads and writes a pipe of our own. Between that pipe and the process's there is room for what it does not do: to know one era
//! alone, and to print what is no message.

use anyhow::Context as _;
use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;

use crate::arguments::Behaviour;
use crate::era::Era;
use crate::fixture::Fixture;

/// How much the pipe holds: a message of any size passes, in pieces.
const PIPE_BYTES: usize = 64 * 1024;

/// How many lines may wait for a slow reader of stdout before the server waits for it.
const LINES: usize = 64;

/// Serves one client until its input ends, and what was asked until then is answered.
pub(crate) async fn serve(fixture: Fixture, behaviour: &Behaviour) -> anyhow::Result<()> {
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let (from_server, to_server) = tokio::io::split(ours);
    let (lines_tx, lines_rx) = mpsc::channel(LINES);
    let server = async {
        match fixture.serve(theirs).await {
            Ok(service) => service.waiting().await.map(drop).context("the server has failed"),
            // The input ended before anybody said hello.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(error).context("the server could not begin"),
        }
    };
    let input = pump_in(tokio::io::stdin(), to_server, behaviour.era, lines_tx.clone());
    let output = pump_out(from_server, lines_tx);
    let print = print(lines_rx, behaviour.stray_stdout);
    let (server, input, output, print) = tokio::join!(server, input, output, print);
    server.and(input).and(output).and(print)
}

/// Passes lines on to the server, except those that it refuses for the sake of its era.
async fn pump_in(
    input: impl AsyncRead + Unpin,
    mut to_server: impl AsyncWrite + Unpin,
    era: Era,
    lines: mpsc::Sender<String>,
) -> anyhow::Result<()> {
    let mut input = BufReader::new(input).lines();
    while let Some(mut line) = input.next_line().await.context("cannot read stdin")? {
        let refusal = serde_json::from_str::<Value>(&line).ok().and_then(|message| era.refuse(&message));
        if let Some(refusal) = refusal {
            lines.send(refusal.response.to_string()).await.context("cannot print a refusal")?;
            continue;
        }
        line.push('\n');
        if to_server.write_all(line.as_bytes()).await.is_err() {
            break;
        }
    }
    // The server sees the end of its input by this, and ends.
    to_server.shutdown().await.ok();
    Ok(())
}

/// Collects the server's lines.
async fn pump_out(from_server: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) -> anyhow::Result<()> {
    let mut from_server = BufReader::new(from_server).lines();
    while let Some(line) = from_server.next_line().await.context("cannot read the server")? {
        lines.send(line).await.context("cannot print a message")?;
    }
    Ok(())
}

/// Prints whole lines, each at once, with strays in between if wanted.
async fn print(mut lines: mpsc::Receiver<String>, with_strays: bool) -> anyhow::Result<()> {
    let mut stdout = tokio::io::stdout();
    let mut strays =
        ["starting up, this is no message", "", r#"{"level":"info","msg":"nor is this"}"#, "[1, 2"].iter().cycle();
    while let Some(line) = lines.recv().await {
        let stray = strays.next().filter(|_| with_strays);
        let text = stray.map_or_else(|| format!("{line}\n"), |stray| format!("{stray}\n{line}\n"));
        stdout.write_all(text.as_bytes()).await.context("cannot write to stdout")?;
        stdout.flush().await.context("cannot write to stdout")?;
    }
    Ok(())
}
