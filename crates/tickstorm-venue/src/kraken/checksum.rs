//! The checksum of a book: the CRC-32 of the digits of its best ten asks, best first, then of its best ten bids,
//! each level as price and quantity without decimal point and leading zeros. Documented in Kraken's guide "Spot
//! WebSocket (v2) book checksum".

use tickstorm_market::event::Side;
use tickstorm_market::instrument::Instrument;

use super::scale::Scale;
use crate::decoded::Level;
use crate::ladder::Ladder;
use crate::text::Writer;
use crate::window::Window;

/// The checksum of a book from nothing but its levels.
pub(super) fn of_book(bids: &Ladder<u64>, asks: &Ladder<u64>, instrument: &Instrument) -> u32 {
    let scale = Scale::of(instrument);
    let mut text = [0; TEXT_ROOM + WRITER_SCRATCH];
    let mut w = Writer::new(&mut text);
    for level in asks.levels().take(TOP).chain(bids.levels().take(TOP)) {
        write_digits(level, &scale, &mut w);
    }
    let length = w.at();
    crc32fast::hash(&text[..length])
}

/// The digits of a book's best ten levels, kept from change to change: writing forty numbers costs several times
/// what the rest of a message does, moving a hundred bytes aside for a new level nearly nothing.
#[derive(Debug, Clone)]
pub(crate) struct TopDigits {
    /// Of asks and bids, best first: the better the price, the higher.
    ranks: [[u32; TOP]; 2],
    /// Bytes of each level in `text`.
    lengths: [[u8; TOP]; 2],
    counts: [u8; 2],
    length: u16,
    /// One level behind the other, asks first.
    text: [u8; TEXT_ROOM],
}

impl TopDigits {
    /// Those of an empty book.
    pub(crate) fn new() -> Self {
        Self { ranks: [[0; TOP]; 2], lengths: [[0; TOP]; 2], counts: [0; 2], length: 0, text: [0; TEXT_ROOM] }
    }

    /// Starts again from a book.
    pub(crate) fn seed(&mut self, book: &Window, scale: &Scale) {
        *self = Self::new();
        for side in [Side::Sell, Side::Buy] {
            for level in (0..TOP).map_while(|better| book.behind(side, better)) {
                self.insert(side, usize::from(self.counts[half(side)]), level, scale);
            }
        }
    }

    /// Takes in a level's new quantity, zero for none; `book` contains it already.
    #[inline]
    pub(crate) fn apply(&mut self, side: Side, level: Level, book: &Window, scale: &Scale) {
        let half = half(side);
        let rank = rank(side, level.price);
        let ranks = &self.ranks[half][..usize::from(self.counts[half])];
        let place = ranks.iter().take_while(|&&better| better > rank).count();
        let there = ranks.get(place) == Some(&rank);
        match (there, level.quantity > 0) {
            (true, true) => self.replace(half, place, level, scale),
            (true, false) => {
                self.remove(half, place);
                let last = usize::from(self.counts[half]);
                if let Some(risen) = book.behind(side, last) {
                    self.insert(side, last, risen, scale);
                }
            }
            (false, true) if place < TOP => {
                if usize::from(self.counts[half]) == TOP {
                    self.remove(half, TOP - 1);
                }
                self.insert(side, place, level, scale);
            }
            (false, _) => {}
        }
    }

    #[inline]
    pub(crate) fn checksum(&self) -> u32 {
        crc32fast::hash(&self.text[..usize::from(self.length)])
    }

    fn insert(&mut self, side: Side, place: usize, level: Level, scale: &Scale) {
        let half = half(side);
        let count = usize::from(self.counts[half]);
        self.ranks[half].copy_within(place..count, place + 1);
        self.lengths[half].copy_within(place..count, place + 1);
        self.ranks[half][place] = rank(side, level.price);
        self.lengths[half][place] = 0;
        self.counts[half] += 1;
        self.replace(half, place, level, scale);
    }

    fn remove(&mut self, half: usize, place: usize) {
        let count = usize::from(self.counts[half]);
        self.splice(half, place, &[]);
        self.ranks[half].copy_within(place + 1..count, place);
        self.lengths[half].copy_within(place + 1..count, place);
        self.counts[half] -= 1;
    }

