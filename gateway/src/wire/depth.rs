//! How deep JSON is nested.

/// How deep a message may be nested; the strictest readers of JSON stop a little later.
pub const NESTING_LIMIT: usize = 100;

/// Whether a JSON text is nested deeper than [`NESTING_LIMIT`]. Of what is no JSON it says nothing.
pub fn is_too_deep(json: &str) -> bool {
    let opens = |byte: &&u8| matches!(byte, b'{' | b'[');
    // Nothing is deeper than it has brackets, and most messages have few.
    if json.as_bytes().iter().filter(opens).count() <= NESTING_LIMIT {
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

#[cfg(test)]
mod tests {
    use super::{NESTING_LIMIT, is_too_deep};

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
