//! What of a server nobody but itself may be told: the values of headers, and what its containers read from files.

use std::path::Path;

use crds_schema::kinds::mcp_server::{McpHeaderFile, McpRoute, RouteTransport};
use crds_schema::open_secret::{is_distinctive, passwords_in};

use crate::secret_file::{SecretError, read_secret};
use crate::wording::with_causes;

/// A header whose value stood in a file.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SecretHeader {
    /// Its name.
    pub(super) name: String,
    /// What stands before the secret.
    pub(super) prefix: String,
    /// What the file holds.
    pub(super) secret: String,
}

/// The secrets of one server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct ServerSecrets {
    /// Those that are sent to it.
    pub(super) headers: Vec<SecretHeader>,
    /// Those that its containers have.
    pub(super) mounted: Vec<String>,
}

impl ServerSecrets {
    /// Every value, and the passwords of the addresses in what is mounted.
    pub(super) fn values(&self) -> Vec<String> {
        let headers = self.headers.iter().map(|header| &header.secret);
        let mut values: Vec<String> = headers.chain(&self.mounted).cloned().collect();
        let passwords = self.mounted.iter().flat_map(|text| passwords_in(text));
        values.extend(passwords.filter(|password| is_distinctive(password)));
        values
    }
}

/// Reads the files of a server's secrets, as they are now.
///
/// # Errors
/// When one cannot be had, for people: a value that is not known cannot be kept from anybody.
pub(super) async fn read_secrets(route: &McpRoute) -> Result<ServerSecrets, String> {
    let headers = match &route.transport {
        RouteTransport::Remote { header_files, .. } => header_files.clone(),
        RouteTransport::Http { .. } | RouteTransport::Stdio => Vec::new(),
    };
    if headers.is_empty() && route.secret_files.is_empty() {
        return Ok(ServerSecrets::default());
    }
    let files = route.secret_files.clone();
    let reading = tokio::task::spawn_blocking(move || read_all(headers, &files));
    match reading.await {
        Ok(read) => read.map_err(|error| with_causes(&error)),
        Err(error) => Err(error.to_string()),
    }
}

fn read_all(headers: Vec<McpHeaderFile>, files: &[String]) -> Result<ServerSecrets, SecretError> {
    let read_header = |header: McpHeaderFile| {
        let secret = read_secret(Path::new(&header.file))?;
        Ok(SecretHeader { name: header.name, prefix: header.prefix, secret })
    };
    Ok(ServerSecrets {
        headers: headers.into_iter().map(read_header).collect::<Result<_, SecretError>>()?,
        mounted: files.iter().map(|file| read_secret(Path::new(file))).collect::<Result<_, SecretError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::ServerSecrets;

    #[test]
    fn the_password_of_an_address_that_is_mounted_is_hidden_by_itself_too() {
        let address = "postgres://a:hunter2hunter2@db/app".to_owned();
        let secrets = ServerSecrets { mounted: vec![address.clone()], ..ServerSecrets::default() };
        assert_eq!(secrets.values(), [address, "hunter2hunter2".to_owned()]);
    }
}
