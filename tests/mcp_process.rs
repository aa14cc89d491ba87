//! Gateways that are processes of their own: either side goes on without the other, and the containers without both.

mod gateway_container;
mod gateway_process;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::gateway_container::GatewayContainer;
use self::gateway_process::GatewayProcess;
use crate::mcp_load::load::{Load, Tally, Work};
use crate::support::engine::{TestBed, Which, eventually};
use crate::support::http::HttpResponse;
use crate::support::mcp::{
    ask, await_tools_of, free_address, mcp_scene, message_of, of_server, over_http, over_stdio, result_of, server,
    token, tools,
};
use crate::support::mcp_client::{Door, Ended, Era, McpClient};
use crate::support::scene::{PATIENCE, object};

/// The error of a server that is not there, or ended while it was asked.
const SERVER_UNAVAILABLE: i64 = -31001;

/// The gateway `hub`, as a process.
fn gateway(address: SocketAddr) -> String {
    object("McpGateway", "hub", &format!("spec: {{ listen: \"{address}\", runs: Process }}\n"))
}

fn call(address: SocketAddr, token: &str, server: &str) -> HttpResponse {
    let call = json!({ "name": format!("{server}__test_simple_text"), "arguments": {} });
    ask(address, token, "tools/call", call).unwrap()
}

fn assert_answers(address: SocketAddr, token: &str, server: &str) {
    let answer = call(address, token, server);
    assert!(result_of(&answer)["content"][0]["text"].is_string(), "{server}: {answer:?}");
}

fn await_answer(address: SocketAddr, token: &str, server: &str) {
    eventually(&format!("a call of {server} is answered"), PATIENCE, || {
        result_of(&call(address, token, server))["content"].is_array().then_some(())
    });
}

fn works(servers: &[&str]) -> Vec<Vec<Work>> {
    let work = |server: &&str| vec![Work { tool: format!("{server}__test_simple_text"), arguments: json!({}) }];
    servers.iter().map(work).collect()
}

/// Both servers in containers, and a process that serves them.
fn scene(test_name: &str) -> Option<(TestBed, GatewayProcess, Door)> {
    let mut bed = mcp_scene(test_name)?;
    let address = free_address();
    bed.write("mcp.yaml", &(over_stdio("pipe") + &over_http("web") + &gateway(address)));
    bed.start();
    let process = GatewayProcess::start(&bed);
    bed.await_ready("McpGateway", "hub");
    let door = Door { address, token: token(&bed) };
    await_tools_of(address, &door.token, &["pipe", "web"]);
    bed.await_ready("McpServer", "pipe");
    bed.await_ready("McpServer", "web");
    Some((bed, process, door))
}

/// When each container of both servers began its run.
fn runs(bed: &TestBed) -> Vec<(String, Value)> {
    let ids = [bed.ids(Which::All, "pipe"), bed.ids(Which::All, "web")].concat();
    ids.into_iter().map(|id| (id.clone(), bed.inspect("container", &id)["State"]["StartedAt"].clone())).collect()
}

/// What the process' audit says of each call of a tool so far.
fn calls_in_audit(bed: &TestBed) -> Vec<Value> {
    let audit = fs::read_to_string(GatewayProcess::directory(bed).join("audit.jsonl")).unwrap_or_default();
    let lines = audit.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.map(|line| line["record"].clone()).filter(|record| record["method"] == "tools/call").collect()
}

/// How many sessions have called a tool so far.
fn sessions_that_call(bed: &TestBed) -> usize {
    let calls = calls_in_audit(bed);
    calls.iter().filter_map(|call| call["session"].as_str()).collect::<BTreeSet<_>>().len()
}

/// Whether a client says that nobody listened.
fn was_not_reached(why: &str) -> bool {
    why.contains("ConnectionRefused")
}

fn answers(tally: &Tally) -> usize {
    usize::try_from(tally.calls).unwrap() - tally.failed.len()
}

