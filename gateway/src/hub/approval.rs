//! Definitions that are not approved: put out for people, and approved by them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Hub, now_ms};
use crate::audit::AuditRecord;
use crate::pin::{Approval, Desk, Doubt, PinBook};
use crate::server::{Server, Succession};

impl Hub {
    /// The definitions that are not approved.
    pub fn doubts(&self) -> watch::Receiver<Arc<Vec<Doubt>>> {
        self.doubts.subscribe()
    }

    /// Takes in what people have laid on the desk.
    pub(super) async fn take_approvals(&self) {
        let Some(desk) = self.state_dir.as_deref().map(Desk::in_directory) else { return };
        for approval in desk.take_approvals() {
            let count = self.approve(&approval);
            let asked = approval.definitions.len();
            tracing::info!(server = %approval.server, asked = asked, approved = ?count, "definitions are approved");
            let record = AuditRecord {
                time_ms: now_ms(),
                principal: "operator".to_owned(),
                method: "approve".to_owned(),
                server: Some(approval.server),
                arguments: serde_json::to_string(&approval.definitions).ok(),
                outcome: if count == Some(asked) { "ok" } else { "error" }.into(),
                ..AuditRecord::default()
            };
            self.audit.write(&record).await;
        }
    }

    /// Compares what is to take over with what is approved, and says which may. Returns what is not approved of what may not.
    pub(super) fn examine_succession(pins: &mut PinBook, server: &Server) -> Vec<Doubt> {
        let Some(Succession { serving, current }) = server.succession() else { return Vec::new() };
        let mut passed = BTreeMap::new();
        let mut doubts: Vec<Doubt> = Vec::new();
        for (id, listing) in current {
            let found = pins.object(&server.name, &listing, &serving);
            if found.is_empty() {
                passed.insert(id, listing);
            }
            // Several list the same.
            doubts.extend(found.into_iter().filter(|doubt| !doubts.contains(doubt)).collect::<Vec<_>>());
        }
        server.pass(passed);
        doubts
    }

    /// Approves definitions that somebody has seen. Returns how many of them the server lists; `None`: nothing is known of it.
    pub fn approve(&self, approval: &Approval) -> Option<usize> {
        let server = self.server(&approval.server)?;
        // Of an instance that waits for it as well.
        let listings: Vec<_> = server.refresh_listing().into_iter().chain(server.listings()).collect();
        let listings: Vec<_> = listings.iter().map(|listing| &**listing).collect();
        if listings.is_empty() {
            return None;
        }
        let count = self.lock_pins().approve(&approval.server, &listings, &approval.definitions);
        self.rebuild();
        Some(count)
    }

    /// Says which definitions are not approved: in the log, and on the desk.
    pub(super) fn put_doubts(&self, known: &[Doubt], doubts: &[Doubt]) {
        let mut news: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for doubt in doubts.iter().filter(|doubt| !known.contains(doubt)) {
            news.entry(&doubt.server).or_insert((0, &doubt.tool)).0 += 1;
        }
        for (server, (count, first)) in news {
            tracing::warn!(server = %server, count = count, first = %first, "definitions are not approved");
        }
        let Some(desk) = self.state_dir.as_deref().map(Desk::in_directory) else { return };
        if let Err(error) = desk.put_doubts(doubts) {
            tracing::warn!(error = %error, "what is not approved cannot be written down");
        }
    }
}
