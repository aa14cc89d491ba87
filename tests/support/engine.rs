//! A real Engine with a controller beside it, for black-box tests.
//!
//! A test begins with [`engine_or_skip`], makes a [`TestBed`], writes manifests into it, starts the controller and then asks
//! Docker, not the controller, what came of it. Everything that the bed's instance made is removed when the bed is dropped; when
//! the test has failed, the controller's log and Docker's view are printed first.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::{self, HttpResponse};

/// The image of the tests' containers: a static busybox and its commands, nothing else.
pub(crate) const BUSYBOX: &str = "evenkeel.test/busybox:1";
/// How long a controller may take from its start until it is ready.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// The label that everything of an instance bears.
const LABEL_INSTANCE: &str = "evenkeel.dev/instance";

/// Where the Engine of the tests is, such as `unix:///var/run/docker.sock`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EngineAddress(String);

impl EngineAddress {
    /// An address of the caller's.
    pub(crate) const fn new(address: String) -> Self {
        Self(address)
    }

    /// The address as `--engine` takes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Runs the Docker client against this Engine.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Output {
        let run = Command::new("docker").arg("--host").arg(&self.0).args(arguments).stdin(Stdio::null()).output();
        run.unwrap_or_else(|error| panic!("cannot run the docker client: {error}"))
    }
}

/// The Engine of `EVENKEEL_TEST_ENGINE`, by default `unix:///var/run/docker.sock`. Without one, or without the `docker` client,
/// prints a line that begins with `SKIPPED:` and returns nothing.
///
/// # Panics
/// Without an Engine when `CI` is `true`: there, nothing may be skipped.
pub(crate) fn engine_or_skip(test_name: &str) -> Option<EngineAddress> {
    let address = std::env::var("EVENKEEL_TEST_ENGINE").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let engine = EngineAddress(address);
    let missing = match (engine_answers(&engine), client_is_installed()) {
        (true, true) => return Some(engine),
        (true, false) => "no docker client on PATH".to_owned(),
        (false, _) => format!("no engine at {}", engine.as_str()),
    };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test_name}: {missing}, and in CI nothing is skipped");
    // Written to the stream itself: the test harness swallows what a passing test prints by macro.
    writeln!(std::io::stderr(), "\nSKIPPED: {test_name}: {missing}").unwrap();
    None
}

fn engine_answers(engine: &EngineAddress) -> bool {
    match engine.as_str().strip_prefix("unix://") {
        Some(socket) => http::get_over_unix_socket(socket, "/_ping").is_ok_and(|answer| answer.status == 200),
        None => client_is_installed() && engine.docker(&["version"]).status.success(),
    }
}

fn client_is_installed() -> bool {
    Command::new("docker").arg("--version").stdin(Stdio::null()).output().is_ok_and(|run| run.status.success())
}

/// Makes the image [`BUSYBOX`] from the machine's static busybox, once per process and Engine.
pub(crate) fn import_busybox(engine: &EngineAddress) -> &'static str {
    import_busybox_as(engine, BUSYBOX, &["CMD [\"/bin/sh\"]"]);
    BUSYBOX
}

/// Makes a variant of it: `changes` are instructions of a Dockerfile, such as `ENV A=1` or `HEALTHCHECK CMD true`.
///
/// # Panics
/// When there is no static busybox, or the Engine refuses the image.
pub(crate) fn import_busybox_as(engine: &EngineAddress, reference: &str, changes: &[&str]) {
    static IMPORTED: Mutex<BTreeSet<(EngineAddress, String)>> = Mutex::new(BTreeSet::new());
    // Held while importing, so that no other test goes on with an image that is not there yet.
    let mut imported = IMPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    let image = (engine.clone(), reference.to_owned());
    if imported.contains(&image) {
        return;
    }
    // An import of the same is another image, and leaves the last one behind without a name: so take it where it is.
    let made_from = format!("busybox; {}", changes.join("; "));
    let comment = engine.docker(&["image", "inspect", "--format", "{{.Comment}}", reference]);
    if String::from_utf8_lossy(&comment.stdout).trim() == made_from {
        imported.insert(image);
        return;
    }
    let root = TempDir::new().unwrap();
    lay_out_busybox(root.path());
    import_root(engine, root.path(), reference, (&made_from, changes));
    // What could not be imported is tried again by the next test that needs it.
    imported.insert(image);
}

