//! What clients send, as bytes.

use crate::place::Place;
use crate::tool::Era;

/// What a modern client says of itself with each request.
const META: &str = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientInfo\":{\"name\":\"bench\",\"version\":\"1\"},\"io.modelcontextprotocol/clientCapabilities\":{}}";

/// The number of a client's first request; all others have as many digits.
const FIRST_ID: u64 = 1_000_000_000;

/// A request that is sent again and again, under a new number each time, as the protocol wants it.
#[derive(Debug)]
pub(crate) struct Repeated {
    bytes: Vec<u8>,
    digits: Option<usize>,
    number: u64,
}

impl Repeated {
    /// Of a request as this module makes it.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let first = FIRST_ID.to_string();
        let digits = bytes.windows(first.len()).position(|piece| piece == first.as_bytes());
        Self { bytes, digits, number: FIRST_ID }
    }

    /// What is sent next.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.number += 1;
        let number = self.number.to_string();
        if let Some(place) = self.digits {
            self.bytes[place..place + number.len()].copy_from_slice(number.as_bytes());
        }
        &self.bytes
    }
}

/// A call of a server's first tool.
pub(crate) fn call(place: &Place, server: usize, session: Option<&str>) -> Vec<u8> {
    let name = place.tool(server);
    let params = format!("\"name\":\"{name}\",\"arguments\":{{\"name\":\"a record\",\"lines\":12}}");
    request(place, server, session, ("tools/call", Some(&name)), &params)
}

/// A request for the list of tools.
pub(crate) fn list(place: &Place, session: Option<&str>) -> Vec<u8> {
    request(place, 0, session, ("tools/list", None), "")
}

/// The first request of a legacy session.
pub(crate) fn initialize(place: &Place, server: usize) -> Vec<u8> {
    let params =
        "\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}";
    request(place, server, None, ("initialize", None), params)
}

/// What follows it.
pub(crate) fn initialized(place: &Place, server: usize, session: Option<&str>) -> Vec<u8> {
    let body = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";
    post(place, server, &session_headers(session), body)
}

/// The end of a session.
pub(crate) fn end(place: &Place, server: usize, session: Option<&str>) -> Vec<u8> {
    let (path, address, headers) = (place.path(server), place.address(server), session_headers(session));
    let authorization = authorization(place);
    format!("DELETE {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}{headers}\r\n").into_bytes()
}

fn authorization(place: &Place) -> String {
    place.token.as_ref().map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default()
}

fn session_headers(session: Option<&str>) -> String {
    let session = session.map(|session| format!("mcp-session-id: {session}\r\n")).unwrap_or_default();
    format!("mcp-protocol-version: 2025-11-25\r\n{session}")
}

fn request(
    place: &Place,
    server: usize,
    session: Option<&str>,
    (method, name): (&str, Option<&str>),
    params: &str,
) -> Vec<u8> {
    let (headers, params) = match place.era {
        Era::Legacy if method == "initialize" => (String::new(), params.to_owned()),
        Era::Legacy => (session_headers(session), params.to_owned()),
        Era::Modern => {
            let name = name.map(|name| format!("mcp-name: {name}\r\n")).unwrap_or_default();
            let comma = if params.is_empty() { "" } else { "," };
            let headers = format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n{name}");
            (headers, format!("{params}{comma}{META}"))
        }
    };
    let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{FIRST_ID},\"method\":\"{method}\",\"params\":{{{params}}}}}");
    post(place, server, &headers, &body)
}

fn post(place: &Place, server: usize, headers: &str, body: &str) -> Vec<u8> {
    let (path, address, length) = (place.path(server), place.address(server), body.len());
    let authorization = authorization(place);
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\naccept: application/json, text/event-stream\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
