//! Replacing and changing what runs: nothing that serves is stopped before what replaces it is known to be possible.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::engine::{TestBed, Which, always, eventually, free_port, import_busybox_as};
use crate::support::scene::{NOTHING, PATIENCE, WATCHED, object, scene, sleeper};

/// An image whose check always fails.
const UNHEALTHY: &str = "evenkeel.test/unhealthy:1";
/// An image whose check always succeeds.
const HEALTHY: &str = "evenkeel.test/healthy:1";

/// Looks at which containers of an object run until `is_over`, and calls `check` with each set of ids that is seen.
fn watch_running(
    bed: &TestBed,
    object: &str,
    mut check: impl FnMut(&BTreeSet<String>),
    is_over: impl Fn(&BTreeSet<String>) -> bool,
) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let running: BTreeSet<String> = bed.ids(Which::Running, object).into_iter().collect();
        check(&running);
        if is_over(&running) {
            return;
        }
        assert!(Instant::now() < deadline, "not over within {PATIENCE:?}: {running:?}");
    }
}

fn milliseconds(bed: &TestBed, id: &str, field: &str) -> i64 {
    let text = bed.inspect("container", id)["State"][field].as_str().unwrap_or_default().to_owned();
    let time: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{field} of {id}: {text}: {error}"));
    time.as_millisecond()
}

#[test]
fn a_replace_never_leaves_fewer_than_wanted_and_stops_the_old_after_the_new_has_served() {
    let Some(mut bed) = scene("a_replace_never_leaves_fewer") else { return };
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.start();
    let old: BTreeSet<String> = bed.await_running("web", 2).into_iter().collect();
    bed.write("web.yaml", &sleeper("web", "replicas: 2\nenv: { A: \"1\" }"));
    let mut new_seen: Option<Instant> = None;
    let check = |running: &BTreeSet<String>| {
        assert!(running.len() >= 2, "fewer than wanted: {running:?}");
        assert!(running.len() <= 3, "more than one more than wanted: {running:?}");
        if running.difference(&old).next().is_some() {
            new_seen.get_or_insert_with(Instant::now);
        }
        if running.intersection(&old).count() < 2 {
            let since = new_seen.map(|seen| seen.elapsed()).unwrap_or_default();
            assert!(since >= Duration::from_secs(4), "the old was stopped {since:?} after the new was seen");
        }
    };
    watch_running(&bed, "web", check, |running| running.len() == 2 && running.is_disjoint(&old));
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 2, "nothing is left over");
    bed.await_event("Created", "spec changed: env.A");
}

#[test]
fn a_published_port_is_free_before_the_new_container_starts() {
    let Some(mut bed) = scene("a_published_port_is_free") else { return };
    let ports = format!("ports: [{{ port: 80, publish: {} }}]", free_port());
    bed.write("web.yaml", &sleeper("web", &ports));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    bed.write("web.yaml", &sleeper("web", &format!("{ports}\nenv: {{ A: \"1\" }}")));
    let at_most_one = |running: &BTreeSet<String>| assert!(running.len() <= 1, "two hold one port: {running:?}");
    watch_running(&bed, "web", at_most_one, |running| running.len() == 1 && !running.contains(&old));
    bed.await_ready("Deployment", "web");
    bed.await_event("Stopped", "must stop first");
}

#[test]
fn an_exact_name_is_handed_over() {
    let Some(mut bed) = scene("an_exact_name_is_handed_over") else { return };
    let exact = format!("{}-exactly", bed.namespace());
    let name = format!("containerName: {exact}");
    bed.write("web.yaml", &sleeper("web", &name));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    assert_eq!(bed.containers(Which::Running, &[]), std::slice::from_ref(&exact));
    bed.write("web.yaml", &sleeper("web", &format!("{name}\nenv: {{ A: \"1\" }}")));
    bed.await_replaced("web", &old);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.containers(Which::All, &[]), [exact]);
}

