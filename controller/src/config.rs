//! The configuration: one struct, merged from a file, the environment and flags, in that order, and validated in one place.

mod error;
mod file;
pub mod setting;
pub mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crds_schema::Name;
use crds_schema::units::HumanDuration;

pub use self::error::{ConfigError, ConfigErrors};
use self::file::read_config_file;
pub use self::setting::{Origin, RawSettings, Setting};
pub use self::value::{
    Durability, EngineAddress, InvalidValue, ListenAddress, LogFormat, Percent, ProgressMode, ServerAddress,
};
use crate::telemetry::LogFilter;

/// The config file that is read where it exists and no other is named.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/evenkeel/config.yaml";

/// Everything that can be set, parsed and consistent.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The directory of manifests, absolute; `None` where none is set, which only `run` needs.
    pub manifests: Option<PathBuf>,
    /// Where the store, the token and the keys live, absolute.
    pub data_dir: PathBuf,
    /// The name that tells controllers of one engine apart.
    pub instance: Name,
    /// Where the engine is.
    pub engine: EngineAddress,
    /// Where the controller serves its API.
    pub listen: ListenAddress,
    /// Where commands find the controller.
    pub server: ServerAddress,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// Which log lines.
    pub log_level: LogFilter,
    /// How often everything is listed again.
    pub resync: Duration,
    /// The share of the objects that prune removes without asking.
    pub prune_limit: Percent,
    /// How long a removed object stays before prune takes it.
    pub prune_delay: Duration,
    /// How many containers are started at once, 1 to 64.
    pub start_concurrency: usize,
    /// What a commit of the store outlives.
    pub durability: Durability,
    /// Whether to converge and exit.
    pub once: bool,
    /// How long [`Config::once`] tries: longer than an update may take to serve, so that one that does not is rolled back.
    pub once_timeout: Duration,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Where each setting came from, and its value as text.
    pub origins: BTreeMap<Setting, (String, Origin)>,
}

/// What the configuration depends on besides flags; an argument, so that tests decide it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Whether the process is root's.
    pub is_root: bool,
    /// What relative paths are relative to.
    pub current_dir: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { variables, is_root, current_dir: std::env::current_dir().unwrap_or_else(|_| "/".into()) }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn default_data_dir(&self) -> PathBuf {
        if self.is_root {
            return "/var/lib/evenkeel".into();
        }
        match (self.variable("XDG_STATE_HOME"), self.variable("HOME")) {
            (Some(state), _) if state.starts_with('/') => Path::new(state).join("evenkeel"),
            (_, Some(home)) => Path::new(home).join(".local/state/evenkeel"),
            (_, None) => self.current_dir.join(".evenkeel"),
        }
    }
}

impl Config {
    /// Merges the file, the environment and the flags, in that order, and validates the whole.
    ///
    /// `config_file` is what `--config` named; without it `EVENKEEL_CONFIG`, else [`DEFAULT_CONFIG_FILE`] where it exists.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn load(
        config_file: Option<&Path>,
        flags: &BTreeMap<Setting, String>,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let mut raw = RawSettings::default();
        let named =
            config_file.map(Path::to_owned).or_else(|| surroundings.variable("EVENKEEL_CONFIG").map(PathBuf::from));
        match named.as_deref() {
            Some(path) => read_config_file(path, &mut raw, &mut errors),
            None if Path::new(DEFAULT_CONFIG_FILE).exists() => {
                read_config_file(Path::new(DEFAULT_CONFIG_FILE), &mut raw, &mut errors);
            }
            None => {}
        }
        if let (false, Some(address)) = (raw.is_set(Setting::Engine), surroundings.variable("DOCKER_HOST")) {
            raw.set(Setting::Engine, address, Origin::Environment("DOCKER_HOST"));
        }
        for setting in Setting::ALL.iter().copied() {
            if let Some(text) = surroundings.variable(setting.variable()) {
                raw.set(setting, text, Origin::Environment(setting.variable()));
            }
            if let Some(text) = flags.get(&setting) {
                raw.set(setting, text, Origin::Flag(setting.flag()));
            }
        }
        resolve(&raw, surroundings, errors)
    }
}

