//! Conflicts: what is not ours is reported and never touched; whoever holds what is needed is named; there is one controller at a time.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::engine::{
    BUSYBOX, TestBed, Which, engine_or_skip, eventually, free_port, import_busybox_as, program_path, text_of,
};
use crate::support::look::{
    PATIENCE, await_not_ready, await_ready, await_running, await_settled_passes, await_warning, container_of,
    deployment, events_of, id_of, name_in, names_of, object,
};
use crate::support::stranger::Stranger;

fn bed(test_name: &str) -> Option<TestBed> {
    Some(TestBed::new(engine_or_skip(test_name)?, test_name))
}

/// What a stranger is, and since when it runs.
fn run_of(bed: &TestBed, stranger: &Stranger) -> (Value, Value) {
    let container = bed.inspect("container", &stranger.id);
    (container["State"]["StartedAt"].clone(), container["Name"].clone())
}

#[test]
fn a_stranger_with_the_containers_name_is_told_of_and_left_alone_until_it_goes() {
    let Some(mut bed) = bed("container_name") else { return };
    let name = format!("{}-exact", bed.namespace());
    let stranger = Stranger::container(&bed, &name, &[]);
    let before = run_of(&bed, &stranger);
    let web = deployment("web", "containerName: $ns-exact");
    bed.write("all.yaml", &format!("{web}{}", deployment("other", "")));
    bed.start();
    await_ready(&bed, "Deployment", "other");
    let message = await_not_ready(&bed, "Deployment", "web", "NameConflict");
    assert!(message.contains(&name) && message.contains("not ours"), "{message}");
    await_warning(&bed, "Deployment", "web", "NameConflict");
    assert_eq!(run_of(&bed, &stranger), before);
    stranger.go();
    await_ready(&bed, "Deployment", "web");
    assert_eq!(name_in(&container_of(&bed, "web")), name);
}

