//! Whose a thing of the Engine is: labels that say it, and a keyed proof that they do not lie.
//!
//! Labels alone can be copied: an image with our labels gives them to every container made from it. So each thing carries a
//! message authentication code over what the labels claim, made with a key that only this instance has, and a container must
//! also bear the name that the code was made for, or be known by its id.

use std::collections::BTreeMap;

use crds_schema::{Kind, Name, ObjectKey};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What every label of ours begins with; users may not write such labels.
pub const LABEL_PREFIX: &str = "evenkeel.dev/";
/// The instance that owns the thing.
pub const LABEL_INSTANCE: &str = "evenkeel.dev/instance";
/// The kind of the owning object.
pub const LABEL_KIND: &str = "evenkeel.dev/kind";
/// Its namespace.
pub const LABEL_NAMESPACE: &str = "evenkeel.dev/namespace";
/// Its name.
pub const LABEL_NAME: &str = "evenkeel.dev/name";
/// The name in the Engine that the proof was made for.
pub const LABEL_ENGINE_NAME: &str = "evenkeel.dev/engine-name";
/// Which of the object's containers it is, from 0.
pub const LABEL_ORDINAL: &str = "evenkeel.dev/ordinal";
/// The hash of the template.
pub const LABEL_HASH: &str = "evenkeel.dev/hash";
/// The template itself, as JSON.
pub const LABEL_TEMPLATE: &str = "evenkeel.dev/template";
/// The proof: 64 hex digits.
pub const LABEL_PROOF: &str = "evenkeel.dev/proof";
/// Present on what prune must never remove.
pub const LABEL_PROTECT: &str = "evenkeel.dev/protect";

/// Who this controller is.
#[derive(Clone)]
pub struct Identity {
    /// The instance's name, unique on its Engine.
    pub instance: Name,
    /// The key that proofs are made with. It is in no label, log or store.
    pub key: [u8; 32],
}

/// What the labels of ours on a thing claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The owning object.
    pub owner: ObjectKey,
    /// The name in the Engine that it was made for.
    pub engine_name: String,
    /// Which of the object's containers it is; 0 for networks and volumes.
    pub ordinal: u32,
    /// The hash of its template.
    pub hash: String,
    /// Whether it was made to be never pruned.
    pub protected: bool,
}

/// Whose a thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Ours, proved.
    Ours(Claim),
    /// It bears our instance's label but not its proof: an impostor or a copy. It is reported and never touched.
    Unproven,
    /// Not ours.
    Foreign,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Identity {
    /// The labels of a new thing: the user's, then ours.
    pub fn labels_for(
        &self,
        claim: &Claim,
        template: &str,
        user: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut labels = user.clone();
        let owner = &claim.owner;
        labels.insert(LABEL_INSTANCE.into(), self.instance.to_string());
        labels.insert(LABEL_KIND.into(), owner.kind.to_string());
        labels.insert(LABEL_NAMESPACE.into(), owner.namespace.to_string());
        labels.insert(LABEL_NAME.into(), owner.name.to_string());
        labels.insert(LABEL_ENGINE_NAME.into(), claim.engine_name.clone());
        labels.insert(LABEL_ORDINAL.into(), claim.ordinal.to_string());
        labels.insert(LABEL_HASH.into(), claim.hash.clone());
        labels.insert(LABEL_TEMPLATE.into(), template.to_owned());
        labels.insert(LABEL_PROOF.into(), self.prove(claim));
        if claim.protected {
            labels.insert(LABEL_PROTECT.into(), "true".into());
        }
        labels
    }

    /// Whose a thing with these labels is. Says nothing about its name: see [`Claim::engine_name`].
    pub fn read(&self, labels: &BTreeMap<String, String>) -> Ownership {
        if labels.get(LABEL_INSTANCE).map(String::as_str) != Some(self.instance.as_str()) {
            return Ownership::Foreign;
        }
        let Some(claim) = read_claim(labels) else {
            return Ownership::Unproven;
        };
        let expected = self.prove(&claim);
        if labels.get(LABEL_PROOF) == Some(&expected) { Ownership::Ours(claim) } else { Ownership::Unproven }
    }

    fn prove(&self, claim: &Claim) -> String {
        let mut mac = new_mac(&self.key);
        let owner = &claim.owner;
        let ordinal = claim.ordinal.to_string();
        let parts = [
            self.instance.as_str(),
            owner.kind.as_str(),
            owner.namespace.as_str(),
            owner.name.as_str(),
            &claim.engine_name,
            &ordinal,
            &claim.hash,
            if claim.protected { "protected" } else { "" },
        ];
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        crate::hash::to_hex(&mac.finalize().into_bytes())
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length, so this cannot fail")]
fn new_mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("a key of any length")
}

fn read_claim(labels: &BTreeMap<String, String>) -> Option<Claim> {
    let text = |label: &str| labels.get(label).map(String::as_str);
    Some(Claim {
        owner: ObjectKey {
            kind: Kind::parse(text(LABEL_KIND)?)?,
            namespace: text(LABEL_NAMESPACE)?.parse().ok()?,
            name: text(LABEL_NAME)?.parse().ok()?,
        },
        engine_name: text(LABEL_ENGINE_NAME)?.to_owned(),
        ordinal: text(LABEL_ORDINAL)?.parse().ok()?,
        hash: text(LABEL_HASH)?.to_owned(),
        protected: text(LABEL_PROTECT) == Some("true"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Claim, Identity, LABEL_NAME, Ownership};

    fn identity() -> Identity {
        Identity { instance: "main".parse().unwrap(), key: [7; 32] }
    }

    fn claim() -> Claim {
        Claim {
            owner: "Deployment/web".parse().unwrap(),
            engine_name: "web-1a2b3c4d-0".into(),
            ordinal: 0,
            hash: "1:1a2b3c4d".into(),
            protected: false,
        }
    }

    #[test]
    fn labels_of_ours_are_read_back_as_the_claim_that_made_them() {
        let labels = identity().labels_for(&claim(), "{}", &BTreeMap::new());
        assert_eq!(identity().read(&labels), Ownership::Ours(claim()));
    }

    #[test]
    fn a_claim_that_was_edited_or_made_with_another_key_is_unproven() {
        let mut labels = identity().labels_for(&claim(), "{}", &BTreeMap::new());
        labels.insert(LABEL_NAME.into(), "other".into());
        assert_eq!(identity().read(&labels), Ownership::Unproven);
        let other_key = Identity { key: [8; 32], ..identity() };
        let labels = other_key.labels_for(&claim(), "{}", &BTreeMap::new());
        assert_eq!(identity().read(&labels), Ownership::Unproven);
    }

    #[test]
    fn another_instance_is_a_stranger() {
        let other = Identity { instance: "other".parse().unwrap(), key: [7; 32] };
        let labels = other.labels_for(&claim(), "{}", &BTreeMap::new());
        assert_eq!(identity().read(&labels), Ownership::Foreign);
    }
}
