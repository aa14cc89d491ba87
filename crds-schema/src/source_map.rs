//! Where each field of an object is written: field path to place.

use crate::source_text::Place;

/// The places of one object's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceMap {
    places: Vec<(String, Place)>,
}

impl SourceMap {
    /// Remembers where a field is written. For a missing field there is nothing to remember.
    pub(crate) fn insert(&mut self, path: &str, place: Place) {
        self.places.push((path.to_owned(), place));
    }

    /// Where the field is written, or else the nearest field that encloses it; `None` for an empty map.
    ///
    /// The cost grows with the number of fields: it is asked only for what is faulty.
    pub fn find(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some((_, place)) = self.places.iter().find(|(known, _)| known == path) {
                return Some(*place);
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.places.first().map(|(_, place)| *place),
            }
        }
    }
}

/// The path of a field of a map: `path.key`, or `path["key"]` where the key is not plain.
pub(crate) fn push_key(path: &mut String, key: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !key.is_empty() && key.bytes().all(is_plain) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        path.push_str("[\"");
        path.push_str(&crate::escape::printable(key, 100));
        path.push_str("\"]");
    }
}

/// The path of an entry of a list: `path[index]`.
pub(crate) fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

/// `path` with a key more.
pub(crate) fn key_path(path: &str, key: &str) -> String {
    let mut path = path.to_owned();
    push_key(&mut path, key);
    path
}

#[cfg(test)]
mod tests {
    use super::{SourceMap, key_path};
    use crate::source_text::Place;

    #[test]
    fn a_missing_field_is_placed_at_what_encloses_it() {
        let place = |line| Place { line, column: 1, length: 0 };
        let mut map = SourceMap::default();
        map.insert("spec", place(4));
        map.insert("spec.ports[0]", place(6));
        assert_eq!(map.find("spec.ports[0].publish"), Some(place(6)));
        assert_eq!(map.find("spec.ports[1].publish"), Some(place(4)));
        assert_eq!(map.find(&key_path("spec.labels", "a.b")), Some(place(4)));
        assert_eq!(map.find("metadata"), Some(place(4)));
    }
}
