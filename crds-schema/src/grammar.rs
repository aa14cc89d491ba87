//! Small grammars that several kinds share: labels, variables, host names, Engine names, image references.

use std::collections::BTreeMap;

use crate::diagnostic::Diagnostic;
use crate::escape::{is_invisible, printable};
use crate::source_map::key_path;

/// Labels and annotations with this prefix are Evenkeel's own.
pub const RESERVED_PREFIX: &str = "evenkeel.dev/";
/// The longest value of a label, an annotation or a variable in bytes.
pub const MAX_VALUE_BYTES: usize = 128 * 1024;
/// The longest key of a label or a variable in bytes.
const MAX_KEY_BYTES: usize = 253;
/// How much of a faulty value a message repeats, in characters.
const MAX_ECHO_CHARS: usize = 60;

/// Faults of labels that are put on something: keys, reserved prefix, sizes.
pub(crate) fn check_labels(path: &str, labels: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    labels.iter().filter_map(|(key, value)| check_label(key_path(path, key), key, value)).collect()
}

/// The fault of one label.
pub(crate) fn check_label(path: String, key: &str, value: &str) -> Option<Diagnostic> {
    if key.starts_with(RESERVED_PREFIX) {
        let fault = Diagnostic::error("E0203", format!("the prefix `{RESERVED_PREFIX}` is reserved"));
        return Some(fault.hint("use a prefix of your own").at(path));
    }
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"._/-".contains(byte);
    let bytes = key.as_bytes();
    if bytes.len() > MAX_KEY_BYTES || !is_end(bytes.first()) || !is_end(bytes.last()) || !bytes.iter().all(is_inner) {
        let fault = Diagnostic::error("E0204", format!("`{}` is not a valid key of a label", echo(key)));
        let hint = "use letters, digits, `.`, `_`, `/` and `-`, beginning and ending with a letter or digit";
        return Some(fault.hint(hint).at(path));
    }
    check_value(path, value)
}

/// Faults of environment variables.
pub(crate) fn check_env(path: &str, env: &BTreeMap<String, String>) -> Vec<Diagnostic> {
    let check = |(key, value): (&String, &String)| {
        let path = key_path(path, key);
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'=';
        if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(is_allowed) {
            let fault = Diagnostic::error("E0204", format!("`{}` is not a valid name of a variable", echo(key)));
            return Some(fault.hint("use letters, digits and `_`").at(path));
        }
        check_value(path, value)
    };
    env.iter().filter_map(check).collect()
}

fn check_value(path: String, value: &str) -> Option<Diagnostic> {
    let length = value.len();
    (length > MAX_VALUE_BYTES).then(|| {
        Diagnostic::error("E0205", format!("the value is larger than 128KiB ({length} bytes)"))
            .hint("mount a file instead")
            .at(path)
    })
}

/// A host name: labels of letters, digits and inner hyphens, with dots between them, at most 63 characters in all, which is
/// what the kernel takes.
pub fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 63 && text.split('.').all(is_label)
}

