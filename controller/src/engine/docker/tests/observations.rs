//! Answers of engines, shortened, as we read them.

use bollard::models::{ContainerInspectResponse, ContainerSummary, ImageInspect, Network, Volume};
use planner::observed::{ContainerState, Health, MountConfig, MountKind};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::engine::docker::observe::{
    container_detail, container_summary, image_detail, network_detail, volume_detail,
};

fn read<T: DeserializeOwned>(answer: Value) -> T {
    serde_json::from_value(answer).unwrap()
}

#[test]
fn the_status_text_of_a_list_tells_health() {
    for (status, health) in [
        ("Up 2 minutes (healthy)", Health::Healthy),
        ("Up 2 minutes (unhealthy)", Health::Unhealthy),
        ("Up Less than a second (health: starting)", Health::Starting),
        ("Up 2 minutes", Health::None),
        ("Up 2 minutes (Paused)", Health::None),
        ("Exited (0) 3 seconds ago", Health::None),
    ] {
        let entry = json!({ "Id": "01", "Names": ["/other/alias", "/web"], "State": "running", "Status": status });
        let summary = container_summary(read::<ContainerSummary>(entry)).unwrap();
        assert_eq!((summary.health, summary.name.as_str()), (health, "web"), "{status}");
    }
}

#[test]
fn networks_without_an_id_and_labels_that_are_null_are_left_out() {
    let entry = json!({
        "Id": "01", "Names": null, "State": "created", "Labels": null, "Created": 1_700_000_000, "Mounts": null,
        "NetworkSettings": { "Networks": { "b": { "NetworkID": "02" }, "a": { "NetworkID": "" }, "c": { "NetworkID": "01" } } },
    });
    let summary = container_summary(read::<ContainerSummary>(entry)).unwrap();
    assert_eq!(summary.network_ids, ["01", "02"]);
    assert_eq!((summary.name.as_str(), summary.created_ms), ("", 1_700_000_000_000));
    assert_eq!(container_summary(read(json!({ "Id": "01" }))), None);
}

#[test]
fn the_least_of_an_inspect_is_enough() {
    assert_eq!(container_detail(read(json!({}))), None);
    let detail = container_detail(read(json!({ "Id": "01", "State": { "Status": "dead" } }))).unwrap();
    assert_eq!((detail.status.state, detail.limits.restart.as_str()), (ContainerState::Dead, "no"));
    assert!(!detail.config.open_stdin);
    let open =
        json!({ "Id": "01", "State": { "Status": "created" }, "Config": { "OpenStdin": true, "StdinOnce": false } });
    assert!(container_detail(read(open)).unwrap().config.open_stdin);
}