    #[inline]
    fn replace(&mut self, half: usize, place: usize, level: Level, scale: &Scale) {
        let mut digits = [0; LEVEL_ROOM + WRITER_SCRATCH];
        let mut w = Writer::new(&mut digits);
        write_digits(level, scale, &mut w);
        let length = w.at();
        self.splice(half, place, &digits[..length]);
    }

    /// Puts `digits` in the place of a level's.
    #[inline]
    fn splice(&mut self, half: usize, place: usize, digits: &[u8]) {
        let sum = |lengths: &[u8]| lengths.iter().map(|&length| usize::from(length)).sum::<usize>();
        let asks = if half == 0 { 0 } else { sum(&self.lengths[0][..usize::from(self.counts[0])]) };
        let start = asks + sum(&self.lengths[half][..place]);
        let old = usize::from(self.lengths[half][place]);
        if old != digits.len() {
            self.text.copy_within(start + old..usize::from(self.length), start + digits.len());
            self.length = self.length - old as u16 + digits.len() as u16;
            self.lengths[half][place] = digits.len() as u8;
        }
        self.text[start..start + digits.len()].copy_from_slice(digits);
    }
}

#[inline]
fn half(side: Side) -> usize {
    match side {
        Side::Sell => 0,
        Side::Buy => 1,
    }
}

#[inline]
fn rank(side: Side, price: u32) -> u32 {
    match side {
        Side::Buy => price,
        Side::Sell => !price,
    }
}

/// Nothing is left of a zero when its leading zeros are gone.
#[inline(always)]
fn write_digits(level: Level, scale: &Scale, w: &mut Writer<'_>) {
    let price = scale.price_digits(level.price);
    if price > 0 {
        w.number(price);
    }
    w.number(scale.quantity(level.quantity));
}

/// Levels a side that the checksum covers, whatever the depth of the subscription.
const TOP: usize = 10;

/// Two numbers of at most twenty digits.
const LEVEL_ROOM: usize = 40;

const TEXT_ROOM: usize = 2 * TOP * LEVEL_ROOM;

