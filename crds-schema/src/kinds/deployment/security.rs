//! The matrix of profiles: what `restricted` and `baseline` refuse, field by field.

use super::spec::{Deployment, Seccomp, Security, SecurityProfile};
use crate::diagnostic::Diagnostic;
use crate::grammar::echo;
use crate::shape::quoted_list;
use crate::suggestion::nearest;

/// Every capability of Linux.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// What the Engine gives to every container.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What may be added with the profile `restricted`.
const RESTRICTED_CAPABILITIES: [&str; 1] = ["NET_BIND_SERVICE"];

/// Kernel parameters of a container's own namespaces that cannot hurt its neighbours.
const SAFE_SYSCTLS: [&str; 13] = [
    "kernel.shm_rmid_forced",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Prefixes of the kernel parameters that belong to a namespace at all; any other would be the host's.
const NAMESPACED_SYSCTLS: [&str; 9] = [
    "fs.mqueue.",
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "net.",
];

impl Security {
    /// The profile that is written, else `baseline`.
    pub fn profile(&self) -> SecurityProfile {
        self.profile.unwrap_or_default()
    }
}

impl SecurityProfile {
    /// As users write it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }
}

/// Every fault of what the processes may do.
pub(super) fn check_security(deployment: &Deployment, faults: &mut Vec<Diagnostic>) {
    let security = deployment.security.clone().unwrap_or_default();
    check_relaxations(&security, faults);
    if security.profile() != SecurityProfile::Privileged && !deployment.devices.is_empty() {
        faults.push(refuse("`devices`", "spec.devices", &security));
    }
    if security.profile() == SecurityProfile::Restricted && security.read_only_root == Some(false) {
        let fault = Diagnostic::error("E0227", "the profile `restricted` does not allow `readOnlyRoot: false`");
        let hint = "remove it and mount a volume or tmpfs where the program writes";
        faults.push(fault.hint(hint).at("spec.security.readOnlyRoot"));
    }
    check_added_capabilities(&security, faults);
    check_dropped_capabilities(&security, faults);
    check_users(deployment, &security, faults);
    check_sysctls(deployment, &security, faults);
}

/// Fields that only the profile `privileged` allows.
fn check_relaxations(security: &Security, faults: &mut Vec<Diagnostic>) {
    if security.profile() == SecurityProfile::Privileged {
        return;
    }
    let relaxations = [
        (security.privileged, "privileged: true", "privileged"),
        (security.host_pid, "hostPid: true", "hostPid"),
        (security.host_ipc, "hostIpc: true", "hostIpc"),
        (security.host_network, "hostNetwork: true", "hostNetwork"),
        (security.seccomp == Some(Seccomp::Unconfined), "seccomp: Unconfined", "seccomp"),
        (security.no_new_privileges == Some(false), "noNewPrivileges: false", "noNewPrivileges"),
    ];
    for (is_set, shown, field) in relaxations {
        if is_set {
            faults.push(refuse(&format!("`{shown}`"), &format!("spec.security.{field}"), security));
        }
    }
}

fn refuse(what: &str, path: &str, security: &Security) -> Diagnostic {
    let profile = security.profile().as_str();
    Diagnostic::error("E0227", format!("the profile `{profile}` does not allow {what}"))
        .hint("remove it, or set `security.profile: privileged`")
        .at(path)
}

fn normalise(capability: &str) -> String {
    let upper = capability.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}

fn check_added_capabilities(security: &Security, faults: &mut Vec<Diagnostic>) {
    for (index, written) in security.cap_add.iter().enumerate() {
        let path = format!("spec.security.capAdd[{index}]");
        let capability = normalise(written);
        if capability != "ALL" && !CAPABILITIES.contains(&capability.as_str()) {
            faults.push(unknown_capability(written, &capability).at(path));
            continue;
        }
        let allowed: &[&str] = match security.profile() {
            SecurityProfile::Privileged => continue,
            SecurityProfile::Baseline => &DEFAULT_CAPABILITIES,
            SecurityProfile::Restricted => &RESTRICTED_CAPABILITIES,
        };
        if !allowed.contains(&capability.as_str()) {
            let profile = security.profile().as_str();
            let message = format!("the profile `{profile}` does not allow the capability `{capability}`");
            let hint = format!("allowed: {}; any other needs `security.profile: privileged`", quoted_list(allowed));
            faults.push(Diagnostic::error("E0226", message).hint(hint).at(path));
        }
    }
}

fn check_dropped_capabilities(security: &Security, faults: &mut Vec<Diagnostic>) {
    let mut drops_all = security.cap_drop.is_empty();
    for (index, written) in security.cap_drop.iter().enumerate() {
        let capability = normalise(written);
        if capability == "ALL" {
            drops_all = true;
        } else if !CAPABILITIES.contains(&capability.as_str()) {
            faults.push(unknown_capability(written, &capability).at(format!("spec.security.capDrop[{index}]")));
        }
    }
    if security.profile() == SecurityProfile::Restricted && !drops_all {
        let fault = Diagnostic::error("E0226", "the profile `restricted` drops all capabilities");
        faults.push(fault.hint("write `capDrop: [ALL]`, or leave it out").at("spec.security.capDrop"));
    }
}

fn unknown_capability(written: &str, capability: &str) -> Diagnostic {
    let fault = Diagnostic::error("E0226", format!("unknown capability `{}`", echo(written)));
    match nearest(capability, CAPABILITIES) {
        Some(known) => fault.hint(format!("did you mean `{known}`?")),
        None => fault.hint("capabilities are written such as `NET_BIND_SERVICE`"),
    }
}

fn check_users(deployment: &Deployment, security: &Security, faults: &mut Vec<Diagnostic>) {
    let users = [("spec.user", &deployment.user), ("spec.security.user", &security.user)];
    for (path, user) in users {
        let Some(user) = user else { continue };
        if let Some(problem) = user_fault(user) {
            let fault = Diagnostic::error("E0228", format!("`{}` is not a user: {problem}", echo(user)));
            faults.push(fault.hint("write a name or a number, such as `\"1001:1001\"`").at(path));
        } else if security.profile() == SecurityProfile::Restricted && !is_numeric_non_root(user) {
            let fault =
                Diagnostic::error("E0228", format!("the profile `restricted` does not allow the user `{user}`"));
            faults.push(fault.hint("write the number of a user other than root, such as `\"1001:1001\"`").at(path));
        }
    }
    match (&deployment.user, &security.user) {
        (Some(user), Some(other)) if user != other => {
            let message = format!("the user is `{}` here and `{}` in `spec.user`", echo(other), echo(user));
            faults.push(Diagnostic::error("E0228", message).hint("keep one of the two").at("spec.security.user"));
        }
        (None, None) if security.profile() == SecurityProfile::Restricted => {
            let fault = Diagnostic::error("E0228", "the profile `restricted` needs a user other than root");
            faults.push(
                fault
                    .hint("add `user: \"1001:1001\"`, with the numbers that the image is made for")
                    .at("spec.security"),
            );
        }
        _ => {}
    }
}

/// Why a text is not `USER[:GROUP]`, each a name or a number.
fn user_fault(text: &str) -> Option<&'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 2 {
        return Some("it has more than a user and a group");
    }
    for part in parts {
        let is_name = |part: &str| {
            part.len() <= 32
                && part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-$".contains(&byte))
        };
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            // The Engine refuses what does not fit into a positive i32.
            if part.parse::<i32>().is_err() {
                return Some("the number is larger than 2147483647");
            }
        } else if !is_name(part) {
            return Some("it is neither a name nor a number");
        }
    }
    None
}

