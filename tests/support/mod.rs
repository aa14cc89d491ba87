//! What black-box tests stand on.

pub(crate) mod engine;
pub(crate) mod engine_events;
pub(crate) mod event_proxy;
pub(crate) mod fault;
pub(crate) mod http;
pub(crate) mod look;
pub(crate) mod mcp;
pub(crate) mod mcp_client;
pub(crate) mod mcp_fixture;
pub(crate) mod own_engine;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod scene;
pub(crate) mod seen;
pub(crate) mod setting;
pub(crate) mod stranger;
