//! Runs one sequence on one Engine and writes its transcript.

use std::collections::BTreeMap;
use std::time::Duration;

use planner::observed::{ContainerConfig, ContainerDetail, ContainerState, Health, Limits, MountConfig, MountKind};
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};
use tokio::time::sleep;

use super::image::reference_of;
use super::outside::{Outside, OutsideAction};
use super::recorder::{EventRecorder, Names, SUBNETS};
use super::script::{Sequence, Step, Verb};
use crate::engine::{Engine, EngineError};

/// The label of everything that a sequence makes.
pub(super) const LABEL: &str = "evenkeel-contract";
/// How long an await waits.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Where sequences run.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// The Engine.
    pub engine: &'a dyn Engine,
    /// Somebody else on it.
    pub outside: &'a dyn Outside,
    /// What all names begin with, so that runs on one Engine do not meet.
    pub prefix: &'a str,
    /// How long events may be under way.
    pub settle: Duration,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("engine", &self.engine).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// One run.
struct Run<'a> {
    stage: Stage<'a>,
    names: Names,
    containers: Vec<String>,
    networks: Vec<String>,
    volumes: Vec<String>,
}

/// What a step came to: what it tells beyond having been done.
type Told = Result<String, EngineError>;

/// Runs a sequence; `index` tells it apart from those that run at the same time. Removes what it made.
///
/// # Errors
/// When the Engine does not let itself be listened to. What a step comes to is part of the transcript.
pub async fn run_sequence(stage: Stage<'_>, sequence: &Sequence, index: usize) -> Result<String, EngineError> {
    let recorder = EventRecorder::listen(stage.engine.events().await?);
    let mut run = Run {
        stage,
        names: Names::new(stage.prefix, index),
        containers: Vec::new(),
        networks: Vec::new(),
        volumes: Vec::new(),
    };
    let mut transcript = format!("== {}\n", sequence.name);
    for step in &sequence.steps {
        transcript += &run.take(step).await;
    }
    sleep(stage.settle).await;
    transcript += &recorder.finish(&run.names);
    run.clean().await;
    Ok(transcript)
}

