//! What an answer of the Engine means: one pure table keyed by operation, status and text.
//!
//! The Engine's statuses say little: everything that goes wrong with a registry is a 500, and a port that is taken looks like
//! a broken disk. So the text decides, and each text here was seen on a real engine, 20.10 or 28. The first row that fits wins.

use super::ErrorKind;

/// A call to the Engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Any call that changes nothing.
    Read,
    /// Fetch an image from its registry.
    PullImage,
    /// Make an image from an archive.
    ImportImage,
    /// Remove an image's reference.
    RemoveImage,
    /// Create a network.
    CreateNetwork,
    /// Remove a network.
    RemoveNetwork,
    /// Create a volume.
    CreateVolume,
    /// Remove a volume.
    RemoveVolume,
    /// Create a container.
    CreateContainer,
    /// Start a container.
    StartContainer,
    /// Stop a container.
    StopContainer,
    /// Unpause a container.
    UnpauseContainer,
    /// Rename a container.
    RenameContainer,
    /// Update a container.
    UpdateContainer,
    /// Remove a container.
    RemoveContainer,
    /// Connect a container to a network.
    ConnectNetwork,
    /// Disconnect a container from a network.
    DisconnectNetwork,
}

/// What a failed call means, from what the Engine answered.
///
/// `status` is the HTTP status, or 200 for an error inside the stream of a pull. Letter case in `text` does not matter.
pub fn classify(operation: Operation, status: u16, text: &str) -> ErrorKind {
    let text = text.to_lowercase();
    let fits = |row: &&Row| row.operations.is_empty() || row.operations.contains(&operation);
    let row = ROWS.iter().filter(fits).find(|row| text.contains(row.text));
    row.map_or_else(|| classify_status(operation, status), |row| row.kind)
}

/// Makes a text of the Engine fit for an error: one line, control characters escaped, at most [`TEXT_LIMIT`] characters.
pub fn clean_text(text: &str) -> String {
    let mut clean = String::new();
    let mut length = 0;
    for character in text.trim().chars() {
        let shown: String = match character {
            '\n' | '\r' | '\t' => " ".into(),
            character if character.is_control() || is_invisible(character) => character.escape_unicode().to_string(),
            character => character.into(),
        };
        length += shown.chars().count();
        if length >= TEXT_LIMIT {
            clean.push('…');
            break;
        }
        clean.push_str(&shown);
    }
    clean
}

/// The most characters that an error's text has.
pub const TEXT_LIMIT: usize = 500;

/// Characters that change how others are shown: directions, joiners, byte order marks.
const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What a status alone means, when no text told more.
fn classify_status(operation: Operation, status: u16) -> ErrorKind {
    match (operation, status) {
        (_, 401 | 403 | 407) if operation != Operation::PullImage => ErrorKind::Forbidden,
        (Operation::PullImage, 401 | 403) => ErrorKind::RegistryDenied,
        (Operation::PullImage, 404) => ErrorKind::RegistryNotFound,
        (Operation::PullImage, 429) => ErrorKind::RegistryThrottled,
        (Operation::PullImage, 200 | 500..) => ErrorKind::RegistryUnavailable,
        (_, 404) => ErrorKind::NotFound,
        (_, 409) => ErrorKind::InUse,
        // A proxy gave up on the Engine, which may go on.
        (_, 408 | 502 | 504) => ErrorKind::Unknown,
        (_, 429) => ErrorKind::Internal,
        (_, 400..=499 | 501) => ErrorKind::Invalid,
        (..) => ErrorKind::Internal,
    }
}

/// One row of the table.
struct Row {
    /// Empty: any.
    operations: &'static [Operation],
    /// A part of the text, in lower case.
    text: &'static str,
    /// What it means.
    kind: ErrorKind,
}

const fn row(operations: &'static [Operation], text: &'static str, kind: ErrorKind) -> Row {
    Row { operations, text, kind }
}

