//! What the servers of the benchmarks list and answer: as little work as a server can have.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::value::RawValue;

/// Which revision of the protocol a server or a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25.
    Legacy,
    /// 2026-07-28.
    Modern,
}

impl Era {
    /// Both, in the order of their figures.
    pub(crate) const ALL: [Self; 2] = [Self::Modern, Self::Legacy];

    /// Its name on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }

    /// The era of a name.
    pub(crate) fn of(name: &str) -> Self {
        if name == "legacy" { Self::Legacy } else { Self::Modern }
    }
}

#[derive(serde::Deserialize)]
struct Envelope<'text> {
    #[serde(borrow, default)]
    id: Option<&'text RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'text, str>>,
}

/// A server that lists so many tools.
pub(crate) struct Server {
    era: Era,
    list: String,
}

impl Server {
    /// Its list is written once.
    pub(crate) fn new(era: Era, tools: usize) -> Self {
        let mut list = String::new();
        for index in 0..tools {
            let comma = if index == 0 { "" } else { "," };
            // What a usual tool says of itself: some 370 bytes.
            write!(
                list,
                "{comma}{{\"name\":\"tool_{index:03}\",\"title\":\"Tool {index}\",\"description\":\"Looks up a record by its name and gives back what is known of it, in at most so many lines.\",\"inputSchema\":{{\"type\":\"object\",\"properties\":{{\"name\":{{\"type\":\"string\",\"description\":\"The name of the record.\"}},\"lines\":{{\"type\":\"integer\",\"minimum\":1}}}},\"required\":[\"name\"]}}}}"
            )
            .unwrap();
        }
        Self { era, list }
    }

    /// What it answers to a message; nothing to a notification.
    pub(crate) fn answer(&self, text: &str) -> Option<String> {
        let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
        let id = envelope.id?.get();
        let kind = match self.era {
            Era::Legacy => "",
            Era::Modern => "\"resultType\":\"complete\",",
        };
        let cache = match self.era {
            Era::Legacy => "",
            Era::Modern => "\"ttlMs\":0,\"cacheScope\":\"private\",",
        };
        let capabilities = "\"capabilities\":{\"tools\":{}}";
        Some(match (envelope.method.as_deref().unwrap_or_default(), self.era) {
            ("tools/call", _) => format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{kind}\"content\":[{{\"type\":\"text\",\"text\":\"a record of a few words\"}}]}}}}"
            ),
            ("tools/list", _) => {
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{kind}{cache}\"tools\":[{}]}}}}", self.list)
            }
            ("server/discover", Era::Modern) => format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{{kind}{cache}\"supportedVersions\":[\"2026-07-28\"],{capabilities}}}}}"
            ),
            ("initialize", Era::Legacy) => format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"protocolVersion\":\"2025-11-25\",{capabilities},\"serverInfo\":{{\"name\":\"bench\",\"version\":\"1\"}}}}}}"
            ),
            ("ping", _) => format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}"),
            _ => format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":-32601,\"message\":\"Method not found\"}}}}"
            ),
        })
    }
}
