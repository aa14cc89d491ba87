//! The real Engine, spoken to through bollard.
//!
//! Everything that is decided is decided in the files below: what is asked for (`create`), what is answered (`observe`,
//! `events`), what a failure means (`failure`, [`super::classify`]). Here each method is one call.

mod attach;
mod create;
mod demultiplexer;
mod events;
mod failure;
mod image;
mod log;
mod observe;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, ListContainersOptionsBuilder,
    ListNetworksOptions, ListVolumesOptions, RemoveContainerOptionsBuilder, RemoveImageOptions, RemoveVolumeOptions,
    RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use planner::observed::{ContainerDetail, ContainerSummary, ImageDetail, Limits, NetworkDetail, VolumeDetail};
use planner::ownership::LABEL_INSTANCE;
use planner::plan::{ContainerCreate, EndpointCreate, NetworkCreate, VolumeCreate};
use tokio::time::timeout;

use super::attach::refuse_attach;
use super::classify::Operation;
use super::{AttachedContainer, CreatedContainer, Engine, EngineError, EngineEvent, EngineInfo, ErrorKind};
use failure::Call;
pub use log::LogRequest;
use transport::{Address, Mode, open_client};

/// A Docker Engine at a unix socket or a TCP port.
///
/// Nothing is connected until something is asked, and each call has its own connection, so an engine that restarts needs no
/// new `DockerEngine`. The API version is agreed on with the first call and again with every [`Engine::info`].
///
/// Calls that read end after [`READ_DEADLINE`]. Calls that change something have no deadline here: the executor gives one by
/// dropping the future. Dropping closes the connection and does not take the call back: the Engine may still do it, later, so
/// the outcome is unknown. Only a pull ends with its connection.
#[derive(Debug)]
pub struct DockerEngine {
    address: Address,
    /// The client that speaks the version agreed on; `None` before the first call, and after the Engine was exchanged.
    client: RwLock<Option<Docker>>,
}

/// How long a call that reads may take.
pub const READ_DEADLINE: Duration = Duration::from_secs(15);

impl DockerEngine {
    /// An engine at `unix:///path` or `tcp://host:port`. Does not connect yet.
    ///
    /// # Errors
    /// The address is neither.
    pub fn connect(address: &str) -> Result<Self, EngineError> {
        let call = Call::on(Operation::Read, "use the engine address", address);
        let parsed = Address::parse(address);
        let hint = "it must be unix:///PATH or tcp://HOST:PORT";
        let address = parsed.ok_or_else(|| call.fail_with(ErrorKind::Invalid, hint))?;
        Ok(Self { address, client: RwLock::new(None) })
    }

