//! Containers and images of a real engine.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptions;
use futures_util::StreamExt;
use planner::observed::{ContainerState, Health, Limits, MountConfig, MountKind};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};
use planner::verify::compare;

use super::answers::{http, listen};
use super::stage::{Stage, busybox_tar, on_engine};
use crate::engine::{Engine, ErrorKind, EventSubject};

#[tokio::test]
async fn the_api_version_is_agreed_on_again_and_again() {
    on_engine(async |stage| {
        let first = stage.engine.info().await.unwrap();
        assert!(!first.id.is_empty() && !first.host_name.is_empty() && !first.is_simulated);
        assert_eq!(stage.engine.info().await.unwrap(), first);
        println!("{first:?}");
    })
    .await;
}

#[tokio::test]
async fn an_imported_image_tells_what_it_declares() {
    on_engine(async |stage| {
        let image = stage.engine.inspect_image(&stage.image).await.unwrap().unwrap();
        assert_eq!((image.volumes, image.user), (vec!["/anonymous".to_owned()], "1000".to_owned()));
        assert_eq!(image.labels.get("image").map(String::as_str), Some("label"));
        assert_eq!(stage.engine.inspect_image("evenkeel.invalid/none:1").await.unwrap(), None);
    })
    .await;
}

/// Every field that we can set, each with a value that is not its default.
async fn every_field(stage: &Stage) -> ContainerCreate {
    let mut network = NetworkCreate {
        name: stage.name("net"),
        driver: "bridge".into(),
        labels: stage.labels(),
        ..Default::default()
    };
    let (network_id, third) = stage.create_network(&mut network, 24).await;
    let volume =
        VolumeCreate { name: stage.name("data"), driver: "local".into(), labels: stage.labels(), ..Default::default() };
    stage.engine.create_volume(&volume).await.unwrap();
    let mut container = stage.shell("all", "sleep 60");
    let config = &mut container.config;
    config.working_dir = "/bin".into();
    config.user = "1001:1001".into();
    config.hostname = "host".into();
    config.env = vec!["A=1".into(), "EMPTY=".into(), "IMAGE=no".into()];
    config.labels.insert("mine".into(), "yes".into());
    config.exposed_ports = vec!["80/tcp".into(), "81/udp".into()];
    config.port_bindings =
        [("80/tcp".to_owned(), vec!["127.0.0.1:28080".to_owned(), "127.0.0.2:28080".to_owned()])].into();
    config.network_mode = network_id.clone();
    let mount = |destination: &str, kind, read_only| MountConfig { destination: destination.into(), kind, read_only };
    config.mounts = vec![
        mount("/data", MountKind::Volume(volume.name), false),
        mount("/host", MountKind::Bind("/tmp".into()), true),
        mount("/scratch", MountKind::Tmpfs(1 << 20), false),
        mount("/unlimited", MountKind::Tmpfs(0), false),
    ];
    config.shm_bytes = 32 << 20;
    config.read_only_root = true;
    config.cap_add = vec!["NET_BIND_SERVICE".into()];
    config.cap_drop = vec!["ALL".into()];
    config.security_opt = vec!["no-new-privileges:true".into()];
    config.stop_signal = "SIGINT".into();
    config.stop_timeout_secs = Some(1);
    config.init = true;
    config.ulimits = vec![("nofile".into(), 1000, 2000)];
    config.sysctls = [("net.core.somaxconn".to_owned(), "1024".to_owned())].into();
    config.devices = vec![("/dev/null".into(), "/dev/nothing".into(), "rw".into())];
    config.log_driver = "json-file".into();
    config.log_options = [("max-size".to_owned(), "1m".to_owned())].into();
    config.dns = vec!["10.0.0.53".into(), "10.0.0.54".into()];
    config.dns_search = vec!["example.org".into()];
    config.dns_options = vec!["ndots:2".into()];
    config.extra_hosts = vec!["db:10.0.0.9".into()];
    container.limits = Limits {
        nano_cpus: 500_000_000,
        memory: 64 << 20,
        memory_swap: 128 << 20,
        pids: 50,
        restart: "unless-stopped".into(),
    };
    container.primary_endpoint = Some(EndpointCreate {
        network_id,
        network_name: network.name,
        aliases: vec!["web".into()],
        ipv4: Some([10, 213, third, 77].into()),
    });
    container
}

