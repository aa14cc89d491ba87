//! What is done to one container: its process, its name, its limits.

use serde_json::Value;

use crate::support::engine::{TestBed, Which, engine_or_skip, eventually};
use crate::support::look::{
    PATIENCE, await_container, await_ready, await_running, await_warning, container_of, counter, deployment, events_of,
    id_of, name_in, names_of,
};

/// A bed whose controller runs and keeps one Deployment `web`.
fn bed_with_web(test_name: &str, more: &str) -> Option<TestBed> {
    let mut bed = TestBed::new(engine_or_skip(test_name)?, test_name);
    bed.write("web.yaml", &deployment("web", more));
    bed.start();
    await_ready(&bed, "Deployment", "web");
    Some(bed)
}

/// Whether it is the same container in the same run.
fn is_same_run(one: &Value, other: &Value) -> bool {
    one["Id"] == other["Id"] && one["State"]["StartedAt"] == other["State"]["StartedAt"]
}

#[test]
fn a_killed_container_comes_back() {
    let Some(bed) = bed_with_web("a_killed_container_comes_back", "") else { return };
    let before = id_of(&bed, "web");
    bed.docker(&["kill", &before]);
    let warning = await_warning(&bed, "Deployment", "web", "ContainerExited");
    assert!(warning.contains("137"), "{warning}");
    let after = await_running(&bed, "web");
    assert_eq!(after["Id"], before.as_str(), "it was started again, not made anew");
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_stopped_container_comes_back() {
    let Some(bed) = bed_with_web("a_stopped_container_comes_back", "") else { return };
    let before = id_of(&bed, "web");
    bed.docker(&["stop", "--time", "1", &before]);
    await_warning(&bed, "Deployment", "web", "ContainerExited");
    assert_eq!(await_running(&bed, "web")["Id"], before.as_str());
}

#[test]
fn a_paused_container_goes_on() {
    let Some(bed) = bed_with_web("a_paused_container_goes_on", "") else { return };
    let before = container_of(&bed, "web");
    bed.docker(&["pause", &name_in(&before)]);
    let warning = await_warning(&bed, "Deployment", "web", "ContainerPaused");
    assert!(warning.contains("paused by somebody else"), "{warning}");
    let after = await_running(&bed, "web");
    assert!(is_same_run(&before, &after), "it goes on where it was");
}

#[test]
fn a_removed_container_comes_back() {
    let Some(bed) = bed_with_web("a_removed_container_comes_back", "") else { return };
    let before = container_of(&bed, "web");
    bed.docker(&["rm", "--force", &name_in(&before)]);
    let warning = await_warning(&bed, "Deployment", "web", "ContainerRemoved");
    assert!(warning.contains(&name_in(&before)), "{warning}");
    let after = await_running(&bed, "web");
    assert_ne!(after["Id"], before["Id"]);
    assert_eq!(name_in(&after), name_in(&before));
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_container_removed_again_comes_back_again_and_the_event_counts() {
    let Some(bed) = bed_with_web("removed_again", "") else { return };
    for count in 1..=3 {
        let before = id_of(&bed, "web");
        bed.docker(&["rm", "--force", &before]);
        await_container(&bed, "web", "another container runs", |container| {
            container["State"]["Status"] == "running" && container["Id"] != before.as_str()
        });
        let events = events_of(&bed, "Deployment", "web", "ContainerRemoved");
        assert_eq!(events.len(), 1, "the same event is told once: {events:?}");
        assert_eq!(events[0]["count"], count, "{events:?}");
    }
    assert!(counter(&bed, "evenkeel_drift_repaired_total", "") >= 3);
}

#[test]
fn one_removed_replica_comes_back_and_the_others_are_left_alone() {
    let Some(bed) = bed_with_web("one_removed_replica", "replicas: 3") else { return };
    let names = names_of(&bed, Which::Running, "web");
    assert_eq!(names.len(), 3);
    let before: Vec<Value> = names.iter().map(|name| bed.inspect("container", name)).collect();
    bed.docker(&["rm", "--force", &names[1]]);
    eventually("three run again", PATIENCE, || (names_of(&bed, Which::Running, "web") == names).then_some(()));
    for index in [0, 2] {
        let after = bed.inspect("container", &names[index]);
        assert!(is_same_run(&before[index], &after), "{} was touched", names[index]);
    }
}

#[test]
fn a_renamed_container_gets_its_name_back() {
    let Some(bed) = bed_with_web("a_renamed_container_gets_its_name_back", "") else { return };
    let before = container_of(&bed, "web");
    let name = name_in(&before);
    let stolen = format!("{}-stolen", bed.instance());
    bed.docker(&["rename", &name, &stolen]);
    let warning = await_warning(&bed, "Deployment", "web", "ContainerRenamed");
    assert!(warning.contains(&stolen), "{warning}");
    let after = await_container(&bed, "web", "it has its name back", |container| name_in(container) == name);
    assert!(is_same_run(&before, &after));
}

#[test]
fn two_replicas_that_swapped_their_names_get_them_back() {
    let Some(bed) = bed_with_web("swapped_names", "replicas: 2") else { return };
    let names = names_of(&bed, Which::Running, "web");
    let id = |name: &str| bed.inspect("container", name)["Id"].as_str().unwrap_or_default().to_owned();
    let ids: Vec<String> = names.iter().map(|name| id(name)).collect();
    // The controller may be quicker than the third rename, and then the second name is taken again.
    let aside = format!("{}-aside", bed.instance());
    for (id, name) in [(&ids[0], &aside), (&ids[1], &names[0]), (&ids[0], &names[1])] {
        drop(bed.engine().docker(&["rename", id, name]));
    }
    await_warning(&bed, "Deployment", "web", "ContainerRenamed");
    eventually("each has its own name", PATIENCE, || {
        (id(&names[0]) == ids[0] && id(&names[1]) == ids[1]).then_some(())
    });
    await_ready(&bed, "Deployment", "web");
    assert_eq!(names_of(&bed, Which::All, "web"), names);
}

#[test]
fn changed_limits_are_put_back_while_the_container_runs() {
    let limits = "resources: { cpu: 500m, memory: 64MiB, pids: 100 }";
    let Some(bed) = bed_with_web("changed_limits_are_put_back", limits) else { return };
    let before = container_of(&bed, "web");
    let update = ["update", "--memory", "128m", "--memory-swap", "256m", "--cpus", "1", "--pids-limit", "50"];
    bed.docker(&[&update[..], &[&name_in(&before)]].concat());
    let warning = await_warning(&bed, "Deployment", "web", "ContainerUpdated");
    for found in ["resources.cpu (1000m -> 500m)", "resources.memory (128MiB -> 64MiB)", "resources.pids (50 -> 100)"] {
        assert!(warning.contains(found), "no `{found}` in: {warning}");
    }
    let after = await_container(&bed, "web", "its limits are as asked", |container| {
        let host = &container["HostConfig"];
        host["NanoCpus"] == 500_000_000 && host["Memory"] == 64 << 20 && host["PidsLimit"] == 100
    });
    assert!(is_same_run(&before, &after), "limits are put back without a restart");
}

#[test]
fn a_limit_that_was_not_asked_for_is_taken_away() {
    let Some(bed) = bed_with_web("a_limit_that_was_not_asked_for", "") else { return };
    let name = name_in(&container_of(&bed, "web"));
    bed.docker(&["update", "--memory", "64m", "--memory-swap", "128m", &name]);
    let warning = await_warning(&bed, "Deployment", "web", "ContainerUpdated");
    assert!(warning.contains("resources.memory (64MiB -> none)"), "{warning}");
    await_container(&bed, "web", "it runs without the limit", |container| {
        container["State"]["Status"] == "running" && container["HostConfig"]["Memory"] == 0
    });
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_changed_restart_policy_is_put_back() {
    let Some(bed) = bed_with_web("a_changed_restart_policy_is_put_back", "") else { return };
    let before = container_of(&bed, "web");
    bed.docker(&["update", "--restart", "no", &name_in(&before)]);
    let warning = await_warning(&bed, "Deployment", "web", "ContainerUpdated");
    assert!(warning.contains("restart (no -> unless-stopped)"), "{warning}");
    let after = await_container(&bed, "web", "its policy is as asked", |container| {
        container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    });
    assert!(is_same_run(&before, &after));
}

#[test]
fn a_container_started_by_hand_is_stopped_when_its_object_is_to_be_stopped() {
    let Some(bed) = bed_with_web("started_by_hand", "state: Stopped") else { return };
    let id = id_of(&bed, "web");
    bed.docker(&["start", &id]);
    await_container(&bed, "web", "it has run and is stopped again", |container| {
        container["State"]["Status"] == "exited" && container["Id"] == id.as_str()
    });
    await_ready(&bed, "Deployment", "web");
}

#[test]
fn a_suspended_object_stays_as_it_was_left() {
    let Some(bed) = bed_with_web("a_suspended_object_stays", "") else { return };
    let before = id_of(&bed, "web");
    bed.write("web.yaml", &deployment("web", "suspend: true"));
    eventually("it is suspended", PATIENCE, || {
        let progressing = crate::support::look::condition(&bed, "Deployment", "web", "Progressing");
        (progressing["reason"] == "Suspended").then_some(())
    });
    bed.docker(&["kill", &before]);
    eventually("the end is observed", PATIENCE, || {
        (crate::support::look::condition(&bed, "Deployment", "web", "Ready")["status"] == "False").then_some(())
    });
    assert_eq!(container_of(&bed, "web")["State"]["Status"], "exited");
    bed.write("web.yaml", &deployment("web", ""));
    assert_eq!(await_running(&bed, "web")["Id"], before.as_str());
}

#[test]
fn a_limit_that_is_changed_while_another_replica_is_being_stopped_is_put_back_soon() {
    let test_name = "a_limit_changed_during_a_stop";
    let Some(engine) = engine_or_skip(test_name) else { return };
    let mut bed = TestBed::new(engine, test_name);
    // Without an init, the program does not end before the grace is over: a pass that lasts longer than a resync.
    let slow = |replicas: u32| {
        let more = format!("replicas: {replicas}, resources: {{ memory: 64MiB }}");
        let text = deployment("web", &more);
        assert!(text.contains("init: true, stop: { grace: 1s }"), "{text}");
        text.replace("init: true, stop: { grace: 1s }", "stop: { grace: 6s }")
    };
    bed.write("web.yaml", &slow(2));
    bed.start_with(&["--resync", "1s"]);
    bed.wait_until_ready();
    await_ready(&bed, "Deployment", "web");
    let names = names_of(&bed, Which::Running, "web");
    bed.write("web.yaml", &slow(1));
    let stopping = eventually("one of them is being stopped", PATIENCE, || {
        let is_disarmed =
            |name: &&String| bed.inspect("container", name)["HostConfig"]["RestartPolicy"]["Name"] == "no";
        names.iter().find(is_disarmed)
    });
    let kept = names.iter().find(|name| *name != stopping).unwrap();
    bed.docker(&["update", "--memory", "96m", "--memory-swap", "192m", kept]);
    assert_eq!(bed.inspect("container", stopping)["State"]["Running"], true, "it is still being stopped");
    await_warning(&bed, "Deployment", "web", "ContainerUpdated");
    await_container(&bed, "web", "it has its limit", |container| container["HostConfig"]["Memory"] == 64 << 20);
}
