//! What of a server is pinned: whatever it puts before a model in its own words.

use std::borrow::Cow;

use crate::connection::Listing;
use crate::wire::object::{RawObject, quote};

/// The name that a server's instructions are pinned by.
pub const INSTRUCTIONS: &str = "server/instructions";

/// The name that a prompt is pinned by.
pub fn prompt_key(name: &str) -> String {
    format!("prompts/{name}")
}

/// Each definition with the name that it is pinned by: of a tool its own. A tool that calls itself as something else is pinned shares the
/// pin with that, so that of the two at most one is ever approved.
pub(super) fn pinned(listing: &Listing) -> Vec<(String, Cow<'_, str>)> {
    let tools = listing.tools.iter().filter_map(|tool| Some((name_of(tool)?, Cow::Borrowed(tool.as_str()))));
    let prompts = listing.prompts.iter();
    let prompts = prompts.filter_map(|prompt| Some((prompt_key(&name_of(prompt)?), Cow::Borrowed(prompt.as_str()))));
    let instructions = listing.instructions.iter().filter(|text| !text.trim().is_empty());
    let instructions =
        instructions.map(|text| (INSTRUCTIONS.to_owned(), Cow::Owned(format!("{{\"instructions\":{}}}", quote(text)))));
    tools.chain(prompts).chain(instructions).collect()
}

fn name_of(definition: &str) -> Option<String> {
    RawObject::parse(definition)?.get_str("name").map(Cow::into_owned)
}