const ANY: &[Operation] = &[];
const PULL: &[Operation] = &[Operation::PullImage];
const CREATE: &[Operation] = &[Operation::CreateContainer];
const START: &[Operation] = &[Operation::StartContainer];
const NAMES: &[Operation] = &[
    Operation::CreateContainer,
    Operation::RenameContainer,
    Operation::CreateNetwork,
    Operation::CreateVolume,
    Operation::ConnectNetwork,
    Operation::ImportImage,
];
/// Where addresses and ports are handed out.
const ENDPOINTS: &[Operation] = &[
    Operation::CreateContainer,
    Operation::StartContainer,
    Operation::ConnectNetwork,
    Operation::DisconnectNetwork,
    Operation::CreateNetwork,
    Operation::UnpauseContainer,
];
const NETWORKS: &[Operation] = &[Operation::RemoveNetwork];
const VOLUMES: &[Operation] = &[Operation::RemoveVolume];
const REMOVALS: &[Operation] = &[
    Operation::RemoveContainer,
    Operation::StartContainer,
    Operation::StopContainer,
    Operation::UpdateContainer,
    Operation::RenameContainer,
    Operation::ConnectNetwork,
    Operation::DisconnectNetwork,
];

/// The table. Rows for one operation stand before those for any that share a word with them.
const ROWS: &[Row] = &[
    row(ANY, "no space left on device", ErrorKind::NoSpace),
    row(ANY, "disk quota exceeded", ErrorKind::NoSpace),
    // The Engine was exchanged under us; the next `info` agrees on another version.
    row(ANY, "client version", ErrorKind::Internal),
    row(ANY, "json: cannot unmarshal", ErrorKind::Invalid),
    // Registries. `pull access denied … repository does not exist` may mean either, but only credentials can tell.
    row(PULL, "toomanyrequests", ErrorKind::RegistryThrottled),
    row(PULL, "too many requests", ErrorKind::RegistryThrottled),
    row(PULL, "pull rate limit", ErrorKind::RegistryThrottled),
    row(PULL, "no basic auth credentials", ErrorKind::RegistryDenied),
    row(PULL, "unauthorized", ErrorKind::RegistryDenied),
    row(PULL, "authentication required", ErrorKind::RegistryDenied),
    row(PULL, "authorization failed", ErrorKind::RegistryDenied),
    // The Engine's own disk, not the registry.
    row(PULL, "permission denied", ErrorKind::Internal),
    row(PULL, "denied", ErrorKind::RegistryDenied),
    row(PULL, "403 forbidden", ErrorKind::RegistryDenied),
    row(PULL, "received unexpected http status", ErrorKind::RegistryUnavailable),
    row(PULL, "unexpected status from", ErrorKind::RegistryUnavailable),
    row(PULL, "failed to unpack image", ErrorKind::RegistryUnavailable),
    row(PULL, "manifest verification failed", ErrorKind::RegistryUnavailable),
    row(PULL, "invalid reference format", ErrorKind::Invalid),
    row(PULL, "manifest unknown", ErrorKind::RegistryNotFound),
    // Errors of a registry that does not say that it speaks JSON are quoted whole.
    row(PULL, "manifest_unknown", ErrorKind::RegistryNotFound),
    row(PULL, "name_unknown", ErrorKind::RegistryNotFound),
    row(PULL, "no matching manifest", ErrorKind::RegistryNotFound),
    row(PULL, "name unknown", ErrorKind::RegistryNotFound),
    row(PULL, ": not found", ErrorKind::RegistryNotFound),
    row(PULL, "repository does not exist", ErrorKind::RegistryNotFound),
    row(&[Operation::CreateNetwork], "invalid subnet", ErrorKind::Invalid),
    // Names. A rename says of a name that cannot be what it says of one that is taken.
    row(NAMES, "invalid container name", ErrorKind::Invalid),
    row(NAMES, "is already in use by container", ErrorKind::NameConflict),
    row(NAMES, "error when allocating new name", ErrorKind::NameConflict),
    row(NAMES, "already exists", ErrorKind::NameConflict),
    row(NAMES, "volume name must be unique", ErrorKind::NameConflict),
    row(NAMES, "no such image", ErrorKind::ImageNotFound),
    // Ports before addresses: both say that an address is in use.
    row(ENDPOINTS, "port is already allocated", ErrorKind::PortConflict),
    row(ENDPOINTS, "bind: address already in use", ErrorKind::PortConflict),
    row(ENDPOINTS, "failed to bind host port", ErrorKind::PortConflict),
    row(ENDPOINTS, "ports are not available", ErrorKind::PortConflict),
    row(ENDPOINTS, "all ports are allocated", ErrorKind::PortConflict),
    row(ENDPOINTS, "cannot assign requested address", ErrorKind::Invalid),
    row(ENDPOINTS, "invalid transport protocol", ErrorKind::Invalid),
    row(ENDPOINTS, "address already in use", ErrorKind::AddressConflict),
    row(ENDPOINTS, "no available ipv4 addresses", ErrorKind::AddressConflict),
    row(ENDPOINTS, "no available ipv6 addresses", ErrorKind::AddressConflict),
    row(ENDPOINTS, "no available addresses", ErrorKind::AddressConflict),
    row(ENDPOINTS, "non-overlapping ipv", ErrorKind::AddressConflict),
    row(ENDPOINTS, "pool overlaps with other one", ErrorKind::AddressConflict),
    row(ENDPOINTS, "fully subnetted", ErrorKind::AddressConflict),
    row(ENDPOINTS, "networks have overlapping", ErrorKind::AddressConflict),
    row(ENDPOINTS, "user specified ip address is supported", ErrorKind::Invalid),
    row(ENDPOINTS, "does not belong to any of this network's subnets", ErrorKind::Invalid),
    row(ENDPOINTS, "no configured subnet", ErrorKind::Invalid),
    // In use, or going.
    row(NETWORKS, "has active endpoints", ErrorKind::InUse),
    row(NETWORKS, "is a pre-defined network", ErrorKind::Invalid),
    row(VOLUMES, "volume is in use", ErrorKind::InUse),
    row(REMOVALS, "is already in progress", ErrorKind::InUse),
    row(REMOVALS, "marked for removal", ErrorKind::InUse),
    row(REMOVALS, "cannot remove a running container", ErrorKind::InUse),
    row(REMOVALS, "container is running", ErrorKind::InUse),
    row(REMOVALS, "is not connected to", ErrorKind::NotFound),
    row(REMOVALS, "conflicting options", ErrorKind::Invalid),
    row(REMOVALS, "should be smaller than already set memoryswap", ErrorKind::Invalid),
    row(CREATE, "conflicting options", ErrorKind::Invalid),
    // The Engine says both for a container that was unpaused meanwhile: look again, then decide.
    row(&[Operation::UnpauseContainer], "is not paused", ErrorKind::Internal),
    row(START, "try unpause instead", ErrorKind::Internal),
    // Starting. What is checked only at start comes back from the runtime.
    row(START, "oci runtime", ErrorKind::StartFailed),
    row(START, "failed to create shim task", ErrorKind::StartFailed),
    row(START, "failed to create task", ErrorKind::StartFailed),
    row(START, "unable to find user", ErrorKind::StartFailed),
    row(START, "unable to find group", ErrorKind::StartFailed),
    row(START, "no matching entries in passwd file", ErrorKind::StartFailed),
    row(START, "error gathering device information", ErrorKind::StartFailed),
    row(START, "bind source path does not exist", ErrorKind::StartFailed),
];

