//! How long planning takes: one object, or all of them, in worlds of several sizes; and how long it takes to tell the world of a
//! change. One plan must not cost more in a larger world.
//!
//! `cargo bench --bench plan`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up must fail")]

use std::collections::BTreeMap;

use bench_world::{PlannedWorld, deployment, middle};
use divan::{Bencher, black_box};
use planner::plan;

/// Sizes of the world, in objects.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// The time of all plans.
const NOW_MS: i64 = 1_000_000_000;

fn main() {
    divan::main();
}

/// Nothing to do: what an idle system asks all the time.
#[divan::bench(args = SIZES)]
fn one_settled_key(bencher: Bencher<'_, '_>, size: usize) {
    let settled = PlannedWorld::settled(size);
    let key = settled.middle_key();
    bencher.bench_local(|| plan(black_box(&settled.world), black_box(&key), NOW_MS));
}

/// A changed image: the plan with the most to write.
#[divan::bench(args = SIZES)]
fn one_changed_key(bencher: Bencher<'_, '_>, size: usize) {
    let mut settled = PlannedWorld::settled(size);
    let key = settled.middle_key();
    settled.world.set_desired(&deployment(middle(size), "web:2"));
    bencher.bench_local(|| plan(black_box(&settled.world), black_box(&key), NOW_MS));
}

/// A full resync.
#[divan::bench(args = SIZES)]
fn all_keys(bencher: Bencher<'_, '_>, size: usize) {
    let settled = PlannedWorld::settled(size);
    bencher.bench_local(|| {
        let plans = settled.world.all_keys().into_iter().map(|key| plan(&settled.world, &key, NOW_MS));
        plans.map(|plan| plan.steps.len()).sum::<usize>()
    });
}

/// A user saves a file.
#[divan::bench(args = SIZES)]
fn set_desired_of_one(bencher: Bencher<'_, '_>, size: usize) {
    let mut settled = PlannedWorld::settled(size);
    let object = deployment(middle(size), "web:2");
    bencher.bench_local(|| settled.world.set_desired(black_box(&object)));
}

/// The Engine reports one container.
#[divan::bench(args = SIZES)]
fn observe_container_of_one(bencher: Bencher<'_, '_>, size: usize) {
    let mut settled = PlannedWorld::settled(size);
    let detail = settled.middle_container();
    bencher.bench_local(|| settled.world.observe_container(black_box(&detail), NOW_MS));
}

/// Worlds to plan in.
mod bench_world {
    use super::{BTreeMap, NOW_MS};
    use crds_schema::object::{AnyObject, Metadata, SourceLocation};
    use crds_schema::{Kind, ObjectKey};
    use planner::observed::{
        ContainerDetail, ContainerState, ContainerStatus, Endpoint, Health, NetworkDetail, VolumeDetail,
    };
    use planner::plan::{Action, ContainerCreate, NetworkCreate, VolumeCreate};
    use planner::{Identity, World};
    use serde_json::{Value, json};

    /// One of how many objects is a network, and one a volume; each is used by the deployments that follow.
    const GROUP: usize = 10;

    /// A world in which everything is as it should be.
    pub(super) struct PlannedWorld {
        /// The world.
        pub(super) world: World,
        containers: Vec<ContainerDetail>,
        size: usize,
    }

    impl PlannedWorld {
        /// A settled world of so many objects.
        pub(super) fn settled(size: usize) -> Self {
            let identity = Identity { instance: "bench".parse().unwrap(), key: [7; 32] };
            let mut settled = Self { world: World::new(identity), containers: Vec::new(), size };
            for index in 0..size {
                let object = match index % GROUP {
                    0 => object(Kind::Network, &format!("net-{}", index / GROUP), json!({})),
                    1 => object(Kind::Volume, &format!("vol-{}", index / GROUP), json!({})),
                    _ => deployment(index, "web:1"),
                };
                settled.world.set_desired(&object);
                settled.create(&object.key());
            }
            for key in settled.world.all_keys() {
                let plan = planner::plan(&settled.world, &key, NOW_MS);
                assert!(plan.is_settled(), "{key} is not settled:\n{plan}");
            }
            settled
        }

        /// The key of the deployment in the middle.
        pub(super) fn middle_key(&self) -> ObjectKey {
            deployment(middle(self.size), "web:1").key()
        }