/// Makes an image of what is in `root` of a directory. `made_from` is its comment; `changes` are instructions of a Dockerfile.
///
/// # Panics
/// When the Engine refuses it.
pub(crate) fn import_root(
    engine: &EngineAddress,
    directory: &Path,
    reference: &str,
    (made_from, changes): (&str, &[&str]),
) {
    let archive = directory.join("image.tar");
    run_to_end(Command::new("tar").arg("-C").arg(directory.join("root")).arg("-cf").arg(&archive).arg("."));
    let mut arguments = vec!["import", "--message", made_from];
    for change in changes {
        arguments.extend(["--change", change]);
    }
    let archive = archive.display().to_string();
    arguments.extend([archive.as_str(), reference]);
    let import = engine.docker(&arguments);
    assert!(import.status.success(), "cannot import `{reference}`: {}", text_of(&import));
}

fn lay_out_busybox(directory: &Path) {
    let binary = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| is_static(Path::new(path)));
    let binary = binary.unwrap_or_else(|| panic!("no static busybox here: `apt-get install busybox-static`"));
    let bin = directory.join("root/bin");
    fs::create_dir_all(&bin).unwrap();
    for empty in ["root/tmp", "root/data", "root/etc", "root/www"] {
        fs::create_dir_all(directory.join(empty)).unwrap();
    }
    fs::copy(binary, bin.join("busybox")).unwrap();
    let applets = Command::new(binary).arg("--list").output().unwrap();
    for applet in String::from_utf8_lossy(&applets.stdout).lines().filter(|applet| *applet != "busybox") {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).unwrap();
    }
    fs::write(directory.join("root/etc/passwd"), "root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n").unwrap();
    fs::write(directory.join("root/etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
}

/// Whether a program runs without a dynamic linker, and so in an image that holds nothing else.
fn is_static(program: &Path) -> bool {
    let needs_linker = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"/ld-li" || window == b"/ld-mu");
    fs::read(program).is_ok_and(|bytes| !needs_linker(&bytes[..bytes.len().min(4096)]))
}

/// A place for one test: manifests, a data directory, an instance of its own, and a controller when it is started.
pub(crate) struct TestBed {
    engine: EngineAddress,
    instance: String,
    root: TempDir,
    status_address: SocketAddr,
    controller: Option<Child>,
    /// Where the controller looks for the Engine, where that is not the Engine itself.
    detour: Option<EngineAddress>,
    /// The command that starts the controller, where it does not start by itself.
    launcher: Vec<String>,
}

impl TestBed {
    /// An empty bed; nothing runs yet.
    pub(crate) fn new(engine: EngineAddress, test_name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if engine.as_str() != "simulated" {
            import_busybox(&engine);
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let slug: String = test_name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let slug: String = slug.to_ascii_lowercase().chars().take(24).collect();
        let instance = format!("t{:x}-{count}-{}", std::process::id(), slug.trim_matches('-'));
        let root = TempDir::with_prefix("evenkeel-test-").unwrap();
        fs::create_dir(root.path().join("manifests")).unwrap();
        fs::DirBuilder::new().mode(0o700).create(root.path().join("data")).unwrap();
        fs::write(root.path().join("config.yaml"), "logLevel: info\n").unwrap();
        let status_address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Self { engine, instance, root, status_address, controller: None, detour: None, launcher: Vec::new() }
    }

    /// Lets the controller reach the Engine at another address, as through a proxy. The test itself goes on to ask the Engine.
    pub(crate) fn reach_engine_at(&mut self, address: EngineAddress) {
        self.detour = Some(address);
    }

    /// Lets every controller from now on be started by another command, which must become the program: its own process, with its id.
    pub(crate) fn launch_with(&mut self, launcher: &[String]) {
        self.launcher = launcher.to_vec();
    }

    /// The instance's name.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// A namespace that no other test uses. Names in the Engine are shared by all tests, so manifests take this one.
    pub(crate) fn namespace(&self) -> String {
        self.instance.split('-').take(2).collect::<Vec<_>>().join("-")
    }

    /// The Engine.
    pub(crate) fn engine(&self) -> &EngineAddress {
        &self.engine
    }

    /// The directory of manifests.
    pub(crate) fn manifests(&self) -> PathBuf {
        self.root.path().join("manifests")
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Writes a manifest, as an editor does: beside it, then renamed over it. `$ns` in the text becomes [`Self::namespace`],
    /// `$image` becomes [`BUSYBOX`].
    pub(crate) fn write(&self, file: &str, yaml: &str) {
        let path = self.manifests().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let temporary = self.root.path().join("being-written");
        fs::write(&temporary, yaml.replace("$ns", &self.namespace()).replace("$image", BUSYBOX)).unwrap();
        fs::rename(&temporary, &path).unwrap();
    }

    /// Removes a manifest.
    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.manifests().join(file)).unwrap();
    }