impl Run<'_> {
    async fn take(&mut self, step: &Step) -> String {
        let told = match step.verb {
            Verb::Network | Verb::Volume | Verb::RemoveNetwork | Verb::RemoveVolume => self.keep_house(step).await,
            Verb::Pull | Verb::Image | Verb::Members | Verb::Holder | Verb::Logs => self.ask(step).await,
            Verb::ShowNetwork | Verb::ShowVolume => self.show_listed(step).await,
            Verb::Await => return format!("{}\n{}", step.text, self.wait_for(step).await),
            Verb::Sleep => {
                sleep(Duration::from_millis(step.subject.parse().unwrap_or(0))).await;
                return String::new();
            }
            Verb::Outside(action) => return self.act_outside(step, action).await,
            Verb::Create
            | Verb::Start
            | Verb::Stop
            | Verb::Remove
            | Verb::Unpause
            | Verb::Rename
            | Verb::Update
            | Verb::Connect
            | Verb::Disconnect
            | Verb::Show => self.handle_container(step).await,
        };
        let mut line = match &told {
            Ok(told) if told.is_empty() => format!("{}\n", step.text),
            Ok(told) => format!("{}\n{told}\n", step.text),
            Err(error) => format!("{}\n    {}\n", step.text, self.tell_error(error)),
        };
        if step.is_observed && self.containers.contains(&step.subject) && step.verb != Verb::Show {
            line += &self.observe(&step.subject).await;
        }
        line
    }

    fn tell_error(&self, error: &EngineError) -> String {
        let status = error.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        format!("{status} {:?}: {}", error.kind, self.names.tidy(&error.text))
    }

    async fn inspect(&self, symbol: &str) -> Result<Option<ContainerDetail>, EngineError> {
        self.stage.engine.inspect_container(&self.names.id_of(symbol)).await
    }

    async fn observe(&self, symbol: &str) -> String {
        match self.inspect(symbol).await {
            Ok(found) => self.names.summarise(symbol, found.as_ref()) + "\n",
            Err(error) => format!("  {symbol}: {}\n", self.tell_error(&error)),
        }
    }

    async fn keep_house(&mut self, step: &Step) -> Told {
        let engine = self.stage.engine;
        match step.verb {
            Verb::Network => {
                let create = self.network_create(step);
                let id = engine.create_network(&create).await?;
                self.networks.push(id.clone());
                self.names.learn(&id, &step.subject);
            }
            Verb::Volume => {
                let create = VolumeCreate {
                    name: self.names.engine_name(&step.subject),
                    driver: step.option("driver").unwrap_or("local").to_owned(),
                    options: BTreeMap::new(),
                    labels: labels_of(step),
                };
                let volume = engine.create_volume(&create).await?;
                self.volumes.push(create.name);
                let mut labels = volume.labels;
                labels.remove(LABEL);
                return Ok(format!("    driver {} labels {labels:?}", volume.driver));
            }
            Verb::RemoveNetwork => engine.remove_network(&self.names.id_of(&step.subject)).await?,
            _ => engine.remove_volume(&self.names.engine_name(&step.subject)).await?,
        }
        Ok(String::new())
    }

    fn network_create(&self, step: &Step) -> NetworkCreate {
        let subnet = match step.option("subnet") {
            Some("none") => None,
            Some(subnet) => Some(subnet.replace("<subnet>.", &self.names.subnet(0))),
            None => Some(format!("{}0/24", self.names.subnet(self.networks.len() % SUBNETS))),
        };
        let gateway = step.option("gateway").unwrap_or_default().replace("<subnet>.", &self.names.subnet(0));
        NetworkCreate {
            name: match step.option("name") {
                Some(exact) => exact.to_owned(),
                None => self.names.engine_name(step.subject.trim_end_matches('\'')),
            },
            driver: step.option("driver").unwrap_or("bridge").to_owned(),
            internal: step.option("internal").is_some(),
            attachable: false,
            ipv6: false,
            subnets: subnet.map(|subnet| (subnet, gateway, String::new())).into_iter().collect(),
            options: BTreeMap::new(),
            labels: labels_of(step),
        }
    }

    async fn ask(&self, step: &Step) -> Told {
        let engine = self.stage.engine;
        Ok(match step.verb {
            Verb::Pull => {
                engine.pull_image(&step.subject).await?;
                String::new()
            }
            Verb::Image => match engine.inspect_image(&image_reference(&step.subject)).await? {
                None => "    absent".to_owned(),
                Some(image) => format!(
                    "    entrypoint {:?} cmd {:?} user `{}` volumes {:?} healthcheck {} labels {:?}",
                    image.entrypoint, image.cmd, image.user, image.volumes, image.has_healthcheck, image.labels
                ),
            },
            Verb::Members => {
                let members = engine.network_members(&self.names.id_of(&step.subject)).await?;
                let mut members: Vec<String> = members.iter().map(|(_, name)| self.names.tidy(name)).collect();
                members.sort();
                format!("    members {members:?}")
            }
            Verb::Holder => {
                let holder = engine.find_port_holder(self.names.port(&step.subject)).await?;
                format!("    holder {:?}", holder.map(|name| self.names.tidy(&name)))
            }
            _ => {
                let logs = engine.tail_logs(&self.names.id_of(&step.subject), 2).await?;
                format!("    logs {:?}", logs.trim_end())
            }
        })
    }

    async fn show_listed(&self, step: &Step) -> Told {
        let engine = self.stage.engine;
        if step.verb == Verb::ShowVolume {
            let name = self.names.engine_name(&step.subject);
            let found = engine.list_volumes().await?.into_iter().find(|volume| volume.name == name);
            return Ok(found.map_or_else(
                || "    absent".to_owned(),
                |mut volume| {
                    volume.labels.remove(LABEL);
                    format!("    driver {} options {:?} labels {:?}", volume.driver, volume.options, volume.labels)
                },
            ));
        }
        let id = self.names.id_of(&step.subject);
        let found = engine.list_networks().await?.into_iter().find(|network| network.id == id);
        Ok(found.map_or_else(
            || "    absent".to_owned(),
            |mut network| {
                network.labels.remove(LABEL);
                let text = format!(
                    "    {} driver {} internal {} subnets {:?} labels {:?}",
                    network.name, network.driver, network.internal, network.subnets, network.labels
                );
                self.names.tidy(&text)
            },
        ))
    }

    async fn handle_container(&mut self, step: &Step) -> Told {
        let engine = self.stage.engine;
        let id = self.names.id_of(&step.subject);
        match step.verb {
            Verb::Create => {
                let create = self.container_create(step);
                let created = engine.create_container(&create).await?;
                self.names.learn(&created.id, &step.subject);
                self.containers.push(step.subject.clone());
            }
            Verb::Start => engine.start_container(&id).await?,
            Verb::Stop => engine.stop_container(&id, step.object.parse().unwrap_or(1)).await?,
            Verb::Remove => engine.remove_container(&id).await?,
            Verb::Unpause => engine.unpause_container(&id).await?,
            Verb::Rename => {
                let name =
                    if step.object.contains('!') { "!".to_owned() } else { self.names.engine_name(&step.object) };
                engine.rename_container(&id, &name).await?;
            }
            Verb::Update => engine.update_container(&id, &limits_of(step)).await?,
            Verb::Connect => engine.connect_network(&id, &self.endpoint(step, &step.object)).await?,
            Verb::Disconnect => engine.disconnect_network(&id, &self.names.id_of(&step.object)).await?,
            _ => {
                let found = self.inspect(&step.subject).await?;
                return Ok(found.map_or_else(|| "    absent".to_owned(), |found| self.names.describe(&found)));
            }
        }
        Ok(String::new())
    }

    fn endpoint(&self, step: &Step, network: &str) -> EndpointCreate {
        EndpointCreate {
            network_id: self.names.id_of(network),
            network_name: self.names.engine_name(network),
            aliases: step.values("alias").map(str::to_owned).collect(),
            ipv4: step.option("ip").and_then(|ip| ip.replace("<subnet>.", &self.names.subnet(0)).parse().ok()),
        }
    }

    fn container_create(&self, step: &Step) -> ContainerCreate {
        let network = step.option("net").filter(|net| !["none", "host", "bridge"].contains(net));
        let primary_endpoint = network.map(|network| self.endpoint(step, network));
        let network_mode = match (&primary_endpoint, step.option("net")) {
            (Some(endpoint), _) => endpoint.network_id.clone(),
            (None, mode) => mode.unwrap_or_default().to_owned(),
        };
        let name = match step.option("name") {
            Some("!") => "!".to_owned(),
            Some(name) => self.names.engine_name(name),
            None => self.names.engine_name(&step.subject),
        };
        let list = |key: &str| step.values(key).map(str::to_owned).collect::<Vec<String>>();
        let words = |key: &str| step.option(key).map(|text| text.split(',').map(str::to_owned).collect());
        let mut port_bindings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (host, inside) in step.values("port").filter_map(|port| port.split_once(':')) {
            let binding = format!("127.0.0.1:{}", self.names.port(host));
            port_bindings.entry(format!("{inside}/tcp")).or_default().push(binding);
        }
        let mut config = ContainerConfig {
            image: image_reference(step.option("image").unwrap_or("loop")),
            entrypoint: words("entrypoint"),
            cmd: words("cmd"),
            user: step.option("user").unwrap_or_default().to_owned(),
            hostname: step.option("hostname").unwrap_or_default().to_owned(),
            env: list("env").iter().map(|pair| pair.replacen(':', "=", 1)).collect(),
            labels: labels_of(step),
            port_bindings,
            network_mode,
            mounts: self.mounts(step),
            read_only_root: step.option("readonly").is_some(),
            cap_drop: list("capdrop"),
            stop_signal: step.option("signal").unwrap_or("SIGTERM").to_owned(),
            init: step.option("init").is_some(),
            ..ContainerConfig::default()
        };
        config.mounts.sort();
        ContainerCreate { name, config, limits: limits_of(step), primary_endpoint }
    }

    fn mounts(&self, step: &Step) -> Vec<MountConfig> {
        let mut mounts = Vec::new();
        for key in ["vol", "bind", "tmpfs"] {
            for value in step.values(key) {
                let (source, rest) = value.split_once(':').unwrap_or((value, "/data"));
                let (destination, read_only) =
                    rest.strip_suffix(":ro").map_or((rest, false), |destination| (destination, true));
                let kind = match key {
                    "vol" => MountKind::Volume(self.names.engine_name(source)),
                    "bind" => MountKind::Bind(source.to_owned()),
                    _ => MountKind::Tmpfs(source.parse().unwrap_or(0)),
                };
                mounts.push(MountConfig { destination: destination.to_owned(), kind, read_only });
            }
        }
        mounts
    }

    /// Waits until a container is as the step says, then tells what it is.
    async fn wait_for(&self, step: &Step) -> String {
        let mut waited = Duration::ZERO;
        loop {
            let found = match self.inspect(&step.subject).await {
                Ok(found) => found,
                Err(error) => return format!("    {}\n", self.tell_error(&error)),
            };
            let is_met = is_so(found.as_ref(), &step.object);
            if is_met || waited >= PATIENCE {
                let never = if is_met { String::new() } else { format!("    never {}\n", step.object) };
                let told = self.names.summarise(&step.subject, found.as_ref()) + "\n";
                return never + if step.is_observed { &told } else { "" };
            }
            sleep(INTERVAL).await;
            waited += INTERVAL;
        }
    }

    async fn act_outside(&self, step: &Step, action: OutsideAction) -> String {
        let acted = self.stage.outside.act(action, &self.names.id_of(&step.subject)).await;
        let told = acted.err().map(|text| format!("    {}\n", self.names.tidy(&text))).unwrap_or_default();
        let mut line = format!("{}\n{told}", step.text);
        if step.is_observed {
            line += &self.observe(&step.subject).await;
        }
        line
    }

    /// Removes everything, the last made first; what is gone is gone.
    async fn clean(&self) {
        for symbol in self.containers.iter().rev() {
            drop(self.stage.outside.act(OutsideAction::ForceRemove, &self.names.id_of(symbol)).await);
        }
        for id in self.networks.iter().rev() {
            drop(self.stage.engine.remove_network(id).await);
        }
        for name in &self.volumes {
            drop(self.stage.engine.remove_volume(name).await);
        }
    }
}

