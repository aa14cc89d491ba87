//! Load on a gateway while what is behind it changes: every call is counted, and none may be lost that need not be.
//!
//! `EVENKEEL_MCP_UPDATES`, `EVENKEEL_MCP_KILLS`, `EVENKEEL_MCP_RESTARTS` and `EVENKEEL_MCP_SESSIONS` say how many there are of each, and
//! `EVENKEEL_MCP_CLIENTS` how many clients have those sessions at once. `make soak-hub` sets all of them.

mod audit;
mod bridge;
pub(crate) mod load;
mod sessions;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};

use self::audit::{Audit, Record};
use self::bridge::{BridgeLoad, BridgeTally};
use self::load::{Failed, Load, Work, now_ms};
use self::sessions::Crowd;
use crate::support::engine::{TestBed, Which, eventually};
use crate::support::mcp::{
    ask, await_tools_of, free_address, gateway, mcp_scene, over_http, over_stdio, result_of, token, tools,
};
use crate::support::mcp_client::{Door, Ended, Era};
use crate::support::scene::{NOTHING, PATIENCE, object};
use crate::support::setting;

/// The servers of each test.
const SERVERS: [&str; 2] = ["pipe", "web"];
/// The error of a server that is not there, or ended while it was asked.
const SERVER_UNAVAILABLE: i64 = -31001;

/// Says something, also of a test that passes.
fn say(text: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "\n{text}").unwrap();
}

/// How many there are of something: as a variable says, or few enough for every day.
fn how_many(variable: &str, few: u64) -> u64 {
    setting::number(variable).unwrap_or(few)
}

/// Both servers with more arguments, and more of their spec, one field a line.
fn servers(arguments: &str, more: &str) -> String {
    let all = over_stdio("pipe") + &over_http("web");
    let more: Vec<String> = more.lines().map(|line| format!("  {line}\n")).collect();
    all.replace("--name,", &format!("{arguments}--name,")).replace("spec:\n", &format!("spec:\n{}", more.concat()))
}

/// Starts the controller and waits until each of so many instances answers.
fn start(bed: &mut TestBed, address: SocketAddr, instances: usize) -> Door {
    bed.start();
    bed.await_ready("McpGateway", "hub");
    let door = Door { address, token: token(bed) };
    await_tools_of(address, &door.token, &SERVERS);
    await_instances(&door, instances);
    door
}

/// Waits until so many instances answer the gateway.
fn await_instances(door: &Door, count: usize) {
    eventually(&format!("{count} instances answer"), PATIENCE, || {
        (door.gauge("evenkeel_mcp_instances_ready") == Some(count)).then_some(())
    });
}

fn work(server: &str, tool: &str, arguments: Value) -> Work {
    Work { tool: format!("{server}__{tool}"), arguments }
}

fn simple(server: &str) -> Work {
    work(server, "test_simple_text", json!({}))
}

/// Updates both servers again and again, each time by another manifest, while calls go on, short ones and such as take `long_ms`. None is lost.
fn check_updates(test_name: &str, manifest: impl Fn(u64) -> String, long_ms: u64, how: &str) {
    let Some(mut bed) = mcp_scene(test_name) else { return };
    let updates = how_many("EVENKEEL_MCP_UPDATES", 6);
    let address = free_address();
    bed.write("gateway.yaml", &gateway(address));
    bed.write("servers.yaml", &manifest(0));
    let door = start(&mut bed, address, 2);
    // Short calls, calls of both in turn, and long ones.
    let long = |server| work(server, "test_sleep", json!({ "millis": long_ms }));
    let works = [vec![simple("pipe")], vec![simple("web")], SERVERS.map(simple).to_vec()];
    let works = [works.as_slice(), &[vec![long("pipe")], vec![long("web")]]].concat();
    let load = Load::begin(&door, &works);
    for round in 1..=updates.div_ceil(2) {
        let old = SERVERS.map(|server| bed.ids(Which::All, server));
        bed.write("servers.yaml", &manifest(round));
        for (server, old) in SERVERS.iter().zip(&old) {
            eventually(&format!("{server} is replaced, and the old one gone"), PATIENCE, || {
                let ids = bed.ids(Which::All, server);
                (ids.len() == 1 && ids != *old).then_some(())
            });
            bed.await_ready("McpServer", server);
        }
    }
    let tally = load.stop();
    let updates = updates.div_ceil(2) * 2;
    say(&format!("{} calls during {updates} updates{how}, {} lost", tally.calls, tally.failed.len()));
    assert!(tally.failed.is_empty(), "lost: {:?}", tally.failed);
}

