//! The Engine's stream of events, cut into frames of any size.

use controller::engine::{Engine as _, EngineEvent};
use futures_util::StreamExt as _;

use super::wire::{Wire, response};

thread_local! {
    static WIRE: Wire = Wire::open();
}

/// What events are made of.
pub(super) const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1e999",
    b"\0",
    b"\xff",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"\x1b[31m",
    b"\\u001b[31m",
    b"\"Type\":",
    b"\"Action\":",
    b"\"Actor\":",
    b"\"ID\":",
    b"\"Attributes\":",
    b"\"exitCode\":",
    b"\"container\"",
    b"\"network\"",
    b"\"volume\"",
    b"\"image\"",
    b"\"daemon\"",
    b"\"unheard-of\"",
    b"\"die\"",
    b"\"health_status: healthy\"",
    b"\"exec_start: /bin/sh\"",
    b"\"\"",
    b"{}",
    b"[]",
];

/// Streams some bytes, all but the first, which says how large the frames are; 0 for one frame.
pub(super) fn target(bytes: &[u8]) {
    let (piece, body) = bytes.split_first().map_or((0, bytes), |(piece, body)| (usize::from(*piece), body));
    WIRE.with(|wire| drop(listen(wire, body, piece)));
}

/// What is told, and whether it ended with an error.
fn listen(wire: &Wire, body: &[u8], piece: usize) -> (Vec<EngineEvent>, bool) {
    wire.answer_with(response(body, piece));
    let told: Vec<_> = wire.talk(async {
        match wire.engine.events().await {
            Ok(stream) => stream.collect().await,
            Err(error) => vec![Err(error)],
        }
    });
    let mut events = Vec::new();
    let mut is_broken = false;
    for item in told {
        assert!(!is_broken, "something is told after an error, which ends the stream");
        match item {
            Ok(event) => {
                let text = format!("{}{}", event.action, event.actor);
                assert!(event.action.chars().count() <= 64 && !text.chars().any(char::is_control), "{event:?}");
                events.push(event);
            }
            Err(error) => {
                is_broken = true;
                let line = error.to_string();
                assert!(line.chars().count() < 700 && !line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
    (events, is_broken)
}

#[test]
fn events_are_the_same_wherever_the_stream_is_cut() {
    let wire = Wire::open();
    for name in ["lifecycle", "health", "every-kind"] {
        let bytes = super::corpus::input("event_stream", name);
        let (whole, is_broken) = listen(&wire, &bytes[1..], 0);
        assert!(!is_broken && !whole.is_empty(), "{name}");
        for piece in 1..bytes.len() {
            assert_eq!(listen(&wire, &bytes[1..], piece), (whole.clone(), false), "{name} in pieces of {piece}");
        }
    }
}

#[test]
fn a_huge_event_is_told_like_any_other() {
    let huge = "x".repeat(512 << 10);
    let line = |id: &str| {
        let attributes = serde_json::json!({ "name": "web", "label": huge });
        serde_json::json!({ "Type": "container", "Action": "start", "Actor": { "ID": id, "Attributes": attributes } })
    };
    let wire = Wire::open();
    let body = format!("{}\n{}\n", line("01"), line("02"));
    let (events, is_broken) = listen(&wire, body.as_bytes(), 64 * 1024);
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!((ids.as_slice(), is_broken), (["01", "02"].as_slice(), false));
}
