//! No false drift: what is as it was asked for is left alone, whatever the image and the Engine add to it.

use std::process::Output;

use serde_json::Value;

use crate::support::engine::{EngineAddress, TestBed, Which, engine_or_skip, free_port, import_busybox_as, text_of};
use crate::support::engine_events::EngineEvents;
use crate::support::look::{
    PATIENCE, await_ready, await_settled_passes, changing_calls, container_of, deployment, name_in, object,
};
use crate::support::{engine, look};

/// An image with a default of every kind.
const IMAGE_OF_DEFAULTS: &str = "evenkeel.test/defaults:2";
/// The same but for the stop signal, which an import cannot set.
const IMPORTED_DEFAULTS: &str = "evenkeel.test/imported-defaults:2";
const DEFAULTS: [&str; 9] = [
    "ENV FROM_IMAGE=yes",
    "LABEL from.image=yes",
    "VOLUME /image-data",
    "EXPOSE 8080/tcp",
    "USER 1000:1000",
    "HEALTHCHECK --interval=1s --timeout=5s CMD [\"/bin/true\"]",
    "ENTRYPOINT [\"/bin/sh\", \"-c\"]",
    "CMD [\"trap 'exit 0' INT; while :; do sleep 1; done\"]",
    "WORKDIR /tmp",
];

/// Makes [`IMAGE_OF_DEFAULTS`]: what is committed takes its stop signal from the container.
fn make_image_of_defaults(engine: &EngineAddress) {
    import_busybox_as(engine, IMPORTED_DEFAULTS, &DEFAULTS);
    if engine.docker(&["image", "inspect", IMAGE_OF_DEFAULTS]).status.success() {
        return;
    }
    let create = engine.docker(&["create", "--stop-signal", "SIGINT", IMPORTED_DEFAULTS]);
    let id = String::from_utf8_lossy(&create.stdout).trim().to_owned();
    let commit = engine.docker(&["commit", &id, IMAGE_OF_DEFAULTS]);
    engine.docker(&["rm", "--volumes", &id]);
    assert!(commit.status.success(), "{}{}", text_of(&create), text_of(&commit));
}

/// What a container is, and since when it runs.
fn runs(bed: &TestBed) -> Vec<(String, String)> {
    let names = bed.containers(Which::All, &[]);
    let text = |container: &Value, field: &str| container.pointer(field).and_then(Value::as_str).unwrap().to_owned();
    let one = |name: &String| {
        let container = bed.inspect("container", name);
        (text(&container, "/Id"), text(&container, "/State/StartedAt"))
    };
    names.iter().map(one).collect()
}

fn assert_converged(run: &Output) {
    assert_eq!(run.status.code(), Some(0), "{}", text_of(run));
}

/// Runs the same again, once and then for several resyncs of a controller that stays, and sees that nothing is done.
#[track_caller]
fn assert_left_alone(bed: &mut TestBed) {
    let before = runs(bed);
    assert!(!before.is_empty());
    let events = EngineEvents::record(bed);
    assert_converged(&bed.run_once());
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    await_settled_passes(bed, 2);
    assert_eq!(changing_calls(bed), 0, "the controller changed something");
    assert_eq!(events.changes(bed), Vec::<String>::new());
    assert_eq!(runs(bed), before);
    bed.stop();
}

#[test]
fn a_container_of_an_image_with_every_default_is_left_alone() {
    let test_name = "image_with_every_default";
    let Some(engine) = engine_or_skip(test_name) else { return };
    make_image_of_defaults(&engine);
    let mut bed = TestBed::new(engine, test_name);
    let spec = format!("{{ image: \"{IMAGE_OF_DEFAULTS}\", stop: {{ grace: 1s }} }}");
    bed.write("plain.yaml", &object("Deployment", "plain", &spec));
    // Over each default one of its own.
    let spec = format!(
        "{{ image: \"{IMAGE_OF_DEFAULTS}\", command: [/bin/sleep], args: [\"3600\"], env: {{ FROM_IMAGE: no, OWN: \"1\" }}, \
         labels: {{ from.image: no }}, ports: [{{ port: 8080 }}], user: \"0\", workingDir: /www, init: true, \
         mounts: [{{ tmpfs: 1MiB, path: /image-data }}], stop: {{ signal: SIGQUIT, grace: 1s }} }}"
    );
    let spec = spec.replace("FROM_IMAGE: no", "FROM_IMAGE: \"no\"").replace("from.image: no", "from.image: \"no\"");
    bed.write("over.yaml", &object("Deployment", "over", &spec));
    assert_converged(&bed.run_once());
    let plain = container_of(&bed, "plain");
    assert_eq!(plain["State"]["Health"]["Status"], "healthy");
    let image = bed.inspect("image", IMAGE_OF_DEFAULTS);
    assert_eq!(image["Config"]["StopSignal"], "SIGINT", "the image has every default");
    assert_left_alone(&mut bed);
}

