//! Properties of every plan, over random walks: specs change, somebody meddles, the controller is killed half-way, time passes.

use std::collections::BTreeMap;

use crds_schema::ObjectKey;
use crds_schema::primitive::{Primitive, ReplaceOrder, RunState};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::inventory::ObservedContainer;
use crate::observed::{ContainerState, Health};
use crate::plan::{Action, Cause, ContainerRef, Plan, Step};
use crate::testing::Scene;
use crate::world::Removal;

const WEB: &str = "Deployment/web";
const APP: &str = "Deployment/app";
/// How many random walks.
const WALKS: u32 = 400;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Happening {
    /// A user changes a deployment.
    Want(&'static str, Spec),
    /// A user changes a network.
    Network { is_internal: bool },
    /// A user removes a deployment, and prune approves.
    Removed(&'static str),
    /// A user removes the volume, which is to be kept or not.
    VolumeRemoved { is_deleted: bool },
    /// Somebody removes a network.
    NetworkLost,
    /// The controller makes this many steps of one pass and is killed.
    Steps(usize),
    /// Time passes.
    Time(i64),
    /// Somebody does this to one of the containers.
    Meddling(Meddling, usize),
}

/// What somebody does to a container.
#[derive(Debug, Clone, Copy)]
enum Meddling {
    Kill,
    Pause,
    Die,
    Remove,
    Rename,
    Disconnect,
    Restrict,
    Sicken,
    Copy,
}

/// A deployment, as a user might write it.
#[derive(Debug, Clone)]
struct Spec {
    replicas: u32,
    image: u8,
    memory: Option<u8>,
    is_published: bool,
    is_writer: bool,
    is_named: bool,
    is_networked: bool,
    is_stopped: bool,
    restart: &'static str,
}

impl Spec {
    fn to_json(&self, name: &str) -> Value {
        let is_single = self.is_published || self.is_named;
        let mut spec = json!({
            "image": format!("image:{}", self.image),
            "replicas": if is_single { self.replicas.min(1) } else { self.replicas },
            "restart": self.restart,
            "state": if self.is_stopped { "Stopped" } else { "Running" },
        });
        if let Some(memory) = self.memory {
            spec["resources"] = json!({"memory": format!("{}MiB", 64 * (u32::from(memory) + 1))});
        }
        if self.is_published {
            let port = if name == WEB { 8080 } else { 8081 };
            spec["ports"] = json!([{"port": 80, "publish": port}]);
        }
        if self.is_writer {
            spec["mounts"] = json!([{"volume": "data", "path": "/data"}]);
        }
        if self.is_named {
            spec["containerName"] = json!(format!("the-{}", &name[11..]));
        }
        if self.is_networked {
            spec["networks"] = json!(["back"]);
        }
        spec
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let often = || prop::bool::weighted(0.5);
    let seldom = || prop::bool::weighted(0.15);
    let restart = prop_oneof![4 => Just("Always"), 1 => Just("OnFailure")];
    let numbers = (0..4_u32, 0..2_u8, prop::option::of(0..2_u8));
    (numbers, seldom(), seldom(), seldom(), often(), seldom(), restart).prop_map(
        |((replicas, image, memory), is_published, is_writer, is_named, is_networked, is_stopped, restart)| Spec {
            replicas,
            image,
            memory,
            is_published,
            is_writer,
            is_named,
            is_networked,
            is_stopped,
            restart,
        },
    )
}

fn happening() -> impl Strategy<Value = Happening> {
    use Meddling::{Copy, Die, Disconnect, Kill, Pause, Remove, Rename, Restrict, Sicken};
    let name = || prop::sample::select(vec![WEB, WEB, APP]);
    let meddling = prop::sample::select(vec![Kill, Pause, Die, Remove, Rename, Disconnect, Restrict, Sicken, Copy]);
    prop_oneof![
        6 => (name(), spec()).prop_map(|(name, spec)| Happening::Want(name, spec)),
        1 => any::<bool>().prop_map(|is_internal| Happening::Network { is_internal }),
        1 => name().prop_map(Happening::Removed),
        1 => Just(Happening::NetworkLost),
        1 => any::<bool>().prop_map(|is_deleted| Happening::VolumeRemoved { is_deleted }),
        6 => (0..12_usize).prop_map(Happening::Steps),
        3 => (0..7_000_i64).prop_map(Happening::Time),
        6 => (meddling, 0..6_usize).prop_map(|(meddling, index)| Happening::Meddling(meddling, index)),
    ]
}

/// Everything with a network, a volume and a stranger of each kind.
fn start() -> Scene {
    let mut scene = Scene::new();
    scene.want("Network/back", json!({}));
    scene.want("Volume/data", json!({}));
    scene.want("Network/other", json!({}));
    scene
}

fn happen(scene: &mut Scene, happening: &Happening) {
    match happening {
        Happening::Want(name, spec) => scene.want(name, spec.to_json(name)),
        Happening::Network { is_internal } => scene.want("Network/back", json!({"internal": is_internal})),
        Happening::Removed(name) => {
            scene.world.set_removal(&name.parse().unwrap(), Removal::Approved { delete_volumes: false });
        }
        Happening::VolumeRemoved { is_deleted } => {
            let removal = Removal::Approved { delete_volumes: *is_deleted };
            scene.world.set_removal(&"Volume/data".parse().unwrap(), removal);
        }
        Happening::NetworkLost => {
            let Some(id) = scene.engine.networks.values().find(|network| network.name == "back") else { return };
            let id = id.id.clone();
            let is_in_use = scene.world.members_of(&id).any(ObservedContainer::is_up);
            if !is_in_use {
                scene.remove_network(&id, false);
            }
        }
        Happening::Steps(count) => {
            let mut left = *count;
            for key in scene.world.all_keys() {
                let plan = crate::plan(&scene.world, &key, scene.now_ms);
                let steps = &plan.steps[..left.min(plan.steps.len())];
                left -= steps.len();
                execute_watched(scene, &key, steps);
            }
        }
        Happening::Time(ms) => scene.now_ms += ms,
        Happening::Meddling(meddling, index) => meddle(scene, *meddling, *index),
    }
}

fn meddle(scene: &mut Scene, meddling: Meddling, index: usize) {
    let mut ids: Vec<String> = scene.world.containers().map(|container| container.id.to_string()).collect();
    ids.sort();
    let Some(id) = ids.get(index % ids.len().max(1)).cloned() else { return };
    let detail = scene.engine.containers[&id].clone();
    let is_running = detail.status.state == ContainerState::Running;
    match meddling {
        Meddling::Kill if is_running => scene.change(&id, |detail| {
            detail.status.state = ContainerState::Exited;
            detail.status.exit_code = 137;
        }),
        Meddling::Pause if is_running => scene.change(&id, |detail| detail.status.state = ContainerState::Paused),
        Meddling::Die if !is_running && detail.status.state != ContainerState::Paused => {
            scene.change(&id, |detail| detail.status.state = ContainerState::Dead);
        }
        Meddling::Remove => scene.remove(&id, false),
        Meddling::Rename => {
            let name = format!("renamed-{index}");
            if scene.engine.containers.values().all(|other| other.name != name) {
                scene.rename(&id, &name);
            }
        }
        Meddling::Disconnect => {
            let endpoint = detail.endpoints.values().find(|endpoint| !endpoint.network_id.is_empty());
            if let Some(endpoint) = endpoint {
                scene.disconnect(&id, &endpoint.network_id.clone());
            }
        }
        Meddling::Restrict => scene.change(&id, |detail| detail.limits.memory = 1 << 26),
        Meddling::Sicken if is_running => scene.change(&id, |detail| detail.status.health = Health::Unhealthy),
        Meddling::Copy => {
            // A stranger with our labels, under a name of its own.
            let mut copy = detail;
            (copy.id, copy.name) = (format!("f{index:063x}"), format!("copy-{index}"));
            copy.config.port_bindings.clear();
            copy.config.mounts.clear();
            copy.endpoints.clear();
            scene.engine.containers.insert(copy.id.clone(), copy.clone());
            scene.observe(&copy.id);
        }
        Meddling::Kill | Meddling::Pause | Meddling::Die | Meddling::Sicken => {
            // Not in this state.
        }
    }
}

/// Executes steps and checks before each that it may be done now.
fn execute_watched(scene: &mut Scene, key: &ObjectKey, steps: &[Step]) {
    let mut created = BTreeMap::new();
    for step in steps {
        let subject_id = match container_of(&step.action) {
            Some(ContainerRef::Existing { id, .. }) => Some(id.clone()),
            Some(ContainerRef::Created { .. }) | None => None,
        };
        if let Some(id) = subject_id {
            let container = scene.world.container(&id).expect("acts on what is ours");
            assert_eq!(&container.owner, key, "acts on its own object");
            let ends = matches!(step.action, Action::StopContainer { .. } | Action::RemoveContainer { .. });
            if ends && container.is_serving() {
                check_replaced(scene, container, &step.cause);
            }
        }
        if let Action::RemoveVolume { .. } = &step.action {
            assert_eq!(scene.world.removal(key), Some(&Removal::Approved { delete_volumes: true }));
        }
        scene.execute_step(step, &mut created);
    }
}

/// A container that serves is ended only for a reason, and where two can stand beside each other only when the other has served
/// for long enough.
fn check_replaced(scene: &Scene, container: &ObservedContainer, cause: &Cause) {
    let is_asked_for =
        matches!(cause, Cause::NetworkReplaced(_) | Cause::ScaledDown | Cause::StateStopped | Cause::ObjectRemoved);
    if is_asked_for {
        return;
    }
    let desired = scene.world.desired(&container.owner).unwrap();
    let Primitive::Containers(set) = &desired.lowered.primitive else { panic!("has containers") };
    if matches!(cause, Cause::StopFirst(_)) {
        assert_ne!(set.replace_order, ReplaceOrder::StartFirst);
        return;
    }
    if let Cause::Superseded(best) = cause {
        let stays = |other: &ObservedContainer| *other.name == **best && other.is_serving();
        assert!(scene.world.containers_of(&container.owner).any(stays), "{best} does not serve");
        return;
    }
    assert!(matches!(cause, Cause::ReplacedBy(_) | Cause::Duplicate), "ends what serves: {cause}");
    let is_other = |other: &&ObservedContainer| {
        other.ordinal == container.ordinal && other.id != container.id && other.is_serving()
    };
    if set.run == RunState::Stopped {
        return;
    }
    let min_ready_ms = if *cause == Cause::Duplicate { 0 } else { set.min_ready_ms };
    let other = scene.world.containers_of(&container.owner).find(is_other).expect("another one serves");
    assert!(scene.now_ms - other.serving_since_ms.unwrap() >= min_ready_ms, "{} serves too short", other.name);
}

fn container_of(action: &Action) -> Option<&ContainerRef> {
    match action {
        Action::PullImage { .. }
        | Action::CreateNetwork(_)
        | Action::RemoveNetwork { .. }
        | Action::CreateVolume(_)
        | Action::RemoveVolume { .. }
        | Action::CreateContainer(_) => None,
        Action::VerifyContainer { container, .. }
        | Action::ConnectNetwork { container, .. }
        | Action::DisconnectNetwork { container, .. }
        | Action::StartContainer { container }
        | Action::StopContainer { container, .. }
        | Action::UnpauseContainer { container }
        | Action::RenameContainer { container, .. }
        | Action::UpdateContainer { container, .. }
        | Action::RemoveContainer { container } => Some(container),
    }
}

/// Plans and executes until nothing is left to do, within a bound.
fn settle_watched(scene: &mut Scene, reorder: u64) {
    let mut idle = 0;
    for _ in 0..200 {
        let mut acted = false;
        let mut wake: Option<i64> = None;
        for key in scene.world.all_keys() {
            let plan = crate::plan(&scene.world, &key, scene.now_ms);
            acted |= !plan.steps.is_empty();
            wake = wake.into_iter().chain(plan.wake_ms).min();
            execute_watched(scene, &key, &reordered(&plan, reorder));
        }
        idle = if acted { 0 } else { idle + 1 };
        match (acted, wake) {
            (true, _) => {}
            // What is in use by somebody who stays is waited for until he goes.
            (false, Some(_)) if idle > 20 => return,
            (false, Some(ms)) => scene.now_ms += ms,
            (false, None) => return,
        }
    }
    panic!("does not settle: {}{}", scene.text(WEB), scene.text(APP));
}

/// The steps in another order that respects `after`; 0 for the plan's own.
fn reordered(plan: &Plan, seed: u64) -> Vec<Step> {
    for step in &plan.steps {
        assert!(step.after.iter().all(|after| *after < step.id), "after what comes later");
    }
    if seed == 0 {
        return plan.steps.clone();
    }
    let mut left = plan.steps.clone();
    let mut order: Vec<Step> = Vec::new();
    let mut random = seed;
    while !left.is_empty() {
        let is_free = |step: &Step| step.after.iter().all(|after| order.iter().any(|done| done.id == *after));
        let free: Vec<usize> = (0..left.len()).filter(|index| is_free(&left[*index])).collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(random >> 33).unwrap() % free.len();
        order.push(left.remove(free[pick]));
    }
    order
}

/// What there is in the end, without ids and times.
fn outcome(scene: &Scene) -> Vec<String> {
    let containers = scene.engine.containers.values().map(|detail| {
        let networks: Vec<&String> = detail.endpoints.keys().collect();
        let (state, image, limits) = (detail.status.state, &detail.config.image, &detail.limits);
        format!("{} {state:?} {image} {limits:?} {networks:?}", detail.name)
    });
    let networks = scene.engine.networks.values().map(|detail| format!("{} {}", detail.name, detail.internal));
    let mut all: Vec<String> = containers.chain(networks).chain(scene.engine.volumes.keys().cloned()).collect();
    all.sort();
    all
}

/// Whether what there is is what is wanted.
fn check_end(scene: &Scene) {
    for name in [WEB, APP] {
        let key: ObjectKey = name.parse().unwrap();
        let containers: Vec<&ObservedContainer> = scene.world.containers_of(&key).collect();
        let Some(desired) = scene.world.desired(&key) else {
            assert!(containers.is_empty(), "{name} is removed");
            continue;
        };
        let Primitive::Containers(set) = &desired.lowered.primitive else { panic!("has containers") };
        let plan = scene.plan(name);
        assert!(plan.steps.is_empty(), "{name} has more to do: {plan}");
        if !plan.waiting.is_empty() {
            continue;
        }
        let expected = usize::try_from(set.replicas).unwrap();
        assert_eq!(containers.len(), expected, "{name}");
        for container in containers {
            assert_eq!(container.hash, desired.hash, "{name}");
            let is_right = match set.run {
                RunState::Running => container.is_serving(),
                RunState::Stopped => !container.is_up(),
            };
            assert!(is_right, "{name} is {:?}", container.state);
            let detail = &scene.engine.containers[&*container.id];
            assert_eq!(detail.limits, desired.limits().unwrap(), "{name}");
            if let Some(exact_name) = &set.template.exact_name {
                assert_eq!(*container.name, **exact_name);
            }
            for attachment in set.template.networks.attachments() {
                let endpoint = &container.endpoints.iter().find(|(name, _)| **name == *"back");
                if container.is_up() {
                    assert_eq!(endpoint.expect("is connected").1.aliases, attachment.aliases, "{name}");
                }
            }
        }
    }
}

/// Everybody who was made sick gets well, since no plan heals.
fn heal(scene: &mut Scene) {
    let ids: Vec<String> = scene.engine.containers.keys().cloned().collect();
    for id in ids {
        scene.change(&id, |detail| detail.status.health = Health::None);
    }
}

fn walk(happenings: &[Happening], reorder: u64) -> Scene {
    let mut scene = start();
    for happening in happenings {
        happen(&mut scene, happening);
    }
    let strangers: Vec<_> =
        scene.engine.containers.values().filter(|detail| detail.name.starts_with("copy-")).cloned().collect();
    heal(&mut scene);
    settle_watched(&mut scene, reorder);
    for stranger in strangers {
        assert_eq!(scene.engine.containers[&stranger.id].name, stranger.name);
    }
    check_end(&scene);
    scene
}

#[test]
fn whatever_happens_it_ends_as_the_specs_say_and_nobody_is_cut_off_before_his_time() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let config = Config { cases: WALKS, failure_persistence: None, ..Config::default() };
    let walks = (prop::collection::vec(happening(), 1..14), 1..u64::MAX);
    let result = TestRunner::new_with_rng(config, rng).run(&walks, |(happenings, seed)| {
        let (straight, shuffled) = (walk(&happenings, 0), walk(&happenings, seed));
        prop_assert_eq!(outcome(&straight), outcome(&shuffled));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
