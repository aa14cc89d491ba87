//! Logs: text or JSON lines on stderr, filtered by level and target.
//!
//! A message is a constant sentence; data goes into fields, and each field has one spelling, listed in [`FIELDS`].

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use crate::config::LogFormat;
use crate::log_sink::{LogDrain, LogSink};

/// The fields that log lines may carry, in one spelling each.
///
/// `kind`, `namespace`, `name` and `generation` belong to the span `reconcile`, which the loop opens; the others to single lines.
pub const FIELDS: [&str; 25] = [
    "kind",
    "namespace",
    "name",
    "generation",
    "operation",
    "outcome",
    "subject",
    "id",
    "cause",
    "step",
    "error",
    "status",
    "duration_ms",
    "delay_ms",
    "attempt",
    "count",
    "objects",
    "faults",
    "instance",
    "engine",
    "version",
    "path",
    "address",
    "signal",
    "reason",
];

/// Which lines are logged: a level for everything, and levels for single targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// As the user wrote it.
    text: String,
    default: LevelFilter,
    targets: Vec<(String, LevelFilter)>,
}

/// Why a text is not a [`LogFilter`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a level: use `off`, `error`, `warn`, `info`, `debug` or `trace`, or `target=level`, separated by commas"
)]
pub struct InvalidLogFilter(String);

impl FromStr for LogFilter {
    type Err = InvalidLogFilter;

    fn from_str(text: &str) -> Result<Self, InvalidLogFilter> {
        let mut filter = Self { text: text.trim().to_owned(), default: LevelFilter::INFO, targets: Vec::new() };
        for directive in text.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (target, level_text) =
                directive.split_once('=').map_or((None, directive), |(target, level)| (Some(target), level));
            let level = parse_level(level_text).ok_or_else(|| InvalidLogFilter(directive.to_owned()))?;
            match target {
                None => filter.default = level,
                Some("") => return Err(InvalidLogFilter(directive.to_owned())),
                Some(target) => filter.targets.push((target.to_owned(), level)),
            }
        }
        Ok(filter)
    }
}

/// tracing's own parser also takes digits, which would make a typing error of `1=debug`.
fn parse_level(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "off" => Some(LevelFilter::OFF),
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => None,
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl LogFilter {
    /// The changes that are made, and everything worse.
    pub fn info() -> Self {
        Self { text: "info".to_owned(), default: LevelFilter::INFO, targets: Vec::new() }
    }

    /// As the subscriber takes it. Libraries below us are quieter than we are unless they are named.
    fn as_targets(&self) -> Targets {
        let libraries = self.default.min(LevelFilter::WARN);
        let ours = [("controller", self.default), ("planner", self.default), ("evenkeel", self.default)];
        Targets::new().with_default(libraries).with_targets(ours).with_targets(self.targets.clone())
    }
}

/// Sets the process up to log to stderr, without ever waiting for its reader. Call once; the last lines are written when what it
/// returns is dropped.
///
/// # Errors
/// When the process logs already, or the system gives no thread.
pub fn start_logging(format: LogFormat, filter: &LogFilter, use_color: bool) -> Result<LogDrain, LoggingError> {
    let describe_lost = match format {
        LogFormat::Text => |count| format!("{count} log lines were lost: nobody read them\n"),
        LogFormat::Json => |count| {
            format!("{{\"level\":\"WARN\",\"message\":\"log lines were lost: nobody read them\",\"count\":{count}}}\n")
        },
    };
    let (sink, drain) = LogSink::start(std::io::stderr(), describe_lost).map_err(LoggingError::Thread)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(sink);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(use_color).with_target(false).boxed(),
        LogFormat::Json => {
            layer.with_ansi(false).json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
        }
    };
    let subscriber = tracing_subscriber::registry().with(layer.with_filter(filter.as_targets()));
    tracing::subscriber::set_global_default(subscriber).map_err(LoggingError::Twice)?;
    Ok(drain)
}

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up logging")]
pub enum LoggingError {
    /// The process logs already.
    Twice(#[source] SetGlobalDefaultError),
    /// The system gives no thread.
    Thread(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{FIELDS, LogFilter};

    #[test]
    fn a_filter_is_a_level_and_levels_of_targets() {
        let targets = "warn,controller::queue=trace,bollard=debug".parse::<LogFilter>().unwrap().as_targets();
        assert!(!targets.would_enable("controller::reconcile", &Level::INFO));
        assert!(targets.would_enable("controller::queue", &Level::TRACE));
        assert!(targets.would_enable("bollard::docker", &Level::DEBUG));
        assert!(!targets.would_enable("hyper", &Level::INFO));
        for bad in ["loud", "=debug", "a=", "1=debug=2"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn libraries_do_not_log_more_because_we_do() {
        let targets = "debug".parse::<LogFilter>().unwrap().as_targets();
        assert!(targets.would_enable("controller::queue", &Level::DEBUG));
        assert!(!targets.would_enable("hyper::proto", &Level::DEBUG));
    }

    #[test]
    fn no_field_is_listed_twice() {
        let mut sorted = FIELDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), FIELDS.len());
    }
}