#[test]
fn an_inspect_of_an_old_engine_is_read_without_what_the_engine_added() {
    let id = "0123456789ab".to_owned() + &"0".repeat(52);
    let answer = json!({
        "Id": id, "Name": "/web", "Created": "2026-01-02T03:04:05.678901234Z", "RestartCount": 2, "Image": "sha256:00",
        "State": { "Status": "restarting", "Running": true, "ExitCode": 7, "OOMKilled": true, "Error": "",
            "StartedAt": "2026-01-02T03:04:06Z", "FinishedAt": "0001-01-01T00:00:00Z",
            "Health": { "Status": "starting", "FailingStreak": 0, "Log": null } },
        "HostConfig": {
            "NetworkMode": "02", "PidsLimit": null, "RestartPolicy": { "Name": "", "MaximumRetryCount": 0 },
            "PortBindings": { "80/tcp": [{ "HostIp": "::1", "HostPort": "8080" }], "81/tcp": null },
            "Mounts": [{ "Type": "tmpfs", "Target": "/tmp/", "TmpfsOptions": { "SizeBytes": 1024 } },
                       { "Type": "volume", "Source": "data", "Target": "/data/", "ReadOnly": true }],
            "CapAdd": null, "Ulimits": [{ "Name": "nofile", "Soft": 1, "Hard": 2 }], "LogConfig": { "Type": "json-file", "Config": {} },
        },
        "Mounts": [{ "Type": "volume", "Name": "ff", "Source": "/var/x", "Destination": "/anonymous", "RW": true },
                   { "Type": "volume", "Name": "data", "Source": "/var/y", "Destination": "/data", "RW": false },
                   { "Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": true }],
        "Config": { "Image": "web:1", "Env": null, "ExposedPorts": { "81/tcp": {}, "80/tcp": {} }, "Entrypoint": null, "StopTimeout": 10 },
        "NetworkSettings": { "Networks": { "back": { "NetworkID": "02", "IPAddress": "10.0.0.2",
            "IPAMConfig": { "IPv4Address": "10.0.0.2" }, "Aliases": ["web", "0123456789ab"] },
            "next": { "NetworkID": "", "IPAddress": "", "IPAMConfig": null, "Aliases": null } } },
    });
    let detail = container_detail(read::<ContainerInspectResponse>(answer)).unwrap();
    assert_eq!((detail.created_ms, detail.restart_count), (1_767_323_045_678, 2));
    assert_eq!((detail.status.started_ms, detail.status.finished_ms), (Some(1_767_323_046_000), None));
    assert_eq!((detail.status.exit_code, detail.status.oom_killed, detail.status.health), (7, true, Health::Starting));
    assert_eq!((detail.limits.pids, detail.limits.restart.as_str()), (0, "no"));
    assert_eq!(detail.config.port_bindings["80/tcp"], ["[::1]:8080"]);
    assert_eq!(detail.config.exposed_ports, ["80/tcp", "81/tcp"]);
    assert_eq!((detail.config.entrypoint, detail.config.stop_timeout_secs), (None, Some(10)));
    let mount = |destination: &str, kind, read_only| MountConfig { destination: destination.into(), kind, read_only };
    let mounts = [
        mount("/anonymous", MountKind::Volume("ff".into()), false),
        mount("/data", MountKind::Volume("data".into()), true),
        mount("/tmp", MountKind::Tmpfs(1024), false),
    ];
    assert_eq!(detail.config.mounts, mounts);
    let back = &detail.endpoints["back"];
    assert_eq!((&back.aliases, back.fixed_ipv4), (&vec!["web".to_owned()], Some([10, 0, 0, 2].into())));
    assert_eq!(detail.endpoints["next"], planner::observed::Endpoint::default());
}

#[test]
fn networks_volumes_and_images_with_nulls_are_read() {
    let network = json!({ "Id": "01", "Name": "back", "Created": "2026-01-02T03:04:05.6+02:00", "Driver": "bridge",
        "IPAM": { "Driver": "default", "Options": null, "Config": [{ "Subnet": "10.0.0.0/24" }] }, "Options": null, "Labels": null });
    let network = network_detail(read::<Network>(network)).unwrap();
    assert_eq!(network.subnets, [("10.0.0.0/24".to_owned(), String::new(), String::new())]);
    assert_eq!(network.created_ms, 1_767_315_845_600);
    let volume = json!({ "Name": "data", "Driver": "local", "Mountpoint": "/x", "Scope": "local",
        "CreatedAt": "2026-01-02T03:04:05Z", "Labels": null, "Options": null });
    let volume = volume_detail(read::<Volume>(volume));
    assert_eq!((volume.created_ms, volume.labels.len()), (1_767_323_045_000, 0));
    let image = json!({ "Id": "sha256:00", "Config": { "Healthcheck": { "Test": ["NONE"] }, "Volumes": null, "Labels": null } });
    let image = image_detail(read::<ImageInspect>(image)).unwrap();
    assert_eq!((image.has_healthcheck, image.volumes.len()), (false, 0));
    assert_eq!(image_detail(read(json!({ "Id": "sha256:00", "Config": null }))).unwrap().user, "");
}
