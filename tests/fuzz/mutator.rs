//! Makes new inputs of old ones, from a seed.

use fastrand::Rng;

/// The largest input that is made.
const MAX_BYTES: usize = 128 * 1024;
/// The most changes that one input gets.
const MAX_CHANGES: usize = 6;

/// Makes inputs; the same ones in the same order for the same seed and corpus.
#[derive(Debug)]
pub(super) struct Mutator<'a> {
    random: Rng,
    seeds: &'a [Vec<u8>],
    tokens: &'a [&'a [u8]],
}

impl<'a> Mutator<'a> {
    /// Changes these inputs with these tokens.
    pub(super) fn new(seed: u64, seeds: &'a [Vec<u8>], tokens: &'a [&'a [u8]]) -> Self {
        assert!(!seeds.is_empty(), "an empty corpus tests nothing");
        Self { random: Rng::with_seed(seed), seeds, tokens }
    }

    /// The next input.
    pub(super) fn next_input(&mut self) -> Vec<u8> {
        let mut bytes = self.any_seed().to_vec();
        for _ in 0..self.random.usize(1..=MAX_CHANGES) {
            self.change(&mut bytes);
        }
        bytes.truncate(MAX_BYTES);
        bytes
    }

    fn any_seed(&mut self) -> &'a [u8] {
        &self.seeds[self.random.usize(..self.seeds.len())]
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        match self.random.u8(..10) {
            0 => self.flip_bit(bytes),
            1 => bytes.truncate(self.random.usize(..=bytes.len())),
            2 => self.duplicate(bytes),
            3 => self.splice(bytes),
            4 => {
                let (start, end) = self.range(bytes.len(), 64);
                bytes.drain(start..end);
            }
            5 => {
                let at = self.random.usize(..=bytes.len());
                bytes.insert(at, self.random.u8(..));
            }
            6 => self.replace_word(bytes),
            _ => self.put_token(bytes),
        }
    }

    fn flip_bit(&mut self, bytes: &mut [u8]) {
        if !bytes.is_empty() {
            bytes[self.random.usize(..bytes.len())] ^= 1 << self.random.u8(..8);
        }
    }

    /// Repeats a part, now and then so often that it is huge.
    fn duplicate(&mut self, bytes: &mut Vec<u8>) {
        let (start, end) = self.range(bytes.len(), 200);
        let times = if self.random.u8(..16) == 0 { 500 } else { self.random.usize(1..4) };
        let part = bytes[start..end].repeat(times);
        bytes.splice(end..end, part);
    }

    /// Puts a part of another input in.
    fn splice(&mut self, bytes: &mut Vec<u8>) {
        let other = self.any_seed();
        let (start, end) = self.range(other.len(), 400);
        let (from, to) = self.range(bytes.len(), 400);
        bytes.splice(from..to, other[start..end].iter().copied());
    }

    /// Puts a token in, or over what is there.
    fn put_token(&mut self, bytes: &mut Vec<u8>) {
        let token = self.any_token();
        let (from, to) = if self.random.bool() { self.range(bytes.len(), 12) } else { self.range(bytes.len(), 1) };
        bytes.splice(from..to, token.iter().copied());
    }

    /// Puts a token in the place of a whole word or number, so that what is around it stays as it must be.
    fn replace_word(&mut self, bytes: &mut Vec<u8>) {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let at = self.random.usize(..=bytes.len());
        let Some(start) = bytes[at..].iter().position(is_word).map(|skipped| at + skipped) else { return };
        let end = bytes[start..].iter().position(|byte| !is_word(byte)).map_or(bytes.len(), |length| start + length);
        let token = self.any_token();
        bytes.splice(start..end, token.iter().copied());
    }

    fn any_token(&mut self) -> &'a [u8] {
        self.tokens[self.random.usize(..self.tokens.len())]
    }

    fn range(&mut self, length: usize, longest: usize) -> (usize, usize) {
        let start = self.random.usize(..=length);
        (start, (start + self.random.usize(..=longest)).min(length))
    }
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let seeds = [b"kind: Volume".to_vec(), b"{}".to_vec()];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed, &seeds, &[b"null", b"-1"]);
        (0..100).map(|_| mutator.next_input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
}
