//! What the hub tells of itself at `/metrics`, all of it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::stage::{Out, Stage, nothing_more, server};
use crate::config::{Endpoint, Instance, ServerConfig};
use crate::hub::InstanceHealth;
use crate::upstream::exchange::Answer;
use crate::upstream::http::Dress;
use crate::wire::object::RawObject;

/// The text with what depends on how long things took left out: that is all of the buckets but the last, sums, and ages.
fn without_times(text: &str) -> String {
    let is_timed = |line: &str| {
        let is_bucket = line.contains("_bucket{") && !line.contains("le=\"+Inf\"");
        is_bucket || line.contains("_seconds_sum") || line.starts_with("evenkeel_mcp_catalogue_age_seconds{")
    };
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((name, _)) if is_timed(line) => format!("{name} T\n"),
        Some(_) | None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// The lines of a histogram that has counted so many.
fn histogram(name: &str, server: Option<&str>, count: u32) -> String {
    let label = server.map(|server| format!("server=\"{server}\",")).unwrap_or_default();
    let only = server.map(|server| format!("{{server=\"{server}\"}}")).unwrap_or_default();
    let bounds = ["0.000100", "0.000250", "0.000500", "0.001000", "0.002500", "0.005000"];
    let larger = ["0.010000", "0.025000", "0.050000", "0.100000", "1.000000", "10.000000"];
    let bucket = |bound: &&str| format!("{name}_bucket{{{label}le=\"{bound}\"}} T\n");
    let buckets: String = bounds.iter().chain(&larger).map(bucket).collect();
    format!("{buckets}{name}_bucket{{{label}le=\"+Inf\"}} {count}\n{name}_sum{only} T\n{name}_count{only} {count}\n")
}

#[tokio::test]
async fn the_whole_text_tells_of_all_and_of_each_server() {
    let stage = Stage::begin(None).await;
    let failing = |message: &Value, out: &Out| out.fail(message, -32000, "no");
    stage.servers.run("good-1", server(true, &["echo"], nothing_more));
    stage.servers.run("sick-1", server(false, &["ache", "echo"], failing));
    stage.want(&[("good", &["good-1"], &[]), ("idle", &[], &[]), ("sick", &["sick-1"], &[])]);
    stage.until_listed(&["good__echo", "sick__ache", "sick__echo"]).await;
    let lists = stage.hub.metrics.text(&stage.hub.gauges());
    let lists = lists.lines().find_map(|line| line.strip_prefix("evenkeel_mcp_discovery_seconds_count "));
    let lists: u32 = lists.unwrap().parse().unwrap();
    for (tool, is_well) in [("good__echo", true), ("sick__echo", true), ("sick__ache", false), ("nobody__echo", false)]
    {
        let answer = stage.modern("tools/call", json!({"name": tool, "arguments": {}})).await;
        assert_eq!(answer.is_ok(), is_well, "{tool}: {answer:?}");
    }
    stage.servers.remove("sick-1");
    stage.want(&[("good", &["good-1"], &[]), ("idle", &[], &[]), ("sick", &["none"], &[])]);
    let mut health = stage.hub.health();
    health.wait_for(|health| matches!(health.get("none"), Some(InstanceHealth::Failed(_)))).await.unwrap();
    stage.modern("tools/call", json!({"name": "sick__echo", "arguments": {}})).await.unwrap_err();
    // A request is counted before it is answered.
    let expected = format!(
        "# HELP evenkeel_mcp_requests_total Requests, by how they ended.
# TYPE evenkeel_mcp_requests_total counter
evenkeel_mcp_requests_total{{outcome=\"ok\"}} {ok}
evenkeel_mcp_requests_total{{outcome=\"error\"}} 1
evenkeel_mcp_requests_total{{outcome=\"denied\"}} 2
# HELP evenkeel_mcp_call_seconds How long calls to servers took.
# TYPE evenkeel_mcp_call_seconds histogram
{all}# HELP evenkeel_mcp_discovery_seconds How long lists took.
# TYPE evenkeel_mcp_discovery_seconds histogram
{discovery}# HELP evenkeel_mcp_sessions Sessions of legacy clients.
# TYPE evenkeel_mcp_sessions gauge
evenkeel_mcp_sessions 0
# HELP evenkeel_mcp_servers Servers behind the gateway.
# TYPE evenkeel_mcp_servers gauge
evenkeel_mcp_servers 3
# HELP evenkeel_mcp_servers_ready Servers that answer.
# TYPE evenkeel_mcp_servers_ready gauge
evenkeel_mcp_servers_ready 1
# HELP evenkeel_mcp_instances_ready Instances that answer.
# TYPE evenkeel_mcp_instances_ready gauge
evenkeel_mcp_instances_ready 1
# HELP evenkeel_mcp_instances_leased Instances that one session or call has to itself.
# TYPE evenkeel_mcp_instances_leased gauge
evenkeel_mcp_instances_leased 0
# HELP evenkeel_mcp_waiting Requests that wait for an instance.
# TYPE evenkeel_mcp_waiting gauge
evenkeel_mcp_waiting 0
# HELP evenkeel_mcp_tools Tools that are listed.
# TYPE evenkeel_mcp_tools gauge
evenkeel_mcp_tools 3
# HELP evenkeel_mcp_audit_failures Audit records that could not be written.
# TYPE evenkeel_mcp_audit_failures gauge
evenkeel_mcp_audit_failures 0
# HELP evenkeel_mcp_catalogue_age_seconds Since a server last said what it lists.
# TYPE evenkeel_mcp_catalogue_age_seconds gauge
evenkeel_mcp_catalogue_age_seconds{{server=\"good\"}} T
# HELP evenkeel_mcp_server_requests_total Requests for a server, by how they ended.
# TYPE evenkeel_mcp_server_requests_total counter
evenkeel_mcp_server_requests_total{{server=\"good\",outcome=\"ok\"}} 1
evenkeel_mcp_server_requests_total{{server=\"good\",outcome=\"error\"}} 0
evenkeel_mcp_server_requests_total{{server=\"good\",outcome=\"denied\"}} 0
evenkeel_mcp_server_requests_total{{server=\"idle\",outcome=\"ok\"}} 0
evenkeel_mcp_server_requests_total{{server=\"idle\",outcome=\"error\"}} 0
evenkeel_mcp_server_requests_total{{server=\"idle\",outcome=\"denied\"}} 0
evenkeel_mcp_server_requests_total{{server=\"sick\",outcome=\"ok\"}} 1
evenkeel_mcp_server_requests_total{{server=\"sick\",outcome=\"error\"}} 1
evenkeel_mcp_server_requests_total{{server=\"sick\",outcome=\"denied\"}} 1
# HELP evenkeel_mcp_server_call_seconds How long calls to a server took.
# TYPE evenkeel_mcp_server_call_seconds histogram
{good}{idle}{sick}",
        ok = lists + 2,
        all = histogram("evenkeel_mcp_call_seconds", None, 3),
        discovery = histogram("evenkeel_mcp_discovery_seconds", None, lists),
        good = histogram("evenkeel_mcp_server_call_seconds", Some("good"), 1),
        idle = histogram("evenkeel_mcp_server_call_seconds", Some("idle"), 0),
        sick = histogram("evenkeel_mcp_server_call_seconds", Some("sick"), 2),
    );
    assert_eq!(without_times(&stage.get("/metrics").await), expected);
}

#[tokio::test]
async fn what_is_not_sent_to_a_server_is_counted_as_denied_of_it_and_takes_no_time_of_it() {
    let stage = Stage::begin(None).await;
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell_begun, released) = (Arc::clone(&begun), Arc::clone(&release));
    let base = server(true, &[], move |message, out| {
        let (message, out, released) = (message.clone(), out.clone(), Arc::clone(&released));
        tell_begun.notify_one();
        tokio::spawn(async move {
            released.notified().await;
            out.answer(&message, &json!({"resultType": "complete", "content": []}));
        });
    });
    let place = json!({"type": "string", "x-mcp-header": "Place"});
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let find = json!({"name": "find", "inputSchema": {"type": "object", "properties": {"place": place}}});
    let tools = json!([tool("slow"), tool("withheld"), find]);
    let script = move |message: &Value, out: &Out| {
        if message["method"] == "tools/list" {
            let cache = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": tools});
            out.answer(message, &cache);
        } else {
            base(message, out);
        }
    };
    stage.servers.run("a-1", Arc::new(script));
    let instances = vec![Instance::of("a-1", Endpoint::Stdio)];
    let config = ServerConfig { deny: vec!["withheld".to_owned()], ..ServerConfig::of("a", instances) };
    stage.hub.set_servers(vec![config]);
    stage.until_listed(&["a__find", "a__slow"]).await;
    let client = stage.legacy(json!({})).await;
    let params = json!({"name": "a__slow", "arguments": {}}).to_string();
    // Each link counts its ids from the same one.
    let call = async || {
        let fields = RawObject::parse(&params).unwrap();
        let exchange = stage.link().call(Dress::Session(&client.session), "tools/call", fields, false).await;
        exchange.answer().await.unwrap()
    };
    let again = async {
        begun.notified().await;
        let answer = call().await;
        release.notify_one();
        answer
    };
    let (first, second) = tokio::join!(call(), again);
    assert!(matches!(first, Answer::Result(_)), "{first:?}");
    assert!(matches!(&second, Answer::Error(error) if error.contains("under way")), "{second:?}");
    for (tool, why) in [("a__withheld", "there is no tool"), ("a__find", "Mcp-Param-Place")] {
        let error = stage.modern("tools/call", json!({"name": tool, "arguments": {"place": "here"}})).await;
        let error = error.unwrap_err()["message"].to_string();
        assert!(error.contains(why), "{error}");
    }
    let text = stage.get("/metrics").await;
    for line in [
        "evenkeel_mcp_server_requests_total{server=\"a\",outcome=\"ok\"} 1",
        "evenkeel_mcp_server_requests_total{server=\"a\",outcome=\"error\"} 0",
        "evenkeel_mcp_server_requests_total{server=\"a\",outcome=\"denied\"} 3",
        "evenkeel_mcp_server_call_seconds_count{server=\"a\"} 1",
        "evenkeel_mcp_call_seconds_count 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in {text}");
    }
}
