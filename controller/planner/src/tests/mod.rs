//! Plans as text: a scene in, the plan or the passes until it rests out.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod creation;
mod demand;
mod drain;
mod interrupted;
mod lifecycle;
mod network;
mod probe;
mod progress;
mod property;
mod repair;
mod rollout;
mod volume;

use expect_test::Expect;
use serde_json::{Value, json};

use crate::testing::{Scene, letter_hashes};

/// Compares one object's plan with its text.
fn check(scene: &Scene, key: &str, expect: &Expect) {
    expect.assert_eq(&letter_hashes(&scene.text(key)));
}

/// Plans and executes everything until it rests, and compares the passes that did something with their text.
fn check_passes(scene: &mut Scene, expect: &Expect) {
    expect.assert_eq(&letter_hashes(&scene.settle()));
}

/// A scene in which these objects are as they should be.
fn settled(objects: &[(&str, Value)]) -> Scene {
    let mut scene = Scene::new();
    for (key, spec) in objects {
        scene.want(key, spec.clone());
    }
    scene.settle();
    scene
}

/// A deployment of one web container, settled.
fn web(spec: Value) -> Scene {
    settled(&[("Network/back", json!({})), ("Deployment/web", spec)])
}
