//! Relative host paths of an `McpGateway`, made absolute at load.

use super::spec::McpGateway;
use crate::host_path::resolve_in_place;

impl McpGateway {
    pub(crate) fn resolve_host_paths(&mut self, directory: &str) {
        for token in &mut self.tokens {
            resolve_in_place(directory, &mut token.file);
        }
    }
}