/// A variable that differs from one round to the next.
fn variable(round: u64) -> String {
    format!("env: {{ ROUND: \"{round}\" }}")
}

#[test]
fn no_call_is_lost_while_servers_are_updated() {
    // Calls that last longer than a new instance must have served to replace the old one.
    check_updates("mcp-load-updates", |round| servers("", &variable(round)), 8_000, "");
}

#[test]
fn no_call_is_lost_while_servers_are_updated_that_must_stop_first() {
    let manifest = |round| {
        let more = format!("{}\nmounts: [{{ volume: data, path: /data }}]", variable(round));
        object("Volume", "data", "spec: {}\n") + &servers("", &more)
    };
    // There is always a call under way on the old one, and calls come while there is none that runs.
    check_updates("mcp-load-writers", manifest, 2_000, " stop-first");
}

#[test]
fn a_server_that_is_killed_takes_only_the_calls_with_it_that_were_under_way_on_it() {
    let Some(mut bed) = mcp_scene("mcp-load-kills") else { return };
    let kills = how_many("EVENKEEL_MCP_KILLS", 4);
    let address = free_address();
    bed.write("gateway.yaml", &gateway(address));
    // Slow enough that there is mostly a call under way.
    bed.write("servers.yaml", &servers("--slow, \"30\", ", "instances: { min: 2 }"));
    let door = start(&mut bed, address, 4);
    let mut audit = Audit::of(&bed);
    let load = Load::begin(&door, &[vec![simple("pipe")], vec![simple("web")], SERVERS.map(simple).to_vec()]);
    let mut killed: Vec<(String, i64)> = Vec::new();
    for (round, server) in (0..kills).zip(SERVERS.iter().cycle()) {
        let ids = bed.await_running(server, 2);
        let id = &ids[usize::try_from(round / 2 % 2).unwrap()];
        bed.docker(&["kill", id]);
        let dead_ms = now_ms();
        killed.push((id.clone(), dead_ms));
        eventually(&format!("{server} is served by the killed instance again"), PATIENCE * 4, || {
            let serves = |call: &Record| call.is_of(id) && call.outcome == "ok" && call.begun_ms > dead_ms;
            audit.calls().iter().rev().take_while(|call| call.ended_ms > dead_ms).any(serves).then_some(())
        });
        await_instances(&door, 4);
    }
    let tally = load.stop();
    eventually("each call is in the audit", PATIENCE, || {
        (u64::try_from(audit.calls().len()).unwrap() == tally.calls).then_some(())
    });
    let calls = audit.calls();
    say(&format!(
        "{} calls during {kills} kills, {} of them under way on what was killed",
        tally.calls,
        tally.failed.len()
    ));
    // By the gateway's account: they were under way on the instance when it was killed.
    let was_under_way = |call: &Record, (id, dead_ms): &(String, i64)| call.is_of(id) && call.begun_ms <= *dead_ms;
    let lost = calls.iter().filter(|call| call.outcome != "ok");
    let stray: Vec<&Record> = lost.filter(|call| !killed.iter().any(|kill| was_under_way(call, kill))).collect();
    assert!(stray.is_empty(), "killed {killed:?}; lost {stray:?}; told {:?}", tally.failed);
    // A client has one call at a time: of each kill it can have lost but one.
    let mut lost_of: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for failed in &tally.failed {
        let kill = killed.iter().take_while(|(_, dead_ms)| *dead_ms < failed.begun_ms).count();
        *lost_of.entry((failed.client, kill)).or_default() += 1;
    }
    assert!(lost_of.values().all(|count| *count == 1), "lost by client and kill: {lost_of:?}");
    // By the client's account: each got an answer that says what happened.
    let is_clear = |failed: &&Failed| {
        let server = failed.tool.split("__").next().unwrap();
        matches!(&failed.ended, Ended::Error(SERVER_UNAVAILABLE, why) if why.starts_with(&format!("`{server}`: ")))
    };
    let unclear: Vec<&Failed> = tally.failed.iter().filter(|failed| !is_clear(failed)).collect();
    assert!(unclear.is_empty(), "{unclear:?}");
}