fn is_numeric_non_root(user: &str) -> bool {
    let user = user.split(':').next().unwrap_or_default();
    user.parse::<u32>().is_ok_and(|number| number != 0)
}

fn check_sysctls(deployment: &Deployment, security: &Security, faults: &mut Vec<Diagnostic>) {
    for key in deployment.sysctls.keys() {
        let path = crate::source_map::key_path("spec.sysctls", key);
        let is_safe = SAFE_SYSCTLS.contains(&key.as_str());
        let is_namespaced = is_safe || NAMESPACED_SYSCTLS.iter().any(|prefix| key.starts_with(prefix));
        let fault = if !is_namespaced {
            Diagnostic::error("E0227", format!("the kernel parameter `{}` is the host's, not a container's", echo(key)))
                .hint("set it on the host")
        } else if security.host_network && key.starts_with("net.") {
            Diagnostic::error("E0227", format!("with `hostNetwork`, `{}` is the host's", echo(key)))
                .hint("set it on the host")
        } else if !is_safe && security.profile() != SecurityProfile::Privileged {
            let profile = security.profile().as_str();
            let message = format!("the profile `{profile}` does not allow the kernel parameter `{}`", echo(key));
            Diagnostic::error("E0227", message).hint(format!("allowed: {}", quoted_list(&SAFE_SYSCTLS)))
        } else {
            continue;
        };
        faults.push(fault.at(path));
    }
}
