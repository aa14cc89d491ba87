//! The bare hub, with what it holds of memory counted: `counted-hub ADDRESS held=ADDRESS …`, and the rest as `bare-hub`. Whoever connects
//! there is told how many bytes are allocated, and nothing else.

use std::io::{self, Write as _};
use std::net::TcpListener;

use cap::Cap;
use mimalloc::MiMalloc;

#[path = "../hub.rs"]
mod hub;

#[global_allocator]
static ALLOCATOR: Cap<MiMalloc> = Cap::new(MiMalloc, usize::MAX);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let held = std::env::args().find_map(|argument| argument.strip_prefix("held=").map(str::to_owned));
    let listener = TcpListener::bind(held.ok_or("write held=ADDRESS")?)?;
    std::thread::spawn(move || tell(&listener));
    hub::run()
}

/// Tells everybody who comes.
fn tell(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut asking, _) = listener.accept()?;
        // Somebody who has gone is told nothing.
        asking.write_all(ALLOCATOR.allocated().to_string().as_bytes()).ok();
    }
}
