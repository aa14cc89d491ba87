//! "Did you mean": the known word that is nearest to the one that was written.

/// The nearest known word, when it is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if written.len() > 64 {
        return None;
    }
    let written = written.to_lowercase();
    let allowed = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|word| (strsim::osa_distance(&written, &word.to_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed && *distance < written.chars().count())
        .min()
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_finds_its_word_and_a_strange_word_does_not() {
        let known = ["image", "replicas", "restart", "env"];
        assert_eq!(nearest("imagee", known), Some("image"));
        assert_eq!(nearest("Replica", known), Some("replicas"));
        assert_eq!(nearest("evn", known), Some("env"));
        assert_eq!(nearest("volumeMounts", known), None);
    }
}
