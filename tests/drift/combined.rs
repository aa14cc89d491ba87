//! Several things at once, and what is easily forgotten.

use serde_json::Value;

use crate::support::engine::{TestBed, Which, engine_or_skip, eventually};
use crate::support::look::{
    PATIENCE, await_container, await_not_ready, await_ready, await_running, await_settled_passes, await_warning,
    container_of, deployment, id_of, name_in, names_of, object,
};
use crate::support::stranger::Stranger;

/// A bed whose controller has brought some manifests up.
fn bed_with(test_name: &str, manifests: &[String], arguments: &[&str]) -> Option<TestBed> {
    let mut bed = TestBed::new(engine_or_skip(test_name)?, test_name);
    bed.write("all.yaml", &manifests.concat());
    bed.start_with(arguments);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    Some(bed)
}

fn is_in_bridge(container: &Value) -> bool {
    container["NetworkSettings"]["Networks"].as_object().is_some_and(|networks| networks.contains_key("bridge"))
}

#[test]
fn a_container_of_the_default_bridge_is_reconnected_to_it() {
    let Some(bed) = bed_with("default_bridge", &[deployment("web", "")], &[]) else { return };
    let before = container_of(&bed, "web");
    bed.docker(&["network", "disconnect", "bridge", &name_in(&before)]);
    let warning = await_warning(&bed, "Deployment", "web", "NetworkDisconnected");
    assert!(warning.contains("bridge"), "{warning}");
    let after = await_container(&bed, "web", "it is in the bridge again", is_in_bridge);
    assert_eq!(after["State"]["StartedAt"], before["State"]["StartedAt"]);
}

#[test]
fn a_fixed_address_is_put_back() {
    let number = crate::support::engine::free_port();
    let prefix = format!("10.{}.{}", 200 + number / 256 % 50, number % 256);
    let network = object("Network", "back", &format!("{{ ipam: {{ subnets: [{{ subnet: {prefix}.0/24 }}] }} }}"));
    let web = deployment("web", &format!("networks: {{ back: {{ ipv4: {prefix}.20 }} }}"));
    let Some(mut bed) = bed_with("a_fixed_address", &[network, web], &[]) else { return };
    let network = format!("{}_back", bed.namespace());
    let address = |container: &Value| container["NetworkSettings"]["Networks"][&network]["IPAddress"].clone();
    let before = container_of(&bed, "web");
    assert_eq!(address(&before), format!("{prefix}.20"));
    bed.stop();
    bed.docker(&["network", "disconnect", &network, &name_in(&before)]);
    bed.docker(&["network", "connect", "--alias", "web", "--ip", &format!("{prefix}.30"), &network, &name_in(&before)]);
    bed.start();
    await_warning(&bed, "Deployment", "web", "EndpointChanged");
    await_container(&bed, "web", "it has its address", |container| address(container) == format!("{prefix}.20"));
}

