//! What an `McpGateway` must mean to be accepted.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::spec::{McpGateway, McpRule};
use crate::diagnostic::Diagnostic;
use crate::grammar::{check_labels, echo, is_dns_alias};
use crate::host_path::{clean, host_path_fault};
use crate::kinds::mcp_server::{check_patterns, message_size_fault};
use crate::object::Metadata;
use crate::units::{Bytes, HumanDuration};

/// After how long without a request a session may end.
const SESSION_IDLES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(7 * 24);
/// How large the file of an audit may become.
const AUDIT_SIZES: RangeInclusive<Bytes> = Bytes(1 << 20)..=Bytes(1 << 40);
/// How long an older file of an audit may be kept. Years have the length that is theirs when they are written.
const AUDIT_AGES: RangeInclusive<Duration> = Duration::from_hours(1)..=Duration::from_hours(10 * 8_766);
/// Everybody, as a principal.
const EVERYBODY: &str = "*";

impl McpGateway {
    pub(crate) fn validate(&self, _metadata: &Metadata) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        self.check_listen(&mut faults);
        if let Some(servers) = &self.servers {
            faults.extend(check_labels("spec.servers.matchLabels", &servers.match_labels));
        }
        self.check_tokens(&mut faults);
        self.check_rules(&mut faults);
        self.check_limits(&mut faults);
        self.check_audit(&mut faults);
        self.check_callers(&mut faults);
        faults
    }

    fn check_listen(&self, faults: &mut Vec<Diagnostic>) {
        let Some(listen) = &self.listen else { return };
        let fault = match listen.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => {
                Diagnostic::error("E0211", "a gateway listens at a port 1 to 65535").hint("write for example `3010`")
            }
            Ok(address) if !address.ip().is_loopback() && self.tokens.is_empty() => {
                let message =
                    format!("`{address}` can be reached from other hosts, and nobody would have to say who they are");
                Diagnostic::error("E0248", message).hint("add `tokens`, or listen at `127.0.0.1`")
            }
            Ok(_) => return,
            Err(_) => {
                let message = format!("`{}` is not a literal address and a port", echo(listen));
                Diagnostic::error("E0213", message).hint("write for example `127.0.0.1:3010`")
            }
        };
        faults.push(fault.at("spec.listen"));
    }

    fn check_tokens(&self, faults: &mut Vec<Diagnostic>) {
        for (index, token) in self.tokens.iter().enumerate() {
            let path = format!("spec.tokens[{index}]");
            let earlier = &self.tokens[..index];
            if let Some(other) = earlier.iter().position(|other| other.name == token.name) {
                let message = format!("the name `{}` is also that of `spec.tokens[{other}]`", token.name);
                let fault = Diagnostic::error("E0249", message).hint("choose another name");
                faults.push(fault.at(format!("{path}.name")));
            }
            if let Some(other) = earlier.iter().position(|other| clean(&other.file) == clean(&token.file)) {
                let message = format!("`spec.tokens[{other}]` is in the same file, so the two cannot be told apart");
                let fault = Diagnostic::error("E0249", message).hint("make a file for each");
                faults.push(fault.at(format!("{path}.file")));
            }
            faults.extend(host_path_fault(&token.file).map(|fault| fault.at(format!("{path}.file"))));
        }
    }

    fn check_rules(&self, faults: &mut Vec<Diagnostic>) {
        let names = self.tokens.iter().map(|token| token.name.as_str());
        let roles = self.tokens.iter().flat_map(|token| token.roles.iter().map(crate::name::Name::as_str));
        let known: BTreeSet<&str> = names.chain(roles).collect();
        for (index, rule) in self.rules.iter().enumerate() {
            let path = format!("spec.rules[{index}]");
            check_not_empty(&path, rule, faults);
            check_patterns(&format!("{path}.servers"), &rule.servers, faults);
            check_patterns(&format!("{path}.tools"), &rule.tools, faults);
            for (place, principal) in rule.principals.iter().enumerate() {
                // The name of the token that the controller makes is the controller's matter.
                if principal == EVERYBODY || self.tokens.is_empty() || known.contains(principal.as_str()) {
                    continue;
                }
                let fault =
                    Diagnostic::error("E0249", format!("no token has the name or the role `{}`", echo(principal)));
                let fault = match crate::suggestion::nearest(principal, known.iter().copied()) {
                    Some(known) => fault.hint(format!("did you mean `{known}`?")),
                    None => fault.hint("write the name or a role of a token, or `*` for everybody"),
                };
                faults.push(fault.at(format!("{path}.principals[{place}]")));
            }
        }
    }

    fn check_limits(&self, faults: &mut Vec<Diagnostic>) {
        let Some(limits) = self.limits else { return };
        faults.extend(duration_fault("spec.limits.sessionIdle", limits.session_idle, &SESSION_IDLES));
        faults.extend(limits.max_request.and_then(|size| message_size_fault("spec.limits.maxRequest", size)));
    }

    fn check_audit(&self, faults: &mut Vec<Diagnostic>) {
        let Some(audit) = self.audit else { return };
        if let Some(size) = audit.max_size
            && !AUDIT_SIZES.contains(&size)
        {
            let (least, most) = (AUDIT_SIZES.start(), AUDIT_SIZES.end());
            let fault = Diagnostic::error("E0222", format!("`{size}` is out of range: `{least}` to `{most}`"));
            faults.push(fault.at("spec.audit.maxSize"));
        }
        faults.extend(duration_fault("spec.audit.maxAge", audit.max_age, &AUDIT_AGES));
    }

    fn check_callers(&self, faults: &mut Vec<Diagnostic>) {
        for (index, host) in self.allowed_hosts.iter().enumerate() {
            if !is_host_and_port(host) {
                let fault =
                    Diagnostic::error("E0229", format!("`{}` is not a host name, with or without a port", echo(host)));
                let hint = "write for example `mcp.example.com`, without a scheme; there are no patterns";
                faults.push(fault.hint(hint).at(format!("spec.allowedHosts[{index}]")));
            }
        }
        for (index, origin) in self.allowed_origins.iter().enumerate() {
            let is_origin =
                origin.split_once("://").is_some_and(|(scheme, host)| is_scheme(scheme) && is_host_and_port(host));
            if !is_origin {
                let fault = Diagnostic::error("E0229", format!("`{}` is not an origin", echo(origin)));
                let hint = "write scheme, host and port, such as `https://app.example.com`, without a path; there are no patterns";
                faults.push(fault.hint(hint).at(format!("spec.allowedOrigins[{index}]")));
            }
        }
    }
}

fn duration_fault(path: &str, value: Option<HumanDuration>, range: &RangeInclusive<Duration>) -> Option<Diagnostic> {
    let value = value.filter(|value| !range.contains(&value.0))?;
    let (least, most) = (HumanDuration(*range.start()), HumanDuration(*range.end()));
    Some(Diagnostic::error("E0230", format!("`{value}` is out of range: {least} to {most}")).at(path))
}

/// A rule with an empty list matches nothing, which nobody means.
fn check_not_empty(path: &str, rule: &McpRule, faults: &mut Vec<Diagnostic>) {
    for (field, list) in [("principals", &rule.principals), ("servers", &rule.servers), ("tools", &rule.tools)] {
        if list.is_empty() {
            let fault =
                Diagnostic::error("E0249", "the rule matches nothing").hint("leave the list out for everything");
            faults.push(fault.at(format!("{path}.{field}")));
        }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte))
}

/// `HOST`, `HOST:PORT`, or the same with an IPv6 address in brackets.
fn is_host_and_port(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        let is_address = matches!(address.parse::<IpAddr>(), Ok(IpAddr::V6(_)));
        return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    is_dns_alias(host) && port.is_none_or(is_port)
}
