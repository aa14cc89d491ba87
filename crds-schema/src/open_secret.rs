//! What of a manifest is a secret though it stands there in the open, by the name beside it and by its own form.

/// What stands in place of a secret where its field is shown.
pub const INSTEAD: &str = "[secret]";

/// Last words of names whose values are secrets.
const LAST_WORDS: [&str; 13] = [
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "KEY",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PAT",
    "PGPASSWORD",
    "PWD",
    "SECRET",
    "TOKEN",
];
/// What makes a name that of a secret wherever it stands.
const PARTS: [&str; 3] = ["PASSWD", "PASSWORD", "SECRET"];
/// Last words of names that say where a secret is, or something about it.
const ABOUT: [&str; 16] = [
    "COUNT",
    "DIR",
    "DIRECTORY",
    "ENABLED",
    "FILE",
    "ID",
    "LENGTH",
    "MODE",
    "NAME",
    "PATH",
    "POLICY",
    "REQUIRED",
    "TTL",
    "TYPE",
    "URI",
    "URL",
];
/// Values that say yes, no or nothing.
const PLAIN_WORDS: [&str; 8] = ["false", "no", "none", "null", "off", "on", "true", "yes"];

/// The secrets in the value of a variable or an option with this name: all of it where the name says so, else the passwords of the
/// addresses in it. A password that is percent-encoded is there in both spellings.
pub fn secrets_of(name: &str, value: &str) -> Vec<String> {
    if is_secret_name(name) && !is_plain(value) { vec![value.to_owned()] } else { passwords_in(value) }
}

/// The passwords of all `SCHEME://USER:PASSWORD@HOST` in a text.
pub fn passwords_in(text: &str) -> Vec<String> {
    let mut passwords = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let rest = &text[at + mark.len()..];
        let end = rest.find(|c: char| "/?#\"'<>".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
        let Some((user, _)) = rest[..end].rsplit_once('@') else { continue };
        let Some((_, password)) = user.split_once(':') else { continue };
        if password.is_empty() {
            continue;
        }
        let decoded = percent_decoded(password);
        passwords.extend(decoded.filter(|decoded| decoded != password));
        passwords.push(password.to_owned());
    }
    passwords
}

/// A value without its secrets, for whoever is shown the field.
pub fn without_secrets(name: &str, value: &str) -> String {
    secrets_of(name, value).iter().fold(value.to_owned(), |text, secret| {
        // A short password may be a part of anything: only where it stands as one is it replaced.
        if secret == value { INSTEAD.to_owned() } else { text.replace(&format!(":{secret}@"), &format!(":{INSTEAD}@")) }
    })
}

/// Whether a secret can be looked for in other texts. A short one, or a word such as `password`, is found in what has nothing to do with it.
pub fn is_distinctive(secret: &str) -> bool {
    let is_of_words = secret.bytes().all(|byte| byte.is_ascii_alphabetic() || b" _-.".contains(&byte));
    secret.len() >= if is_of_words { LEAST_WORDS_BYTES } else { LEAST_BYTES }
}

/// The least length of what is looked for.
const LEAST_BYTES: usize = 8;
/// The same for what is made of letters alone.
const LEAST_WORDS_BYTES: usize = 16;

/// Whether the name of a variable says that its value is a secret.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let Some(last) = words.last() else { return false };
    if ABOUT.contains(last) || words.contains(&"PUBLIC") {
        return false;
    }
    LAST_WORDS.contains(last) || PARTS.iter().any(|part| name.contains(part))
}

/// Whether a value is none that is to be kept: nothing, yes or no, a number, or the path of a file.
fn is_plain(value: &str) -> bool {
    let is_path = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte);
    value.trim().is_empty()
        || PLAIN_WORDS.contains(&value.to_ascii_lowercase().as_str())
        || value.len() < LEAST_BYTES && value.parse::<f64>().is_ok()
        || value.starts_with('/') && value.bytes().all(is_path)
}

/// A text with each `%` and two digits as the byte that they mean; `None` where that is no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let digits = if *first == b'%' { others.get(..2) } else { None };
        let code = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &others[2..] } else { others };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{is_distinctive, passwords_in, secrets_of, without_secrets};

    #[test]
    fn a_name_tells_that_its_value_is_a_secret() {
        for name in [
            "GITHUB_PERSONAL_ACCESS_TOKEN",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "JWT_SECRET",
            "PGPASSWORD",
            "DB_PASSWORD_HASH",
            "MYSQL_PWD",
            "REDIS_PASS",
            "GITHUB_PAT",
            "api-key",
            "GOOGLE_CREDENTIALS",
        ] {
            assert_eq!(secrets_of(name, "s3cr3t"), ["s3cr3t"], "{name}");
        }
        for name in [
            "LOG_LEVEL",
            "TOKEN_FILE",
            "DB_PASSWORD_FILE",
            "AWS_ACCESS_KEY_ID",
            "TOKEN_URL",
            "SECRET_NAME",
            "PUBLIC_KEY",
            "GIT_CONFIG_KEY_0",
            "MONKEY",
            "KEYBOARD",
            "TOKENIZER",
            "",
        ] {
            assert!(secrets_of(name, "s3cr3t").is_empty(), "{name}");
        }
    }

    #[test]
    fn yes_no_numbers_and_paths_are_no_secrets_whatever_their_name() {
        for value in ["", " ", "true", "No", "1", "4096", "/run/secrets/tls.key"] {
            assert!(secrets_of("TLS_KEY", value).is_empty(), "{value}");
        }
        assert_eq!(secrets_of("DB_PASSWORD", "20261126").len(), 1, "a long number is a password too");
    }

    #[test]
    fn the_password_of_an_address_is_found_and_nothing_else_of_it() {
        for (text, expected) in [
            ("postgres://reader:hunter2@db:5432/app?sslmode=disable", &["hunter2"][..]),
            ("redis://:hunter2@cache", &["hunter2"]),
            ("amqp://a:one@x/,amqp://b:two@y/", &["one", "two"]),
            ("mongodb://u:a@b@h1,h2/db", &["a@b"]),
            ("mysql://u:p%40ss@h", &["p@ss", "p%40ss"]),
            ("--dsn=postgres://u:p@h", &["p"]),
            ("http://grafana:3000", &[]),
            ("https://example.com/a:b@c", &[]),
            ("ssh://git@example.com", &[]),
            ("postgres://u:@h", &[]),
            ("://", &[]),
            ("u:p@h", &[]),
        ] {
            assert_eq!(passwords_in(text), expected, "{text}");
            assert_eq!(secrets_of("DATABASE_URL", text), expected, "{text}");
        }
        assert_eq!(
            without_secrets("DATABASE_URL", "postgres://reader:hunter2@db/app"),
            "postgres://reader:[secret]@db/app"
        );
        assert_eq!(without_secrets("", "[\"--dsn\",\"pg://p:p@p\"]"), "[\"--dsn\",\"pg://p:[secret]@p\"]");
        assert_eq!(without_secrets("API_KEY", "abc"), "[secret]");
    }

    #[test]
    fn what_is_found_everywhere_is_not_looked_for() {
        for (secret, expected) in [
            ("1", false),
            ("true", false),
            ("hunter2", false),
            ("password", false),
            ("my_secret", false),
            ("ghp_a1b2", true),
            ("correct horse battery", true),
        ] {
            assert_eq!(is_distinctive(secret), expected, "{secret}");
        }
    }
}
