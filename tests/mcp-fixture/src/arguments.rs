//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::era::Era;

/// An MCP server for tests: everything the conformance suite asks for, in either era, and some ways to misbehave.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// Where it is served.
    #[command(subcommand)]
    pub(crate) serve: Serve,
    /// What it has and does.
    #[command(flatten)]
    pub(crate) behaviour: Behaviour,
}

/// The transport.
#[derive(Debug, Subcommand)]
pub(crate) enum Serve {
    /// One client on stdin and stdout; ends with the input.
    Stdio,
    /// Streamable HTTP at `/mcp`; says the address on stdout, in one line, once it listens.
    Http(Http),
}

/// How HTTP is served.
#[derive(Debug, Args)]
pub(crate) struct Http {
    /// The address to listen at; port 0 for any.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Accept this `Host` too, beside the loopback names. May be given more than once.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// Answer as JSON where the whole answer is one message, and not always as a stream. Modern era only.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the server has, and how it misbehaves. One set of switches for both transports.
#[derive(Debug, Clone, Args)]
pub(crate) struct Behaviour {
    /// The revisions of the protocol to speak.
    #[arg(long, global = true, value_enum, default_value_t = Era::Both)]
    pub(crate) era: Era,
    /// The name the server gives itself.
    #[arg(long, global = true, default_value = "mcp-fixture")]
    pub(crate) name: String,
    /// Add this many plain tools, `tool_000` and so on, each of which returns its arguments.
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub(crate) tools: usize,
    /// Give the tools in pages of this size.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) page_size: Option<usize>,
    /// After N tool calls, change the description of `test_simple_text`, and say that the list has changed.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) change_after: Option<u64>,
    /// Exit with 1 after N tool calls, in place of answering the next one.
    #[arg(long, global = true, value_name = "N")]
    pub(crate) die_after: Option<u64>,
    /// Answer each tool call so many milliseconds later.
    #[arg(long, global = true, value_name = "MILLIS", value_parser = parse_millis)]
    pub(crate) slow: Option<Duration>,
    /// Print a line that is no message before each message on stdout (stdio only).
    #[arg(long, global = true)]
    pub(crate) stray_stdout: bool,
}

fn parse_millis(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}
