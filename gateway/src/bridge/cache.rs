//! What the gateway answered last time, for when it cannot be reached: a client that starts before it finds its tools all the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::asked::Asked;
use crate::address::McpAddress;
use crate::era::{Era, negotiate_legacy};
use crate::whole_file::{Durability, write_whole};
use crate::wire::object::{RawObject, quote};

/// A larger file is none of ours.
const FILE_LIMIT: u64 = 64 << 20;

/// The results that are kept, and the file that they are kept in.
#[derive(Debug)]
pub(super) struct Cache {
    path: Option<PathBuf>,
    results: Mutex<BTreeMap<String, String>>,
}

/// The file for a gateway and a token: whoever sees other tools has another one.
pub(super) fn file_name(address: &McpAddress, token: Option<&str>) -> String {
    let mut hash = Sha256::new();
    hash.update(address.to_string());
    hash.update([0]);
    hash.update(token.unwrap_or_default());
    let digest = format!("{:x}", hash.finalize());
    format!("mcp-{}.json", digest.get(..16).unwrap_or_default())
}

impl Cache {
    /// What a file holds; nothing where it is not there, or is none of ours. Without a path nothing is kept.
    pub(super) fn open(path: Option<PathBuf>) -> Self {
        let results = path.as_deref().and_then(|path| read(path).ok()).unwrap_or_default();
        Self { path, results: Mutex::new(results) }
    }

    /// The kept answer to a request, fit for this one: in its version, and stale at once.
    pub(super) fn get(&self, asked: &Asked) -> Option<String> {
        let key = key_of(asked)?;
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fields = RawObject::parse(results.get(&key)?)?;
        if asked.method == "initialize" {
            let wanted = asked.params().get_str("protocolVersion").map(std::borrow::Cow::into_owned);
            fields.set_str("protocolVersion", negotiate_legacy(wanted.as_deref().unwrap_or_default()));
        }
        if fields.has("ttlMs") {
            fields.set("ttlMs", "0");
        }
        Some(fields.to_json())
    }

    /// Keeps the answer to a request, where it is one of those that are kept.
    pub(super) fn put(&self, asked: &Asked, result: &str) {
        let Some(key) = key_of(asked) else { return };
        let text = {
            let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
            if results.get(&key).is_some_and(|known| known == result) {
                return;
            }
            results.insert(key, result.to_owned());
            to_text(&results)
        };
        if let Some(path) = &self.path
            && let Err(error) = write(path, &text)
        {
            tracing::warn!(path = %path.display(), error = %error, "what the gateway answered cannot be kept");
        }
    }
}

/// What a result is kept under; `None` for what is not kept. A later page of a list is not.
fn key_of(asked: &Asked) -> Option<String> {
    let is_kept = match asked.method.as_str() {
        "initialize" => asked.era == Era::Legacy,
        "server/discover" => asked.era == Era::Modern,
        "tools/list" => !asked.params().has("cursor"),
        _ => false,
    };
    is_kept.then(|| format!("{} {}", asked.era.as_str(), asked.method))
}

fn to_text(results: &BTreeMap<String, String>) -> String {
    let fields: Vec<String> = results.iter().map(|(key, result)| format!("{}:{result}", quote(key))).collect();
    format!("{{\"version\":1,\"results\":{{{}}}}}\n", fields.join(","))
}

fn read(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut text = String::new();
    fs::File::open(path)?.take(FILE_LIMIT).read_to_string(&mut text)?;
    let file = RawObject::parse(&text).unwrap_or_default();
    let results = file.get("results").filter(|_| file.get("version") == Some("1")).and_then(RawObject::parse);
    let results = results.unwrap_or_default();
    Ok(results.iter().map(|(key, result)| (key.to_owned(), result.to_owned())).collect())
}

/// Puts a whole file in the place of the one before.
fn write(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    write_whole(path, text.as_bytes(), Durability::Process)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Cache, file_name};
    use crate::bridge::asked::Asked;

    fn asked(line: &str) -> Asked {
        Asked::read(line.to_owned()).unwrap()
    }

    const MODERN_LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

    #[test]
    fn what_was_answered_is_there_after_a_restart_and_fits_who_asks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/mcp-1.json");
        let cache = Cache::open(Some(path.clone()));
        let initialize = asked(
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{}}}"#,
        );
        cache.put(&initialize, r#"{"protocolVersion":"2025-11-25","capabilities":{ "x":1 }}"#);
        cache.put(&asked(MODERN_LIST), r#"{"tools":[],"ttlMs":5000}"#);
        cache.put(&asked(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#), "{}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
        let cache = Cache::open(Some(path.clone()));
        let kept = cache.get(&initialize);
        assert_eq!(kept.as_deref(), Some(r#"{"protocolVersion":"2025-06-18","capabilities":{ "x":1 }}"#));
        assert_eq!(cache.get(&asked(MODERN_LIST)).as_deref(), Some(r#"{"tools":[],"ttlMs":0}"#));
        let legacy_list = asked(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(cache.get(&legacy_list), None, "the eras have a list each");
        std::fs::write(&path, "{ torn").unwrap();
        assert_eq!(Cache::open(Some(path)).get(&initialize), None);
    }

    #[test]
    fn every_gateway_and_token_has_its_own_file() {
        let hub = "http://hub/mcp".parse().unwrap();
        let git = "http://hub/mcp/git".parse().unwrap();
        let names = [file_name(&hub, None), file_name(&git, None), file_name(&hub, Some("secret"))];
        assert!(names[0] != names[1] && names[0] != names[2] && !names[2].contains("secret"), "{names:?}");
    }
}
