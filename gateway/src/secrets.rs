//! Values that must go nowhere but to whom they are for: what servers elsewhere are sent to let the gateway in.

mod book;
mod escapes;
mod finder;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::upstream::answer::REFUSAL_LIMIT;
use crate::wire::reply::RpcError;
pub use book::SecretBook;
use escapes::{respelled, spelled};
use finder::Finder;

/// A shorter value would be found in what has nothing to do with it.
const LEAST_BYTES: usize = 8;
/// What is said to whoever sends one.
const UNTOLD: &str = "it holds a secret of the gateway's, which no server may be told";
/// What stands in place of one.
const INSTEAD: &str = "[secret]";

/// How it is known that a value is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// It looks like one, and may be an ordinary word of calls: it is hidden, and nothing is refused for it.
    Likely,
    /// It stands in a file of secrets.
    Declared,
}

/// The values, in each way that they are looked for: as they are, within JSON however its strings are escaped, in base64 by themselves, and
/// percent-encoded.
#[derive(Default)]
pub struct Secrets {
    needles: BTreeMap<String, Evidence>,
    all: Finder,
    declared: Finder,
}

impl Secrets {
    /// These values, but for those of fewer than eight bytes.
    pub fn new<'values>(values: impl IntoIterator<Item = (&'values str, Evidence)>) -> Self {
        let mut needles = BTreeMap::new();
        for (value, evidence) in values.into_iter().filter(|(value, _)| value.len() >= LEAST_BYTES) {
            let spellings = [
                value.to_owned(),
                spelled(value),
                STANDARD_NO_PAD.encode(value),
                URL_SAFE_NO_PAD.encode(value),
                percent_encoded(value),
            ];
            for spelling in spellings {
                let known = needles.entry(spelling).or_insert(evidence);
                *known = evidence.max(*known);
            }
        }
        Self::of(needles)
    }

    fn of(needles: BTreeMap<String, Evidence>) -> Self {
        let declared = needles.iter().filter(|(_, evidence)| **evidence == Evidence::Declared);
        let declared = Finder::new(declared.map(|(needle, _)| needle.as_str()));
        Self { all: Finder::new(needles.keys().map(String::as_str)), declared, needles }
    }

    /// Whether a text holds one.
    fn is_in(&self, text: &str) -> bool {
        is_found(&self.all, text)
    }

    /// Whether a text holds one that no client may have a server told.
    pub fn is_refused(&self, text: &str) -> bool {
        is_found(&self.declared, text)
    }

    /// Refuses what a client would have a server told where it holds one of a file, whosever that is: to whom it may be told is not the
    /// client's to say.
    ///
    /// # Errors
    /// What the client is told.
    pub fn check(&self, text: &str) -> Result<(), RpcError> {
        if self.is_refused(text) { Err(RpcError::new(RpcError::INVALID_PARAMS, UNTOLD)) } else { Ok(()) }
    }

    /// These and those, for hiding.
    fn with(&self, others: &Self) -> Self {
        let needles = self.needles.iter().chain(&others.needles);
        Self::of(needles.map(|(needle, evidence)| (needle.clone(), *evidence)).collect())
    }

    /// A text without them. What stands instead is plain within JSON as well.
    pub fn hide<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        let text = text.into();
        if self.all.is_empty() {
            return text;
        }
        // First as it would be spelled by us: a short one within a long one that is spelled otherwise would leave the rest of that.
        match respelled(&text).filter(|text| self.all.is_in(text)) {
            Some(respelled) => self.all.replace(Cow::Owned(respelled), INSTEAD),
            None => self.all.replace(text, INSTEAD),
        }
    }
}

impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        self.needles == other.needles
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("all", &self.all).finish_non_exhaustive()
    }
}

fn is_found(finder: &Finder, text: &str) -> bool {
    !finder.is_empty() && (finder.is_in(text) || respelled(text).is_some_and(|text| finder.is_in(&text)))
}

/// The values of this moment, wherever they are needed: what lasts longer than a request looks here each time.
#[derive(Debug, Clone, Default)]
pub struct KnownSecrets(Arc<RwLock<Arc<Secrets>>>);

impl KnownSecrets {
    /// What must go nowhere now.
    pub fn now(&self) -> Arc<Secrets> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What must go nowhere from now on, with what was known when something began.
    pub fn since(&self, then: Arc<Secrets>) -> SecretsSince {
        SecretsSince { then, known: self.clone() }
    }