#[test]
fn a_process_without_an_engine_serves_what_the_controller_gives_it() {
    let Some(mut bed) = mcp_scene("mcp-process") else { return };
    let address = free_address();
    bed.write("mcp.yaml", &(over_stdio("pipe") + &over_http("web") + &gateway(address)));
    bed.start();
    let told = bed.await_reason("McpGateway", "hub", "NotConnected");
    let socket = GatewayProcess::socket(&bed).display().to_string();
    assert_eq!(told, format!("no `evenkeel gateway` is connected to {socket}"));
    // The controller asks the servers itself for as long as nobody else does.
    bed.await_ready("McpServer", "pipe");
    assert!(ask(address, "none", "tools/list", json!({})).is_err(), "nobody listens");

    let process = GatewayProcess::start(&bed);
    bed.await_ready("McpGateway", "hub");
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe", "web"]);
    assert_answers(address, &token, "pipe");
    assert_answers(address, &token, "web");
    assert_eq!(ask(address, "not-the-token-at-all", "tools/list", json!({})).unwrap().status, 401);
    eventually("the columns tell of both servers", PATIENCE, || {
        bed.object("McpGateway", "hub")["status"]["columns"].to_string().contains("2/2").then_some(())
    });
    let audit = GatewayProcess::directory(&bed).join("audit.jsonl");
    eventually("the calls are in the audit", PATIENCE, || {
        let text = fs::read_to_string(&audit).unwrap();
        (text.matches("tools/call").count() == 2 && !text.contains(&token)).then_some(())
    });

    // A second one has nothing to do, and says so.
    let second = GatewayProcess::start(&bed);
    eventually("the second is refused", PATIENCE, || second.log().contains("another `evenkeel gateway`").then_some(()));
    assert!(second.stop().success());
    let before = runs(&bed);
    assert!(process.stop().success());
    bed.await_reason("McpGateway", "hub", "NotConnected");
    assert!(ask(address, &token, "tools/list", json!({})).is_err(), "nobody listens any more");
    assert_eq!(runs(&bed), before, "the containers go on");
}

#[test]
fn a_gateway_in_a_container_of_its_own_is_given_nothing_but_the_way_to_the_controller() {
    let Some(mut bed) = mcp_scene("mcp-process-container") else { return };
    let address = free_address();
    bed.write("mcp.yaml", &(over_stdio("pipe") + &over_http("web") + &gateway(address)));
    bed.start();
    bed.await_reason("McpGateway", "hub", "NotConnected");
    let container = GatewayContainer::start(&bed);
    bed.await_ready("McpGateway", "hub");
    let token = token(&bed);
    await_tools_of(address, &token, &["pipe", "web"]);
    assert_answers(address, &token, "pipe");
    assert_answers(address, &token, "web");
    let told = container.inspect();
    let mounts: Vec<_> = told["Mounts"].as_array().unwrap().iter().map(|mount| &mount["Source"]).collect();
    assert_eq!(mounts, [&json!(GatewayProcess::directory(&bed))], "no engine's socket is among them");
    assert_eq!((&told["HostConfig"]["Privileged"], &told["HostConfig"]["CapDrop"]), (&json!(false), &json!(["ALL"])));
    eventually("both calls are in the audit beside the socket", PATIENCE, || {
        (calls_in_audit(&bed).len() == 2).then_some(())
    });
    assert_eq!(container.stop(), 0);
    bed.await_reason("McpGateway", "hub", "NotConnected");
}

#[test]
fn while_the_controller_is_away_servers_over_http_lose_no_call_and_those_over_streams_say_so_at_once() {
    let Some((mut bed, process, door)) = scene("mcp-process-controller") else { return };
    let before = runs(&bed);
    let load = Load::begin(&door, &works(&["web"]));
    for ends_well in [true, false] {
        if ends_well {
            assert!(bed.stop().success());
        } else {
            bed.kill();
        }
        let answer = eventually("a call over streams is refused", PATIENCE, || {
            Some(call(door.address, &door.token, "pipe")).filter(|answer| result_of(answer).is_null())
        });
        assert_eq!(message_of(&answer.body)["error"]["code"], SERVER_UNAVAILABLE, "{answer:?}");
        let listed = tools(door.address, &door.token);
        assert!(of_server(&listed, "pipe") > 0 && of_server(&listed, "web") > 0, "lists are from memory: {listed:?}");
        bed.start();
        bed.await_ready("McpGateway", "hub");
        await_answer(door.address, &door.token, "pipe");
        bed.await_ready("McpServer", "pipe");
    }
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "of {} calls: {:?}", tally.calls, tally.failed);
    assert!(tally.calls > 0);
    assert_eq!(runs(&bed), before, "the containers go on");
    assert!(process.stop().success());
}

