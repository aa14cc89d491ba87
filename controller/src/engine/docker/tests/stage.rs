//! A stage: a real engine, an image of our own, and names that are swept away at the end.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    RemoveVolumeOptionsBuilder,
};
use futures_util::FutureExt;
use planner::observed::{ContainerConfig, ContainerDetail, Limits, MountConfig, MountKind};
use planner::ownership::LABEL_INSTANCE;
use planner::plan::{ContainerCreate, NetworkCreate};

use crate::engine::docker::DockerEngine;
use crate::engine::{Engine, ErrorKind};

/// What one test works with.
pub(super) struct Stage {
    pub(super) engine: DockerEngine,
    /// The value of the instance label, unique to the test, and the first part of every name.
    pub(super) instance: String,
    /// An image with busybox and every kind of default.
    pub(super) image: String,
}

/// Runs a test on the engine at `EVENKEEL_TEST_ENGINE`, and removes what it made, also when it fails.
///
/// Where no engine answers the test is skipped and says so; with `CI=true` it fails.
pub(super) async fn on_engine(test: impl AsyncFnOnce(&Stage)) {
    let address = std::env::var("EVENKEEL_TEST_ENGINE").unwrap_or_else(|_| "unix:///var/run/docker.sock".into());
    let engine = DockerEngine::connect(&address).unwrap();
    if let Err(error) = engine.info().await {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no engine: {error}");
        let thread = std::thread::current();
        let test_name = thread.name().unwrap_or_default();
        // To the stream itself: the harness swallows what a passing test prints, and what is skipped is counted.
        writeln!(std::io::stderr(), "\nSKIPPED: {test_name}: no engine at {address}: {error}").unwrap();
        return;
    }
    let instance = format!("ekt{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let stage = Stage { engine, image: format!("{instance}:1"), instance };
    let outcome = AssertUnwindSafe(async {
        let changes = [
            "ENV PATH=/bin IMAGE=yes",
            "LABEL image=label",
            "EXPOSE 9000",
            "VOLUME /anonymous",
            "USER 1000",
            "WORKDIR /tmp",
        ];
        stage.engine.import_image(&stage.image, busybox_tar(), &changes).await.unwrap();
        test(&stage).await;
    });
    let outcome = outcome.catch_unwind().await;
    stage.sweep().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// How many stages this process has set.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Stage {
    pub(super) async fn raw(&self) -> Docker {
        self.engine.client().await.unwrap()
    }

    pub(super) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.instance)
    }

    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        [(LABEL_INSTANCE.to_owned(), self.instance.clone())].into()
    }

    /// A container that runs a line of shell, without a network.
    pub(super) fn shell(&self, name: &str, line: &str) -> ContainerCreate {
        ContainerCreate {
            name: self.name(name),
            config: ContainerConfig {
                image: self.image.clone(),
                entrypoint: Some(vec!["/bin/sh".into(), "-c".into()]),
                cmd: Some(vec![line.to_owned()]),
                labels: self.labels(),
                network_mode: "none".into(),
                // Over the image's volume, so that nothing anonymous is left behind.
                mounts: vec![MountConfig {
                    destination: "/anonymous".into(),
                    kind: MountKind::Tmpfs(0),
                    read_only: false,
                }],
                ..Default::default()
            },
            limits: Limits::default(),
            volume_labels: BTreeMap::new(),
            primary_endpoint: None,
        }
    }

    /// Makes a network in the first range of `length` bits below 10.213 that is free: what another run has, or has left, is passed over.
    /// Returns its id and the third number of its addresses.
    pub(super) async fn create_network(&self, asked: &mut NetworkCreate, length: u8) -> (String, u8) {
        for third in 0..=u8::MAX {
            asked.subnets = vec![(format!("10.213.{third}.0/{length}"), String::new(), String::new())];
            match self.engine.create_network(asked).await {
                Ok(id) => return (id, third),
                Err(error) => assert_eq!(error.kind, ErrorKind::AddressConflict, "{error}"),
            }
        }
        panic!("no range is free");
    }

    pub(super) async fn create(&self, container: &ContainerCreate) -> String {
        self.engine.create_container(container).await.unwrap().id
    }

    pub(super) async fn inspect(&self, id: &str) -> ContainerDetail {
        self.engine.inspect_container(id).await.unwrap().unwrap()
    }

    /// Inspects until something holds, for at most ten seconds.
    pub(super) async fn wait_for(&self, id: &str, holds: impl Fn(&ContainerDetail) -> bool) -> ContainerDetail {
        for _ in 0..100 {
            let detail = self.inspect(id).await;
            if holds(&detail) {
                return detail;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never came: {:?}", self.inspect(id).await);
    }

    async fn sweep(&self) {
        let docker = self.raw().await;
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        for container in self.engine.list_containers(&self.instance).await.unwrap() {
            drop(docker.remove_container(&container.id, Some(force.clone())).await);
        }
        let filters = HashMap::from([("label", vec![format!("{LABEL_INSTANCE}={}", self.instance)])]);
        let networks = docker.list_networks(Some(ListNetworksOptionsBuilder::new().filters(&filters).build())).await;
        for network in networks.unwrap() {
            drop(docker.remove_network(&network.id.unwrap()).await);
        }
        let volumes = docker.list_volumes(Some(ListVolumesOptionsBuilder::new().filters(&filters).build())).await;
        for volume in volumes.unwrap().volumes.unwrap_or_default() {
            let force = RemoveVolumeOptionsBuilder::new().force(true).build();
            drop(docker.remove_volume(&volume.name, Some(force)).await);
        }
        for image in [self.image.clone(), format!("{}-sick:1", self.instance)] {
            drop(docker.remove_image(&image, None::<RemoveImageOptions>, None).await);
        }
    }
}

/// A root file system with busybox as the shell and a few programs.
pub(super) fn busybox_tar() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("the package busybox-static");
    let mut tar = Vec::new();
    for directory in ["bin/", "tmp/", "etc/"] {
        append(&mut tar, directory, b'5', "", &[]);
    }
    append(&mut tar, "bin/busybox", b'0', "", &busybox);
    for program in ["sh", "sleep", "echo", "nc", "cat", "true", "false"] {
        append(&mut tar, &format!("bin/{program}"), b'2', "busybox", &[]);
    }
    append(&mut tar, "etc/passwd", b'0', "", b"root:x:0:0::/:/bin/sh\n");
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// One entry in ustar form: a header of 512 bytes, then the content in blocks of 512.
fn append(tar: &mut Vec<u8>, name: &str, kind: u8, link: &str, content: &[u8]) {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}
