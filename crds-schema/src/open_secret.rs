//! What of a manifest is a secret though it stands there in the open, by the name beside it and by its own form.

mod plain;

use plain::{is_of_words, is_placeholder, is_plain};

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
#[rustfmt::skip]
const ABOUT: [&str; 64] = [
    "ADDR", "ADDRESS", "AGE", "ALGORITHM", "ATTEMPTS", "AUDIENCE", "BACKEND", "CLASS", "COUNT", "DAYS", "DIR", "DIRECTORY", "DISABLED",
    "DRIVER", "ENABLED", "ENCODING", "ENCRYPTION", "ENDPOINT", "ENGINE", "EXPIRATION", "EXPIRES", "EXPIRY", "FILE", "FORMAT", "HASHER",
    "HASHERS", "HEADER", "HOST", "HOURS", "ID", "INTERVAL", "ISSUER", "ITERATIONS", "LENGTH", "MANAGER", "MINUTES", "MODE", "NAME",
    "NAMESPACE", "PATH", "POLICY", "PORT", "PREFIX", "PROJECT", "PROVIDER", "REF", "REFERENCE", "REGION", "REQUIRED", "RETRIES", "ROLE",
    "ROUNDS", "SCOPE", "SECONDS", "SIZE", "STORE", "TIMEOUT", "TTL", "TYPE", "URI", "URL", "VALIDATOR", "VALIDATORS", "VERSION",
];
/// Words before `KEY` that are of data as often as of secrets.
const OF_DATA: [&str; 10] =
    ["CACHE", "FOREIGN", "INDEX", "OBJECT", "PARTITION", "PRIMARY", "ROUTING", "S3", "SORT", "UNIQUE"];
/// Words of names whose values are secrets though they are numbers.
const OF_PASSWORDS: [&str; 5] = ["PASS", "PASSPHRASE", "PASSWD", "PGPASSWORD", "PWD"];
/// Words of names whose values are bounds where they are numbers.
const OF_BOUNDS: [&str; 4] = ["LIMIT", "MAX", "MIN", "NUM"];

/// The secrets in the value of a variable or an option with this name: all of it where the name says so, else the passwords of the
/// addresses in it. A password that is percent-encoded is there in both spellings.
pub fn secrets_of(name: &str, value: &str) -> Vec<String> {
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let is_secret = is_secret_name(&words) && !is_plain(value) && !is_plain_number(&words, value);
    if is_secret && !is_key_of_data(&words, value) { vec![value.to_owned()] } else { passwords_in(value) }
}

/// The passwords of all `SCHEME://USER:PASSWORD@HOST` in a text, but for what only stands for one, such as `$PASSWORD`.
pub fn passwords_in(text: &str) -> Vec<String> {
    let mut passwords = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let rest = &text[at + mark.len()..];
        let end = rest.find(|c: char| "/?#\"'<>".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
        let Some((user, _)) = rest[..end].rsplit_once('@') else { continue };
        let Some((_, password)) = user.split_once(':') else { continue };
        if password.is_empty() || is_placeholder(password) {
            continue;
        }
        let decoded = percent_decoded(password);
        passwords.extend(decoded.filter(|decoded| decoded != password));
        passwords.push(password.to_owned());
    }
    passwords
}

/// Whether a line of a manifest holds a secret, by what can be told without reading it as YAML.
pub(crate) fn has_secret(line: &str) -> bool {
    let is_end_of_name = |c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c);
    let has_value = |(at, _): (usize, &str)| {
        let name = line[..at].trim_end_matches(['"', '\'', ' ']).rsplit(is_end_of_name).next().unwrap_or_default();
        let value = line[at + 1..].split([',', '}', ']']).next().unwrap_or_default();
        !secrets_of(name, value.trim_matches(['"', '\'', ' '])).is_empty()
    };
    !passwords_in(line).is_empty() || line.match_indices(':').any(has_value)
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

/// Whether the words of a variable's name say that its value is a secret.
fn is_secret_name(words: &[&str]) -> bool {
    let Some(last) = words.last() else { return false };
    if ABOUT.contains(last) || words.contains(&"PUBLIC") {
        return false;
    }
    LAST_WORDS.contains(last) || words.iter().any(|word| PARTS.iter().any(|part| word.contains(part)))
}

/// Whether a value is a number, and none that is a secret under such a name: a bound, or a short one that is no password.
fn is_plain_number(words: &[&str], value: &str) -> bool {
    let is_password = words.iter().any(|word| word.ends_with("PASSWORD") || OF_PASSWORDS.contains(word));
    let is_bound = words.iter().any(|word| OF_BOUNDS.contains(word));
    value.parse::<f64>().is_ok() && (is_bound || value.len() < LEAST_BYTES && !is_password)
}

