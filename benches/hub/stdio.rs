//! A process that serves MCP by its standard input and output: `stdio-server ERA`.

use std::io::{BufRead, Write};

use crate::tool::{Era, Server};

/// Serves until its input ends.
pub(crate) fn serve(era: &str) {
    let server = Server::new(Era::of(era), 10);
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|length| length > 0) {
        if let Some(mut answer) = server.answer(&line) {
            answer.push('\n');
            if output.write_all(answer.as_bytes()).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
        line.clear();
    }
}
