//! `mcp-fixture`: an MCP server that tests put behind the gateway.
//!
//! It has everything that the server scenarios of the MCP conformance suite ask for, speaks either era or both, over stdio and HTTP, and
//! misbehaves on request. What it is to say is data (`catalogue.json`) and pure functions; the protocol is the crate `rmcp`.

#![expect(
    deprecated,
    reason = "sampling, roots, logging and subscriptions of the Legacy era live on as long as its clients"
)]

mod arguments;
mod ask;
mod catalogue;
mod change;
mod conduct;
mod content;
mod era;
mod fixture;
mod http;
mod prompt;
mod resource;
mod round;
mod stdio;
mod tool;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Serve};
use crate::fixture::Fixture;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let result = runtime.block_on(run(arguments));
            // The thread that reads stdin is stuck in its read for as long as nothing is written there.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            conduct::say(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Serves until the client is gone, or a signal says to end. Calls in flight are dropped then: a fixture has nothing to finish.
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let fixture = Fixture::new(&arguments.behaviour)?;
    let serve = async {
        match &arguments.serve {
            Serve::Stdio => stdio::serve(fixture, &arguments.behaviour).await,
            Serve::Http(http) => http::serve(fixture, &arguments.behaviour, http).await,
        }
    };
    // Each arm ends the program, so nothing is lost by dropping the others.
    tokio::select! {
        result = serve => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}
