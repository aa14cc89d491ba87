//! Whatever is done again and again leaves nothing behind: what a hub holds of memory is counted, to the byte. It has one thread here, and that of
//! its audit: what it holds with as many as there are cores is measured in `benches/hub/growth.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

use cap::Cap;

/// Knows how many bytes are held. All of them are this one test's: it is the only one of its program.
#[global_allocator]
static ALLOCATOR: Cap<std::alloc::System> = Cap::new(std::alloc::System, usize::MAX);

mod leaks {
    mod deeds;
    #[path = "../hostile/http_server.rs"]
    #[expect(dead_code, reason = "a part of it is used here")]
    mod http_server;
    mod meter;
    mod program;
    mod scene;
    #[path = "../hostile/stage.rs"]
    #[expect(dead_code, reason = "a part of it is used here")]
    mod stage;
    #[path = "../hostile/wire.rs"]
    #[expect(dead_code, reason = "a part of it is used here")]
    mod wire;
}
