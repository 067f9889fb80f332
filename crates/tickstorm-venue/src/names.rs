//! Finding a symbol or an asset by the name on the wire.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Names and their positions in a listing.
#[derive(Debug, Clone)]
pub(crate) struct Names(HashMap<Box<[u8]>, u32, BuildHasherDefault<NameHasher>>);

impl Names {
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self((0..).zip(names).map(|(index, name)| (name.as_bytes().into(), index)).collect())
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        self.0.get(name).copied()
    }
}

/// Eight bytes a step. The names in the table are our own listing's, so nobody can choose them to collide.
#[derive(Debug, Clone, Copy, Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.write_u64(u64::from_le_bytes(chunk.try_into().expect("chunks are of eight bytes")));
        }
        let rest = chunks.remainder().iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.write_u64(rest);
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    /// The table's slots come from the low bits, the multiplication mixes the high ones.
    #[inline]
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_at_its_position_and_no_other_name_is() {
        let names: Vec<String> = (0..10_000).map(|i| format!("A{i:04}USDT")).collect();
        let table = Names::new(names.iter().map(String::as_str));
        for (index, name) in names.iter().enumerate() {
            assert_eq!(table.find(name.as_bytes()), Some(index as u32));
        }
        for foreign in ["", "A0000USD", "A0000USDTT", "a0000USDT"] {
            assert_eq!(table.find(foreign.as_bytes()), None, "{foreign:?}");
        }
    }
}
