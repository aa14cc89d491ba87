//! More than there should be: orphans are pruned, strangers stay.

use crate::support::engine::{BUSYBOX, TestBed, Which, always, engine_or_skip, eventually};
use crate::support::look::{
    PATIENCE, await_ready, await_settled_passes, container_of, deployment, events_of, id_of, name_in, names_of, object,
};
use crate::support::stranger::Stranger;

fn bed(test_name: &str) -> Option<TestBed> {
    Some(TestBed::new(engine_or_skip(test_name)?, test_name))
}

#[test]
fn a_second_container_with_copied_labels_is_a_stranger_and_stays() {
    let Some(mut bed) = bed("copied_labels") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    let original = container_of(&bed, "web");
    let labels = original["Config"]["Labels"].as_object().unwrap().clone();
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
    let options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
    let copy = Stranger::container(&bed, &format!("{}-copy", bed.instance()), &options);
    let before = bed.inspect("container", &copy.id)["State"]["StartedAt"].clone();
    await_settled_passes(&bed, 3);
    assert_eq!(bed.inspect("container", &copy.id)["State"]["StartedAt"], before, "the copy was touched");
    assert_eq!(bed.inspect("container", &copy.id)["State"]["Running"], true);
    assert_eq!(bed.inspect("container", &name_in(&original))["Id"], original["Id"], "the original stays what counts");
    eventually("the copy is told of", PATIENCE, || {
        let events = bed.get("/api/v1/events").unwrap().json();
        let events = events["items"].as_array().unwrap().clone();
        events.into_iter().find(|event| event["reason"] == "UnprovenOwnership" && event["type"] == "Warning")
    });
}

#[test]
fn an_object_removed_from_the_manifests_is_pruned() {
    let Some(mut bed) = bed("an_object_removed_is_pruned") else { return };
    bed.write("old.yaml", &deployment("old", ""));
    bed.write("web.yaml", &deployment("web", ""));
    bed.start_with(&["--prune-delay", "0s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "old");
    await_ready(&bed, "Deployment", "web");
    let before = id_of(&bed, "web");
    bed.remove("old.yaml");
    eventually("it is gone", PATIENCE, || names_of(&bed, Which::All, "old").is_empty().then_some(()));
    assert_eq!(id_of(&bed, "web"), before);
}

#[test]
fn an_object_removed_while_the_controller_was_away_is_pruned() {
    let Some(mut bed) = bed("pruned_after_being_away") else { return };
    let old = [object("Network", "side", "{}"), deployment("old", "networks: [side]")];
    bed.write("old.yaml", &old.concat());
    for name in ["a", "b", "c", "d", "e"] {
        bed.write(&format!("{name}.yaml"), &object("Volume", name, "{}"));
    }
    bed.start();
    await_ready(&bed, "Deployment", "old");
    bed.kill();
    bed.remove("old.yaml");
    bed.start_with(&["--prune-delay", "0s"]);
    bed.wait_until_ready();
    eventually("its container is gone", PATIENCE, || names_of(&bed, Which::All, "old").is_empty().then_some(()));
    let network = format!("{}_side", bed.namespace());
    eventually("its network is gone", PATIENCE, || bed.inspect("network", &network).is_null().then_some(()));
    eventually("it is told", PATIENCE, || events_of(&bed, "Deployment", "old", "Removed").pop());
    for name in ["a", "b", "c", "d", "e"] {
        assert!(bed.inspect("volume", &format!("{}_{name}", bed.namespace())).is_object());
    }
}

#[test]
fn a_container_of_an_object_that_lost_its_store_is_not_removed_at_once() {
    let Some(mut bed) = bed("an_orphan_without_a_store") else { return };
    bed.write("web.yaml", &deployment("web", ""));
    bed.write("old.yaml", &deployment("old", ""));
    bed.start();
    await_ready(&bed, "Deployment", "old");
    bed.stop();
    bed.remove("old.yaml");
    std::fs::remove_dir_all(bed.data().join("store")).unwrap();
    bed.start_with(&["--prune-delay", "1h"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    assert_eq!(names_of(&bed, Which::Running, "old").len(), 1, "nothing is removed in the pass after a loss");
}

#[test]
fn a_container_of_nobody_is_never_touched() {
    let Some(mut bed) = bed("a_container_of_nobody") else { return };
    let stranger = Stranger::container(&bed, &format!("{}-nobody", bed.instance()), &["--label", "app=web"]);
    let before = bed.inspect("container", &stranger.id)["State"]["StartedAt"].clone();
    bed.write("web.yaml", &deployment("web", ""));
    bed.start_with(&["--resync", "1s", "--prune-delay", "0s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    bed.docker(&["pause", &stranger.id]);
    always("the stranger stays paused", std::time::Duration::from_millis(1500), || {
        bed.inspect("container", &stranger.id)["State"]["Paused"] == true
    });
    bed.docker(&["unpause", &stranger.id]);
    let after = bed.inspect("container", &stranger.id);
    assert_eq!(after["State"]["StartedAt"], before);
    assert_eq!(after["Config"]["Image"], BUSYBOX);
}
