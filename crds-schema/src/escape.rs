//! Text from outside, made safe to show: nothing in it moves a cursor, hides or reorders what is read.

/// The text with control and invisible characters written as `\u{…}`, cut to `max_chars` characters with `…` at the end.
pub fn printable(text: &str, max_chars: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max_chars));
    let mut count = 0;
    for character in text.chars() {
        let piece: String = if character.is_control() || is_invisible(character) {
            character.escape_unicode().collect()
        } else {
            character.to_string()
        };
        let length = piece.chars().count();
        if count + length > max_chars {
            while count + 1 > max_chars {
                shown.pop();
                count -= 1;
            }
            shown.push('…');
            return shown;
        }
        shown.push_str(&piece);
        count += length;
    }
    shown
}

/// Whether a character shows nothing, or changes the direction in which its neighbours are shown.
pub const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn hostile_text_is_shown_as_escapes_and_cut() {
        assert_eq!(printable("a\u{202e}b\nc", 80), "a\\u{202e}b\\u{a}c");
        assert_eq!(printable("abcdef", 4), "abc…");
        assert_eq!(printable("abcd", 4), "abcd");
        assert_eq!(printable("ab\u{1b}", 4), "ab…");
    }
}
