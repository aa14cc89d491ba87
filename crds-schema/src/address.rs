//! Ranges of IP addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, such as `10.77.0.0/24`, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a [`Cidr`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// It is not `ADDRESS/PREFIX`.
    #[error("not a range of addresses; write for example `10.77.0.0/24`")]
    Unreadable,
    /// Bits beyond the prefix are set.
    #[error("has host bits set; write `{0}`")]
    HostBits(Cidr),
}

impl Cidr {
    /// The range that an address lies in.
    fn around(address: IpAddr, prefix: u8) -> Self {
        let bits = to_bits(address);
        let host_bits = u32::from(width(address) - prefix);
        let network = if host_bits >= 128 { 0 } else { bits >> host_bits << host_bits };
        let address = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(network).unwrap_or_default())),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(network)),
        };
        Self { address, prefix }
    }

    /// The first address: that of the network.
    pub const fn first(&self) -> IpAddr {
        self.address
    }

    /// The last address: with IPv4 that of the broadcast.
    pub fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(self.last_bits()).unwrap_or(u32::MAX))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(self.last_bits())),
        }
    }

    /// The addresses as one range of numbers, first and last.
    pub fn bits(&self) -> (u128, u128) {
        (to_bits(self.address), self.last_bits())
    }

    /// Whether it is a range of IPv4.
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// How many addresses a container can have: without those of the network, the broadcast and the gateway. At most `u32::MAX`.
    pub fn usable_addresses(&self) -> u32 {
        let (first, last) = self.bits();
        u32::try_from((last - first).saturating_add(1).saturating_sub(3)).unwrap_or(u32::MAX)
    }

    /// Whether the address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (first, last) = self.bits();
        self.is_ipv4() == address.is_ipv4() && (first..=last).contains(&to_bits(address))
    }

    /// Whether the whole of the other range lies in this one.
    pub fn encloses(&self, other: &Self) -> bool {
        self.contains(other.first()) && self.contains(other.last())
    }

    fn last_bits(&self) -> u128 {
        let host_bits = u32::from(width(self.address) - self.prefix);
        let host_mask = if host_bits >= 128 { u128::MAX } else { (1 << host_bits) - 1 };
        to_bits(self.address) | host_mask
    }
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix) = text.split_once('/').ok_or(InvalidCidr::Unreadable)?;
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr::Unreadable)?;
        let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = prefix.parse().map_err(|_| InvalidCidr::Unreadable)?;
        if !is_number || prefix > width(address) {
            return Err(InvalidCidr::Unreadable);
        }
        let range = Self::around(address, prefix);
        if range.address == address { Ok(range) } else { Err(InvalidCidr::HostBits(range)) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn to_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cidr, InvalidCidr};

    #[test]
    fn a_range_knows_its_addresses() {
        let range: Cidr = "10.77.0.0/24".parse().unwrap();
        assert!(range.contains("10.77.0.255".parse().unwrap()) && !range.contains("10.77.1.0".parse().unwrap()));
        assert_eq!(range.last().to_string(), "10.77.0.255");
        assert_eq!(range.usable_addresses(), 253);
        assert!(range.encloses(&"10.77.0.128/25".parse().unwrap()));
        assert!("::/0".parse::<Cidr>().unwrap().contains("ffff::1".parse().unwrap()));
        assert_eq!("10.0.0.1/32".parse::<Cidr>().unwrap().usable_addresses(), 0);
    }

    #[test]
    fn a_range_with_host_bits_says_what_was_meant() {
        let error = "10.77.0.9/24".parse::<Cidr>().unwrap_err();
        assert_eq!(error.to_string(), "has host bits set; write `10.77.0.0/24`");
        for bad in ["10.77.0.0", "10.77.0.0/33", "10.77.0/24", "a/24", "10.0.0.0/+8", "", "::/129"] {
            assert_eq!(bad.parse::<Cidr>(), Err(InvalidCidr::Unreadable), "{bad}");
        }
    }
}
