//! What is told to the world by those who see more than the Engine does: probes of containers, and reports on objects.

use crds_schema::ObjectKey;
use crds_schema::primitive::Readiness;

use super::World;
use crate::inventory::ProbeOutcome;
use crate::observed::TimestampMs;
use crate::rollup::Statement;

/// What is true of an object whose work is done outside the Engine, as whoever does it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How far it is.
    pub status: ReportStatus,
    /// One `CamelCase` word, such as `Listening`.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
    /// Table cells beside those of the object's primitive: heading, value, and whether only the wide table shows it.
    pub columns: Vec<(&'static str, String, bool)>,
}

/// How far an object is, by a [`Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportStatus {
    /// It is as its spec says.
    Ready,
    /// It is on its way.
    Waiting,
    /// It has failed, and is tried again.
    Failed,
}

/// What is told of probes and of work outside the Engine.
impl World {
    /// Says what a probe of a container came to. `Ready` holds until the next outcome, the end of the run that the container is in, or its
    /// removal. Returns the owner, whose key is to be planned; `None` where that is no news, or no container of ours has the id.
    pub fn set_probe(&mut self, container_id: &str, outcome: ProbeOutcome, now_ms: TimestampMs) -> Option<ObjectKey> {
        let container = self.containers.get_mut(container_id)?;
        container.set_probe(outcome, now_ms).then(|| container.owner.clone())
    }

    /// What the last probe of a container came to; `None` where no container of ours has the id.
    pub fn probe(&self, container_id: &str) -> Option<&ProbeOutcome> {
        self.containers.get(container_id).map(|container| &container.probe)
    }

    /// Says what is true of an object whose work is done outside the Engine; `None` takes it back. Returns whether that is news.
    pub fn set_report(&mut self, key: &ObjectKey, report: Option<Report>) -> bool {
        let is_news = self.reports.get(key) != report.as_ref();
        match report {
            Some(report) => self.reports.insert(key.clone(), report),
            None => self.reports.remove(key),
        };
        is_news
    }

    /// What was last said of an object.
    pub fn report(&self, key: &ObjectKey) -> Option<&Report> {
        self.reports.get(key)
    }

    /// Says one more condition of an object, which does not bear on the others; `None` takes it back. Returns whether that is news.
    pub fn set_notice(&mut self, key: &ObjectKey, notice: Option<Statement>) -> bool {
        let is_news = self.notices.get(key) != notice.as_ref();
        match notice {
            Some(notice) => self.notices.insert(key.clone(), notice),
            None => self.notices.remove(key),
        };
        is_news
    }

    /// The condition that was last said of an object beside the others.
    pub(crate) fn notice(&self, key: &ObjectKey) -> Option<&Statement> {
        self.notices.get(key)
    }

    /// Says who is asked whether the containers of an object serve.
    pub(super) fn set_readiness(&mut self, key: &ObjectKey, readiness: Readiness) {
        for id in self.owned.get(key).map(|owned| &owned.containers).into_iter().flatten() {
            if let Some(container) = self.containers.get_mut(id) {
                container.set_readiness(readiness);
            }
        }
    }
}
