//! `Deployment`: replicated, long-running containers.

mod lower;
mod spec;

pub use spec::{
    DependsOn, DependsOnCondition, Deployment, Device, Dns, Logging, Mount, NetworkList, NetworkOptions, Port,
    Protocol, Publish, PullPolicy, Resources, Restart, RunState, Seccomp, Security, SecurityProfile, Stop, Ulimit,
};
