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
    use super::split_reference;

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
