//! Host paths of mounts, looked at on the disk: they must exist, and their links must not lead where the text does not.

use std::fs;
use std::io;

use crds_schema::host_path::denied_host_path;
use crds_schema::primitive::{ContainerSet, MountSource, Primitive};
use crds_schema::{AnyObject, Diagnostic, Span};

/// The faults of an object's host paths. Makes directories that are to be made. Blocking.
pub fn check(object: &AnyObject) -> Vec<Diagnostic> {
    let lowered = object.spec.lower(&object.metadata);
    let Primitive::Containers(set) = &lowered.primitive else { return Vec::new() };
    let mut faults = Vec::new();
    for mount in &set.template.mounts {
        let MountSource::Host { path, create } = &mount.source else { continue };
        if let Err(fault) = check_path(set, path, *create) {
            faults.push(locate(*fault, object, &mount.path));
        }
    }
    faults
}

fn check_path(set: &ContainerSet, path: &str, create: bool) -> Result<(), Box<Diagnostic>> {
    if create && let Err(error) = fs::create_dir_all(path) {
        return Err(Box::new(Diagnostic::error("E0215", format!("cannot make the host path `{path}`: {error}"))));
    }
    let real = match fs::canonicalize(path) {
        Ok(real) => real.to_string_lossy().into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fault = Diagnostic::error("E0215", format!("the host path `{path}` does not exist"));
            return Err(Box::new(fault.hint("make it, or write `create: true`")));
        }
        Err(error) => {
            return Err(Box::new(Diagnostic::error(
                "E0215",
                format!("cannot look at the host path `{path}`: {error}"),
            )));
        }
    };
    if set.may_mount_any_host_path {
        return Ok(());
    }
    match denied_host_path(&real) {
        None => Ok(()),
        Some(reason) => {
            let message = format!("the host path `{path}` leads to `{real}`, which is not allowed: {reason}");
            Err(Box::new(
                Diagnostic::error("E0215", message).hint("mount another path, or use `security.profile: privileged`"),
            ))
        }
    }
}

fn locate(mut fault: Diagnostic, object: &AnyObject, mount_path: &str) -> Diagnostic {
    let key = object.key();
    fault.object = format!("{}/{}/{}", key.kind, key.namespace, key.name);
    fault.field = format!("spec.mounts[path={mount_path}].host");
    fault.span(Span {
        file: object.source.file.clone(),
        line: object.source.line,
        column: 1,
        length: 0,
        snippet: String::new(),
        label: String::new(),
    })
}
