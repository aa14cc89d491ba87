//! Who is let in: by Host, by Origin, by token. Pure.

use std::net::{IpAddr, SocketAddr};

use hyper::Uri;

use super::heading::Heading;
use crate::config::GatewayConfig;
use crate::policy::{Principal, find_principal};

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It does not say which host it is for, or says it more than once.
    Doubtful,
    /// The request is for another host, as after a DNS rebinding.
    Host,
    /// It comes from a web page that may not call.
    Origin,
    /// It has no token, or none that is known.
    Token,
}

/// Lets a request in, or says why not.
pub(super) fn admit(config: &GatewayConfig, uri: &Uri, heading: &Heading<'_>) -> Result<Principal, Refusal> {
    let host = heading.host.single().flatten().ok_or(Refusal::Doubtful)?;
    // A whole address in the first line says it too, and counts for more than the header (RFC 9112, 3.2.2).
    let in_uri = uri.authority().map(hyper::http::uri::Authority::as_str);
    if [Some(host), in_uri].into_iter().flatten().any(|host| !is_own_host(config, host)) {
        return Err(Refusal::Host);
    }
    // A header that is there twice is two answers to one question.
    let origin = heading.origin.single().ok_or(Refusal::Origin)?;
    if origin.is_some_and(|origin| !is_own_origin(config, origin)) {
        return Err(Refusal::Origin);
    }
    if config.tokens.is_empty() {
        return Ok(Principal::anonymous());
    }
    let presented = heading.authorization.single().flatten().and_then(bearer).ok_or(Refusal::Token)?;
    find_principal(&config.tokens, presented).ok_or(Refusal::Token)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_own_host(config: &GatewayConfig, host: &str) -> bool {
    let name = host_name(host);
    is_loopback_name(name)
        || name.parse::<IpAddr>().is_ok_and(|ip| is_listened_on(config.listen, ip))
        || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name) || allowed == host)
}

/// An address names itself: no rebinding makes a browser write it for another name.
fn is_listened_on(listen: SocketAddr, ip: IpAddr) -> bool {
    listen.ip() == ip || listen.ip().is_unspecified()
}

fn is_own_origin(config: &GatewayConfig, origin: &str) -> bool {
    if config.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|host| is_loopback_name(host_name(host)))
}

/// A host without its port and brackets.
fn host_name(host: &str) -> &str {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((name, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_whole = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return if is_whole { name } else { host };
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && is_port(port) => name,
        _ => host,
    }
}

fn is_loopback_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use hyper::Uri;
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};
    use sha2::{Digest, Sha256};

    use super::{Heading, Refusal, admit};
    use crate::config::{GatewayConfig, TokenConfig};

    fn config(has_token: bool) -> GatewayConfig {
        let token = TokenConfig { principal: "ann".into(), roles: vec![], sha256: Sha256::digest("secret").into() };
        GatewayConfig {
            tokens: if has_token { vec![token] } else { vec![] },
            allowed_hosts: vec!["hub.internal".into()],
            allowed_origins: vec!["https://app.example".into()],
            ..GatewayConfig::on("127.0.0.1:3010".parse().unwrap())
        }
    }

    fn check(has_token: bool, headers: &[(&'static str, &'static str)]) -> Result<String, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        admit(&config(has_token), &Uri::from_static("/mcp"), &Heading::of(&map))
            .map(|principal| principal.name.to_string())
    }

    #[test]
    fn a_rebound_name_and_a_foreign_page_are_not_let_in() {
        for host in ["127.0.0.1:3010", "localhost:3010", "localhost", "[::1]:3010", "hub.internal:80"] {
            assert_eq!(check(false, &[("host", host)]).as_deref(), Ok("anonymous"), "{host}");
        }
        for host in
            ["evil.example.com", "127.0.0.1.evil.com", "10.0.0.1:3010", "localhost.evil.com:3010", "[::1].evil.com", ""]
        {
            assert_eq!(check(false, &[("host", host)]), Err(Refusal::Host), "{host}");
        }
        assert_eq!(check(false, &[]), Err(Refusal::Doubtful));
        assert_eq!(check(false, &[("host", "localhost"), ("host", "localhost")]), Err(Refusal::Doubtful));
        for origin in ["http://localhost:5173", "https://127.0.0.1", "https://app.example"] {
            assert!(check(false, &[("host", "localhost"), ("origin", origin)]).is_ok(), "{origin}");
        }
        for origin in ["null", "http://evil.example.com", "file://", "http://localhost.evil.com", "ftp://localhost"] {
            assert_eq!(check(false, &[("host", "localhost"), ("origin", origin)]), Err(Refusal::Origin), "{origin}");
        }
        let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.com")];
        assert_eq!(check(false, &twice), Err(Refusal::Origin));
    }

    #[test]
    fn where_there_are_tokens_one_is_needed() {
        let with = |value| check(true, &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer secret").as_deref(), Ok("ann"));
        assert_eq!(with("bearer secret").as_deref(), Ok("ann"));
        for bad in ["Bearer wrong", "Basic secret", "secret", "Bearer"] {
            assert_eq!(with(bad), Err(Refusal::Token), "{bad}");
        }
        assert_eq!(check(true, &[("host", "localhost")]), Err(Refusal::Token));
    }
}
