//! Engines that do something else than the controller asks, in the controller's name: what a broken planner or executor would do.

use std::sync::Arc;

use controller::engine::Engine;
use controller::engine::simulated::SimulatedEngine;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {}

/// The Engine as a broken controller uses it.
pub(crate) fn wrap(mutant: Mutant, _engine: Arc<dyn Engine>, _inner: SimulatedEngine) -> Arc<dyn Engine> {
    match mutant {}
}
