//! A controller that is started again while fifteen MCP servers go on in their containers: until all of them have answered over their
//! standard streams, and lists are complete.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::report;
use crate::support::engine::{EngineAddress, TestBed};
use crate::support::http;
use crate::support::mcp::{free_address, gateway, over_stdio, token};
use crate::support::mcp_fixture::import_mcp_fixture;

/// How often it is measured.
const ROUNDS: usize = 7;
/// How many servers there are.
const SERVERS: usize = 15;
/// The pause between two looks: what is measured is known to within that.
const PAUSE: Duration = Duration::from_millis(1);

/// Prints how long it takes from the moment at which the gateway listens.
pub(crate) fn measure(engine: &EngineAddress) {
    import_mcp_fixture(engine);
    let mut bed = TestBed::new(engine.clone(), "attach");
    let address = free_address();
    let servers: String = (0..SERVERS).map(|number| over_stdio(&format!("server-{number}"))).collect();
    bed.write("mcp.yaml", &(servers + &gateway(address)));
    bed.start();
    let token = token(&bed);
    await_ready(address, &token);
    let (mut whole, mut attaching) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        assert!(bed.stop().success());
        let begun = Instant::now();
        bed.start();
        while gauge(address, &token, "evenkeel_mcp_instances_ready").is_none() {
            thread::sleep(PAUSE);
        }
        let listening = Instant::now();
        await_ready(address, &token);
        whole.push(report::ms(begun.elapsed()));
        attaching.push(report::ms(listening.elapsed()));
    }
    report::all("from the gateway's first answer to all servers', ms", &attaching);
    report::figure("attach: from the start of the program, median", report::median(&whole), "ms");
    report::against_target("attach: to 15 running containers, median", report::median(&attaching), "ms", 150.0);
}

/// Waits until every server has answered.
fn await_ready(address: SocketAddr, token: &str) {
    while gauge(address, token, "evenkeel_mcp_instances_ready") != Some(SERVERS) {
        thread::sleep(PAUSE);
    }
}

/// A gauge of the gateway; nothing while nobody answers.
fn gauge(address: SocketAddr, token: &str, name: &str) -> Option<usize> {
    let answer = http::request(address, "GET", "/metrics", &format!("Authorization: Bearer {token}\r\n")).ok()?;
    answer.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}
