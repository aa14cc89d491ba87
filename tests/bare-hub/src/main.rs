//! A hub without a controller, for tests and measurements: `bare-hub ADDRESS NAME=http://ADDRESS/PATH NAME=stdio:PROGRAM,ARGUMENT… …`.
//! Prints the address that it listens on. `audit=FILE` has it write an audit, `allow=GLOB` a rule by which the servers of that name may be
//! used and no others, `state=DIRECTORY` keep lists over a restart, `isolation=session` give each session a process of each program to itself,
//! and `runtime=one-thread` run on one thread and not on as many as there are cores.

mod hub;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    hub::run()
}
