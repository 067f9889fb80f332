//! The checksum of a book that messages had until June 2026.

use tickstorm_market::instrument::Instrument;

use crate::decoded::Level;
use crate::text::{NUMBER_ROOM, Writer};

/// CRC-32 of the best 25 levels as they are written, `bid:size:ask:size:bid:...`, a side that has run out left out.
/// On the wire the number is signed.
pub(crate) fn checksum(
    mut bids: impl Iterator<Item = Level>,
    mut asks: impl Iterator<Item = Level>,
    instrument: &Instrument,
) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut text = [0; LEVEL_ROOM];
    let mut separator = None;
    for _ in 0..LEVELS {
        let (bid, ask) = (bids.next(), asks.next());
        if bid.is_none() && ask.is_none() {
            break;
        }
        for level in [bid, ask].into_iter().flatten() {
            let w = &mut Writer::new(&mut text);
            if separator.replace(b":").is_some() {
                w.literal(b":");
            }
            w.trimmed_units(u64::from(level.price).saturating_mul(instrument.tick));
            w.literal(b":");
            w.trimmed_units(level.quantity.saturating_mul(instrument.lot));
            hasher.update(w.written(0));
        }
    }
    hasher.finalize()
}

/// Levels of a side that count.
const LEVELS: usize = 25;

/// `:` price `:` quantity.
const LEVEL_ROOM: usize = 2 + 2 * NUMBER_ROOM;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listing;

    /// The checksum as the wire has it, of levels in tenths and thousandths of the whole unit.
    fn signed(bids: &[(u32, u64)], asks: &[(u32, u64)]) -> i32 {
        let mut instrument = listing().instruments[0].clone();
        instrument.lot = 10_000;
        let levels = |levels: &[(u32, u64)]| -> Vec<Level> {
            levels.iter().map(|&(price, quantity)| Level { price, quantity }).collect()
        };
        checksum(levels(bids).into_iter(), levels(asks).into_iter(), &instrument) as i32
    }

    const SIZE: u64 = 10_000;

    #[test]
    fn the_checksum_is_the_one_of_the_venues_own_examples() {
        let two_by_two =
            signed(&[(33_661, 7 * SIZE), (33_660, 6 * SIZE)], &[(33_668, 9 * SIZE), (33_680, 8 * SIZE)]);
        assert_eq!(two_by_two, -1_881_014_294);
        let one_by_three =
            signed(&[(33_661, 7 * SIZE)], &[(33_668, 9 * SIZE), (33_680, 8 * SIZE), (33_720, 8 * SIZE)]);
        assert_eq!(one_by_three, 831_078_360);
        let books = signed(
            &[(670_124, 1_500), (670_118, 620), (670_110, 8_000)],
            &[(670_125, 4_187), (670_129, 250)],
        );
        assert_eq!(books, 1_369_237_496);
    }

    #[test]
    fn only_the_best_25_levels_of_a_side_count() {
        let side = |count: u32| (1..=count).map(|price| (price, 1)).collect::<Vec<_>>();
        assert_eq!(signed(&side(25), &side(30)), signed(&side(26), &side(25)));
        assert_ne!(signed(&side(25), &[]), signed(&side(24), &[]));
        assert_eq!(signed(&[], &[]), 0);
    }
}
