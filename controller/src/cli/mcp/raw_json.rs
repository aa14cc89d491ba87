//! JSON text laid out for people, with every name, number and string as it was written.

use crate::cli::sanitise::sanitise_json;

/// The same JSON, indented, with whatever drives a terminal or hides text escaped, and a line end.
pub(super) fn lay_out(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut is_in_string = false;
    let mut is_escaped = false;
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if is_in_string {
            text.push(c);
            is_in_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => {}
            '"' => {
                is_in_string = true;
                text.push(c);
            }
            '{' | '[' => {
                text.push(c);
                while characters.peek().is_some_and(char::is_ascii_whitespace) {
                    characters.next();
                }
                if characters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    text.extend(characters.next());
                } else {
                    depth += 1;
                    break_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut text, depth);
                text.push(c);
            }
            ',' => {
                text.push(c);
                break_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            c => text.push(c),
        }
    }
    text.push('\n');
    sanitise_json(&text).into_owned()
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth));
}

/// JSON texts as one array.
pub(super) fn array_of(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{array_of, lay_out};

    #[test]
    fn what_is_laid_out_keeps_its_order_its_numbers_and_its_strings() {
        let items = [r#"{"b": 1.0e2,"a":[ ], "s":"x, {\"y\": [\\]}\u200b"}"#.to_owned(), "{ }".to_owned()];
        expect![[r#"
            [
              {
                "b": 1.0e2,
                "a": [],
                "s": "x, {\"y\": [\\]}\u200b"
              },
              {}
            ]
        "#]]
        .assert_eq(&lay_out(&array_of(&items)));
        assert_eq!(lay_out("\"a\u{202e}b\u{9b}\""), "\"a\\u202eb\\u009b\"\n");
    }
}
