//! Secrets of servers in containers: in a file, and nowhere else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use serde_json::json;

use crate::support::engine::{TestBed, Which, eventually};
use crate::support::mcp::{ask, await_tools_of, free_address, gateway, message_of, token};
use crate::support::scene::{NOTHING, PATIENCE, object, scene};

const FIRST: &str = "the-first-value-of-it";
const SECOND: &str = "the-second-value-of-it";

/// A server of MCP in a few lines of shell, which tells its secret to whoever calls it.
const TELLING: &str = r#"
while read -r line; do
  id=${line#*\"id\":}
  id=${id%%,*}
  case "$line" in
    *server/discover*) result='"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}' ;;
    *tools/list*) result='"tools":[{"name":"tell","inputSchema":{"type":"object"}}]' ;;
    *tools/call*) result="\"content\":[{\"type\":\"text\",\"text\":\"it is $(cat /run/secrets/pipe)\"}]" ;;
    *) continue ;;
  esac
  echo "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\",$result}}"
done
"#;

/// Whom a test may make the owner of a file, and a server may run as: not root.
fn owner(bed: &TestBed) -> (u32, u32) {
    let me = fs::metadata(bed.manifests()).unwrap();
    if me.uid() == 0 { (1001, 1001) } else { (me.uid(), me.gid()) }
}

fn telling_server(owner: (u32, u32)) -> String {
    script_server(TELLING, owner, "mounts: [{ secretFile: ./pipe.token, path: /run/secrets/pipe }]")
}

/// A server that is this script; `more` is a line of its spec.
fn script_server(script: &str, (uid, gid): (u32, u32), more: &str) -> String {
    let script: Vec<String> = script.trim().lines().map(|line| format!("      {line}")).collect();
    let spec = format!(
        "spec:\n  image: $image\n  user: \"{uid}:{gid}\"\n  command:\n    - /bin/sh\n    - -c\n    - |\n{}\n  {more}\n",
        script.join("\n")
    );
    object("McpServer", "pipe", &spec)
}

fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(text.len()).any(|window| window == text.as_bytes())
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_secret_of_a_container_is_a_file_in_it_and_in_no_inspect_no_store_no_log_and_no_answer() {
    let Some(mut bed) = scene("mcp-secret") else { return };
    let address = free_address();
    let secret = bed.manifests().join("pipe.token");
    fs::create_dir_all(bed.manifests()).unwrap();
    let owner = owner(&bed);
    bed.write("server.yaml", &telling_server(owner));
    bed.write("gateway.yaml", &gateway(address));
    bed.start();
    bed.await_fault("server.yaml", "E0238");
    assert!(bed.ids(Which::All, "pipe").is_empty() && !secret.exists(), "nothing is made in its place");

    fs::write(&secret, FIRST).unwrap();
    std::os::unix::fs::chown(&secret, Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    bed.await_ready("McpServer", "pipe");
    bed.await_no_fault();
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe"]);
    let tell = || {
        let answer = ask(address, &token, "tools/call", json!({ "name": "pipe__tell", "arguments": {} })).unwrap();
        message_of(&answer.body).to_string()
    };
    let told = tell();
    assert!(told.contains("it is [secret]") && !told.contains(FIRST), "{told}");
    let id = bed.ids(Which::Running, "pipe").remove(0);
    let inspected = bed.inspect("container", &id).to_string();
    assert!(inspected.contains("/run/secrets/pipe") && !inspected.contains(FIRST), "{inspected}");
    let mounts = bed.inspect("container", &id)["Mounts"].clone();
    let mount = mounts.as_array().unwrap().iter().find(|mount| mount["Destination"] == "/run/secrets/pipe").unwrap();
    assert_eq!(mount["RW"], false, "{mount}");

    // What is written into the file is there at once, in the same container, and is hidden soon.
    fs::write(&secret, SECOND).unwrap();
    eventually("the second value is hidden too", PATIENCE, || tell().contains("it is [secret]").then_some(()));
    assert_eq!(bed.docker(&["exec", &id, "/bin/cat", "/run/secrets/pipe"]).trim(), SECOND);
    assert_eq!(bed.ids(Which::All, "pipe"), [id]);
    for value in [FIRST, SECOND] {
        assert_eq!(files_with(&bed.data(), value), NOTHING);
        assert!(!bed.log().contains(value), "{value} is in the log");
    }

    // Without knowing what is to be hidden nobody is let near it.
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let why = bed.await_reason("McpServer", "pipe", "Unreachable");
    assert!(why.contains("everybody may read") && !why.contains(SECOND), "{why}");
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    bed.await_ready("McpServer", "pipe");
}

#[test]
fn a_secret_that_stands_in_a_manifest_is_warned_of_and_told_by_no_answer_no_audit_no_event_and_no_log() {
    let Some(mut bed) = scene("mcp-open-secret") else { return };
    let address = free_address();
    let script = TELLING.replace("$(cat /run/secrets/pipe)", "$PIPE_TOKEN or $PASSWORD_OF_URL");
    let password = "hunter2-hunter2";
    let write = |bed: &TestBed, token: &str| {
        let url = format!("DATABASE_URL: \"postgres://a:{password}@db/app\", PASSWORD_OF_URL: {password}");
        bed.write(
            "server.yaml",
            &script_server(&script, (1001, 1001), &format!("env: {{ PIPE_TOKEN: {token}, {url} }}")),
        );
    };
    write(&bed, FIRST);
    bed.write(
        "gateway.yaml",
        &object("McpGateway", "hub", &format!("spec: {{ listen: \"{address}\", audit: {{ values: true }} }}\n")),
    );
    bed.start();
    let fault = bed.await_fault("server.yaml", "E0250");
    bed.await_ready("McpServer", "pipe");
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe"]);
    let tell = |arguments: serde_json::Value| {
        let answer =
            ask(address, &token, "tools/call", json!({ "name": "pipe__tell", "arguments": arguments })).unwrap();
        message_of(&answer.body).to_string()
    };
    let told = tell(json!({}));
    assert!(told.contains("it is [secret] or [secret]"), "{told}");
    // It is no more than likely that this is a secret, and so nothing is refused for it.
    let told = tell(json!({ "text": format!("say {password}") }));
    assert!(told.contains("it is [secret] or [secret]"), "{told}");

    let old = bed.ids(Which::Running, "pipe").remove(0);
    write(&bed, SECOND);
    bed.await_replaced("pipe", &old);
    eventually("the second value is hidden too", PATIENCE, || tell(json!({})).contains("it is [secret]").then_some(()));
    let events = bed.events().iter().map(ToString::to_string).collect::<String>();
    assert!(events.contains("env.PIPE_TOKEN ([secret] -> [secret])"), "{events}");
    for value in [FIRST, SECOND, password] {
        assert!(!bed.log().contains(value), "{value} is in the log");
        assert!(!fault.to_string().contains(value) && !events.contains(value), "{value} is told");
        assert_eq!(files_with(&bed.data().join("mcp"), value), NOTHING);
    }
}
