//! The standard streams of containers of a real engine.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptions;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::stage::{Stage, on_engine};
use crate::engine::{AttachedContainer, Engine, ErrorKind};

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a shell that reads its input.
async fn start_reader(stage: &Stage, name: &str, line: &str) -> String {
    let mut create = stage.shell(name, line);
    create.config.open_stdin = true;
    let id = stage.create(&create).await;
    stage.engine.start_container(&id).await.unwrap();
    id
}

/// Says a line and returns the one that comes back.
async fn ask(attached: &mut AttachedContainer, line: &str) -> String {
    attached.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut output = BufReader::with_capacity(1, &mut attached.output);
    timeout(PATIENCE, output.read_line(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn who_attaches_again_speaks_to_the_same_process_until_it_is_killed() {
    on_engine(async |stage| {
        let count = r#"n=0; while read -r line; do n=$((n+1)); echo "error $n" >&2; echo "$n $line"; done"#;
        let id = start_reader(stage, "counts", count).await;
        for (number, line) in [(1, "hello"), (2, "again"), (3, "and again")] {
            let mut attached = stage.engine.attach_container(&id).await.unwrap();
            assert_eq!(ask(&mut attached, line).await, format!("{number} {line}\n"));
        }
        let mut attached = stage.engine.attach_container(&id).await.unwrap();
        assert_eq!(ask(&mut attached, "last").await, "4 last\n");
        stage.raw().await.kill_container(&id, None::<KillContainerOptions>).await.unwrap();
        let mut rest = Vec::new();
        timeout(PATIENCE, attached.output.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
        let error = stage.engine.attach_container(&id).await.unwrap_err();
        assert_eq!((error.kind, error.text.as_str()), (ErrorKind::Internal, "it is exited, and does not run"));
    })
    .await;
}

#[tokio::test]
async fn several_who_are_attached_at_once_all_hear_the_output() {
    on_engine(async |stage| {
        let id = start_reader(stage, "shared", r#"while read -r line; do echo "$line"; done"#).await;
        let mut first = stage.engine.attach_container(&id).await.unwrap();
        let mut second = stage.engine.attach_container(&id).await.unwrap();
        assert_eq!(ask(&mut first, "one").await, "one\n");
        assert_eq!(ask(&mut second, "two").await, "one\n");
        drop(first);
        assert_eq!(ask(&mut second, "three").await, "two\n");
    })
    .await;
}

#[tokio::test]
async fn several_megabytes_in_one_line_come_back_whole() {
    on_engine(async |stage| {
        let id = start_reader(stage, "large", "exec cat").await;
        let AttachedContainer { mut input, output } = stage.engine.attach_container(&id).await.unwrap();
        let line: String = (0..8 << 20).map(|index| char::from(b'a' + u8::try_from(index % 26).unwrap())).collect();
        let sent = line.clone();
        let sending = tokio::spawn(async move {
            input.write_all(sent.as_bytes()).await.unwrap();
            input.write_all(b"\n").await.unwrap();
            input
        });
        let mut heard = String::new();
        timeout(PATIENCE, BufReader::new(output).read_line(&mut heard)).await.unwrap().unwrap();
        assert!(heard.trim_end() == line, "{} bytes of {}", heard.len(), line.len());
        drop(sending.await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_program_that_talks_a_lot_to_its_standard_error_answers_still() {
    on_engine(async |stage| {
        let noise = r#"while read -r line; do i=0; while [ $i -lt 2000 ]; do echo "noise $i" >&2; i=$((i+1)); done; echo "$line"; done"#;
        let id = start_reader(stage, "noise", noise).await;
        let mut attached = stage.engine.attach_container(&id).await.unwrap();
        for line in ["one", "two", "three"] {
            assert_eq!(ask(&mut attached, line).await, format!("{line}\n"));
        }
    })
    .await;
}
