//! What may be started: a container that is as its manifest says, whatever the Engine made of it.

use controller::engine::simulated::ContainerView;

use super::wanted::App;

/// S14: why a container must not be started for the first time, where it must not. `made_with` is the memory that it was made with:
/// somebody may have changed it since, which is no matter of admission.
pub(crate) fn fault_of_first_start(
    container: &ContainerView<'_>,
    made_with: i64,
    specs: &[Option<App>],
) -> Option<String> {
    let apps: Vec<&App> = specs.iter().flatten().collect();
    if apps.is_empty() {
        return None;
    }
    let memory_of = |app: &&&App| i64::from(app.memory_mib.unwrap_or(0)) << 20;
    let now = container.limits().memory;
    if !apps.iter().any(|app| [made_with, now].contains(&memory_of(&app))) {
        return Some(format!(
            "S14: `{}` is started with {now} bytes of memory, which nobody asked for",
            container.name()
        ));
    }
    let env = &container.config().env;
    if !apps.iter().any(|app| env.contains(&format!("VERSION={}", app.version))) {
        return Some(format!("S14: `{}` is started with {env:?}, which nobody asked for", container.name()));
    }
    None
}
