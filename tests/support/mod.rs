//! What black-box tests stand on.

pub(crate) mod engine;
pub(crate) mod engine_events;
pub(crate) mod http;
pub(crate) mod look;
pub(crate) mod scene;
pub(crate) mod seen;
pub(crate) mod setting;
pub(crate) mod stranger;