#[test]
fn a_stranger_with_the_networks_name_is_told_of_and_left_alone_until_it_goes() {
    let Some(mut bed) = bed("network_name") else { return };
    let name = format!("{}_back", bed.namespace());
    let stranger = Stranger::network(&bed, &name, &["--label", "whose=mine"]);
    let all = [
        object("Network", "back", "{}"),
        deployment("web", "networks: [back]"),
        object("Network", "other", "{}"),
        deployment("aside", "networks: [other]"),
    ];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Deployment", "aside");
    let message = await_not_ready(&bed, "Network", "back", "NameConflict");
    assert!(message.contains(&name), "{message}");
    await_not_ready(&bed, "Deployment", "web", "Waiting");
    assert_eq!(names_of(&bed, Which::All, "web"), Vec::<String>::new());
    assert_eq!(bed.inspect("network", &stranger.id)["Labels"]["whose"], "mine");
    stranger.go();
    await_ready(&bed, "Network", "back");
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_stranger_with_the_volumes_name_is_told_of_and_left_alone_until_it_goes() {
    let Some(mut bed) = bed("volume_name") else { return };
    let name = format!("{}_data", bed.namespace());
    let stranger = Stranger::volume(&bed, &name, &["--label", "whose=mine"]);
    let all = [
        object("Volume", "data", "{ deletionPolicy: Delete }"),
        deployment("web", "mounts: [{ volume: data, path: /data }]"),
        object("Volume", "other", "{}"),
    ];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Volume", "other");
    let message = await_not_ready(&bed, "Volume", "data", "NameConflict");
    assert!(message.contains(&name), "{message}");
    assert_eq!(names_of(&bed, Which::All, "web"), Vec::<String>::new(), "nobody else's data is mounted");
    assert_eq!(bed.inspect("volume", &name)["Labels"]["whose"], "mine");
    stranger.go();
    await_ready(&bed, "Volume", "data");
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_name_that_a_stranger_has_makes_once_end_with_1_and_the_rest_converge() {
    let Some(bed) = bed("once_with_a_stranger") else { return };
    let name = format!("{}_data", bed.namespace());
    let _stranger = Stranger::volume(&bed, &name, &[]);
    let all = [object("Volume", "data", "{}"), deployment("web", "")];
    bed.write("all.yaml", &all.concat());
    let run = bed.run_once();
    assert_eq!(run.status.code(), Some(1), "{}", text_of(&run));
    assert!(text_of(&run).contains(&name), "{}", text_of(&run));
    assert_eq!(names_of(&bed, Which::Running, "web").len(), 1);
}

#[test]
fn a_port_that_a_strangers_container_has_names_the_holder_and_is_taken_when_it_is_free() {
    let Some(mut bed) = bed("port_of_a_container") else { return };
    let port = free_port();
    let holder = format!("{}-holder", bed.instance());
    let stranger = Stranger::container(&bed, &holder, &["--publish", &format!("127.0.0.1:{port}:80")]);
    let before = run_of(&bed, &stranger);
    let web = deployment("web", &format!("ports: [{{ port: 80, publish: {port} }}]"));
    bed.write("all.yaml", &format!("{web}{}", deployment("other", "")));
    bed.start();
    await_ready(&bed, "Deployment", "other");
    let message = await_not_ready(&bed, "Deployment", "web", "PortConflict");
    assert!(message.contains(&holder) && message.contains(&port.to_string()), "{message}");
    assert_eq!(run_of(&bed, &stranger), before);
    stranger.go();
    await_ready(&bed, "Deployment", "web");
    assert_eq!(names_of(&bed, Which::All, "web").len(), 1);
}

#[test]
fn a_port_that_a_process_of_the_host_has_is_taken_when_it_is_free() {
    let Some(mut bed) = bed("port_of_a_process") else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = deployment("web", &format!("ports: [{{ port: 80, publish: {port} }}]"));
    bed.write("all.yaml", &format!("{web}{}", deployment("other", "")));
    bed.start();
    await_ready(&bed, "Deployment", "other");
    let message = await_not_ready(&bed, "Deployment", "web", "PortConflict");
    assert!(message.contains(&port.to_string()), "{message}");
    drop(listener);
    await_ready(&bed, "Deployment", "web");
    let bindings = container_of(&bed, "web")["NetworkSettings"]["Ports"]["80/tcp"].clone();
    assert_eq!(bindings[0]["HostPort"], port.to_string());
}

#[test]
fn a_second_object_that_publishes_the_same_port_is_refused_and_the_first_stays() {
    let Some(mut bed) = bed("same_port") else { return };
    let port = free_port();
    let publish = format!("ports: [{{ port: 80, publish: {port} }}]");
    bed.write("web.yaml", &deployment("web", &publish));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = container_of(&bed, "web");
    bed.write("another.yaml", &deployment("another", &publish));
    let fault = eventually("the fault is told", PATIENCE, || {
        let events = bed.get("/api/v1/events").unwrap().json();
        let events = events["items"].as_array().unwrap().clone();
        events.into_iter().find(|event| event["reason"] == "InvalidManifest")
    });
    let message = fault["message"].as_str().unwrap().to_owned();
    assert!(message.contains("E0212") && message.contains(&port.to_string()), "{message}");
    assert_eq!(names_of(&bed, Which::All, "another"), Vec::<String>::new());
    let after = container_of(&bed, "web");
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    let validate = bed.evenkeel(&["validate", &bed.manifests().display().to_string()]);
    assert_eq!(validate.status.code(), Some(2), "{}", text_of(&validate));
    bed.write("another.yaml", &deployment("another", &publish.replace(&port.to_string(), &free_port().to_string())));
    await_ready(&bed, "Deployment", "another");
}

#[test]
fn an_image_that_bears_our_labels_makes_no_container_ours() {
    let Some(mut bed) = bed("spoofed_image") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.start_with(&["--resync", "1s", "--prune-delay", "0s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    // Labels of a proved container, and of one whose object never was.
    let labels = container_of(&bed, "web")["Config"]["Labels"].as_object().unwrap().clone();
    let changes = |name: &str| -> Vec<String> {
        let value = |key: &str, value: &Value| match key {
            "evenkeel.dev/name" => name.to_owned(),
            _ => value.as_str().unwrap().to_owned(),
        };
        let label = |(key, text): (&String, &Value)| format!("LABEL {key}={}", quote(&value(key, text)));
        labels.iter().map(label).collect()
    };
    let mut strangers = Vec::new();
    for name in ["web", "gone"] {
        let image = format!("evenkeel.test/spoof-{name}-{}:1", bed.instance());
        let changes = changes(name);
        let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
        import_busybox_as(bed.engine(), &image, &changes);
        let container = format!("{}-spoof-{name}", bed.instance());
        bed.docker(&["create", "--name", &container, &image, "/bin/sleep", "3600"]);
        bed.docker(&["start", &container]);
        strangers.push((container, image));
    }
    await_settled_passes(&bed, 3);
    for (container, image) in &strangers {
        assert_eq!(bed.inspect("container", container)["State"]["Running"], true, "{container} was touched");
        bed.docker(&["rm", "--force", container]);
        bed.docker(&["rmi", "--force", image]);
    }
    assert!(events_of(&bed, "Deployment", "web", "DuplicateContainer").is_empty());
    assert_eq!(names_of(&bed, Which::Running, "web").len(), 1);
    await_ready(&bed, "Deployment", "web");
}

/// A value as an instruction of a Dockerfile takes it.
fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$"))
}

#[test]
fn a_deployment_of_an_image_that_bears_our_labels_is_still_ours() {
    let Some(mut bed) = bed("our_labels_in_our_image") else { return };
    let image = format!("evenkeel.test/labelled-{}:1", bed.instance());
    let instance = format!("LABEL evenkeel.dev/instance={}", bed.instance());
    let changes = [instance.as_str(), "LABEL evenkeel.dev/name=other", "LABEL evenkeel.dev/proof=00"];
    import_busybox_as(bed.engine(), &image, &changes);
    bed.write("web.yaml", &deployment("web", "").replace("$image", &image));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = id_of(&bed, "web");
    bed.docker(&["kill", &before]);
    await_warning(&bed, "Deployment", "web", "ContainerExited");
    assert_eq!(await_running(&bed, "web")["Id"], before.as_str());
    bed.stop();
    bed.docker(&["rm", "--force", &before]);
    bed.docker(&["rmi", "--force", &image]);
}

#[test]
fn two_instances_keep_the_same_names_in_namespaces_of_their_own_and_never_touch_each_other() {
    let (Some(mut one), Some(mut two)) = (bed("instance_one"), bed("instance_two")) else { return };
    for bed in [&mut one, &mut two] {
        bed.write("web.yaml", &deployment("web", ""));
        bed.write("old.yaml", &deployment("old", ""));
        bed.start_with(&["--resync", "1s", "--prune-delay", "0s"]);
        bed.wait_until_ready();
        await_ready(bed, "Deployment", "web");
        await_ready(bed, "Deployment", "old");
    }
    let before = container_of(&two, "old");
    one.remove("old.yaml");
    eventually("the first prunes its own", PATIENCE, || names_of(&one, Which::All, "old").is_empty().then_some(()));
    await_settled_passes(&two, 2);
    let after = container_of(&two, "old");
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
}

#[test]
fn another_instance_with_the_same_objects_is_a_stranger() {
    let (Some(mut one), Some(two)) = (bed("same_objects_one"), bed("same_objects_two")) else { return };
    let volume = object("Volume", "data", "{}").replace("$ns", &one.namespace());
    let web = deployment("web", "containerName: $ns-exact").replace("$ns", &one.namespace());
    one.write("all.yaml", &format!("{volume}{web}"));
    one.start();
    await_ready(&one, "Deployment", "web");
    let before = container_of(&one, "web");
    two.write("all.yaml", &format!("{volume}{web}"));
    let run = two.run_once();
    assert_eq!(run.status.code(), Some(1), "{}", text_of(&run));
    assert_eq!(two.containers(Which::All, &[]), Vec::<String>::new());
    let after = container_of(&one, "web");
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    let labels = one.inspect("volume", &format!("{}_data", one.namespace()))["Labels"].clone();
    assert_eq!(labels["evenkeel.dev/instance"], one.instance());
}

/// Starts another controller of a bed's instance, which is expected to end.
fn run_second(bed: &TestBed, data_dir: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(program_path());
    command.args(["--engine", bed.engine().as_str(), "--instance", bed.instance(), "--data-dir"]).arg(data_dir);
    command.args(["run", "--once", "--manifests"]).arg(bed.manifests()).args(more);
    command.env("EVENKEEL_CONFIG", "/dev/null").stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn a_second_controller_of_the_same_data_directory_says_who_holds_it_and_exits_with_2() {
    let Some(mut bed) = bed("same_data_directory") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = id_of(&bed, "web");
    let second = run_second(&bed, &bed.data(), &[]);
    assert_eq!(second.status.code(), Some(2), "{}", text_of(&second));
    let pid = bed.controller_pid().unwrap();
    assert!(text_of(&second).contains(&format!("process {pid} ")), "{}", text_of(&second));
    assert_eq!(id_of(&bed, "web"), before);
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_second_controller_of_the_same_instance_says_who_holds_it_and_exits_with_2() {
    let Some(mut bed) = bed("same_instance") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = id_of(&bed, "web");
    let other = tempfile::TempDir::with_prefix("evenkeel-other-").unwrap();
    let second = run_second(&bed, &other.path().join("data"), &[]);
    assert_eq!(second.status.code(), Some(2), "{}", text_of(&second));
    let pid = bed.controller_pid().unwrap();
    assert!(text_of(&second).contains(&format!("process {pid} ")), "{}", text_of(&second));
    assert_eq!(id_of(&bed, "web"), before);
    // The first still holds the engine: it repairs.
    bed.docker(&["kill", &before]);
    await_warning(&bed, "Deployment", "web", "ContainerExited");
    await_running(&bed, "web");
}

#[test]
fn the_next_controller_takes_over_from_one_that_was_killed() {
    let Some(mut bed) = bed("taken_over") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = id_of(&bed, "web");
    bed.kill();
    bed.docker(&["kill", &before]);
    bed.start();
    await_ready(&bed, "Deployment", "web");
    assert_eq!(await_running(&bed, "web")["Id"], before.as_str());
}

#[test]
fn a_controller_of_another_data_directory_follows_one_that_was_killed_and_touches_nothing_of_it() {
    let Some(mut bed) = bed("followed") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = container_of(&bed, "web");
    bed.kill();
    let other = tempfile::TempDir::with_prefix("evenkeel-other-").unwrap();
    // It has not the key that proves what the first has made, so that is a stranger's to it.
    let second = run_second(&bed, &other.path().join("data"), &[]);
    assert_eq!(second.status.code(), Some(1), "{}", text_of(&second));
    let after = container_of(&bed, "web");
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    // It ended in order and holds nothing, so the first may come back.
    bed.start();
    await_ready(&bed, "Deployment", "web");
    assert_eq!(container_of(&bed, "web")["Id"], before["Id"]);
}

#[test]
fn sigterm_ends_the_controller_in_time_and_leaves_the_containers_alone() {
    let Some(mut bed) = bed("sigterm") else { return };
    // It does not end when it is asked to, so that the controller is in the middle of a stop when it is told to end itself.
    let stubborn = |more: &str| {
        let spec = "image: \"$image\", command: [/bin/sh, -c, \"trap '' TERM; while :; do sleep 1; done\"], \
                    stop: { grace: 5m }";
        object("Deployment", "stubborn", &format!("{{ {spec}{more} }}"))
    };
    bed.write("web.yaml", &deployment("web", ""));
    bed.write("stubborn.yaml", &stubborn(""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    await_ready(&bed, "Deployment", "stubborn");
    let before = container_of(&bed, "web");
    bed.write("stubborn.yaml", &stubborn(", state: Stopped"));
    eventually("the stop has begun", PATIENCE, || {
        let ready = crate::support::look::condition(&bed, "Deployment", "stubborn", "Ready");
        (ready["status"] == "False").then_some(())
    });
    let begun = Instant::now();
    assert!(bed.stop().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "promised within 10 s, took {:?}", begun.elapsed());
    let after = container_of(&bed, "web");
    assert_eq!((&after["Id"], &after["State"]["StartedAt"]), (&before["Id"], &before["State"]["StartedAt"]));
    assert_eq!(names_of(&bed, Which::Running, "stubborn").len(), 1);
    assert_eq!(after["Config"]["Image"], BUSYBOX);
}
