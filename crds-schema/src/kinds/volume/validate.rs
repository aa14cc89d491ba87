//! What a `Volume` must mean to be accepted.

use super::spec::Volume;
use crate::diagnostic::Diagnostic;
use crate::grammar::{check_engine_name, check_labels, echo};
use crate::kinds::Kind;
use crate::object::{Metadata, ObjectKey};

/// File systems that the local driver may mount: none of them reaches a path or device of the host.
const ALLOWED_TYPES: [&str; 4] = ["tmpfs", "nfs", "nfs4", "cifs"];

impl Volume {
    pub(crate) fn validate(&self, metadata: &Metadata) -> Vec<Diagnostic> {
        let mut faults = check_labels("spec.labels", &self.labels);
        faults.extend(self.check_name(metadata));
        faults.extend(self.check_driver_options());
        faults
    }

    fn check_name(&self, metadata: &Metadata) -> Option<Diagnostic> {
        if let Some(name) = &self.engine_name {
            return check_engine_name("spec.engineName", name);
        }
        let key = ObjectKey { kind: Kind::Volume, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        check_engine_name("metadata.name", &key.engine_name())
            .map(|fault| fault.hint("or set `spec.engineName`, and keep this name"))
    }

    fn check_driver_options(&self) -> Option<Diagnostic> {
        if self.driver.as_deref() == Some("") {
            let fault = Diagnostic::error("E0126", "the driver is empty").hint("leave it out for `local`");
            return Some(fault.at("spec.driver"));
        }
        let option = |name: &str| {
            let found = self.driver_options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let refuse = |message: String| {
            let fault = Diagnostic::error("E0215", message);
            Some(fault.hint("mount the path with `host` in the Deployment instead").at("spec.driverOptions"))
        };
        let binds = |options: &str| {
            options.split(',').any(|word| matches!(word.trim().to_ascii_lowercase().as_str(), "bind" | "rbind"))
        };
        if option("o").is_some_and(binds) {
            return refuse("a volume cannot bind a path of the host".to_owned());
        }
        if self.driver.as_deref().unwrap_or("local") != "local" {
            return None;
        }
        match option("type") {
            Some(name) if ALLOWED_TYPES.contains(&name) => None,
            Some(name) => refuse(format!("a volume cannot mount the file system `{}` of the host", echo(name))),
            None if option("device").is_some() => refuse("a volume cannot mount a device of the host".to_owned()),
            None => None,
        }
    }
}
