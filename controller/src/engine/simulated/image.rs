//! Images: the local store, the registry that pulls ask, and the config changes of an import.

use std::collections::BTreeMap;
use std::sync::Arc;

use planner::observed::ImageDetail;

use super::programs::Program;
use super::refusal::{Answer, Refusal};
use super::state::State;

/// What an image gives to the containers that are made from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// The ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// The CMD.
    pub cmd: Vec<String>,
    /// The ENV, as `KEY=value`.
    pub env: Vec<String>,
    /// The LABELs.
    pub labels: BTreeMap<String, String>,
    /// The EXPOSE ports, as `PORT/protocol`.
    pub exposed_ports: Vec<String>,
    /// The VOLUMEs.
    pub volumes: Vec<String>,
    /// The USER.
    pub user: String,
    /// The WORKDIR.
    pub working_dir: String,
    /// The STOPSIGNAL.
    pub stop_signal: String,
    /// The HEALTHCHECK.
    pub healthcheck: Option<Healthcheck>,
}

/// The HEALTHCHECK of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// What it runs; only shown.
    pub command: String,
    /// Milliseconds between two checks.
    pub interval_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// Milliseconds after the start in which failures do not count.
    pub start_period_ms: u64,
}

/// An image and what its program does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) id: Arc<str>,
    pub(super) config: ImageConfig,
    pub(super) program: Arc<Program>,
    pub(super) check: Option<Arc<Healthcheck>>,
}

/// What the registry answers for a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryImage {
    /// It has the image.
    Present(ImageConfig, Program),
    /// It does not.
    Absent,
    /// It fails with this text, such as `toomanyrequests: …`.
    Fails(String),
}

/// The local images and the registry.
#[derive(Debug, Default)]
pub(super) struct Images {
    local: BTreeMap<String, Arc<Image>>,
    registry: BTreeMap<String, RegistryImage>,
    /// Counts new contents of references, so that each has its own id.
    versions: u64,
}

impl ImageConfig {
    /// The config of an image of which nothing else is known: it has a command.
    pub fn plain() -> Self {
        Self { cmd: vec!["/simulated".to_owned()], ..Self::default() }
    }

    /// Applies a change in Dockerfile form, such as `CMD ["/bin/sh"]`, as an import does.
    fn apply(&mut self, change: &str) -> Answer<()> {
        let (word, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change.trim(), ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "CMD" => self.cmd = words_of(rest),
            "ENTRYPOINT" => self.entrypoint = words_of(rest),
            "ENV" => self.env.push(rest.replacen(' ', "=", usize::from(!rest.contains('=')))),
            "LABEL" => {
                let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                self.labels.insert(key.to_owned(), value.trim_matches('"').to_owned());
            }
            "EXPOSE" => {
                let port = if rest.contains('/') { rest.to_owned() } else { format!("{rest}/tcp") };
                self.exposed_ports.push(port);
            }
            "VOLUME" => self.volumes.extend(words_of(rest).into_iter().filter(|word| word.starts_with('/'))),
            "USER" => rest.clone_into(&mut self.user),
            "WORKDIR" => rest.clone_into(&mut self.working_dir),
            "HEALTHCHECK" => self.healthcheck = Healthcheck::parse(rest),
            "ONBUILD" => {}
            other => {
                let word = other.to_ascii_lowercase();
                return Err(Refusal::new(400, format!("{word} is not a valid change command")));
            }
        }
        Ok(())
    }
}

impl Healthcheck {
    /// A check with this interval and these retries.
    pub fn every(interval_ms: u64, retries: u32) -> Self {
        Self { command: "/bin/check".to_owned(), interval_ms, retries, start_period_ms: 0 }
    }

    /// Reads `--interval=1s --retries=2 CMD …`; `NONE` gives none.
    fn parse(text: &str) -> Option<Self> {
        let mut check = Self { command: String::new(), interval_ms: 30_000, retries: 3, start_period_ms: 0 };
        let mut rest = text;
        while let Some(flag) = rest.strip_prefix("--") {
            let (flag, after) = flag.split_once(' ').unwrap_or((flag, ""));
            rest = after.trim_start();
            match flag.split_once('=') {
                Some(("interval", value)) => check.interval_ms = duration_ms(value),
                Some(("start-period", value)) => check.start_period_ms = duration_ms(value),
                Some(("retries", value)) => check.retries = value.parse().unwrap_or(3),
                Some(_) | None => {}
            }
        }
        let command = rest.strip_prefix("CMD")?;
        command.trim().clone_into(&mut check.command);
        Some(check)
    }
}