#[cfg(test)]
mod tests {
    use super::{Operation, TEXT_LIMIT, classify, clean_text};
    use crate::engine::ErrorKind;

    #[track_caller]
    fn check(operation: Operation, status: u16, text: &str, kind: ErrorKind) {
        assert_eq!(classify(operation, status, text), kind, "{operation:?} {status} {text}");
    }

    #[test]
    fn names_and_images_of_a_create_are_told_apart() {
        use Operation::{ConnectNetwork, CreateContainer, CreateNetwork, RenameContainer};
        let taken = "Conflict. The container name \"/X\" is already in use by container \"0123\". You have to remove (or rename) that container to be able to reuse that name.";
        check(CreateContainer, 409, taken, ErrorKind::NameConflict);
        check(RenameContainer, 409, &format!("Error when allocating new name: {taken}"), ErrorKind::NameConflict);
        let wrong =
            "Error when allocating new name: Invalid container name (_), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
        check(RenameContainer, 400, wrong, ErrorKind::Invalid);
        check(CreateNetwork, 409, "network with name N already exists", ErrorKind::NameConflict);
        check(ConnectNetwork, 403, "endpoint with name C already exists in network N", ErrorKind::NameConflict);
        // Docker 28 with the containerd image store, of two imports at once.
        let import = "failed to create an image r/x:1 with target sha256:00 after deleting the existing one: AlreadyExists: image \"r/x:1\": already exists";
        check(Operation::ImportImage, 500, import, ErrorKind::NameConflict);
        check(CreateContainer, 404, "No such image: nosuch/image:1", ErrorKind::ImageNotFound);
        check(CreateContainer, 404, "network 0123 not found", ErrorKind::NotFound);
        let name = "Invalid container name (_), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
        check(CreateContainer, 400, name, ErrorKind::Invalid);
        check(CreateContainer, 400, "No command specified", ErrorKind::Invalid);
        let json = "json: cannot unmarshal number into Go struct field ContainerConfigWrapper.Cmd of type string";
        check(CreateContainer, 500, json, ErrorKind::Invalid);
        check(CreateContainer, 400, "can't create 'AutoRemove' container with restart policy", ErrorKind::Invalid);
        check(CreateContainer, 400, "Container cannot be connected to network endpoints: a, b", ErrorKind::Invalid);
        check(RenameContainer, 400, "Renaming a container with the same name as its current name", ErrorKind::Invalid);
    }

