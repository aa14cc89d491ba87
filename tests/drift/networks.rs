//! What is done to networks, to endpoints in them, and to volumes.

use serde_json::Value;

use crate::support::engine::{TestBed, engine_or_skip, eventually};
use crate::support::look::{
    PATIENCE, await_container, await_ready, await_running, await_warning, container_of, deployment, name_in, object,
};
use crate::support::stranger::Stranger;

/// A bed whose controller keeps a Network `back` and a Deployment `web` in it, found there as `www` too.
fn bed_with_network(test_name: &str, more: &str) -> Option<TestBed> {
    let mut bed = TestBed::new(engine_or_skip(test_name)?, test_name);
    let web = deployment("web", &format!("networks: {{ back: {{ aliases: [www] }} }}{more}"));
    bed.write("all.yaml", &format!("{}{web}", object("Network", "back", "{}")));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    Some(bed)
}

fn network_name(bed: &TestBed) -> String {
    format!("{}_back", bed.namespace())
}

/// The names by which a container is found in the network `back`; empty when it is not in it.
fn aliases(bed: &TestBed, container: &Value) -> Vec<String> {
    let endpoint = &container["NetworkSettings"]["Networks"][network_name(bed)];
    let aliases = endpoint["Aliases"].as_array().cloned().unwrap_or_default();
    aliases.iter().filter_map(|alias| alias.as_str().map(str::to_owned)).collect()
}

fn has_its_aliases(bed: &TestBed, container: &Value) -> bool {
    let aliases = aliases(bed, container);
    ["web", "www"].iter().all(|wanted| aliases.iter().any(|alias| alias == wanted))
}

#[test]
fn a_disconnected_container_is_reconnected_with_its_aliases() {
    let Some(bed) = bed_with_network("a_disconnected_container", "") else { return };
    let before = container_of(&bed, "web");
    assert!(has_its_aliases(&bed, &before));
    bed.docker(&["network", "disconnect", &network_name(&bed), &name_in(&before)]);
    let warning = await_warning(&bed, "Deployment", "web", "NetworkDisconnected");
    assert!(warning.contains(&network_name(&bed)), "{warning}");
    let after = await_container(&bed, "web", "it has its aliases", |container| has_its_aliases(&bed, container));
    assert_eq!(after["State"]["StartedAt"], before["State"]["StartedAt"], "without a restart");
}

