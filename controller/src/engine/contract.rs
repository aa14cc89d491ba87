//! The contract of the Engine: scripted sequences that a simulated and a real one must answer alike.
//!
//! A sequence is a few lines of text, see [`script`]. Running it gives a transcript: what each call came to, what the container
//! then was, and at the end the events of each thing, with ids, names, ports and addresses replaced by the script's own names.
//! Two Engines keep the contract when their transcripts are equal. The transcripts are those of Engine 20.10; how newer ones may
//! differ from them is in `newer`.

mod archive;
mod describe;
mod image;
mod names;
mod newer;
mod outside;
mod recorder;
mod request;
mod runner;
pub mod script;

pub use self::archive::{ArchiveFile, archive_of};
pub use self::image::{ContractImage, contract_images};
pub use self::newer::{NewerReport, compare_newer, is_newer};
pub use self::outside::{Outside, OutsideAction, SimulatedOutside};
pub use self::runner::{Stage, run_sequence};
pub use self::script::{ScriptError, Sequence, Step, parse_sequences};

/// The committed sequences: the name of each file and its text.
pub const SEQUENCE_FILES: &[(&str, &str)] = &[
    ("attach", include_str!("contract/sequences/attach.txt")),
    ("containers", include_str!("contract/sequences/containers.txt")),
    ("images", include_str!("contract/sequences/images.txt")),
    ("networks", include_str!("contract/sequences/networks.txt")),
    ("restarts", include_str!("contract/sequences/restarts.txt")),
    ("volumes", include_str!("contract/sequences/volumes.txt")),
];

/// The lines in which two transcripts differ, each after its side and number; `None` when they are equal.
pub fn differences(simulated: &str, real: &str) -> Option<String> {
    if simulated == real {
        return None;
    }
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (simulated.lines().collect(), real.lines().collect());
    let mut lines = Vec::new();
    for number in 0..ours.len().max(theirs.len()) {
        let (our, their) = (ours.get(number).copied(), theirs.get(number).copied());
        if our != their {
            let line = number + 1;
            lines.push(format!("{line:4} simulated: {}", our.unwrap_or("(nothing)")));
            lines.push(format!("{line:4} real:      {}", their.unwrap_or("(nothing)")));
        }
    }
    Some(lines.join("\n"))
}
