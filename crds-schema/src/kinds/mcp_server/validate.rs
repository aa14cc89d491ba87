//! What an `McpServer` must mean to be accepted.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::address::{check_header_files, check_remote, warn_of_secrets};
use super::claims::own_path;
use super::container::{LABEL_AUDIT, LABEL_LEVEL, LABEL_SERVER};
use super::pattern::{check_patterns, is_client_name, tool_name_fault};
use super::spec::{McpCalls, McpInstances, McpServer, McpStart, McpTools, McpTransport};
use crate::diagnostic::Diagnostic;
use crate::grammar::echo;
use crate::kinds::Kind;
use crate::kinds::deployment::{Deployment, NetworkList};
use crate::object::Metadata;
use crate::source_map::key_path;
use crate::units::{Bytes, HumanDuration};

/// How long a call may take.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);
/// The least time without a call after which an instance is stopped.
const MIN_IDLE_STOP: Duration = Duration::from_secs(1);
/// How large the largest request or result may be.
const MESSAGE_SIZES: RangeInclusive<Bytes> = Bytes(1 << 10)..=Bytes(256 << 20);

impl McpServer {
    pub(crate) fn validate(&self, metadata: &Metadata) -> Vec<Diagnostic> {
        let mut faults = Vec::new();
        match (&self.image, &self.remote) {
            (None, None) => {
                let fault = Diagnostic::error("E0244", "there is neither an image nor a remote address");
                faults.push(fault.hint("add `image`, or `remote: { url: … }`").at("spec"));
            }
            (Some(_), Some(_)) => {
                let fault = Diagnostic::error("E0244", "there are both an image and a remote address");
                faults.push(fault.hint("keep one of the two").at("spec.remote"));
            }
            (Some(_), None) => self.check_containers(metadata, &mut faults),
            (None, Some(remote)) => {
                check_remote(remote, &mut faults);
                check_header_files(remote, &mut faults);
                warn_of_secrets(remote, &mut faults);
                self.check_no_container_fields(&mut faults);
            }
        }
        self.check_transport(&mut faults);
        check_instances(self.instances, &mut faults);
        warn_of_no_effect(self, &mut faults);
        check_tools(self.tools.as_ref(), &mut faults);
        check_calls(self.calls, &mut faults);
        faults
    }

    /// The faults of the containers are those that a `Deployment` of the same fields has.
    fn check_containers(&self, metadata: &Metadata, faults: &mut Vec<Diagnostic>) {
        // What only one container can hold must not be asked of as many as there may be.
        let most = Deployment { replicas: self.instance_bounds().max, ..self.to_deployment(metadata) };
        for fault in most.validate_as(Kind::McpServer, metadata) {
            let mut fault = Diagnostic { field: own_path(&fault.field), ..fault };
            if fault.code == "E0234" {
                fault.message = fault.message.replace("there are", "there may be").replace("replicas", "instances");
                fault.hints = vec!["set `instances: { max: 1 }`, or remove it".to_owned()];
            }
            faults.push(fault);
        }
        for label in [LABEL_SERVER, LABEL_LEVEL, LABEL_AUDIT] {
            if self.labels.contains_key(label) {
                let fault = Diagnostic::error("E0246", format!("the label `{label}` is given by the server itself"));
                faults.push(fault.hint("remove it; `risk` decides the level").at(key_path("spec.labels", label)));
            }
        }
    }

