//! The versions of MCP, and the two eras that they fall into.

/// The version that has no sessions.
pub const MODERN_VERSION: &str = "2026-07-28";
/// The versions with sessions that are spoken here, newest first.
pub const LEGACY_VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/// The wire's two eras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Era {
    /// 2025-11-25 and before: `initialize`, then a session.
    Legacy,
    /// 2026-07-28: each request stands alone.
    Modern,
}

impl Era {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// The version that a legacy client gets that asked for `asked`: the same where it is spoken, else the newest.
pub fn negotiate_legacy(asked: &str) -> &'static str {
    LEGACY_VERSIONS.into_iter().find(|version| *version == asked).unwrap_or(LEGACY_VERSIONS[0])
}

#[cfg(test)]
mod tests {
    use super::negotiate_legacy;

    #[test]
    fn a_version_that_is_spoken_is_echoed() {
        assert_eq!(negotiate_legacy("2025-03-26"), "2025-03-26");
        assert_eq!(negotiate_legacy("1999-01-01"), "2025-11-25");
        assert_eq!(negotiate_legacy("2026-07-28"), "2025-11-25");
    }
}
