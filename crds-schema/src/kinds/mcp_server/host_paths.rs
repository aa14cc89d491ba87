//! Relative host paths of an `McpServer`, made absolute at load.

use super::spec::McpServer;
use crate::host_path::resolve_in_place;
use crate::kinds::deployment::Mount;

impl McpServer {
    pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
        for path in self.mounts.iter_mut().flat_map(Mount::host_paths_mut) {
            resolve_in_place(directory, path);
        }
        for header in self.remote.iter_mut().flat_map(|remote| &mut remote.header_files) {
            resolve_in_place(directory, &mut header.file);
        }
    }
}
