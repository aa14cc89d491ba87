//! Relative host paths of a `Deployment`, made absolute at load.

use super::spec::{Deployment, Mount};
use crate::host_path::resolve_in_place;

impl Mount {
    /// The paths of the host in it.
    pub(crate) fn host_paths_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.host.iter_mut().chain(&mut self.secret_file)
    }
}

impl Deployment {
    pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
        for path in self.mounts.iter_mut().flat_map(Mount::host_paths_mut) {
            resolve_in_place(directory, path);
        }
    }
}
