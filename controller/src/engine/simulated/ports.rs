//! Ports of the host, and who holds them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// A port of the host on one of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holding {
    ip: IpAddr,
    container_id: Arc<str>,
}

/// The ports that are taken.
#[derive(Debug, Default)]
pub(super) struct HostPorts {
    held: BTreeMap<(u16, String), Vec<Holding>>,
    /// Ports that processes outside the Engine listen on.
    outside: BTreeSet<u16>,
    next_ephemeral: u16,
}

/// Why a port cannot be had; the texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortTaken(pub(super) String);

/// The first port that the Engine chooses by itself.
const FIRST_EPHEMERAL: u16 = 32768;

impl HostPorts {
    /// Takes a port for a container; port 0 takes any. Gives what was taken.
    pub(super) fn take(
        &mut self,
        container_id: &Arc<str>,
        ip: IpAddr,
        port: u16,
        protocol: &str,
    ) -> Result<u16, PortTaken> {
        let port = if port == 0 { self.choose(protocol) } else { port };
        let holders = self.held.entry((port, protocol.to_owned())).or_default();
        let is_held = holders.iter().any(|holder| holder.ip == ip || holder.ip.is_unspecified() || ip.is_unspecified());
        if is_held {
            return Err(PortTaken(format!("Bind for {ip}:{port} failed: port is already allocated")));
        }
        if self.outside.contains(&port) {
            let family = if ip.is_ipv4() { "4" } else { "6" };
            return Err(PortTaken(format!(
                "Error starting userland proxy: listen {protocol}{family} {ip}:{port}: bind: address already in use"
            )));
        }
        holders.push(Holding { ip, container_id: Arc::clone(container_id) });
        Ok(port)
    }

    /// Frees everything that a container holds.
    pub(super) fn release(&mut self, container_id: &str) {
        self.held.retain(|_, holders| {
            holders.retain(|holder| &*holder.container_id != container_id);
            !holders.is_empty()
        });
    }

    /// The container that holds a port, whatever the protocol.
    pub(super) fn holder(&self, port: u16) -> Option<Arc<str>> {
        let range = (port, String::new())..=(port, "~".to_owned());
        self.held.range(range).flat_map(|(_, holders)| holders).map(|holder| Arc::clone(&holder.container_id)).next()
    }

    /// Says that a process outside the Engine listens on a port, or that it does not any more.
    pub(super) fn set_outside(&mut self, port: u16, is_taken: bool) {
        if is_taken {
            self.outside.insert(port);
        } else {
            self.outside.remove(&port);
        }
    }

    fn choose(&mut self, protocol: &str) -> u16 {
        loop {
            let port = self.next_ephemeral.max(FIRST_EPHEMERAL);
            self.next_ephemeral = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
            if !self.held.contains_key(&(port, protocol.to_owned())) && !self.outside.contains(&port) {
                return port;
            }
        }
    }
}
