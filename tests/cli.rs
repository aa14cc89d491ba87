//! The command line from outside: arguments in, texts and exit codes out.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use controller::board::{Board, PruneHeld};
use controller::event::NewEvent;
use controller::http::server::{Api, Listener, serve};
use controller::http::token::Token;
use controller::status::{Column, ObjectRecord, ObjectStatus, RolledBack};
use controller::user_word::UserWord;
use crds_schema::{ObjectKey, SourceLocation};
use expect_test::{Expect, expect};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};

use crate::support::engine::program_path;

/// Runs the program in an empty environment, in a directory of its own.
fn evenkeel(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let directory = tempfile::tempdir().expect("a temporary directory");
    Command::new(program_path())
        .args(arguments)
        .env_clear()
        .env("EVENKEEL_DATA_DIR", directory.path().join("data"))
        .envs(variables.iter().copied())
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts")
}

fn check(arguments: &[&str], expected_code: i32, stdout: &Expect, stderr: &Expect) {
    let output = evenkeel(arguments, &[]);
    stdout.assert_eq(&String::from_utf8_lossy(&output.stdout));
    stderr.assert_eq(&String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(expected_code), "{arguments:?}");
}

#[test]
fn help_lists_every_command_and_every_exit_code() {
    check(
        &["--help"],
        0,
        &expect![[r"
        Keeps a Docker host as its manifests say.

        Exit codes: 0 ok, 1 differences or not ready, 2 usage or failure.

        Usage: evenkeel [OPTIONS] <COMMAND>

        Commands:
          run         Watch manifests, keep the engine as they say, and serve the API
          validate    Check manifests without an engine: every fault at once
          plan        Show what would change and why, and change nothing
          get         Show objects
          describe    Show everything about one object
          events      Show what happened
          logs        Show what the containers of an object write
          explain     Explain a kind or a field
          schema      Print the JSON Schema of a kind, or of every manifest
          doctor      Check the configuration, the engine and the host
          prune       Show what prune holds back, or let it go on
          rollout     Show how the rollout of an object goes, or try one again that has failed
          mcp         Use an MCP gateway: what its servers offer, calls, and a bridge for clients
          gateway     Be an MCP gateway that is a process of its own, as the controller says
          audit       Look after the audits of MCP gateways
          config      Show the configuration
          completion  Print a shell's completion script
          version     Print the version
          help        Print this message or the help of the given subcommand(s)

        Options:
          -h, --help
                  Print help (see a summary with '-h')

          -V, --version
                  Print version

        Global options:
              --config <FILE>
                  Config file [default: /etc/evenkeel/config.yaml where it exists; `EVENKEEL_CONFIG`]

              --engine <ADDRESS>
                  Engine: `unix://PATH`, `tcp://HOST:PORT` or `simulated` [default: `DOCKER_HOST`, else
                  `unix:///var/run/docker.sock`]

              --data-dir <DIR>
                  Directory of the store, the token and the keys [default: /var/lib/evenkeel as root]

              --instance <NAME>
                  Name that tells controllers of one engine apart [default: default]

              --server <ADDRESS>
                  Running controller to ask: `http://HOST:PORT` or `unix://PATH` [default:
                  `http://127.0.0.1:7070`; `EVENKEEL_SERVER`]

              --log-format <FORMAT>
                  Form of log lines: text or json [default: text]

              --log-level <LEVEL>
                  Log lines: off, error, warn, info, debug, trace, and target=level [default: info;
                  `EVENKEEL_LOG`]

          -q, --quiet
                  Say nothing but errors on stderr

              --no-color
                  No colours; `NO_COLOR` does the same
    "]],
        &expect![""],
    );
}

#[test]
fn the_version_is_data() {
    check(&["version"], 0, &expect!["evenkeel 0.1.0\n"], &expect![""]);
}

#[test]
fn validate_shows_warnings_without_the_secrets_that_they_are_about_and_ends_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("web.yaml");
    let spec = "{ image: nginx, env: { API_TOKEN: ghp-0123456789 } }";
    fs::write(
        &path,
        format!("apiVersion: evenkeel.dev/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec: {spec}\n"),
    )
    .unwrap();
    let output = evenkeel(&["validate", path.to_str().unwrap()], &[]);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), stderr.trim()), (Some(0), "1 sound object in 1 file: 2 warnings"), "{stdout}");
    assert!(stdout.contains("warning[E0250]") && stdout.contains("warning[E0252]"), "{stdout}");
    assert!(!stdout.contains("ghp-"), "{stdout}");
}