    #[test]
    fn a_version_that_no_longer_fits_is_worth_another_try() {
        let text = "client version 1.50 is too new. Maximum supported API version is 1.41";
        check(Operation::Read, 400, text, ErrorKind::Internal);
        check(Operation::StartContainer, 400, text, ErrorKind::Internal);
    }

    #[test]
    fn starts_tell_ports_addresses_and_programs_apart() {
        use Operation::{CreateNetwork, StartContainer};
        for text in [
            "driver failed programming external connectivity on endpoint web (01): Bind for 127.0.0.1:18080 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint web (01): Error starting userland proxy: listen tcp4 127.0.0.1:18080: bind: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint web (01): Bind for 127.0.0.1:18080 failed: port is already allocated",
            "failed to set up container networking: driver failed programming external connectivity on endpoint web (01): failed to bind host port for 127.0.0.1:18080:172.17.0.2:80/tcp: address already in use",
        ] {
            check(StartContainer, 500, text, ErrorKind::PortConflict);
        }
        check(StartContainer, 403, "Address already in use", ErrorKind::AddressConflict);
        let full = "no available IPv4 addresses on this network's address pools: net (0123)";
        check(StartContainer, 500, full, ErrorKind::AddressConflict);
        let overlap = "invalid pool request: Pool overlaps with other one on this address space";
        check(CreateNetwork, 403, overlap, ErrorKind::AddressConflict);
        let subnet = "Invalid subnet 10.231.0.0/33 : invalid CIDR address: 10.231.0.0/33";
        check(CreateNetwork, 500, subnet, ErrorKind::Invalid);
        let subnet = "invalid network config: invalid subnet 10.231.0.0/33: invalid CIDR block notation";
        check(CreateNetwork, 400, subnet, ErrorKind::Invalid);
        check(CreateNetwork, 403, "Pool overlaps with other one on this address space", ErrorKind::AddressConflict);
        let pools = "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network";
        check(CreateNetwork, 404, pools, ErrorKind::AddressConflict);
        let pools = "all predefined address pools have been fully subnetted";
        check(CreateNetwork, 400, pools, ErrorKind::AddressConflict);
        let program = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/nope\": stat /nope: no such file or directory: unknown";
        check(StartContainer, 400, program, ErrorKind::StartFailed);
        let host = "failed to create shim task: OCI runtime create failed: sethostname: invalid argument: unknown";
        check(StartContainer, 500, host, ErrorKind::StartFailed);
        check(StartContainer, 500, "invalid transport protocol: 0", ErrorKind::Invalid);
        check(StartContainer, 404, "network 0123 not found", ErrorKind::NotFound);
        check(StartContainer, 500, "something new", ErrorKind::Internal);
    }

