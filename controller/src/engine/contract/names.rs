//! The names of a sequence: what scripts call things, and what they are in the Engine.

use std::collections::BTreeMap;

/// The names of a sequence on one Engine.
#[derive(Debug)]
pub(super) struct Names {
    /// What every name in the Engine begins with.
    pub(super) prefix: String,
    /// The first port of the host that the sequence may use.
    first_port: u16,
    /// The third byte of its first subnet.
    first_subnet: usize,
    /// Full id to the script's name.
    ids: BTreeMap<String, String>,
}

/// How many ports, and subnets, a sequence may use.
pub(super) const PORTS: u16 = 3;
/// See [`PORTS`].
pub(super) const SUBNETS: usize = 2;

impl Names {
    pub(super) fn new(prefix: &str, index: usize) -> Self {
        let offset = u16::try_from(index).unwrap_or(0) * PORTS;
        Self {
            prefix: format!("{prefix}-{index}-"),
            first_port: 28_100 + offset,
            first_subnet: index * SUBNETS,
            ids: BTreeMap::new(),
        }
    }

    /// The instance that the sequence's containers belong to.
    pub(super) fn instance(&self) -> &str {
        self.prefix.trim_end_matches('-')
    }

    /// The name in the Engine.
    pub(super) fn engine_name(&self, symbol: &str) -> String {
        format!("{}{symbol}", self.prefix)
    }

    /// `p1` is the first port of the sequence; a number is itself.
    pub(super) fn port(&self, symbol: &str) -> u16 {
        let number = symbol.strip_prefix('p').and_then(|number| number.parse::<u16>().ok());
        number.map_or_else(|| symbol.parse().unwrap_or(0), |number| self.first_port + number - 1)
    }

    /// The beginning of the addresses of a network of the sequence, from 0.
    pub(super) fn subnet(&self, ordinal: usize) -> String {
        format!("10.231.{}.", (self.first_subnet + ordinal) % 256)
    }

    pub(super) fn learn(&mut self, id: &str, symbol: &str) {
        self.ids.insert(id.to_owned(), symbol.to_owned());
    }

    pub(super) fn symbol_of(&self, id: &str) -> Option<&str> {
        self.ids.get(id).map(String::as_str)
    }

    /// The full id that a name of the script stands for; the name in the Engine where there is none.
    pub(super) fn id_of(&self, symbol: &str) -> String {
        let found = self.ids.iter().find(|(_, known)| *known == symbol);
        found.map_or_else(|| self.engine_name(symbol), |(id, _)| id.clone())
    }

    /// A text of the Engine in the script's names.
    pub(super) fn tidy(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, symbol) in &self.ids {
            text = text.replace(id.as_str(), &format!("<id of {symbol}>"));
            if let Some(short) = id.get(..12) {
                text = text.replace(short, &format!("<short id of {symbol}>"));
            }
        }
        // Before the numbers, which an id may have in it.
        text = hide_ids(&text);
        text = text.replace(&self.prefix, "");
        for number in 0..PORTS {
            text = text.replace(&(self.first_port + number).to_string(), &format!("<p{}>", number + 1));
        }
        for ordinal in 0..SUBNETS {
            text = text.replace(&self.subnet(ordinal), &format!("<subnet {ordinal}>."));
        }
        text
    }
}

/// Replaces what is left of ids: 64 hex digits in a row.
fn hide_ids(text: &str) -> String {
    let mut shown = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        if character.is_ascii_hexdigit() {
            digits.push(character);
            continue;
        }
        shown += if digits.len() == 64 { "<id>" } else { &digits };
        digits.clear();
        shown.push(character);
    }
    shown.pop();
    shown
}
