//! Strangers: things of the Engine that a test makes by hand, as a user would, and that go with the test.

use super::engine::{BUSYBOX, EngineAddress, TestBed, text_of};

/// A container, network or volume that no controller made. It is removed when it is dropped.
pub(crate) struct Stranger {
    engine: EngineAddress,
    removal: Vec<String>,
    /// The full id; of a volume the name.
    pub(crate) id: String,
}

impl Stranger {
    /// A container that runs for longer than any test and does nothing; `options` are those of `docker run`.
    pub(crate) fn container(bed: &TestBed, name: &str, options: &[&str]) -> Self {
        let run =
            [&["run", "--detach", "--init", "--name", name], options, &[BUSYBOX, "/bin/sleep", "604800"]].concat();
        Self::made(bed, &run, &["rm", "--force", "--volumes"])
    }

    /// A network that nothing leaves.
    pub(crate) fn network(bed: &TestBed, name: &str, options: &[&str]) -> Self {
        Self::made(bed, &[&["network", "create"], options, &[name]].concat(), &["network", "rm"])
    }

    /// A volume.
    pub(crate) fn volume(bed: &TestBed, name: &str, options: &[&str]) -> Self {
        Self::made(bed, &[&["volume", "create"], options, &[name]].concat(), &["volume", "rm", "--force"])
    }

    fn made(bed: &TestBed, make: &[&str], remove: &[&str]) -> Self {
        let id = bed.docker(make);
        let removal = remove.iter().map(|word| (*word).to_owned()).chain([id.clone()]).collect();
        Self { engine: bed.engine().clone(), removal, id }
    }

    /// Removes it now.
    pub(crate) fn go(mut self) {
        let removal = std::mem::take(&mut self.removal);
        let removal: Vec<&str> = removal.iter().map(String::as_str).collect();
        let run = self.engine.docker(&removal);
        assert!(run.status.success(), "cannot remove the stranger {}: {}", self.id, text_of(&run));
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if !self.removal.is_empty() {
            let removal: Vec<&str> = self.removal.iter().map(String::as_str).collect();
            // It may have been removed as a part of the test.
            drop(self.engine.docker(&removal));
        }
    }
}