#[test]
fn a_deployment_with_every_field_set_is_left_alone() {
    let test_name = "every_field_set";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let host = bed.manifests().join("host-data");
    std::fs::create_dir(&host).unwrap();
    let (tcp, udp) = (free_port(), free_port());
    let subnet = Subnet::of(&bed);
    bed.write("network.yaml", &object("Network", "back", &subnet.network_spec()));
    bed.write("side.yaml", &object("Network", "side", "{ internal: true }"));
    let tmpfs = "{ driver: local, driverOptions: { type: tmpfs, device: tmpfs, o: size=1m }, labels: { kind: tmpfs } }";
    bed.write("data.yaml", &object("Volume", "data", tmpfs));
    let spec = format!(
        r#"
  replicas: 1
  image: "$image"
  pullPolicy: IfNotPresent
  command: [/bin/sh, -c]
  args: ["exec /bin/sleep 3600"]
  workingDir: /tmp
  user: "1000:1000"
  hostname: every.field
  env: {{ PLAIN: value, EMPTY: "", EQUALS: "a=b=c", SPACES: " a b ", QUOTES: "\"'", UNICODE: "žluť" }}
  ports:
    - {{ name: web, port: 8080, publish: "127.0.0.1:{tcp}" }}
    - {{ name: dns, port: 53, publish: {udp}, protocol: udp }}
    - {{ name: inner, port: 9000 }}
  networks: {{ back: {{ aliases: [every, every.internal], ipv4: {address} }}, side: {{ aliases: [every] }} }}
  mounts:
    - {{ volume: data, path: /data }}
    - {{ host: {host}, path: /host/, readOnly: true }}
    - {{ tmpfs: 1MiB, path: /scratch }}
  resources: {{ cpu: 250m, memory: 64MiB, memorySwap: 96MiB, pids: 64, shm: 8MiB }}
  security: {{ profile: baseline, capAdd: [NET_BIND_SERVICE, CAP_CHOWN], capDrop: [mknod], readOnlyRoot: true }}
  restart: OnFailure
  stop: {{ signal: SIGINT, grace: 1s }}
  init: true
  logging: {{ driver: json-file, options: {{ max-size: 1m, max-file: "2" }} }}
  ulimits: {{ nofile: {{ soft: 512, hard: 1024 }}, core: {{ soft: 0 }} }}
  sysctls: {{ net.core.somaxconn: "1024" }}
  dns: {{ servers: [10.0.0.53, 10.0.0.54], searches: [example.internal], options: ["ndots:2"] }}
  extraHosts: {{ db.local: 10.0.0.7, engine.local: host-gateway }}
  labels: {{ mcp.server: every, empty: "" }}
  containerName: $ns_every
"#,
        address = subnet.address(20),
        host = host.display(),
    );
    bed.write("every.yaml", &object("Deployment", "every", &spec));
    assert_converged(&bed.run_once());
    assert_left_alone(&mut bed);
}

#[test]
fn each_security_profile_is_left_alone() {
    let test_name = "each_security_profile";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all = [
        deployment("restricted", "user: \"1000:1000\", security: { profile: restricted }"),
        deployment("baseline", "security: { profile: baseline }, networks: []"),
        deployment("host", "security: { profile: privileged, hostPid: true, hostIpc: true, hostNetwork: true }"),
        // Not every engine that runs in a sandbox itself can start one, but each can make it.
        deployment("privileged", "state: Stopped, security: { profile: privileged, privileged: true, capAdd: [ALL] }"),
        deployment(
            "unconfined",
            "security: { profile: privileged, seccomp: Unconfined, noNewPrivileges: false, capAdd: [SYS_PTRACE] }, \
             devices: [{ host: /dev/null, path: /dev/nothing, permissions: rw }, { host: /dev/zero }]",
        ),
    ];
    bed.write("all.yaml", &all.concat());
    assert_converged(&bed.run_once());
    assert_left_alone(&mut bed);
}

