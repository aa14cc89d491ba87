//! What a `Deployment` must mean to be accepted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::open_secrets::warn_of_open_secrets;
use super::ports::check_ports;
use super::security::check_security;
use super::spec::{Deployment, Mount, NetworkList, Resources, Security, SecurityProfile};
use crate::diagnostic::Diagnostic;
use crate::grammar::{
    check_engine_name, check_env, check_labels, echo, image_reference_fault, is_dns_alias, is_hostname,
    is_moving_reference,
};
use crate::host_path::{clean, denied_host_path, host_path_fault};
use crate::kinds::Kind;
use crate::later::is_later_kind;
use crate::object::{Metadata, ObjectKey};
use crate::shape::quoted_list;
use crate::source_map::key_path;
use crate::suggestion::nearest;
use crate::units::{Bytes, HumanDuration, MilliCpu};

/// The Engine's least memory limit.
const MIN_MEMORY: Bytes = Bytes(6 << 20);
/// The Engine's least CPU limit.
const MIN_CPU: MilliCpu = MilliCpu(10);
/// The longest time that a container may take to end.
const MAX_GRACE_SECS: u64 = 3600;
/// How long a new container may fail to serve. What replaces another must have served for 5 s, and needs a moment to begin to.
const PROGRESS_DEADLINES: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);
/// The least limit of open files with which a container can be started.
const MIN_NOFILE: i64 = 64;
/// Limits of processes that the Engine knows.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];
/// Signals that end a program or that one may give a meaning of its own.
const SIGNALS: [&str; 31] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGKILL",
    "SIGPIPE",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

impl Deployment {
    pub(crate) fn validate(&self, metadata: &Metadata) -> Vec<Diagnostic> {
        self.validate_as(Kind::Deployment, metadata)
    }

    /// The same for an object of another kind whose fields these are.
    pub(crate) fn validate_as(&self, kind: Kind, metadata: &Metadata) -> Vec<Diagnostic> {
        let mut faults = check_labels("spec.labels", &self.labels);
        faults.extend(check_env("spec.env", &self.env));
        self.check_program(&mut faults);
        check_ports(self, &mut faults);
        self.check_networks(&mut faults);
        self.check_mounts(&mut faults);
        check_resources(self.resources.as_ref(), &mut faults);
        check_security(self, &mut faults);
        self.check_stop(&mut faults);
        self.check_strategy(&mut faults);
        self.check_ulimits(&mut faults);
        self.check_devices(&mut faults);
        self.check_hosts(&mut faults);
        self.check_dependencies(kind, metadata, &mut faults);
        self.check_container_name(&mut faults);
        warn_of_open_secrets(self, &mut faults);
        faults
    }

    fn check_program(&self, faults: &mut Vec<Diagnostic>) {
        if let Some(problem) = image_reference_fault(&self.image) {
            let message = format!("`{}` is not a reference to an image: {problem}", echo(&self.image));
            let hint = "write `[REGISTRY/]PATH[:TAG][@DIGEST]`, such as `nginx:1.29`";
            faults.push(Diagnostic::error("E0206", message).hint(hint).at("spec.image"));
        } else if is_moving_reference(&self.image) {
            let image = echo(&self.image);
            let message = format!("`{image}` names no version: it is whatever is the newest when it is fetched");
            let name = image.strip_suffix(":latest").unwrap_or(&image);
            let hint = format!("write a tag that stays, such as `{name}:1.4`, or better a digest: `{name}@sha256:…`");
            faults.push(Diagnostic::warning("E0252", message).hint(hint).at("spec.image"));
        }
        let first = self.command.as_ref().map(|command| command.first());
        if first.is_some_and(|program| program.is_none_or(String::is_empty)) {
            let fault = Diagnostic::error("E0210", "the command is empty");
            faults.push(fault.hint("leave it out to run the image's own").at("spec.command"));
        }
        if let Some(directory) = &self.working_dir
            && !directory.starts_with('/')
        {
            let fault = Diagnostic::error("E0216", format!("`{}` is not an absolute path", echo(directory)));
            faults.push(fault.hint(format!("write `/{}`", echo(directory))).at("spec.workingDir"));
        }
        if let Some(hostname) = &self.hostname
            && !is_hostname(hostname)
        {
            let fault = Diagnostic::error("E0229", format!("`{}` is not a host name", echo(hostname)));
            faults.push(fault.hint("use at most 63 letters, digits and `-`").at("spec.hostname"));
        }
    }

