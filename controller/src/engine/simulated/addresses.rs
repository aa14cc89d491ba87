//! Ranges of IPv4 addresses, and which of a network's are taken.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

/// A range in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    base: u32,
    prefix: u8,
}

/// The addresses of one subnet of a network.
#[derive(Debug, Clone)]
pub(super) struct AddressPool {
    pub(super) subnet: Subnet,
    first: u32,
    last: u32,
    /// Every address below this one is taken.
    lowest_free: u32,
    taken: BTreeSet<u32>,
}

impl Subnet {
    pub(super) const fn new(base: Ipv4Addr, prefix: u8) -> Self {
        Self { base: base.to_bits(), prefix }
    }

    /// Reads `10.1.2.0/24`; `None` for anything else, IPv6 included.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        (prefix <= 32).then(|| Self { base: address.to_bits() & mask(prefix), prefix })
    }

    pub(super) const fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.base
    }

    pub(super) const fn overlaps(self, other: Self) -> bool {
        let shorter = if self.prefix < other.prefix { self.prefix } else { other.prefix };
        self.base & mask(shorter) == other.base & mask(shorter)
    }

    const fn last(self) -> u32 {
        self.base | !mask(self.prefix)
    }

    /// The first address that a host can have, which the Engine takes for the gateway.
    pub(super) const fn first_host(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.saturating_add(1))
    }
}

impl AddressPool {
    /// A pool in which the network's own address, the broadcast address and the gateway are taken.
    pub(super) fn new(subnet: Subnet, range: Option<Subnet>, gateway: Ipv4Addr) -> Self {
        let within = range.unwrap_or(subnet);
        let taken = BTreeSet::from([subnet.base, subnet.last(), gateway.to_bits()]);
        Self { subnet, first: within.base, last: within.last(), lowest_free: within.base, taken }
    }

    /// Takes the lowest free address.
    pub(super) fn take_any(&mut self) -> Option<Ipv4Addr> {
        let free = (self.lowest_free..=self.last).find(|candidate| !self.taken.contains(candidate))?;
        self.taken.insert(free);
        self.lowest_free = free.saturating_add(1);
        Some(Ipv4Addr::from_bits(free))
    }

    /// Takes this address; false when it is taken already.
    pub(super) fn take(&mut self, address: Ipv4Addr) -> bool {
        self.taken.insert(address.to_bits())
    }

    pub(super) fn release(&mut self, address: Ipv4Addr) {
        let address = address.to_bits();
        if self.taken.remove(&address) && address >= self.first {
            self.lowest_free = self.lowest_free.min(address);
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.prefix)
    }
}

/// The ranges that the Engine chooses from when the user names none, in its order.
pub(super) fn default_subnets() -> impl Iterator<Item = Subnet> {
    let large = (17..32).map(|second| Subnet::new(Ipv4Addr::new(172, second, 0, 0), 16));
    let small = (0..16).map(|block| Subnet::new(Ipv4Addr::new(192, 168, block * 16, 0), 20));
    large.chain(small)
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}
