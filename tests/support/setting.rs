//! Settings of the tests themselves: how long, how often, with which seed.

/// A number from the environment, where it is set and is one.
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// The seed of a variable; where it is not set, one that differs from process to process.
pub(crate) fn seed(name: &str) -> u64 {
    number(name).unwrap_or_else(|| u64::from(std::process::id()))
}
