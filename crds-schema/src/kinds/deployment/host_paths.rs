//! Relative host paths of a `Deployment`, made absolute at load.

use super::spec::Deployment;
use crate::host_path::resolve_in_place;

impl Deployment {
    pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
        for mount in &mut self.mounts {
            if let Some(host) = &mut mount.host {
                resolve_in_place(directory, host);
            }
        }
    }
}
