//! Relative host paths of a `Deployment`, made absolute at load.

use super::spec::Deployment;
use crate::host_path::resolve;

impl Deployment {
    pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
        for mount in &mut self.mounts {
            let Some(host) = &mut mount.host else { continue };
            // What is left relative, or has `..` in an absolute path, is refused by validation, in the user's own words.
            let is_relative = !host.starts_with('/') && !host.starts_with('~') && !host.is_empty();
            if is_relative && let Some(resolved) = resolve(directory, host) {
                *host = resolved;
            }
        }
    }
}
