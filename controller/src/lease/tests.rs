//! Who gets a lease, and what an engine with one container name sees of it.

use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use planner::observed::{
    ContainerDetail, ContainerState, ContainerStatus, ContainerSummary, Health, ImageDetail, Limits, NetworkDetail,
    VolumeDetail,
};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};

use super::{LeaseCheck, LeaseDecision, LeaseError, LeaseRecord, LeaseRequest, acquire, decide, lease_name};
use crate::engine::{AttachedContainer, CreatedContainer, Engine, EngineError, EngineEvent, EngineInfo, ErrorKind};
use crate::holder::{Holder, Liveness};

fn request(data_dir_id: &str) -> LeaseRequest {
    let me = Holder::current(&"prod".parse().unwrap()).unwrap();
    LeaseRequest { me, data_dir_id: data_dir_id.into(), last_epoch: 0, take_over: false }
}

/// A request from where this process cannot look.
fn request_elsewhere(data_dir_id: &str) -> LeaseRequest {
    let here = request(data_dir_id);
    LeaseRequest { me: Holder { host: "elsewhere".into(), ..here.me }, ..here }
}

#[test]
fn a_holder_is_followed_when_it_is_gone_or_ours_or_when_the_user_says_so() {
    let found = LeaseRecord { holder: request("a").me, data_dir_id: "a".into(), epoch: 4 };
    let replace = LeaseDecision::Replace { epoch: 5 };
    for (data_dir_id, liveness, take_over, expected) in [
        ("a", Liveness::Myself, false, replace),
        ("a", Liveness::Gone, false, replace),
        ("a", Liveness::OutOfSight, false, replace),
        // A copy of the directory, whose owner lives.
        ("a", Liveness::Alive, false, LeaseDecision::Refuse),
        ("b", Liveness::Gone, false, replace),
        ("b", Liveness::Alive, false, LeaseDecision::Refuse),
        ("b", Liveness::OutOfSight, false, LeaseDecision::Refuse),
        ("b", Liveness::Alive, true, replace),
        ("b", Liveness::OutOfSight, true, replace),
    ] {
        let request = LeaseRequest { take_over, ..request(data_dir_id) };
        assert_eq!(decide(&found, &request, liveness), expected, "{data_dir_id} {liveness:?} {take_over}");
    }
    let remembers = LeaseRequest { last_epoch: 9, ..request("a") };
    assert_eq!(decide(&found, &remembers, Liveness::Gone), LeaseDecision::Replace { epoch: 10 });
}

#[tokio::test]
async fn a_second_controller_is_told_who_holds_the_lease_until_it_is_released() {
    let engine = OneNameEngine::default();
    let lease = acquire(&engine, &request("a")).await.unwrap();
    assert_eq!((lease.epoch, engine.images()), (1, 1));
    let refused = acquire(&engine, &request_elsewhere("b")).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("process {} on host", request("a").me.pid)), "{refused}");
    assert!(refused.hint().contains("--take-over"));
    assert_eq!(lease.check(&engine).await.unwrap(), LeaseCheck::Held);
    lease.release(&engine).await.unwrap();
    assert_eq!(lease.check(&engine).await.unwrap(), LeaseCheck::Vanished);
    let next = LeaseRequest { last_epoch: 1, ..request_elsewhere("b") };
    assert_eq!(acquire(&engine, &next).await.unwrap().epoch, 2);
    assert_eq!(engine.images(), 1, "the image is made once");
}

