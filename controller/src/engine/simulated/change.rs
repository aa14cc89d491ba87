//! What can be changed on a container while it lives: its name, its limits, its restart policy.

use std::sync::Arc;

use planner::observed::Limits;

use super::create::check_limits;
use super::refusal::{Answer, Refusal};
use super::state::State;

impl State {
    pub(super) fn rename_container(&mut self, id_or_name: &str, new_name: &str) -> Answer<()> {
        let id = self.find_container(id_or_name)?;
        let old_name = Arc::clone(&self.container(&id)?.name);
        if &*old_name == new_name {
            let text = "Renaming a container with the same name as its current name";
            return Err(Refusal::new(400, text));
        }
        self.reserve_name(new_name, &format!("/{new_name}"), &id).map_err(|refusal| {
            Refusal::new(refusal.status, format!("Error when allocating new name: {}", refusal.text))
        })?;
        self.names.remove(&old_name);
        self.container(&id)?.name = new_name.into();
        self.events.container(&id, new_name, "rename", None);
        Ok(())
    }

    /// Sets what is not 0 or empty.
    pub(super) fn update_container(&mut self, id_or_name: &str, update: &Limits) -> Answer<()> {
        let mut update = update.clone();
        if update.memory > 0 && update.memory_swap == 0 {
            // Our calls always send the two together.
            update.memory_swap = update.memory.saturating_mul(2);
        }
        check_limits(&update)?;
        let id = self.find_container(id_or_name)?;
        let container = self.container(&id)?;
        let limits = &mut container.limits;
        if update.memory > 0 {
            if update.memory_swap == 0 && limits.memory_swap > 0 && update.memory > limits.memory_swap {
                let text = format!(
                    "Cannot update container {id}: Memory limit should be smaller than already set memoryswap limit, \
                     update the memoryswap at the same time"
                );
                return Err(Refusal::new(409, text));
            }
            limits.memory = update.memory;
        }
        if update.memory_swap != 0 {
            limits.memory_swap = update.memory_swap;
        }
        if update.nano_cpus != 0 {
            limits.nano_cpus = update.nano_cpus;
        }
        if update.pids != 0 {
            limits.pids = update.pids;
        }
        if !update.restart.is_empty() {
            limits.restart.clone_from(&update.restart);
        }
        let name = Arc::clone(&container.name);
        self.events.container(&id, &name, "update", None);
        Ok(())
    }
}
