//! The same meddling while no controller runs: the next one finds it and puts it right.

use serde_json::Value;

use crate::support::engine::{TestBed, engine_or_skip, eventually};
use crate::support::look::{
    PATIENCE, await_container, await_ready, await_running, await_warning, container_of, deployment, id_of, name_in,
    object,
};
use crate::support::stranger::Stranger;

const MEDDLED: [&str; 8] = ["killed", "stopped", "paused", "removed", "renamed", "limited", "disarmed", "connected"];

/// A bed with a Deployment for each way of meddling, in a network of their own, whose controller has just been killed.
fn bed_that_is_away(test_name: &str) -> Option<TestBed> {
    let mut bed = TestBed::new(engine_or_skip(test_name)?, test_name);
    let mut all = object("Network", "back", "{}");
    for name in MEDDLED {
        all.push_str(&deployment(name, "networks: [back], resources: { memory: 64MiB }"));
    }
    bed.write("all.yaml", &all);
    bed.start();
    for name in MEDDLED {
        await_ready(&bed, "Deployment", name);
    }
    bed.stop();
    Some(bed)
}

fn meddle(bed: &TestBed, before: &dyn Fn(&str) -> String, other_network: &str) {
    bed.docker(&["kill", &before("killed")]);
    bed.docker(&["stop", "--time", "1", &before("stopped")]);
    bed.docker(&["pause", &before("paused")]);
    bed.docker(&["rm", "--force", &before("removed")]);
    bed.docker(&["rename", &before("renamed"), &format!("{}-stolen", bed.instance())]);
    bed.docker(&["update", "--memory", "96m", "--memory-swap", "192m", &before("limited")]);
    bed.docker(&["update", "--restart", "no", &before("disarmed")]);
    bed.docker(&["network", "connect", other_network, &before("connected")]);
}

#[test]
fn what_was_done_while_the_controller_was_away_is_put_right_and_told() {
    let Some(mut bed) = bed_that_is_away("done_while_away") else { return };
    let before: Vec<(&str, Value)> = MEDDLED.into_iter().map(|name| (name, container_of(&bed, name))).collect();
    let before = |name: &str| before.iter().find(|(other, _)| *other == name).map(|(_, container)| container.clone());
    let id = |name: &str| before(name).unwrap()["Id"].as_str().unwrap().to_owned();
    let other = Stranger::network(&bed, &format!("{}-other", bed.instance()), &[]);
    meddle(&bed, &id, &other.id);
    bed.start();
    for (name, reason) in [
        ("killed", "ContainerExited"),
        ("stopped", "ContainerExited"),
        ("paused", "ContainerPaused"),
        ("removed", "ContainerRemoved"),
        ("renamed", "ContainerRenamed"),
        ("limited", "ContainerUpdated"),
        ("disarmed", "ContainerUpdated"),
        ("connected", "NetworkConnected"),
    ] {
        await_warning(&bed, "Deployment", name, reason);
        await_ready(&bed, "Deployment", name);
        let after = await_running(&bed, name);
        assert_eq!(name_in(&after), name_in(&before(name).unwrap()));
        assert_eq!(after["HostConfig"]["Memory"], 64 << 20);
        assert_eq!(after["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
        assert_eq!(after["NetworkSettings"]["Networks"].as_object().unwrap().len(), 1);
        let is_kept = after["Id"] == id(name).as_str();
        assert_eq!(is_kept, name != "removed", "{name}: only what was removed is made anew");
    }
}

#[test]
fn a_network_removed_while_the_controller_was_away_is_made_again_with_its_containers() {
    let test_name = "network_removed_while_away";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all = [object("Network", "back", "{}"), deployment("web", "replicas: 1, networks: [back]")];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Deployment", "web");
    bed.stop();
    let network = format!("{}_back", bed.namespace());
    let before = bed.inspect("network", &network)["Id"].clone();
    bed.docker(&["stop", "--time", "1", &id_of(&bed, "web")]);
    bed.docker(&["network", "rm", &network]);
    bed.start();
    let after = await_container(&bed, "web", "it runs in another network of the name", |container| {
        let id = &container["NetworkSettings"]["Networks"][&network]["NetworkID"];
        container["State"]["Status"] == "running" && id.is_string() && *id != before && *id != ""
    });
    assert_eq!(after["State"]["Running"], true);
    await_ready(&bed, "Deployment", "web");
    await_warning(&bed, "Network", "back", "NetworkRemoved");
}

#[test]
fn a_volume_removed_with_its_container_while_the_controller_was_away_is_made_again_and_told() {
    let test_name = "volume_removed_while_away";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all = [object("Volume", "data", "{}"), deployment("web", "mounts: [{ volume: data, path: /data }]")];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Deployment", "web");
    bed.stop();
    let volume = format!("{}_data", bed.namespace());
    bed.docker(&["rm", "--force", &id_of(&bed, "web")]);
    bed.docker(&["volume", "rm", &volume]);
    bed.start();
    await_warning(&bed, "Volume", "data", "VolumeRemoved");
    await_warning(&bed, "Deployment", "web", "ContainerRemoved");
    await_ready(&bed, "Deployment", "web");
    assert!(bed.inspect("volume", &volume).is_object());
}

#[test]
fn a_container_that_was_renamed_and_stopped_while_the_controller_was_away_is_still_known() {
    let test_name = "renamed_and_stopped_while_away";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    bed.write("web.yaml", &deployment("web", ""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let before = container_of(&bed, "web");
    bed.stop();
    bed.docker(&["rename", &name_in(&before), &format!("{}-elsewhere", bed.instance())]);
    bed.docker(&["stop", "--time", "1", before["Id"].as_str().unwrap()]);
    bed.start();
    let after = await_running(&bed, "web");
    assert_eq!(after["Id"], before["Id"]);
    eventually("it has its name back", PATIENCE, || {
        (name_in(&container_of(&bed, "web")) == name_in(&before)).then_some(())
    });
    await_warning(&bed, "Deployment", "web", "ContainerRenamed");
}
