//! Where a gateway is: an address of plain HTTP.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// The path of a gateway's endpoint.
const ENDPOINT: &str = "/mcp";

/// Where a gateway is, such as `http://127.0.0.1:3010/mcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpAddress {
    uri: Uri,
}

/// Why a text is no address of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAddress {
    /// It is no URL.
    #[error("not a valid URL: write `http://HOST:PORT/mcp`")]
    NotAUrl,
    /// Another scheme than plain HTTP.
    #[error("not a `http://` URL, which is all that a gateway speaks")]
    Scheme,
    /// The name of a server is none.
    #[error("not a server's name: use 1 to 63 of `a-z`, `0-9` and `-`")]
    Server,
}

impl FromStr for McpAddress {
    type Err = InvalidAddress;

    /// Reads a URL; without a path it is that of the endpoint.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let uri: Uri = text.trim().parse().map_err(|_| InvalidAddress::NotAUrl)?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) if !authority.host().is_empty() => {}
            (Some("http") | None, _) => return Err(InvalidAddress::NotAUrl),
            (Some(_), _) => return Err(InvalidAddress::Scheme),
        }
        if uri.path() != "/" {
            return Ok(Self { uri });
        }
        Self::with_path(&uri, ENDPOINT)
    }
}

impl fmt::Display for McpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

impl McpAddress {
    /// The endpoint of one server alone.
    ///
    /// # Errors
    /// When the name can be no server's.
    pub fn of_server(&self, name: &str) -> Result<Self, InvalidAddress> {
        let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(is_label) {
            return Err(InvalidAddress::Server);
        }
        Self::with_path(&self.uri, &format!("{}/{name}", self.uri.path().trim_end_matches('/')))
    }

    /// The whole as a URI.
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Host and port, as they stand in `Host`.
    pub fn authority(&self) -> &str {
        let whole = self.uri.authority().map_or("", hyper::http::uri::Authority::as_str);
        // A name that stands before them is for neither side.
        whole.rsplit('@').next().unwrap_or_default()
    }

    /// Host and port to connect to.
    pub fn host_and_port(&self) -> (&str, u16) {
        let host = self.uri.host().unwrap_or_default();
        (host.trim_start_matches('[').trim_end_matches(']'), self.uri.port_u16().unwrap_or(80))
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    fn with_path(uri: &Uri, path: &str) -> Result<Self, InvalidAddress> {
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|_| InvalidAddress::NotAUrl)?);
        Uri::from_parts(parts).map(|uri| Self { uri }).map_err(|_| InvalidAddress::NotAUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidAddress, McpAddress};

    fn address(text: &str) -> Result<McpAddress, InvalidAddress> {
        text.parse()
    }

    #[test]
    fn an_address_without_a_path_is_that_of_the_endpoint() {
        let shown = |text: &str| address(text).unwrap().to_string();
        assert_eq!(shown("http://127.0.0.1:3010"), "http://127.0.0.1:3010/mcp");
        assert_eq!(shown("http://hub:80/mcp/git"), "http://hub:80/mcp/git");
        let hub = address("http://[::1]:3010/mcp/").unwrap();
        assert_eq!(hub.of_server("git").unwrap().to_string(), "http://[::1]:3010/mcp/git");
        assert_eq!(hub.host_and_port(), ("::1", 3010));
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for text in ["", "hub", "127.0.0.1:3010", "http://", "/mcp"] {
            assert_eq!(address(text), Err(InvalidAddress::NotAUrl), "{text}");
        }
        assert_eq!(address("https://hub/mcp"), Err(InvalidAddress::Scheme));
        for name in ["", "Git", "a/b", "..", &"n".repeat(64)] {
            assert_eq!(address("http://hub").unwrap().of_server(name), Err(InvalidAddress::Server), "{name}");
        }
    }
}
