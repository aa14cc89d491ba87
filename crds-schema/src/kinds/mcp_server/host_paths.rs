//! Relative host paths of an `McpServer`, made absolute at load.

use super::spec::McpServer;
use crate::host_path::resolve_in_place;

impl McpServer {
    pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
        for host in self.mounts.iter_mut().filter_map(|mount| mount.host.as_mut()) {
            resolve_in_place(directory, host);
        }
        for header in self.remote.iter_mut().flat_map(|remote| &mut remote.header_files) {
            resolve_in_place(directory, &mut header.file);
        }
    }
}