#[tokio::test]
async fn a_container_with_every_field_set_is_as_asked_before_and_after_its_start() {
    on_engine(async |stage| {
        let expected = every_field(stage).await;
        let created = stage.engine.create_container(&expected).await.unwrap();
        println!("warnings: {:?}", created.warnings);
        let unstarted = stage.inspect(&created.id).await;
        assert_eq!(unstarted.status.state, ContainerState::Created);
        assert_eq!((unstarted.status.started_ms, unstarted.status.finished_ms), (None, None));
        assert_eq!(compare(&expected, &unstarted), []);
        stage.engine.start_container(&created.id).await.unwrap();
        let started = stage.inspect(&created.id).await;
        assert_eq!(compare(&expected, &started), []);
        let endpoint = started.endpoints.values().next().unwrap();
        // Engines before API 1.45 add the short id, which is left out, and a host name that was set.
        let aliases: Vec<&str> = endpoint.aliases.iter().map(String::as_str).filter(|alias| *alias != "host").collect();
        assert_eq!(aliases, ["web"]);
        let asked = expected.primary_endpoint.as_ref().and_then(|asked| asked.ipv4);
        assert_eq!(endpoint.address, asked.map(Into::into));
        assert!(started.status.started_ms.is_some() && started.created_ms > 1_600_000_000_000);
        // The image's own volume came along as an ordinary one.
        assert!(started.config.mounts.iter().any(|mount| mount.destination == "/anonymous"));
        assert_eq!(stage.engine.find_port_holder(28080).await.unwrap().as_deref(), Some(expected.name.as_str()));
        assert_eq!(stage.engine.find_port_holder(28081).await.unwrap(), None);
        stage.engine.stop_container(&created.id, 1).await.unwrap();
        assert_eq!(compare(&expected, &stage.inspect(&created.id).await), []);
    })
    .await;
}

