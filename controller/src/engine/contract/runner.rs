//! Runs one sequence on one Engine and writes its transcript.

use std::collections::BTreeMap;
use std::time::Duration;

use planner::observed::{ContainerDetail, ContainerState, Health};
use planner::plan::VolumeCreate;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{sleep, timeout};

use super::names::Names;
use super::outside::{Outside, OutsideAction};
use super::recorder::EventRecorder;
use super::request::{LABEL, image_reference, labels_of, limits_of};
use super::script::{Ask, Handle, Keep, Sequence, Step, Verb};
use crate::engine::{Engine, EngineError};

/// How long an await waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a program has to end when it is stopped, in seconds: more than any machine that is busy needs to be told of its end.
const GRACE: u32 = 10;
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
/// An Engine tells an event some time after what it tells of: with `expected`, a transcript of the same sequence, the events are
/// waited for until they are those of it, or patience is at its end.
///
/// # Errors
/// When the Engine does not let itself be listened to. What a step comes to is part of the transcript.
pub async fn run_sequence(
    stage: Stage<'_>,
    sequence: &Sequence,
    index: usize,
    expected: Option<&str>,
) -> Result<String, EngineError> {
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
    if let Some(expected) = expected {
        let events = expected.find("\nevents of ").and_then(|at| expected.get(at + 1..)).unwrap_or_default();
        let mut waited = Duration::ZERO;
        while recorder.heard(&run.names) != events && waited < PATIENCE {
            sleep(INTERVAL).await;
            waited += INTERVAL;
        }
    }
    sleep(stage.settle).await;
    transcript += &recorder.heard(&run.names);
    run.clean().await;
    Ok(transcript)
}