/// Whether a value names an object or a field of data, as in `S3_KEY: data/2024/in.csv`.
fn is_key_of_data(words: &[&str], value: &str) -> bool {
    matches!(words, [.., before, "KEY"] if OF_DATA.contains(before)) && is_of_words(value)
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
    use super::{has_secret, is_distinctive, passwords_in, secrets_of, without_secrets};

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
        assert_eq!(secrets_of("BOT_TOKEN", "20261126").len(), 1, "a long number is a token too");
    }

    #[test]
    fn a_number_is_a_password_however_short_it_is() {
        for name in ["DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "REDIS_PASS", "KEY_PASSPHRASE", "PASSWD", "password"] {
            assert_eq!(secrets_of(name, "1234"), ["1234"], "{name}");
            assert_eq!(without_secrets(name, "1234"), "[secret]", "{name}");
        }
        for name in ["PASSWORD_LENGTH", "PASSWORD_RETRIES", "PASSWORD_MAX_DAYS", "MAX_PASS", "PASS_THROUGH", "PWD_TTL"]
        {
            assert!(secrets_of(name, "1234").is_empty(), "{name}");
        }
    }

    #[test]
    fn ordinary_values_are_no_secrets_though_their_names_speak_of_one() {
        for (name, value) in [
            ("SECRETS_REGION", "us-east-1"),
            ("POSTGRES_INITDB_PASSWORD_ENCRYPTION", "scram-sha-256"),
            ("SECRET_MANAGER_PROJECT", "my-project-42"),
            ("SECRETS_MANAGER", "aws-secrets-2"),
            ("VAULT_SECRETS_ENDPOINT", "https://vault.example.com:8200"),
            ("SECRET_KEY_REF", "https://vault.example.com/v1/app"),
            ("SECRET_STORE", "vault-store-1"),
            ("SECRETS_BACKEND", "hashicorp-vault-1"),
            ("PASSWORD_HASHER", "argon2-default"),
            ("SECRET_HEADER", "X-Secret-1"),
            ("SIGNING_KEY", "https://vault.example.com/v1/key"),
            ("S3_KEY", "data/2024/in.csv"),
            ("PRIMARY_KEY", "customer_id_2"),
            ("SSH_KEY", "~/.ssh/id_ed25519"),
            ("TLS_KEY", "./certs/Server.key"),
            ("DB_PASSWORD", "/run/secrets/DB_PASSWORD"),
            ("SSH_KEY", "/Users/ann/.ssh/id_ed25519"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/secrets/My-Project.json"),
            ("MAX_TOKEN", "100000000"),
        ] {
            assert!(secrets_of(name, value).is_empty(), "{name}: {value}");
        }
    }

    #[test]
    fn what_only_resembles_an_ordinary_value_is_a_secret_still() {
        for (name, value) in [
            (
                "COSMOS_PRIMARY_KEY",
                "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DEQ2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
            ),
            ("S3_KEY", "9f86d081884c7d65"),
            ("AWS_SECRET_ACCESS_KEY", "/JalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            ("APP_SECRET", "https://ann:hunter2@vault.example.com"),
            ("STORAGE_TOKEN", "https://store.example.com/box?sig=a1b2c3d4"),
            ("API_KEY", "data/2024/in.csv"),
        ] {
            assert_eq!(secrets_of(name, value), [value], "{name}");
        }
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
            ("postgres://app:$PW@db/app", &[]),
            ("exec app postgres://app:${DB_PASSWORD}@db/app", &[]),
            ("postgres://app:$(DB_PASSWORD)@db/app", &[]),
            ("postgres://app:$a$b@db/app", &["$a$b"]),
            ("postgres://app:${PW:-hunter2}@db/app", &["${PW:-hunter2}"]),
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
    fn a_line_with_a_secret_is_told_from_one_that_only_speaks_of_it() {
        for (line, expected) in [
            ("spec: { image: nginx, env: { API_TOKEN: ghp-0123456789 } }", true),
            ("    API_TOKEN: !text \"ghp-0123456789\"", true),
            ("    \"API_TOKEN\" : ghp-0123456789, x: [", true),
            ("    args: [\"pg://a:hunter2@db\"]", true),
            ("    env: { API_TOKEN: \"\", TOKEN_FILE: /run/secrets/token }", false),
            ("    mounts: [{ secretFile: ./pipe.token, path: /run/secrets/pipe }]", false),
            ("  imagee: nginx:1.29", false),
            ("API_TOKEN:", false),
        ] {
            assert_eq!(has_secret(line), expected, "{line}");
        }
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