impl Image {
    pub(super) fn detail(&self) -> ImageDetail {
        ImageDetail {
            id: self.id.to_string(),
            entrypoint: self.config.entrypoint.clone(),
            cmd: self.config.cmd.clone(),
            user: self.config.user.clone(),
            volumes: self.config.volumes.clone(),
            has_healthcheck: self.config.healthcheck.is_some(),
            labels: self.config.labels.clone(),
        }
    }
}

impl State {
    pub(super) fn find_image(&self, reference: &str) -> Option<&Arc<Image>> {
        self.images.local.get(&canonical(reference)).or_else(|| self.find_image_by_id(reference))
    }

    fn find_image_by_id(&self, id: &str) -> Option<&Arc<Image>> {
        id.starts_with("sha256:").then(|| self.images.local.values().find(|image| &*image.id == id)).flatten()
    }

    /// Says what the registry answers for a reference from now on.
    pub(super) fn set_registry_image(&mut self, reference: &str, image: RegistryImage) {
        self.images.registry.insert(canonical(reference), image);
    }

    /// Puts an image into the local store. The same content keeps its id.
    pub(super) fn store_image(&mut self, reference: &str, config: ImageConfig, program: Program) -> Arc<str> {
        let reference = canonical(reference);
        if let Some(image) = self.images.local.get(&reference)
            && image.config == config
            && *image.program == program
        {
            return Arc::clone(&image.id);
        }
        self.images.versions += 1;
        let id: Arc<str> = format!("sha256:{}", self.next_id()).into();
        let check = config.healthcheck.clone().map(Arc::new);
        let image = Image { id: Arc::clone(&id), config, program: Arc::new(program), check };
        self.images.local.insert(reference, Arc::new(image));
        id
    }

    /// Removes an image from the local store; false when it was not there.
    pub(super) fn drop_image(&mut self, reference: &str) -> bool {
        let Some(image) = self.images.local.remove(&canonical(reference)) else { return false };
        self.events.image(&image.id, "untag", "");
        self.events.image(&image.id, "delete", "");
        true
    }

    pub(super) fn pull_image(&mut self, reference: &str) -> Answer<()> {
        check_reference(reference)?;
        let answer = self.images.registry.get(&canonical(reference)).cloned();
        let (config, program) = match answer {
            None => match self.find_image(reference) {
                // What was imported or put there stays what it is.
                Some(image) => (image.config.clone(), Program::clone(&image.program)),
                None => (ImageConfig::plain(), self.default_program.clone()),
            },
            Some(RegistryImage::Present(config, program)) => (config, program),
            Some(RegistryImage::Absent) => {
                let text = format!("manifest for {reference} not found: manifest unknown: manifest unknown");
                return Err(Refusal::new(404, text));
            }
            Some(RegistryImage::Fails(text)) => return Err(Refusal::new(500, text)),
        };
        self.store_image(reference, config, program);
        self.events.image(reference, "pull", reference);
        Ok(())
    }

    pub(super) fn import_image(&mut self, reference: &str, changes: &[String]) -> Answer<()> {
        check_reference(reference)?;
        let mut config = ImageConfig::default();
        for change in changes {
            config.apply(change)?;
        }
        let program = self.find_image(reference).map_or_else(
            || self.default_program.clone(),
            |image| {
                // A test says what a program does before or after it is imported.
                Program::clone(&image.program)
            },
        );
        let id = self.store_image(reference, config, program);
        self.events.image(&id, "import", "");
        Ok(())
    }
}

/// The one spelling of a reference: without the default registry, with a tag.
fn canonical(reference: &str) -> String {
    let bare = reference.strip_prefix("docker.io/").unwrap_or(reference);
    let bare = bare.strip_prefix("library/").unwrap_or(bare);
    let last = bare.rsplit('/').next().unwrap_or(bare);
    if last.contains(':') || last.contains('@') { bare.to_owned() } else { format!("{bare}:latest") }
}

fn check_reference(reference: &str) -> Answer<()> {
    let path = reference.split(['@', ':']).next().unwrap_or_default();
    if path.is_empty() || !reference.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@".contains(c)) {
        return Err(Refusal::new(400, "invalid reference format"));
    }
    // The first part may be the name of a host.
    let repository = path.split_once('/').map_or(path, |(_, repository)| repository);
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(Refusal::new(400, "invalid reference format: repository name must be lowercase"));
    }
    Ok(())
}

/// A JSON list of words, or a line for a shell.
fn words_of(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| {
        if text.starts_with('/') && !text.contains(' ') {
            vec![text.to_owned()]
        } else {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()]
        }
    })
}

fn duration_ms(text: &str) -> u64 {
    let duration = humantime::parse_duration(text).unwrap_or_default();
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
