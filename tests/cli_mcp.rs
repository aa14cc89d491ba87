//! `evenkeel mcp` and `evenkeel audit` from outside, against a gateway in this process.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use expect_test::{Expect, expect};
use gateway::audit::{AuditLog, AuditRecord};
use gateway::config::{AuditConfig, Endpoint, GatewayConfig, Instance, Rotation, ServerConfig};
use gateway::hub::{Attach, Hub, HubParts};
use gateway::pin::{Approval, Desk, Doubt, DoubtKind, differences};
use gateway::upstream::stdio::Attached;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};

use crate::support::engine::program_path;

fn command(arguments: &[&str], variables: &[(&str, &str)], directory: &Path) -> Command {
    let mut command = Command::new(program_path());
    command
        .args(arguments)
        .env_clear()
        .env("EVENKEEL_DATA_DIR", directory.join("data"))
        .env("XDG_CACHE_HOME", directory.join("cache"))
        .envs(variables.iter().copied())
        .current_dir(directory);
    command
}

fn evenkeel(arguments: &[&str], variables: &[(&str, &str)], directory: &Path) -> Output {
    command(arguments, variables, directory).stdin(Stdio::null()).output().expect("the program starts")
}

fn check(arguments: &[&str], expected_code: i32, stdout: &Expect, stderr: &Expect) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = evenkeel(arguments, &[], directory.path());
    stdout.assert_eq(&String::from_utf8_lossy(&output.stdout));
    stderr.assert_eq(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(expected_code), "{arguments:?}");
}

