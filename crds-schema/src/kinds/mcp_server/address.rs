//! The address of a remote server, judged by its text alone: where a request may go, and with which headers.
//!
//! Only one spelling of an address is accepted, so that no two readers of it can differ about the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::spec::McpRemote;
use crate::diagnostic::Diagnostic;
use crate::grammar::{echo, is_dns_alias};
use crate::host_path::host_path_fault;
use crate::source_map::key_path;

/// The longest address in characters.
const MAX_URL_CHARS: usize = 2048;
/// The largest value of a header in bytes.
const MAX_HEADER_BYTES: usize = 8192;
/// Headers that the protocol, or the connection, has its own use for.
const OWN_HEADERS: [&str; 16] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Names under which clouds tell a machine its own secrets.
const METADATA_HOSTS: [&str; 5] =
    ["instance-data", "instance-data.ec2.internal", "metadata", "metadata.goog", "metadata.google.internal"];

/// Every fault of a remote server's address and headers.
pub(super) fn check_remote(remote: &McpRemote, faults: &mut Vec<Diagnostic>) {
    if let Err((problem, hint)) = check_url(&remote.url) {
        // A password is not repeated.
        let shown =
            if remote.url.contains('@') { "the address".to_owned() } else { format!("`{}`", echo(&remote.url)) };
        let fault = Diagnostic::error("E0239", format!("{shown} cannot be used: {problem}"));
        faults.push(fault.hint(hint).at("spec.remote.url"));
    }
    for (index, (name, value)) in remote.headers.iter().enumerate() {
        let earlier = remote.headers.keys().take(index).find(|other| other.eq_ignore_ascii_case(name));
        let problem = if let Some(earlier) = earlier {
            format!("`{}` is the same header", echo(earlier))
        } else if let Some(problem) = header_fault(name, value) {
            problem.to_owned()
        } else {
            continue;
        };
        // A value may be a secret, so it is not shown.
        let fault = Diagnostic::error("E0239", format!("the header `{}` cannot be sent: {problem}", echo(name)));
        faults.push(fault.at(key_path("spec.remote.headers", name)));
    }
}

/// Every fault of the headers whose values stand in files.
pub(super) fn check_header_files(remote: &McpRemote, faults: &mut Vec<Diagnostic>) {
    for (index, header) in remote.header_files.iter().enumerate() {
        let path = format!("spec.remote.headerFiles[{index}]");
        let is_same = |other: &str| other.eq_ignore_ascii_case(&header.name);
        let is_taken = remote.headers.keys().any(|name| is_same(name))
            || remote.header_files[..index].iter().any(|other| is_same(&other.name));
        // What stands before the value may end in a space, as in `Bearer `.
        let problem =
            if is_taken { Some("it is there already") } else { header_fault(&header.name, header.prefix.trim()) };
        if let Some(problem) = problem {
            let message = format!("the header `{}` cannot be sent: {problem}", echo(&header.name));
            faults.push(Diagnostic::error("E0239", message).at(format!("{path}.name")));
        }
        faults.extend(host_path_fault(&header.file).map(|fault| fault.at(format!("{path}.file"))));
    }
}

/// Names of headers whose values are secrets, wherever they are written.
const SECRET_HEADERS: [&str; 5] = ["api-key", "authorization", "cookie", "proxy-authorization", "x-api-key"];

/// Whether the value of a header is a secret.
pub(super) fn is_secret_header(name: &str) -> bool {
    SECRET_HEADERS.contains(&name.to_ascii_lowercase().as_str())
}

/// A warning for each secret that stands in the manifest itself, and so in git and in everything that shows objects.
pub(super) fn warn_of_secrets(remote: &McpRemote, faults: &mut Vec<Diagnostic>) {
    for name in remote.headers.keys().filter(|name| is_secret_header(name)) {
        let message =
            format!("the value of `{}` is a secret, and everybody who reads the manifest knows it", echo(name));
        let hint = format!(
            "put it into a file: `headerFiles: [{{ name: {}, file: ./FILE }}]`, with `prefix` for a word before it",
            echo(name)
        );
        faults.push(Diagnostic::warning("E0250", message).hint(hint).at(key_path("spec.remote.headers", name)));
    }
}

