//! Values that are no secrets whatever their name is.

/// Values that say yes, no or nothing.
const PLAIN_WORDS: [&str; 8] = ["false", "no", "none", "null", "off", "on", "true", "yes"];

/// Whether a value is none that is to be kept: nothing, yes or no, the path of a file, or an address without a user.
pub(super) fn is_plain(value: &str) -> bool {
    value.trim().is_empty()
        || PLAIN_WORDS.contains(&value.to_ascii_lowercase().as_str())
        || is_path(value)
        || is_address(value)
}

/// Whether a password only stands for one that is put there later: `$NAME`, `${NAME}` or `$(...)`.
pub(super) fn is_placeholder(password: &str) -> bool {
    let Some(rest) = password.strip_prefix('$') else { return false };
    if let Some(command) = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return !command.contains(['(', ')']);
    }
    let name = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(rest);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a value is made of words and numbers, as names are and random characters are not.
pub(super) fn is_of_words(value: &str) -> bool {
    value.bytes().all(is_byte_of_path) && words_of(value).all(is_numbered_word)
}

/// A path from the root, from the home or from here.
fn is_path(value: &str) -> bool {
    if let Some(rest) = ["~/", "./", "../"].iter().find_map(|start| value.strip_prefix(start)) {
        return rest.bytes().all(is_byte_of_path);
    }
    // What is in base64 may begin with a slash. It has no full stop, and capitals wherever they fall.
    value.starts_with('/')
        && value.bytes().all(is_byte_of_path)
        && (value.contains('.') || words_of(value).all(is_in_natural_case))
}

/// An address with nothing in it that may let somebody in: no user, and no query.
fn is_address(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    !scheme.is_empty()
        && scheme.bytes().all(is_scheme)
        && !rest.contains(|c: char| "@?#".contains(c) || c.is_whitespace())
}

fn is_byte_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)
}

fn words_of(value: &str) -> impl Iterator<Item = &str> {
    value.split(|c: char| !c.is_ascii_alphanumeric())
}

/// Letters, and then digits.
fn is_numbered_word(word: &str) -> bool {
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    letters.bytes().all(|byte| byte.is_ascii_alphabetic()) && is_in_natural_case(letters)
}

/// All in capitals, or none but the first.
fn is_in_natural_case(word: &str) -> bool {
    !word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) || !word.bytes().any(|byte| byte.is_ascii_lowercase())
}