/// What a [`Writer`] may write beyond what it keeps.
const WRITER_SCRATCH: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tickstorm_market::event::{BookChange, Snapshot};
    use tickstorm_market::instrument::SymbolId;

    use super::*;
    use crate::testing::listing;

    /// One price decimal, eight of quantity.
    fn instrument() -> Instrument {
        Instrument { tick: 10_000_000, lot: 1, ..listing().instruments[0].clone() }
    }

    fn book(bids: &[(u32, u64)], asks: &[(u32, u64)]) -> (Window, TopDigits) {
        let snapshot = Snapshot {
            symbol: SymbolId(0),
            sequence: 0,
            update_id: 0,
            bids: bids.to_vec(),
            asks: asks.to_vec(),
        };
        let mut window = Window::new(1000);
        window.seed(&snapshot);
        let mut digits = TopDigits::new();
        digits.seed(&window, &Scale::of(&instrument()));
        (window, digits)
    }

    fn ladders(window: &Window) -> [Ladder<u64>; 2] {
        [Side::Buy, Side::Sell].map(|side| {
            let mut ladder = Ladder::new(side);
            for level in window.levels(side) {
                ladder.set(level.price, level.quantity);
            }
            ladder
        })
    }

    fn careful(window: &Window) -> u32 {
        let [bids, asks] = ladders(window);
        of_book(&bids, &asks, &instrument())
    }

    fn change(window: &mut Window, digits: &mut TopDigits, side: Side, price: u32, quantity: u64) {
        window.apply(&BookChange { update_id: 0, side, price, quantity });
        digits.apply(side, Level { price, quantity }, window, &Scale::of(&instrument()));
    }

    /// The book of the venue's own guide.
    #[test]
    fn the_published_example_has_the_published_checksum() {
        let asks = [
            (452_852, 100_000),
            (452_864, 154_571_953),
            (452_866, 154_571_109),
            (452_896, 154_560_911),
            (452_902, 15_890_660),
            (452_918, 154_553_491),
            (452_947, 4_454_749),
            (452_961, 35_380_000),
            (452_975, 9_945_542),
            (452_995, 18_772_827),
        ];
        let bids = [
            (452_835, 10_000_000),
            (452_834, 154_582_015),
            (452_821, 10_000_000),
            (452_810, 10_000_000),
            (452_803, 154_592_586),
            (452_790, 7_990_000),
            (452_776, 3_310_103),
            (452_775, 30_000_000),
            (452_773, 154_602_737),
            (452_766, 15_445_238),
        ];
        let (window, digits) = book(&bids, &asks);
        let text = &digits.text[..usize::from(digits.length)];
        assert!(text.starts_with(b"452852100000"));
        assert_eq!(text.len(), 281);
        assert_eq!((digits.checksum(), careful(&window)), (3_310_070_434, 3_310_070_434));
    }

    #[test]
    fn changes_keep_the_checksum_right() {
        let bids = [
            (670_124, 15_000_000),
            (670_118, 6_200_000),
            (670_110, 80_000_000),
            (670_095, 75_000),
            (670_082, 110_000_000),
            (670_077, 25_000_000),
            (670_050, 4_000_000),
            (670_033, 61_230_000),
            (670_016, 1_999_999),
            (670_000, 350_000_000),
        ];
        let asks = [
            (670_125, 41_870_000),
            (670_129, 2_500_000),
            (670_134, 120_000_000),
            (670_140, 310_000),
            (670_152, 75_000_000),
            (670_168, 10_450_000),
            (670_181, 200_000_000),
            (670_199, 5_062_000),
            (670_210, 33_000_000),
            (670_237, 90_817_345),
            (670_251, 50_000_000),
        ];
        let (mut window, mut digits) = book(&bids, &asks);
        let expected = concat!(
            "6701254187000067012925000006701341200000006701403100006701527500000067016810450000670181200000000",
            "6701995062000670210330000006702379081734567012415000000670118620000067011080000000670095750006700",
            "82110000000670077250000006700504000000670033612300006700161999999670000350000000"
        );
        assert_eq!(&digits.text[..usize::from(digits.length)], expected.as_bytes());
        assert_eq!(digits.checksum(), 1_428_245_455);
        change(&mut window, &mut digits, Side::Sell, 670_125, 0);
        assert_eq!(digits.checksum(), 1_102_843_236);
        change(&mut window, &mut digits, Side::Buy, 670_126, 3_000_000);
        assert_eq!(digits.checksum(), 425_051_313);
    }

    #[test]
    fn an_empty_book_has_the_checksum_of_nothing() {
        assert_eq!(TopDigits::new().checksum(), 0);
        assert_eq!(careful(&Window::new(10)), 0);
    }

    #[test]
    fn there_is_room_for_the_largest_figures() {
        let mut instrument = instrument();
        (instrument.tick, instrument.lot) = (u64::MAX, u64::MAX);
        let scale = Scale::of(&instrument);
        let (mut window, mut digits) = (Window::new(10), TopDigits::new());
        let [mut bids, mut asks] = ladders(&window);
        for n in 0..11 {
            for (side, ladder, price) in
                [(Side::Buy, &mut bids, n + 1), (Side::Sell, &mut asks, u32::MAX - n)]
            {
                let quantity = u64::from(u32::MAX);
                window.apply(&BookChange { update_id: 0, side, price, quantity });
                digits.apply(side, Level { price, quantity }, &window, &scale);
                ladder.set(price, quantity);
            }
        }
        assert_eq!(usize::from(digits.length), TEXT_ROOM);
        assert_eq!(digits.checksum(), of_book(&bids, &asks, &instrument));
    }

    proptest! {
        #[test]
        fn what_is_kept_from_change_to_change_is_what_would_be_made_anew(
            changes in proptest::collection::vec((any::<bool>(), 0..25u32, prop_oneof![Just(0), 1..200_000_000u64]), 0..300),
        ) {
            let (mut window, mut digits) = book(&[], &[]);
            for (buy, price, quantity) in changes {
                let side = if buy { Side::Buy } else { Side::Sell };
                change(&mut window, &mut digits, side, price, quantity);
                prop_assert_eq!(digits.checksum(), careful(&window));
            }
        }
    }
}
