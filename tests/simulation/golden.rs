//! Golden scenarios: what users do and what befalls a host, one thing at a time. The enumerations interrupt each at every place.

use controller::engine::simulated::DaemonRestart;

use super::sim::Sim;
use super::wanted::{App, Spec, Wanted};

/// One thing that happens to a world that had converged.
pub(crate) struct Scenario {
    /// What it is.
    pub(crate) name: &'static str,
    /// What was wanted before; the world has converged to it.
    pub(crate) before: Wanted,
    /// What somebody does to the Engine, or what befalls it.
    pub(crate) act: fn(&mut Sim),
    /// What is wanted from then on.
    pub(crate) after: Wanted,
}

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    let quiet: fn(&mut Sim) = |_| {};
    let nothing = Wanted::default;
    let one = || Wanted::default().with_app("web", App::default());
    let writer =
        || Wanted::default().with_volume("data").with_app("db", App { volume: Some("data"), ..App::default() });
    let joined =
        || Wanted::default().with_network("back").with_app("web", App { networks: vec!["back"], ..App::default() });
    let scenario = |name, before: Wanted, act, after: Wanted| Scenario { name, before, act, after };
    let edit = |name, before: Wanted, after: Wanted| scenario(name, before, quiet, after);
    let meddle = |name, wanted: Wanted, act| scenario(name, wanted.clone(), act, wanted);
    let chain = || {
        one()
            .with_app("api", App { depends_on: vec!["web"], ..App::default() })
            .with_app("ui", App { depends_on: vec!["api"], image: "health:1", ..App::default() })
    };
    let many = || {
        ["a", "b", "c", "d", "e", "f", "g"]
            .into_iter()
            .fold(nothing(), |wanted, name| wanted.with_app(name, App::default()))
    };
    let deleted = || writer().with("Volume/data", Spec::Volume { is_deleted: true });
    vec![
        edit("create", nothing(), writer().with_network("back")),
        edit("scale up", one(), one().change("web", |app| app.replicas = 3)),
        edit("scale down", one().change("web", |app| app.replicas = 3), one()),
        edit("image", one(), one().change("web", |app| app.image = "app:2")),
        edit("image of a single writer", writer(), writer().change("db", |app| app.image = "app:2")),
        edit(
            "environment of two replicas",
            one().change("web", |app| app.replicas = 2),
            one().change("web", |app| {
                app.replicas = 2;
                app.version = 2;
            }),
        ),
        edit(
            "port",
            one().change("web", |app| app.port = Some(8_001)),
            one().change("web", |app| app.port = Some(8_002)),
        ),
        edit("exact name", one(), one().change("web", |app| app.exact_name = Some("the-web".to_owned()))),
        edit("network replaced", joined(), joined().with("Network/back", Spec::Network { is_internal: true })),
        edit(
            "network joined",
            joined().with_network("front"),
            joined().with_network("front").change("web", |app| {
                app.networks = vec!["back", "front"];
            }),
        ),
        edit(
            "volume added",
            one().with_volume("data"),
            one().with_volume("data").change("web", |app| app.volume = Some("data")),
        ),
        edit("memory", one(), one().change("web", |app| app.memory_mib = Some(64))),
        edit("stopped", one(), one().change("web", |app| app.is_stopped = true)),
        edit("started again", one().change("web", |app| app.is_stopped = true), one()),
        edit("deployment deleted", one().with_app("old", App::default()), one()),
        edit("volume deleted", deleted().with_app("web", App::default()), one()),
        edit("renamed", one().with_app("old", App::default()), one().with_app("new", App::default())),
        edit("dependency chain", one(), chain()),
        edit(
            "crash loop mended",
            one().with_app("bad", App { image: "broken:1", ..App::default() }).without("Deployment/bad"),
            one(),
        ),
        edit("prune of two in seven", many(), many().without("Deployment/a").without("Deployment/b")),
        edit(
            "the same name in two namespaces",
            one(),
            one().with("Deployment/team/web", Spec::App(Box::new(App { version: 2, ..App::default() }))),
        ),
        edit("health check", one(), one().change("web", |app| app.image = "health:1")),
        edit("a program that ignores its stop signal", one().change("web", |app| app.image = "slow:1"), one()),
        meddle("engine restarted", writer(), |sim| sim.engine.external_restart_daemon(DaemonRestart::StopsAll)),
        meddle("engine restarted live", joined(), |sim| sim.engine.external_restart_daemon(DaemonRestart::KeepsAll)),
        meddle("container removed", joined(), |sim| {
            on_first(sim, "web", |sim, id| drop(sim.engine.external_remove(id)));
        }),
        meddle("container stopped", one(), |sim| on_first(sim, "web", |sim, id| drop(sim.engine.external_stop(id, 1)))),
        meddle("container renamed", one(), |sim| {
            on_first(sim, "web", |sim, id| drop(sim.engine.external_rename(id, "somebody-elses")));
        }),
        meddle("container disconnected", joined(), |sim| {
            on_first(sim, "web", |sim, id| drop(sim.engine.external_disconnect(id, "back")));
        }),
        meddle("network removed", joined(), |sim| {
            on_first(sim, "web", |sim, id| drop(sim.engine.external_disconnect(id, "back")));
            drop(sim.engine.external_remove_network("back"));
        }),
    ]
}

fn on_first(sim: &mut Sim, name: &str, act: impl FnOnce(&mut Sim, &str)) {
    let is_it = |id: &String| {
        sim.engine
            .peek(id)
            .is_some_and(|container| container.config.labels.get("evenkeel.dev/name").map(String::as_str) == Some(name))
    };
    let id = sim.engine.all_container_ids().into_iter().find(is_it).expect("it is there");
    act(sim, &id);
}