#[test]
fn an_endpoint_made_by_hand_without_the_aliases_gets_them() {
    let Some(mut bed) = bed_with_network("an_endpoint_made_by_hand", "") else { return };
    let before = container_of(&bed, "web");
    // While nobody watches, so that there is an endpoint when the controller looks.
    bed.kill();
    bed.docker(&["network", "disconnect", &network_name(&bed), &name_in(&before)]);
    bed.docker(&["network", "connect", "--alias", "www", &network_name(&bed), &name_in(&before)]);
    bed.start();
    await_warning(&bed, "Deployment", "web", "EndpointChanged");
    await_container(&bed, "web", "it has its aliases", |container| has_its_aliases(&bed, container));
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_container_connected_to_another_network_is_disconnected_and_that_network_stays() {
    let Some(bed) = bed_with_network("connected_to_another_network", "") else { return };
    let other = Stranger::network(&bed, &format!("{}-other", bed.instance()), &[]);
    let before = container_of(&bed, "web");
    bed.docker(&["network", "connect", &other.id, &name_in(&before)]);
    let warning = await_warning(&bed, "Deployment", "web", "NetworkConnected");
    assert!(warning.contains("-other"), "{warning}");
    let after = await_container(&bed, "web", "it is in its own network only", |container| {
        container["NetworkSettings"]["Networks"].as_object().is_some_and(|networks| networks.len() == 1)
    });
    assert!(has_its_aliases(&bed, &after));
    assert_eq!(after["State"]["StartedAt"], before["State"]["StartedAt"]);
    assert_eq!(bed.inspect("network", &other.id)["Id"], other.id.as_str());
}

#[test]
fn a_container_of_the_default_bridge_is_disconnected_from_any_other_network() {
    let test_name = "a_container_of_the_default_bridge";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    bed.write("web.yaml", &deployment("web", ""));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    let other = Stranger::network(&bed, &format!("{}-other", bed.instance()), &[]);
    bed.docker(&["network", "connect", &other.id, &name_in(&container_of(&bed, "web"))]);
    await_warning(&bed, "Deployment", "web", "NetworkConnected");
    await_container(&bed, "web", "it is in the bridge only", |container| {
        let networks = container["NetworkSettings"]["Networks"].as_object();
        networks.is_some_and(|networks| networks.keys().eq(["bridge"]))
    });
}

#[test]
fn a_removed_network_is_made_again_and_its_stopped_containers_with_it() {
    let Some(bed) = bed_with_network("a_removed_network_is_made_again", ", state: Stopped") else { return };
    let before = bed.inspect("network", &network_name(&bed))["Id"].clone();
    bed.docker(&["network", "rm", &network_name(&bed)]);
    await_warning(&bed, "Network", "back", "NetworkRemoved");
    let after = eventually("there is another network", PATIENCE, || {
        let id = bed.inspect("network", &network_name(&bed))["Id"].clone();
        (id.is_string() && id != before).then_some(id)
    });
    let all =
        format!("{}{}", object("Network", "back", "{}"), deployment("web", "networks: { back: { aliases: [www] } }"));
    bed.write("all.yaml", &all);
    let container = await_running(&bed, "web");
    assert_eq!(container["NetworkSettings"]["Networks"][network_name(&bed)]["NetworkID"], after);
    await_ready(&bed, "Deployment", "web");
    assert!(has_its_aliases(&bed, &container_of(&bed, "web")));
}

#[test]
fn a_network_removed_from_under_a_running_container_is_made_again_with_the_container_in_it() {
    let Some(bed) = bed_with_network("a_network_removed_from_under", "") else { return };
    let network = bed.inspect("network", &network_name(&bed))["Id"].as_str().unwrap().to_owned();
    // The controller reconnects the container as fast as it can, so the removal may need more than one try.
    eventually("the network is removed by hand", PATIENCE, || {
        for name in crate::support::look::names_of(&bed, crate::support::engine::Which::All, "web") {
            drop(bed.engine().docker(&["network", "disconnect", "--force", &network, &name]));
        }
        bed.engine().docker(&["network", "rm", &network]).status.success().then_some(())
    });
    await_warning(&bed, "Network", "back", "NetworkRemoved");
    await_container(&bed, "web", "it is found in the new network", |container| {
        let endpoint = &container["NetworkSettings"]["Networks"][network_name(&bed)];
        let is_in_new = endpoint["NetworkID"].as_str().is_some_and(|id| !id.is_empty() && id != network);
        is_in_new && container["State"]["Status"] == "running" && has_its_aliases(&bed, container)
    });
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_removed_volume_is_made_again_and_the_loss_is_told() {
    let test_name = "a_removed_volume_is_made_again";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    let all =
        [object("Volume", "data", "{}"), deployment("web", "replicas: 0, mounts: [{ volume: data, path: /data }]")];
    bed.write("all.yaml", &all.concat());
    bed.start();
    await_ready(&bed, "Volume", "data");
    let name = format!("{}_data", bed.namespace());
    bed.docker(&["volume", "rm", &name]);
    let warning = await_warning(&bed, "Volume", "data", "VolumeRemoved");
    assert!(warning.contains(&name), "{warning}");
    eventually("the volume is there again", PATIENCE, || {
        bed.inspect("volume", &name)["Name"].is_string().then_some(())
    });
    await_ready(&bed, "Volume", "data");
}

#[test]
fn a_volume_that_somebody_made_again_by_hand_is_not_taken_for_ours() {
    let test_name = "a_volume_that_somebody_made_again";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    bed.write("all.yaml", &object("Volume", "data", "{}"));
    bed.start();
    await_ready(&bed, "Volume", "data");
    bed.stop();
    let name = format!("{}_data", bed.namespace());
    bed.docker(&["volume", "rm", &name]);
    let stranger = Stranger::volume(&bed, &name, &["--label", "whose=mine"]);
    bed.start();
    crate::support::look::await_not_ready(&bed, "Volume", "data", "NameConflict");
    assert_eq!(bed.inspect("volume", &name)["Labels"]["whose"], "mine");
    stranger.go();
    await_ready(&bed, "Volume", "data");
}
