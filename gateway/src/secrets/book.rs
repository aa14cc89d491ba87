//! Which secrets are whose, and for how long they must go nowhere. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Evidence, Secrets};
use crate::config::ServerConfig;

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

#[cfg(test)]
mod tests {
    use super::SecretBook;
    use crate::config::{Endpoint, Instance, ServerConfig};

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