#[test]
fn a_gateway_that_is_restarted_touches_neither_the_controller_nor_the_containers() {
    let Some((bed, process, door)) = scene("mcp-process-gateway") else { return };
    let (before, controller) = (runs(&bed), bed.controller_pid());
    let mut processes = vec![process];
    let mut answered = 0;
    for (round, ends_well) in [true, false].into_iter().enumerate() {
        let load = Load::begin(&door, &works(&["pipe", "web"]));
        eventually("both clients with a session call", PATIENCE, || {
            (sessions_that_call(&bed) >= 2 * (round + 1)).then_some(())
        });
        let process = processes.pop().unwrap();
        if ends_well {
            assert!(process.stop().success());
        } else {
            process.kill();
        }
        let next = GatewayProcess::start(&bed);
        await_tools_of(door.address, &door.token, &["pipe", "web"]);
        processes.push(next);
        let tally = load.stop();
        answered += answers(&tally);
        if ends_well {
            eventually("every call that was answered is in the audit", PATIENCE, || {
                let written = calls_in_audit(&bed).iter().filter(|call| call["outcome"] == "ok").count();
                (written >= answered).then_some(())
            });
        }
        // Nobody listens for a moment, and sessions end with their process. Of each client one call can have been under way, and one more on
        // a connection that was waiting to be taken.
        let mut cut_off = BTreeMap::<_, u32>::new();
        for failed in &tally.failed {
            let is_of_the_restart = match &failed.ended {
                Ended::SessionLost => failed.era == Era::Legacy,
                Ended::Broken(why) if was_not_reached(why) => true,
                Ended::Broken(_) => {
                    let count = cut_off.entry(failed.client).or_default();
                    *count += 1;
                    *count <= 2
                }
                Ended::Well | Ended::Error(..) => false,
            };
            assert!(is_of_the_restart, "{failed:?} of {:?}", tally.failed);
        }
        for server in ["pipe", "web"] {
            assert_answers(door.address, &door.token, server);
        }
        bed.await_ready("McpGateway", "hub");
    }
    assert!(answered > 0);
    assert_eq!((runs(&bed), bed.controller_pid()), (before, controller));
    assert!(bed.condition("McpServer", "pipe", "Ready").is_true && bed.condition("McpServer", "web", "Ready").is_true);
}

#[test]
fn a_server_behind_a_process_is_updated_without_a_lost_call() {
    let Some((bed, _process, door)) = scene("mcp-process-update") else { return };
    let old = (bed.ids(Which::All, "pipe"), bed.ids(Which::All, "web"));
    let load = Load::begin(&door, &works(&["pipe", "web"]));
    let servers = over_stdio("pipe") + &over_http("web");
    bed.write("mcp.yaml", &(servers.replace("spec:\n", "spec:\n  env: { A: \"1\" }\n") + &gateway(door.address)));
    bed.await_replaced("pipe", &old.0[0]);
    bed.await_replaced("web", &old.1[0]);
    let tally = load.stop();
    assert!(tally.failed.is_empty(), "of {} calls: {:?}", tally.calls, tally.failed);
}

#[test]
fn servers_that_start_when_they_are_needed_are_offered() {
    let Some(mut bed) = mcp_scene("mcp-process-lazy") else { return };
    let address = free_address();
    let lazy = server("lazy", "args: [stdio, --name, lazy]\ninstances: { min: 0, start: Lazy, idleStop: 1s }");
    bed.write("mcp.yaml", &(lazy + &gateway(address)));
    bed.start();
    let _process = GatewayProcess::start(&bed);
    bed.await_ready("McpGateway", "hub");
    let token = token(&bed);
    await_tools_of(address, &token, &["lazy"]);
    bed.await_running("lazy", 0);
    assert_answers(address, &token, "lazy");
}

