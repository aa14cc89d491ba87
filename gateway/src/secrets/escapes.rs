//! JSON strings in one spelling.

use std::char::decode_utf16;

use crate::wire::object::quote;

/// How many digits say which character `\u` stands for.
const DIGITS: usize = 4;

/// A text as it stands between the quotes of a JSON string.
pub(super) fn spelled(text: &str) -> String {
    let mut quoted = quote(text);
    quoted.pop();
    quoted.remove(0);
    quoted
}

/// A text of JSON in which each character is spelled as we spell it: `\u0061` is `a`, `\/` is `/`. `None` where it is already.
///
/// What is no JSON is read as if it were.
pub(super) fn respelled(text: &str) -> Option<String> {
    let mut respelled: Option<String> = None;
    // How far the text has been taken over.
    let mut taken = 0;
    let mut place = 0;
    while let Some(found) = text.get(place..)?.find('\\') {
        let begin = place + found;
        let rest = text.get(begin..)?;
        let Some((spelling, length)) = read_escape(rest) else {
            // The escape of something else, which is one character more.
            place = begin + 1 + rest.chars().nth(1).map_or(0, char::len_utf8);
            continue;
        };
        place = begin + length;
        if rest.get(..length) == Some(&*spelling) {
            continue;
        }
        let respelled = respelled.get_or_insert_with(|| String::with_capacity(text.len()));
        respelled.push_str(text.get(taken..begin)?);
        respelled.push_str(&spelling);
        taken = place;
    }
    let mut respelled = respelled?;
    respelled.push_str(text.get(taken..)?);
    Some(respelled)
}

/// How we spell what an escape at the beginning of a text stands for, where there may be two ways, and how long it is.
fn read_escape(text: &str) -> Option<(String, usize)> {
    if text.starts_with("\\/") {
        return Some(("/".to_owned(), 2));
    }
    let first = read_unit(text)?;
    let length = 2 + DIGITS;
    let second = text.get(length..).and_then(read_unit);
    let pair = second.and_then(|second| decode_utf16([first, second]).next()?.ok().filter(|one| one.len_utf16() == 2));
    let (one, length) = match pair {
        Some(one) => (one, length * 2),
        None => (char::from_u32(u32::from(first))?, length),
    };
    Some((spelled(one.encode_utf8(&mut [0; 4])), length))
}

/// The number after a `\u`.
fn read_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..DIGITS)?;
    // A sign is no digit, though it would be read as a part of a number.
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::respelled;
    use crate::wire::object::quote;

    #[test]
    fn each_character_has_one_spelling() {
        let of = |text: &str| respelled(text).unwrap_or_else(|| text.to_owned());
        for (text, expected) in [
            (r#""p\u0061ss""#, r#""pass""#),
            (r#""a\/b""#, r#""a/b""#),
            (r#""\u0022 \u005C \u000A \u001f""#, r#""\" \\ \n \u001f""#),
            (r#""\u00e9 \uD83D\uDE00""#, "\"\u{e9} \u{1f600}\""),
            // None of these stands for a character alone.
            (r#""\\u0061 \ud83d \ud83dx \u+061 \u006""#, r#""\\u0061 \ud83d \ud83dx \u+061 \u006""#),
            ("\\", "\\"),
            ("\\\u{e9}\\u0061", "\\\u{e9}a"),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(respelled("nothing \\\" is escaped \\\\ but what must be \\n"), None);
    }

    proptest! {
        #[test]
        fn what_is_escaped_throughout_is_as_we_spell_it(value in any::<String>()) {
            let units: Vec<String> = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let spelled = format!("\"{}\"", units.concat());
            prop_assert_eq!(respelled(&spelled).unwrap_or(spelled), quote(&value));
        }

        #[test]
        fn what_a_text_of_json_says_stays_the_same(text in any::<String>(), garbage in "[\\\\u/0-9a-fdD\"]{0,40}") {
            let json = serde_json::to_string(&text).unwrap();
            let said: String = serde_json::from_str(&respelled(&json).unwrap_or(json)).unwrap();
            prop_assert_eq!(said, text);
            // It ends, whatever it is.
            drop(respelled(&garbage));
        }
    }
}