    /// Starts `evenkeel run` on the manifests and waits until it is ready: until its first full pass is over.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
        self.wait_until_ready();
    }

    /// Starts it with more arguments and returns at once.
    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        assert!(self.controller.is_none(), "this bed's controller runs already");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = self.evenkeel_command(&["run", "--manifests"]);
        command.arg(self.manifests()).arg("--listen").arg(self.status_address.to_string()).args(arguments);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.controller = Some(command.spawn().unwrap());
    }

    /// Waits until the controller that runs is ready.
    pub(crate) fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_TIMEOUT;
        while !self.get("/readyz").is_ok_and(|answer| answer.status == 200) {
            let ended = self.controller.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the controller ended before it was ready: {ended:?}");
            assert!(Instant::now() < deadline, "the controller is not ready after {READY_TIMEOUT:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the controller with SIGTERM and returns how it exited.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut child = self.controller.take().unwrap_or_else(|| panic!("no controller runs"));
        run_to_end(Command::new("kill").arg("-TERM").arg(child.id().to_string()));
        child.wait().unwrap()
    }

    /// Ends the controller with SIGKILL: the crash that every promise must outlive.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.controller.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Whether the controller that was started has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.controller.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// The controller's process, while it runs.
    pub(crate) fn controller_pid(&self) -> Option<u32> {
        self.controller.as_ref().map(Child::id)
    }

    /// Runs any other command of the program, against this bed's Engine, data, instance and controller.
    pub(crate) fn evenkeel(&self, arguments: &[&str]) -> Output {
        self.evenkeel_command(arguments).output().unwrap()
    }

    /// `evenkeel run --once` on the manifests.
    pub(crate) fn run_once(&self) -> Output {
        let manifests = self.manifests().display().to_string();
        self.evenkeel(&["run", "--once", "--manifests", &manifests])
    }

    fn evenkeel_command(&self, arguments: &[&str]) -> Command {
        let program = program_path();
        let mut command = Command::new(self.launcher.first().map_or(program.as_os_str(), OsStr::new));
        if let Some(arguments) = self.launcher.get(1..) {
            command.args(arguments).arg(&program);
        }
        let engine = self.detour.as_ref().unwrap_or(&self.engine);
        command.args(["--engine", engine.as_str(), "--instance", &self.instance, "--data-dir"]);
        command.arg(self.data()).args(arguments).stdin(Stdio::null());
        // Neither the developer's settings nor the machine's config file may decide what a test sees.
        let settings = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EVENKEEL_"));
        for (name, _) in settings {
            command.env_remove(name);
        }
        command.env("EVENKEEL_CONFIG", self.root.path().join("config.yaml"));
        command.env("EVENKEEL_SERVER", format!("http://{}", self.status_address)).env("NO_COLOR", "1");
        command
    }

    /// Asks the controller over HTTP.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub(crate) fn get(&self, path: &str) -> std::io::Result<HttpResponse> {
        http::get(self.status_address, path)
    }

    /// Runs the Docker client and returns what it printed, trimmed; fails the test when the client fails.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let run = self.engine.docker(arguments);
        assert!(run.status.success(), "`docker {}` failed: {}", arguments.join(" "), text_of(&run));
        String::from_utf8_lossy(&run.stdout).trim().to_owned()
    }

    /// The full inspection of one thing of the Engine, by name or id; `null` when there is no such thing.
    pub(crate) fn inspect(&self, object_type: &str, name: &str) -> serde_json::Value {
        let run = self.engine.docker(&["inspect", "--type", object_type, name]);
        let found: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap_or_default();
        found.get(0).cloned().unwrap_or_default()
    }

    /// Names of the containers that bear the instance's label, sorted; only those that run unless `all`. Docker's `--filter`s may
    /// be added, such as `label=evenkeel.dev/name=web`.
    pub(crate) fn containers(&self, which: Which, filters: &[&str]) -> Vec<String> {
        let label = format!("label={LABEL_INSTANCE}={}", self.instance);
        let mut arguments = vec!["ps", "--no-trunc", "--format", "{{.Names}}", "--filter", &label];
        if which == Which::All {
            arguments.push("--all");
        }
        for filter in filters {
            arguments.extend(["--filter", filter]);
        }
        let mut names: Vec<String> = self.docker(&arguments).lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// What the controller has written so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.root.path().join("controller.log")
    }

    fn print_artefacts(&self) {
        let label = format!("label={LABEL_INSTANCE}={}", self.instance);
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(200)..];
        eprintln!("--- controller of {} (last {} of {} lines)", self.instance, tail.len(), lines.len());
        eprintln!("{}", tail.join("\n"));
        eprintln!("--- docker ps\n{}", text_of(&self.engine.docker(&["ps", "--all", "--filter", &label])));
        for object_type in ["network", "volume"] {
            eprintln!("--- {object_type}s\n{}", text_of(&self.engine.docker(&[object_type, "ls", "--filter", &label])));
        }
        if let Ok(events) = self.get("/api/v1/events") {
            eprintln!("--- events\n{}", events.body);
        }
    }

    /// Removes whatever bears the instance's label, containers first.
    fn remove_everything(&self) {
        let label = format!("label={LABEL_INSTANCE}={}", self.instance);
        let lease = format!("evenkeel-lease-{}", self.instance);
        self.engine.docker(&["rm", "--force", "--volumes", &lease]);
        let removals: [(&[&str], &[&str]); 3] = [
            (&["ps", "--all", "--quiet", "--no-trunc"], &["rm", "--force", "--volumes"]),
            (&["network", "ls", "--quiet", "--no-trunc"], &["network", "rm"]),
            (&["volume", "ls", "--quiet"], &["volume", "rm", "--force"]),
        ];
        for (list, remove) in removals {
            let listed = self.engine.docker(&[list, &["--filter", &label]].concat());
            let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
            let ids: Vec<&str> = listed.lines().collect();
            if !ids.is_empty() {
                self.engine.docker(&[remove, &ids].concat());
            }
        }
    }
}

