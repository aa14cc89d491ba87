//! The headers of a request that are looked at, found in one pass: a map of headers makes a hash of a name for each look.

use hyper::header::{ACCEPT, HeaderMap, HeaderValue};

/// What a header says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Said<'head> {
    /// It is not there.
    #[default]
    Nothing,
    /// It is there once.
    Once(&'head HeaderValue),
    /// It is there more than once, first so.
    Often(&'head HeaderValue),
}

impl<'head> Said<'head> {
    /// It is there with this value, after what was known of it.
    fn add(&mut self, value: &'head HeaderValue) {
        *self = match *self {
            Self::Nothing => Self::Once(value),
            Self::Once(first) | Self::Often(first) => Self::Often(first),
        };
    }

    /// Whether it is there at all.
    pub(super) const fn is_there(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// Whether it is there more than once.
    pub(super) const fn is_often(self) -> bool {
        matches!(self, Self::Often(_))
    }

    /// The first value, where it is a text.
    pub(super) fn first(self) -> Option<&'head str> {
        match self {
            Self::Nothing => None,
            Self::Once(value) | Self::Often(value) => value.to_str().ok(),
        }
    }

    /// The one value: `None` when there are several or it is no text, `Some(None)` when there is none.
    #[expect(clippy::option_option, reason = "absent and doubtful are two things, and callers want either")]
    pub(super) fn single(self) -> Option<Option<&'head str>> {
        match self {
            Self::Nothing => Some(None),
            Self::Once(value) => value.to_str().ok().map(Some),
            Self::Often(_) => None,
        }
    }
}

/// The headers of a request.
#[derive(Debug)]
pub(super) struct Heading<'head> {
    /// All of them.
    pub(super) all: &'head HeaderMap,
    /// Which host it is for.
    pub(super) host: Said<'head>,
    /// Which web page asks.
    pub(super) origin: Said<'head>,
    /// Who asks.
    pub(super) authorization: Said<'head>,
    /// What the body is.
    pub(super) content_type: Said<'head>,
    /// Whether the body is packed: what it would be unpacked is not known before it is.
    pub(super) is_encoded: bool,
    /// `MCP-Protocol-Version`.
    pub(super) version: Said<'head>,
    /// `Mcp-Session-Id`.
    pub(super) session: Said<'head>,
    /// `Mcp-Method`.
    pub(super) method: Said<'head>,
    /// `Mcp-Name`.
    pub(super) name: Said<'head>,
    accept: Said<'head>,
}

impl<'head> Heading<'head> {
    /// Looks at all of them.
    pub(super) fn of(all: &'head HeaderMap) -> Self {
        let nothing = Said::Nothing;
        let mut heading = Self {
            all,
            host: nothing,
            origin: nothing,
            authorization: nothing,
            content_type: nothing,
            is_encoded: false,
            version: nothing,
            session: nothing,
            method: nothing,
            name: nothing,
            accept: nothing,
        };
        // A name has no capitals here, and the values of one come in their order.
        for (name, value) in all {
            let said = match name.as_str() {
                "host" => &mut heading.host,
                "origin" => &mut heading.origin,
                "authorization" => &mut heading.authorization,
                "accept" => &mut heading.accept,
                "content-type" => &mut heading.content_type,
                "mcp-protocol-version" => &mut heading.version,
                "mcp-session-id" => &mut heading.session,
                "mcp-method" => &mut heading.method,
                "mcp-name" => &mut heading.name,
                "content-encoding" => {
                    heading.is_encoded |= !value.as_bytes().eq_ignore_ascii_case(b"identity");
                    continue;
                }
                _ => continue,
            };
            said.add(value);
        }
        heading
    }

    /// Whether an answer may be JSON and may be a stream of events.
    pub(super) fn accepts_both(&self) -> bool {
        // What most clients send, and send once.
        if let Said::Once(value) | Said::Often(value) = self.accept
            && value == "application/json, text/event-stream"
        {
            return true;
        }
        let values = || self.all.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let allows = |wanted: &str| values().flat_map(|value| value.split(',')).any(|kind| is_allowed_by(kind, wanted));
        values().next().is_none() || (allows("application/json") && allows("text/event-stream"))
    }

    /// Whether the body is JSON.
    pub(super) fn is_json(&self) -> bool {
        let kind = self.content_type.first().unwrap_or_default();
        // As most clients write it.
        kind == "application/json" || kind_of(kind).eq_ignore_ascii_case("application/json")
    }
}

/// A kind of content without its parameters.
fn kind_of(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether a part of `Accept` allows a kind of content.
fn is_allowed_by(part: &str, wanted: &str) -> bool {
    let kind = kind_of(part);
    let is_of_family =
        |family: &str| wanted.get(..family.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(family));
    kind.eq_ignore_ascii_case(wanted)
        || kind == "*/*"
        || (kind.ends_with("/*") && is_of_family(kind.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::Heading;
    use crate::header::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, MCP_SESSION_ID};

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn each_header_is_found_by_the_name_that_it_is_sent_by() {
        let mut map = HeaderMap::new();
        for name in [&MCP_PROTOCOL_VERSION, &MCP_SESSION_ID, &MCP_METHOD, &MCP_NAME] {
            map.insert(name, HeaderValue::from_str(name.as_str()).unwrap());
        }
        let heading = Heading::of(&map);
        let said = [heading.version, heading.session, heading.method, heading.name].map(|said| said.first().unwrap());
        assert_eq!(said, ["mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"]);
        assert!(!heading.host.is_there() && !heading.origin.is_there() && !heading.authorization.is_there());
    }

    #[test]
    fn what_is_said_twice_is_known_to_be_and_the_first_counts() {
        let map = map(&[("mcp-name", "one"), ("host", "a"), ("mcp-name", "two"), ("mcp-name", "three")]);
        let heading = Heading::of(&map);
        assert_eq!((heading.name.first(), heading.name.is_often(), heading.name.single()), (Some("one"), true, None));
        assert_eq!((heading.host.single(), heading.host.is_often()), (Some(Some("a")), false));
        assert_eq!(heading.origin.single(), Some(None));
    }

    #[test]
    fn kinds_of_content_are_known_however_they_are_written() {
        let accepts = |values: &[&'static str]| {
            let headers: Vec<_> = values.iter().map(|value| ("accept", *value)).collect();
            Heading::of(&map(&headers)).accepts_both()
        };
        for both in [
            &["application/json, text/event-stream"][..],
            &["text/event-stream", "application/json;q=0.9"],
            &["*/*"],
            &["Application/*,text/*"],
            &[],
        ] {
            assert!(accepts(both), "{both:?}");
        }
        for one in [&["application/json"][..], &["text/event-stream"], &["text/html", "application/json"]] {
            assert!(!accepts(one), "{one:?}");
        }
        let is_json = |value| Heading::of(&map(&[("content-type", value)])).is_json();
        assert!(["application/json", "Application/JSON; charset=utf-8"].into_iter().all(is_json));
        assert!(!["text/json", "", "application/jsonl"].into_iter().any(is_json));
        let is_encoded = |values: &[&'static str]| {
            let headers: Vec<_> = values.iter().map(|value| ("content-encoding", *value)).collect();
            Heading::of(&map(&headers)).is_encoded
        };
        assert!(!is_encoded(&[]) && !is_encoded(&["Identity"]));
        assert!(is_encoded(&["gzip"]) && is_encoded(&["gzip", "identity"]));
    }
}