#[test]
fn a_container_that_was_disarmed_and_killed_comes_back_armed() {
    let Some(mut bed) = bed_with("disarmed_and_killed", &[deployment("web", "")], &[]) else { return };
    let before = id_of(&bed, "web");
    bed.stop();
    bed.docker(&["update", "--restart", "no", &before]);
    bed.docker(&["kill", &before]);
    bed.start();
    await_container(&bed, "web", "it runs and is armed", |container| {
        let policy = &container["HostConfig"]["RestartPolicy"]["Name"];
        container["State"]["Status"] == "running" && *policy == "unless-stopped" && container["Id"] == before.as_str()
    });
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_container_that_is_to_be_restarted_on_failure_only_comes_back_when_it_is_killed() {
    let web = deployment("web", "restart: OnFailure");
    let Some(bed) = bed_with("on_failure", &[web], &[]) else { return };
    let before = id_of(&bed, "web");
    bed.docker(&["kill", &before]);
    await_warning(&bed, "Deployment", "web", "ContainerExited");
    assert_eq!(await_running(&bed, "web")["Id"], before.as_str());
}

#[test]
fn a_container_that_is_never_to_be_restarted_stays_ended_when_it_is_killed() {
    let manifests = [deployment("web", ""), deployment("never", "restart: Never")];
    let Some(bed) = bed_with("never", &manifests, &["--resync", "1s"]) else { return };
    await_ready(&bed, "Deployment", "never");
    let before = id_of(&bed, "never");
    bed.docker(&["kill", &before]);
    eventually("its end is told", PATIENCE, || {
        let ready = crate::support::look::condition(&bed, "Deployment", "never", "Ready");
        (ready["status"] == "False").then_some(())
    });
    let web = id_of(&bed, "web");
    bed.docker(&["kill", &web]);
    await_warning(&bed, "Deployment", "web", "ContainerExited");
    await_running(&bed, "web");
    let after = container_of(&bed, "never");
    assert_eq!((&after["State"]["Status"], &after["Id"]), (&Value::from("exited"), &Value::from(before)));
}

#[test]
fn two_objects_whose_containers_swapped_their_exact_names_get_them_back() {
    let manifests = [deployment("web", "containerName: $ns-one"), deployment("other", "containerName: $ns-two")];
    let Some(mut bed) = bed_with("swapped_exact_names", &manifests, &[]) else { return };
    await_ready(&bed, "Deployment", "other");
    let (one, two) = (id_of(&bed, "web"), id_of(&bed, "other"));
    let (name_one, name_two) = (format!("{}-one", bed.namespace()), format!("{}-two", bed.namespace()));
    bed.stop();
    let aside = format!("{}-aside", bed.instance());
    for (id, name) in [(&one, &aside), (&two, &name_one), (&one, &name_two)] {
        bed.docker(&["rename", id, name]);
    }
    bed.start();
    await_container(&bed, "web", "the first has its name", |container| name_in(container) == name_one);
    await_container(&bed, "other", "the second has its name", |container| name_in(container) == name_two);
    assert_eq!((id_of(&bed, "web"), id_of(&bed, "other")), (one, two));
    await_ready(&bed, "Deployment", "web");
    await_ready(&bed, "Deployment", "other");
}

#[test]
fn a_network_that_somebody_made_again_by_hand_is_waited_out() {
    let manifests = [object("Network", "back", "{}"), deployment("web", "networks: [back]")];
    let Some(mut bed) = bed_with("network_made_again", &manifests, &[]) else { return };
    bed.stop();
    let network = format!("{}_back", bed.namespace());
    bed.docker(&["stop", "--time", "1", &id_of(&bed, "web")]);
    bed.docker(&["network", "rm", &network]);
    let stranger = Stranger::network(&bed, &network, &[]);
    bed.start();
    await_not_ready(&bed, "Network", "back", "NameConflict");
    assert_ne!(container_of(&bed, "web")["State"]["Status"], "running", "it joins no network of a stranger");
    stranger.go();
    await_ready(&bed, "Network", "back");
    await_ready(&bed, "Deployment", "web");
    assert_eq!(names_of(&bed, Which::All, "web").len(), 1);
}

#[test]
fn a_stranger_that_took_the_name_of_a_removed_container_stays_and_the_object_converges() {
    let Some(mut bed) = bed_with("name_taken_by_a_stranger", &[deployment("web", "")], &[]) else { return };
    bed.stop();
    let name = name_in(&container_of(&bed, "web"));
    bed.docker(&["rm", "--force", &name]);
    let stranger = Stranger::container(&bed, &name, &[]);
    let before = bed.inspect("container", &stranger.id)["State"]["StartedAt"].clone();
    bed.start();
    await_not_ready(&bed, "Deployment", "web", "NameConflict");
    assert_eq!(bed.inspect("container", &stranger.id)["State"]["StartedAt"], before);
    stranger.go();
    await_ready(&bed, "Deployment", "web");
    assert_eq!(name_in(&container_of(&bed, "web")), name);
}

#[test]
fn a_paused_container_is_stopped_when_its_object_is_to_be_stopped() {
    let Some(mut bed) = bed_with("paused_and_stopped", &[deployment("web", "")], &[]) else { return };
    bed.stop();
    bed.docker(&["pause", &id_of(&bed, "web")]);
    bed.write("all.yaml", &deployment("web", "state: Stopped"));
    bed.start();
    await_container(&bed, "web", "it is stopped", |container| container["State"]["Status"] == "exited");
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_paused_container_of_a_removed_object_is_pruned() {
    let manifests = [deployment("web", "")];
    let Some(mut bed) = bed_with("paused_and_pruned", &manifests, &[]) else { return };
    bed.write("old.yaml", &deployment("old", ""));
    await_ready(&bed, "Deployment", "old");
    bed.stop();
    bed.docker(&["pause", &id_of(&bed, "old")]);
    bed.remove("old.yaml");
    bed.start_with(&["--prune-delay", "0s"]);
    bed.wait_until_ready();
    eventually("it is gone", PATIENCE, || names_of(&bed, Which::All, "old").is_empty().then_some(()));
}

#[test]
fn a_paused_container_is_replaced_when_its_spec_changes() {
    let Some(mut bed) = bed_with("paused_and_replaced", &[deployment("web", "")], &[]) else { return };
    let before = id_of(&bed, "web");
    bed.stop();
    bed.docker(&["pause", &before]);
    bed.write("all.yaml", &deployment("web", "env: { NEW: \"1\" }"));
    bed.start();
    eventually("only the new one is there", PATIENCE, || {
        let names = names_of(&bed, Which::All, "web");
        let container = bed.inspect("container", names.first()?);
        let is_new = names.len() == 1 && container["Id"] != before.as_str();
        (is_new && container["State"]["Status"] == "running").then_some(())
    });
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_stranger_in_our_network_is_left_there() {
    let manifests = [object("Network", "back", "{}"), deployment("web", "networks: [back]")];
    let Some(bed) = bed_with("stranger_in_network", &manifests, &["--resync", "1s"]) else { return };
    let network = format!("{}_back", bed.namespace());
    let stranger = Stranger::container(&bed, &format!("{}-guest", bed.instance()), &["--network", &network]);
    bed.docker(&["kill", &id_of(&bed, "web")]);
    await_warning(&bed, "Deployment", "web", "ContainerExited");
    await_ready(&bed, "Deployment", "web");
    await_settled_passes(&bed, 2);
    let guest = bed.inspect("container", &stranger.id);
    assert_eq!(guest["State"]["Running"], true);
    assert!(guest["NetworkSettings"]["Networks"][&network].is_object());
}

#[test]
fn a_network_to_be_pruned_waits_for_the_stranger_in_it_and_names_it() {
    let manifests = [deployment("web", ""), deployment("more", "")];
    let Some(mut bed) = bed_with("network_in_use", &manifests, &["--prune-delay", "0s"]) else { return };
    bed.write("net.yaml", &object("Network", "back", "{}"));
    await_ready(&bed, "Network", "back");
    let network = format!("{}_back", bed.namespace());
    let guest = format!("{}-guest", bed.instance());
    let stranger = Stranger::container(&bed, &guest, &["--network", &network]);
    bed.remove("net.yaml");
    eventually("the guest is named", PATIENCE, || {
        let ready = crate::support::look::condition(&bed, "Network", "back", "Ready");
        ready["message"].as_str().is_some_and(|message| message.contains(&guest)).then_some(())
    });
    assert_eq!(bed.inspect("container", &stranger.id)["State"]["Running"], true);
    assert!(bed.stop().success());
    let run = bed.run_once();
    assert_eq!(run.status.code(), Some(1), "{}", crate::support::engine::text_of(&run));
    bed.start_with(&["--prune-delay", "0s"]);
    stranger.go();
    eventually("the network is gone", PATIENCE, || bed.inspect("network", &network).is_null().then_some(()));
    assert!(bed.stop().success());
}

#[test]
fn a_volume_to_be_deleted_waits_for_the_stranger_that_mounts_it() {
    let manifests = [deployment("web", ""), deployment("more", "")];
    let Some(bed) = bed_with("volume_in_use", &manifests, &["--prune-delay", "0s"]) else { return };
    bed.write("data.yaml", &object("Volume", "data", "{ deletionPolicy: Delete }"));
    await_ready(&bed, "Volume", "data");
    let volume = format!("{}_data", bed.namespace());
    let mount = format!("{volume}:/data");
    let stranger = Stranger::container(&bed, &format!("{}-guest", bed.instance()), &["--volume", &mount]);
    bed.remove("data.yaml");
    await_warning(&bed, "Volume", "data", "InUse");
    assert!(bed.inspect("volume", &volume).is_object());
    assert_eq!(bed.inspect("container", &stranger.id)["State"]["Running"], true);
    stranger.go();
    eventually("the volume is gone", PATIENCE, || bed.inspect("volume", &volume).is_null().then_some(()));
}