impl Drop for TestBed {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_artefacts();
        }
        if let Some(mut child) = self.controller.take() {
            // Already ended is as good as killed.
            drop(child.kill());
            drop(child.wait());
        }
        self.remove_everything();
    }
}

/// Which containers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that run.
    Running,
    /// Those that exist.
    All,
}

/// Calls `check` until it returns something, and fails the test when it has not in time.
pub(crate) fn eventually<T>(description: &str, timeout: Duration, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {timeout:?}: {description}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Fails the test when `check` does not hold for the whole time: for what must not happen.
pub(crate) fn always(description: &str, duration: Duration, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline {
        assert!(check(), "not all the time: {description}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// A port of 127.0.0.1 that nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The program: the one that Cargo built with this, or what `EVENKEEL_RELEASED` names: so the released one is tested and measured.
pub(crate) fn program_path() -> PathBuf {
    std::env::var_os("EVENKEEL_RELEASED").map_or_else(|| env!("CARGO_BIN_EXE_evenkeel").into(), PathBuf::from)
}

/// Both streams of a finished command, for a message.
pub(crate) fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn run_to_end(command: &mut Command) {
    let output =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", text_of(&output));
}

#[cfg(test)]
mod tests {
    use super::{BUSYBOX, TestBed, Which, engine_or_skip};

    #[test]
    fn a_test_bed_removes_what_its_instance_made() {
        let Some(engine) = engine_or_skip("a_test_bed_removes_what_its_instance_made") else { return };
        let bed = TestBed::new(engine.clone(), "a_test_bed_removes_what_its_instance_made");
        let label = format!("evenkeel.dev/instance={}", bed.instance());
        let (name, volume) = (format!("{}-a", bed.instance()), format!("{}-v", bed.instance()));
        bed.docker(&["volume", "create", "--label", &label, &volume]);
        bed.docker(&["network", "create", "--internal", "--label", &label, &name]);
        let mount = format!("{volume}:/data");
        let options =
            ["--detach", "--init", "--name", &name, "--label", &label, "--volume", &mount, "--network", &name];
        bed.docker(&[&["run"], options.as_slice(), &[BUSYBOX, "/bin/sleep", "60"]].concat());
        assert_eq!(bed.containers(Which::Running, &[]), std::slice::from_ref(&name));
        assert_eq!(bed.inspect("container", &name)["State"]["Running"], true);
        drop(bed);
        let filter = format!("label={label}");
        for list in [["ps", "--all", "--quiet"].as_slice(), &["network", "ls", "--quiet"], &["volume", "ls", "--quiet"]]
        {
            let left = engine.docker(&[list, &["--filter", &filter]].concat());
            assert_eq!(String::from_utf8_lossy(&left.stdout), "", "left over: {list:?}");
        }
    }
}
