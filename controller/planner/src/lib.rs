//! The planner: one pure function from what is wanted and what is observed to an ordered list of Engine calls.
//!
//! It never reads a clock, a file, the environment or a random source; its own `clippy.toml` forbids them. Start at
//! [`plan::Plan`], which is what comes out, then [`world::World`], which is what goes in, then [`decide::plan`].

mod builder;
mod compare;
mod containers;
pub mod decide;
mod endpoints;
pub mod hash;
pub mod inventory;
mod materialise;
mod networks;
pub mod observed;
pub mod ownership;
pub mod plan;
pub mod progress;
mod removal;
mod repair;
mod requirement;
mod retire;
mod rollout;
pub mod rollup;
mod slots;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod users;
pub mod verify;
pub mod volumes;
pub mod world;

pub use decide::plan;
pub use ownership::{Identity, Ownership};
pub use plan::{Plan, Step};
pub use world::World;
