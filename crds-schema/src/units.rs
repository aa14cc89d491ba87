//! Quantities as users write them: durations, sizes, CPU shares. A bare number is always an error that says so.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A duration with its unit, such as `5s` or `1m 30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(pub Duration);

/// A size in bytes with its unit, such as `512MiB` or `1GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

/// A share of CPU time in thousandths of a core: `500m` or `0.5` is half a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MilliCpu(pub u32);

/// Why a text is not a quantity; the message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// A number without a unit.
    #[error("a number without a unit; write for example `{example}`")]
    NoUnit {
        /// The same number with a unit.
        example: String,
    },
    /// Anything else that cannot be read.
    #[error("not a {what}; write for example `{example}`")]
    Unreadable {
        /// `duration`, `size` or `CPU share`.
        what: &'static str,
        /// A valid quantity.
        example: &'static str,
    },
}

impl HumanDuration {
    /// A whole number of seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl FromStr for HumanDuration {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let text = text.trim();
        if text.parse::<f64>().is_ok() && text != "0" {
            return Err(InvalidQuantity::NoUnit { example: format!("{text}s") });
        }
        let unreadable = InvalidQuantity::Unreadable { what: "duration", example: "1m 30s" };
        humantime::parse_duration(text).map(Self).map_err(|_| unreadable)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

/// Units of [`Bytes`], largest first, so that display picks the largest that divides.
const BYTE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let text = text.trim();
        let unreadable = || InvalidQuantity::Unreadable { what: "size", example: "512MiB" };
        let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits_end);
        let number = digits.parse::<u64>().map_err(|_| unreadable())?;
        if unit.is_empty() {
            return Err(InvalidQuantity::NoUnit { example: format!("{number}MiB") });
        }
        let (_, factor) = BYTE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()) || short_unit(name) == Some(unit.trim()))
            .ok_or_else(unreadable)?;
        number.checked_mul(*factor).map(Self).ok_or_else(unreadable)
    }
}

/// Kubernetes' short spelling of a binary unit (`Mi` for `MiB`).
fn short_unit(unit: &str) -> Option<&str> {
    unit.strip_suffix('B').filter(|short| short.ends_with('i'))
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = BYTE_UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl FromStr for MilliCpu {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let unreadable = || InvalidQuantity::Unreadable { what: "CPU share", example: "500m" };
        let text = text.trim();
        if let Some(millis) = text.strip_suffix('m') {
            return millis.parse().map(Self).map_err(|_| unreadable());
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 3 || !is_number(whole) || !is_number(fraction) {
            return Err(unreadable());
        }
        let thousandths = format!("{fraction:0<3}").parse::<u32>().map_err(|_| unreadable())?;
        let cores = whole.parse::<u32>().map_err(|_| unreadable())?;
        let millis = cores.checked_mul(1000).and_then(|millis| millis.checked_add(thousandths));
        millis.map(Self).ok_or_else(unreadable)
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}m", self.0)
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "duration", "examples": ["5s", "1m 30s"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "bytes", "examples": ["512MiB", "1GB"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for MilliCpu {
    fn schema_name() -> Cow<'static, str> {
        "Cpu".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "format": "cpu", "examples": ["500m", "0.5"] })
    }

    fn inline_schema() -> bool {
        true
    }
}

macro_rules! quantity_conversions {
    ($($quantity:ty),*) => {$(
        impl TryFrom<String> for $quantity {
            type Error = InvalidQuantity;
            fn try_from(text: String) -> Result<Self, InvalidQuantity> {
                text.parse()
            }
        }
        impl From<$quantity> for String {
            fn from(quantity: $quantity) -> Self {
                quantity.to_string()
            }
        }
    )*};
}
quantity_conversions!(HumanDuration, Bytes, MilliCpu);

#[cfg(test)]
mod tests {
    use super::{Bytes, HumanDuration, MilliCpu};

    #[test]
    fn quantities_are_printed_as_users_write_them() {
        assert_eq!("1m 30s".parse::<HumanDuration>().unwrap().to_string(), "1m 30s");
        assert_eq!("512MiB".parse::<Bytes>().unwrap(), Bytes(512 << 20));
        assert_eq!("64Mi".parse::<Bytes>().unwrap().to_string(), "64MiB");
        assert_eq!("1000000KB".parse::<Bytes>().unwrap().to_string(), "1GB");
        assert_eq!("0.5".parse::<MilliCpu>().unwrap(), MilliCpu(500));
        assert_eq!("2".parse::<MilliCpu>().unwrap().to_string(), "2000m");
    }

    #[test]
    fn a_bare_number_says_how_to_write_it() {
        let error = "1000".parse::<Bytes>().unwrap_err().to_string();
        assert_eq!(error, "a number without a unit; write for example `1000MiB`");
        let error = "5".parse::<HumanDuration>().unwrap_err().to_string();
        assert_eq!(error, "a number without a unit; write for example `5s`");
        for bad in ["-5", "1Q", "", "NaN"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
            assert!(bad.parse::<MilliCpu>().is_err(), "{bad}");
        }
    }
}
