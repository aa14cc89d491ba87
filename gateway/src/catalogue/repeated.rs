//! URIs that several servers list: only the first of them by name serves one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Catalogue, ListKind};
use crate::wire::object::RawObject;

/// The server that serves URIs, and another one that lists them as well.
pub(crate) type Pair = (Arc<str>, Arc<str>);

/// URIs that two servers list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// The first of them.
    pub(crate) example: String,
    /// How many there are.
    pub(crate) count: usize,
}

impl Catalogue {
    /// What several servers list, templates too, by who serves it and who does not.
    pub(crate) fn repeated(&self) -> BTreeMap<Pair, Repeated> {
        let mut first: BTreeMap<(ListKind, String), &Arc<str>> = BTreeMap::new();
        let mut repeated: BTreeMap<Pair, Repeated> = BTreeMap::new();
        for (server, contribution) in &self.servers {
            for kind in [ListKind::Resources, ListKind::Templates] {
                for item in kind.items(&contribution.listing) {
                    let Some(uri) =
                        RawObject::parse(item).and_then(|item| Some(item.get_str(kind.key())?.into_owned()))
                    else {
                        continue;
                    };
                    let serves = *first.entry((kind, uri.clone())).or_insert(server);
                    if serves != server {
                        let pair = (Arc::clone(serves), Arc::clone(server));
                        repeated.entry(pair).or_insert(Repeated { example: uri, count: 0 }).count += 1;
                    }
                }
            }
        }
        repeated
    }

    /// Tells in the log what several servers list that was not so before.
    pub(crate) fn tell_repeated(&self, before: &Self) {
        let known = before.repeated();
        for (pair, repeated) in self.repeated().iter().filter(|(pair, repeated)| known.get(pair) != Some(repeated)) {
            tracing::warn!(
                server = %pair.1,
                served_by = %pair.0,
                uri = %repeated.example,
                count = repeated.count,
                "resources that an earlier server lists as well are served by that one alone"
            );
        }
    }
}
