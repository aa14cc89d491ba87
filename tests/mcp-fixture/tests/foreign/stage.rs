//! A hub, and behind it the fixture four times: in either era, over either transport.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::{FIXTURE, hub, tied};
use crate::rust_sdk;

/// The servers, by name.
const SERVERS: [&str; 4] = ["legacy-http", "legacy-stdio", "modern-http", "modern-stdio"];
/// How long the hub may take until it has listed all of them.
const PATIENCE: Duration = Duration::from_mins(1);

/// What runs; dropping it ends all of it.
pub(crate) struct Stage {
    programs: Vec<Child>,
    url: String,
}

impl Stage {
    /// Starts all, and waits until the hub has tools of each server.
    pub(crate) fn start() -> Self {
        let mut stage = Self { programs: Vec::new(), url: String::new() };
        let mut arguments = vec!["127.0.0.1:0".to_owned()];
        for server in SERVERS {
            let (era, transport) = server.split_once('-').unwrap();
            let place = match transport {
                "http" => stage.spawn(Path::new(FIXTURE), &["http", "--era", era]),
                _ => format!("stdio:{FIXTURE},stdio,--era,{era}"),
            };
            arguments.push(format!("{server}={place}"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        stage.url = stage.spawn(hub(), &arguments);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tools = rust_sdk::list_tools(&stage.url);
            let has_tool_of = |server: &&str| tools.iter().any(|tool| tool.starts_with(&format!("{server}__")));
            if SERVERS.iter().all(has_tool_of) {
                return stage;
            }
            assert!(Instant::now() < deadline, "the hub has not listed all servers: {tools:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The addresses that a client visits: all servers together, then each alone.
    pub(crate) fn places(&self) -> Vec<String> {
        let alone = SERVERS.iter().map(|server| format!("{}/{server}", self.url));
        std::iter::once(self.url.clone()).chain(alone).collect()
    }

    /// The same, each behind a bridge that the client starts.
    pub(crate) fn bridged_places(&self, evenkeel: &Path) -> Vec<String> {
        let all = format!("stdio:{},mcp,bridge,--gateway,{}", evenkeel.display(), self.url);
        let alone = SERVERS.iter().map(|server| format!("{all},--server,{server}"));
        std::iter::once(all.clone()).chain(alone).collect()
    }

    /// Starts a program that listens, and returns where.
    fn spawn(&mut self, program: &Path, arguments: &[&str]) -> String {
        let mut command = tied("KILL", program);
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        self.programs.push(child);
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{} {arguments:?} does not listen", program.display());
        line.trim().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for program in &mut self.programs {
            program.kill().ok();
            program.wait().ok();
        }
    }
}