type Fault = (String, &'static str);

fn check_url(url: &str) -> Result<(), Fault> {
    let syntax = "write for example `https://mcp.example.com/mcp`";
    let bad = |problem: &str| (problem.to_owned(), syntax);
    if url.chars().count() > MAX_URL_CHARS {
        return Err(bad("it is longer than 2048 characters"));
    }
    // A backslash is a slash to some readers and none to others.
    if !url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&byte)) {
        return Err(bad("it has a character that must be written as `%` and two digits"));
    }
    let (rest, is_secure) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return Err(bad("it does not begin with `https://`")),
    };
    if rest.contains('#') {
        return Err(bad("it has a fragment"));
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err((
            "it has a user or a password".to_owned(),
            "leave them out; what the server asks for is sent in a header",
        ));
    }
    let (host, port) = split_port(authority).ok_or_else(|| bad("its host is not a name or an address"))?;
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(bad("its port is not 1 to 65535"));
    }
    let is_loopback = check_host(host)?;
    if !is_secure && !is_loopback {
        return Err((
            "`http` is only for this host, since everybody on the way could read it".to_owned(),
            "use `https`",
        ));
    }
    Ok(())
}

/// The host and the port; `None` where brackets do not match.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.starts_with('[') {
        let (host, rest) = authority.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return Some((host, port));
    }
    Some(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

/// Whether a host, an IPv6 address with its opening bracket, is this host itself.
fn check_host(host: &str) -> Result<bool, Fault> {
    let not_a_host = || ("its host is not a name or an address".to_owned(), "write a host name, or a literal address");
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.parse().map_err(|_| not_a_host())?;
        return check_address(IpAddr::V6(address));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    // What ends in a number is an IPv4 address to every reader, in as many spellings as there are readers: one is accepted.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit())
        && last.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'x')
    {
        let address: Ipv4Addr = host.parse().map_err(|_| not_a_host())?;
        return check_address(IpAddr::V4(address));
    }
    if !is_dns_alias(&name) {
        return Err(not_a_host());
    }
    if METADATA_HOSTS.contains(&name.as_str()) {
        return Err((format!("`{name}` tells a machine its own secrets"), "name the server that is meant"));
    }
    Ok(name == "localhost" || name.ends_with(".localhost"))
}

/// Whether an address is this host itself.
fn check_address(address: IpAddr) -> Result<bool, Fault> {
    let what = match address {
        IpAddr::V4(v4) => special_ipv4(v4),
        IpAddr::V6(v6) => match embedded_ipv4(v6) {
            Some(v4) => special_ipv4(v4),
            None => special_ipv6(v6),
        },
    };
    match what {
        None => Ok(false),
        Some("loopback") => Ok(true),
        Some(what) => Err((format!("`{address}` is a {what} address"), "use the server's host name")),
    }
}

/// What an address that is not of the public Internet is.
fn special_ipv4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, second, third, _] = address.octets();
    match (first, second, third) {
        (127, _, _) => Some("loopback"),
        (169, 254, _) => Some("link-local"),
        (10, _, _) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) => Some("private"),
        (0 | 224..=255, _, _) | (192, 0, 0 | 2) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => Some("special"),
        (_, _, _) => None,
    }
}

fn special_ipv6(address: Ipv6Addr) -> Option<&'static str> {
    let first = address.segments()[0];
    match () {
        () if address.is_loopback() => Some("loopback"),
        () if first & 0xffc0 == 0xfe80 => Some("link-local"),
        () if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 => Some("private"),
        // Global unicast is 2000::/3; the rest has other uses.
        () if first & 0xe000 != 0x2000 || (first == 0x2001 && address.segments()[1] == 0x0db8) => Some("special"),
        () => None,
    }
}