/// A name that containers are found by: a host name in which `_` is allowed, and longer ones.
pub fn is_dns_alias(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && !label.starts_with('-') && label.bytes().all(is_inner)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A name that the Engine accepts for a container or a volume: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, 2 to 200 characters.
pub fn is_engine_name(text: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    (2..=200).contains(&text.len())
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
        && text.as_bytes().iter().all(is_inner)
}

/// The fault of a name in the Engine.
pub(crate) fn check_engine_name(path: &str, name: &str) -> Option<Diagnostic> {
    (!is_engine_name(name)).then(|| {
        Diagnostic::error("E0201", format!("`{}` is not a name that the Engine accepts", echo(name)))
            .hint("use 2 to 200 letters, digits, `_`, `.` and `-`, beginning with a letter or digit")
            .at(path)
    })
}

/// Why a text is not a reference to an image; `None` when it is one: `[HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST]`.
///
/// The grammar is that of the distribution project, which the Engine uses.
pub fn image_reference_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > 500 || text.chars().any(|c| c.is_whitespace() || c.is_control() || is_invisible(c)) {
        return Some("it contains white space, or is too long");
    }
    if text.contains("://") {
        return Some("it has a scheme");
    }
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Some("its digest is not `sha256:` and 64 hexadecimal digits");
    }
    let path_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[path_start..].split_once(':') {
        Some((last, tag)) => (&rest[..path_start + last.len()], Some(tag)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Some("its tag is not 1 to 128 letters, digits, `_`, `.` and `-`");
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    let has_host = parts.len() > 1 && (parts[0].contains(['.', ':']) || parts[0] == "localhost");
    if has_host {
        let host = parts.remove(0);
        let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        if !port.is_none_or(is_port) || !(is_registry_host(name)) {
            return Some("its registry is not a host name with an optional port");
        }
    }
    if parts.iter().any(|part| part.chars().any(char::is_uppercase)) {
        return Some("its path must be lower-case");
    }
    if !parts.iter().all(|part| is_path_component(part)) {
        return Some("its path is not lower-case words with `.`, `_` or `-` between them");
    }
    None
}

/// Whether a reference to an image names no version, so that it means whatever is the newest when it is fetched: no digest, and no tag or
/// `latest`.
pub fn is_moving_reference(text: &str) -> bool {
    let last = text.rsplit('/').next().unwrap_or_default();
    !text.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn is_registry_host(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_ipv6 = name.starts_with('[') && name.ends_with(']');
    is_ipv6 || name.split('.').all(is_label)
}

fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn is_tag(tag: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    (1..=128).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.as_bytes().iter().all(is_inner)
}

fn is_path_component(part: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let has_valid_ends =
        bytes.first().is_some_and(|byte| is_word(*byte)) && bytes.last().is_some_and(|byte| is_word(*byte));
    let has_valid_bytes = bytes.iter().all(|byte| is_word(*byte) || b"._-".contains(byte));
    has_valid_ends && has_valid_bytes && !part.contains("..") && !part.contains("___") && !part.contains("._")
}

/// A value shortened and escaped for a message.
pub(crate) fn echo(text: &str) -> String {
    printable(text, MAX_ECHO_CHARS)
}

#[cfg(test)]
mod tests {
    use super::{image_reference_fault, is_engine_name, is_hostname, is_moving_reference};

    #[test]
    fn image_references_are_those_of_the_engine() {
        let digest = format!("nginx@sha256:{}", "a".repeat(64));
        for good in [
            "nginx",
            "nginx:1.29",
            "library/nginx",
            "localhost:5000/idp/mcp-hub:2.0",
            "ghcr.io/owner/name",
            "registry.example.com/a/b_c/d--e:v1.2-rc.1",
            "REGISTRY.example.com/a",
            "[::1]:5000/a",
            "10.0.0.1:5000/a:1",
            digest.as_str(),
        ] {
            assert_eq!(image_reference_fault(good), None, "{good}");
        }
        for bad in [
            "",
            "UPPER/Case",
            "UPPER",
            "a b",
            ":",
            "@sha256:zz",
            "nginx:",
            "nginx@sha256:abc",
            "a//b",
            "https://x/y",
            "-a",
            "a:b:c",
        ] {
            assert!(image_reference_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_reference_without_a_tag_or_with_latest_moves_and_one_with_a_digest_never_does() {
        for moving in ["nginx", "nginx:latest", "localhost:5000/mcp/time", "[::1]:5000/a", "10.0.0.1:5000/a:latest"] {
            assert!(is_moving_reference(moving), "{moving}");
        }
        let digest = "a".repeat(64);
        let pinned = [format!("nginx@sha256:{digest}"), format!("nginx:latest@sha256:{digest}")];
        for fixed in ["nginx:1.29", "localhost:5000/mcp/time:2.0", "a/b:latest-1", &pinned[0], &pinned[1]] {
            assert!(!is_moving_reference(fixed), "{fixed}");
        }
    }

    #[test]
    fn host_names_and_engine_names_are_told_from_others() {
        assert!(is_hostname("hub") && is_hostname("hub.example.com"));
        assert!(!is_hostname("a_b") && !is_hostname(&"a".repeat(64)) && !is_hostname("") && !is_hostname("-a"));
        assert!(is_engine_name("mcp-internal") && is_engine_name("a.b_c"));
        assert!(!is_engine_name("a") && !is_engine_name("../x") && !is_engine_name(&"a".repeat(256)));
    }
}