#[tokio::test]
async fn the_least_that_can_be_asked_for_is_as_asked_too() {
    on_engine(async |stage| {
        let mut expected = stage.shell("least", "true");
        expected.config.network_mode = "bridge".into();
        expected.limits.memory = 16 << 20;
        let id = stage.create(&expected).await;
        assert_eq!(compare(&expected, &stage.inspect(&id).await), []);
        expected.config.network_mode = "host".into();
        expected.config.port_bindings = [("80/tcp".to_owned(), vec!["127.0.0.1:28082".to_owned()])].into();
        expected.name = stage.name("host");
        let created = stage.engine.create_container(&expected).await.unwrap();
        let fields: Vec<String> =
            compare(&expected, &stage.inspect(&created.id).await).into_iter().map(|change| change.field).collect();
        assert_eq!(fields, ["ports.publish"], "{:?}", created.warnings);
        expected.config.port_bindings.clear();
        expected.config.network_mode = "bridge".into();
        for binding in ["localhost:28083", ":28083"] {
            expected.name = stage.name(&format!("on{}", binding.len()));
            expected.config.port_bindings = [("80/tcp".to_owned(), vec![binding.to_owned()])].into();
            let id = stage.create(&expected).await;
            assert!(!compare(&expected, &stage.inspect(&id).await).is_empty(), "{binding}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_life_from_create_to_remove_and_each_call_twice() {
    on_engine(async |stage| {
        let engine = &stage.engine;
        let container = stage.shell("life", "echo hello; echo sorry >&2; sleep 60");
        let id = stage.create(&container).await;
        let again = engine.create_container(&container).await.unwrap_err();
        assert_eq!((again.kind, again.status), (ErrorKind::NameConflict, Some(409)), "{again}");
        for _ in 0..2 {
            engine.start_container(&id).await.unwrap();
        }
        let busy = engine.remove_container(&id).await.unwrap_err();
        assert_eq!(busy.kind, ErrorKind::InUse, "{busy}");
        stage.raw().await.pause_container(&id).await.unwrap();
        assert_eq!(stage.inspect(&id).await.status.state, ContainerState::Paused);
        engine.unpause_container(&id).await.unwrap();
        engine.unpause_container(&id).await.unwrap_err();
        let limits = Limits { memory: 32 << 20, pids: 20, restart: "on-failure".into(), ..Default::default() };
        engine.update_container(&id, &limits).await.unwrap();
        engine.update_container(&id, &Limits::default()).await.unwrap();
        let updated = stage.inspect(&id).await.limits;
        assert_eq!((updated.memory, updated.pids, updated.restart), (32 << 20, 20, "on-failure".to_owned()));
        engine.update_container(&id, &Limits { memory: 96 << 20, ..Default::default() }).await.unwrap();
        let tiny = engine.update_container(&id, &Limits { memory: 4096, ..Default::default() }).await.unwrap_err();
        assert_eq!(tiny.kind, ErrorKind::Invalid, "{tiny}");
        engine.rename_container(&id, &stage.name("renamed")).await.unwrap();
        let found = engine.inspect_container(&stage.name("renamed")).await.unwrap().unwrap();
        assert_eq!(found.id, id);
        let logs = engine.tail_logs(&id, 10).await.unwrap();
        assert!(logs.contains("hello\n") && logs.contains("sorry\n"), "{logs}");
        for _ in 0..2 {
            engine.stop_container(&id, 0).await.unwrap();
        }
        let stopped = stage.inspect(&id).await.status;
        assert_eq!((stopped.state, stopped.exit_code), (ContainerState::Exited, 137));
        assert!(stopped.finished_ms.is_some());
        for _ in 0..2 {
            engine.remove_container(&id).await.unwrap();
        }
        assert_eq!(engine.inspect_container(&id).await.unwrap(), None);
        engine.stop_container(&id, 0).await.unwrap();
        assert_eq!(engine.start_container(&id).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(engine.update_container(&id, &limits).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(engine.rename_container(&id, "x-y").await.unwrap_err().kind, ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_stop_whose_caller_has_gone_is_done_all_the_same() {
    on_engine(async |stage| {
        let id = stage.create(&stage.shell("left", "sleep 60")).await;
        stage.engine.start_container(&id).await.unwrap();
        let stop = stage.engine.stop_container(&id, 2);
        assert!(tokio::time::timeout(Duration::from_millis(300), stop).await.is_err());
        assert_eq!(stage.inspect(&id).await.status.state, ContainerState::Running);
        let stopped = stage.wait_for(&id, |detail| detail.status.state == ContainerState::Exited).await;
        assert_eq!(stopped.status.exit_code, 137);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_created_or_started_is_told_by_kind() {
    on_engine(async |stage| {
        let engine = &stage.engine;
        let mut container = stage.shell("noimage", "true");
        container.config.image = "evenkeel.invalid/none:1".into();
        let error = engine.create_container(&container).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ImageNotFound, "{error}");
        let mut container = stage.shell("noprogram", "true");
        container.config.entrypoint = Some(vec!["/nope".into()]);
        let id = stage.create(&container).await;
        let error = engine.start_container(&id).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::StartFailed, "{error}");
        let failed = stage.inspect(&id).await.status;
        assert_eq!((failed.state, failed.exit_code), (ContainerState::Created, 127));
        assert!(failed.error.contains("/nope"));
        let mut first = stage.shell("port1", "sleep 60");
        let network = NetworkCreate { name: stage.name("net"), labels: stage.labels(), ..Default::default() };
        first.config.network_mode = engine.create_network(&network).await.unwrap();
        first.config.port_bindings = [("80/tcp".to_owned(), vec!["127.0.0.1:28090".to_owned()])].into();
        let second = ContainerCreate { name: stage.name("port2"), ..first.clone() };
        let (first, second) = (stage.create(&first).await, stage.create(&second).await);
        engine.start_container(&first).await.unwrap();
        let error = engine.start_container(&second).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::PortConflict, "{error}");
        // The same from a process of the host.
        engine.stop_container(&first, 0).await.unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:28090").unwrap();
        let error = engine.start_container(&second).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::PortConflict, "{error}");
        drop(listener);
        engine.start_container(&second).await.unwrap();
        let mut container = stage.shell("nohost", "true");
        container.config.mounts = vec![MountConfig {
            destination: "/x".into(),
            kind: MountKind::Bind("/nonexistent/x".into()),
            read_only: true,
        }];
        let error = engine.create_container(&container).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    })
    .await;
}

#[tokio::test]
async fn events_that_follow_a_subscription_are_all_heard() {
    on_engine(async |stage| {
        let mut events = stage.engine.events().await.unwrap();
        let id = stage.create(&stage.shell("heard", "sleep 60")).await;
        stage.engine.start_container(&id).await.unwrap();
        stage.raw().await.kill_container(&id, None::<KillContainerOptions>).await.unwrap();
        let volume = VolumeCreate { name: stage.name("vol"), labels: stage.labels(), ..Default::default() };
        stage.engine.create_volume(&volume).await.unwrap();
        let (mut actions, mut saw_volume) = (Vec::new(), false);
        while actions.last().map(String::as_str) != Some("die") || !saw_volume {
            let next = tokio::time::timeout(Duration::from_secs(10), events.next()).await;
            let event = next.unwrap_or_else(|_| panic!("only {actions:?}, volume {saw_volume}")).unwrap().unwrap();
            saw_volume |= event.subject == EventSubject::Volume && event.id == volume.name;
            if event.subject == EventSubject::Container && event.id == id {
                assert_eq!(event.actor, stage.name("heard"));
                assert_eq!(event.exit_code, (event.action == "die").then_some(137));
                actions.push(event.action);
            }
        }
        assert_eq!(actions, ["create", "start", "kill", "die"]);
    })
    .await;
}

#[tokio::test]
async fn the_list_tells_state_health_and_networks_of_this_instance_only() {
    on_engine(async |stage| {
        let changes = ["ENV PATH=/bin", "LABEL image=label", "HEALTHCHECK --interval=1s --retries=1 CMD /bin/false"];
        let mut container = stage.shell("sick", "sleep 60");
        container.config.image = format!("{}-sick:1", stage.instance);
        stage.engine.import_image(&container.config.image, busybox_tar(), &changes).await.unwrap();
        assert!(stage.engine.inspect_image(&container.config.image).await.unwrap().unwrap().has_healthcheck);
        let id = stage.create(&container).await;
        let mut stranger = stage.shell("stranger", "true");
        stranger.config.labels = [("evenkeel.dev/instance".to_owned(), format!("{}-other", stage.instance))].into();
        let stranger = stage.create(&stranger).await;
        stage.engine.start_container(&id).await.unwrap();
        let list = stage.engine.list_containers(&stage.instance).await.unwrap();
        stage.engine.remove_container(&stranger).await.unwrap();
        assert_eq!(list.len(), 1, "{list:?}");
        assert_eq!((list[0].id.as_str(), list[0].state), (id.as_str(), ContainerState::Running));
        assert_eq!((list[0].health, list[0].network_ids.len()), (Health::Starting, 1));
        assert_eq!(list[0].labels.get("image").map(String::as_str), Some("label"));
        stage.wait_for(&id, |detail| detail.status.health == Health::Unhealthy).await;
        let list = stage.engine.list_containers(&stage.instance).await.unwrap();
        assert_eq!(list[0].health, Health::Unhealthy);
    })
    .await;
}

#[tokio::test]
async fn registries_that_fail_are_told_apart() {
    on_engine(async |stage| {
        let body = |code: &str| format!(r#"{{"errors":[{{"code":"{code}","message":"no"}}]}}"#);
        for (answer, kind) in [
            (http("404 Not Found", &body("MANIFEST_UNKNOWN")), ErrorKind::RegistryNotFound),
            (http("403 Forbidden", &body("DENIED")), ErrorKind::RegistryDenied),
            (http("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", ""), ErrorKind::RegistryDenied),
            (http("429 Too Many Requests", &body("TOOMANYREQUESTS")), ErrorKind::RegistryThrottled),
            (http("500 Internal Server Error", ""), ErrorKind::RegistryUnavailable),
            (http("200 OK", "<html>"), ErrorKind::RegistryUnavailable),
        ] {
            let registry = listen(answer.clone()).await;
            let error = stage.engine.pull_image(&format!("{registry}/x:1")).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error} after {answer}");
        }
        for (reference, kind) in
            [("127.0.0.1:1/x:1", ErrorKind::RegistryUnavailable), ("127.0.0.1:1/UPPER:1", ErrorKind::Invalid)]
        {
            let error = stage.engine.pull_image(reference).await.unwrap_err();
            assert_eq!(error.kind, kind, "{error}");
        }
    })
    .await;
}
