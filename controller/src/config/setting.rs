//! The settings by name: where each may be written, and where its value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Writes [`Setting`] from the list: the variant, its key in the config file, its environment variable and its flag.
macro_rules! settings {
    ($($(#[$doc:meta])* $setting:ident, $key:literal, $variable:literal, $flag:literal;)*) => {
        /// A setting. Every one can be written in the config file, in the environment and as a flag.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Setting { $($(#[$doc])* $setting,)* }

        impl Setting {
            /// Every setting, in the order that `evenkeel config show` prints them.
            pub const ALL: &'static [Self] = &[$(Self::$setting),*];

            /// Its key in the config file.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$setting => $key,)* }
            }

            /// Its environment variable.
            pub const fn variable(self) -> &'static str {
                match self { $(Self::$setting => $variable,)* }
            }

            /// Its flag.
            pub const fn flag(self) -> &'static str {
                match self { $(Self::$setting => $flag,)* }
            }
        }
    };
}

settings! {
    /// The directory of manifests.
    Manifests, "manifests", "EVENKEEL_MANIFESTS", "--manifests";
    /// Where the store, the token and the keys live.
    DataDir, "dataDir", "EVENKEEL_DATA_DIR", "--data-dir";
    /// The name that tells controllers of one engine apart.
    Instance, "instance", "EVENKEEL_INSTANCE", "--instance";
    /// The engine's address.
    Engine, "engine", "EVENKEEL_ENGINE", "--engine";
    /// Where the controller serves its API.
    Listen, "listen", "EVENKEEL_LISTEN", "--listen";
    /// Whether `listen` may be an address that other hosts reach.
    AllowRemote, "allowRemote", "EVENKEEL_ALLOW_REMOTE", "--allow-remote";
    /// Where commands find the controller.
    Server, "server", "EVENKEEL_SERVER", "--server";
    /// The form of log lines.
    LogFormat, "logFormat", "EVENKEEL_LOG_FORMAT", "--log-format";
    /// Which log lines.
    LogLevel, "logLevel", "EVENKEEL_LOG", "--log-level";
    /// How often everything is listed again.
    Resync, "resync", "EVENKEEL_RESYNC", "--resync";
    /// The share of the objects that prune removes without asking.
    PruneLimit, "pruneLimit", "EVENKEEL_PRUNE_LIMIT", "--prune-limit";
    /// How long a removed object stays before prune takes it.
    PruneDelay, "pruneDelay", "EVENKEEL_PRUNE_DELAY", "--prune-delay";
    /// How many containers are started at once.
    StartConcurrency, "startConcurrency", "EVENKEEL_START_CONCURRENCY", "--start-concurrency";
    /// What a commit of the store outlives.
    Durability, "durability", "EVENKEEL_DURABILITY", "--durability";
    /// Whether to converge and exit.
    Once, "once", "EVENKEEL_ONCE", "--once";
    /// How long `once` tries.
    OnceTimeout, "onceTimeout", "EVENKEEL_ONCE_TIMEOUT", "--once-timeout";
    /// How progress is shown.
    Progress, "progress", "EVENKEEL_PROGRESS", "--progress";
}

/// Where a value came from; later ones win.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The config file.
    File(PathBuf),
    /// An environment variable, by name; `DOCKER_HOST` too.
    Environment(&'static str),
    /// A flag, by name.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Values as texts, one layer over the other: what is set later wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawSettings(BTreeMap<Setting, (String, Origin)>);

impl RawSettings {
    /// Sets a value over what was there.
    pub fn set(&mut self, setting: Setting, text: impl Into<String>, origin: Origin) {
        self.0.insert(setting, (text.into(), origin));
    }

    /// Whether any layer set it.
    pub fn is_set(&self, setting: Setting) -> bool {
        self.0.contains_key(&setting)
    }

    /// The value and where it came from.
    pub fn get(&self, setting: Setting) -> Option<(&str, &Origin)> {
        self.0.get(&setting).map(|(text, origin)| (text.as_str(), origin))
    }
}