#[test]
fn each_session_and_each_call_has_a_container_to_itself_behind_a_process_too() {
    let Some(mut bed) = mcp_scene("mcp-process-own") else { return };
    let address = free_address();
    let era = "--era, legacy";
    let own =
        server("own", &format!("args: [stdio, {era}, --name, own]\nisolation: PerSession\ninstances: {{ max: 4 }}"));
    let once =
        server("once", &format!("args: [stdio, {era}, --name, once]\nisolation: PerCall\ninstances: {{ max: 3 }}"));
    bed.write("mcp.yaml", &(own + &once + &gateway(address)));
    bed.start();
    let process = GatewayProcess::start(&bed);
    bed.await_ready("McpGateway", "hub");
    let door = Door { address, token: token(&bed) };
    await_tools_of(address, &door.token, &["own", "once"]);
    let runtime = Runtime::new().unwrap();
    let begin = || {
        runtime.block_on(async {
            let mut client = McpClient::new(&door, Era::Legacy);
            assert_eq!(client.begin().await, Ended::Well);
            assert_eq!(client.call("own__test_simple_text", &json!({})).await, Ended::Well);
            client
        })
    };
    let mut first = begin();
    let two = bed.await_running("own", 2);
    let _other = begin();
    let three = bed.await_running("own", 3);
    assert!(two.iter().all(|id| three.contains(id)), "{two:?} and one more: {three:?}");
    assert_eq!(runtime.block_on(first.end()), Ended::Well);
    eventually("its own goes, and nobody else's", PATIENCE, || {
        let left = bed.ids(Which::All, "own");
        (left.len() == 2 && left.iter().all(|id| three.contains(id))).then_some(())
    });
    let mut used = bed.await_running("once", 1);
    assert_answers(address, &door.token, "once");
    used.extend(eventually("what a call had is gone, and another one is ready", PATIENCE, || {
        let ids = bed.ids(Which::Running, "once");
        // Two looks, between which the one before may go.
        (ids.len() == 1 && bed.ids(Which::All, "once") == ids && !used.contains(&ids[0])).then_some(ids)
    }));
    assert_eq!(used.len(), 2);

    // What a process that is killed had lent is nobody's any more; what nobody had goes on.
    let had = bed.ids(Which::All, "own");
    process.kill();
    let _process = GatewayProcess::start(&bed);
    let spare = eventually("only what nobody had is left", PATIENCE, || {
        let ids = bed.ids(Which::All, "own");
        (ids.len() == 1).then_some(ids)
    });
    assert!(had.contains(&spare[0]), "{spare:?} of {had:?}");
    await_tools_of(address, &door.token, &["own", "once"]);
    let _next = begin();
    assert!(bed.await_running("own", 2).contains(&spare[0]));
}

#[test]
fn a_gateway_that_is_removed_lets_nobody_in_any_more_and_one_that_moves_in_with_the_controller_goes_on() {
    let Some((bed, _process, door)) = scene("mcp-process-moves") else { return };
    let before = runs(&bed);
    let servers = over_stdio("pipe") + &over_http("web");
    bed.write("mcp.yaml", &(servers.clone() + &gateway(door.address).replace("Process", "Controller")));
    eventually("the controller listens", PATIENCE, || {
        let columns = bed.condition("McpGateway", "hub", "Ready").is_true;
        (columns && !GatewayProcess::socket(&bed).exists()).then_some(())
    });
    await_tools_of(door.address, &door.token, &["pipe", "web"]);
    assert_answers(door.address, &door.token, "pipe");
    bed.write("mcp.yaml", &(servers.clone() + &gateway(door.address)));
    eventually("the process listens", PATIENCE, || {
        (GatewayProcess::socket(&bed).exists() && bed.condition("McpGateway", "hub", "Ready").is_true).then_some(())
    });
    await_tools_of(door.address, &door.token, &["pipe", "web"]);
    assert_answers(door.address, &door.token, "pipe");
    assert_eq!(runs(&bed), before, "the containers go on");
}