    /// Has these from now on.
    pub(crate) fn set(&self, secrets: Secrets) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // The same ones stay the same: whoever compares them need not look into them.
        if **known != secrets {
            *known = Arc::new(secrets);
        }
    }
}

/// The values of the moment when something began, and those of each moment since: whom a request waits for may be let in by another value,
/// and who is not there any more may still speak.
#[derive(Debug, Clone)]
pub struct SecretsSince {
    then: Arc<Secrets>,
    known: KnownSecrets,
}

impl SecretsSince {
    /// A text without those of then and those of now.
    pub fn hide<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        let (text, now) = (text.into(), self.known.now());
        if Arc::ptr_eq(&self.then, &now) || !self.then.is_in(&text) {
            return now.hide(text);
        }
        now.with(&self.then).hide(text)
    }

    /// As [`Secrets::check`], by the values of then.
    ///
    /// # Errors
    /// What the client is told.
    pub fn check(&self, text: &str) -> Result<(), RpcError> {
        self.then.check(text)
    }

    /// The beginning of why something failed, without them.
    pub fn shorten(&self, why: String) -> String {
        self.hide(why).chars().take(REFUSAL_LIMIT).collect()
    }
}

/// As RFC 3986 has it: everything but letters, digits, `-`, `.`, `_` and `~` as `%` and two digits.
fn percent_encoded(value: &str) -> String {
    let one = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    value.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Evidence, KnownSecrets, SecretBook, Secrets};
    use crate::config::ServerConfig;

    #[test]
    fn a_secret_is_found_and_hidden_in_each_of_its_spellings() {
        let secrets = Secrets::new(["pa\"ss/word+1", "short"].map(|value| (value, Evidence::Declared)));
        for text in [
            "pa\"ss/word+1",
            r#"{"text":"it is pa\"ss/word+1!"}"#,
            "cGEic3Mvd29yZCsx",
            "https://a/?k=pa%22ss%2Fword%2B1",
            r#"{"text":"it is \u0070a\u0022ss\/word+1!"}"#,
            r#"{"text":"pa\"ss/word+1, or \u0070a\u0022ss\/word+1"}"#,
        ] {
            assert!(secrets.is_in(text), "{text}");
            let hidden = secrets.hide(text);
            assert!(hidden.contains("[secret]") && !secrets.is_in(&hidden), "{hidden}");
        }
        assert_eq!(secrets.hide("short and sweet"), "short and sweet");
        let nested =
            Secrets::new(["hunter22", "https://bot:hunter22@host/x-9"].map(|value| (value, Evidence::Declared)));
        assert_eq!(nested.hide(r#""https:\/\/bot:hunter22@host\/x-9, hunter22""#), r#""[secret], [secret]""#);
        let quoted = Secrets::new([("a \"word\"", Evidence::Declared)]);
        assert_eq!(quoted.hide(r#"{"text":"a \"word\""}"#), r#"{"text":"[secret]"}"#);
    }

    #[test]
    fn what_was_known_when_something_began_is_hidden_beside_what_is_known_now() {
        let known = KnownSecrets::default();
        known.set(Secrets::new([("the first", Evidence::Declared)]));
        let then = known.now();
        let since = known.since(Arc::clone(&then));
        known.set(Secrets::new([("the first", Evidence::Declared)]));
        assert!(Arc::ptr_eq(&then, &known.now()), "nothing has changed");
        known.set(Secrets::new([("the first and second", Evidence::Declared), ("the third", Evidence::Likely)]));
        let told = since.hide("the first, the third, the first and second");
        assert_eq!(told, "[secret], [secret], [secret]");
    }

    #[test]
    fn what_only_looks_like_a_secret_is_hidden_and_nothing_is_refused_for_it() {
        let likely = Secrets::new([("customer-id-2", Evidence::Likely)]);
        assert_eq!(likely.check("of customer-id-2"), Ok(()));
        assert_eq!(likely.hide("of customer-id-2"), "of [secret]");
        let mut config = ServerConfig::of("time", Vec::new());
        config.likely_secrets = vec!["customer-id-2".to_owned(), "one-in-a-file".to_owned()];
        config.secrets = vec!["one-in-a-file".to_owned()];
        let known = SecretBook::default().learn(&[config]);
        assert!(known.check("of customer-id-2").is_ok() && known.check("one-in-a-file").is_err());
    }
}