/// The IPv4 address that an IPv6 one leads to: mapped, compatible, of NAT64, or of 6to4.
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let last = Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0x0064, 0xff9b, 0, 0, 0, 0, _, _] => Some(last),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(last),
        [0x2002, ..] => Some(Ipv4Addr::new(octets[2], octets[3], octets[4], octets[5])),
        _ => None,
    }
}

/// Why a header cannot be sent.
fn header_fault(name: &str, value: &str) -> Option<&'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    match () {
        () if name.is_empty() || name.len() > 256 || !name.bytes().all(is_token) => Some("its name is not one"),
        () if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => Some("the protocol has its own use for it"),
        () if value.len() > MAX_HEADER_BYTES => Some("its value is larger than 8KiB"),
        () if !value.bytes().all(is_visible) || value.trim() != value => Some("its value is not plain text"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{check_url, header_fault};

    #[test]
    fn what_is_reached_over_the_internet_or_is_this_host_is_accepted() {
        for url in [
            "https://mcp.example.com/mcp",
            "https://mcp.example.com",
            "https://mcp.example.com:8443/a/b?x=1",
            "https://8.8.8.8/mcp",
            "https://[2606:4700::1111]:443/mcp",
            "http://localhost:8080/mcp",
            "http://127.0.0.1:8080/mcp",
            "https://127.0.0.1/mcp",
            "http://[::1]:8080/mcp",
            "http://tools.localhost/mcp",
        ] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn what_leads_inside_is_refused_in_every_spelling() {
        for url in [
            "https://10.0.0.1/mcp",
            "https://172.16.0.1/mcp",
            "https://192.168.1.1/mcp",
            "https://100.64.0.1/mcp",
            "http://169.254.169.254/",
            "https://169.254.169.254/latest/meta-data",
            "https://metadata.google.internal/",
            "https://METADATA.google.internal./",
            "https://0.0.0.0/mcp",
            "https://255.255.255.255/mcp",
            "https://224.0.0.1/mcp",
            "https://[::]/mcp",
            "https://[fe80::1]/mcp",
            "https://[fd00::1]/mcp",
            "https://[fec0::1]/mcp",
            "https://[::ffff:10.0.0.1]/mcp",
            "https://[::ffff:a9fe:a9fe]/mcp",
            "https://[::10.0.0.1]/mcp",
            "https://[64:ff9b::a9fe:a9fe]/mcp",
            "https://[2002:a9fe:a9fe::1]/mcp",
            "https://2852039166/mcp",
            "https://0xa9fea9fe/mcp",
            "https://0xa9.0xfe.0xa9.0xfe/mcp",
            "https://0251.0376.0251.0376/mcp",
            "https://169.254.43518/mcp",
            "https://10.1/mcp",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for url in [
            "",
            "mcp.example.com/mcp",
            "ftp://mcp.example.com/",
            "HTTPS://mcp.example.com/",
            "http://mcp.example.com/mcp",
            "https://user:secret@mcp.example.com/mcp",
            "https://mcp.example.com@10.0.0.1/mcp",
            "https://mcp.example.com\\@10.0.0.1/mcp",
            "https://mcp.example.com/#x",
            "https://mcp.example.com/a b",
            "https:///mcp",
            "https://mcp.example.com:0/mcp",
            "https://mcp.example.com:99999/mcp",
            "https://mcp.example.com:/mcp",
            "https://a:b:c/mcp",
            "https://[::1/mcp",
            "https://[::1]x/mcp",
            "https://[fe80::1%25eth0]/mcp",
            "https://%31%30.0.0.1/mcp",
            "https://éxample.com/mcp",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn headers_of_the_protocol_and_of_the_connection_are_its_own() {
        assert_eq!(header_fault("X-Team", "platform"), None);
        for (name, value) in [
            ("Host", "a"),
            ("MCP-Session-Id", "a"),
            ("Transfer-Encoding", "chunked"),
            ("X Team", "a"),
            ("", "a"),
            ("X-Team", "a\r\nHost: b"),
            ("X-Team", " a"),
            ("X-Team", "é"),
        ] {
            assert!(header_fault(name, value).is_some(), "{name}: {value}");
        }
    }
}