    /// The client, after agreeing on a version where that was not done yet.
    async fn client(&self) -> Result<Docker, EngineError> {
        let known = self.client.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(docker) => Ok(docker),
            None => self.negotiate().await,
        }
    }

    /// Agrees on the highest API version that both know, and returns the client.
    ///
    /// bollard's own negotiation asks below its highest version, which an engine of 20.10 refuses with 400, and never goes up
    /// again after an engine's upgrade. So the question is asked without a version. A ping tells the highest one; an engine of 20.10
    /// runs three programs to answer with its versions, so that is only asked where the ping does not do.
    async fn negotiate(&self) -> Result<Docker, EngineError> {
        let call = Call::read("agree on an API version");
        let open = |version: &ClientVersion, mode| {
            open_client(&self.address, version, mode).map_err(|error| call.fail(&error))
        };
        let told = Arc::new(OnceLock::new());
        let ping = open(API_DEFAULT_VERSION, Mode::Probing(Arc::clone(&told)))?;
        if let Err(error) = read(&call, ping.ping()).await
            && error.status.is_none()
        {
            return Err(error);
        }
        // A newer engine than we know may not speak our version any more.
        if let Some(highest) = told.get().and_then(|version| parse_version(version))
            && highest <= *API_DEFAULT_VERSION
        {
            return self.agree_on(&call, &highest);
        }
        let probe = open(API_DEFAULT_VERSION, Mode::Unversioned)?;
        let answer = read(&call, probe.version()).await?;
        let highest = answer.api_version.as_deref().and_then(parse_version);
        let highest =
            highest.ok_or_else(|| call.fail_with(ErrorKind::Internal, "the Engine does not tell its API version"))?;
        let lowest = answer.min_api_version.as_deref().and_then(parse_version);
        if let Some(lowest) = lowest
            && lowest > *API_DEFAULT_VERSION
        {
            let text =
                format!("the Engine wants API {lowest} or later, and Evenkeel speaks up to {API_DEFAULT_VERSION}");
            return Err(call.fail_with(ErrorKind::Invalid, &text));
        }
        let agreed = if highest < *API_DEFAULT_VERSION { highest } else { *API_DEFAULT_VERSION };
        self.agree_on(&call, &agreed)
    }

    fn agree_on(&self, call: &Call, version: &ClientVersion) -> Result<Docker, EngineError> {
        let docker = open_client(&self.address, version, Mode::Versioned).map_err(|error| call.fail(&error))?;
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Some(docker.clone());
        Ok(docker)
    }

    /// What a container has written, line by line, and with [`LogRequest::is_following`] what it writes until it ends. Lines are as they
    /// were written: nobody has looked at what is in them.
    ///
    /// # Errors
    /// When the Engine cannot be asked. What it answers is told by the stream.
    pub async fn read_logs(
        &self,
        id: &str,
        request: LogRequest,
    ) -> Result<BoxStream<'static, Result<String, EngineError>>, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::Read, "read the output of container", id);
        let lines = log::split_lines(docker.logs(id, Some(request.to_options())));
        Ok(lines.map(move |line| line.map_err(|error| call.fail(&error))).boxed())
    }

    /// The error of a call. One that says the version does not fit makes the next call agree on another.
    fn fail(&self, call: &Call, error: &Error) -> EngineError {
        let failure = call.fail(error);
        if failure.status == Some(400) && failure.text.contains("client version") {
            *self.client.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        failure
    }

    /// A call that reads.
    async fn read<T>(&self, call: Call, answer: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
        match timeout(READ_DEADLINE, answer).await {
            Ok(answer) => answer.map_err(|error| self.fail(&call, &error)),
            Err(_) => Err(call.fail_with(ErrorKind::Unknown, NO_ANSWER)),
        }
    }

    /// A call that reads one thing: 404 is its absence.
    async fn find<T>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, EngineError> {
        absent_is(None, self.read(call, async { answer.await.map(Some) }).await)
    }
}

/// A call that reads, without the engine.
async fn read<T>(call: &Call, answer: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
    match timeout(READ_DEADLINE, answer).await {
        Ok(answer) => answer.map_err(|error| call.fail(&error)),
        Err(_) => Err(call.fail_with(ErrorKind::Unknown, NO_ANSWER)),
    }
}

/// Takes the Engine's 404 for success.
fn absent_is<T>(value: T, result: Result<T, EngineError>) -> Result<T, EngineError> {
    match result {
        Err(error) if error.status == Some(404) => Ok(value),
        result => result,
    }
}

fn parse_version(text: &str) -> Option<ClientVersion> {
    let (major, minor) = text.split_once('.')?;
    Some(ClientVersion { major_version: major.parse().ok()?, minor_version: minor.parse().ok()? })
}

