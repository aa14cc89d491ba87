//! Whether the manifests can be read, the data directory be written, and the port be listened on.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Check;
use crate::cli::client::Client;
use crate::cli::diagnostics;
use crate::cli::offline;
use crate::config::{Config, ListenAddress, ServerAddress};
use crate::http::api::ControllerView;

/// The check of the manifests, where a directory is set.
pub(super) fn check_manifests(config: &Config) -> Option<Check> {
    const NAME: &str = "manifests";
    let directory = config.manifests.as_ref()?;
    let shown = directory.display();
    if let Err(error) = fs::read_dir(directory) {
        return Some(Check::fail(
            NAME,
            format!("cannot read `{shown}`: {error}"),
            "name another directory with `--manifests`",
        ));
    }
    Some(match offline::check_manifests(std::slice::from_ref(directory)) {
        Ok(checked) => {
            let (errors, warnings) = diagnostics::count(&checked.diagnostics);
            let found = format!(
                "{} objects in {} files, {errors} errors, {warnings} warnings",
                checked.objects.len(),
                checked.files
            );
            let remedy = format!("evenkeel validate {shown}");
            match (errors, warnings) {
                (0, 0) => Check::ok(NAME, found),
                (0, _) => Check::warn(NAME, found, remedy),
                (_, _) => Check::fail(NAME, found, remedy),
            }
        }
        Err(error) => Check::fail(NAME, error.chain(), "make every file readable"),
    })
}

/// The check of the data directory: that it, or the directory it would be made in, is ours to write.
pub(super) fn check_data_dir(config: &Config) -> Check {
    const NAME: &str = "data dir";
    let directory = &config.data_dir;
    let shown = directory.display();
    let remedy = "make it writable, or name another with `--data-dir`";
    match fs::metadata(directory) {
        Ok(metadata) if !metadata.is_dir() => Check::fail(NAME, format!("`{shown}` is not a directory"), remedy),
        Ok(metadata) => match probe(directory) {
            Err(error) => Check::fail(NAME, format!("cannot write in `{shown}`: {error}"), remedy),
            Ok(()) if metadata.mode() & 0o007 != 0 => {
                Check::warn(NAME, format!("other users can enter `{shown}`"), format!("chmod 0750 {shown}"))
            }
            Ok(()) => Check::ok(NAME, format!("`{shown}` is writable")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = directory.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or(Path::new("/"));
            match probe(parent) {
                Ok(()) => Check::ok(NAME, format!("`{shown}` will be made")),
                Err(error) => {
                    Check::fail(NAME, format!("cannot make `{shown}` in `{}`: {error}", parent.display()), remedy)
                }
            }
        }
        Err(error) => Check::fail(NAME, format!("cannot look at `{shown}`: {error}"), remedy),
    }
}

/// Makes a file and removes it: permissions, read-only mounts and full disks all show.
fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!(".evenkeel-doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)
}

/// The check of the address: free, or taken by a controller.
pub(super) async fn check_port(config: &Config) -> Check {
    const NAME: &str = "address";
    let listen = &config.listen;
    let server = match listen {
        ListenAddress::Tcp(address) => ServerAddress::Http(address.to_string()),
        ListenAddress::Unix(path) => ServerAddress::Unix(path.clone()),
    };
    match Client::new(server).get::<ControllerView>("/api/v1/controller").await {
        Ok(view) => return Check::ok(NAME, format!("a controller {} is running at {listen}", view.version)),
        Err(error) if error.status().is_some() => {
            return Check::fail(
                NAME,
                format!("another program answers at {listen}"),
                "choose another address with `--listen`",
            );
        }
        Err(_) => {}
    }
    let bound = match listen {
        ListenAddress::Tcp(address) => std::net::TcpListener::bind(address).map(drop),
        ListenAddress::Unix(path) => path.parent().map_or(Ok(()), probe),
    };
    match bound {
        Ok(()) => Check::ok(NAME, format!("{listen} is free")),
        Err(error) => {
            Check::fail(NAME, format!("cannot listen on {listen}: {error}"), "choose another address with `--listen`")
        }
    }
}
