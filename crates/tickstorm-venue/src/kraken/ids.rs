//! Orders, executions and ledger entries are named by texts as `OQCLML-BW3P3-BUCMWZ`: a letter, and sixteen digits of
//! base 36. Ours hold the symbol in the first three digits, since the market numbers the orders of each symbol by
//! itself, and the number in the others.

use crate::text::Writer;

/// The name of a symbol's order or execution.
pub(super) fn write(letter: u8, symbol: u32, number: u64, w: &mut Writer<'_>) {
    let mut digits = [0; DIGITS];
    put(symbol.into(), &mut digits[..SYMBOL_DIGITS]);
    put(number, &mut digits[SYMBOL_DIGITS..]);
    write_digits(letter, &digits, w);
}

/// The name of a ledger entry: the account, and the entry's number on its connection.
pub(super) fn write_entry(letter: u8, account: u32, number: u64, w: &mut Writer<'_>) {
    let mut digits = [0; DIGITS];
    put(account.into(), &mut digits[..ACCOUNT_DIGITS]);
    put(number, &mut digits[ACCOUNT_DIGITS..]);
    write_digits(letter, &digits, w);
}

/// The number in the name of a symbol's order or execution. A foreign name stands for a number all the same: always
/// the same one, and hardly ever that of another name.
pub(super) fn read(text: &str, letter: u8, symbol: u32) -> u64 {
    own(text.as_bytes(), letter, symbol).unwrap_or_else(|| {
        // FNV-1a.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    })
}

fn own(text: &[u8], letter: u8, symbol: u32) -> Option<u64> {
    let &[first, a, b, c, d, e, b'-', f, g, h, i, j, b'-', k, l, m, n, o, p] = text else { return None };
    let digits = [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p];
    let mut expected = [0; SYMBOL_DIGITS];
    put(symbol.into(), &mut expected);
    if first != letter || digits[..SYMBOL_DIGITS] != expected {
        return None;
    }
    digits[SYMBOL_DIGITS..].iter().try_fold(0u64, |sum, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            _ => return None,
        };
        sum.checked_mul(36)?.checked_add(value.into())
    })
}

/// The last digits of a number, as many as there is room for.
fn put(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
}

fn write_digits(letter: u8, digits: &[u8; DIGITS], w: &mut Writer<'_>) {
    w.bytes(&[letter]);
    w.bytes(&digits[..5]);
    w.literal(b"-");
    w.bytes(&digits[5..10]);
    w.literal(b"-");
    w.bytes(&digits[10..]);
}

/// Bytes of a name.
pub(super) const ID_ROOM: usize = 1 + DIGITS + 2;

const DIGITS: usize = 16;

/// Tells 46,656 symbols apart, and leaves thirteen digits, which hold 64 bits.
const SYMBOL_DIGITS: usize = 3;

/// Holds 32 bits.
const ACCOUNT_DIGITS: usize = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(symbol: u32, number: u64) -> String {
        let mut bytes = [0; ID_ROOM];
        write(b'O', symbol, number, &mut Writer::new(&mut bytes));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_name_has_the_venues_form() {
        assert_eq!(text(0, 17), "O00000-00000-00000H");
        assert_eq!(text(37, u64::MAX), "O0113W-5E112-64SGSF");
        let mut bytes = [0; ID_ROOM];
        write_entry(b'L', u32::MAX, 71, &mut Writer::new(&mut bytes));
        assert_eq!(&bytes, b"L1Z141-Z3000-00001Z");
    }

    #[test]
    fn foreign_names_stand_for_numbers_that_differ() {
        let foreign = [
            "OTS001-AAAAA-000017",
            "OTS001-AAAAA-000018",
            "",
            "O00000-00000-00000h",
            "\u{e9}",
            "O0ZZZZ-ZZZZZ-ZZZZZZ",
        ];
        let numbers: std::collections::BTreeSet<u64> =
            foreign.iter().map(|text| read(text, b'O', 0)).collect();
        assert_eq!(numbers.len(), foreign.len());
        assert_ne!(read(&text(1, 17), b'O', 0), 17, "another symbol's order");
        assert_ne!(read(&text(0, 17), b'T', 0), 17, "an order is no execution");
    }

    proptest! {
        #[test]
        fn every_number_reads_back(symbol: u32, number: u64) {
            prop_assert_eq!(read(&text(symbol, number), b'O', symbol), number);
        }
    }
}