    fn check_networks(&self, faults: &mut Vec<Diagnostic>) {
        match &self.networks {
            None => {}
            Some(NetworkList::Names(names)) => {
                for (index, name) in names.iter().enumerate() {
                    if names[..index].contains(name) {
                        let fault = Diagnostic::error("E0110", format!("the network `{name}` is listed twice"));
                        faults.push(fault.hint("keep one of the two").at(format!("spec.networks[{index}]")));
                    }
                }
            }
            Some(NetworkList::WithOptions(networks)) => {
                for (name, options) in networks {
                    let path = key_path("spec.networks", name.as_str());
                    for (index, alias) in options.aliases.iter().enumerate() {
                        if !is_dns_alias(alias) {
                            let fault = Diagnostic::error("E0229", format!("`{}` is not a host name", echo(alias)));
                            faults.push(fault.at(format!("{path}.aliases[{index}]")));
                        }
                    }
                    if options.ipv4.is_some() && self.replicas > 1 {
                        faults.push(only_one_replica("a fixed address", self.replicas).at(format!("{path}.ipv4")));
                    }
                }
            }
        }
    }

    fn check_mounts(&self, faults: &mut Vec<Diagnostic>) {
        let profile = self.security.as_ref().map(Security::profile).unwrap_or_default();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (index, mount) in self.mounts.iter().enumerate() {
            let path = format!("spec.mounts[{index}]");
            faults.extend(check_mount_source(&path, mount, profile));
            if let Some(problem) = container_path_fault(&mount.path) {
                let message = format!("`{}` cannot be mounted on: {problem}", echo(&mount.path));
                let fault = Diagnostic::error("E0216", message).at(format!("{path}.path"));
                faults.push(fault.hint("write an absolute path inside the container, such as `/data`"));
            } else if let Some(earlier) = seen.insert(clean(&mount.path), index) {
                let message = format!("`{}` is mounted on twice, by `spec.mounts[{earlier}]` too", echo(&mount.path));
                faults.push(Diagnostic::error("E0216", message).at(format!("{path}.path")));
            }
        }
    }