#[test]
fn a_volume_with_one_writer_has_never_two_and_keeps_its_data() {
    let Some(mut bed) = scene("a_volume_with_one_writer") else { return };
    let writer = |line: &str| {
        let spec = format!(
            "  image: $image\n  command: [/bin/sh, -c, 'echo {line} >>/data/log; exec sleep 3600']\n  \
             mounts: [{{ volume: data, path: /data }}]\n  stop: {{ signal: SIGKILL }}\n"
        );
        object("Volume", "data", "spec: {}\n") + &object("Deployment", "web", &format!("spec:\n{spec}"))
    };
    bed.write("web.yaml", &writer("first"));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    bed.write("web.yaml", &writer("second"));
    let at_most_one = |running: &BTreeSet<String>| assert!(running.len() <= 1, "two writers: {running:?}");
    watch_running(&bed, "web", at_most_one, |running| running.len() == 1 && !running.contains(&old));
    let new = bed.await_replaced("web", &old);
    let written = || Some(bed.docker(&["exec", &new, "/bin/cat", "/data/log"])).filter(|log| log == "first\nsecond");
    eventually("both have written to the volume", PATIENCE, written);
}

#[test]
fn an_unhealthy_image_keeps_the_old_container_until_a_good_one_comes() {
    let Some(mut bed) = scene("an_unhealthy_image_keeps_the_old") else { return };
    let check = |command: &str| format!("HEALTHCHECK --interval=1s --timeout=5s --retries=1 CMD [\"/bin/{command}\"]");
    import_busybox_as(bed.engine(), UNHEALTHY, &[&check("false")]);
    import_busybox_as(bed.engine(), HEALTHY, &[&check("true")]);
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    bed.write("web.yaml", &sleeper("web", "").replace("$image", UNHEALTHY));
    let message = bed.await_condition(("Deployment", "web"), "Ready", |ready| ready.message.contains("unhealthy"));
    assert!(!message.is_true);
    always("the old one runs on", WATCHED, || bed.ids(Which::Running, "web").contains(&old));
    bed.write("web.yaml", &sleeper("web", "").replace("$image", HEALTHY));
    let keeps_one = |running: &BTreeSet<String>| assert!(!running.is_empty(), "nothing serves");
    watch_running(&bed, "web", keeps_one, |running| running.len() == 1 && !running.contains(&old));
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 1, "the unhealthy one is gone too");
}

#[test]
fn limits_change_while_the_container_runs() {
    let Some(mut bed) = scene("limits_change_while_it_runs") else { return };
    bed.write("web.yaml", &sleeper("web", "resources: { memory: 32MiB, cpu: 500m, pids: 50 }"));
    bed.start();
    let ids = bed.await_running("web", 1);
    for (memory, cpu, pids) in [(64, 750, 60), (16, 250, 20)] {
        let resources = format!("resources: {{ memory: {memory}MiB, cpu: {cpu}m, pids: {pids} }}");
        bed.write("web.yaml", &sleeper("web", &resources));
        eventually("the limits are as wanted", PATIENCE, || {
            let host = bed.inspect("container", &ids[0])["HostConfig"].clone();
            let are_as_wanted =
                host["Memory"] == memory << 20 && host["NanoCpus"] == cpu * 1_000_000 && host["PidsLimit"] == pids;
            are_as_wanted.then_some(())
        });
        bed.await_ready("Deployment", "web");
        assert_eq!(bed.ids(Which::All, "web"), ids, "it is the same container");
    }
    assert_eq!(bed.inspect("container", &ids[0])["RestartCount"], 0);
    bed.await_event("Updated", "resources.memory");
    assert_eq!(bed.messages("ContainerUpdated"), NOTHING, "a wanted change is no drift");
}

#[test]
fn a_removed_limit_replaces_the_container() {
    let Some(mut bed) = scene("a_removed_limit_replaces") else { return };
    bed.write("web.yaml", &sleeper("web", "resources: { memory: 32MiB }"));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    bed.write("web.yaml", &sleeper("web", ""));
    let new = bed.await_replaced("web", &old);
    assert_eq!(bed.inspect("container", &new)["HostConfig"]["Memory"], 0);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.messages("ContainerUpdated"), NOTHING, "a wanted change is no drift");
}

#[test]
fn scaling_keeps_those_that_are_kept() {
    let Some(mut bed) = scene("scaling_keeps_those_that_are_kept") else { return };
    bed.write("web.yaml", &sleeper("web", "replicas: 1"));
    bed.start();
    let first = bed.await_running("web", 1);
    bed.write("web.yaml", &sleeper("web", "replicas: 4"));
    let four = bed.await_running("web", 4);
    assert!(four.contains(&first[0]));
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    let two = bed.await_running("web", 2);
    assert!(two.contains(&first[0]) && two.iter().all(|id| four.contains(id)));
    bed.write("web.yaml", &sleeper("web", "replicas: 0"));
    bed.await_running("web", 0);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web"), NOTHING);
}