#[test]
fn networks_and_volumes_of_every_shape_are_left_alone() {
    let test_name = "networks_and_volumes";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let subnet = Subnet::of(&bed);
    let all = [
        object("Network", "ranged", &subnet.network_spec()),
        object("Network", "inner", "{ driver: bridge, internal: true, attachable: true }"),
        object("Network", "named", "{ engineName: \"$ns_exact\" }"),
        object("Volume", "plain", "{}"),
        object("Volume", "labelled", "{ labels: { backup: nightly, empty: \"\" }, deletionPolicy: Delete }"),
        object("Volume", "memory", "{ driverOptions: { type: tmpfs, device: tmpfs, o: size=1m } }"),
        object("Volume", "named", "{ engineName: \"$ns_exact-volume\" }"),
        deployment(
            "user",
            "networks: [ranged, inner, named], mounts: [{ volume: plain, path: /a }, { volume: labelled, path: /b, \
             readOnly: true }, { volume: memory, path: /c }, { volume: named, path: /d }]",
        ),
    ];
    bed.write("all.yaml", &all.concat());
    assert_converged(&bed.run_once());
    assert_left_alone(&mut bed);
}

#[test]
fn objects_that_are_not_to_run_are_left_alone() {
    let test_name = "not_to_run";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all = [
        deployment("stopped", "state: Stopped"),
        deployment("none", "replicas: 0"),
        object("Deployment", "ended", "{ image: \"$image\", command: [/bin/true], restart: OnFailure }"),
        object("Deployment", "never", "{ image: \"$image\", command: [/bin/true], restart: Never }"),
    ];
    bed.write("all.yaml", &all.concat());
    assert_converged(&bed.run_once());
    assert_left_alone(&mut bed);
}

#[test]
fn a_controller_that_was_killed_finds_everything_as_it_left_it() {
    let test_name = "killed_and_started";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all = [object("Network", "back", "{}"), deployment("web", "replicas: 2, networks: [back]")];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Deployment", "web");
    bed.kill();
    assert_left_alone(&mut bed);
}

#[test]
fn a_controller_that_lost_its_store_finds_everything_as_it_left_it() {
    let test_name = "store_lost";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all = [
        object("Network", "back", "{}"),
        object("Volume", "data", "{}"),
        deployment("web", "networks: [back], mounts: [{ volume: data, path: /data }]"),
    ];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Deployment", "web");
    bed.stop();
    std::fs::remove_dir_all(bed.data().join("store")).unwrap();
    assert_left_alone(&mut bed);
}

/// A bed whose controller resyncs every second and keeps one Deployment `web`.
fn bed_with_web(test_name: &str, more: &str) -> Option<TestBed> {
    let mut bed = TestBed::new(engine_or_skip(test_name)?, test_name);
    bed.write("web.yaml", &deployment("web", more));
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    Some(bed)
}

#[test]
fn an_update_to_the_same_values_is_no_drift() {
    let Some(bed) = bed_with_web("same_values", "resources: { cpu: 500m, memory: 64MiB, pids: 100 }") else { return };
    let (runs_before, calls) = (runs(&bed), changing_calls(&bed));
    let update = ["update", "--memory", "64m", "--memory-swap", "128m", "--cpus", "0.5", "--pids-limit", "100"];
    let name = name_in(&container_of(&bed, "web"));
    bed.docker(&[&update[..], &["--restart", "unless-stopped", &name]].concat());
    await_settled_passes(&bed, 2);
    assert_eq!((runs(&bed), changing_calls(&bed)), (runs_before, calls));
    assert!(look::events_of(&bed, "Deployment", "web", "ContainerUpdated").is_empty());
}

