//! The images of the contract: for a real Engine the busybox of the host with a config, for the simulated one a program.

use crate::engine::simulated::{HealthScript, ImageConfig, Program, SimulatedEngine};
use crate::engine::{Engine, EngineError};

/// One image, as both kinds of Engine need it.
#[derive(Debug, Clone)]
pub struct ContractImage {
    /// What scripts call it.
    pub name: &'static str,
    /// Its config, in Dockerfile form.
    pub changes: Vec<&'static str>,
    /// What its program does.
    pub program: Program,
}

impl ContractImage {
    /// The reference in the Engine.
    pub fn reference(&self) -> String {
        reference_of(self.name)
    }

    /// Makes it on a simulated Engine.
    ///
    /// # Errors
    /// When the Engine refuses a change.
    pub async fn make_simulated(&self, engine: &SimulatedEngine) -> Result<(), EngineError> {
        engine.store_image(&self.reference(), ImageConfig::plain(), self.program.clone());
        self.make(engine, Vec::new()).await
    }

    /// Makes it on any Engine from a root file system.
    ///
    /// # Errors
    /// When the Engine refuses the import.
    pub async fn make(&self, engine: &dyn Engine, root: Vec<u8>) -> Result<(), EngineError> {
        engine.import_image(&self.reference(), root, &self.changes).await
    }
}

/// The reference of the image that scripts call `name`.
pub(super) fn reference_of(name: &str) -> String {
    format!("evenkeel-contract/{name}:1")
}

const RUN_FOR_EVER: &str = r#"CMD ["/bin/sh","-c","trap 'exit 0' TERM; sleep 1000 & wait"]"#;

const ECHO: &str = r#"CMD ["/bin/sh","-c","while read -r line; do echo \"$line\"; done"]"#;

/// All images that the sequences use.
pub fn contract_images() -> Vec<ContractImage> {
    let image = |name, changes: &[&'static str], program| ContractImage { name, changes: changes.to_vec(), program };
    // Long enough to be looked at before the first check on a busy machine.
    let healthcheck = "HEALTHCHECK --interval=4s --retries=2 CMD /bin/true";
    let failing_check = "HEALTHCHECK --interval=4s --retries=2 CMD /bin/false";
    vec![
        image("loop", &[RUN_FOR_EVER], Program::forever()),
        image("deaf", &[r#"CMD ["/bin/sleep","1000"]"#], Program::ignoring_stop()),
        image("exit0", &[r#"CMD ["/bin/sh","-c","exit 0"]"#], Program::exiting(0, 0)),
        image("exit7", &[r#"CMD ["/bin/sh","-c","exit 7"]"#], Program::exiting(0, 7)),
        image("later3", &[r#"CMD ["/bin/sh","-c","sleep 0.5; exit 3"]"#], Program::exiting(500, 3)),
        image("missing", &[r#"CMD ["/nope"]"#], Program::missing("/nope")),
        image("nothing", &["ENV A=b"], Program::forever()),
        image(
            "talker",
            &[r#"CMD ["/bin/sh","-c","echo one; echo two; echo three"]"#],
            Program::exiting(0, 0).printing("one\ntwo\nthree\n"),
        ),
        image("echo", &[ECHO], Program::reading_input()),
        image("healthy", &[RUN_FOR_EVER, healthcheck], Program::forever()),
        image("sick", &[RUN_FOR_EVER, failing_check], Program::forever().with_health(HealthScript::Fails)),
        image(
            "rich",
            &[
                RUN_FOR_EVER,
                "ENV COLOR=red",
                "ENV SHAPE=round",
                "LABEL from=image",
                "LABEL kept=image",
                "EXPOSE 8080",
                "EXPOSE 9090/udp",
                "VOLUME /data",
                "USER 0:0",
                "WORKDIR /bin",
            ],
            Program::forever(),
        ),
        image(
            "entry",
            &[r#"ENTRYPOINT ["/bin/sh","-c"]"#, r#"CMD ["trap 'exit 0' TERM; sleep 1000 & wait"]"#],
            Program::forever(),
        ),
    ]
}
