//! What most scenarios say: a deployment that sleeps, what the controller tells of an object, and waiting for it.

use std::time::Duration;

use serde_json::Value;

use super::engine::{TestBed, Which, engine_or_skip, eventually};

/// How long a scenario waits for what must come. Far above what it takes, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How long a scenario looks on at what must not happen: longer than it takes to read, to plan and to prune after 1 s.
pub(crate) const WATCHED: Duration = Duration::from_millis(3_500);
/// No ids, names or messages at all.
pub(crate) const NOTHING: [String; 0] = [];
/// How a controller is started that prunes soon.
pub(crate) const PRUNE_SOON: [&str; 2] = ["--prune-delay", "1s"];

/// A bed for a scenario; nothing without an Engine.
pub(crate) fn scene(test_name: &str) -> Option<TestBed> {
    engine_or_skip(test_name).map(|engine| TestBed::new(engine, test_name))
}

/// A deployment that sleeps and ends at once when it is stopped. `more` is added to its spec, one field a line.
pub(crate) fn sleeper(name: &str, more: &str) -> String {
    program(name, "[/bin/sleep, \"3600\"]", more)
}

/// A deployment that runs a command, written as a list, and ends at once when it is stopped.
pub(crate) fn program(name: &str, command: &str, more: &str) -> String {
    let spec = format!("image: $image\ncommand: {command}\nstop: {{ signal: SIGKILL }}\n{more}");
    let spec: Vec<String> = spec.lines().map(|line| format!("  {line}")).collect();
    object("Deployment", name, &format!("spec:\n{}\n", spec.join("\n")))
}

/// A manifest with its header; `body` begins with `spec:`.
pub(crate) fn object(kind: &str, name: &str, body: &str) -> String {
    let header = format!("---\napiVersion: evenkeel.dev/v1\nkind: {kind}\n");
    format!("{header}metadata: {{ name: {name}, namespace: $ns }}\n{body}")
}

/// One condition of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) is_true: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl TestBed {
    /// Starts a controller that prunes after 1 s.
    pub(crate) fn start_pruning_soon(&mut self) {
        self.start_with(&PRUNE_SOON);
        self.wait_until_ready();
    }

    /// The full ids of an object's containers, sorted.
    pub(crate) fn ids(&self, which: Which, object: &str) -> Vec<String> {
        let instance = format!("label=evenkeel.dev/instance={}", self.instance());
        let name = format!("label=evenkeel.dev/name={object}");
        let mut arguments = vec!["ps", "--no-trunc", "--quiet", "--filter", &instance, "--filter", &name];
        if which == Which::All {
            arguments.push("--all");
        }
        let mut ids: Vec<String> = self.docker(&arguments).lines().map(str::to_owned).collect();
        ids.sort();
        ids
    }

    /// Waits until so many containers of an object run and returns their ids.
    pub(crate) fn await_running(&self, object: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} containers of {object} run"), PATIENCE, || {
            Some(self.ids(Which::Running, object)).filter(|ids| ids.len() == count)
        })
    }

    /// Waits until an object's only container is another one than `old`, and returns its id.
    pub(crate) fn await_replaced(&self, object: &str, old: &str) -> String {
        eventually(&format!("the container of {object} is replaced"), PATIENCE, || {
            let ids = self.ids(Which::All, object);
            let is_running = self.ids(Which::Running, object) == ids;
            ids.into_iter().next().filter(|id| is_running && id != old)
        })
    }

    /// What the controller knows of an object of this bed's namespace; `null` when it knows none.
    pub(crate) fn object(&self, kind: &str, name: &str) -> Value {
        let path = format!("/api/v1/objects/{kind}/{}/{name}", self.namespace());
        let answer = self.get(&path).ok().filter(|answer| answer.status == 200);
        answer.map(|answer| answer.json()).unwrap_or_default()
    }

    /// A condition of it.
    pub(crate) fn condition(&self, kind: &str, name: &str, condition_type: &str) -> Condition {
        let record = self.object(kind, name);
        let conditions = record["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == condition_type);
        let text = |field: &str| found.and_then(|found| found[field].as_str()).unwrap_or_default().to_owned();
        Condition { is_true: text("status") == "True", reason: text("reason"), message: text("message") }
    }

    /// Waits until a condition of an object is as wanted, and returns it.
    pub(crate) fn await_condition(
        &self,
        (kind, name): (&str, &str),
        condition_type: &str,
        is_as_wanted: impl Fn(&Condition) -> bool,
    ) -> Condition {
        eventually(&format!("{condition_type} of {kind}/{name} is as wanted"), PATIENCE, || {
            Some(self.condition(kind, name, condition_type)).filter(&is_as_wanted)
        })
    }

    /// Waits until an object is ready.
    pub(crate) fn await_ready(&self, kind: &str, name: &str) {
        self.await_condition((kind, name), "Ready", |ready| ready.is_true);
    }

    /// Waits until an object is not ready for a reason, and returns the message.
    pub(crate) fn await_reason(&self, kind: &str, name: &str, reason: &str) -> String {
        self.await_condition((kind, name), "Ready", |ready| !ready.is_true && ready.reason == reason).message
    }

    /// Every event that the controller tells of.
    pub(crate) fn events(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/events").map(|answer| answer.json()).unwrap_or_default();
        answer["items"].as_array().cloned().unwrap_or_default()
    }

    /// The messages of the events with a reason.
    pub(crate) fn messages(&self, reason: &str) -> Vec<String> {
        let events = self.events();
        let events = events.iter().filter(|event| event["reason"] == reason);
        events.filter_map(|event| event["message"].as_str().map(str::to_owned)).collect()
    }

    /// Waits for an event with a reason whose message has a text in it.
    pub(crate) fn await_event(&self, reason: &str, text: &str) {
        eventually(&format!("an event {reason} that says `{text}`"), PATIENCE, || {
            self.messages(reason).iter().any(|message| message.contains(text)).then_some(())
        });
    }

    /// What is true of the controller itself.
    pub(crate) fn controller_view(&self) -> Value {
        self.get("/api/v1/controller").map(|answer| answer.json()).unwrap_or_default()
    }

    /// Waits until the controller reports a fault of a file with a code, and returns the diagnostic.
    pub(crate) fn await_fault(&self, file: &str, code: &str) -> Value {
        eventually(&format!("{file} is reported with {code}"), PATIENCE, || {
            let view = self.controller_view();
            let diagnostics = view["diagnostics"].as_array().cloned().unwrap_or_default();
            let is_meant = |diagnostic: &&Value| {
                diagnostic["code"] == code && diagnostic["spans"].to_string().contains(&format!("\"{file}\""))
            };
            diagnostics.iter().find(is_meant).cloned()
        })
    }

    /// Waits until the controller reports no fault at all.
    pub(crate) fn await_no_fault(&self) {
        eventually("no fault is reported", PATIENCE, || {
            self.controller_view()["diagnostics"].as_array().is_some_and(Vec::is_empty).then_some(())
        });
    }
}
