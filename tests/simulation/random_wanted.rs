//! What random users want: platforms of about ten objects, and changes to them.

use crds_schema::{Kind, ObjectKey};

use super::sim::{BAD_IMAGES, GOOD_IMAGES};
use super::wanted::{App, Spec, Wanted};

/// The names of the deployments.
const APPS: [&str; 8] = ["app-0", "app-1", "app-2", "app-3", "app-4", "app-5", "app-6", "app-7"];
/// The names of the networks.
const NETWORKS: [&str; 2] = ["net-a", "net-b"];
/// The names of the volumes.
const VOLUMES: [&str; 2] = ["vol-a", "vol-b"];
/// The namespaces.
const NAMESPACES: [&str; 2] = ["default", "team"];

/// A platform.
pub(crate) fn platform(random: &mut fastrand::Rng) -> Wanted {
    let mut wanted = Wanted::default();
    for name in NETWORKS {
        wanted.objects.insert(key(Kind::Network, "default", name), Spec::Network { is_internal: random.u8(0..4) == 0 });
    }
    wanted.objects.insert(key(Kind::Network, "team", NETWORKS[0]), Spec::Network { is_internal: false });
    for name in VOLUMES {
        wanted.objects.insert(key(Kind::Volume, "default", name), Spec::Volume { is_deleted: random.bool() });
    }
    for index in 0..random.usize(3..=6) {
        add_app(&mut wanted, index, random);
    }
    wanted
}

/// A change that a user makes, to one object or two. What it refers to is there afterwards or not, as with users.
pub(crate) fn change(wanted: &mut Wanted, random: &mut fastrand::Rng) {
    let apps: Vec<ObjectKey> = wanted.apps().map(|(key, _)| key.clone()).collect();
    match random.u8(0..12) {
        0 => add_app(wanted, random.usize(0..APPS.len()), random),
        1 => {
            let keys: Vec<ObjectKey> = wanted.objects.keys().cloned().collect();
            if let Some(key) = pick(&keys, random) {
                wanted.objects.remove(key);
            }
        }
        2 => {
            let key = key(Kind::Network, "default", NETWORKS[random.usize(0..2)]);
            wanted.objects.insert(key, Spec::Network { is_internal: random.bool() });
        }
        3 => {
            let key = key(Kind::Volume, "default", VOLUMES[random.usize(0..2)]);
            wanted.objects.insert(key, Spec::Volume { is_deleted: random.bool() });
        }
        4 => {
            // The same under another name.
            let Some(old) = pick(&apps, random) else { return };
            if let Some(spec) = wanted.objects.remove(old) {
                let renamed = key(Kind::Deployment, old.namespace.as_str(), &format!("{}-b", old.name));
                wanted.objects.insert(renamed, without_names(spec));
            }
        }
        _ => {
            let Some(key) = pick(&apps, random) else { return };
            let Some(Spec::App(app)) = wanted.objects.get_mut(key) else { return };
            change_app(app, key, random);
        }
    }
}

/// The same without anything that cannot be had: bad images, references to what is not there.
pub(crate) fn mended(mut wanted: Wanted, random: &mut fastrand::Rng) -> Wanted {
    let there = wanted.clone();
    for (key, spec) in &mut wanted.objects {
        let Spec::App(app) = spec else { continue };
        if !GOOD_IMAGES.contains(&app.image) {
            app.image = GOOD_IMAGES[random.usize(0..GOOD_IMAGES.len())];
        }
        app.restart = "Always";
        app.networks.retain(|name| there.has(Kind::Network, key, name));
        app.volume = app.volume.filter(|name| there.has(Kind::Volume, key, name));
        // One that is stopped is never ready.
        let is_up = |name: &&str| {
            there
                .apps()
                .any(|(other, app)| other.namespace == key.namespace && other.name.as_str() == *name && !app.is_stopped)
        };
        app.depends_on.retain(|name| is_up(name));
    }
    wanted
}