    fn check_stop(&self, faults: &mut Vec<Diagnostic>) {
        let Some(stop) = &self.stop else { return };
        if let Some(grace) = stop.grace
            && grace.0.as_secs() + u64::from(grace.0.subsec_nanos() > 0) > MAX_GRACE_SECS
        {
            let fault = Diagnostic::error("E0230", format!("`{grace}` is out of range: 0s to 1h"));
            faults.push(fault.at("spec.stop.grace"));
        }
        let Some(signal) = &stop.signal else { return };
        let is_real_time = signal.strip_prefix("SIGRTMIN").is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('+').is_some_and(|number| number.parse::<u8>().is_ok_and(|n| n <= 30))
        });
        let fault = if !is_real_time && !SIGNALS.contains(&signal.as_str()) {
            let fault = Diagnostic::error("E0231", format!("unknown signal `{}`", echo(signal)));
            let without_prefix = SIGNALS.iter().filter_map(|known| known.strip_prefix("SIG"));
            match nearest(signal.trim_start_matches("SIG"), without_prefix) {
                Some(known) => fault.hint(format!("did you mean `SIG{known}`?")),
                None => fault.hint("signals are written such as `SIGTERM`"),
            }
        } else if signal == "SIGSTOP" || signal == "SIGKILL" && stop.grace.is_some() {
            Diagnostic::error("E0231", format!("no program can react to `{signal}`, so there is nothing to wait for"))
                .hint("use `SIGTERM`, or leave `grace` out")
        } else {
            return;
        };
        faults.push(fault.at("spec.stop.signal"));
    }

    fn check_strategy(&self, faults: &mut Vec<Diagnostic>) {
        if let Some(deadline) = self.strategy.and_then(|strategy| strategy.progress_deadline)
            && !PROGRESS_DEADLINES.contains(&deadline.0)
        {
            let (least, most) = (HumanDuration(*PROGRESS_DEADLINES.start()), HumanDuration(*PROGRESS_DEADLINES.end()));
            let fault = Diagnostic::error("E0230", format!("`{deadline}` is out of range: {least} to {most}"));
            faults.push(fault.at("spec.strategy.progressDeadline"));
        }
    }

    fn check_ulimits(&self, faults: &mut Vec<Diagnostic>) {
        for (name, ulimit) in &self.ulimits {
            let path = key_path("spec.ulimits", name);
            if !ULIMITS.contains(&name.as_str()) {
                let fault = Diagnostic::error("E0225", format!("unknown limit `{}`", echo(name)));
                let fault = match nearest(name, ULIMITS) {
                    Some(known) => fault.hint(format!("did you mean `{known}`?")),
                    None => fault.hint(format!("known limits: {}", ULIMITS.join(", "))),
                };
                faults.push(fault.at(path));
                continue;
            }
            let unlimited = |limit: i64| if limit == -1 { i64::MAX } else { limit };
            let hard = ulimit.hard.unwrap_or(ulimit.soft);
            let problem = if ulimit.soft < -1 || hard < -1 {
                "a limit is -1 for none, or not negative".to_owned()
            } else if unlimited(ulimit.soft) > unlimited(hard) {
                format!("the soft limit {} is above the hard limit {hard}", ulimit.soft)
            } else if name == "nofile" && unlimited(ulimit.soft) < MIN_NOFILE {
                format!("with fewer than {MIN_NOFILE} open files no container starts")
            } else {
                continue;
            };
            faults.push(Diagnostic::error("E0225", problem).at(path));
        }
    }

    fn check_devices(&self, faults: &mut Vec<Diagnostic>) {
        for (index, device) in self.devices.iter().enumerate() {
            let path = format!("spec.devices[{index}]");
            for (field, value) in [("host", Some(&device.host)), ("path", device.path.as_ref())] {
                if value.is_some_and(|value| !value.starts_with("/dev/") || value.contains("..")) {
                    let fault = Diagnostic::error("E0216", "a device is a path below `/dev`");
                    faults.push(fault.at(format!("{path}.{field}")));
                }
            }
            let is_permission = |text: &String| !text.is_empty() && text.bytes().all(|byte| b"rwm".contains(&byte));
            if !device.permissions.as_ref().is_none_or(is_permission) {
                let fault = Diagnostic::error("E0126", "expected some of `r`, `w` and `m`");
                faults.push(fault.at(format!("{path}.permissions")));
            }
        }
    }

    fn check_hosts(&self, faults: &mut Vec<Diagnostic>) {
        for (name, address) in &self.extra_hosts {
            let path = key_path("spec.extraHosts", name);
            if !is_dns_alias(name) {
                let fault = Diagnostic::error("E0229", format!("`{}` is not a host name", echo(name)));
                faults.push(fault.at(path.clone()));
            }
            if address.parse::<IpAddr>().is_err() && address != "host-gateway" {
                let fault = Diagnostic::error("E0213", format!("`{}` is not a literal IP address", echo(address)));
                faults.push(fault.hint("write an address, or `host-gateway` for the host's").at(path));
            }
        }
        for (index, search) in self.dns.iter().flat_map(|dns| &dns.searches).enumerate() {
            if !is_dns_alias(search) && search != "." {
                let fault = Diagnostic::error("E0229", format!("`{}` is not a domain", echo(search)));
                faults.push(fault.at(format!("spec.dns.searches[{index}]")));
            }
        }
    }

    fn check_dependencies(&self, own_kind: Kind, metadata: &Metadata, faults: &mut Vec<Diagnostic>) {
        let own_key = ObjectKey { kind: own_kind, namespace: metadata.namespace.clone(), name: metadata.name.clone() };
        for (index, dependency) in self.depends_on.iter().enumerate() {
            let path = format!("spec.dependsOn[{index}]");
            let Some(kind) = Kind::parse(&dependency.kind) else {
                faults.push(refuse_dependency_kind(&dependency.kind).at(format!("{path}.kind")));
                continue;
            };
            let namespace = dependency.namespace.clone().unwrap_or_else(|| metadata.namespace.clone());
            if (ObjectKey { kind, namespace, name: dependency.name.clone() }) == own_key {
                let fault = Diagnostic::error("E0218", format!("{own_key} depends on itself"));
                faults.push(fault.hint("remove the dependency").at(path));
            }
        }
    }

    fn check_container_name(&self, faults: &mut Vec<Diagnostic>) {
        let Some(name) = &self.container_name else { return };
        faults.extend(check_engine_name("spec.containerName", name));
        if self.replicas > 1 {
            faults.push(only_one_replica("an exact name", self.replicas).at("spec.containerName"));
        }
    }
}

/// What only one container can hold is asked of several.
pub(super) fn only_one_replica(what: &str, replicas: u32) -> Diagnostic {
    Diagnostic::error("E0234", format!("only one container can hold {what}, and there are {replicas} replicas"))
        .hint("set `replicas: 1`, or remove it")
}

