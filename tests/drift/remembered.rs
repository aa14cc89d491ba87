//! Which containers the store remembers as ours: all that there are, under whatever name, and no others.

use std::fs;

use crate::support::engine::{TestBed, engine_or_skip, eventually};
use crate::support::look::{
    PATIENCE, await_container, await_ready, await_settled_passes, await_warning, container_of, deployment, id_of,
    name_in,
};

/// A bed whose controller has brought one Deployment up.
fn bed_with_web(test_name: &str) -> Option<TestBed> {
    let mut bed = TestBed::new(engine_or_skip(test_name)?, test_name);
    bed.write("web.yaml", &deployment("web", ""));
    start(&mut bed);
    Some(bed)
}

fn start(bed: &mut TestBed) {
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    await_ready(bed, "Deployment", "web");
}

/// The ids of the containers in the newest export, which a controller writes when it ends.
fn remembered(bed: &TestBed) -> Vec<String> {
    let exports = fs::read_dir(bed.data().join("exports")).unwrap();
    let mut exports: Vec<_> = exports.map(|entry| entry.unwrap().path()).collect();
    exports.sort();
    let newest = fs::read_to_string(exports.last().unwrap()).unwrap();
    let ids = newest.lines().filter_map(|line| line.split_once("\"container/")?.1.split_once('"'));
    ids.map(|(id, _)| id.to_owned()).filter(|id| id.len() == 64).collect()
}

#[test]
fn a_container_that_the_store_had_forgotten_is_remembered_again_and_known_under_another_name() {
    let Some(mut bed) = bed_with_web("forgotten_by_the_store") else { return };
    let before = container_of(&bed, "web");
    assert!(bed.stop().success());
    // As when the controller is killed between making a container and writing its id down.
    fs::remove_dir_all(bed.data().join("store")).unwrap();
    fs::remove_dir_all(bed.data().join("exports")).unwrap();
    start(&mut bed);
    assert!(bed.stop().success());
    assert_eq!(remembered(&bed), [before["Id"].as_str().unwrap()]);
    bed.docker(&["rename", &name_in(&before), &format!("{}-elsewhere", bed.instance())]);
    bed.start();
    await_warning(&bed, "Deployment", "web", "ContainerRenamed");
    let after =
        await_container(&bed, "web", "it has its name back", |container| name_in(container) == name_in(&before));
    assert_eq!(after["Id"], before["Id"]);
}

#[test]
fn containers_that_somebody_removed_are_forgotten_whether_a_controller_watched_or_not() {
    let Some(mut bed) = bed_with_web("removed_and_forgotten") else { return };
    let remove = |bed: &TestBed| {
        let old = id_of(bed, "web");
        bed.docker(&["rm", "--force", &old]);
        old
    };
    let await_another = |bed: &TestBed, old: &str| {
        eventually("there is another container", PATIENCE, || {
            let ids = bed.ids(crate::support::engine::Which::Running, "web");
            (ids.len() == 1 && ids[0] != old).then_some(())
        });
        await_ready(bed, "Deployment", "web");
        await_settled_passes(bed, 2);
    };
    let watched = remove(&bed);
    await_another(&bed, &watched);
    bed.kill();
    let unwatched = remove(&bed);
    start(&mut bed);
    await_another(&bed, &unwatched);
    let last = id_of(&bed, "web");
    assert!(bed.stop().success());
    assert_eq!(remembered(&bed), [last]);
}
