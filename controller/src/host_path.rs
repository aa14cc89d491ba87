//! Host paths of mounts, looked at on the disk: they must exist, and their links must not lead where the text does not.

use std::fs;
use std::io;
use std::path::Path;

use crds_schema::host_path::denied_host_path;
use crds_schema::primitive::{ContainerSet, MountSource, Primitive};
use crds_schema::{AnyObject, Diagnostic, Span};

use crate::secret_file::{SecretError, check_secret};
use crate::wording::with_causes;

/// The faults of an object's host paths. Makes directories that are to be made. Blocking.
pub fn check(object: &AnyObject) -> Vec<Diagnostic> {
    let lowered = object.spec.lower(&object.metadata);
    let Primitive::Containers(set) = &lowered.primitive else { return Vec::new() };
    let secrets = object.spec.secret_files();
    let mut faults = Vec::new();
    for mount in &set.template.mounts {
        let MountSource::Host { path, create } = &mount.source else { continue };
        let is_secret = secrets.contains(&path.as_str());
        let checked = if is_secret { check_secret_path(set, path) } else { check_path(set, path, *create) };
        if let Err(fault) = checked {
            let field = if is_secret { "secretFile" } else { "host" };
            faults.push(locate(*fault, object, &format!("spec.mounts[path={}].{field}", mount.path)));
        }
    }
    faults
}

fn check_secret_path(set: &ContainerSet, path: &str) -> Result<(), Box<Diagnostic>> {
    let refused = |error: SecretError| {
        let fault = Diagnostic::error("E0238", with_causes(&error));
        Box::new(fault.hint("only the user that the container runs as, and who keeps the file, need to read it"))
    };
    check_secret(Path::new(path)).map_err(refused)?;
    check_path(set, path, false)
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

fn locate(mut fault: Diagnostic, object: &AnyObject, field: &str) -> Diagnostic {
    fault = fault.of(&object.key());
    field.clone_into(&mut fault.field);
    fault.span(Span {
        file: object.source.file.clone(),
        line: object.source.line,
        column: 1,
        length: 0,
        snippet: String::new(),
        label: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use crds_schema::{AnyObject, Kind, SourceLocation};
    use serde_json::json;

    use super::check;

    fn faults(file: &Path) -> Vec<String> {
        let mounts = json!([{ "secretFile": file, "path": "/run/secrets/token" }]);
        let spec = Kind::McpServer.spec_from_json(json!({ "image": "time:1", "mounts": mounts })).unwrap();
        let metadata = serde_json::from_value(json!({ "name": "time" })).unwrap();
        let faults = check(&AnyObject { metadata, spec, source: SourceLocation::default() });
        faults.iter().map(|fault| format!("{} {}: {}", fault.field, fault.code, fault.message)).collect()
    }

    #[test]
    fn a_secret_stands_in_a_plain_file_that_is_there_and_not_for_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let expect = |problem: &str| {
            let told = faults(&file);
            let begins = "spec.mounts[path=/run/secrets/token].secretFile E0238: ";
            assert!(told.len() == 1 && told[0].starts_with(begins) && told[0].contains(problem), "{told:?}");
        };
        expect("No such file");
        assert!(!file.exists(), "nothing is made in its place");
        fs::create_dir(&file).unwrap();
        expect("it is no plain file");
        fs::remove_dir(&file).unwrap();
        fs::write(&file, "").unwrap();
        expect("is empty");
        fs::write(&file, "a secret").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        expect("everybody may read");
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(faults(&file), [""; 0]);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(faults(&link)[0].contains("everybody may read"), "what a link leads to is what counts");
    }
}