#[test]
fn wrong_arguments_of_mcp_end_with_2_and_a_hint() {
    let nothing = expect![""];
    check(
        &["mcp", "tools", "--gateway", "https://hub"],
        2,
        &nothing,
        &expect![[r"
            error: `https://hub` (from --gateway) is not a `http://` URL, which is all that a gateway speaks
            hint: such as `http://127.0.0.1:3010/mcp`
        "]],
    );
    check(
        &["mcp", "call", "t", "--json", "[1]"],
        2,
        &nothing,
        &expect![[r#"
            error: `--json` is no JSON object
            hint: write `{"KEY": VALUE, …}`
        "#]],
    );
    check(
        &["mcp", "call", "t", "word"],
        2,
        &nothing,
        &expect![[r"
            error: invalid value 'word' for '[KEY=VALUE]...': expected `KEY=VALUE`

            For more information, try '--help'.
        "]],
    );
    check(
        &["mcp", "bridge", "--server", "No Such"],
        2,
        &nothing,
        &expect![[r"
            error: `No Such` is not a server's name: use 1 to 63 of `a-z`, `0-9` and `-`
            hint: `evenkeel mcp ls` shows the servers
        "]],
    );
    check(
        &["mcp", "ls", "--gateway", "http://127.0.0.1:1", "--token-file", "absent"],
        2,
        &nothing,
        &expect![[r"
            error: cannot read the token `absent`: No such file or directory (os error 2)
            hint: `--token-file` or EVENKEEL_MCP_TOKEN_FILE says where it is
        "]],
    );
    check(
        &["mcp", "ls", "--gateway", "http://127.0.0.1:1"],
        2,
        &nothing,
        &expect![[r"
            error: cannot reach the gateway at http://127.0.0.1:1/mcp: Connection refused (os error 111)
            hint: is `evenkeel run` running, with an McpGateway? `--gateway` or EVENKEEL_MCP_URL says where
        "]],
    );
}

#[test]
fn an_audit_that_cannot_be_read_is_no_broken_one() {
    check(
        &["audit", "verify", "absent.jsonl"],
        2,
        &expect![""],
        &expect![[r"
            error: cannot read the audit `absent.jsonl`: No such file or directory (os error 2)
        "]],
    );
}

/// An audit of several files, and their paths, the oldest first.
async fn write_audit(path: &Path, rotation: Rotation) -> Vec<String> {
    let log = AuditLog::open(path, rotation).expect("an audit");
    for _ in 0..60 {
        log.write(&AuditRecord { method: "tools/call".to_owned(), ..AuditRecord::default() }).await;
    }
    log.settled().await;
    let stem = path.file_stem().expect("a name").to_str().expect("a text name");
    let entries = fs::read_dir(path.parent().expect("a directory")).expect("it can be read");
    let entries = entries.map(|entry| entry.expect("an entry").path().to_str().expect("a text path").to_owned());
    let mut files: Vec<String> = entries.filter(|file| file.contains(stem)).collect();
    // A hyphen is before a dot.
    files.sort();
    files
}

#[tokio::test]
async fn an_audit_of_several_files_is_checked_as_one_in_whatever_order_they_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rotation = Rotation { file_bytes: 4_000, ..Rotation::default() };
    let verify = |files: &[String]| {
        let files = files.iter().map(String::as_str);
        let output = evenkeel(&["audit", "verify"].into_iter().chain(files).collect::<Vec<_>>(), &[], directory.path());
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let whole = write_audit(&directory.path().join("default_hub.audit.jsonl"), rotation).await;
    let (one, two, three) = (&whole[0], &whole[1], &whole[2]);
    let numbers = |file: &str| {
        let text = fs::read_to_string(file).expect("a file");
        let of = |line: &str| serde_json::from_str::<Value>(line).expect("a record")["seq"].as_u64().expect("a number");
        (of(text.lines().next().expect("a line")), of(text.lines().last().expect("a line")))
    };
    let mut files = whole.clone();
    files.reverse();
    for files in [&whole, &files] {
        let (code, stdout) = verify(files);
        assert_eq!((code, stdout.matches("the chain is whole").count()), (Some(0), whole.len()), "{stdout}");
        assert!(!stdout.contains("begins with"), "{stdout}");
    }

    let (code, stdout) = verify(&[three.clone(), one.clone()]);
    let (first, last) = numbers(two);
    let missing = format!("{three}: records {first} to {last} are missing between {one} and this file\n");
    assert!(code == Some(1) && stdout.contains(&missing), "{stdout}");
    let (code, stdout) = verify(&whole[1..]);
    let begins = format!("{two}: begins with record {first}: those before it are not here\n");
    assert!(code == Some(0) && stdout.ends_with(&begins), "{stdout}");
    let (code, stdout) = verify(&whole[1..2]);
    assert!(code == Some(0) && stdout.contains("\nbegins with record "), "{stdout}");
    let edited = fs::read_to_string(two).expect("a file").replacen("tools/call", "tools/list", 1);
    fs::write(two, edited).expect("it is written");
    let (code, stdout) = verify(&whole);
    assert!(code == Some(1) && stdout.contains(&format!("{two}: line 1 does not fit the chain")), "{stdout}");

    // Two gateways, of which one has removed older files.
    let rotation = Rotation { max_backups: Some(1), ..rotation };
    let pruned = write_audit(&directory.path().join("lab_hub.audit.jsonl"), rotation).await;
    let others = write_audit(&directory.path().join("other_hub.audit.jsonl"), Rotation::default()).await;
    let (code, stdout) = verify(&[others, pruned.clone()].concat());
    let (first, _) = numbers(&pruned[0]);
    let wrote = format!("begins with record {first}: the gateway removed those before it, and wrote that down\n");
    assert!(code == Some(0) && stdout.ends_with(&format!("{}: {wrote}", pruned[0])), "{stdout}");
}

/// A server of three tools.
#[derive(Debug)]
struct Tools;

#[async_trait]
impl Attach for Tools {
    async fn attach(&self, _: &str) -> std::io::Result<Attached> {
        let (input, server_input) = tokio::io::duplex(1 << 16);
        let (mut server_output, output) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut lines = tokio::io::BufReader::new(server_input).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let asked: Value = serde_json::from_str(&line).expect("JSON");
                if asked["id"].is_null() {
                    continue;
                }
                let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer(&asked) });
                if server_output.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        Ok(Attached { input: Box::new(input), output: Box::new(output) })
    }
}

fn answer(asked: &Value) -> Value {
    let schema = json!({ "type": "object", "properties": { "id": { "type": "string" }, "n": { "type": "integer" } } });
    let tool =
        |name: &str, description: &str| json!({ "name": name, "description": description, "inputSchema": schema });
    match asked["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({ "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
            "cacheScope": "private", "capabilities": { "tools": {} }, "instructions": "Be kind." }),
        "tools/list" => json!({ "resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": [
            tool("echo", "Says it\u{200b} again."), tool("fail", "Fails.\nAlways.")] }),
        _ => {
            let params = &asked["params"];
            let text = params["arguments"].to_string();
            let is_error = params["name"] == "fail";
            json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }], "isError": is_error })
        }
    }
}

async fn start_gateway(audit: &Path) -> (String, Arc<Hub>) {
    let listen = "127.0.0.1:0".parse().expect("an address");
    let audit = Some(AuditConfig::to(audit.to_owned()));
    let config = GatewayConfig { audit, ..GatewayConfig::on(listen) };
    let hub = Hub::open(HubParts { config, attach: Arc::new(Tools), state_dir: None, leases: Arc::default() })
        .expect("a hub");
    let instance =
        Instance { id: "one".to_owned(), run_ms: None, is_current: true, is_leaving: false, endpoint: Endpoint::Stdio };
    hub.set_servers(vec![ServerConfig::of("words", vec![instance])]);
    let begun = Instant::now();
    while hub.status().tools == 0 {
        assert!(begun.elapsed() < Duration::from_mins(1), "the server is never listed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let listener = tokio::net::TcpListener::bind(listen).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = Arc::clone(&hub);
    tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
    (format!("http://{address}/mcp"), hub)
}

/// Runs the program against a gateway; its exit code, stdout and stderr.
async fn ask(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let url = url.to_owned();
    let run = move || {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        evenkeel(&arguments, &[("EVENKEEL_MCP_URL", &url)], directory.path())
    };
    let output = tokio::task::spawn_blocking(run).await.expect("the program ran");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_tools_are_shown_called_and_audited() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let audit = directory.path().join("audit.jsonl");
    let (url, _hub) = start_gateway(&audit).await;
    let (code, stdout, stderr) = ask(&url, &["mcp", "ls", "-o", "wide"]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(
        stdout,
        "SERVER   TOOLS   PROMPTS   RESOURCES   INSTRUCTIONS\nwords    2       0         0           Be kind.\n"
    );
    let table = "NAME          DESCRIPTION\nwords__echo   Says it\\u{200b} again.\nwords__fail   Fails.\n";
    assert_eq!(ask(&url, &["mcp", "tools"]).await.1, table);
    assert_eq!(ask(&url, &["mcp", "tools", "words"]).await.1, table);
    assert_eq!(ask(&url, &["mcp", "prompts"]).await, (Some(0), String::new(), "no prompts\n".to_owned()));
    let (_, stdout, _) = ask(&url, &["mcp", "tools", "-o", "json"]).await;
    let items: Value = serde_json::from_str(&stdout).expect("JSON");
    assert!(items[0]["description"] == "Says it\u{200b} again." && stdout.contains("\\u200b"), "{stdout}");
    let (code, _, stderr) = ask(&url, &["mcp", "tools", "none"]).await;
    assert!(code == Some(2) && stderr.contains("`evenkeel mcp ls` shows the servers"), "{stderr}");

    let (code, stdout, _) = ask(&url, &["mcp", "call", "words__echo", "id=7", "n=7", "free=a b"]).await;
    assert_eq!((code, stdout.as_str()), (Some(0), "{\"free\":\"a b\",\"id\":\"7\",\"n\":7}\n"));
    let (code, stdout, _) = ask(&url, &["mcp", "call", "words__echo", "--json", "{\"z\":1}", "-o", "json"]).await;
    let result: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, &result["content"][0]["text"]), (Some(0), &json!("{\"z\":1}")));
    let (code, stdout, stderr) = ask(&url, &["mcp", "call", "words__fail"]).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(1), "{}\n", "the tool says that it failed\n"));
    let (code, _, stderr) = ask(&url, &["mcp", "call", "echo"]).await;
    assert_eq!((code, stderr.as_str()), (Some(2), "error: no tool `echo`\nhint: did you mean `words__echo`?\n"));
    let (code, stdout, _) = ask(&url, &["mcp", "inspect", "words__echo"]).await;
    assert!(code == Some(0) && stdout.contains("  Says it\\u{200b} again.\nInput schema:\n  {\n"), "{stdout}");

    let file = audit.to_str().expect("a text path");
    let (code, stdout, _) = ask(&url, &["audit", "verify", file]).await;
    assert!(code == Some(0) && stdout.ends_with(" records, the chain is whole\n"), "{stdout}");
    let records = fs::read_to_string(&audit).expect("the audit");
    let edited = directory.path().join("edited.jsonl");
    fs::write(&edited, records.replacen("\"seq\":2,", "\"seq\":9,", 1)).expect("a file");
    let (code, stdout, _) = ask(&url, &["audit", "verify", file, edited.to_str().expect("a text path")]).await;
    assert_eq!(code, Some(1));
    assert!(stdout.contains("edited.jsonl: line 2 does not fit the chain"), "{stdout}");

    // What was cut off at an end shows by the hashes that were kept elsewhere, and by them alone.
    let lines: Vec<&str> = records.lines().collect();
    let hash_of =
        |line: &str| serde_json::from_str::<Value>(line).expect("a record")["hash"].as_str().unwrap().to_owned();
    let (first, last) = (hash_of(lines[0]), hash_of(lines[lines.len() - 1]));
    let pieces = [&lines[..2], &lines[2..4], &lines[4..]].map(|lines| lines.join("\n") + "\n");
    for (name, piece) in ["whole.2", "whole.1", "whole"].iter().zip(&pieces) {
        fs::write(directory.path().join(name), piece).expect("a file");
    }
    let path = |name: &str| directory.path().join(name).to_str().expect("a text path").to_owned();
    let (oldest, older, newest) = (path("whole.2"), path("whole.1"), path("whole"));
    let expected = ["--expect-first", &first, "--expect-last", &last];
    let verify = async |files: &[&str], expected: &[&str]| {
        let (code, stdout, _) = ask(&url, &[&["audit", "verify"], files, expected].concat()).await;
        (code, stdout)
    };
    let (code, stdout) = verify(&[&oldest, &older, &newest], &expected).await;
    assert_eq!(code, Some(0), "{stdout}");
    assert!(stdout.contains(&format!("first {first}\n")) && stdout.contains(&format!("last  {last}\n")), "{stdout}");
    assert_eq!(verify(&[&oldest, &newest], &[]).await.0, Some(1), "what is between them is missing");
    assert_eq!(verify(&[&oldest, &older], &[]).await.0, Some(0), "nothing in them says that there was more");
    let (code, stdout) = verify(&[&oldest, &older], &expected).await;
    assert!(code == Some(1) && stdout.contains("the last hash is not"), "{stdout}");
    let (code, stdout) = verify(&[&older, &newest], &expected).await;
    assert!(code == Some(1) && stdout.contains("the first hash is not"), "{stdout}");
    assert_eq!(verify(&[file, file], &expected).await.0, Some(1), "two chains are not one");
    // What comes by a pipe can be read but once.
    let pipe = path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let (to, whole) = (pipe.clone(), records.clone());
    let writing = tokio::task::spawn_blocking(move || fs::write(to, whole));
    let (code, stdout) = verify(&[&pipe], &expected).await;
    assert!(code == Some(0) && stdout.contains(&format!("{} records, the chain is whole", lines.len())), "{stdout}");
    writing.await.expect("it ends").expect("all of it was read");
}

/// The quickstart, as `make demo` runs it where no Engine can be had.
#[test]
fn the_lessons_converge_on_the_simulated_engine_servers_for_agents_included() {
    let lessons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/quickstart");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let manifests = directory.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for lesson in fs::read_dir(lessons).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(lesson.path()).unwrap().replace("127.0.0.1:3010", &free.to_string());
        fs::write(manifests.join(lesson.file_name()), text).unwrap();
    }
    let ended =
        evenkeel(&["--engine", "simulated", "run", "--once", "--manifests", "manifests"], &[], directory.path());
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{stderr}");
    assert!(directory.path().join("data/mcp/default_hub.token").exists());
}

/// A bridge as a client starts it.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Bridge {
    fn start(url: &str, more: &[&str], directory: &Path) -> Self {
        let mut command = command(&[&["mcp", "bridge", "--gateway", url], more].concat(), &[], directory);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { input: child.stdin.take(), output, child }
    }

    fn ask(&mut self, message: &Value) -> Value {
        writeln!(self.input.as_mut().expect("it is open"), "{message}").expect("it reads");
        self.next()
    }

    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it writes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn end(mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill().expect("it can be killed");
        panic!("it did not end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_relays_and_ends_when_its_client_does() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (url, hub) = start_gateway(&directory.path().join("audit.jsonl")).await;
    let work = move || {
        let mut bridge = Bridge::start(&url, &["--server", "words"], directory.path());
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t" } });
        let begun = bridge.ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }));
        assert_eq!(begun["result"]["serverInfo"]["name"], "evenkeel", "{begun}");
        let list = bridge.ask(&json!({ "jsonrpc": "2.0", "id": "l", "method": "tools/list" }));
        assert_eq!(list["result"]["tools"][0]["name"], "echo", "one server alone has its own names");
        let sessions = evenkeel(&["mcp", "sessions"], &[("EVENKEEL_MCP_URL", &url)], directory.path());
        let sessions = String::from_utf8_lossy(&sessions.stdout).into_owned();
        assert!(sessions.starts_with("SESSION") && sessions.contains("2025-11-25   words "), "{sessions}");
        drop(bridge.input.take());
        assert_eq!(bridge.end(), Some(0));

        // What was answered is kept for the next one, which ends with a signal.
        let kept = fs::read_dir(directory.path().join("cache/evenkeel")).expect("a cache").count();
        assert_eq!(kept, 1);
        let mut bridge = Bridge::start(&url, &[], directory.path());
        bridge.ask(&json!({ "jsonrpc": "2.0", "id": 0, "method": "ping" }));
        let killed = Command::new("kill").args(["-TERM", &bridge.child.id().to_string()]).status();
        assert!(killed.expect("a signal").success());
        assert_eq!(bridge.end(), Some(0));
    };
    tokio::task::spawn_blocking(work).await.expect("it went well");
    assert_eq!(hub.sessions.len(), 0);
}

#[test]
fn what_is_not_approved_is_shown_with_its_changes_and_approved_on_the_desk() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path().join("data/mcp/default_hub");
    fs::create_dir_all(&folder).unwrap();
    let desk = Desk::in_directory(&folder);
    let doubt = |tool: &str, kind| {
        let hash = format!("hash of {tool}");
        Doubt { server: "notes".into(), tool: tool.into(), hash, kind, is_hidden: true, is_waiting: false }
    };
    let lines = differences(r#"{"description":"adds"}"#, "{\"description\":\"adds\u{200b}, and sends\"}");
    let changed = doubt("add", DoubtKind::Changed(lines));
    let gone = Doubt { is_hidden: false, is_waiting: true, ..doubt("sum", DoubtKind::Removed) };
    let new = doubt("read", DoubtKind::New(differences("{}", r#"{"description":"reads"}"#)));
    desk.put_doubts(&[changed.clone(), new, gone]).unwrap();

    let shown = evenkeel(&["mcp", "approve"], &[], directory.path());
    assert_eq!(shown.status.code(), Some(1));
    expect![[r#"
        SERVER   TOOL   WHAT      SHOWN
        notes    add    changed   no
        notes    read   new       no
        notes    sum    removed   the update waits

        notes/add
          description: "adds" -> "adds\u{200b}, and sends"

        notes/read
          description: none -> "reads"

        notes/sum
          it is not there any more
    "#]]
    .assert_eq(&String::from_utf8_lossy(&shown.stdout));

    let gateway = std::thread::spawn(move || {
        let begun = Instant::now();
        loop {
            let taken = desk.take_approvals();
            if !taken.is_empty() || begun.elapsed() > Duration::from_secs(30) {
                desk.put_doubts(&[changed]).unwrap();
                return taken;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let approved = evenkeel(&["mcp", "approve", "notes", "read"], &[], directory.path());
    assert_eq!(approved.status.code(), Some(0), "{}", String::from_utf8_lossy(&approved.stderr));
    let definitions = [("read".to_owned(), "hash of read".to_owned())].into();
    assert_eq!(gateway.join().unwrap(), [Approval { server: "notes".into(), definitions }]);
    let elsewhere = evenkeel(&["mcp", "approve", "lab/notes"], &[], directory.path());
    assert_eq!(elsewhere.status.code(), Some(1), "the server of another namespace is another server");
    let other = evenkeel(&["mcp", "approve", "others"], &[], directory.path());
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("nothing of that is waiting"), "{other:?}");
}
