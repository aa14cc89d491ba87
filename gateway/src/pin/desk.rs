//! The desk: the directory where a hub puts what is not approved, and where people put what they approve. Whoever may write there is
//! whoever may read the store: no request of a client gets there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::book::{Doubt, DoubtKind};
use crate::whole_file::{Durability, write_whole};

/// The file of what is not approved. No server has this name: it has an underscore.
const DOUBTS_FILE: &str = "_doubts.json";
/// The directory of approvals that nobody has taken in yet.
const APPROVALS_DIR: &str = "_approvals";

/// A desk in a hub's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desk {
    directory: PathBuf,
}

/// What somebody approves: definitions that he has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The server.
    pub server: String,
    /// The hash of each definition, by the name that it is pinned by.
    pub definitions: BTreeMap<String, String>,
}

/// One line of what is not approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoubtNote {
    /// The server.
    pub server: String,
    /// The name that it is pinned by.
    pub tool: String,
    /// The hash of the definition that it has now.
    pub hash: String,
    /// It is hidden until it is approved.
    pub is_hidden: bool,
    /// It was not there when the others were approved.
    #[serde(default)]
    pub is_new: bool,
    /// It was there when the others were approved, and is not any more.
    #[serde(default)]
    pub is_removed: bool,
    /// It is of an instance that waits for the approval, while another one serves.
    #[serde(default)]
    pub is_waiting: bool,
    /// What has changed, or of what is new what it says, a line each.
    pub changes: Vec<String>,
}

impl From<&Doubt> for DoubtNote {
    fn from(doubt: &Doubt) -> Self {
        let lines = match &doubt.kind {
            DoubtKind::New(lines) | DoubtKind::Changed(lines) => lines.clone(),
            DoubtKind::Removed => vec!["it is not there any more".to_owned()],
        };
        let (server, tool, hash) = (doubt.server.clone(), doubt.tool.clone(), doubt.hash.clone());
        Self {
            server,
            tool,
            hash,
            is_hidden: doubt.is_hidden,
            is_new: matches!(doubt.kind, DoubtKind::New(_)),
            is_removed: doubt.kind == DoubtKind::Removed,
            is_waiting: doubt.is_waiting,
            changes: lines,
        }
    }
}

impl Desk {
    /// The desk of the hub that keeps its lists in this directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Puts out what is not approved now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_doubts(&self, doubts: &[Doubt]) -> io::Result<()> {
        let notes: Vec<DoubtNote> = doubts.iter().map(DoubtNote::from).collect();
        let text = serde_json::to_vec(&notes).map_err(io::Error::other)?;
        write_whole(&self.directory.join(DOUBTS_FILE), &text, Durability::Process)
    }

    /// What is not approved; nothing where no hub ever put anything out.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn doubts(&self) -> io::Result<Vec<DoubtNote>> {
        match fs::read(self.directory.join(DOUBTS_FILE)) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Lays an approval on the desk. Returns the file, which is gone once it has been taken in.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn approve(&self, approval: &Approval) -> io::Result<PathBuf> {
        let directory = self.directory.join(APPROVALS_DIR);
        fs::create_dir_all(&directory)?;
        let file = directory.join(format!("{:016x}.json", fastrand::u64(..)));
        write_whole(&file, &serde_json::to_vec(approval).map_err(io::Error::other)?, Durability::Process)?;
        Ok(file)
    }

    /// Clears away what was put out: the hub is no more.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(self.directory.join(DOUBTS_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Takes the approvals off the desk. One that cannot be read is taken off all the same, and told of in the log.
    pub fn take_approvals(&self) -> Vec<Approval> {
        let Ok(entries) = fs::read_dir(self.directory.join(APPROVALS_DIR)) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let take = |file: PathBuf| {
            let approval = fs::read(&file).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::other));
            if let Err(error) = fs::remove_file(&file) {
                tracing::warn!(error = %error, "an approval cannot be taken off the desk");
            }
            approval.inspect_err(|error| tracing::warn!(error = %error, "an approval cannot be read")).ok()
        };
        files.into_iter().filter_map(take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Approval, Desk};
    use crate::pin::{Doubt, DoubtKind};

    #[test]
    fn what_is_laid_on_the_desk_is_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let desk = Desk::in_directory(directory.path());
        assert_eq!(desk.doubts().unwrap(), []);
        let kind = DoubtKind::Changed(vec!["description: \"a\" -> \"b\"".to_owned()]);
        let (server, tool, hash) = ("s".into(), "t".into(), "h".into());
        let doubt = Doubt { server, tool, hash, kind, is_hidden: true, is_waiting: false };
        desk.put_doubts(&[doubt]).unwrap();
        let [note] = desk.doubts().unwrap().try_into().unwrap();
        assert_eq!((note.tool.as_str(), note.changes.len(), note.is_hidden), ("t", 1, true));
        let approval = Approval { server: "s".into(), definitions: [("t".to_owned(), note.hash)].into() };
        let file = desk.approve(&approval).unwrap();
        std::fs::write(file.with_file_name("broken.json"), "{").unwrap();
        assert_eq!(desk.take_approvals(), [approval]);
        assert!(!file.exists());
        assert_eq!(desk.take_approvals(), []);
        desk.clear().unwrap();
        assert_eq!(desk.doubts().unwrap(), []);
    }
}