#[test]
fn a_wrong_argument_ends_with_2_and_a_suggestion() {
    check(
        &["get", "--wach"],
        2,
        &expect![""],
        &expect![[r"
        error: unexpected argument '--wach' found

          tip: a similar argument exists: '--watch'

        Usage: evenkeel get --watch [KIND] [NAME]

        For more information, try '--help'.
    "]],
    );
    check(
        &["get", "pods"],
        2,
        &expect![""],
        &expect![[r"
        error: no kind `pods`
        hint: the kinds are networks, volumes, deployments, mcpservers, mcpgateways
    "]],
    );
    check(
        &["get", "deploy", "Web"],
        2,
        &expect![""],
        &expect![[r"
        error: `Web` is not a valid name: use 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit
        hint: `evenkeel get -A` shows what there is
    "]],
    );
    check(
        &["run"],
        2,
        &expect![""],
        &expect![[r"
        error: no manifests
        hint: name their directory with `--manifests DIR`
    "]],
    );
}

#[test]
fn a_controller_that_does_not_run_is_told_with_a_hint() {
    check(
        &["get", "--server", "127.0.0.1:1"],
        2,
        &expect![""],
        &expect![[r"
        error: cannot reach the controller at http://127.0.0.1:1: Connection refused (os error 111)
        hint: is `evenkeel run` running? `--server` or EVENKEEL_SERVER says where
    "]],
    );
    check(
        &["events", "-w", "--server", "unix:///nowhere.sock"],
        2,
        &expect![""],
        &expect![[r"
        error: cannot reach the controller at unix:///nowhere.sock: No such file or directory (os error 2)
        hint: is `evenkeel run` running? `--server` or EVENKEEL_SERVER says where
    "]],
    );
    let output = evenkeel(&["prune", "--confirm", "t"], &[]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && stderr.contains("or set EVENKEEL_TOKEN"), "{stderr}");
}

#[test]
fn every_fault_of_the_configuration_is_told_at_once() {
    check(
        &["config", "show", "--engine", "ssh://far", "--log-level", "loud", "--server", "x"],
        2,
        &expect![""],
        &expect![[r"
            error[E0303]: invalid value `ssh://far` for `engine` (flag --engine): `ssh://` is not supported: Evenkeel must be next to the engine to keep it
             |
             = hint: set it with `--engine`, `EVENKEEL_ENGINE` or `engine` in the config file
            error[E0303]: invalid value `x` for `server` (flag --server): expected `http://HOST:PORT` or `unix://PATH`, such as `http://127.0.0.1:7070`
             |
             = hint: set it with `--server`, `EVENKEEL_SERVER` or `server` in the config file
            error[E0303]: invalid value `loud` for `logLevel` (flag --log-level): `loud` is not a level: use `off`, `error`, `warn`, `info`, `debug` or `trace`, or `target=level`, separated by commas
             |
             = hint: set it with `--log-level`, `EVENKEEL_LOG` or `logLevel` in the config file
        "]],
    );
}

#[test]
fn config_show_says_where_each_value_came_from() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("config.yaml");
    fs::write(&file, "resync: 1m\npruneLimit: 10%\n").expect("a config file");
    let variables = [
        ("EVENKEEL_CONFIG", file.to_str().expect("a text path")),
        ("EVENKEEL_RESYNC", "2m"),
        ("DOCKER_HOST", "tcp://h:1"),
    ];
    let output = evenkeel(&["config", "show", "--instance", "two", "-o", "json"], &variables);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let entry = |setting: &str| {
        let text = |field: &str| shown[setting][field].as_str().unwrap_or("none").to_owned();
        (text("value"), text("from"))
    };
    let pair = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(entry("resync"), pair("2m", "environment EVENKEEL_RESYNC"));
    assert_eq!(entry("pruneLimit"), pair("10%", &format!("file {}", file.display())));
    assert_eq!(entry("instance"), pair("two", "flag --instance"));
    assert_eq!(entry("engine"), pair("tcp://h:1", "environment DOCKER_HOST"));
    assert_eq!(entry("logFormat"), pair("text", "default"));
    let table = evenkeel(&["config", "show"], &[]).stdout;
    assert!(String::from_utf8_lossy(&table).starts_with("SETTING "));
}

#[test]
fn completion_is_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = evenkeel(&["completion", shell], &[]);
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("describe"), "{shell}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("token-file"), "{shell}");
    }
}

#[test]
fn doctor_names_what_fails_and_what_to_do() {
    let output = evenkeel(&["doctor", "--engine", "unix:///nowhere.sock"], &[("EVENKEEL_LISTEN", "127.0.0.1:0")]);
    let report = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{report}");
    assert!(report.contains("fail  engine     unix:///nowhere.sock does not answer"), "{report}");
    assert!(report.contains("hint: start Docker"), "{report}");
    let output = evenkeel(&["doctor", "--engine", "simulated"], &[("EVENKEEL_LISTEN", "127.0.0.1:0")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(program_path())
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()), (Some(0), String::new()));
}

/// The API of a controller that knows two objects, on a unix socket in a directory.
pub(crate) struct Controller {
    pub(crate) board: Arc<Board>,
    words: mpsc::Receiver<UserWord>,
    shutdown: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    address: String,
}

pub(crate) async fn start_controller(directory: &Path) -> Controller {
    let board = Arc::new(Board::default());
    for (key, cell) in [("Deployment/web", "2/2"), ("Network/staging/back", "bridge")] {
        let key: ObjectKey = key.parse().expect("a key");
        let metadata = serde_json::json!({ "name": key.name, "namespace": key.namespace });
        let column = Column { name: "CELL".into(), value: cell.into(), wide: false };
        board.put_object(ObjectRecord {
            manifest: serde_json::json!({ "apiVersion": "evenkeel.dev/v1", "kind": key.kind.as_str(), "metadata": metadata, "spec": {} }),
            key,
            source: SourceLocation { file: "web.yaml".into(), line: 1 },
            created_ms: 0,
            rolled_back: None,
            status: ObjectStatus { columns: vec![column], ..ObjectStatus::default() },
        });
    }
    board.record_event(NewEvent::normal(&"Deployment/web".parse().expect("a key"), "Created", "created \u{1b}web"), 0);
    board.update_controller(|controller| (controller.is_simulated, controller.is_engine_reachable) = (true, true));
    let socket = directory.join("evenkeel.sock");
    let address = format!("unix://{}", socket.display());
    let listener = Listener::bind(&address.parse().expect("an address")).await.expect("a socket");
    let (say, words) = mpsc::channel(1);
    let (shutdown, shutdown_rx) = watch::channel(false);
    let api = Api::new(board.clone(), Arc::new(Registry::default()), Token::new("secret"), say, shutdown_rx);
    let server = tokio::spawn(serve(listener, api));
    Controller { board, words, shutdown, server, address }
}

impl Controller {
    /// Runs the program against this controller; its exit code, stdout and stderr.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let address = self.address.clone();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            evenkeel(&arguments, &[("EVENKEEL_SERVER", &address), ("EVENKEEL_TOKEN", "secret")])
        };
        let output = tokio::task::spawn_blocking(run).await.expect("the program ran");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }
}

#[tokio::test]
async fn objects_and_events_are_shown_as_the_controller_knows_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let controller = start_controller(directory.path()).await;
    let (code, stdout, stderr) = controller.ask(&["get", "deploy", "web"]).await;
    assert_eq!((code, stderr.as_str()), (Some(0), "simulated engine\n"));
    assert!(stdout.starts_with("NAME   CELL   STATUS    AGE\nweb    2/2    Unknown "), "{stdout}");
    let (_, stdout, _) = controller.ask(&["get"]).await;
    assert!(stdout.contains("NAMESPACE   NAME") && stdout.contains("staging     network/back"), "{stdout}");
    let (_, stdout, stderr) = controller.ask(&["-q", "get", "net", "-n", "staging", "-o", "json"]).await;
    assert!(stdout.contains("\"kind\": \"List\"") && stderr.is_empty(), "{stdout} {stderr}");
    let (code, _, stderr) = controller.ask(&["get", "deploy/api"]).await;
    assert!(code == Some(2) && stderr.contains("no Deployment `api` in namespace `default`"), "{stderr}");
    let (code, stdout, _) = controller.ask(&["describe", "deploy", "web"]).await;
    assert!(code == Some(0) && stdout.contains("Source:      web.yaml:1"), "{stdout}");
    assert!(stdout.contains("created \\u{1b}web"), "{stdout}");
    let (code, stdout, _) = controller.ask(&["events", "--for", "deploy/web", "-o", "json"]).await;
    assert!(code == Some(0) && stdout.contains("\"reason\": \"Created\""), "{stdout}");
    let (code, _, stderr) = controller.ask(&["describe", "deploy", "api"]).await;
    assert!(code == Some(2) && stderr.contains("error: Deployment/api is not known"), "{stderr}");
}

#[tokio::test]
async fn a_watch_goes_on_until_the_controller_ends() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let controller = start_controller(directory.path()).await;
    let (board, shutdown) = (controller.board.clone(), controller.shutdown.clone());
    // The program takes a while to start: the change is made again until it must have been seen.
    let change = async move {
        let web = board.object(&"Deployment/web".parse().expect("a key")).expect("it is there");
        for _ in 0..10 {
            board.put_object(ObjectRecord::clone(&web));
            tokio::time::sleep(Duration::from_millis(150)).await;
            board.remove_object(&web.key);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shutdown.send(true).expect("the server listens");
    };
    let ((code, stdout, stderr), ()) = tokio::join!(controller.ask(&["get", "-w"]), change);
    assert!(code == Some(0) && stdout.contains("deployment/web"), "{stdout}");
    assert!(stderr.contains("Deployment/web is gone\n"), "{stderr}");
    assert!(stderr.ends_with("the controller ended the watch\n"), "{stderr}");
    controller.server.await.expect("the server ended");
    assert!(!directory.path().join("evenkeel.sock").exists());
}

#[tokio::test]
async fn a_held_prune_is_shown_and_confirmed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut controller = start_controller(directory.path()).await;
    assert_eq!(controller.ask(&["prune"]).await.2, "nothing is held\n");
    let keys = vec!["Deployment/web".parse().expect("a key")];
    let held = PruneHeld { keys, token: "t1".into(), reason: "all objects would go".into() };
    controller.board.update_controller(|status| status.prune_held = Some(held));
    let (code, stdout, stderr) = controller.ask(&["prune"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), "Deployment/web\n"));
    assert!(stderr.contains("evenkeel prune --confirm t1"), "{stderr}");
    let (code, _, stderr) = controller.ask(&["prune", "--confirm", "t0"]).await;
    assert!(code == Some(2) && stderr.contains("hint: `evenkeel prune` shows what is held now"), "{stderr}");
    let (code, stdout, _) = controller.ask(&["prune", "--confirm", "t1"]).await;
    assert_eq!((code, stdout.as_str()), (Some(0), "Deployment/web\n"));
    assert_eq!(controller.words.recv().await, Some(UserWord::ConfirmPrune("t1".to_owned())));
}

#[tokio::test]
async fn a_rollout_that_failed_is_told_and_tried_again() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut controller = start_controller(directory.path()).await;
    let (code, _, stderr) = controller.ask(&["rollout", "retry", "deploy/web"]).await;
    assert!(code == Some(2) && stderr.contains("has not failed"), "{stderr}");
    let (code, _, stderr) = controller.ask(&["rollout", "retry", "deploy/api"]).await;
    assert!(code == Some(2) && stderr.contains("is not known"), "{stderr}");
    let (code, stdout, _) = controller.ask(&["rollout", "status", "deploy/web", "--timeout", "0"]).await;
    assert!(code == Some(1) && stdout.starts_with("Deployment/web: not complete: "), "{stdout}");
    let key = "Deployment/web".parse().expect("a key");
    let manifest = serde_json::json!({ "spec": { "image": "web:1" } });
    let rolled_back = RolledBack { manifest, message: "the update was rolled back".to_owned(), since_ms: 0 };
    let rolled_back = |record: &ObjectRecord| ObjectRecord { rolled_back: Some(rolled_back), ..record.clone() };
    controller.board.change_object(&key, rolled_back);
    let (code, stdout, _) = controller.ask(&["rollout", "status", "deploy/web"]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), "Deployment/web: failed: the update was rolled back\n"));
    let (_, stdout, _) = controller.ask(&["describe", "deploy/web"]).await;
    assert!(stdout.contains("Rolled back: ") && stdout.ends_with("Spec in force:\n  image: web:1\n"), "{stdout}");
    let (code, stdout, stderr) = controller.ask(&["rollout", "retry", "deploy/web"]).await;
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "Deployment/web\n", "its spec is tried again\n"));
    assert_eq!(controller.words.recv().await, Some(UserWord::RetryRollout(key)));
}
