//! Images: fetched and imported, both told by a stream of progress.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptions, CreateImageOptionsBuilder};
use futures_util::stream::{Stream, StreamExt};
use tokio::time::timeout;

use super::failure::Call;
use crate::engine::classify::Operation;
use crate::engine::{EngineError, ErrorKind};

/// The options of a pull. Without a tag the Engine would fetch every tag that there is.
pub(super) fn pull_options(reference: &str) -> CreateImageOptions {
    let (repository, tag) = split_reference(reference);
    CreateImageOptionsBuilder::new().from_image(repository).tag(tag).build()
}

/// The options of an import.
pub(super) fn import_options(reference: &str, changes: &[&str]) -> CreateImageOptions {
    let (repository, tag) = split_reference(reference);
    let changes = changes.iter().map(ToString::to_string).collect();
    CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).changes(changes).build()
}

/// Reads progress to its end. An error inside it is an error of the call; so is silence, since a registry that stalls would
/// otherwise hold the call for ever.
pub(super) async fn follow_progress(
    progress: impl Stream<Item = Result<CreateImageInfo, Error>>,
    call: &Call,
) -> Result<(), EngineError> {
    let mut progress = std::pin::pin!(progress);
    loop {
        match timeout(SILENCE_DEADLINE, progress.next()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Err(call.fail(&error)),
            Ok(None) => return Ok(()),
            Err(_) => {
                let is_pull = call.operation == Operation::PullImage;
                let kind = if is_pull { ErrorKind::RegistryUnavailable } else { ErrorKind::Unknown };
                return Err(call.fail_with(kind, "no progress for 5 minutes"));
            }
        }
    }
}

/// Repository, and tag or digest; `latest` where there is neither. A digest makes a tag beside it void.
pub(super) fn split_reference(reference: &str) -> (&str, &str) {
    let split_tag = |text| match str::rsplit_once(text, ':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        Some(_) | None => (text, None),
    };
    if let Some((name, digest)) = reference.split_once('@') {
        return (split_tag(name).0, digest);
    }
    let (repository, tag) = split_tag(reference);
    (repository, tag.unwrap_or("latest"))
}

/// How long a pull or import may go without a sign of life.
const SILENCE_DEADLINE: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard::errors::Error;
    use bollard::models::CreateImageInfo;
    use futures_util::stream::{self, StreamExt};

    use super::{SILENCE_DEADLINE, follow_progress, split_reference};
    use crate::engine::ErrorKind;
    use crate::engine::classify::Operation;
    use crate::engine::docker::failure::Call;

    #[tokio::test(start_paused = true)]
    async fn a_pull_without_progress_is_given_up() {
        let begun = tokio::time::Instant::now();
        let slow = stream::iter(0..10).then(|_| async {
            tokio::time::sleep(Duration::from_mins(4)).await;
            Ok::<_, Error>(CreateImageInfo::default())
        });
        let call = Call::on(Operation::PullImage, "pull image", "web:1");
        let error = follow_progress(slow.chain(stream::pending()), &call).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::RegistryUnavailable);
        assert_eq!(begun.elapsed(), Duration::from_mins(40) + SILENCE_DEADLINE, "slow is not silent");
    }

    #[test]
    fn references_fall_into_repository_and_tag_or_digest() {
        for (reference, repository, tag) in [
            ("nginx", "nginx", "latest"),
            ("nginx:1.29", "nginx", "1.29"),
            ("localhost:5000/nginx", "localhost:5000/nginx", "latest"),
            ("localhost:5000/a/nginx:1", "localhost:5000/a/nginx", "1"),
            ("nginx:1.29@sha256:00", "nginx", "sha256:00"),
            ("localhost:5000/nginx@sha256:00", "localhost:5000/nginx", "sha256:00"),
        ] {
            assert_eq!(split_reference(reference), (repository, tag), "{reference}");
        }
    }
}