#[test]
fn a_stopped_deployment_keeps_its_container_and_comes_back() {
    let Some(mut bed) = scene("a_stopped_deployment_keeps") else { return };
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start();
    let ids = bed.await_running("web", 1);
    bed.write("web.yaml", &sleeper("web", "state: Stopped"));
    bed.await_running("web", 0);
    bed.await_condition(("Deployment", "web"), "Ready", |ready| ready.is_true && ready.reason == "Stopped");
    always("it stays stopped and is kept", WATCHED, || {
        bed.ids(Which::Running, "web").is_empty() && bed.ids(Which::All, "web") == ids
    });
    bed.write("web.yaml", &sleeper("web", ""));
    assert_eq!(bed.await_running("web", 1), ids);
    bed.await_ready("Deployment", "web");
    let restart = bed.inspect("container", &ids[0])["HostConfig"]["RestartPolicy"]["Name"].clone();
    assert_eq!(restart, "unless-stopped", "the engine looks after it again");
}

#[test]
fn a_changed_address_range_recreates_the_network_and_its_members() {
    let Some(mut bed) = scene("a_changed_address_range") else { return };
    let port = free_port();
    let network = |half: &str| {
        let subnet = format!("10.{}.{}.{half}/25", port >> 8, port & 255);
        object("Network", "back", &format!("spec: {{ ipam: {{ subnets: [{{ subnet: {subnet} }}] }} }}\n"))
    };
    bed.write("network.yaml", &network("0"));
    bed.write("web.yaml", &sleeper("web", "replicas: 2\nnetworks: [back]"));
    bed.write("other.yaml", &sleeper("other", ""));
    bed.start();
    bed.await_running("web", 2);
    let other = bed.await_running("other", 1);
    let name = format!("{}_back", bed.namespace());
    let before = bed.inspect("network", &name)["Id"].clone();
    bed.write("network.yaml", &network("128"));
    let subnet = format!("10.{}.{}.128/25", port >> 8, port & 255);
    eventually("the network has the new range and its members", PATIENCE, || {
        let network = bed.inspect("network", &name);
        let has_range = network["IPAM"]["Config"][0]["Subnet"] == subnet.as_str();
        let members = network["Containers"].as_object().map_or(0, serde_json::Map::len);
        (has_range && members == 2 && network["Id"] != before).then_some(())
    });
    bed.await_ready("Network", "back");
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web").len(), 2);
    assert_eq!(bed.ids(Which::All, "other"), other, "who is not in it is left alone");
}

#[test]
fn a_changed_volume_is_refused_and_its_data_stays() {
    let Some(mut bed) = scene("a_changed_volume_is_refused") else { return };
    bed.write("data.yaml", &object("Volume", "data", "spec: {}\n"));
    bed.start();
    bed.await_ready("Volume", "data");
    let name = format!("{}_data", bed.namespace());
    let before = bed.inspect("volume", &name);
    let changed = "spec: { driverOptions: { type: tmpfs, device: tmpfs, o: size=1m } }\n";
    bed.write("data.yaml", &object("Volume", "data", changed));
    let message = bed.await_reason("Volume", "data", "Diverged");
    assert!(message.contains("create a new volume"), "{message}");
    let degraded = bed.condition("Volume", "data", "Degraded");
    assert!(degraded.is_true && degraded.reason == "Diverged", "{degraded:?}");
    always("the volume stays", WATCHED, || bed.inspect("volume", &name) == before);
    bed.write("data.yaml", &object("Volume", "data", "spec: {}\n"));
    bed.await_ready("Volume", "data");
}

#[test]
fn a_replace_that_a_crash_interrupts_is_finished_by_the_next_controller() {
    let Some(mut bed) = scene("a_replace_that_a_crash_interrupts") else { return };
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start();
    let old = bed.await_running("web", 1).remove(0);
    bed.write("web.yaml", &sleeper("web", "env: { A: \"1\" }"));
    bed.await_running("web", 2);
    bed.kill();
    assert!(bed.ids(Which::Running, "web").contains(&old), "the old one outlives the crash");
    bed.start();
    let new = bed.await_replaced("web", &old);
    assert!(milliseconds(&bed, &new, "StartedAt") > 0);
    bed.await_ready("Deployment", "web");
    assert_eq!(bed.ids(Which::All, "web"), [new]);
}
