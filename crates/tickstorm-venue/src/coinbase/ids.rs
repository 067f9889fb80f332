//! UUIDs made from our own numbers, and read back. Coinbase has no other ids for orders and portfolios.

use tickstorm_market::event::AccountId;
use tickstorm_market::instrument::{AssetId, SymbolId};

use crate::text::Writer;

/// The id of an order. Our numbers rise by symbol, so the symbol is a part of it; the number stands at the end,
/// in decimal digits: `0f5d1c6e-0000-4000-8000-000000000017`.
pub(super) fn write_order_id(symbol: SymbolId, order_id: u64, w: &mut Writer<'_>) {
    w.bytes(&uuid(ORDER_PREFIX ^ symbol.0, order_id));
}

/// Our number of an order, or for an id of any other form a number that differs between ids as far as 64 bits
/// can tell.
pub(super) fn read_order_id(symbol: SymbolId, text: &str) -> u64 {
    number(ORDER_PREFIX ^ symbol.0, text).unwrap_or_else(|| fold(text))
}

/// The portfolio of an account.
pub(super) fn write_portfolio(account: AccountId, w: &mut Writer<'_>) {
    w.bytes(&uuid(PORTFOLIO_PREFIX, account.0.into()));
}

/// The same as text.
pub(super) fn portfolio_text(account: AccountId) -> String {
    text(uuid(PORTFOLIO_PREFIX, account.0.into()))
}

/// What the venue calls an account: one asset of one of ours.
pub(super) fn wallet_text(account: AccountId, asset: AssetId) -> String {
    text(uuid(WALLET_PREFIX ^ asset.0, account.0.into()))
}

/// The account of a portfolio, 0 if it is none of ours.
pub(super) fn read_portfolio(text: &str) -> AccountId {
    let account = number(PORTFOLIO_PREFIX, text).and_then(|number| u32::try_from(number).ok());
    AccountId(account.unwrap_or_default())
}

/// Version and variant stand where a random UUID has them, the digits around them.
fn uuid(prefix: u32, number: u64) -> [u8; UUID_LENGTH] {
    let mut text = *b"00000000-0000-4000-8000-000000000000";
    for (index, place) in PREFIX_PLACES.enumerate() {
        text[place] = b"0123456789abcdef"[(prefix >> (28 - 4 * index) & 15) as usize];
    }
    let mut rest = number;
    for place in digit_places().rev() {
        text[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

fn text(uuid: [u8; UUID_LENGTH]) -> String {
    uuid.map(char::from).into_iter().collect()
}

fn number(prefix: u32, text: &str) -> Option<u64> {
    let bytes: &[u8; UUID_LENGTH] = text.as_bytes().try_into().ok()?;
    let number = digit_places().try_fold(0u64, |number, place| {
        let digit = bytes[place].is_ascii_digit().then(|| u64::from(bytes[place] - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (uuid(prefix, number) == *bytes).then_some(number)
}

/// Where the digits of the number stand: 22 places, two more than 64 bits can fill.
fn digit_places() -> impl DoubleEndedIterator<Item = usize> {
    [9..13, 15..18, 20..23, 24..36].into_iter().flatten()
}

/// The hash of Fowler, Noll and Vo, 1a.
fn fold(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(super) const UUID_LENGTH: usize = 36;

const PREFIX_PLACES: std::ops::Range<usize> = 0..8;

/// Any numbers would do; these tell orders, portfolios and wallets apart at a glance.
const ORDER_PREFIX: u32 = 0x0f5d_1c6e;
const PORTFOLIO_PREFIX: u32 = 0x1111_1111;
const WALLET_PREFIX: u32 = 0x2222_0000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::append;

    fn order_id(symbol: u32, id: u64) -> String {
        let mut out = Vec::new();
        append(&mut out, UUID_LENGTH, |w| write_order_id(SymbolId(symbol), id, w));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_order_id_shows_its_number() {
        assert_eq!(order_id(0, 17), "0f5d1c6e-0000-4000-8000-000000000017");
        assert_eq!(order_id(1, u64::MAX), "0f5d1c6f-0018-4446-8744-073709551615");
    }

    #[test]
    fn foreign_ids_are_numbers_too_and_foreign_portfolios_account_zero() {
        let ids =
            ["7a31b0de-0000-4000-8000-000000000044", "0f5d1c6e-0000-1000-8000-000000000017", "", "é", "x"];
        let mut numbers = ids.map(|id| read_order_id(SymbolId(0), id)).to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), ids.len());
        assert_eq!(read_portfolio("7a31b0de-0000-4000-8000-000000000044"), AccountId(0));
        assert_eq!(read_portfolio("11111111-0000-4000-8000-999999999999"), AccountId(0));
    }

    proptest! {
        #[test]
        fn every_id_reads_back_as_itself_for_its_symbol_only(symbol: u32, id: u64, account: u32) {
            let text = order_id(symbol, id);
            prop_assert_eq!(read_order_id(SymbolId(symbol), &text), id);
            prop_assert_eq!(number(ORDER_PREFIX ^ symbol ^ 1, &text), None);
            let mut out = Vec::new();
            append(&mut out, UUID_LENGTH, |w| write_portfolio(AccountId(account), w));
            prop_assert_eq!(read_portfolio(std::str::from_utf8(&out).unwrap()), AccountId(account));
        }
    }
}
