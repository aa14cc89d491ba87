//! The contract of the Engine.