fn change_app(app: &mut App, key: &ObjectKey, random: &mut fastrand::Rng) {
    match random.u8(0..13) {
        0..=3 => app.version += 1,
        4 => app.image = GOOD_IMAGES[random.usize(0..GOOD_IMAGES.len())],
        5 => app.image = BAD_IMAGES[random.usize(0..BAD_IMAGES.len())],
        6 => app.replicas = random.u32(0..4),
        7 => app.memory_mib = [None, Some(64), Some(128)][random.usize(0..3)],
        8 => app.networks = networks(key.namespace.as_str(), random),
        9 => app.volume = volume(key.namespace.as_str(), random),
        10 => app.is_stopped = !app.is_stopped,
        11 => app.restart = ["Always", "OnFailure"][random.usize(0..2)],
        _ => {
            app.port = random.bool().then(|| port_of(key));
            app.exact_name = (random.u8(0..3) == 0).then(|| exact_name_of(key));
        }
    }
    set_strategy(app);
    single_where_it_must(app);
}

fn add_app(wanted: &mut Wanted, index: usize, random: &mut fastrand::Rng) {
    let namespace = NAMESPACES[usize::from(index >= 4)];
    let key = key(Kind::Deployment, namespace, APPS[index]);
    let mut app = App {
        image: GOOD_IMAGES[random.usize(0..GOOD_IMAGES.len())],
        version: random.u32(1..1_000),
        replicas: [1, 1, 1, 2, 3][random.usize(0..5)],
        networks: networks(namespace, random),
        volume: volume(namespace, random),
        port: (random.u8(0..5) == 0).then(|| port_of(&key)),
        exact_name: (random.u8(0..8) == 0).then(|| exact_name_of(&key)),
        ..App::default()
    };
    // Only on earlier ones of the same namespace: no circles.
    let first = if namespace == "default" { 0 } else { 4 };
    if index > first && random.u8(0..3) == 0 {
        app.depends_on.push(APPS[random.usize(first..index)]);
    }
    set_strategy(&mut app);
    single_where_it_must(&mut app);
    wanted.objects.insert(key, Spec::App(Box::new(app)));
}

/// How updates go on follows from the version, so that it takes no draw of its own.
fn set_strategy(app: &mut App) {
    app.deadline_secs = match app.version % 3 {
        0 => None,
        1 => Some(15),
        _ => Some(40),
    };
    app.is_paused = app.version.is_multiple_of(7);
}

/// One name and one port are for one container.
fn single_where_it_must(app: &mut App) {
    if app.port.is_some() || app.exact_name.is_some() {
        app.replicas = app.replicas.min(1);
    }
}

fn without_names(spec: Spec) -> Spec {
    match spec {
        Spec::App(app) => Spec::App(Box::new(App { exact_name: None, port: None, ..*app })),
        other @ (Spec::Network { .. } | Spec::Volume { .. }) => other,
    }
}

fn networks(namespace: &str, random: &mut fastrand::Rng) -> Vec<&'static str> {
    let available = if namespace == "default" { &NETWORKS[..] } else { &NETWORKS[..1] };
    available.iter().copied().filter(|_| random.bool()).collect()
}

fn volume(namespace: &str, random: &mut fastrand::Rng) -> Option<&'static str> {
    (namespace == "default" && random.u8(0..4) == 0).then(|| VOLUMES[random.usize(0..2)])
}

fn port_of(key: &ObjectKey) -> u16 {
    let digit = key.name.as_str().bytes().find(u8::is_ascii_digit).unwrap_or(b'9');
    8_000 + u16::from(digit)
}

fn exact_name_of(key: &ObjectKey) -> String {
    format!("the-{}", key.name)
}

/// A key by its parts.
pub(crate) fn key(kind: Kind, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: namespace.parse().expect("a name"), name: name.parse().expect("a name") }
}

/// One of them, where there is any.
pub(crate) fn pick<'items, T>(items: &'items [T], random: &mut fastrand::Rng) -> Option<&'items T> {
    if items.is_empty() { None } else { items.get(random.usize(0..items.len())) }
}