impl Run<'_> {
    async fn take(&mut self, step: &Step) -> String {
        let told = match step.verb {
            Verb::Keep(keep) => self.keep(keep, step).await,
            Verb::Ask(ask) => self.ask(ask, step).await,
            Verb::Handle(handle) => self.handle(handle, step).await,
            Verb::Await => return format!("{}\n{}", step.text, self.wait_for(step).await),
            Verb::Sleep => {
                sleep(Duration::from_millis(step.subject.parse().unwrap_or(0))).await;
                return String::new();
            }
            Verb::Outside(action) => return self.act_outside(step, action).await,
        };
        let mut line = match &told {
            Ok(told) if told.is_empty() => format!("{}\n", step.text),
            Ok(told) => format!("{}\n{told}\n", step.text),
            Err(error) => format!("{}\n    {}\n", step.text, self.tell_error(error)),
        };
        if step.is_observed
            && self.containers.contains(&step.subject)
            && !matches!(step.verb, Verb::Handle(Handle::Show | Handle::List))
        {
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

    async fn keep(&mut self, keep: Keep, step: &Step) -> Told {
        let engine = self.stage.engine;
        match keep {
            Keep::Network => {
                let create = self.names.network_create(step, self.networks.len());
                let id = engine.create_network(&create).await?;
                self.networks.push(id.clone());
                self.names.learn(&id, &step.subject);
            }
            Keep::Volume => {
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
            Keep::RemoveNetwork => engine.remove_network(&self.names.id_of(&step.subject)).await?,
            Keep::RemoveVolume => engine.remove_volume(&self.names.engine_name(&step.subject)).await?,
        }
        Ok(String::new())
    }

    async fn ask(&self, ask: Ask, step: &Step) -> Told {
        let engine = self.stage.engine;
        Ok(match ask {
            Ask::Pull => {
                engine.pull_image(&step.subject).await?;
                String::new()
            }
            Ask::Image => match engine.inspect_image(&image_reference(&step.subject)).await? {
                None => "    absent".to_owned(),
                Some(image) => format!(
                    "    entrypoint {:?} cmd {:?} user `{}` volumes {:?} healthcheck {} labels {:?}",
                    image.entrypoint, image.cmd, image.user, image.volumes, image.has_healthcheck, image.labels
                ),
            },
            Ask::Members => {
                let members = engine.network_members(&self.names.id_of(&step.subject)).await?;
                let mut members: Vec<String> = members.iter().map(|(_, name)| self.names.tidy(name)).collect();
                members.sort();
                format!("    members {members:?}")
            }
            Ask::Holder => {
                let holder = engine.find_port_holder(self.names.port(&step.subject)).await?;
                format!("    holder {:?}", holder.map(|name| self.names.tidy(&name)))
            }
            Ask::Network => return self.show_network(step).await,
            Ask::Volume => return self.show_volume(step).await,
            Ask::Logs => {
                let logs = engine.tail_logs(&self.names.id_of(&step.subject), 2).await?;
                format!("    logs {:?}", logs.trim_end())
            }
        })
    }

    async fn show_volume(&self, step: &Step) -> Told {
        let name = self.names.engine_name(&step.subject);
        let found = self.stage.engine.list_volumes().await?.into_iter().find(|volume| volume.name == name);
        Ok(found.map_or_else(
            || "    absent".to_owned(),
            |mut volume| {
                volume.labels.remove(LABEL);
                format!("    driver {} options {:?} labels {:?}", volume.driver, volume.options, volume.labels)
            },
        ))
    }

    async fn show_network(&self, step: &Step) -> Told {
        let id = self.names.id_of(&step.subject);
        let found = self.stage.engine.list_networks().await?.into_iter().find(|network| network.id == id);
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

    async fn handle(&mut self, handle: Handle, step: &Step) -> Told {
        let engine = self.stage.engine;
        let id = self.names.id_of(&step.subject);
        match handle {
            Handle::Create => {
                let create = self.names.container_create(step);
                let created = engine.create_container(&create).await?;
                self.names.learn(&created.id, &step.subject);
                self.containers.push(step.subject.clone());
            }
            Handle::Start => engine.start_container(&id).await?,
            Handle::Stop => {
                // A signal that comes before the program has set its trap is lost.
                self.stage.outside.ready(&id).await;
                engine.stop_container(&id, step.object.parse().unwrap_or(GRACE)).await?;
            }
            Handle::Remove => engine.remove_container(&id).await?,
            Handle::Unpause => engine.unpause_container(&id).await?,
            Handle::Rename => {
                let name =
                    if step.object.contains('!') { "!".to_owned() } else { self.names.engine_name(&step.object) };
                engine.rename_container(&id, &name).await?;
            }
            Handle::Update => engine.update_container(&id, &limits_of(step)).await?,
            Handle::Connect => engine.connect_network(&id, &self.names.endpoint(step, &step.object)).await?,
            Handle::Disconnect => engine.disconnect_network(&id, &self.names.id_of(&step.object)).await?,
            Handle::Talk => return self.talk(step, &id).await,
            Handle::List => {
                let listed = engine.list_containers(self.names.instance()).await?;
                let found = listed.iter().find(|container| container.id == id);
                return Ok(found.map_or_else(|| "    absent".to_owned(), |found| self.names.describe_listed(found)));
            }
            Handle::Show => {
                let found = self.inspect(&step.subject).await?;
                return Ok(found.map_or_else(|| "    absent".to_owned(), |found| self.names.describe(&found)));
            }
        }
        Ok(String::new())
    }

    /// Attaches, says a line and tells what comes back, to the end of the output where the container is killed after that.
    async fn talk(&self, step: &Step, id: &str) -> Told {
        let attached = self.stage.engine.attach_container(id).await?;
        let (mut input, mut output) = (attached.input, BufReader::new(attached.output));
        let mut heard = String::new();
        let talking = async {
            input.write_all(format!("{}\n", step.object).as_bytes()).await?;
            output.read_line(&mut heard).await?;
            if step.option("then") == Some("kill") {
                let killed = self.stage.outside.act(OutsideAction::Kill, id).await;
                killed.map_err(std::io::Error::other)?;
                output.read_to_string(&mut heard).await?;
                heard += "(the end)";
            }
            Ok(())
        };
        let talked: std::io::Result<()> = timeout(PATIENCE, talking).await.unwrap_or_else(|late| Err(late.into()));
        Ok(match talked {
            Ok(()) => format!("    heard {heard:?}"),
            Err(error) => format!("    heard {heard:?} and then {:?}", error.kind()),
        })
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
        // The pause before the next run is then long enough to act in.
        "restarted-often" => container.restart_count >= 5,
        state => container.status.state.as_str() == state,
    }
}
