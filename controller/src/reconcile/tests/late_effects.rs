//! A call that was not answered may be carried out later: until then its object is remembered.

use std::sync::Arc;
use std::time::Duration;

use planner::world::Removal;
use tokio::time::sleep;

use super::stage::{Stage, key};
use crate::engine::simulated::{CallKind, RequestFault, SimulatedEngine};

const NETWORK: &str = "---\napiVersion: evenkeel.dev/v1\nkind: Network\nmetadata: { name: back }\nspec: {}\n";

#[tokio::test(start_paused = true)]
async fn what_is_removed_and_wanted_again_is_not_created_beside_a_create_that_was_not_answered() {
    let engine = SimulatedEngine::default();
    engine.set_request_faults(|asked| {
        let is_first = asked.kind == CallKind::CreateNetwork && asked.sent_ms < 1_000;
        if is_first { RequestFault::ApplyLate(Duration::from_secs(20)) } else { RequestFault::None }
    });
    let stage = Stage::start(Arc::new(engine.clone()), NETWORK);
    sleep(Duration::from_secs(2)).await;
    let back = key("Network/back");
    stage.core.world().set_removal(&back, Removal::Approved { delete_volumes: false });
    stage.core.wake(&back);
    sleep(Duration::from_secs(3)).await;
    stage.want(NETWORK);
    stage.until("it is there", |stage| stage.reason("Network/back") == "Converged").await;
    sleep(Duration::from_mins(2)).await;
    let networks = engine.peek_networks().into_iter().filter(|network| network.name == "back").count();
    assert_eq!((networks, engine.call_counts().of(CallKind::CreateNetwork)), (1, 1), "{:?}", engine.calls());
}
