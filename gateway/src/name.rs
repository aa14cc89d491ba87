//! The names that clients see: a pure function of server and tool, whoever else is there.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest name that the strictest client takes (`[A-Za-z0-9_-]{1,64}`).
pub const NAME_LIMIT: usize = 64;
/// What stands between server and tool. A server's name has no underscore, so the first one ends it.
const SEPARATOR: &str = "__";
/// How many hexadecimal digits tell apart what had to be changed.
const HASH_DIGITS: usize = 10;

/// How names are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Naming {
    /// `SERVER__TOOL`.
    #[default]
    Prefixed,
    /// The tool's own name: for one server alone.
    Plain,
}

/// The name that clients know a tool or prompt by.
///
/// # Guarantees
/// Two different pairs of server and tool never have one name, up to collisions of 40 bits of SHA-256: what fits is kept as it is, and
/// whatever had to be changed, or looks as if it had been, ends in a hash of the original.
pub fn exposed_name(naming: Naming, server: &str, original: &str) -> String {
    match naming {
        Naming::Plain => original.to_owned(),
        Naming::Prefixed => {
            let whole = format!("{server}{SEPARATOR}{original}");
            if is_client_safe(&whole) && !looks_hashed(original) { whole } else { hashed(server, original) }
        }
    }
}

/// Whether the strictest client takes a name.
pub fn is_client_safe(name: &str) -> bool {
    (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(is_safe)
}

const fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn looks_hashed(original: &str) -> bool {
    original.rsplit_once('_').is_some_and(|(_, end)| {
        end.len() == HASH_DIGITS && end.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

fn hashed(server: &str, original: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(server.as_bytes());
    hash.update([0]);
    hash.update(original.as_bytes());
    let digest = format!("{:x}", hash.finalize());
    let digest = digest.get(..HASH_DIGITS).unwrap_or_default();
    // A server's name may be as long as 63 characters: then it is cut as well, and the hash alone tells the two apart.
    let room = NAME_LIMIT - HASH_DIGITS - 1 - SEPARATOR.len();
    let server: String = server.chars().take(room / 2).collect();
    let tool: String = original
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() || character == '-' { character } else { '_' })
        .take(room - server.len())
        .collect();
    format!("{server}{SEPARATOR}{tool}_{digest}")
}

/// Whether a glob, in which `*` stands for anything and `?` for one character, fits a name.
pub fn glob_fits(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last star was, and how far the name had been read when it was tried last.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(place) {
        match glob.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                place += 1;
            }
            Some(_) | None => {
                let Some((star_at, tried)) = star else { return false };
                star = Some((star_at, tried + 1));
                at = star_at + 1;
                place = tried + 1;
            }
        }
    }
    glob.iter().skip(at).all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Naming, exposed_name, glob_fits, is_client_safe};

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_told_apart_by_a_hash() {
        let name = |server: &str, tool: &str| exposed_name(Naming::Prefixed, server, tool);
        assert_eq!(name("git", "git_status"), "git__git_status");
        assert_eq!(name("a", "_x"), "a___x");
        assert_ne!(name("b1", "x.y"), name("b1", "x/y"));
        assert!(name("b1", "x.y").starts_with("b1__x_y_"));
        assert!(is_client_safe(&name(&"s".repeat(63), &"t".repeat(128))));
        assert!(is_client_safe(&name("weather", "погода")));
        assert_eq!(exposed_name(Naming::Plain, "git", "a.b"), "a.b");
    }

    #[test]
    fn a_star_stands_for_anything_and_a_question_mark_for_one_character() {
        for (glob, name) in
            [("*", ""), ("*", "a"), ("a*", "ab"), ("*b", "ab"), ("a*c*e", "abcde"), ("a", "a"), ("a*a", "aa")]
        {
            assert!(glob_fits(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("a", "ab"),
            ("a*", "ba"),
            ("a*a", "a"),
            ("", "a"),
            ("a*c*e", "abcd"),
            ("a?", "a"),
            ("?", "ab"),
            ("a?c", "ac"),
        ] {
            assert!(!glob_fits(glob, name), "{glob} {name}");
        }
    }

    proptest! {
        #[test]
        fn no_two_tools_have_one_name(pairs in proptest::collection::btree_set(("[a-c]{1,3}(-[a-c]{1,2})?", "[ab_./ 0-9é-]{0,12}(_[0-9a-f]{10})?"), 1..40)) {
            let mut seen: BTreeMap<String, (String, String)> = BTreeMap::new();
            for (server, tool) in pairs {
                let name = exposed_name(Naming::Prefixed, &server, &tool);
                prop_assert!(is_client_safe(&name), "{name}");
                let other = seen.insert(name.clone(), (server.clone(), tool.clone()));
                prop_assert!(other.is_none(), "{name}: {server} {tool} and {other:?}");
            }
        }
    }
}
