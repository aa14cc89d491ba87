//! The MCP server of the tests, as an image that holds nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

use super::engine::{EngineAddress, import_root, text_of};

/// The image: its entrypoint is the server, which takes `stdio` or `http` and more.
pub(crate) const MCP_FIXTURE: &str = "evenkeel.test/mcp-fixture:1";

/// Makes the image [`MCP_FIXTURE`], once per process and Engine.
///
/// # Panics
/// When the server cannot be built without a dynamic linker, or the Engine refuses the image.
pub(crate) fn import_mcp_fixture(engine: &EngineAddress) {
    static IMPORTED: Mutex<BTreeSet<EngineAddress>> = Mutex::new(BTreeSet::new());
    // Held while importing, so that no other test goes on with an image that is not there yet.
    let mut imported = IMPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !imported.contains(engine) {
        import(engine);
        // Only now: after a failure the next test tries it again, and fails for the same reason.
        imported.insert(engine.clone());
    }
}

fn import(engine: &EngineAddress) {
    let program = build();
    // An import of the same is another image, and leaves the last one behind without a name: so take it where it is.
    let metadata = fs::metadata(&program).unwrap();
    let made_from = format!("mcp-fixture; {}; {:?}", metadata.len(), metadata.modified().unwrap());
    let comment = engine.docker(&["image", "inspect", "--format", "{{.Comment}}", MCP_FIXTURE]);
    if String::from_utf8_lossy(&comment.stdout).trim() == made_from {
        return;
    }
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("root/tmp")).unwrap();
    fs::copy(&program, root.path().join("root/mcp-fixture")).unwrap();
    import_root(engine, root.path(), MCP_FIXTURE, (&made_from, &["ENTRYPOINT [\"/mcp-fixture\"]"]));
}

/// Builds the server as a static program. It has a target directory of its own: other flags in the common one would have everything
/// built again, each time.
fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let triple = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let target = workspace.join("target/static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(workspace).env("RUSTFLAGS", "-C target-feature=+crt-static").arg("build").arg("--locked");
    cargo.args(["--package", "mcp-fixture", "--target", triple, "--target-dir"]).arg(&target);
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "cannot build the MCP fixture: {}", text_of(&built));
    target.join(triple).join("debug/mcp-fixture")
}
