//! The planner: one pure function from what is wanted and what is observed to an ordered list of Engine calls.
//!
//! It never reads a clock, a file, the environment or a random source; its own `clippy.toml` forbids them. Start at
//! [`plan::Plan`], which is what comes out, then [`world::World`], which is what goes in, then [`decide::plan`].

pub mod hash;
pub mod observed;
pub mod ownership;
pub mod plan;
pub mod verify;

pub use observed::{
    ContainerDetail, ContainerState, ContainerSummary, Health, ImageDetail, NetworkDetail, VolumeDetail,
};
pub use ownership::{Identity, Ownership};
pub use plan::{Plan, Step};
