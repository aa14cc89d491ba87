//! One server as hubs take it: where it runs by what is observed, or far away. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crds_schema::kinds::mcp_server::{McpIsolation, McpPin, McpRoute, RouteTransport};
use crds_schema::primitive::{ContainerSpec, Primitive, ReplaceOrder, RunState};
use gateway::config::{CallLimits, Endpoint, Instance, Isolation, PinPolicy, ServerConfig, Sharing};
use planner::World;
use planner::inventory::ObservedContainer;
use planner::observed::{ContainerState, TimestampMs};

use super::secret::ServerSecrets;

/// For how long a container that was started in place of another is expected to answer: who calls waits for it meanwhile.
const ANSWER_TIME_MS: i64 = 60_000;

/// One server.
#[derive(Debug, PartialEq)]
pub(super) struct WantedServer {
    /// What its manifest says.
    pub(super) route: McpRoute,
    /// As hubs take it.
    pub(super) config: ServerConfig,
    /// Why it cannot be reached at all, where that is so.
    pub(super) problem: Option<String>,
}

impl WantedServer {
    /// A server with every instance that runs now; none while its secrets cannot be had. `secrets`: those, or why they cannot.
    pub(super) fn new(
        route: McpRoute,
        secrets: Result<ServerSecrets, String>,
        world: &World,
        now_ms: TimestampMs,
    ) -> Self {
        let (values, found) = match secrets {
            Ok(secrets) => (secrets.values(), find_instances(&route, secrets, world)),
            Err(problem) => (Vec::new(), Err(problem)),
        };
        let (instances, problem) = match found {
            Ok(instances) => (instances, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let sharing = sharing_of(&route, world);
        let is_being_replaced = is_being_replaced(&route, world, now_ms);
        let config = ServerConfig { secrets: values, sharing, is_being_replaced, ..server_config(&route, instances) };
        Self { route, config, problem }
    }

    /// The same, with each of its containers reached over its standard streams.
    pub(super) fn over_standard_streams(mut self) -> Self {
        if !self.is_remote() {
            self.config.instances.iter_mut().for_each(|instance| instance.endpoint = Endpoint::Stdio);
        }
        self
    }

    /// Whether it runs elsewhere.
    pub(super) fn is_remote(&self) -> bool {
        match &self.route.transport {
            RouteTransport::Remote { .. } => true,
            RouteTransport::Stdio | RouteTransport::Http { .. } => false,
        }
    }
}

/// Every instance that runs now, or why there can be none.
fn find_instances(route: &McpRoute, secrets: ServerSecrets, world: &World) -> Result<Vec<Instance>, String> {
    match &route.transport {
        RouteTransport::Stdio | RouteTransport::Http { .. } => {
            let containers = world.containers_of(&route.key);
            let running = containers
                .filter(|container| container.state == ContainerState::Running && !world.is_used_up(container));
            Ok(running.filter_map(|container| instance_of(route, world, container)).collect())
        }
        RouteTransport::Remote { url, headers, .. } => {
            let secrets = secrets.headers.into_iter().map(|header| (header.name, header.prefix + &header.secret));
            let headers = headers.clone().into_iter().chain(secrets).collect();
            let endpoint = remote_endpoint(url, &headers)?;
            // Two servers may have one address and differ in their headers.
            let id = format!("{} {url}", route.key);
            Ok(vec![Instance { id, run_ms: None, is_current: true, is_leaving: false, endpoint }])
        }
    }
}

fn server_config(route: &McpRoute, instances: Vec<Instance>) -> ServerConfig {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    ServerConfig {
        name: route.key.name.to_string(),
        instances,
        allow: route.tools.allow.clone(),
        deny: route.tools.deny.clone(),
        rename: route.tools.rename.clone(),
        pin: match route.tools.pin {
            McpPin::Enforce => PinPolicy::Enforce,
            McpPin::Warn => PinPolicy::Warn,
            McpPin::Off => PinPolicy::Off,
        },
        calls: CallLimits {
            timeout: Duration::from_millis(route.calls.timeout_ms),
            concurrency: usize::try_from(route.calls.concurrency).unwrap_or(usize::MAX),
            request_bytes: bytes(route.calls.max_request_bytes),
            result_bytes: bytes(route.calls.max_result_bytes),
        },
        sharing: Sharing::default(),
        is_being_replaced: false,
        secrets: Vec::new(),
        likely_secrets: route.open_secrets.clone(),
    }
}

fn sharing_of(route: &McpRoute, world: &World) -> Sharing {
    let desired = world.desired(&route.key).map(|desired| &desired.lowered);
    let is_on_demand = desired.is_some_and(|lowered| match &lowered.primitive {
        Primitive::Containers(set) => set.is_elastic && set.run == RunState::Running && !lowered.suspend,
        Primitive::Network(_) | Primitive::Volume(_) | Primitive::Nothing => false,
    });
    Sharing {
        isolation: match route.isolation {
            McpIsolation::Shared => Isolation::Shared,
            McpIsolation::PerSession => Isolation::PerSession,
            McpIsolation::PerCall => Isolation::PerCall,
        },
        max: usize::try_from(route.instances.max).unwrap_or(usize::MAX),
        is_on_demand,
        idle: route.instances.idle_stop_ms.map(Duration::from_millis),
    }
}

/// Whether a container of a server is on its way in place of another that must stop first: the old one is about to be stopped, or was, and
/// nothing has failed since.
fn is_being_replaced(route: &McpRoute, world: &World, now_ms: TimestampMs) -> bool {
    let Some(desired) = world.desired(&route.key).map(|desired| &desired.lowered) else { return false };
    let Primitive::Containers(set) = &desired.primitive else { return false };
    let is_wanted = set.run == RunState::Running && set.replicas > 0 && !desired.suspend;
    if !is_wanted || set.replace_order == ReplaceOrder::StartFirst || world.hold(&route.key).is_some() {
        return false;
    }
    let is_coming = |container: &ObservedContainer| match container.state {
        ContainerState::Created => true,
        ContainerState::Running => {
            container.started_ms.is_some_and(|started_ms| now_ms.saturating_sub(started_ms) < ANSWER_TIME_MS)
        }
        ContainerState::Paused
        | ContainerState::Restarting
        | ContainerState::Removing
        | ContainerState::Exited
        | ContainerState::Dead => false,
    };
    let is_old = |container: &&ObservedContainer| !world.is_current(container);
    let is_leaving = world.containers_of(&route.key).any(|container| world.is_leaving(&container.id));
    let has_old = world.containers_of(&route.key).any(|container| is_old(&container));
    let has_new = world.containers_of(&route.key).any(|container| !is_old(&container) && is_coming(container));
    is_leaving || (has_old && has_new)
}

/// One container that runs; `None` while it has no address that it needs.
fn instance_of(route: &McpRoute, world: &World, container: &ObservedContainer) -> Option<Instance> {
    let is_current = world.is_current(container);
    let transport = if is_current { route.transport.clone() } else { made_transport(route, container) };
    let endpoint = match transport {
        RouteTransport::Stdio | RouteTransport::Remote { .. } => Endpoint::Stdio,
        RouteTransport::Http { port, path } => Endpoint::Http {
            address: SocketAddr::new(address_of(container)?, port),
            path,
            // The name that other containers know it by: servers that look at it can be told that one beforehand.
            host: format!("{}:{port}", route.key.name),
            headers: BTreeMap::new(),
        },
    };
    let is_leaving = world.is_leaving(&container.id);
    Some(Instance { id: container.id.to_string(), run_ms: container.started_ms, is_current, is_leaving, endpoint })
}

/// How a container of an older template is spoken to: as it was made, which is not how those that replace it are.
fn made_transport(route: &McpRoute, container: &ObservedContainer) -> RouteTransport {
    let Ok(made) = serde_json::from_str::<ContainerSpec>(&container.template) else { return route.transport.clone() };
    let path = match &route.transport {
        RouteTransport::Http { path, .. } => path.clone(),
        RouteTransport::Stdio | RouteTransport::Remote { .. } => "/mcp".to_owned(),
    };
    match made.ports.first() {
        Some(port) if !made.open_stdin => RouteTransport::Http { port: port.port, path },
        Some(_) | None => RouteTransport::Stdio,
    }
}

/// The address in its first network.
fn address_of(container: &ObservedContainer) -> Option<IpAddr> {
    if &*container.network_mode == "host" {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    // The mode is the id of the first network, or the name of one of the Engine's own.
    let is_first = |(name, endpoint): &&(Box<str>, planner::observed::Endpoint)| {
        endpoint.network_id == *container.network_mode || **name == *container.network_mode
    };
    let first = container.endpoints.iter().find(is_first).or_else(|| container.endpoints.first());
    first.and_then(|(_, endpoint)| endpoint.address)
}

/// Where a server elsewhere is reached. Only one that is on this host is spoken to without TLS, so that for it no name is looked up.
fn remote_endpoint(url: &str, headers: &BTreeMap<String, String>) -> Result<Endpoint, String> {
    let Some(rest) = url.strip_prefix("http://") else {
        return Ok(Endpoint::Https { url: url.to_owned(), headers: headers.clone() });
    };
    let (authority, path) = match rest.find(['/', '?']) {
        Some(end) if rest[end..].starts_with('/') => (&rest[..end], rest[end..].to_owned()),
        Some(end) => (&rest[..end], format!("/{}", &rest[end..])),
        None => (rest, "/".to_owned()),
    };
    let address = authority.parse().ok().or_else(|| {
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !authority.ends_with(']') => (host, port.parse().ok()?),
            Some(_) | None => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let is_this_host = name == "localhost" || name.ends_with(".localhost");
        let ip = if is_this_host { Some(IpAddr::V4(Ipv4Addr::LOCALHOST)) } else { host.parse().ok() };
        Some(SocketAddr::new(ip?, port))
    });
    let address = address.ok_or_else(|| format!("`{authority}` is no address of this host"))?;
    Ok(Endpoint::Http { address, path, host: authority.to_owned(), headers: headers.clone() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gateway::config::Endpoint;

    use super::remote_endpoint;

    #[test]
    fn a_server_elsewhere_on_this_host_is_reached_without_looking_up_a_name() {
        for (url, expected, path) in [
            ("http://localhost:8080/mcp", "127.0.0.1:8080", "/mcp"),
            ("http://tools.localhost/mcp?x=1", "127.0.0.1:80", "/mcp?x=1"),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://127.0.0.1/a", "127.0.0.1:80", "/a"),
            ("http://[::1]:8080/mcp", "[::1]:8080", "/mcp"),
            ("http://[::1]?x", "[::1]:80", "/?x"),
        ] {
            let Endpoint::Http { address, path: found, .. } = remote_endpoint(url, &BTreeMap::new()).unwrap() else {
                panic!("{url}")
            };
            assert_eq!((address.to_string().as_str(), found.as_str()), (expected, path), "{url}");
        }
        for url in ["http://mcp.example.com/mcp", "http://localhost:x/"] {
            assert!(remote_endpoint(url, &BTreeMap::new()).is_err(), "{url}");
        }
    }
}
