//! Volumes: nothing loses data.

use expect_test::expect;
use serde_json::json;

use super::{check, check_passes, settled};
use crate::observed::VolumeDetail;
use crate::plan::Action;
use crate::testing::Scene;
use crate::world::Removal;

fn writer() -> serde_json::Value {
    json!({"image": "web:1", "mounts": [{"volume": "data", "path": "/data"}]})
}

fn stranger_volume(name: &str) -> VolumeDetail {
    VolumeDetail {
        name: name.into(),
        driver: "local".into(),
        options: std::collections::BTreeMap::new(),
        labels: std::collections::BTreeMap::new(),
        created_ms: 0,
    }
}

#[test]
fn a_name_that_a_stranger_has_is_a_conflict() {
    let mut scene = Scene::new();
    scene.world.observe_volume(&stranger_volume("data"));
    scene.want("Volume/data", json!({}));
    scene.want("Deployment/web", writer());
    check(
        &scene,
        "Volume/data",
        &expect![[r#"
        waiting: volume/data (the name is taken by something that is not ours)
    "#]],
    );
    check(
        &scene,
        "Deployment/web",
        &expect![[r#"
        waiting: Volume/data (not created yet)
    "#]],
    );
}

#[test]
fn a_changed_volume_is_refused() {
    let mut scene = settled(&[("Volume/data", json!({})), ("Deployment/web", writer())]);
    scene.want("Volume/data", json!({"driverOptions": {"type": "tmpfs"}}));
    check(
        &scene,
        "Volume/data",
        &expect![[r#"
        refused: volume/data driverOptions.type (none -> tmpfs)
    "#]],
    );
}

#[test]
fn a_volume_that_is_to_have_another_name_keeps_its_data_and_its_users() {
    let mut scene = settled(&[("Volume/data", json!({})), ("Deployment/web", writer())]);
    scene.want("Volume/data", json!({"engineName": "fresh"}));
    check(
        &scene,
        "Volume/data",
        &expect![[r#"
        refused: volume/data engineName (data -> fresh)
    "#]],
    );
    scene.want("Deployment/web", json!({"image": "web:2", "mounts": [{"volume": "data", "path": "/data"}]}));
    scene.settle();
    assert!(scene.engine.volumes.keys().eq(["data"]));
}

#[test]
fn a_volume_is_kept_unless_its_object_said_delete() {
    let mut scene = settled(&[("Volume/data", json!({})), ("Deployment/web", writer())]);
    let key = "Volume/data".parse().unwrap();
    scene.world.set_removal(&key, Removal::Approved { delete_volumes: false });
    check(&scene, "Volume/data", &expect![[""]]);
    // Not while anybody mounts it.
    scene.world.set_removal(&key, Removal::Approved { delete_volumes: true });
    check(
        &scene,
        "Volume/data",
        &expect![[r#"
        waiting: volume/data (in use) · wake: 2s
    "#]],
    );
    scene.world.set_removal(&"Deployment/web".parse().unwrap(), Removal::Approved { delete_volumes: false });
    check_passes(
        &mut scene,
        &expect![[r#"
            Deployment/web at 0s
            []  -> #1 container/web-AAAAAAAA-0  Update    not to be started again by the Engine
            [1] -> #2 container/web-AAAAAAAA-0  Stop 10s  removed from the manifests
            [2] -> #3 container/web-AAAAAAAA-0  Remove    removed from the manifests
            Volume/data at 0s
            [] -> #1 volume/data  Remove  removed from the manifests
        "#]],
    );
}

#[test]
fn a_volume_that_a_stranger_made_anew_is_not_ours_to_remove() {
    let mut scene = settled(&[("Volume/data", json!({}))]);
    scene.world.observe_volume(&stranger_volume("data"));
    check(
        &scene,
        "Volume/data",
        &expect![[r#"
        waiting: volume/data (the name is taken by something that is not ours)
        found: volume/data VolumeRemoved: was removed by somebody else
    "#]],
    );
    scene.world.set_removal(&"Volume/data".parse().unwrap(), Removal::Approved { delete_volumes: true });
    check(&scene, "Volume/data", &expect![[""]]);
}

#[test]
fn a_container_takes_the_labels_of_its_volumes_along() {
    let mounts = json!([{"volume": "data", "path": "/data"}, {"tmpfs": "1MiB", "path": "/scratch"}]);
    let mut scene = settled(&[("Volume/data", json!({}))]);
    scene.want("Deployment/web", json!({"image": "web:1", "mounts": mounts}));
    let steps = scene.plan("Deployment/web").steps;
    let Action::CreateContainer(create) = &steps[0].action else { panic!("{:?}", steps[0].action) };
    let labels = scene.engine.volumes["data"].labels.clone();
    assert!(!labels.is_empty());
    assert_eq!(create.volume_labels, [("data".to_owned(), labels)].into());
}
