//! Tests of the simulated Engine.
