//! `Deployment`: replicated, long-running containers.

mod claims;
mod host_paths;
mod lower;
mod open_secrets;
mod ports;
mod security;
mod spec;
mod validate;

pub use spec::{
    DependsOn, DependsOnCondition, Deployment, Device, Dns, Logging, Mount, NetworkList, NetworkOptions, OnFailure,
    Port, Protocol, Publish, PullPolicy, Resources, Restart, RunState, Seccomp, Security, SecurityProfile, Stop,
    Strategy, Ulimit,
};
