//! What the adapter does against a real engine, and against answers that no engine gives.

mod answers;
mod attached;
mod networks;
mod observations;
mod stage;
mod workloads;
