//! `evenkeel demo-mcp`: the demo's MCP server, over its standard streams or over HTTP.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::console::ExitStatus;
use super::demo_programs::read_host_name;
use super::error::CliError;
use crate::mcp::sample::{SampleEra, SampleServer};

/// The largest request over HTTP, in bytes.
const REQUEST_LIMIT: usize = 1 << 20;

/// Arguments of the demo's MCP server.
#[derive(Debug, Args)]
pub(super) struct McpArgs {
    /// The era of the protocol that it speaks
    #[arg(long, value_enum, default_value_t = EraArg::Both)]
    era: EraArg,
    /// Listen there, instead of using the standard streams
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EraArg {
    Legacy,
    Modern,
    Both,
}

pub(super) async fn run(args: &McpArgs) -> Result<ExitStatus, CliError> {
    let era = match args.era {
        EraArg::Legacy => SampleEra::Legacy,
        EraArg::Modern => SampleEra::Modern,
        EraArg::Both => SampleEra::Both,
    };
    let server = SampleServer { era, place: format!("container {}", read_host_name().await) };
    let ended = match args.listen {
        None => answer_lines(&server).await,
        Some(address) => serve(server, address).await,
    };
    let failed = |source: io::Error| CliError::Failed {
        context: "cannot serve".to_owned(),
        source: source.into(),
        hint: String::new(),
    };
    ended.map_err(failed)?;
    Ok(ExitStatus::Success)
}

/// Until its standard input ends, or SIGTERM.
async fn answer_lines(server: &SampleServer) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut output = tokio::io::stdout();
    loop {
        // A line that is dropped half-read when the signal wins is nobody's any more.
        let line = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            line = lines.next_line() => line?,
        };
        let Some(line) = line else { return Ok(()) };
        if let Some(answer) = server.answer(&line) {
            output.write_all(format!("{}\n", answer.text).as_bytes()).await?;
            output.flush().await?;
        }
    }
}

async fn serve(server: SampleServer, address: SocketAddr) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(address).await?;
    loop {
        // Both arms are cancel-safe: a connection is either accepted or still waits, a signal is either seen or still pending.
        let (stream, _) = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            accepted = listener.accept() => accepted?,
        };
        let server = server.clone();
        let service = service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(respond(&server, request).await) }
        });
        // Owned by nobody on purpose: it ends with its connection, or with the process.
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            // Who begins a request and does not end it within hyper's thirty seconds is not waited for.
            builder.timer(TokioTimer::new());
            drop(builder.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn respond(server: &SampleServer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if *request.method() != Method::POST {
        let mut response = respond_with(StatusCode::METHOD_NOT_ALLOWED, String::new());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let Ok(body) = Limited::new(request.into_body(), REQUEST_LIMIT).collect().await else {
        return respond_with(StatusCode::PAYLOAD_TOO_LARGE, String::new());
    };
    match server.answer(&String::from_utf8_lossy(&body.to_bytes())) {
        Some(answer) => respond_with(StatusCode::from_u16(answer.status).unwrap_or_default(), answer.text),
        None => respond_with(StatusCode::ACCEPTED, String::new()),
    }
}

fn respond_with(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let has_text = !text.is_empty();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    if has_text {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
