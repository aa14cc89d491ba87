//! Where the gateway is, and what lets a client in.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use gateway::address::McpAddress;

use crate::cli::error::CliError;
use crate::cli::global::GlobalArgs;
use crate::http::token::Token;

const DEFAULT_ADDRESS: &str = "http://127.0.0.1:3010/mcp";

#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct AccessArgs {
    /// The gateway [default: `http://127.0.0.1:3010/mcp`; `EVENKEEL_MCP_URL`]
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// File of the token [default: `EVENKEEL_MCP_TOKEN_FILE`, else the token in `EVENKEEL_MCP_TOKEN`, else for a gateway on this
    /// host the only token in the controller's data directory, where that can be read]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Where the gateway is, and what lets a client in.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) address: McpAddress,
    pub(super) token: Option<Token>,
}

impl AccessArgs {
    /// What these arguments, the environment and the data directory say together.
    pub(super) fn resolve(&self, global: &GlobalArgs) -> Result<Access, CliError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let (text, origin) = match (&self.gateway, variable("EVENKEEL_MCP_URL")) {
            (Some(text), _) => (text.clone(), "--gateway"),
            (None, Some(text)) => (text, "EVENKEEL_MCP_URL"),
            (None, None) => (DEFAULT_ADDRESS.to_owned(), "the default"),
        };
        let address: McpAddress = text.parse().map_err(|error| {
            CliError::usage(format!("`{text}` (from {origin}) is {error}"), "such as `http://127.0.0.1:3010/mcp`")
        })?;
        let file = self.token_file.clone().or_else(|| variable("EVENKEEL_MCP_TOKEN_FILE").map(PathBuf::from));
        let token = match (file, variable("EVENKEEL_MCP_TOKEN")) {
            (Some(file), _) => Some(read_token(&file)?),
            (None, Some(token)) => Some(Token::new(token.trim())),
            // The controller's token is for gateways of this host: no other host is to see it.
            (None, None) if is_this_host(&address) => only_token(&global.load_config(&[])?.data_dir.join("mcp")),
            (None, None) => None,
        };
        Ok(Access { address, token })
    }
}

fn read_token(file: &Path) -> Result<Token, CliError> {
    let context = || format!("cannot read the token `{}`", file.display());
    match fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => Err(CliError::usage(format!("{}: it is empty", context()), "")),
        Ok(text) => Ok(Token::new(text.trim())),
        Err(error) => Err(CliError::Failed {
            context: context(),
            source: error.into(),
            hint: "`--token-file` or EVENKEEL_MCP_TOKEN_FILE says where it is".into(),
        }),
    }
}

fn is_this_host(address: &McpAddress) -> bool {
    let (host, _) = address.host_and_port();
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The one token of a directory; none where there are several, or it cannot be read.
fn only_token(directory: &Path) -> Option<Token> {
    let paths = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut tokens = paths.filter(|path| path.extension().is_some_and(|extension| extension == "token"));
    let (first, second) = (tokens.next()?, tokens.next());
    if second.is_some() {
        return None;
    }
    let text = fs::read_to_string(first).ok()?;
    (!text.trim().is_empty()).then(|| Token::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{is_this_host, only_token};

    #[test]
    fn the_only_token_of_the_data_directory_is_used_and_of_several_none() {
        let directory = tempfile::tempdir().unwrap();
        assert!(only_token(directory.path()).is_none());
        fs::write(directory.path().join("default_hub.token"), "secret\n").unwrap();
        fs::write(directory.path().join("default_hub.json"), "{}").unwrap();
        assert_eq!(only_token(directory.path()).unwrap().reveal(), "secret");
        fs::write(directory.path().join("default_two.token"), "other").unwrap();
        assert!(only_token(directory.path()).is_none());
        assert!(only_token(&directory.path().join("absent")).is_none());
    }

    #[test]
    fn the_controllers_token_is_for_this_host() {
        for (text, is_here) in [
            ("http://127.0.0.1:3010/mcp", true),
            ("http://localhost", true),
            ("http://[::1]:3010", true),
            ("http://127.0.0.1.evil.example", false),
            ("http://hub.example:3010/mcp", false),
        ] {
            assert_eq!(is_this_host(&text.parse().unwrap()), is_here, "{text}");
        }
    }
}
