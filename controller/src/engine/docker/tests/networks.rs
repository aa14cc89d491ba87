//! Networks and volumes of a real engine.

use planner::observed::{MountConfig, MountKind};
use planner::plan::{EndpointCreate, NetworkCreate, VolumeCreate};

use super::stage::{Stage, on_engine};
use crate::engine::{Engine, ErrorKind};

fn network(stage: &Stage, name: &str) -> NetworkCreate {
    NetworkCreate {
        name: stage.name(name),
        driver: "bridge".into(),
        internal: true,
        labels: stage.labels(),
        options: [("com.docker.network.bridge.enable_icc".to_owned(), "true".to_owned())].into(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_network_from_create_to_remove() {
    on_engine(async |stage| {
        let engine = &stage.engine;
        let mut asked = network(stage, "net");
        let (id, third) = stage.create_network(&mut asked, 24).await;
        let again = engine.create_network(&asked).await.unwrap_err();
        assert!(matches!(again.kind, ErrorKind::NameConflict | ErrorKind::AddressConflict), "{again}");
        let half = vec![(format!("10.213.{third}.128/25"), String::new(), String::new())];
        let overlap = NetworkCreate { subnets: half, ..network(stage, "overlap") };
        let overlap = engine.create_network(&overlap).await.unwrap_err();
        assert_eq!(overlap.kind, ErrorKind::AddressConflict, "{overlap}");
        let listed = engine.list_networks().await.unwrap();
        let found = listed.into_iter().find(|network| network.id == id).unwrap();
        assert_eq!((found.name, found.internal, found.options), (asked.name.clone(), true, asked.options));
        assert_eq!(found.subnets[0].0, asked.subnets[0].0);
        assert!(found.created_ms > 1_600_000_000_000);
        let container = stage.create(&stage.shell("member", "sleep 60")).await;
        engine.start_container(&container).await.unwrap();
        // `none` must be left before another network can be joined.
        let none = engine.list_networks().await.unwrap().into_iter().find(|network| network.name == "none").unwrap();
        engine.disconnect_network(&container, &none.id).await.unwrap();
        let endpoint = EndpointCreate {
            network_id: id.clone(),
            network_name: asked.name.clone(),
            aliases: vec!["web".into()],
            ipv4: Some([10, 213, third, 9].into()),
        };
        engine.connect_network(&container, &endpoint).await.unwrap();
        let twice = engine.connect_network(&container, &endpoint).await.unwrap_err();
        assert_eq!(twice.kind, ErrorKind::NameConflict, "{twice}");
        let detail = stage.inspect(&container).await;
        let joined = &detail.endpoints[&asked.name];
        assert_eq!((joined.network_id.as_str(), joined.fixed_ipv4), (id.as_str(), Some([10, 213, third, 9].into())));
        assert_eq!(joined.aliases, ["web"]);
        let member = (container.clone(), stage.name("member"));
        assert_eq!(engine.network_members(&id).await.unwrap(), [member]);
        let busy = engine.remove_network(&id).await.unwrap_err();
        assert_eq!(busy.kind, ErrorKind::InUse, "{busy}");
        engine.disconnect_network(&container, &id).await.unwrap();
        let gone = engine.disconnect_network(&container, &id).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound, "{gone}");
        engine.remove_network(&id).await.unwrap();
        assert_eq!(engine.remove_network(&id).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(engine.network_members(&id).await.unwrap(), []);
        let gone = engine.connect_network(&container, &endpoint).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound, "{gone}");
    })
    .await;
}

#[tokio::test]
async fn addresses_that_are_taken_or_used_up_are_a_conflict() {
    on_engine(async |stage| {
        let mut asked = network(stage, "tiny");
        let (id, third) = stage.create_network(&mut asked, 29).await;
        let mut last = Ok(());
        for number in 0..7 {
            let mut container = stage.shell(&format!("c{number}"), "sleep 60");
            container.config.network_mode = id.clone();
            let ipv4 = (number < 2).then(|| [10, 213, third, 3].into());
            container.primary_endpoint = Some(EndpointCreate {
                network_id: id.clone(),
                network_name: asked.name.clone(),
                aliases: Vec::new(),
                ipv4,
            });
            let container = stage.create(&container).await;
            last = stage.engine.start_container(&container).await;
            if number == 1 {
                let taken = last.clone().unwrap_err();
                assert_eq!(taken.kind, ErrorKind::AddressConflict, "{taken}");
            }
        }
        let full = last.unwrap_err();
        assert_eq!(full.kind, ErrorKind::AddressConflict, "{full}");
    })
    .await;
}

#[tokio::test]
async fn a_volume_from_create_to_remove() {
    on_engine(async |stage| {
        let engine = &stage.engine;
        let asked = VolumeCreate {
            name: stage.name("vol"),
            driver: "local".into(),
            options: [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            labels: stage.labels(),
        };
        let made = engine.create_volume(&asked).await.unwrap();
        assert_eq!((&made.name, &made.options, &made.labels), (&asked.name, &asked.options, &asked.labels));
        assert!(made.created_ms > 1_600_000_000_000);
        assert!(engine.list_volumes().await.unwrap().contains(&made));
        let mut user = stage.shell("user", "true");
        let kind = MountKind::Volume(asked.name.clone());
        user.config.mounts.push(MountConfig { destination: "/v".into(), kind, read_only: false });
        let user = stage.create(&user).await;
        let busy = engine.remove_volume(&asked.name).await.unwrap_err();
        assert_eq!(busy.kind, ErrorKind::InUse, "{busy}");
        engine.remove_container(&user).await.unwrap();
        engine.remove_volume(&asked.name).await.unwrap();
        assert_eq!(engine.remove_volume(&asked.name).await.unwrap_err().kind, ErrorKind::NotFound);
    })
    .await;
}
