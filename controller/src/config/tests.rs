//! Tests of merging and validating.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Config, ConfigErrors, EngineAddress, ListenAddress, Origin, Percent, Setting, Surroundings};

fn load(file: &str, variables: &[(&str, &str)], flags: &[(Setting, &str)]) -> Result<Config, ConfigErrors> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    fs::write(&path, file).unwrap();
    let to_owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let surroundings = Surroundings {
        variables: variables.iter().map(to_owned).collect(),
        is_root: true,
        current_dir: directory.path().to_owned(),
    };
    let flags: BTreeMap<Setting, String> = flags.iter().map(|(setting, text)| (*setting, (*text).to_owned())).collect();
    Config::load(Some(&path), &flags, &surroundings)
}

fn faults(result: Result<Config, ConfigErrors>) -> Vec<String> {
    let diagnostics = result.unwrap_err().to_diagnostics();
    diagnostics
        .into_iter()
        .map(|fault| format!("{} {} [{}]", fault.code, fault.message, fault.hints.join("; ")))
        .collect()
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "resync: 10s\ninstance: from-file\npruneLimit: 5%\nstartConcurrency: 2\nonce: true\n";
    let variables = [("EVENKEEL_RESYNC", "20s"), ("EVENKEEL_INSTANCE", "from-env"), ("EVENKEEL_LISTEN", "")];
    let config = load(file, &variables, &[(Setting::Resync, "1m 30s")]).unwrap();
    assert_eq!(config.resync, Duration::from_secs(90));
    assert_eq!(config.instance.as_str(), "from-env");
    assert_eq!((config.prune_limit, config.start_concurrency, config.once), (Percent(5), 2, true));
    assert_eq!(config.listen, "127.0.0.1:7070".parse::<ListenAddress>().unwrap());
    let origin = |setting| config.origins[&setting].1.clone();
    assert_eq!(origin(Setting::Resync), Origin::Flag("--resync"));
    assert_eq!(origin(Setting::Instance), Origin::Environment("EVENKEEL_INSTANCE"));
    assert!(matches!(origin(Setting::PruneLimit), Origin::File(_)));
    assert_eq!(origin(Setting::Listen), Origin::Default);
    assert_eq!(config.data_dir, Path::new("/var/lib/evenkeel"));
    assert_eq!(config.origins.len(), Setting::ALL.len());
}

#[test]
fn the_engine_is_where_docker_host_says_unless_evenkeel_is_told() {
    let config = load("", &[("DOCKER_HOST", "tcp://10.0.0.1:2375")], &[]).unwrap();
    assert_eq!(config.engine, EngineAddress::Tcp("10.0.0.1:2375".into()));
    assert_eq!(config.origins[&Setting::Engine].1, Origin::Environment("DOCKER_HOST"));
    let config = load("engine: simulated", &[("DOCKER_HOST", "ssh://far")], &[]).unwrap();
    assert_eq!(config.engine, EngineAddress::Simulated);
}

#[test]
fn every_fault_is_told_at_once_with_code_and_hint() {
    let file = "resink: 1s\nResync: 1s\npruneLimit: 30\nresync: 0s\n";
    let found = faults(load(
        file,
        &[("EVENKEEL_LOG", "loud"), ("DOCKER_HOST", "ssh://far")],
        &[(Setting::StartConcurrency, "0")],
    ));
    let starts: Vec<&str> = found.iter().map(|fault| &fault[..5]).collect();
    assert_eq!(starts, ["E0302", "E0302", "E0303", "E0303", "E0303", "E0303", "E0303"], "{found:#?}");
    assert!(found[0].contains("did you mean `resync`?"), "{}", found[0]);
    assert!(found[2].contains("(environment DOCKER_HOST): `ssh://` is not supported"), "{}", found[2]);
    assert!(found[5].contains("a whole share from `0%` to `100%`, such as `30%`"), "{}", found[5]);
}

#[test]
fn data_and_manifests_never_contain_each_other() {
    let cases = [("data", "data/manifests"), ("a/../data/x", "data"), ("same", "./same")];
    for (data_dir, manifests) in cases {
        let found = faults(load("", &[], &[(Setting::DataDir, data_dir), (Setting::Manifests, manifests)]));
        assert!(found.len() == 1 && found[0].starts_with("E0243"), "{data_dir} {manifests}: {found:?}");
    }
    assert!(load("", &[], &[(Setting::DataDir, "data"), (Setting::Manifests, "data-manifests")]).is_ok());
}

#[test]
fn other_hosts_are_let_in_only_on_request() {
    let found = faults(load("listen: 0.0.0.0:7070", &[], &[]));
    assert!(found[0].starts_with("E0304"), "{found:?}");
    assert!(load("listen: 0.0.0.0:7070\nallowRemote: true", &[], &[]).is_ok());
    assert!(load("listen: unix:///run/evenkeel.sock", &[], &[]).is_ok());
}

#[test]
fn a_broken_file_is_one_fault() {
    for file in ["resync: [1]", "- a", "a: b: c", "resync: 1s\nresync: 2s"] {
        let found = faults(load(file, &[], &[]));
        assert!(found.len() == 1 && found[0].starts_with("E0301"), "{file}: {found:?}");
    }
    assert!(
        faults(Config::load(Some(Path::new("/nowhere")), &BTreeMap::new(), &Surroundings::default()))[0]
            .starts_with("E0301")
    );
}