const NO_ANSWER: &str = "no answer within 15s";

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let docker = self.negotiate().await?;
        let info = self.read(Call::read("ask the Engine who it is"), docker.info()).await?;
        Ok(EngineInfo {
            id: info.id.unwrap_or_default(),
            version: info.server_version.unwrap_or_default(),
            api_version: docker.client_version().to_string(),
            host_name: info.name.unwrap_or_default(),
            is_simulated: false,
        })
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        let version = self.client().await?.client_version();
        let call = Call::read("subscribe to events");
        match timeout(READ_DEADLINE, events::subscribe(&self.address, &version, call.clone())).await {
            Ok(stream) => stream,
            Err(_) => Err(call.fail_with(ErrorKind::Unknown, NO_ANSWER)),
        }
    }

    async fn list_containers(&self, instance: &str) -> Result<Vec<ContainerSummary>, EngineError> {
        let label = vec![format!("{LABEL_INSTANCE}={instance}")];
        let filters = HashMap::from([("label", label)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let docker = self.client().await?;
        let list = self.read(Call::read("list containers"), docker.list_containers(Some(options))).await?;
        Ok(list.into_iter().filter_map(observe::container_summary).collect())
    }

    async fn list_networks(&self) -> Result<Vec<NetworkDetail>, EngineError> {
        let docker = self.client().await?;
        let list = self.read(Call::read("list networks"), docker.list_networks(None::<ListNetworksOptions>)).await?;
        Ok(list.into_iter().filter_map(observe::network_detail).collect())
    }

    async fn list_volumes(&self) -> Result<Vec<VolumeDetail>, EngineError> {
        let docker = self.client().await?;
        let list = self.read(Call::read("list volumes"), docker.list_volumes(None::<ListVolumesOptions>)).await?;
        Ok(list.volumes.unwrap_or_default().into_iter().map(observe::volume_detail).collect())
    }

    async fn inspect_container(&self, id_or_name: &str) -> Result<Option<ContainerDetail>, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::Read, "inspect container", id_or_name);
        let found = self.find(call, docker.inspect_container(id_or_name, None::<InspectContainerOptions>)).await?;
        Ok(found.and_then(observe::container_detail))
    }

    async fn network_members(&self, id: &str) -> Result<Vec<(String, String)>, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::Read, "inspect network", id);
        let found = self.find(call, docker.inspect_network(id, None::<InspectNetworkOptions>)).await?;
        let members = found.and_then(|network| network.containers).unwrap_or_default();
        let mut members: Vec<(String, String)> =
            members.into_iter().map(|(id, member)| (id, member.name.unwrap_or_default())).collect();
        members.sort();
        Ok(members)
    }

    async fn inspect_image(&self, reference: &str) -> Result<Option<ImageDetail>, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::Read, "inspect image", reference);
        let found = self.find(call, docker.inspect_image(reference)).await?;
        Ok(found.and_then(observe::image_detail))
    }

    async fn find_port_holder(&self, port: u16) -> Result<Option<String>, EngineError> {
        // The filter `publish` looks at the port inside the container, so the list is searched here.
        let docker = self.client().await?;
        let call = Call::on(Operation::Read, "find who holds port", &port.to_string());
        let list = self.read(call, docker.list_containers(Some(ListContainersOptionsBuilder::new().build()))).await?;
        let holds = |container: &&bollard::models::ContainerSummary| {
            container.ports.iter().flatten().any(|published| published.public_port == Some(port))
        };
        Ok(list.iter().find(holds).map(|container| observe::own_name(container.names.as_deref().unwrap_or_default())))
    }

    async fn tail_logs(&self, id: &str, lines: u32) -> Result<String, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::Read, "read the output of container", id);
        self.read(call, log::read_tail(docker.logs(id, Some(log::tail_options(lines))))).await
    }

    async fn attach_container(&self, id: &str) -> Result<AttachedContainer, EngineError> {
        let found = self.inspect_container(id).await?;
        let call = Call::on(Operation::Read, "attach to container", id);
        if let Some((kind, text)) = refuse_attach(found.as_ref()) {
            return Err(call.fail_with(kind, &text));
        }
        let version = self.client().await?.client_version();
        self.read(call, attach::attach(&self.address, version, id)).await
    }

    async fn pull_image(&self, reference: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::PullImage, "pull image", reference);
        image::follow_progress(docker.create_image(Some(image::pull_options(reference)), None, None), &call).await
    }

    async fn import_image(&self, reference: &str, tar: Vec<u8>, changes: &[&str]) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::ImportImage, "import image", reference);
        let options = image::import_options(reference, changes);
        let progress = docker.create_image(Some(options), Some(bollard::body_full(tar.into())), None);
        image::follow_progress(progress, &call).await
    }

    async fn remove_image(&self, reference: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::RemoveImage, "remove image", reference);
        let removed = docker.remove_image(reference, None::<RemoveImageOptions>, None).await;
        match removed.map_err(|error| self.fail(&call, &error)) {
            Err(error) if error.status == Some(404) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn create_network(&self, network: &NetworkCreate) -> Result<String, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::CreateNetwork, "create network", &network.name);
        let created = docker.create_network(create::network_body(network)).await;
        created.map(|created| created.id).map_err(|error| self.fail(&call, &error))
    }

    async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::RemoveNetwork, "remove network", id);
        docker.remove_network(id).await.map_err(|error| self.fail(&call, &error))
    }

    async fn create_volume(&self, volume: &VolumeCreate) -> Result<VolumeDetail, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::CreateVolume, "create volume", &volume.name);
        let created = docker.create_volume(create::volume_body(volume)).await;
        created.map(observe::volume_detail).map_err(|error| self.fail(&call, &error))
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::RemoveVolume, "remove volume", name);
        let removed = docker.remove_volume(name, None::<RemoveVolumeOptions>).await;
        removed.map_err(|error| self.fail(&call, &error))
    }

    async fn create_container(&self, container: &ContainerCreate) -> Result<CreatedContainer, EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::CreateContainer, "create container", &container.name);
        let options = CreateContainerOptionsBuilder::new().name(&container.name).build();
        let created = docker.create_container(Some(options), create::container_body(container)).await;
        let created = created.map_err(|error| self.fail(&call, &error))?;
        let warnings = created.warnings.iter().map(|warning| super::classify::clean_text(warning)).collect();
        Ok(CreatedContainer { id: created.id, warnings })
    }

    async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::StartContainer, "start container", id);
        let started = docker.start_container(id, None::<StartContainerOptions>).await;
        started.map_err(|error| self.fail(&call, &error))
    }

    async fn stop_container(&self, id: &str, grace_secs: u32) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::StopContainer, "stop container", id);
        let grace = i32::try_from(grace_secs).unwrap_or(i32::MAX);
        let stopped = docker.stop_container(id, Some(StopContainerOptionsBuilder::new().t(grace).build())).await;
        absent_is((), stopped.map_err(|error| self.fail(&call, &error)))
    }

    async fn unpause_container(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::UnpauseContainer, "unpause container", id);
        docker.unpause_container(id).await.map_err(|error| self.fail(&call, &error))
    }

    async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::RenameContainer, "rename container", id);
        let renamed = docker.rename_container(id, RenameContainerOptionsBuilder::new().name(name).build()).await;
        renamed.map_err(|error| self.fail(&call, &error))
    }

    async fn update_container(&self, id: &str, limits: &Limits) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::UpdateContainer, "update container", id);
        let updated = docker.update_container(id, create::update_body(limits)).await;
        updated.map_err(|error| self.fail(&call, &error))
    }

    async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let call = Call::on(Operation::RemoveContainer, "remove container", id);
        let options = RemoveContainerOptionsBuilder::new().force(false).v(false).build();
        let removed = docker.remove_container(id, Some(options)).await;
        absent_is((), removed.map_err(|error| self.fail(&call, &error)))
    }

    async fn connect_network(&self, container_id: &str, endpoint: &EndpointCreate) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let verb = format!("connect container `{}` to network", container_id.get(..12).unwrap_or(container_id));
        let call = Call::on(Operation::ConnectNetwork, &verb, &endpoint.network_name);
        let connected =
            docker.connect_network(&endpoint.network_id, create::connect_body(container_id, endpoint)).await;
        connected.map_err(|error| self.fail(&call, &error))
    }

    async fn disconnect_network(&self, container_id: &str, network_id: &str) -> Result<(), EngineError> {
        let docker = self.client().await?;
        let verb = format!("disconnect container `{}` from network", container_id.get(..12).unwrap_or(container_id));
        let call = Call::on(Operation::DisconnectNetwork, &verb, network_id);
        let request = NetworkDisconnectRequest { container: container_id.to_owned(), force: Some(true) };
        let disconnected = docker.disconnect_network(network_id, request).await;
        disconnected.map_err(|error| self.fail(&call, &error))
    }
}
