//! What containers need before they can be created or started: networks, volumes, other objects and an image.

use crds_schema::primitive::{MountSource, PullPolicy, RunState};

use crate::containers::SetPlan;
use crate::decide::await_dependencies;
use crate::networks::{self, NetworkUse};
use crate::plan::{Action, Cause, Waiting};
use crate::volumes;
use crate::world::ImageState;

/// What a create needs for its image's sake; decided once.
pub(crate) enum ImagePlan {
    /// Not asked yet.
    Undecided,
    /// These steps.
    After(Vec<u32>),
    /// It cannot be had.
    Unobtainable,
}

impl SetPlan<'_> {
    /// Whether what the set refers to and depends on is there; what is not is waited for. What is not to run depends on nothing.
    pub(crate) fn is_ready_to_start(&mut self) -> bool {
        if let Some(is_ready) = self.readiness {
            return is_ready;
        }
        let lacks_references = self.lacks_references();
        let lacks_dependencies =
            self.set.run == RunState::Running && await_dependencies(self.world, self.desired, self.builder);
        let is_ready = !lacks_references && !lacks_dependencies;
        self.readiness = Some(is_ready);
        is_ready
    }

    /// Whether a network or volume is missing; what is missing is waited for.
    pub(crate) fn lacks_references(&mut self) -> bool {
        let mut is_lacking = false;
        for attachment in self.set.template.networks.attachments() {
            let lacks = match networks::network_use(self.world, &attachment.network) {
                NetworkUse::Ready(_) => continue,
                NetworkUse::BeingReplaced(_) => "being replaced",
                NetworkUse::Missing => "not created yet",
                NetworkUse::Undefined => "not defined",
            };
            is_lacking = true;
            self.builder.wait(Waiting::Reference { key: attachment.network.clone(), lacks });
        }
        for mount in &self.set.template.mounts {
            let MountSource::Volume(key) = &mount.source else { continue };
            if !volumes::is_present(self.world, key) {
                is_lacking = true;
                let lacks = if self.world.desired(key).is_some() { "not created yet" } else { "not defined" };
                self.builder.wait(Waiting::Reference { key: key.clone(), lacks });
            }
        }
        is_lacking
    }

    /// What must be done before a create for the image's sake; `None` when it cannot be had.
    pub(crate) fn image_steps(&mut self) -> Option<Vec<u32>> {
        match &self.image {
            ImagePlan::Undecided => {
                // Decided below.
            }
            ImagePlan::After(steps) => return Some(steps.clone()),
            ImagePlan::Unobtainable => return None,
        }
        let reference = self.set.template.image.clone();
        let is_absent = self.world.image(&reference) == Some(&ImageState::Absent);
        let cause = match (self.set.pull_policy, is_absent) {
            (PullPolicy::Always, _) => Some(Cause::PullAlways),
            (PullPolicy::IfNotPresent, true) => Some(Cause::NotPresent),
            (PullPolicy::IfNotPresent | PullPolicy::Never, false) => None,
            (PullPolicy::Never, true) => {
                self.builder.wait(Waiting::ImageAbsent { reference });
                self.image = ImagePlan::Unobtainable;
                return None;
            }
        };
        let pull = |cause| self.builder.step(&[], Action::PullImage { reference }, cause);
        let steps: Vec<u32> = cause.map(pull).into_iter().collect();
        self.image = ImagePlan::After(steps.clone());
        Some(steps)
    }
}
