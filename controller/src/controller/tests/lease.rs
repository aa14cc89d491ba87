//! The lease of an Engine that hangs.

use std::time::Duration;

use super::stage::{Birth, Manifests};
use crate::controller::Exclusion;
use crate::engine::simulated::{Call, CallKind, CallOutcome, FaultPlan, ReplyFault, RequestFault, SimulatedEngine};
use crate::store::Store;

/// The first create is answered after a day.
#[derive(Default)]
struct OneHangingCreate {
    is_over: bool,
}

impl FaultPlan for OneHangingCreate {
    fn before(&mut self, _call: &Call) -> RequestFault {
        RequestFault::None
    }

    fn after(&mut self, call: &Call, _outcome: &CallOutcome) -> ReplyFault {
        let is_hanging = call.kind == CallKind::CreateContainer && !std::mem::replace(&mut self.is_over, true);
        if is_hanging { ReplyFault::Delay(Duration::from_hours(24)) } else { ReplyFault::None }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_create_hangs_does_not_hang_the_start() {
    let (engine, manifests) = (SimulatedEngine::default(), Manifests::default());
    engine.set_faults(OneHangingCreate::default());
    manifests.want(&["web"]);
    let store = Store::in_memory().unwrap();
    let birth = Birth {
        engine: &engine,
        store: &store,
        manifests: &manifests,
        is_restricted: false,
        exclusion: Exclusion::Lease,
        mcp_dir: None,
    };
    let life = birth.begin();
    life.until("it serves", |life| life.converged() == ["Deployment/web"]).await;
}
