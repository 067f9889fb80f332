//! How many decimals the figures of an instrument have.

use tickstorm_market::instrument::Instrument;

/// Prices have as many decimals as the tick needs, and at least one; quantities have eight. The checksum is taken
/// of exactly these digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    tick: u64,
    lot: u64,
    price_places: u32,
    /// A tick in units of the last decimal.
    price_step: u64,
}

impl Scale {
    pub(crate) fn of(instrument: &Instrument) -> Self {
        let (mut price_places, mut price_step) = (QUANTITY_PLACES, instrument.tick);
        while price_places > 1 && price_step.is_multiple_of(10) {
            price_places -= 1;
            price_step /= 10;
        }
        Self { tick: instrument.tick, lot: instrument.lot, price_places, price_step }
    }

    /// Decimals of a price.
    pub(super) fn price_places(&self) -> u32 {
        self.price_places
    }

    /// The tick in 1e-8 units.
    pub(super) fn tick(&self) -> u64 {
        self.tick
    }

    /// The lot in 1e-8 units.
    pub(super) fn lot(&self) -> u64 {
        self.lot
    }

    /// A price in 1e-8 units.
    #[inline(always)]
    pub(super) fn price(&self, ticks: u32) -> u64 {
        u64::from(ticks).saturating_mul(self.tick)
    }

    /// A quantity in 1e-8 units.
    #[inline(always)]
    pub(super) fn quantity(&self, lots: u64) -> u64 {
        lots.saturating_mul(self.lot)
    }

    /// A price without its decimal point.
    #[inline(always)]
    pub(super) fn price_digits(&self, ticks: u32) -> u64 {
        u64::from(ticks).saturating_mul(self.price_step)
    }

    /// An amount in 1e-8 units, such as an average price, rounded half up to the decimals of a price.
    pub(super) fn rounded_to_price(&self, units: u64) -> u64 {
        let step = 10u64.pow(QUANTITY_PLACES - self.price_places);
        units.saturating_add(step / 2) / step * step
    }
}

/// Decimals of a quantity, and of every amount of money.
pub(super) const QUANTITY_PLACES: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::listing;

    fn scale(tick: u64) -> Scale {
        Scale::of(&Instrument { tick, ..listing().instruments[0].clone() })
    }

    #[test]
    fn prices_have_the_decimals_of_their_tick_and_at_least_one() {
        for (tick, places, digits) in [
            (10_000_000, 1, 670_125),
            (200_000_000, 1, 13_402_500),
            (1_000_000_000, 1, 67_012_500),
            (25_000, 5, 16_753_125),
            (1, 8, 670_125),
        ] {
            let scale = scale(tick);
            assert_eq!((scale.price_places(), scale.price_digits(670_125)), (places, digits), "{tick}");
        }
    }

    #[test]
    fn averages_are_rounded_half_up_to_the_decimals_of_a_price() {
        assert_eq!(scale(10_000_000).rounded_to_price(6_651_404_999_999), 6_651_400_000_000);
        assert_eq!(scale(10_000_000).rounded_to_price(6_651_405_000_000), 6_651_410_000_000);
        assert_eq!(scale(1).rounded_to_price(12_345), 12_345);
    }
}
