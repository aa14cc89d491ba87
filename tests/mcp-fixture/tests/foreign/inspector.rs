//! The inspector's command line: each of its runs is one request.

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{is_installed, text_of, tied};
use crate::sdk::{LEGACY, MODERN, Visit, check};
use crate::stage::Stage;

/// Where it is, and which.
const INSPECTOR: [&str; 2] = ["target/clients/inspector", "@modelcontextprotocol/inspector@2.12.0"];

/// The inspector in one era.
struct Inspector {
    era: &'static str,
    home: TempDir,
}

impl Inspector {
    /// Its answer to one method.
    fn ask(&self, url: &str, request: &[&str]) -> Value {
        let mut command = tied("KILL", "scripts/node.sh");
        command.env("HOME", self.home.path());
        command.arg(format!("{}/node_modules/.bin/mcp-inspector", INSPECTOR[0])).args(["--cli", url]);
        command.args(["--transport", "http", "--format", "json", "--stored-auth-only", "--protocol-era", self.era]);
        let run = command.arg("--method").args(request).output().unwrap();
        assert!(run.status.success(), "{command:?}: {}", text_of(&run));
        let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
        answer["result"].clone()
    }

    fn visit(&self, url: &str, version: &str) -> Visit {
        let list = self.ask(url, &["tools/list"]);
        let tools = list["tools"].as_array().unwrap();
        let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
        let tool = *names.iter().find(|name| name.ends_with("test_simple_text")).unwrap();
        let prompt = tool.replace("simple_text", "simple_prompt");
        let called = self.ask(url, &["tools/call", "--tool-name", tool]);
        let read = self.ask(url, &["resources/read", "--uri", "test://static-text"]);
        let prompted = self.ask(url, &["prompts/get", "--prompt-name", &prompt]);
        // Only a server of the newer era says how long what it gave is good for: so this is the era of the hub's answer.
        let is_modern = read.get("ttlMs").is_some();
        assert_eq!(is_modern, version == MODERN, "{read}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Visit {
            version: version.to_owned(),
            tools: tools.len(),
            tool: text(&called["content"][0]["text"]),
            resource: text(&read["contents"][0]["text"]),
            prompt: text(&prompted["messages"][0]["content"]["text"]),
        }
    }
}

fn visit_all(test_name: &str, era: &'static str, version: &str) {
    let is_there = is_installed(test_name, "scripts/npm-install.sh", &INSPECTOR)
        && is_installed(test_name, "scripts/node.sh", &["--version"]);
    if !is_there {
        return;
    }
    let inspector = Inspector { era, home: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap() };
    let stage = Stage::start();
    let visits: Vec<Visit> = stage.places().iter().map(|place| inspector.visit(place, version)).collect();
    check(&visits, version);
}

#[test]
fn the_inspector_reaches_servers_of_both_eras_with_a_session() {
    visit_all("the_inspector_reaches_servers_of_both_eras_with_a_session", "legacy", LEGACY);
}

#[test]
fn the_inspector_reaches_servers_of_both_eras_without_a_session() {
    visit_all("the_inspector_reaches_servers_of_both_eras_without_a_session", "modern", MODERN);
}