/// Parses and validates merged settings; pure but for resolving links in paths that exist.
fn resolve(raw: &RawSettings, surroundings: &Surroundings, errors: Vec<ConfigError>) -> Result<Config, ConfigErrors> {
    let mut reader = Reader { raw, errors, origins: BTreeMap::new() };
    let manifests_text = raw.get(Setting::Manifests).map(|(text, _)| text.to_owned());
    let manifests = reader.path(Setting::Manifests, manifests_text.as_deref().unwrap_or(""), surroundings);
    let default_data_dir = surroundings.default_data_dir().display().to_string();
    let config = Config {
        manifests: manifests_text.is_some().then_some(manifests),
        data_dir: reader.path(Setting::DataDir, &default_data_dir, surroundings),
        instance: reader.parse(Setting::Instance, "default", Name::default_namespace()),
        engine: reader.parse(Setting::Engine, EngineAddress::DEFAULT, EngineAddress::Simulated),
        listen: reader.parse(Setting::Listen, "127.0.0.1:7070", ListenAddress::Unix(PathBuf::new())),
        server: reader.parse(Setting::Server, "http://127.0.0.1:7070", ServerAddress::Unix(PathBuf::new())),
        log_format: reader.parse(Setting::LogFormat, "text", LogFormat::Text),
        log_level: reader.log_filter(),
        resync: reader.duration(Setting::Resync, "30s", Duration::from_secs(1)),
        prune_limit: reader.parse(Setting::PruneLimit, "30%", Percent(0)),
        prune_delay: reader.duration(Setting::PruneDelay, "10s", Duration::ZERO),
        start_concurrency: reader.start_concurrency(),
        durability: reader.parse(Setting::Durability, "power", Durability::Power),
        once: reader.boolean(Setting::Once),
        once_timeout: reader.duration(Setting::OnceTimeout, "10m", Duration::from_secs(1)),
        progress: reader.parse(Setting::Progress, "auto", ProgressMode::Auto),
        origins: BTreeMap::new(),
    };
    if !reader.boolean(Setting::AllowRemote) && !config.listen.is_local() {
        reader.errors.push(ConfigError::RemoteListen { listen: config.listen.clone() });
    }
    if let Some(manifests) = &config.manifests {
        let (data_dir, manifests) = (real_path(&config.data_dir), real_path(manifests));
        if data_dir.starts_with(&manifests) || manifests.starts_with(&data_dir) {
            reader.errors.push(ConfigError::Overlap { data_dir, manifests });
        }
    }
    let Reader { errors, origins, .. } = reader;
    if errors.is_empty() { Ok(Config { origins, ..config }) } else { Err(ConfigErrors(errors)) }
}

/// Reads single settings and collects what is wrong with them; the fallback of a faulty one is never seen.
struct Reader<'a> {
    raw: &'a RawSettings,
    errors: Vec<ConfigError>,
    origins: BTreeMap<Setting, (String, Origin)>,
}

impl Reader<'_> {
    fn text(&mut self, setting: Setting, default: &str) -> String {
        let (text, origin) = self.raw.get(setting).unwrap_or((default, &Origin::Default));
        self.origins.insert(setting, (text.to_owned(), origin.clone()));
        text.to_owned()
    }

    fn refuse(&mut self, setting: Setting, text: String, reason: impl fmt::Display) {
        let origin = self.raw.get(setting).map_or(Origin::Default, |(_, origin)| origin.clone());
        self.errors.push(ConfigError::InvalidValue { setting, text, origin, reason: reason.to_string() });
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, setting: Setting, default: &str, fallback: T) -> T {
        let text = self.text(setting, default);
        match text.parse() {
            Ok(value) => value,
            Err(reason) => {
                self.refuse(setting, text, reason);
                fallback
            }
        }
    }

    fn path(&mut self, setting: Setting, default: &str, surroundings: &Surroundings) -> PathBuf {
        let text = self.text(setting, default);
        if text.is_empty() && self.raw.is_set(setting) {
            self.refuse(setting, text, "expected a directory");
            return PathBuf::new();
        }
        surroundings.current_dir.join(text)
    }

    fn duration(&mut self, setting: Setting, default: &str, least: Duration) -> Duration {
        let duration = self.parse(setting, default, HumanDuration(least)).0;
        if duration < least {
            let text = self.text(setting, default);
            self.refuse(setting, text, format_args!("at least `{}`", HumanDuration(least)));
        }
        duration
    }

    fn boolean(&mut self, setting: Setting) -> bool {
        match self.text(setting, "false").as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            other => {
                self.refuse(setting, other.to_owned(), "expected `true` or `false`");
                false
            }
        }
    }

    fn log_filter(&mut self) -> LogFilter {
        let text = self.text(Setting::LogLevel, "info");
        text.parse().unwrap_or_else(|reason| {
            self.refuse(Setting::LogLevel, text, reason);
            LogFilter::info()
        })
    }

    fn start_concurrency(&mut self) -> usize {
        let text = self.text(Setting::StartConcurrency, "4");
        if let Ok(number @ 1..=64) = text.parse() {
            return number;
        }
        self.refuse(Setting::StartConcurrency, text, "expected a number from 1 to 64");
        1
    }
}

/// A path with its links resolved as far as it exists, so that two names of one directory are seen as one.
fn real_path(path: &Path) -> PathBuf {
    let mut tail = Vec::new();
    let mut head = path;
    loop {
        if let Ok(real) = head.canonicalize() {
            return tail.iter().rev().fold(real, |path: PathBuf, part: &Component<'_>| match part {
                Component::ParentDir => path.parent().map(Path::to_owned).unwrap_or(path),
                Component::CurDir => path,
                Component::Normal(_) | Component::RootDir | Component::Prefix(_) => path.join(part),
            });
        }
        let (Some(part), Some(parent)) = (head.components().next_back(), head.parent()) else {
            return path.to_owned();
        };
        tail.push(part);
        head = parent;
    }
}
