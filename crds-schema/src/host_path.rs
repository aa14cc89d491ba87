//! Paths of the host, judged by their text alone. The controller looks at the disk, and at symbolic links, before it mounts one.

use crate::diagnostic::Diagnostic;
use crate::grammar::echo;

/// Nothing in these is mounted without the profile `privileged`: what makes or breaks the host.
const DENIED_TREES: [&str; 20] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root/.ssh",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/evenkeel",
    "/var/run",
    "/var/spool/cron",
];

/// Sockets that are as good as root, wherever they lie.
const DENIED_FILES: [&str; 5] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock"];

/// Why a path of the host cannot be mounted without the profile `privileged`; `None` when it can.
///
/// A path is denied when it is, lies in, or contains what must not be reached. `path` is absolute.
pub fn denied_host_path(path: &str) -> Option<String> {
    let path = clean(path);
    for tree in DENIED_TREES {
        if lies_in(&path, tree) {
            return Some(format!("`{tree}` belongs to the host"));
        }
    }
    if let Some(tree) = DENIED_TREES.iter().find(|tree| lies_in(tree, &path)) {
        return Some(format!("it contains `{tree}`, which belongs to the host"));
    }
    let is_socket = |part: &str| DENIED_FILES.contains(&part);
    path.split('/')
        .find(|part| is_socket(part))
        .map(|socket| format!("`{socket}` gives every right of the host's root"))
}

/// `path` made absolute against `directory`, without `.`, `..`, doubled or trailing slashes; `None` when it is relative and
/// there is no directory, or it climbs above the root.
pub fn resolve(directory: &str, path: &str) -> Option<String> {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else if directory.starts_with('/') {
        format!("{directory}/{path}")
    } else {
        return None;
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Makes a relative path absolute. What is left relative, or has `..` in an absolute path, is refused by validation, in the user's own
/// words.
pub(crate) fn resolve_in_place(directory: &str, path: &mut String) {
    let is_relative = !path.starts_with('/') && !path.starts_with('~') && !path.is_empty();
    if is_relative && let Some(resolved) = resolve(directory, path) {
        *path = resolved;
    }
}

/// What is wrong with the text of a path of the host after it was made absolute; `None` when nothing is.
pub(crate) fn host_path_fault(path: &str) -> Option<Diagnostic> {
    if !path.starts_with('/') {
        let fault = Diagnostic::error("E0215", format!("`{}` is not an absolute path", echo(path)));
        let hint = if path.starts_with('~') {
            "`~` is not expanded: write the whole path"
        } else {
            "a path is relative to the directory of its manifest file, and stays below the root"
        };
        return Some(fault.hint(hint));
    }
    path.split('/').any(|part| part == "..").then(|| {
        let fault = Diagnostic::error("E0215", format!("`{}` contains `..`", echo(path)));
        fault.hint("write the path that is meant")
    })
}

/// Without `.`, doubled or trailing slashes.
pub fn clean(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

fn lies_in(path: &str, tree: &str) -> bool {
    tree == "/" || path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{denied_host_path, resolve};

    #[test]
    fn what_is_the_host_s_own_is_denied_in_every_spelling() {
        for path in [
            "/",
            "//",
            "/.",
            "/etc",
            "/etc/",
            "//etc",
            "/./etc/passwd",
            "/etc/shadow",
            "/var",
            "/var/lib",
            "/var/lib/docker",
            "/var/lib/docker/volumes",
            "/var/run/docker.sock",
            "/run",
            "/run/docker.sock",
            "/run/user/1000/docker.sock",
            "/proc",
            "/proc/1/root/etc",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/sda",
            "/boot",
            "/usr",
            "/usr/bin",
            "/lib/modules",
            "/root",
            "/root/.ssh/authorized_keys",
            "/home/user/.docker/run/docker.sock",
            "/mnt/containerd.sock",
        ] {
            assert!(denied_host_path(path).is_some(), "{path}");
        }
        for path in
            ["/srv", "/srv/etc", "/home/user/app", "/opt/data", "/tmp/x", "/etcetera", "/root/project", "/var/www"]
        {
            assert_eq!(denied_host_path(path), None, "{path}");
        }
    }

    #[test]
    fn relative_paths_are_resolved_by_their_text() {
        assert_eq!(resolve("/srv/app", "./config").as_deref(), Some("/srv/app/config"));
        assert_eq!(resolve("/srv/app", "../data/").as_deref(), Some("/srv/data"));
        assert_eq!(resolve("/srv", "../../../etc"), None);
        assert_eq!(resolve("/srv", "../etc").as_deref(), Some("/etc"));
        assert_eq!(resolve("", "config"), None);
        assert_eq!(resolve("", "/srv//x/./y").as_deref(), Some("/srv/x/y"));
    }
}
