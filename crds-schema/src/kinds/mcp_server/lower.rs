//! An `McpServer` lowers to a set of hardened containers, or, where it runs elsewhere, to nothing.

use super::spec::{McpServer, McpTransport};
use crate::object::Metadata;
use crate::primitive::{Lowered, Primitive, Readiness};

impl McpServer {
    pub(crate) fn lower(&self, metadata: &Metadata) -> Lowered {
        if self.image.is_none() {
            return Lowered { primitive: Primitive::Nothing, suspend: self.suspend, depends_on: Vec::new() };
        }
        let mut lowered = self.to_deployment(metadata).lower(metadata);
        if let Primitive::Containers(set) = &mut lowered.primitive {
            set.readiness = Readiness::Probed;
            // No call takes longer.
            set.release_ms = i64::try_from(self.route(metadata).calls.timeout_ms).unwrap_or(i64::MAX);
            set.is_elastic = self.is_elastic();
            set.template.open_stdin = self.transport() == McpTransport::Stdio;
        }
        lowered
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::kinds::mcp_server::McpServer;
    use crate::object::Metadata;
    use crate::primitive::{ContainerSet, MountSource, NetworkMode, Primitive, Readiness, RestartPolicy};

    fn lower(spec: Value) -> ContainerSet {
        let metadata: Metadata = serde_json::from_value(json!({ "name": "time", "namespace": "lab" })).unwrap();
        let server: McpServer = serde_json::from_value(spec).unwrap();
        assert!(!server.validate(&metadata).iter().any(crate::diagnostic::Diagnostic::is_error));
        let Primitive::Containers(set) = server.lower(&metadata).primitive else { panic!("has containers") };
        *set
    }

    #[test]
    fn a_server_is_hardened_unless_the_user_says_otherwise() {
        let set = lower(json!({ "image": "time:1" }));
        let (template, security) = (&set.template, &set.template.security);
        assert_eq!((set.base_name.as_str(), set.replicas, set.readiness), ("lab_time", 1, Readiness::Probed));
        assert_eq!((template.user.as_deref(), &template.networks), (Some("1001:1001"), &NetworkMode::None));
        assert!(template.open_stdin && security.read_only_root && security.no_new_privileges);
        assert_eq!((security.cap_drop.clone(), set.live.restart), (vec!["ALL".to_owned()], RestartPolicy::Always));
        assert_eq!((template.mounts.len(), template.mounts[0].path.as_str()), (1, "/tmp"));
        assert_eq!(set.release_ms, 60_000);
        assert_eq!(template.labels["mcp.server"], "time");
        assert_eq!(template.labels["mcp.governance.level"], "medium");
        assert_eq!(template.labels["mcp.governance.audit"], "true");
    }

    #[test]
    fn a_field_of_security_beside_the_profile_does_not_lower_the_profile() {
        let set = lower(json!({ "image": "time:1", "security": { "user": "2000:2000" } }));
        assert!(set.template.security.read_only_root);
        assert_eq!(set.template.user.as_deref(), Some("2000:2000"));
        let set = lower(json!({ "image": "time:1", "security": { "profile": "baseline" } }));
        assert!(!set.template.security.read_only_root && set.template.security.cap_drop.is_empty());
        assert_eq!(set.template.user.as_deref(), Some("1001:1001"));
    }

    #[test]
    fn limits_follow_from_the_risk_one_by_one() {
        let limits = |spec: Value| {
            let live = lower(spec).live;
            (live.memory_bytes.unwrap_or(0) >> 20, live.cpu_millis.unwrap_or(0), live.pids.unwrap_or(0))
        };
        assert_eq!(limits(json!({ "image": "time:1", "risk": "low" })), (512, 1000, 256));
        assert_eq!(limits(json!({ "image": "time:1" })), (256, 1000, 128));
        assert_eq!(limits(json!({ "image": "time:1", "risk": "high" })), (256, 500, 64));
        let resources = json!({ "cpu": "2", "memorySwap": "256MiB" });
        assert_eq!(limits(json!({ "image": "time:1", "risk": "high", "resources": resources })), (256, 2000, 64));
    }

    #[test]
    fn over_http_a_server_has_a_network_and_no_open_input() {
        let set = lower(json!({ "image": "time:1", "transport": "http", "port": 8080 }));
        assert_eq!((set.template.open_stdin, &set.template.networks), (false, &NetworkMode::Bridge));
        assert_eq!((set.template.ports.len(), set.template.ports[0].publish), (1, None));
    }

    #[test]
    fn a_mount_on_tmp_of_the_users_own_and_networks_are_kept() {
        let mounts = json!([{ "volume": "scratch", "path": "/tmp/" }]);
        let set = lower(json!({ "image": "time:1", "mounts": mounts, "networks": ["egress"] }));
        assert!(matches!(set.template.mounts.as_slice(), [mount] if matches!(mount.source, MountSource::Volume(_))));
        assert_eq!(set.template.networks.attachments().len(), 1);
    }

    #[test]
    fn a_host_name_and_devices_are_those_of_each_container() {
        let security = json!({ "profile": "privileged", "user": "1001:20" });
        let devices = json!([{ "host": "/dev/ttyUSB0" }]);
        let set = lower(json!({ "image": "meter:1", "hostname": "meter", "devices": devices, "security": security }));
        assert_eq!((set.template.hostname.as_deref(), set.template.devices.len()), (Some("meter"), 1));
        assert_eq!(set.template.devices[0].path, "/dev/ttyUSB0");
    }

    #[test]
    fn what_is_started_with_the_first_call_may_begin_with_none() {
        let bounds = |spec: Value| (lower(spec.clone()).replicas, lower(spec).is_elastic);
        assert_eq!(bounds(json!({ "image": "time:1", "instances": { "min": 0, "start": "Lazy" } })), (0, true));
        assert_eq!(bounds(json!({ "image": "time:1", "instances": { "start": "Lazy" } })), (1, false));
        assert_eq!(bounds(json!({ "image": "time:1", "isolation": "PerSession" })), (1, true));
        assert_eq!(bounds(json!({ "image": "time:1", "isolation": "Shared" })), (1, false));
    }
}