#[test]
fn a_tag_that_moves_replaces_nothing() {
    let test_name = "a_tag_that_moves";
    let Some(engine) = engine_or_skip(test_name) else { return };
    import_busybox_as(&engine, "evenkeel.test/other:1", &["ENV OTHER=1", "CMD [\"/bin/sh\"]"]);
    let mut bed = TestBed::new(engine, test_name);
    let tag = format!("evenkeel.test/{}:1", bed.instance());
    bed.docker(&["tag", engine::BUSYBOX, &tag]);
    let spec = format!("{{ image: \"{tag}\", command: [/bin/sleep, \"3600\"], init: true }}");
    bed.write("web.yaml", &object("Deployment", "web", &spec));
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    let (runs_before, calls) = (runs(&bed), changing_calls(&bed));
    bed.docker(&["tag", "evenkeel.test/other:1", &tag]);
    await_settled_passes(&bed, 2);
    assert_eq!((runs(&bed), changing_calls(&bed)), (runs_before.clone(), calls));
    // Nor does a tag that goes: the container has its image.
    bed.docker(&["rmi", &tag]);
    await_settled_passes(&bed, 2);
    assert_eq!((runs(&bed), changing_calls(&bed)), (runs_before, calls));
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_manifest_that_is_only_written_differently_changes_nothing() {
    let Some(bed) = bed_with_web("written_differently", "env: { A: \"1\", B: two }, replicas: 1") else { return };
    let (runs_before, calls) = (runs(&bed), changing_calls(&bed));
    let reordered = r#"
# The same, by another hand.
kind: Deployment
apiVersion: evenkeel.dev/v1
metadata:
  namespace: $ns
  name: web
spec:
  env:
    B: "two"
    A: '1'
  stop:
    grace: 1000ms
  init: true
  restart: Always
  command:
    - /bin/sleep
    - "3600"
  image: $image
"#;
    bed.write("moved/to/another.yaml", reordered);
    bed.remove("web.yaml");
    await_settled_passes(&bed, 3);
    assert_eq!((runs(&bed), changing_calls(&bed)), (runs_before, calls));
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn changes_of_health_make_no_call() {
    let test_name = "changes_of_health";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let health = "HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD [\"/bin/test\", \"!\", \"-e\", \"/tmp/ill\"]";
    import_busybox_as(&engine, "evenkeel.test/ill:1", &[health, "CMD [\"/bin/sleep\", \"3600\"]"]);
    let mut bed = TestBed::new(engine, test_name);
    let spec = "{ image: \"evenkeel.test/ill:1\", init: true, stop: { grace: 1s } }";
    bed.write("web.yaml", &object("Deployment", "web", spec));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let (runs_before, calls) = (runs(&bed), changing_calls(&bed));
    let name = name_in(&container_of(&bed, "web"));
    bed.docker(&["exec", &name, "/bin/touch", "/tmp/ill"]);
    engine::eventually("it is told to be unhealthy", PATIENCE, || {
        (look::condition(&bed, "Deployment", "web", "Ready")["status"] == "False").then_some(())
    });
    bed.docker(&["exec", &name, "/bin/rm", "/tmp/ill"]);
    await_ready(&bed, "Deployment", "web");
    assert_eq!((runs(&bed), changing_calls(&bed)), (runs_before, calls));
}

/// A subnet that no other test uses, as far as its bed's name can tell.
struct Subnet {
    prefix: String,
}

impl Subnet {
    fn of(bed: &TestBed) -> Self {
        // One port is one test's at a time, so its number makes a subnet that is too.
        let number =
            bed.instance().bytes().fold(u32::from(free_port()), |sum, byte| sum * 31 % 65_521 + u32::from(byte));
        Self { prefix: format!("10.{}.{}", 100 + number / 256 % 100, number % 256) }
    }

    fn address(&self, host: u8) -> String {
        format!("{}.{host}", self.prefix)
    }

    fn network_spec(&self) -> String {
        let prefix = &self.prefix;
        format!(
            "{{ driver: bridge, ipam: {{ subnets: [{{ subnet: {prefix}.0/24, gateway: {prefix}.1, range: {prefix}.128/25 }}] }}, \
             options: {{ com.docker.network.driver.mtu: \"1400\", com.docker.network.bridge.enable_icc: \"true\" }}, \
             labels: {{ zone: back, empty: \"\" }} }}"
        )
    }
}
