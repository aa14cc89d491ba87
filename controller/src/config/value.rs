//! The values of settings, parsed once: addresses, formats, shares.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where the engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A socket of this host.
    Unix(PathBuf),
    /// `HOST:PORT`, without TLS.
    Tcp(String),
    /// The simulated engine, in this process.
    Simulated,
}

/// Where the controller serves its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and port; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A socket of this host, made with mode 0660.
    Unix(PathBuf),
}

/// Where commands find the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// `HOST:PORT` of `http://HOST:PORT`.
    Http(String),
    /// A socket of this host.
    Unix(PathBuf),
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What a commit of the store outlives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: every commit is synced to the disk, about 3 ms.
    Power,
    /// The end of the process, but not of the host.
    Process,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressMode {
    /// Live where stderr is a terminal, lines elsewhere.
    Auto,
    /// Plain lines.
    Plain,
    /// Not at all.
    Off,
}

/// A share in whole percent, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

/// Why a text is not a value of a setting; the message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Something else than was expected.
    #[error("expected {expected}, such as `{example}`")]
    Expected {
        /// What was expected.
        expected: &'static str,
        /// A valid value.
        example: &'static str,
    },
    /// An engine that is reached by ssh or TLS.
    #[error("`{scheme}://` is not supported: Evenkeel must be next to the engine to keep it")]
    UnsupportedEngine {
        /// The scheme.
        scheme: String,
    },
    /// The controller has no TLS.
    #[error("`https://` is not supported: put `http://` or `unix://`, and TLS in front of it")]
    UnsupportedServer,
}

impl EngineAddress {
    /// The socket that engines listen on unless they are told otherwise.
    pub const DEFAULT: &str = "unix:///var/run/docker.sock";
}

impl FromStr for EngineAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = InvalidValue::Expected {
            expected: "`unix://PATH`, `tcp://HOST:PORT` or `simulated`",
            example: Self::DEFAULT,
        };
        if text == "simulated" {
            return Ok(Self::Simulated);
        }
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", authority)) if is_authority(authority) => Ok(Self::Tcp(trim_slash(authority))),
            Some((scheme @ ("ssh" | "https" | "npipe" | "fd"), _)) => {
                Err(InvalidValue::UnsupportedEngine { scheme: scheme.to_owned() })
            }
            Some(_) | None => Err(expected),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected =
            InvalidValue::Expected { expected: "`ADDRESS:PORT` or `unix://PATH`", example: "127.0.0.1:7070" };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(expected) };
        }
        let numeric =
            text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
        numeric.parse().map(Self::Tcp).map_err(|_| expected)
    }
}

impl ListenAddress {
    /// Whether only this host reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => match address.ip() {
                IpAddr::V4(ip) => ip.is_loopback(),
                IpAddr::V6(ip) => ip.is_loopback(),
            },
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for ServerAddress {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = InvalidValue::Expected {
            expected: "`http://HOST:PORT` or `unix://PATH`",
            example: "http://127.0.0.1:7070",
        };
        match text.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("https", _)) => Err(InvalidValue::UnsupportedServer),
            Some(("http", authority)) if is_authority(authority) => Ok(Self::Http(trim_slash(authority))),
            None if is_authority(text) => Ok(Self::Http(trim_slash(text))),
            Some(_) | None => Err(expected),
        }
    }
}

fn trim_slash(authority: &str) -> String {
    authority.trim_end_matches('/').to_owned()
}

/// `HOST:PORT`, without a path or a user.
fn is_authority(text: &str) -> bool {
    let text = text.trim_end_matches('/');
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:[]".contains(c));
    let port = text.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>().is_ok()));
    is_plain && port == Some((true, true))
}

impl FromStr for LogFormat {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(InvalidValue::Expected { expected: "`text` or `json`", example: "json" }),
        }
    }
}

impl FromStr for Durability {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "power" => Ok(Self::Power),
            "process" => Ok(Self::Process),
            _ => Err(InvalidValue::Expected { expected: "`power` or `process`", example: "power" }),
        }
    }
}

impl FromStr for ProgressMode {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "auto" => Ok(Self::Auto),
            "plain" => Ok(Self::Plain),
            "off" => Ok(Self::Off),
            _ => Err(InvalidValue::Expected { expected: "`auto`, `plain` or `off`", example: "plain" }),
        }
    }
}

impl FromStr for Percent {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let expected = InvalidValue::Expected { expected: "a whole share from `0%` to `100%`", example: "30%" };
        let digits = text.trim().strip_suffix('%').map(str::trim_end);
        let number = digits.and_then(|digits| digits.parse::<u8>().ok());
        number.filter(|number| *number <= 100).map(Self).ok_or(expected)
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(authority) => write!(f, "tcp://{authority}"),
            Self::Simulated => write!(f, "simulated"),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Power => "power",
            Self::Process => "process",
        })
    }
}

impl fmt::Display for ProgressMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::Plain => "plain",
            Self::Off => "off",
        })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}