    #[test]
    fn things_in_use_are_not_forbidden() {
        use Operation::{RemoveContainer, RemoveNetwork, RemoveVolume, UpdateContainer};
        let running =
            "You cannot remove a running container 0123. Stop the container before attempting removal or force remove";
        check(RemoveContainer, 409, running, ErrorKind::InUse);
        check(RemoveContainer, 409, "removal of container X is already in progress", ErrorKind::InUse);
        let endpoints = "error while removing network: network N id 0123 has active endpoints";
        check(RemoveNetwork, 403, endpoints, ErrorKind::InUse);
        let predefined = "bridge is a pre-defined network and cannot be removed";
        check(RemoveNetwork, 403, predefined, ErrorKind::Invalid);
        check(RemoveNetwork, 404, "network N not found", ErrorKind::NotFound);
        check(RemoveNetwork, 400, "network N is ambiguous (2 matches found on name)", ErrorKind::Invalid);
        check(RemoveVolume, 409, "remove V: volume is in use - [0123]", ErrorKind::InUse);
        check(RemoveVolume, 404, "get V: no such volume", ErrorKind::NotFound);
        check(UpdateContainer, 400, "Minimum memory limit allowed is 6MB", ErrorKind::Invalid);
        let options = "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set";
        check(UpdateContainer, 409, options, ErrorKind::Invalid);
    }

    #[test]
    fn registries_are_classified_by_text_since_all_is_500() {
        use Operation::PullImage;
        let head = "Head \"http://127.0.0.1:5000/v2/x/manifests/1\"";
        check(PullImage, 500, &format!("{head}: no basic auth credentials"), ErrorKind::RegistryDenied);
        check(PullImage, 500, "denied", ErrorKind::RegistryDenied);
        check(PullImage, 500, "manifest unknown", ErrorKind::RegistryNotFound);
        let limit = "toomanyrequests: You have reached your pull rate limit.";
        check(PullImage, 500, limit, ErrorKind::RegistryThrottled);
        let failing = "received unexpected HTTP status: 500 Internal Server Error";
        check(PullImage, 500, failing, ErrorKind::RegistryUnavailable);
        let garbage = "invalid character 'o' in literal null (expecting 'u')";
        check(PullImage, 500, garbage, ErrorKind::RegistryUnavailable);
        let refused = "Get \"http://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused";
        check(PullImage, 500, refused, ErrorKind::RegistryUnavailable);
        let digest = "manifest verification failed for digest sha256:00";
        check(PullImage, 200, digest, ErrorKind::RegistryUnavailable);
        check(PullImage, 400, "invalid reference format", ErrorKind::Invalid);
        let containerd =
            "failed to resolve reference \"docker.io/library/nosuch:1\": docker.io/library/nosuch:1: not found";
        check(PullImage, 404, containerd, ErrorKind::RegistryNotFound);
        let denied = "pull access denied for x, repository does not exist or may require 'docker login': denied: requested access to the resource is denied";
        check(PullImage, 404, denied, ErrorKind::RegistryDenied);
        // Docker 28 with the containerd image store.
        let resolve = "unknown: failed to resolve reference \"r/x:1\"";
        let head = "unexpected status from HEAD request to http://r/v2/x/manifests/1";
        check(PullImage, 200, &format!("{resolve}: {head}: 403 Forbidden"), ErrorKind::RegistryDenied);
        check(PullImage, 500, &format!("{resolve}: {head}: 429 Too Many Requests"), ErrorKind::RegistryThrottled);
        check(PullImage, 500, &format!("{resolve}: {head}: 500 Internal Server Error"), ErrorKind::RegistryUnavailable);
        let unpack =
            "failed to unpack image on snapshotter overlayfs: unexpected media type text/html for sha256:00: not found";
        check(PullImage, 200, unpack, ErrorKind::RegistryUnavailable);
        check(PullImage, 500, "open /var/lib/docker/tmp/x: permission denied", ErrorKind::Internal);
        check(PullImage, 200, "write /var/lib/x: no space left on device", ErrorKind::NoSpace);
    }

    #[test]
    fn answers_of_proxies_are_forbidden_or_unknown() {
        let page = "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>";
        check(Operation::CreateContainer, 403, page, ErrorKind::Forbidden);
        check(Operation::Read, 403, page, ErrorKind::Forbidden);
        check(Operation::StartContainer, 504, "<html>Gateway Timeout</html>", ErrorKind::Unknown);
        check(Operation::StartContainer, 503, "", ErrorKind::Internal);
    }

    #[test]
    fn a_text_becomes_one_line_without_control_characters_and_of_limited_length() {
        assert_eq!(clean_text(" a\nb\u{1b}[31m\u{202e}c "), "a b\\u{1b}[31m\\u{202e}c");
        assert_eq!(clean_text(&"é".repeat(9000)).chars().count(), TEXT_LIMIT);
    }
}
