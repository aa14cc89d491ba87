//! Values that must go nowhere but to whom they are for: what servers elsewhere are sent to let the gateway in.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::config::ServerConfig;
use crate::upstream::answer::REFUSAL_LIMIT;
use crate::wire::object::quote;
use crate::wire::reply::RpcError;

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

/// The values, in each way that they are looked for: as they are, within JSON, in base64 by themselves, and percent-encoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    needles: Vec<(String, Evidence)>,
}

impl Secrets {
    /// These values, but for those of fewer than eight bytes.
    pub fn new<'values>(values: impl IntoIterator<Item = (&'values str, Evidence)>) -> Self {
        let mut needles = BTreeMap::new();
        for (value, evidence) in values.into_iter().filter(|(value, _)| value.len() >= LEAST_BYTES) {
            let spellings = [
                value.to_owned(),
                quote(value).trim_matches('"').to_owned(),
                STANDARD_NO_PAD.encode(value),
                URL_SAFE_NO_PAD.encode(value),
                percent_encoded(value),
            ];
            for spelling in spellings {
                let known = needles.entry(spelling).or_insert(evidence);
                *known = evidence.max(*known);
            }
        }
        Self { needles: longest_first(needles) }
    }

    /// Whether a text holds one.
    fn is_in(&self, text: &str) -> bool {
        self.needles.iter().any(|(needle, _)| text.contains(needle.as_str()))
    }

    /// Whether a text holds one that no client may have a server told.
    pub fn is_refused(&self, text: &str) -> bool {
        self.needles.iter().any(|(needle, evidence)| *evidence == Evidence::Declared && text.contains(needle.as_str()))
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
        let needles = self.needles.iter().chain(&others.needles).cloned().collect();
        Self { needles: longest_first(needles) }
    }

    /// A text without them. What stands instead is plain within JSON as well.
    pub fn hide<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        let text = text.into();
        if !self.is_in(&text) {
            return text;
        }
        let hide = |text: String, (needle, _): &(String, Evidence)| text.replace(needle.as_str(), INSTEAD);
        Cow::Owned(self.needles.iter().fold(text.into_owned(), hide))
    }
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

/// Which values are whose: those of now, and those that an instance has had since it began. A file that another one has taken the place of is
/// not seen by what runs, and what was read once may be known for as long.
#[derive(Debug, Default)]
pub struct SecretBook(BTreeMap<String, Kept>);

/// What is known of one server.
#[derive(Debug, Default)]
struct Kept {
    /// Its instances.
    instances: BTreeSet<String>,
    /// Values, and the instances that began with them.
    values: BTreeMap<(String, Evidence), BTreeSet<String>>,
}

impl SecretBook {
    /// All values that must go nowhere, with these servers.
    pub fn learn(&mut self, configs: &[ServerConfig]) -> Secrets {
        self.0.retain(|name, _| configs.iter().any(|config| config.name == *name));
        for config in configs {
            self.0.entry(config.name.clone()).or_default().learn(config);
        }
        let known = self.0.values().flat_map(|kept| kept.values.keys());
        Secrets::new(known.map(|(value, evidence)| (value.as_str(), *evidence)))
    }
}

impl Kept {
    fn learn(&mut self, config: &ServerConfig) {
        let now: BTreeSet<&str> = config.instances.iter().map(|instance| instance.id.as_str()).collect();
        // A server whose secrets cannot be read has no instances for that long, and those that run have not ended.
        if !now.is_empty() {
            self.instances.retain(|id| now.contains(id.as_str()));
            for users in self.values.values_mut() {
                users.retain(|id| now.contains(id.as_str()));
            }
        }
        let begun: Vec<&str> = now.into_iter().filter(|id| !self.instances.contains(*id)).collect();
        let declared = config.secrets.iter().map(|value| (value.clone(), Evidence::Declared));
        let likely = config.likely_secrets.iter().map(|value| (value.clone(), Evidence::Likely));
        let known: BTreeSet<(String, Evidence)> = declared.chain(likely).collect();
        for value in &known {
            let users = self.values.entry(value.clone()).or_default();
            users.extend(begun.iter().map(|id| (*id).to_owned()));
        }
        self.instances.extend(begun.into_iter().map(str::to_owned));
        self.values.retain(|value, users| !users.is_empty() || known.contains(value));
    }
}

/// The longest first: what holds another one is hidden whole.
fn longest_first(needles: BTreeMap<String, Evidence>) -> Vec<(String, Evidence)> {
    let mut needles: Vec<(String, Evidence)> = needles.into_iter().collect();
    needles.sort_by_key(|(needle, _)| std::cmp::Reverse(needle.len()));
    needles
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
    use crate::config::{Endpoint, Instance, ServerConfig};

    #[test]
    fn a_secret_is_found_and_hidden_in_each_of_its_spellings() {
        let secrets = Secrets::new(["pa\"ss/word+1", "short"].map(|value| (value, Evidence::Declared)));
        for text in [
            "pa\"ss/word+1",
            r#"{"text":"it is pa\"ss/word+1!"}"#,
            "cGEic3Mvd29yZCsx",
            "https://a/?k=pa%22ss%2Fword%2B1",
        ] {
            assert!(secrets.is_in(text), "{text}");
            let hidden = secrets.hide(text);
            assert!(hidden.contains("[secret]") && !secrets.is_in(&hidden), "{hidden}");
        }
        assert_eq!(secrets.hide("short and sweet"), "short and sweet");
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

    /// Of a server whose secret is this, and whose instances are these, what is hidden of three.
    fn hidden(book: &mut SecretBook, secret: Option<&str>, ids: &[&str]) -> Vec<&'static str> {
        let instance = |id: &&str| Instance::of(id, Endpoint::Stdio);
        let mut config = ServerConfig::of("time", ids.iter().map(instance).collect());
        config.secrets = secret.map(str::to_owned).into_iter().collect();
        let secrets = book.learn(&[config]);
        ["the first", "the second", "the third"].into_iter().filter(|value| secrets.is_in(value)).collect()
    }

    #[test]
    fn a_value_is_hidden_for_as_long_as_an_instance_that_began_with_it_is_there() {
        let book = &mut SecretBook::default();
        assert_eq!(hidden(book, Some("the first"), &["a"]), ["the first"]);
        assert_eq!(hidden(book, None, &[]), ["the first"], "it cannot be read, and the instance runs on");
        assert_eq!(hidden(book, Some("the second"), &["a"]), ["the first", "the second"]);
        assert_eq!(
            hidden(book, Some("the third"), &["a", "b"]),
            ["the first", "the third"],
            "nobody began with the second"
        );
        assert_eq!(hidden(book, Some("the second"), &["b"]), ["the second", "the third"]);
        assert_eq!(hidden(book, Some("the second"), &["c"]), ["the second"]);
        assert!(!book.learn(&[]).is_in("the second"), "a server that is gone");
    }
}