fn refuse_dependency_kind(written: &str) -> Diagnostic {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    if is_later_kind(written) {
        return Diagnostic::error("E0125", format!("the kind `{written}` comes in a later release"))
            .hint(format!("supported kinds: {}", quoted_list(&kinds)));
    }
    let fault = Diagnostic::error("E0121", format!("unsupported kind `{}`", echo(written)));
    match nearest(written, kinds.iter().copied()) {
        Some(kind) => fault.hint(format!("did you mean `{kind}`?")),
        None => fault.hint(format!("supported kinds: {}", quoted_list(&kinds))),
    }
}

fn check_mount_source(path: &str, mount: &Mount, profile: SecurityProfile) -> Option<Diagnostic> {
    let sources = [mount.volume.is_some(), mount.host.is_some(), mount.secret_file.is_some(), mount.tmpfs.is_some()];
    match sources.iter().filter(|is_set| **is_set).count() {
        0 => {
            let fault = Diagnostic::error("E0216", "nothing is mounted").at(path);
            return Some(fault.hint("add one of `volume`, `host`, `secretFile` and `tmpfs`"));
        }
        1 => {}
        _ => {
            let message = "more than one of `volume`, `host`, `secretFile` and `tmpfs` is given";
            let fault = Diagnostic::error("E0216", message).at(path);
            return Some(fault.hint("keep one, or write one mount for each"));
        }
    }
    if mount.create && mount.host.is_none() {
        let fault = Diagnostic::error("E0216", "`create` is only for `host`").at(format!("{path}.create"));
        return Some(fault.hint("remove it"));
    }
    if mount.tmpfs == Some(Bytes(0)) {
        let fault = Diagnostic::error("E0222", "a tmpfs needs a size").hint("write for example `64MiB`");
        return Some(fault.at(format!("{path}.tmpfs")));
    }
    let (host, field) = match (&mount.host, &mount.secret_file) {
        (Some(host), _) => (host, "host"),
        (None, Some(file)) => (file, "secretFile"),
        (None, None) => return None,
    };
    let path = format!("{path}.{field}");
    if let Some(fault) = host_path_fault(host) {
        return Some(fault.at(path));
    }
    if profile == SecurityProfile::Privileged {
        return None;
    }
    let reason = denied_host_path(host)?;
    let fault = Diagnostic::error("E0215", format!("`{}` of the host cannot be mounted: {reason}", echo(host)));
    Some(fault.hint("mount a directory of your own, or set `security.profile: privileged`").at(path))
}

fn container_path_fault(path: &str) -> Option<&'static str> {
    let cleaned = clean(path);
    if !path.starts_with('/') {
        Some("it is not absolute")
    } else if path.split('/').any(|part| part == "..") {
        Some("it contains `..`")
    } else if cleaned == "/" {
        Some("it is the root")
    } else if cleaned == "/proc" || cleaned.starts_with("/proc/") || cleaned == "/sys" || cleaned == "/dev" {
        Some("the Engine provides it")
    } else {
        None
    }
}

fn check_resources(resources: Option<&Resources>, faults: &mut Vec<Diagnostic>) {
    let Some(resources) = resources else { return };
    if let Some(cpu) = resources.cpu
        && cpu < MIN_CPU
    {
        let fault = Diagnostic::error("E0223", format!("`{cpu}` is below the minimum of `{MIN_CPU}`"));
        faults.push(fault.hint("leave it out for no limit").at("spec.resources.cpu"));
    }
    if let Some(memory) = resources.memory
        && memory < MIN_MEMORY
    {
        let fault = Diagnostic::error("E0222", format!("`{memory}` is below the minimum of `{MIN_MEMORY}`"));
        faults.push(fault.hint("leave it out for no limit").at("spec.resources.memory"));
    }
    match (resources.memory_swap, resources.memory) {
        (Some(_), None) => {
            let fault = Diagnostic::error("E0222", "`memorySwap` needs `memory`").at("spec.resources.memorySwap");
            faults.push(fault.hint("it is memory and swap together; add `memory`"));
        }
        (Some(swap), Some(memory)) if swap < memory => {
            let message = format!("`{swap}` of memory and swap is less than `{memory}` of memory");
            let fault = Diagnostic::error("E0222", message).hint("`memorySwap` is both together");
            faults.push(fault.at("spec.resources.memorySwap"));
        }
        (Some(_) | None, _) => {}
    }
    if resources.shm == Some(Bytes(0)) {
        faults.push(Diagnostic::error("E0222", "`/dev/shm` needs a size").at("spec.resources.shm"));
    }
}
