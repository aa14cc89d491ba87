//! When the Engine is asked for the lease, and what a controller is told that no longer has it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use super::{KeepError, LeaseKeeper};
use crate::engine::ErrorKind;
use crate::engine::simulated::{CallKind, Latency, RequestFault, SimulatedConfig, SimulatedEngine};
use crate::holder::Holder;
use crate::lease::{LeaseError, lease_name};
use crate::store::Store;

/// A controller where nobody else can look.
fn keeper(engine: &SimulatedEngine, pid: u32, take_over: bool) -> LeaseKeeper {
    let me = Holder {
        host: "here".into(),
        boot_id: "boot".into(),
        pid_namespace: format!("pid:[{pid}]"),
        pid,
        started_ticks: 1,
        instance: "main".parse().unwrap(),
    };
    LeaseKeeper::new(Arc::new(engine.clone()), Store::in_memory().unwrap(), me, format!("dir-{pid}"), take_over)
}

fn looks(engine: &SimulatedEngine) -> u64 {
    engine.call_counts().of(CallKind::InspectContainer)
}

/// Until no confirmation is good any more.
async fn pass_a_moment() {
    sleep(Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn one_confirmation_serves_a_burst_and_a_later_call_asks_anew() {
    let engine = SimulatedEngine::default();
    let keeper = keeper(&engine, 1, false);
    keeper.ensure().await.unwrap();
    let before = looks(&engine);
    let burst = join_all((0..20).map(|_| keeper.confirm())).await;
    assert!(burst.iter().all(Result::is_ok));
    assert_eq!(looks(&engine) - before, 1);
    pass_a_moment().await;
    keeper.confirm().await.unwrap();
    assert_eq!(looks(&engine) - before, 2);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_was_taken_over_changes_nothing_and_ends_at_once() {
    let engine = SimulatedEngine::default();
    let (first, second) = (keeper(&engine, 1, false), keeper(&engine, 2, true));
    first.ensure().await.unwrap();
    second.ensure().await.unwrap();
    let refused = first.confirm().await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::NotLeader, "{refused:?}");
    let asked = Instant::now();
    assert!(matches!(first.keep().await, KeepError::TakenBy(holder) if holder.pid == 2));
    assert_eq!(asked.elapsed(), Duration::ZERO, "nothing is waited for");
    assert!(first.confirm().await.is_err());
    first.release().await;
    second.confirm().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_has_nothing_to_do_finds_out_within_a_minute() {
    let engine = SimulatedEngine::default();
    let (first, second) = (keeper(&engine, 1, false), keeper(&engine, 2, true));
    first.ensure().await.unwrap();
    second.ensure().await.unwrap();
    let before = looks(&engine);
    assert!(matches!(first.keep().await, KeepError::TakenBy(_)));
    assert_eq!(looks(&engine) - before, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_removed_by_hand_is_acquired_before_the_call_goes_on() {
    let engine = SimulatedEngine::default();
    let keeper = keeper(&engine, 1, false);
    keeper.ensure().await.unwrap();
    let name = lease_name(&"main".parse().unwrap());
    engine.external_remove(&name).unwrap();
    keeper.confirm().await.unwrap();
    assert!(engine.peek(&name).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_over_once_and_not_from_whoever_comes_later() {
    let engine = SimulatedEngine::default();
    let (first, second, third) = (keeper(&engine, 1, false), keeper(&engine, 2, true), keeper(&engine, 3, false));
    first.ensure().await.unwrap();
    second.ensure().await.unwrap();
    engine.external_remove(&lease_name(&"main".parse().unwrap())).unwrap();
    third.ensure().await.unwrap();
    assert_eq!(second.confirm().await.unwrap_err().kind, ErrorKind::NotLeader);
    assert!(matches!(second.keep().await, KeepError::TakenBy(_)));
    third.confirm().await.unwrap();
    // Also where it was away for a moment, and somebody else was quicker.
    let fourth = keeper(&engine, 4, true);
    fourth.ensure().await.unwrap();
    fourth.state.lock().await.held = None;
    engine.external_remove(&lease_name(&"main".parse().unwrap())).unwrap();
    keeper(&engine, 5, false).ensure().await.unwrap();
    assert_eq!(fourth.confirm().await.unwrap_err().kind, ErrorKind::NotLeader);
    assert!(matches!(fourth.keep().await, KeepError::Lease(LeaseError::Held { .. })));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_while_the_engine_does_not_say_who_holds_the_lease() {
    let engine = SimulatedEngine::default();
    let keeper = keeper(&engine, 1, false);
    keeper.ensure().await.unwrap();
    let before = looks(&engine);
    engine.set_request_faults(|_| RequestFault::Unreachable);
    let burst = join_all((0..20).map(|_| keeper.confirm())).await;
    assert!(burst.iter().all(|answer| answer.as_ref().is_err_and(|why| why.kind == ErrorKind::Unreachable)));
    assert_eq!(looks(&engine) - before, 1, "one failure serves all who wait");
    engine.clear_faults();
    pass_a_moment().await;
    keeper.confirm().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_confirms_nothing() {
    let latency = Latency { read_ms: 3_000, ..Latency::none() };
    let engine = SimulatedEngine::new(SimulatedConfig { latency, ..SimulatedConfig::default() });
    let keeper = keeper(&engine, 1, false);
    keeper.ensure().await.unwrap();
    assert_eq!(keeper.confirm().await.unwrap_err().kind, ErrorKind::Unreachable);
}