    fn check_no_container_fields(&self, faults: &mut Vec<Diagnostic>) {
        let fields = [
            ("instances", self.instances.is_some()),
            ("pullPolicy", self.pull_policy.is_some()),
            ("command", self.command.is_some()),
            ("args", self.args.is_some()),
            ("workingDir", self.working_dir.is_some()),
            ("user", self.user.is_some()),
            ("hostname", self.hostname.is_some()),
            ("env", !self.env.is_empty()),
            ("networks", self.networks.is_some()),
            ("mounts", !self.mounts.is_empty()),
            ("resources", self.resources.is_some()),
            ("security", self.security.is_some()),
            ("dependsOn", !self.depends_on.is_empty()),
            ("stop", self.stop.is_some()),
            ("strategy", self.strategy.is_some()),
            ("state", self.state.is_some()),
            ("init", self.init),
            ("logging", self.logging.is_some()),
            ("ulimits", !self.ulimits.is_empty()),
            ("sysctls", !self.sysctls.is_empty()),
            ("devices", !self.devices.is_empty()),
            ("dns", self.dns.is_some()),
            ("extraHosts", !self.extra_hosts.is_empty()),
            ("labels", !self.labels.is_empty()),
        ];
        for (field, is_given) in fields {
            if is_given {
                let message = format!("`{field}` is about containers, and a remote server has none");
                faults.push(Diagnostic::error("E0244", message).hint("remove it").at(format!("spec.{field}")));
            }
        }
    }

    fn check_transport(&self, faults: &mut Vec<Diagnostic>) {
        let mut fault = |message: &str, hint: &str, field: &str| {
            faults.push(Diagnostic::error("E0244", message).hint(hint).at(field));
        };
        let is_remote = self.remote.is_some();
        let is_http_image = self.transport() == McpTransport::Http && !is_remote;
        if is_remote && self.transport() == McpTransport::Stdio {
            fault("a remote server has no standard input", "remove it, or write `http`", "spec.transport");
        }
        if is_http_image && self.port.is_none() {
            fault("with `transport: http` the port is not known", "add for example `port: 8080`", "spec.transport");
        }
        let joins_none = match &self.networks {
            Some(NetworkList::Names(names)) => names.is_empty(),
            Some(NetworkList::WithOptions(networks)) => networks.is_empty(),
            None => false,
        };
        if is_http_image && joins_none {
            fault("without a network it cannot be reached over HTTP", "join a network", "spec.networks");
        }
        let (reason, hint) = if is_remote {
            ("is part of the address of a remote server", "write it into `remote.url`")
        } else {
            ("needs `transport: http`", "remove it, or add `transport: http`")
        };
        for (field, is_given) in [("port", self.port.is_some()), ("path", self.path.is_some())] {
            if is_given && !is_http_image {
                fault(&format!("`{field}` {reason}"), hint, &format!("spec.{field}"));
            }
        }
        if let Some(path) = &self.path
            && let Some(problem) = path_fault(path)
        {
            let fault = Diagnostic::error("E0216", format!("`{}` is not a path of HTTP: {problem}", echo(path)));
            faults.push(fault.hint("write for example `/mcp`").at("spec.path"));
        }
    }
}

/// Why a text is not the path of a request.
fn path_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("it does not begin with `/`")
    } else if path.len() > 1024 {
        Some("it is longer than 1024 characters")
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}".contains(&byte)) {
        Some("it has a character that must be written as `%` and two digits")
    } else {
        None
    }
}

fn check_instances(instances: Option<McpInstances>, faults: &mut Vec<Diagnostic>) {
    let Some(instances) = instances else { return };
    let min = instances.min.unwrap_or(1);
    if min == 0 && instances.start == McpStart::Eager {
        let fault = Diagnostic::error("E0247", "with no instance nothing is ever started");
        faults.push(fault.hint("add `start: Lazy`, or set `min: 1`").at("spec.instances.min"));
    }
    if let Some(max) = instances.max
        && max < min
    {
        let fault = Diagnostic::error("E0247", format!("there are to be at most {max} instances, and at least {min}"));
        faults.push(fault.hint("raise `max`, or lower `min`").at("spec.instances.max"));
    }
    if let Some(idle_stop) = instances.idle_stop
        && idle_stop.0 < MIN_IDLE_STOP
    {
        let fault = Diagnostic::error("E0230", format!("`{idle_stop}` is out of range: at least 1s"));
        faults.push(fault.at("spec.instances.idleStop"));
    }
}

