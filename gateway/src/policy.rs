//! Who a request comes from, and what he may see and call. Pure.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Action, Rule, TokenConfig};
use crate::name::glob_fits;

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The name.
    pub name: Arc<str>,
    /// The roles.
    pub roles: Vec<String>,
}

impl Principal {
    /// Whoever reaches a gateway that has no tokens.
    pub fn anonymous() -> Self {
        // Made for each request, so that threads share no count of who holds it.
        Self { name: "anonymous".into(), roles: Vec::new() }
    }
}

/// The principal that a token stands for. Every token is compared, whole, whichever fits.
pub fn find_principal(tokens: &[TokenConfig], presented: &str) -> Option<Principal> {
    let hash = Sha256::digest(presented.as_bytes());
    let mut found = None;
    for token in tokens {
        if bool::from(token.sha256.as_slice().ct_eq(hash.as_slice())) {
            found = Some(Principal { name: token.principal.as_str().into(), roles: token.roles.clone() });
        }
    }
    found
}

/// Whether a principal may see and call something of a server, by the first rule that fits. Without any rule everything is allowed; with
/// rules, what none of them allows is not.
pub fn may_use(rules: &[Rule], principal: &Principal, server: &str, original: &str) -> bool {
    if rules.is_empty() {
        return true;
    }
    let is_meant = |rule: &&Rule| {
        let is_principal =
            |name: &String| name == "*" || **name == *principal.name || principal.roles.iter().any(|role| role == name);
        rule.principals.iter().any(is_principal)
            && rule.servers.iter().any(|glob| glob_fits(glob, server))
            && rule.tools.iter().any(|glob| glob_fits(glob, original))
    };
    rules.iter().find(is_meant).is_some_and(|rule| rule.action == Action::Allow)
}

/// Whether a server's own lists show a tool.
pub fn is_listed(allow: &[String], deny: &[String], original: &str) -> bool {
    let fits = |globs: &[String]| globs.iter().any(|glob| glob_fits(glob, original));
    (allow.is_empty() || fits(allow)) && !fits(deny)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{Principal, find_principal, is_listed, may_use};
    use crate::config::{Action, Rule, TokenConfig};

    fn rule(principals: &[&str], servers: &[&str], tools: &[&str], action: Action) -> Rule {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Rule { principals: own(principals), servers: own(servers), tools: own(tools), action }
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_nothing_else_is_allowed() {
        let ann = Principal { name: "ann".into(), roles: vec!["ops".into()] };
        let bob = Principal { name: "bob".into(), roles: vec![] };
        let rules = [
            rule(&["*"], &["shell"], &["rm*"], Action::Deny),
            rule(&["ops"], &["*"], &["*"], Action::Allow),
            rule(&["bob"], &["time"], &["*"], Action::Allow),
        ];
        assert!(may_use(&rules, &ann, "shell", "ls"));
        assert!(!may_use(&rules, &ann, "shell", "rm_all"));
        assert!(may_use(&rules, &bob, "time", "now"));
        assert!(!may_use(&rules, &bob, "shell", "ls"));
        assert!(may_use(&[], &bob, "shell", "rm"));
    }

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let token = |principal: &str, text: &str| TokenConfig {
            principal: principal.into(),
            roles: vec![],
            sha256: Sha256::digest(text).into(),
        };
        let tokens = [token("ann", "s1"), token("bob", "s2")];
        assert_eq!(&*find_principal(&tokens, "s2").unwrap().name, "bob");
        assert_eq!(find_principal(&tokens, "s3"), None);
        assert_eq!(find_principal(&tokens, ""), None);
    }

    #[test]
    fn deny_wins_over_allow() {
        let own = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        assert!(is_listed(&[], &[], "a"));
        assert!(is_listed(&own(&["read_*"]), &[], "read_file"));
        assert!(!is_listed(&own(&["read_*"]), &[], "write_file"));
        assert!(!is_listed(&own(&["*"]), &own(&["write_*"]), "write_file"));
    }
}
