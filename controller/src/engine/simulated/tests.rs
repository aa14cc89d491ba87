//! What the contract suite cannot show on a real Engine: time, faults, the record, exhaustion, size.

use std::time::Duration;

use futures_util::StreamExt;
use planner::observed::{ContainerConfig, ContainerState, Health, Limits, MountConfig, MountKind};
use planner::ownership::LABEL_INSTANCE;
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, sleep, timeout};

use super::{
    AtStopSignal, Call, CallKind, CallOutcome, FaultPlan, HealthScript, Healthcheck, ImageConfig, Program,
    RegistryImage, ReplyFault, RequestFault, SimulatedConfig, SimulatedEngine,
};
use crate::engine::{Engine, ErrorKind};

fn container(name: &str, image: &str) -> ContainerCreate {
    let labels = [(LABEL_INSTANCE.to_owned(), "test".to_owned())].into();
    let config = ContainerConfig { image: image.to_owned(), labels, ..ContainerConfig::default() };
    ContainerCreate { name: name.to_owned(), config, ..ContainerCreate::default() }
}

async fn run(engine: &SimulatedEngine, name: &str, program: Program, restart: &str) -> String {
    let image = format!("{name}:1");
    engine.set_program(&image, program);
    engine.pull_image(&image).await.unwrap();
    let mut create = container(name, &image);
    create.limits.restart = restart.to_owned();
    let id = engine.create_container(&create).await.unwrap().id;
    engine.start_container(&id).await.unwrap();
    id
}

fn state(engine: &SimulatedEngine, id: &str) -> ContainerState {
    engine.peek(id).unwrap().status.state
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_doubles_its_pause_from_a_tenth_of_a_second() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "loop", Program::exiting(0, 7), "always").await;
    let mut restarts = Vec::new();
    for _ in 0..8 {
        restarts.push(engine.peek(&id).unwrap().restart_count);
        sleep(Duration::from_millis(200)).await;
    }
    // Restarts fall on 100, 300, 700 and 1500 ms.
    assert_eq!(restarts, [1, 2, 3, 3, 4, 4, 4, 4]);
    sleep(Duration::from_hours(1)).await;
    assert!(engine.peek(&id).unwrap().restart_count < 80, "the pause never grew to its cap of 60 s");
    assert_eq!(state(&engine, &id), ContainerState::Restarting);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_ten_seconds_makes_the_next_pause_short_again() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "steady", Program::exiting(11_000, 1), "always").await;
    sleep(Duration::from_secs(111)).await;
    assert_eq!(engine.peek(&id).unwrap().restart_count, 9 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_the_grace_of_a_program_that_ignores_it_and_the_shorter_of_two() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "deaf", Program::ignoring_stop(), "no").await;
    let began = Instant::now();
    let (first, second) = tokio::join!(engine.stop_container(&id, 30), engine.stop_container(&id, 2));
    first.unwrap();
    second.unwrap();
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(engine.peek(&id).unwrap().status.exit_code, 137);
}

#[tokio::test(start_paused = true)]
async fn a_stop_whose_caller_has_gone_is_carried_out() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "deaf", Program::ignoring_stop(), "always").await;
    let abandoned = timeout(Duration::from_millis(500), engine.stop_container(&id, 3)).await;
    assert!(abandoned.is_err());
    assert_eq!(state(&engine, &id), ContainerState::Running);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(state(&engine, &id), ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_caller_has_gone_is_carried_out() {
    let engine = SimulatedEngine::demo(0);
    engine.pull_image("web:1").await.unwrap();
    let id = engine.create_container(&container("web", "web:1")).await.unwrap().id;
    let abandoned = timeout(Duration::from_millis(30), engine.start_container(&id)).await;
    assert!(abandoned.is_err());
    assert_eq!(state(&engine, &id), ContainerState::Created);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&engine, &id), ContainerState::Running);
}

#[tokio::test(start_paused = true)]
async fn health_flaps_as_its_script_says_and_each_change_is_an_event() {
    let engine = SimulatedEngine::default();
    let program = Program::forever().with_health(HealthScript::Flaps(10_000));
    let config = ImageConfig { healthcheck: Some(Healthcheck::every(1000, 2)), ..ImageConfig::plain() };
    engine.set_registry_image("flap:1", RegistryImage::Present(config, program));
    engine.pull_image("flap:1").await.unwrap();
    let id = engine.create_container(&container("flap", "flap:1")).await.unwrap().id;
    engine.start_container(&id).await.unwrap();
    assert_eq!(engine.peek(&id).unwrap().status.health, Health::Starting);
    sleep(Duration::from_secs(35)).await;
    let (events, _) = engine.recent_events();
    let told: Vec<String> =
        events.into_iter().map(|event| event.action).filter(|action| action.starts_with("health")).collect();
    assert_eq!(
        told,
        ["health_status: healthy", "health_status: unhealthy", "health_status: healthy", "health_status: unhealthy"]
    );
}