#[test]
fn a_gateway_that_is_restarted_finds_its_servers_and_a_bridge_loses_no_list() {
    let Some(mut bed) = mcp_scene("mcp-load-restarts") else { return };
    let restarts = how_many("EVENKEEL_MCP_RESTARTS", 4);
    let address = free_address();
    bed.write("mcp.yaml", &(servers("", "") + &gateway(address)));
    let door = start(&mut bed, address, 2);
    let ids = SERVERS.map(|server| bed.ids(Which::All, server));
    let count = tools(address, &door.token).len();
    let called = SERVERS.map(|server| format!("{server}__test_simple_text"));
    let bridges = [Era::Legacy, Era::Modern].map(|era| BridgeLoad::begin(&door, era, &called, count));
    for round in 0..restarts {
        if round % 2 == 0 {
            assert!(bed.stop().success());
        } else {
            bed.kill();
        }
        start(&mut bed, address, 2);
        for tool in &called {
            let answer = ask(address, &door.token, "tools/call", json!({ "name": tool, "arguments": {} })).unwrap();
            assert!(result_of(&answer)["content"].is_array(), "round {round}: {answer:?}");
        }
        assert_eq!(SERVERS.map(|server| bed.ids(Which::All, server)), ids, "round {round}");
        for bridge in &bridges {
            bridge.await_calls(10);
        }
    }
    let tallies = bridges.map(BridgeLoad::stop);
    let sum = |of: fn(&BridgeTally) -> u64| tallies.iter().map(of).sum::<u64>();
    let errors: Vec<_> = tallies.iter().flat_map(|tally| &tally.errors).collect();
    let lost: Vec<_> = tallies.iter().flat_map(|tally| &tally.lost_lists).collect();
    say(&format!(
        "{} lists through bridges during {restarts} restarts, {} lost; {} calls with a result, {} with an error",
        sum(|tally| tally.lists),
        lost.len(),
        sum(|tally| tally.calls),
        errors.len(),
    ));
    assert!(lost.is_empty(), "{lost:?}");
    // What was under way on a gateway that went away; what was asked while there was none waits for the next one and its servers.
    let was_under_way = |error: &&&Value| {
        let message = error["message"].as_str().unwrap_or_default();
        error["code"] == SERVER_UNAVAILABLE && message.starts_with("the gateway went away before it answered")
    };
    let others: Vec<_> = errors.iter().filter(|error| !was_under_way(error)).collect();
    assert!(others.is_empty(), "{others:?}");
    // A client has one call at a time: of each restart it can have lost but one.
    let most = tallies.iter().map(|tally| tally.errors.len()).max();
    assert!(most <= usize::try_from(restarts).ok(), "{errors:?}");
}

#[test]
fn sessions_leave_nothing_behind() {
    let Some(mut bed) = mcp_scene("mcp-load-sessions") else { return };
    let sessions = how_many("EVENKEEL_MCP_SESSIONS", 1_000);
    let clients = usize::try_from(how_many("EVENKEEL_MCP_CLIENTS", 16)).unwrap();
    let address = free_address();
    let limits = format!("limits: {{ sessions: {}, sessionIdle: 10s }}", sessions::LIMIT);
    let gateway = gateway(address).replace("spec: { ", &format!("spec: {{ {limits}, "));
    // Those over HTTP have a session of their own for each of the gateway's.
    bed.write("mcp.yaml", &(servers("--era, legacy, ", "") + &gateway));
    let door = start(&mut bed, address, 2);
    let ids = || SERVERS.map(|server| bed.ids(Which::All, server));
    let before = ids();
    let pid = bed.controller_pid().unwrap();
    let crowd = Crowd::new(&door, SERVERS.map(|server| format!("{server}__json_schema_2020_12_tool")), clients);
    crowd.warm_up();
    let descriptors = sessions::descriptors(pid);
    crowd.pass(sessions / 2, sessions::LEFT_ONE_IN);
    let half = sessions::resident_kib(pid);
    crowd.pass(sessions - sessions / 2, sessions::LEFT_ONE_IN);
    let whole = sessions::resident_kib(pid);
    let tally = crowd.tally();
    say(&format!("{tally}, of {clients} clients; resident {half} KiB after half of them, {whole} KiB after all"));
    assert_eq!(tally.faults, NOTHING);
    assert_eq!(ids(), before, "the containers are those that it began with");
    assert!(tally.most <= sessions::LIMIT, "{tally}");
    let kept_kib = 8 * sessions / 2;
    assert!(whole <= half + kept_kib.max(sessions::ALLOCATOR_KIB), "each session leaves something in the memory");
    crowd.check_that_the_gauge_falls_when_sessions_end();
    eventually("descriptors are given back", PATIENCE, || {
        (sessions::descriptors(pid) <= descriptors + sessions::DESCRIPTORS_APART).then_some(())
    });
}
