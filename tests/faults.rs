//! Real faults on a real Engine: what the user gets when calls, events, processes, the Engine itself or the disk fail.
//!
//! Each scenario asks Docker, not the controller, what there is, and ends with a world that is as the manifests say.

mod answers;
mod daemon;
mod disk;
mod events;
mod outage;
// What they change and look at.
mod platform;
mod replies;
mod shim;
mod store;