#[tokio::test]
async fn a_lease_that_was_taken_over_is_known_to_be_lost_and_is_not_released() {
    let engine = OneNameEngine::default();
    let first = acquire(&engine, &request("a")).await.unwrap();
    let forced = LeaseRequest { take_over: true, ..request_elsewhere("b") };
    let second = acquire(&engine, &forced).await.unwrap();
    assert_eq!((second.epoch, second.taken_from), (2, Some(Box::new(request("a").me))));
    assert_eq!(first.check(&engine).await.unwrap(), LeaseCheck::TakenBy(Box::new(forced.me.clone())));
    first.release(&engine).await.unwrap();
    assert!(engine.inspect_container(&lease_name(&forced.me.instance)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_stranger_with_the_name_of_the_lease_is_left_alone_even_by_a_take_over() {
    let engine = OneNameEngine::default();
    let name = lease_name(&"prod".parse().unwrap());
    engine.create_container(&ContainerCreate { name, ..ContainerCreate::default() }).await.unwrap();
    let forced = LeaseRequest { take_over: true, ..request("a") };
    assert!(matches!(acquire(&engine, &forced).await, Err(LeaseError::NameTaken { .. })));
}

#[tokio::test]
async fn a_lease_is_not_taken_for_a_workload() {
    let engine = OneNameEngine::default();
    acquire(&engine, &request("a")).await.unwrap();
    let found = engine.inspect_container("evenkeel-lease-prod").await.unwrap().unwrap();
    assert!(!found.config.labels.contains_key(planner::ownership::LABEL_INSTANCE));
}

#[tokio::test]
async fn a_lease_is_acquired_while_another_controller_makes_the_image() {
    let engine = OneNameEngine { races: Mutex::new(2), ..OneNameEngine::default() };
    let lease = acquire(&engine, &request("a")).await.unwrap();
    assert_eq!((lease.epoch, *engine.races.lock().unwrap()), (1, 0));
}

/// An engine that holds one container and one image, which is all that a lease needs.
#[derive(Debug, Default)]
struct OneNameEngine {
    container: Mutex<Option<ContainerDetail>>,
    numbers: Mutex<(u64, u32)>,
    /// How many calls still meet those of a controller that makes the image, too.
    races: Mutex<u32>,
}

impl OneNameEngine {
    /// Whether this call meets another's; what it then fails with is of this kind.
    fn race(&self, kind: ErrorKind) -> Result<(), EngineError> {
        let mut races = self.races.lock().unwrap();
        if *races == 0 {
            return Ok(());
        }
        *races -= 1;
        unused().map_err(|error| EngineError { kind, ..error })
    }

    fn images(&self) -> u32 {
        self.numbers.lock().unwrap().1
    }
}

fn unused<T>() -> Result<T, EngineError> {
    Err(EngineError {
        operation: "be used".into(),
        status: None,
        text: "no part of it".into(),
        kind: ErrorKind::Invalid,
    })
}

#[async_trait]
impl Engine for OneNameEngine {
    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError> {
        let container = self.container.lock().unwrap().clone();
        Ok(container.filter(|container| container.id == id_or_name || container.name == id_or_name))
    }

    async fn inspect_image(&self, _: &str) -> Result<Option<ImageDetail>, EngineError> {
        Ok((self.images() > 0).then(ImageDetail::default))
    }

    async fn remove_image(&self, _: &str) -> Result<(), EngineError> {
        unreachable!("a lease removes no image")
    }

    async fn import_image(&self, _: &str, tar: Vec<u8>, _: &[&str]) -> Result<(), EngineError> {
        assert_eq!(tar, [0; 1024]);
        self.numbers.lock().unwrap().1 += 1;
        self.race(ErrorKind::NameConflict)
    }

    async fn create_container(&self, create: &ContainerCreate) -> Result<CreatedContainer, EngineError> {
        self.race(ErrorKind::ImageNotFound)?;
        let mut container = self.container.lock().unwrap();
        if container.is_some() {
            return unused().map_err(|error| EngineError { kind: ErrorKind::NameConflict, ..error });
        }
        let mut numbers = self.numbers.lock().unwrap();
        numbers.0 += 1;
        let id = format!("{:064x}", numbers.0);
        *container = Some(ContainerDetail {
            id: id.clone(),
            name: create.name.clone(),
            created_ms: 0,
            image_id: String::new(),
            status: ContainerStatus {
                state: ContainerState::Created,
                exit_code: 0,
                oom_killed: false,
                error: String::new(),
                health: Health::None,
                started_ms: None,
                finished_ms: None,
            },
            config: create.config.clone(),
            limits: create.limits.clone(),
            endpoints: [].into(),
            restart_count: 0,
        });
        Ok(CreatedContainer { id, warnings: Vec::new() })
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        self.container.lock().unwrap().take_if(|container| container.id == id);
        Ok(())
    }

    async fn info(&self) -> Result<EngineInfo, EngineError> {
        unused()
    }
    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        unused()
    }
    async fn list_containers(&self, _: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        unused()
    }
    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError> {
        unused()
    }
    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError> {
        unused()
    }
    async fn network_members(&self, _: &str) -> Result<Vec<(String, String)>, EngineError> {
        unused()
    }
    async fn find_port_holder(&self, _: u16) -> Result<Option<String>, EngineError> {
        unused()
    }
    async fn tail_logs(&self, _: &str, _: u32) -> Result<String, EngineError> {
        unused()
    }
    async fn attach_container(&self, _: &str) -> Result<AttachedContainer, EngineError> {
        unused()
    }
    async fn pull_image(&self, _: &str) -> Result<(), EngineError> {
        unused()
    }
    async fn create_network(&self, _: &NetworkCreate) -> Result<String, EngineError> {
        unused()
    }
    async fn remove_network(&self, _: &str) -> Result<(), EngineError> {
        unused()
    }
    async fn create_volume(&self, _: &VolumeCreate) -> Result<VolumeDetail, EngineError> {
        unused()
    }
    async fn remove_volume(&self, _: &str) -> Result<(), EngineError> {
        unused()
    }
    async fn start_container(&self, _: &str) -> Result<(), EngineError> {
        unused()
    }
    async fn stop_container(&self, _: &str, _: u32) -> Result<(), EngineError> {
        unused()
    }
    async fn unpause_container(&self, _: &str) -> Result<(), EngineError> {
        unused()
    }
    async fn rename_container(&self, _: &str, _: &str) -> Result<(), EngineError> {
        unused()
    }
    async fn update_container(&self, _: &str, _: &Limits) -> Result<(), EngineError> {
        unused()
    }
    async fn connect_network(&self, _: &str, _: &EndpointCreate) -> Result<(), EngineError> {
        unused()
    }
    async fn disconnect_network(&self, _: &str, _: &str) -> Result<(), EngineError> {
        unused()
    }
}