        /// A container of about the middle.
        pub(super) fn middle_container(&self) -> ContainerDetail {
            self.containers[self.containers.len() / 2].clone()
        }

        /// Does what the first plan of an object asks for.
        fn create(&mut self, key: &ObjectKey) {
            for step in planner::plan(&self.world, key, NOW_MS).steps {
                match &step.action {
                    Action::CreateNetwork(create) => {
                        let id = format!("{:064x}", self.world.networks().count() + 1);
                        self.world.observe_network(&network(id, create));
                    }
                    Action::CreateVolume(create) => {
                        self.world.observe_volume(&volume(create));
                    }
                    Action::CreateContainer(create) => {
                        let detail = container(self.containers.len(), create);
                        self.world.observe_container(&detail, 0);
                        self.containers.push(detail);
                    }
                    Action::VerifyContainer { .. } | Action::StartContainer { .. } => {
                        // It was observed as running.
                    }
                    Action::PullImage { .. }
                    | Action::RemoveNetwork { .. }
                    | Action::RemoveVolume { .. }
                    | Action::ConnectNetwork { .. }
                    | Action::DisconnectNetwork { .. }
                    | Action::StopContainer { .. }
                    | Action::UnpauseContainer { .. }
                    | Action::RenameContainer { .. }
                    | Action::UpdateContainer { .. }
                    | Action::RemoveContainer { .. } => panic!("a first plan only creates: {}", step.action.subject()),
                }
            }
        }
    }

    /// The index of a deployment in the middle of a world.
    pub(super) fn middle(size: usize) -> usize {
        size / 2 / GROUP * GROUP + GROUP / 2
    }

    /// A deployment of two containers in one network, with a volume, some environment and limits.
    pub(super) fn deployment(index: usize, image: &str) -> AnyObject {
        let group = index / GROUP;
        let spec = json!({
            "replicas": 2,
            "image": image,
            "env": {"LOG_LEVEL": "info", "INDEX": index.to_string()},
            "networks": [format!("net-{group}")],
            "mounts": [{"volume": format!("vol-{group}"), "path": "/data", "readOnly": true}],
            "resources": {"cpu": "500m", "memory": "256MiB"},
        });
        object(Kind::Deployment, &format!("web-{index}"), spec)
    }

    fn object(kind: Kind, name: &str, spec: Value) -> AnyObject {
        let key = ObjectKey::in_default(kind, name.parse().unwrap());
        let (labels, annotations) = (BTreeMap::new(), BTreeMap::new());
        AnyObject {
            metadata: Metadata { name: key.name, namespace: key.namespace, labels, annotations },
            spec: kind.spec_from_json(spec).unwrap(),
            source: SourceLocation::default(),
        }
    }

    fn network(id: String, create: &NetworkCreate) -> NetworkDetail {
        NetworkDetail {
            id,
            name: create.name.clone(),
            driver: create.driver.clone(),
            internal: create.internal,
            attachable: create.attachable,
            ipv6: create.ipv6,
            subnets: Vec::new(),
            options: BTreeMap::new(),
            labels: create.labels.clone(),
            created_ms: 0,
        }
    }

    fn volume(create: &VolumeCreate) -> VolumeDetail {
        VolumeDetail {
            name: create.name.clone(),
            driver: create.driver.clone(),
            options: BTreeMap::new(),
            labels: create.labels.clone(),
            created_ms: 0,
        }
    }

    fn container(index: usize, create: &ContainerCreate) -> ContainerDetail {
        let endpoint = |primary: &planner::plan::EndpointCreate| {
            let (network_id, aliases) = (primary.network_id.clone(), primary.aliases.clone());
            (primary.network_name.clone(), Endpoint { network_id, aliases, ..Endpoint::default() })
        };
        ContainerDetail {
            id: format!("{index:064x}"),
            name: create.name.clone(),
            created_ms: 0,
            image_id: "sha256:0".into(),
            status: ContainerStatus {
                state: ContainerState::Running,
                exit_code: 0,
                oom_killed: false,
                error: String::new(),
                health: Health::None,
                started_ms: Some(1),
                finished_ms: None,
            },
            config: create.config.clone(),
            limits: create.limits.clone(),
            endpoints: create.primary_endpoint.iter().map(endpoint).collect(),
            restart_count: 0,
        }
    }
}
