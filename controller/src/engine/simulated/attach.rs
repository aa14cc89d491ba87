//! Attaching to a simulated container: its program reads lines and answers them, until its run ends or nobody is attached any more.

use std::sync::Arc;

use planner::observed::ContainerState;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex, split};

use super::programs::{End, Program};
use super::refusal::Answer;
use super::state::State;
use super::stop::StopProgress;
use super::transport::Shared;
use crate::engine::AttachedContainer;

/// How much may be under way in either direction.
const PIPE_BYTES: usize = 64 * 1024;

/// One run of a container, to whose program somebody speaks.
#[derive(Debug)]
pub(super) struct AttachedRun {
    id: Arc<str>,
    run: u32,
    program: Arc<Program>,
}

impl State {
    pub(super) fn attach(&mut self, id_or_name: &str) -> Answer<AttachedRun> {
        let id = self.find_container(id_or_name)?;
        let container = self.container(&id)?;
        let (run, program, name) = (container.run, Arc::clone(&container.program), Arc::clone(&container.name));
        self.events.container(&id, &name, "attach", None);
        Ok(AttachedRun { id, run, program })
    }
}

/// Lets the program answer. Several who are attached at once do not hear each other, other than with a real Engine.
pub(super) fn converse(shared: &Arc<Shared>, attached: AttachedRun) -> AttachedContainer {
    let (ours, theirs) = duplex(PIPE_BYTES);
    let shared = Arc::clone(shared);
    // Nobody joins this task: it ends with the run, or when the streams are dropped.
    tokio::spawn(async move {
        tokio::select! {
            // Dropping either loses nothing that anybody would read: the run is over, or nobody is attached.
            biased;
            () = shared.wait_until(|state| state.stop_progress(&attached.id, attached.run) == StopProgress::Stopped) => {}
            () = answer_lines(&shared, &attached, theirs) => {}
        }
    });
    let (output, input) = split(ours);
    AttachedContainer { input: Box::new(input), output: Box::new(output) }
}

async fn answer_lines(shared: &Shared, attached: &AttachedRun, streams: DuplexStream) {
    let (input, mut output) = split(streams);
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // What is frozen goes on when it is thawed; what does not read never answers.
        let is_going = |state: &State| {
            state.containers.get(&attached.id).is_none_or(|container| container.state != ContainerState::Paused)
        };
        shared.wait_until(is_going).await;
        if attached.program.end != End::AtEndOfInput {
            continue;
        }
        for answer in attached.program.answers.to(&line) {
            if output.write_all(format!("{answer}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}
