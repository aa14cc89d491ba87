//! How deep JSON is nested.

/// How deep a message may be nested; the strictest readers of JSON stop a little later.
pub const NESTING_LIMIT: usize = 100;

/// Whether a JSON text is nested deeper than [`NESTING_LIMIT`]. Of what is no JSON it says nothing.
pub fn is_too_deep(json: &str) -> bool {
    // Nothing is deeper than it has brackets, and most messages have few.
    if count_opening(json.as_bytes()) <= NESTING_LIMIT {
        return false;
    }
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > NESTING_LIMIT {
            return true;
        }
    }
    false
}

/// How many brackets of either sort open. In pieces whose count fits a byte, and by one comparison, so that many bytes are looked at at once.
fn count_opening(bytes: &[u8]) -> usize {
    let count = |piece: &[u8]| piece.iter().map(|byte| u8::from(byte | (b'{' ^ b'[') == b'{')).sum::<u8>();
    bytes.chunks(usize::from(u8::MAX)).map(|piece| usize::from(count(piece))).sum()
}

#[cfg(test)]
mod tests {
    use super::{NESTING_LIMIT, count_opening, is_too_deep};

    #[test]
    fn both_sorts_of_brackets_are_counted_and_nothing_else_is() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(count_opening(&all), 2);
        assert_eq!(count_opening("{[".repeat(1_000).as_bytes()), 2_000);
    }

    #[test]
    fn levels_are_counted_and_brackets_in_texts_are_not() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(&nested(NESTING_LIMIT)));
        assert!(is_too_deep(&nested(NESTING_LIMIT + 1)));
        assert!(is_too_deep(&format!("{}1{}", "{\"a\":".repeat(101), "}".repeat(101))));
        assert!(!is_too_deep(&format!("[{}1]", "[[]],".repeat(1_000))));
        assert!(!is_too_deep(&format!("\"{}\"", r#"[{\"[\\"#.repeat(1_000))));
    }
}