#[tokio::test(start_paused = true)]
async fn events_come_by_themselves_when_their_time_comes() {
    let engine = SimulatedEngine::default();
    let mut events = engine.events().await.unwrap();
    run(&engine, "later", Program::exiting(5000, 3), "no").await;
    let mut actions = Vec::new();
    while actions.last().is_none_or(|action| action != "die") {
        actions.push(events.next().await.unwrap().unwrap().action);
    }
    assert_eq!(actions, ["pull", "create", "connect", "start", "die"]);
    engine.cut_event_streams();
    assert_eq!(events.next().await.unwrap().unwrap().action, "disconnect");
    assert!(events.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_ring_holds_256_events_and_a_subscriber_that_does_not_read_loses_some() {
    let engine = SimulatedEngine::default();
    let _events = engine.events().await.unwrap();
    let id = run(&engine, "web", Program::forever(), "no").await;
    for _ in 0..1100 {
        engine.update_container(&id, &Limits { pids: 10, ..Limits::default() }).await.unwrap();
    }
    let (events, lost) = engine.recent_events();
    assert_eq!((events.len(), lost), (256, 1104 - 1024));
}

#[tokio::test(start_paused = true)]
async fn the_default_address_pools_run_out() {
    let engine = SimulatedEngine::default();
    let create = |number: u32| NetworkCreate { name: format!("n{number}"), ..NetworkCreate::default() };
    for number in 0..30 {
        engine.create_network(&create(number)).await.unwrap();
    }
    let error = engine.create_network(&create(30)).await.unwrap_err();
    assert_eq!((error.status, error.kind), (Some(404), ErrorKind::AddressConflict));
    let first = engine.list_networks().await.unwrap().into_iter().find(|network| network.name == "n0").unwrap();
    engine.remove_network(&first.id).await.unwrap();
    engine.create_network(&create(30)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_networks_of_one_name_are_ambiguous_by_name() {
    let engine = SimulatedEngine::default();
    let create = NetworkCreate { name: "back".to_owned(), ..NetworkCreate::default() };
    engine.create_network(&create).await.unwrap();
    engine.create_network(&create).await.unwrap();
    let id = run(&engine, "web", Program::forever(), "no").await;
    let endpoint = EndpointCreate { network_id: "back".to_owned(), ..EndpointCreate::default() };
    let error = engine.connect_network(&id, &endpoint).await.unwrap_err();
    assert_eq!(error.text, "network back is ambiguous (2 matches found on name)");
}

#[tokio::test(start_paused = true)]
async fn unknown_drivers_are_not_found() {
    let engine = SimulatedEngine::default();
    let driver = || "nonesuch".to_owned();
    let volume = VolumeCreate { name: "data".to_owned(), driver: driver(), ..VolumeCreate::default() };
    let network = NetworkCreate { name: "back".to_owned(), driver: driver(), ..NetworkCreate::default() };
    let volume = engine.create_volume(&volume).await.unwrap_err();
    let network = engine.create_network(&network).await.unwrap_err();
    assert_eq!(volume.text, "create data: error looking up volume plugin nonesuch: plugin \"nonesuch\" not found");
    assert_eq!((network.status, network.text.as_str()), (Some(404), "plugin \"nonesuch\" not found"));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_is_told_apart() {
    let engine = SimulatedEngine::default();
    let fails = |text: &str| RegistryImage::Fails(text.to_owned());
    engine.set_registry_image("absent:1", RegistryImage::Absent);
    engine.set_registry_image("busy:1", fails("toomanyrequests: You have reached your pull rate limit."));
    engine.set_registry_image("locked:1", fails("Head \"http://r/v2/x/manifests/1\": no basic auth credentials"));
    engine.set_registry_image("down:1", fails("dial tcp 127.0.0.1:1: connect: connection refused"));
    let mut kinds = Vec::new();
    for reference in ["absent:1", "busy:1", "locked:1", "down:1"] {
        kinds.push(engine.pull_image(reference).await.unwrap_err().kind);
    }
    assert_eq!(
        kinds,
        [
            ErrorKind::RegistryNotFound,
            ErrorKind::RegistryThrottled,
            ErrorKind::RegistryDenied,
            ErrorKind::RegistryUnavailable
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_content_of_a_reference_has_a_new_id_and_old_containers_keep_theirs() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "web", Program::forever(), "no").await;
    let before = engine.inspect_image("web:1").await.unwrap().unwrap().id;
    engine.pull_image("web:1").await.unwrap();
    assert_eq!(engine.inspect_image("docker.io/library/web:1").await.unwrap().unwrap().id, before);
    engine.set_program("web:1", Program::exiting(0, 1));
    engine.pull_image("web:1").await.unwrap();
    assert_ne!(engine.inspect_image("web:1").await.unwrap().unwrap().id, before);
    assert_eq!(engine.peek(&id).unwrap().image_id, before);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_a_process_of_the_host_holds_is_refused_and_the_next_try_succeeds_when_it_is_free() {
    let engine = SimulatedEngine::default();
    engine.pull_image("web:1").await.unwrap();
    let mut create = container("web", "web:1");
    create.config.port_bindings.insert("80/tcp".to_owned(), vec!["127.0.0.1:18080".to_owned()]);
    let id = engine.create_container(&create).await.unwrap().id;
    engine.host_port_taken(18_080);
    let error = engine.start_container(&id).await.unwrap_err();
    assert_eq!((error.status, error.kind), (Some(500), ErrorKind::PortConflict));
    assert_eq!(state(&engine, &id), ContainerState::Created);
    engine.host_port_freed(18_080);
    engine.start_container(&id).await.unwrap();
    assert_eq!(engine.find_port_holder(18_080).await.unwrap().as_deref(), Some("web"));
}

/// Loses the reply of every create.
struct LostReplies;

impl FaultPlan for LostReplies {
    fn before(&mut self, _call: &Call) -> RequestFault {
        RequestFault::None
    }

    fn after(&mut self, call: &Call, _outcome: &CallOutcome) -> ReplyFault {
        if call.kind == CallKind::CreateContainer { ReplyFault::DropReply } else { ReplyFault::None }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_hides_what_was_done() {
    let engine = SimulatedEngine::default();
    engine.pull_image("web:1").await.unwrap();
    engine.set_faults(LostReplies);
    let error = engine.create_container(&container("web", "web:1")).await.unwrap_err();
    assert_eq!((error.status, error.kind), (None, ErrorKind::Unknown));
    assert!(engine.peek("web").is_some());
}

#[tokio::test(start_paused = true)]
async fn requests_fail_are_dropped_come_late_or_find_nobody() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "web", Program::forever(), "no").await;
    let mut faults = vec![
        RequestFault::ApplyLate(Duration::from_secs(20)),
        RequestFault::DropRequest,
        RequestFault::Unreachable,
        RequestFault::Fail { status: 500, text: "no space left on device".to_owned() },
    ];
    engine.set_request_faults(move |call| {
        if call.kind == CallKind::RenameContainer { faults.pop().unwrap_or_default() } else { RequestFault::None }
    });
    let mut kinds = Vec::new();
    for name in ["full", "nobody", "dropped", "late"] {
        kinds.push(engine.rename_container(&id, name).await.unwrap_err().kind);
    }
    assert_eq!(kinds, [ErrorKind::NoSpace, ErrorKind::Unreachable, ErrorKind::Unknown, ErrorKind::Unknown]);
    assert_eq!(engine.peek(&id).unwrap().name, "web");
    sleep(Duration::from_secs(21)).await;
    assert_eq!(engine.peek(&id).unwrap().name, "late");
    let outcomes: Vec<CallOutcome> = engine
        .calls()
        .into_iter()
        .filter(|record| record.call.kind == CallKind::RenameContainer)
        .map(|record| record.outcome)
        .collect();
    let full = CallOutcome::Refused { status: 500, text: "no space left on device".to_owned() };
    assert_eq!(outcomes, [full, CallOutcome::Dropped, CallOutcome::Dropped, CallOutcome::Done]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_container_holds_its_own_calls_and_lets_them_through_in_order() {
    let engine = SimulatedEngine::default();
    let hung = run(&engine, "hung", Program::forever(), "no").await;
    let other = run(&engine, "other", Program::forever(), "no").await;
    engine.hang(&hung);
    for name in ["first", "second"] {
        let waited = timeout(Duration::from_secs(5), engine.rename_container(&hung, name)).await;
        assert!(waited.is_err(), "{name} came through");
    }
    assert!(timeout(Duration::from_secs(5), engine.inspect_container(&hung)).await.is_err());
    assert_eq!(engine.list_containers("test").await.unwrap().len(), 2);
    engine.stop_container(&other, 1).await.unwrap();
    engine.release(&hung);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(engine.peek(&hung).unwrap().name, "second");
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_make_a_container_hang() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "web", Program::forever(), "no").await;
    engine.set_request_faults(|call| {
        if call.kind == CallKind::StopContainer { RequestFault::HangObject } else { RequestFault::None }
    });
    assert!(timeout(Duration::from_mins(1), engine.stop_container(&id, 1)).await.is_err());
    assert_eq!(state(&engine, &id), ContainerState::Running);
    engine.release(&id);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(state(&engine, &id), ContainerState::Exited);
}

#[tokio::test(start_paused = true)]
async fn the_record_counts_what_changes_and_what_does_not() {
    let engine = SimulatedEngine::default();
    let id = run(&engine, "web", Program::forever(), "no").await;
    engine.forget_calls();
    engine.list_containers("test").await.unwrap();
    engine.external_docker_kill(&id).unwrap();
    assert_eq!((engine.call_counts().mutating(), engine.call_counts().of(CallKind::ListContainers)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_runs_and_is_not_listed_as_ours() {
    let engine = SimulatedEngine::default();
    let mut create = container("stranger", "theirs:1");
    create.config.labels.clear();
    engine.external_run(create).unwrap();
    assert!(engine.list_containers("test").await.unwrap().is_empty());
    assert_eq!(engine.all_container_ids().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_ids_and_events() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let engine = SimulatedEngine::new(SimulatedConfig { seed, ..SimulatedConfig::default() });
        let slow = AtStopSignal::Exits { after_ms: 40, code: 143 };
        let program = Program { at_stop_signal: slow, ..Program::exiting(300, 1) };
        let id = run(&engine, "web", program, "always").await;
        sleep(Duration::from_secs(5)).await;
        engine.stop_container(&id, 10).await.unwrap();
        runs.push((id, engine.recent_events()));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0].0, runs[2].0);
    assert_eq!(runs[2].0.len(), 64);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_containers_are_small_and_quick() {
    let engine = SimulatedEngine::new(SimulatedConfig { calls_kept: 0, ..SimulatedConfig::default() });
    engine.pull_image("web:1").await.unwrap();
    let network = NetworkCreate { name: "back".to_owned(), ..NetworkCreate::default() };
    let network_id = engine.create_network(&network).await.unwrap();
    let before = resident_kib();
    for number in 0..10_000 {
        let mut create = container(&format!("web-{number}"), "web:1");
        create.config.labels.insert("template".to_owned(), "x".repeat(600));
        create.config.labels.insert("proof".to_owned(), format!("{number:064}"));
        create.config.network_mode.clone_from(&network_id);
        let aliases = vec!["web".to_owned()];
        create.primary_endpoint = Some(EndpointCreate {
            network_id: network_id.clone(),
            network_name: "back".to_owned(),
            aliases,
            ipv4: None,
        });
        let id = engine.create_container(&create).await.unwrap().id;
        engine.start_container(&id).await.unwrap();
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 24 * 1024, "10 000 containers take {grown} KiB");
    println!("10 000 containers take {grown} KiB");
    assert_eq!(engine.list_containers("test").await.unwrap().len(), 10_000);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn a_create_makes_a_volume_anew_that_went_and_with_the_labels_that_it_brings() {
    let engine = SimulatedEngine::default();
    engine.pull_image("web:1").await.unwrap();
    let labels: std::collections::BTreeMap<String, String> = [("whose".to_owned(), "ours".to_owned())].into();
    let volume = VolumeCreate { name: "data".to_owned(), labels: labels.clone(), ..VolumeCreate::default() };
    engine.create_volume(&volume).await.unwrap();
    engine.external_remove_volume("data").unwrap();
    let mut create = container("web", "web:1");
    let kind = MountKind::Volume("data".to_owned());
    create.config.mounts.push(MountConfig { destination: "/data".to_owned(), kind, read_only: false });
    create.volume_labels.insert("data".to_owned(), labels.clone());
    engine.create_container(&create).await.unwrap();
    let volumes = engine.peek_volumes();
    assert_eq!(volumes.iter().map(|volume| &volume.labels).collect::<Vec<_>>(), [&labels]);
}

#[tokio::test(start_paused = true)]
async fn a_scripted_program_answers_who_is_attached_until_its_run_ends_and_not_while_it_is_frozen() {
    let engine = SimulatedEngine::default();
    engine.set_program("shout:1", Program::answering(|line| vec![line.to_uppercase(), "done".to_owned()]));
    engine.pull_image("shout:1").await.unwrap();
    let mut create = container("shout", "shout:1");
    create.config.open_stdin = true;
    let id = engine.create_container(&create).await.unwrap().id;
    engine.start_container(&id).await.unwrap();
    let mut attached = engine.attach_container(&id).await.unwrap();
    engine.external_pause(&id).unwrap();
    attached.input.write_all(b"hello\n").await.unwrap();
    let mut lines = BufReader::new(attached.output).lines();
    assert!(timeout(Duration::from_hours(1), lines.next_line()).await.is_err());
    engine.external_unpause(&id).unwrap();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("HELLO"));
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("done"));
    engine.external_kill(&id, 1).unwrap();
    assert_eq!(lines.next_line().await.unwrap(), None);
}