fn is_so(found: Option<&ContainerDetail>, wanted: &str) -> bool {
    let Some(container) = found else { return wanted == "absent" };
    match wanted {
        "healthy" => container.status.health == Health::Healthy,
        "unhealthy" => {
            container.status.health == Health::Unhealthy && container.status.state == ContainerState::Running
        }
        "restarted" => container.restart_count >= 1 && container.status.state == ContainerState::Running,
        "restarted-twice" => container.restart_count >= 2,
        state => container.status.state.as_str() == state,
    }
}

fn image_reference(name: &str) -> String {
    if name.contains(['/', ':']) { name.to_owned() } else { reference_of(name) }
}

fn labels_of(step: &Step) -> BTreeMap<String, String> {
    let pairs = step.values("label").filter_map(|pair| pair.split_once(':'));
    let mut labels: BTreeMap<String, String> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    labels.insert(LABEL.to_owned(), "1".to_owned());
    labels
}

fn limits_of(step: &Step) -> Limits {
    let number = |key: &str| step.option(key).and_then(|text| text.parse().ok()).unwrap_or(0);
    let mebibytes = |key: &str| if number(key) < 0 { number(key) } else { number(key) * 1024 * 1024 };
    Limits {
        nano_cpus: number("cpus") * 1_000_000,
        memory: mebibytes("mem"),
        memory_swap: mebibytes("swap"),
        pids: number("pids"),
        restart: step.option("restart").unwrap_or_default().to_owned(),
    }
}
