//! Manifests on disk: whatever becomes of the files, what runs goes on until a good manifest says otherwise.

#![expect(clippy::unwrap_used, reason = "a test says what fails by failing")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::engine::{TestBed, Which, always, eventually, text_of};
use crate::support::scene::{NOTHING, PATIENCE, WATCHED, object, scene, sleeper};

/// A controller that prunes soon, beside a deployment `web` in `web.yaml` that runs; with its container's id.
fn bed_with_web(test_name: &str) -> Option<(TestBed, Vec<String>)> {
    let mut bed = scene(test_name)?;
    bed.write("web.yaml", &sleeper("web", ""));
    bed.start_pruning_soon();
    let ids = bed.await_running("web", 1);
    Some((bed, ids))
}

fn always_runs(bed: &TestBed, description: &str, ids: &[String]) {
    always(description, WATCHED, || bed.ids(Which::Running, "web") == ids);
}

fn run(command: &str, directory: &Path) {
    let output = Command::new("sh").args(["-c", command]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{command}: {}", text_of(&output));
}

#[test]
fn a_broken_file_changes_nothing_is_reported_with_file_line_and_code_and_other_files_go_on() {
    let Some((bed, ids)) = bed_with_web("a_broken_file_changes_nothing") else { return };
    bed.write("web.yaml", &sleeper("web", "replcas: 2"));
    bed.write("other.yaml", &sleeper("other", ""));
    let fault = bed.await_fault("web.yaml", "E0111");
    assert_eq!(fault["spans"][0]["line"], 9, "{fault}");
    assert!(fault["hints"].to_string().contains("replicas"), "{fault}");
    bed.await_event("InvalidManifest", "web.yaml:9");
    bed.await_event("InvalidManifest", "E0111");
    bed.await_running("other", 1);
    assert_eq!(bed.ids(Which::All, "web"), ids);
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    bed.await_no_fault();
    let after = bed.await_running("web", 2);
    assert!(after.contains(&ids[0]), "the one that ran is kept: {after:?}");
}

#[test]
fn a_half_written_file_changes_nothing_and_the_whole_one_is_taken() {
    let Some((bed, ids)) = bed_with_web("a_half_written_file") else { return };
    let text =
        sleeper("web", "replicas: 2").replace("$ns", &bed.namespace()).replace("$image", "evenkeel.test/busybox:1");
    let (half, rest) = text.split_at(text.find("command").unwrap() + 12);
    let mut file = fs::File::create(bed.manifests().join("web.yaml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    always_runs(&bed, "half a file changes nothing", &ids);
    assert!(!bed.messages("InvalidManifest").is_empty(), "it is reported");
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    assert!(bed.await_running("web", 2).contains(&ids[0]));
}

#[test]
fn a_renamed_file_moves_nothing() {
    let Some((bed, ids)) = bed_with_web("a_renamed_file_moves_nothing") else { return };
    fs::create_dir(bed.manifests().join("below")).unwrap();
    fs::rename(bed.manifests().join("web.yaml"), bed.manifests().join("below/app.yml")).unwrap();
    always_runs(&bed, "a renamed file moves nothing", &ids);
    // That it was read from its new place is seen by what is changed there.
    run("sed -i 's/3600/3601/' app.yml", &bed.manifests().join("below"));
    bed.await_replaced("web", &ids[0]);
}

#[test]
fn a_file_that_is_renamed_and_broken_at_once_removes_nothing() {
    let Some((bed, ids)) = bed_with_web("a_file_renamed_and_broken") else { return };
    bed.write("other.yaml", &sleeper("other", ""));
    bed.await_running("other", 1);
    fs::rename(bed.manifests().join("web.yaml"), bed.manifests().join("app.yaml")).unwrap();
    run("echo '  typo: 1' >>app.yaml", &bed.manifests());
    bed.await_fault("app.yaml", "E0111");
    always_runs(&bed, "what a broken file may hold is not removed", &ids);
    run("sed -i /typo/d app.yaml", &bed.manifests());
    bed.await_no_fault();
    always_runs(&bed, "and is the same when it is mended", &ids);
}

#[test]
fn an_object_that_moves_to_a_file_that_is_broken_meanwhile_stays() {
    let Some((bed, ids)) = bed_with_web("an_object_moves_to_a_broken_file") else { return };
    bed.write("other.yaml", &sleeper("other", ""));
    bed.await_running("other", 1);
    bed.write("other.yaml", &format!("{}{}", sleeper("other", "typo: 1"), sleeper("web", "")));
    bed.await_fault("other.yaml", "E0111");
    bed.remove("web.yaml");
    always_runs(&bed, "it may be in the broken file", &ids);
}

#[test]
fn temporary_files_of_editors_and_tools_are_ignored() {
    let Some((bed, ids)) = bed_with_web("temporary_files_are_ignored") else { return };
    for name in
        [".web.yaml.swp", "web.yaml~", "4913", "sedAbCdEf", ".#web.yaml", "#web.yaml#", "web.yaml.tmp", ".git/web.yaml"]
    {
        bed.write(name, &sleeper("stranger", ""));
    }
    bed.write("last.yaml", &sleeper("last", ""));
    bed.await_running("last", 1);
    assert_eq!(bed.ids(Which::All, "stranger"), NOTHING);
    assert_eq!(bed.ids(Which::Running, "web"), ids);
    bed.await_no_fault();
}

#[test]
fn a_file_replaced_by_renaming_is_seen() {
    let Some((bed, ids)) = bed_with_web("a_file_replaced_by_renaming") else { return };
    run("sed -i 's/3600/3601/' web.yaml", &bed.manifests());
    let next = bed.await_replaced("web", &ids[0]);
    run("sed -i 's/3601/3602/' web.yaml", &bed.manifests());
    bed.await_replaced("web", &next);
}

#[test]
fn a_swapped_symlink_is_seen() {
    let Some(mut bed) = scene("a_swapped_symlink_is_seen") else { return };
    bed.write("..1/web.yaml", &sleeper("web", ""));
    bed.write("..2/web.yaml", &sleeper("web", "replicas: 2"));
    symlink("..1", bed.manifests().join("..data")).unwrap();
    symlink("..data/web.yaml", bed.manifests().join("web.yaml")).unwrap();
    bed.start();
    let ids = bed.await_running("web", 1);
    symlink("..2", bed.manifests().join("..next")).unwrap();
    fs::rename(bed.manifests().join("..next"), bed.manifests().join("..data")).unwrap();
    assert!(bed.await_running("web", 2).contains(&ids[0]));
    assert_eq!(bed.ids(Which::All, "web").len(), 2, "nothing is read twice");
}

#[test]
fn an_emptied_file_holds_its_objects() {
    let Some((bed, ids)) = bed_with_web("an_emptied_file_holds_its_objects") else { return };
    fs::write(bed.manifests().join("web.yaml"), "").unwrap();
    bed.await_fault("web.yaml", "E0101");
    always_runs(&bed, "an emptied file holds its objects", &ids);
    fs::write(bed.manifests().join("web.yaml"), "# nothing\n---\n").unwrap();
    always_runs(&bed, "and so does one with comments only", &ids);
}

#[test]
fn a_vanished_directory_removes_nothing_and_is_reported() {
    let Some((bed, ids)) = bed_with_web("a_vanished_directory") else { return };
    let aside = bed.manifests().with_file_name("aside");
    fs::rename(bed.manifests(), &aside).unwrap();
    bed.await_event("SourceUnavailable", "cannot read the manifest directory");
    assert!(bed.controller_view()["sourceProblem"].is_string());
    always_runs(&bed, "a vanished directory removes nothing", &ids);
    fs::rename(&aside, bed.manifests()).unwrap();
    eventually("the directory is back", PATIENCE, || bed.controller_view()["sourceProblem"].is_null().then_some(()));
    run("sed -i 's/3600/3601/' web.yaml", &bed.manifests());
    bed.await_replaced("web", &ids[0]);
}

#[test]
fn an_emptied_directory_removes_nothing_until_it_is_confirmed() {
    let Some((bed, ids)) = bed_with_web("an_emptied_directory") else { return };
    bed.remove("web.yaml");
    bed.await_event("PruneHeld", "the manifest directory is empty");
    always_runs(&bed, "an emptied directory removes nothing", &ids);
    let token = bed.controller_view()["pruneHeld"]["token"].as_str().unwrap().to_owned();
    let confirmed = bed.evenkeel(&["prune", "--confirm", &token]);
    assert!(confirmed.status.success(), "{}", text_of(&confirmed));
    bed.await_running("web", 0);
}

#[test]
fn a_directory_replaced_by_another_is_noticed() {
    let Some((bed, ids)) = bed_with_web("a_directory_replaced_by_another") else { return };
    let next = bed.manifests().with_file_name("next");
    fs::create_dir(&next).unwrap();
    fs::copy(bed.manifests().join("web.yaml"), next.join("web.yaml")).unwrap();
    run("sed -i 's/3600/3601/' web.yaml", &next);
    fs::rename(bed.manifests(), bed.manifests().with_file_name("before")).unwrap();
    fs::rename(&next, bed.manifests()).unwrap();
    let replaced = bed.await_replaced("web", &ids[0]);
    // The new directory is watched from now on.
    run("sed -i 's/3601/3602/' web.yaml", &bed.manifests());
    bed.await_replaced("web", &replaced);
}

#[test]
fn a_restart_while_a_file_is_broken_keeps_its_objects() {
    let Some((mut bed, ids)) = bed_with_web("a_restart_while_a_file_is_broken") else { return };
    bed.await_ready("Deployment", "web");
    bed.kill();
    bed.write("web.yaml", "kind: Deployment\n  broken");
    bed.start_pruning_soon();
    always_runs(&bed, "the last good version counts after a restart", &ids);
    assert!(bed.condition("Deployment", "web", "Ready").is_true);
    // It is looked after as well.
    bed.docker(&["rm", "--force", &ids[0]]);
    bed.await_replaced("web", &ids[0]);
}

#[test]
fn what_is_no_regular_file_is_reported_and_changes_nothing() {
    let Some((bed, ids)) = bed_with_web("what_is_no_regular_file") else { return };
    symlink("/etc/hostname", bed.manifests().join("out.yaml")).unwrap();
    symlink("loop.yaml", bed.manifests().join("loop.yaml")).unwrap();
    symlink("nowhere", bed.manifests().join("dangling.yaml")).unwrap();
    fs::create_dir(bed.manifests().join("folder.yaml")).unwrap();
    run("mkfifo pipe.yaml", &bed.manifests());
    for file in ["out.yaml", "loop.yaml", "dangling.yaml", "folder.yaml", "pipe.yaml"] {
        bed.await_fault(file, "E0124");
    }
    assert_eq!(bed.ids(Which::All, "web"), ids);
}

#[test]
fn a_file_that_becomes_a_symlink_out_keeps_its_objects() {
    let Some((bed, ids)) = bed_with_web("a_file_becomes_a_symlink_out") else { return };
    bed.remove("web.yaml");
    symlink("/etc/hostname", bed.manifests().join("web.yaml")).unwrap();
    bed.await_fault("web.yaml", "E0124");
    always_runs(&bed, "its last good version counts", &ids);
}

#[test]
fn a_host_path_that_leads_to_a_denied_one_by_a_symlink_is_refused() {
    let Some((bed, ids)) = bed_with_web("a_host_path_that_leads_to_a_denied_one") else { return };
    symlink("/etc", bed.manifests().join("innocent")).unwrap();
    bed.write("web.yaml", &sleeper("web", "mounts: [{ host: ./innocent, path: /host }]"));
    bed.await_fault("web.yaml", "E0215");
    always_runs(&bed, "it is not mounted", &ids);
}

#[test]
fn two_files_that_define_one_object_are_both_named_and_change_nothing() {
    let Some((bed, ids)) = bed_with_web("two_files_that_define_one_object") else { return };
    bed.write("copy.yaml", &sleeper("web", "replicas: 3"));
    let fault = bed.await_fault("copy.yaml", "E0202");
    assert!(fault["spans"].to_string().contains("\"web.yaml\"") || fault.to_string().contains("web.yaml"), "{fault}");
    always_runs(&bed, "neither counts", &ids);
    bed.remove("copy.yaml");
    bed.await_no_fault();
    always_runs(&bed, "and nothing has changed when it is over", &ids);
}

#[test]
fn a_restart_keeps_the_last_good_version_of_what_clashes() {
    let Some((mut bed, ids)) = bed_with_web("a_restart_keeps_what_clashes") else { return };
    bed.await_ready("Deployment", "web");
    // Each file is good by itself, but the two clash.
    bed.write("zz-copy.yaml", &sleeper("web", "replicas: 3"));
    bed.await_fault("zz-copy.yaml", "E0202");
    bed.write("web.yaml", &sleeper("web", "replicas: 2"));
    always_runs(&bed, "neither counts", &ids);
    bed.stop();
    bed.start_pruning_soon();
    always_runs(&bed, "a restart makes nothing good that was refused", &ids);
    bed.remove("zz-copy.yaml");
    assert!(bed.await_running("web", 2).contains(&ids[0]));
}

#[test]
fn a_data_directory_inside_the_manifests_is_refused_at_the_start() {
    let Some(bed) = scene("a_data_directory_inside_the_manifests") else { return };
    let inside = bed.data().join("manifests");
    fs::create_dir(&inside).unwrap();
    for manifests in [bed.data(), inside, bed.manifests().join("..")] {
        let refused = bed.evenkeel(&["run", "--once", "--manifests", &manifests.display().to_string()]);
        assert_eq!(refused.status.code(), Some(2), "{manifests:?}");
        assert!(text_of(&refused).contains("E0243"), "{}", text_of(&refused));
    }
}

#[test]
fn hostile_manifests_each_get_their_error_and_what_runs_stays_the_same() {
    let Some((bed, ids)) = bed_with_web("hostile_manifests") else { return };
    let deep = format!("a: {}1{}", "[".repeat(200), "]".repeat(200));
    let long = format!("a: {}", "x".repeat(300 << 10));
    let deployment = |spec: &str| sleeper("evil", spec);
    let hostile: [(&str, String); 18] = [
        ("alias bomb", "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n".into()),
        ("tag", "!!python/object/apply:os.system ['id']\n".into()),
        ("merge key", deployment("<<: { replicas: 100 }")),
        ("deep", deep),
        ("long", long),
        ("control characters", "kind: \u{7}\u{1b}[2J\n".into()),
        ("a name that is a path", sleeper("../../web", "")),
        ("a name that is too long", sleeper(&"w".repeat(300), "")),
        ("duplicate key", deployment("replicas: 1\nreplicas: 100")),
        ("replicas without end", deployment("replicas: 1000000")),
        ("the host's root", deployment("mounts: [{ host: /, path: /host }]")),
        ("the engine's socket", deployment("mounts: [{ host: /var/run/docker.sock, path: /s }]")),
        ("privileged", deployment("security: { privileged: true }")),
        ("host processes", deployment("security: { hostPid: true }")),
        (
            "a bind by driver options",
            object("Volume", "evil", "spec: { driverOpts: { type: none, o: bind, device: / } }\n"),
        ),
        ("a signal that does not exist", deployment("labels: { evenkeel.dev/instance: other }")),
        ("an alien kind", object("Pod", "evil", "spec: {}\n")),
        ("nonsense", "\u{0}\u{1}\u{2}".into()),
    ];
    for (what, text) in &hostile {
        bed.write("evil.yaml", text);
        let has_fault = || {
            let view = bed.controller_view();
            let diagnostics = view["diagnostics"].as_array().cloned().unwrap_or_default();
            let fault = diagnostics.iter().find(|fault| fault.to_string().contains("evil.yaml"))?;
            assert!(!fault.to_string().contains('\u{1b}'), "{what}: {fault}");
            Some(())
        };
        eventually(&format!("a fault for {what}"), PATIENCE, has_fault);
        bed.remove("evil.yaml");
        bed.await_no_fault();
    }
    assert_eq!(bed.ids(Which::All, "web"), ids);
    assert_eq!(bed.ids(Which::All, "evil"), NOTHING);
    let ready = bed.condition("Deployment", "web", "Ready");
    assert!(ready.is_true, "{ready:?}");
}
