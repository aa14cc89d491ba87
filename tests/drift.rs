//! Drift: whatever somebody does by hand to what the controller keeps is put right, and an event says what was found.

mod away;
mod combined;
mod containers;
mod networks;
mod orphans;
mod remembered;
