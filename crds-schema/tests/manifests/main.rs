//! What the loader answers to manifests, good and bad, and whether what is generated from the schemas is fresh.

#![expect(clippy::disallowed_methods, reason = "the crate is pure; its tests read examples and clocks")]

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod crosscheck;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod platforms;