/// A warning for each thing that is asked for and not done: nobody should find out by what does not happen.
fn warn_of_no_effect(server: &McpServer, faults: &mut Vec<Diagnostic>) {
    let mut warn = |message: &str, hint: &str, field: &str| {
        faults.push(Diagnostic::warning("E0251", message).hint(hint).at(field));
    };
    let is_exclusive = server.isolation.unwrap_or_default().is_exclusive();
    if server.remote.is_some() && is_exclusive {
        warn("it has no effect: a remote server has no containers here", "remove it", "spec.isolation");
    }
    let Some(instances) = server.instances else { return };
    let min = instances.min.unwrap_or(1);
    if instances.start == McpStart::Lazy && min > 0 {
        let message = format!("it has no effect: `min` says that there is always {min}");
        warn(&message, "set `min: 0`, or remove it", "spec.instances.start");
    }
    if is_exclusive {
        return;
    }
    if instances.max.is_some_and(|max| max > min.max(1)) {
        let message = "it has no effect: everybody shares as many containers as `min` says";
        warn(message, "set `min`, or `isolation: PerSession`", "spec.instances.max");
    }
    if instances.idle_stop.is_some() && min > 0 {
        let message = "it has no effect: as many containers as `min` says are always there";
        warn(message, "set `min: 0` and `start: Lazy`", "spec.instances.idleStop");
    }
}

fn check_tools(tools: Option<&McpTools>, faults: &mut Vec<Diagnostic>) {
    let Some(tools) = tools else { return };
    check_patterns("spec.tools.allow", &tools.allow, faults);
    check_patterns("spec.tools.deny", &tools.deny, faults);
    let mut new_names: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, new_name) in &tools.rename {
        let path = key_path("spec.tools.rename", name);
        if let Some(problem) = tool_name_fault(name) {
            let fault = Diagnostic::error("E0245", format!("`{}` is not the name of a tool: {problem}", echo(name)));
            faults.push(fault.at(path.clone()));
        }
        if !is_client_name(new_name) {
            let message = format!("`{}` is not a name that every client takes", echo(new_name));
            let fault = Diagnostic::error("E0245", message).hint("use 1 to 64 letters, digits, `_` and `-`");
            faults.push(fault.at(path.clone()));
        }
        if let Some(other) = new_names.insert(new_name, name) {
            let message = format!("`{}` is to be the name of `{}` too", echo(new_name), echo(other));
            faults.push(Diagnostic::error("E0245", message).hint("choose another name").at(path));
        }
    }
}

fn check_calls(calls: Option<McpCalls>, faults: &mut Vec<Diagnostic>) {
    let Some(calls) = calls else { return };
    if let Some(timeout) = calls.timeout {
        check_duration("spec.calls.timeout", timeout, &TIMEOUTS, faults);
    }
    for (path, size) in [("spec.calls.maxRequest", calls.max_request), ("spec.calls.maxResult", calls.max_result)] {
        faults.extend(size.and_then(|size| message_size_fault(path, size)));
    }
}

fn check_duration(path: &str, value: HumanDuration, range: &RangeInclusive<Duration>, faults: &mut Vec<Diagnostic>) {
    if !range.contains(&value.0) {
        let (least, most) = (HumanDuration(*range.start()), HumanDuration(*range.end()));
        faults.push(Diagnostic::error("E0230", format!("`{value}` is out of range: {least} to {most}")).at(path));
    }
}

/// The fault of the size of the largest message.
pub(crate) fn message_size_fault(path: &str, size: Bytes) -> Option<Diagnostic> {
    let (least, most) = (MESSAGE_SIZES.start(), MESSAGE_SIZES.end());
    (!MESSAGE_SIZES.contains(&size))
        .then(|| Diagnostic::error("E0222", format!("`{size}` is out of range: `{least}` to `{most}`")).at(path))
}
