//! Writing numbers and literals into a buffer, and reading them back, as fast as safe code does it.

/// Appends to `out` what `write` writes. `room` bounds its length; eight bytes beyond what is written are
/// needed as scratch, see [`Writer::number`].
#[inline]
pub(crate) fn append(out: &mut Vec<u8>, room: usize, write: impl FnOnce(&mut Writer<'_>)) {
    let start = out.len();
    // Zeroing the room and cutting it afterwards costs less than a capacity check at every piece.
    out.resize(start + room, 0);
    let mut writer = Writer { bytes: &mut out[start..], at: 0 };
    write(&mut writer);
    let end = start + writer.at;
    out.truncate(end);
}

/// Most bytes that a number takes, with the scratch behind it.
pub(crate) const NUMBER_ROOM: usize = 28;

/// Writes into a buffer that is long enough.
pub(crate) struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Writes from the beginning of `bytes`.
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }
}

impl Writer<'_> {
    /// Copies text whose length is known at compile time: a few moves instead of a call.
    #[inline(always)]
    pub(crate) fn literal<const N: usize>(&mut self, text: &[u8; N]) {
        self.bytes[self.at..self.at + N].copy_from_slice(text);
        self.at += N;
    }

    #[inline(always)]
    pub(crate) fn bytes(&mut self, text: &[u8]) {
        self.bytes[self.at..self.at + text.len()].copy_from_slice(text);
        self.at += text.len();
    }

    /// What was written since `start`, an earlier [`Writer::at`].
    pub(crate) fn written(&self, start: usize) -> &[u8] {
        &self.bytes[start..self.at]
    }

    /// Bytes written so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// A whole number. Writes up to eight bytes more than it keeps.
    #[inline(always)]
    pub(crate) fn number(&mut self, value: u64) {
        if value < E8 {
            self.short_number(value);
        } else {
            self.long_number(value);
        }
    }

    /// A number of 1e-8 units as a decimal with eight places.
    #[inline(always)]
    pub(crate) fn units(&mut self, units: u64) {
        self.number(units / E8);
        self.literal(b".");
        self.eight_digits(units % E8);
    }

    /// The same with so many places, one to eight; what is behind them is cut off.
    #[inline(always)]
    pub(crate) fn units_cut(&mut self, units: u64, places: u32) {
        self.number(units / E8);
        self.literal(b".");
        self.eight_digits(units % E8);
        self.at -= 8 - places as usize;
    }

    /// Takes back the zeros at the end of the decimal just written, and the point if nothing stays behind it.
    #[inline(always)]
    pub(crate) fn trim_zeros(&mut self) {
        let places = &self.bytes[self.at - 8..self.at];
        let places = u64::from_le_bytes(places.try_into().expect("a decimal has eight places"));
        // The last place is in the highest byte.
        let zeros = (places ^ ZEROS).leading_zeros() as usize / 8;
        self.at -= zeros + usize::from(zeros == 8);
    }

    /// The same for sums beyond 64 bits.
    #[inline]
    pub(crate) fn wide_units(&mut self, units: u128) {
        match u64::try_from(units) {
            Ok(units) => self.units(units),
            Err(_) => {
                let whole = units / u128::from(E8);
                self.number(u64::try_from(whole).unwrap_or(u64::MAX));
                self.literal(b".");
                self.eight_digits((units % u128::from(E8)) as u64);
            }
        }
    }

    /// A signed number of 1e-8 units.
    #[inline]
    pub(crate) fn signed_units(&mut self, units: i64) {
        if units < 0 {
            self.literal(b"-");
        }
        self.units(units.unsigned_abs());
    }

    /// A number of 1e-8 units as a decimal without zeros at its end.
    #[inline(always)]
    pub(crate) fn trimmed_units(&mut self, units: u64) {
        self.number(units / E8);
        if !units.is_multiple_of(E8) {
            self.literal(b".");
            self.trimmed_places(units % E8);
        }
    }

    /// The same for sums beyond 64 bits.
    #[inline]
    pub(crate) fn wide_trimmed_units(&mut self, units: u128) {
        match u64::try_from(units) {
            Ok(units) => self.trimmed_units(units),
            Err(_) => {
                self.wide_units(units);
                self.trim_zeros();
            }
        }
    }

    /// Eight decimal places without the zeros at their end. Writes up to eight bytes more than it keeps.
    #[inline(always)]
    pub(crate) fn trimmed_places(&mut self, value: u64) {
        let digits = digits(value);
        self.eight_digits(value);
        // The last digit is in the highest byte.
        self.at -= digits.leading_zeros() as usize / 8;
    }

    /// The same with a sign if it is negative.
    #[inline]
    pub(crate) fn signed_trimmed_units(&mut self, units: i64) {
        if units < 0 {
            self.literal(b"-");
        }
        self.trimmed_units(units.unsigned_abs());
    }

    /// A number with zeros in front up to six digits.
    #[inline]
    pub(crate) fn six_digits(&mut self, value: u64) {
        if value >= 1_000_000 {
            self.number(value);
        } else {
            let digits = (ascii(value) >> 16).to_le_bytes();
            self.bytes[self.at..self.at + 8].copy_from_slice(&digits);
            self.at += 6;
        }
    }

    /// A number of thousandths as a decimal with three places.
    #[inline]
    pub(crate) fn thousandths(&mut self, value: i64) {
        if value < 0 {
            self.literal(b"-");
        }
        let magnitude = value.unsigned_abs();
        self.number(magnitude / 1000);
        let digits = ascii(magnitude % 1000).to_le_bytes();
        self.literal(&[b'.', digits[5], digits[6], digits[7]]);
    }

    #[inline(always)]
    fn short_number(&mut self, value: u64) {
        let digits = digits(value);
        // The number's last digit is never cut off, so that zero stays "0".
        let leading_zeros = (digits.trailing_zeros() / 8).min(7);
        let text = ((digits | ZEROS) >> (8 * leading_zeros)).to_le_bytes();
        self.bytes[self.at..self.at + 8].copy_from_slice(&text);
        self.at += 8 - leading_zeros as usize;
    }

    fn long_number(&mut self, value: u64) {
        let (high, low) = (value / E8, value % E8);
        if high < E8 {
            self.short_number(high);
        } else {
            self.short_number(high / E8);
            self.eight_digits(high % E8);
        }
        self.eight_digits(low);
    }

    /// A number below 1e8 with zeros in front.
    #[inline(always)]
    pub(crate) fn eight_digits(&mut self, value: u64) {
        self.literal(&ascii(value).to_le_bytes());
    }
}

/// The eight digits of a number below 1e8 as text, first digit in the lowest byte.
#[inline(always)]
fn ascii(value: u64) -> u64 {
    digits(value) | ZEROS
}

/// The eight digits of a number below 1e8, one a byte, first digit in the lowest byte. Divides all parts at
/// once: by 10,000, then both halves by 100, then the four quarters by 10, each by multiplication and shift.
#[inline(always)]
fn digits(value: u64) -> u64 {
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = ((halves - 100 * hundreds) << 16) + hundreds;
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    tens + ((quarters - 10 * tens) << 8)
}

/// Reads a message whose wording is known, piece by piece. `None` means that the wording is another one, or
/// that a number is too long, not that the message is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The byte that comes next.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over this text.
    #[inline(always)]
    pub(crate) fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let found: &[u8; N] = self.bytes.get(self.at..self.at + N)?.try_into().ok()?;
        self.at += N;
        (found == text).then_some(())
    }

    /// Steps over this byte if it comes next.
    #[inline(always)]
    pub(crate) fn literal_if(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A whole number of at most 18 digits, as JSON writes it.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut value = 0;
        if let Some(eight) = self.eight_digits() {
            value = eight;
            self.at += 8;
        }
        while let Some(digit) = self.digit() {
            value = value.wrapping_mul(10).wrapping_add(digit);
            self.at += 1;
        }
        let length = self.at - start;
        let canonical = length == 1 || (length > 1 && length <= 18 && self.bytes[start] != b'0');
        canonical.then_some(value)
    }

    /// A decimal with exactly eight places, without a sign, in 1e-8 units.
    #[inline(always)]
    pub(crate) fn units(&mut self) -> Option<u64> {
        let start = self.at;
        let mut whole = 0u64;
        while let Some(digit) = self.digit() {
            whole = whole.wrapping_mul(10).wrapping_add(digit);
            self.at += 1;
        }
        // Ten digits and eight places stay below 2^63.
        if self.at == start || self.at - start > 10 || self.peek() != Some(b'.') {
            return None;
        }
        self.at += 1;
        let fraction = self.eight_digits()?;
        self.at += 8;
        Some(whole * E8 + fraction)
    }

    /// The same with up to 18 digits before the point.
    #[inline]
    pub(crate) fn wide_units(&mut self) -> Option<u128> {
        let whole = self.number()?;
        self.literal(b".")?;
        let fraction = self.eight_digits()?;
        self.at += 8;
        Some(u128::from(whole) * u128::from(E8) + u128::from(fraction))
    }

    /// A decimal with exactly three places, without a sign, in thousandths.
    #[inline]
    pub(crate) fn thousandths(&mut self) -> Option<i64> {
        let whole = i64::try_from(self.number()?).ok()?;
        let [b'.', hundreds, tens, ones] = *self.bytes.get(self.at..self.at + 4)? else { return None };
        self.at += 4;
        let places = [hundreds, tens, ones]
            .into_iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))?;
        whole.checked_mul(1000)?.checked_add(places)
    }

    /// Plain text up to the closing quote, which stays. Text with an escape, a control or anything beyond
    /// ASCII is not plain.
    #[inline(always)]
    pub(crate) fn plain(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let length =
            rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || !(b' '..=b'~').contains(&byte))?;
        (rest[length] == b'"').then(|| {
            self.at += length;
            &rest[..length]
        })
    }

    #[inline(always)]
    fn digit(&self) -> Option<u64> {
        let digit = self.peek()?.wrapping_sub(b'0');
        (digit < 10).then_some(u64::from(digit))
    }

    /// The value of the next eight bytes if all are digits; does not step.
    #[inline(always)]
    fn eight_digits(&self) -> Option<u64> {
        let text: [u8; 8] = self.bytes.get(self.at..self.at + 8)?.try_into().ok()?;
        let word = u64::from_le_bytes(text);
        // A byte is a digit if its high half is 3 and stays 3 when 6 is added.
        let high_halves = (word & 0xf0f0_f0f0_f0f0_f0f0)
            | ((word.wrapping_add(0x0606_0606_0606_0606) >> 4) & 0x0f0f_0f0f_0f0f_0f0f);
        if high_halves != 0x3333_3333_3333_3333 {
            return None;
        }
        let digits = word - ZEROS;
        let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
        Some((fours & 0xffff) * 10_000 + (fours >> 32))
    }
}

/// A decimal with at most eight places that matter, in 1e-8 units; `None` if it is none or beyond 30 digits.
pub(crate) fn parse_units(text: &str) -> Option<i128> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    let fraction_digits = fraction.trim_end_matches('0');
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || fraction_digits.len() > 8 || whole.len() > 22 {
        return None;
    }
    let places = fraction_digits.bytes().chain(std::iter::repeat(b'0')).take(8);
    let units = whole.bytes().chain(places).fold(0i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    Some(if negative { -units } else { units })
}

/// The same without a sign and below 2^64, several times faster.
#[inline]
pub(crate) fn parse_short_units(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.len() > SHORT_MAX {
        return parse_units(text).and_then(|units| u64::try_from(units).ok());
    }
    let mut value = 0u64;
    let mut places = None;
    for &byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        match (digit, places) {
            (0..=9, None) => value = value * 10 + u64::from(digit),
            // A ninth place is a matter for the careful reader.
            (0..=9, Some(8)) => return parse_units(text).and_then(|units| u64::try_from(units).ok()),
            (0..=9, Some(count)) => {
                value = value * 10 + u64::from(digit);
                places = Some(count + 1);
            }
            (_, None) if byte == b'.' => places = Some(0),
            _ => return None,
        }
    }
    let starts_with_digit = bytes.first().is_some_and(u8::is_ascii_digit);
    if !starts_with_digit || places == Some(0) {
        return None;
    }
    value.checked_mul(POWERS_OF_TEN[8 - places.unwrap_or(0)])
}

/// 1e-8 units as a decimal without trailing zeros, for errors.
pub(crate) fn units_text(units: u128) -> String {
    let (whole, fraction) = (units / u128::from(E8), units % u128::from(E8));
    let text = format!("{whole}.{fraction:08}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Digits, with a point among them, that always fit 64 bits.
const SHORT_MAX: usize = 19;

const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, E8];

const E8: u64 = 100_000_000;
const ZEROS: u64 = 0x3030_3030_3030_3030;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Writer<'_>)) -> String {
        let mut out = b"> ".to_vec();
        append(&mut out, 64, write);
        String::from_utf8(out).unwrap()[2..].to_owned()
    }

    /// Numbers with every count of digits equally often.
    fn any_number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64u32).prop_map(|(word, shift)| word >> shift)
    }

    #[test]
    fn numbers_at_every_change_of_length_are_written_as_the_standard_library_does() {
        let powers = (0..20).map(|exponent| 10u64.pow(exponent));
        for value in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            assert_eq!(written(|w| w.number(value)), value.to_string());
        }
    }

    #[test]
    fn decimals_keep_all_their_places() {
        assert_eq!(written(|w| w.units(0)), "0.00000000");
        assert_eq!(written(|w| w.units(1)), "0.00000001");
        assert_eq!(written(|w| w.units(6_701_250_000_000)), "67012.50000000");
        assert_eq!(written(|w| w.signed_units(-25)), "-0.00000025");
        assert_eq!(written(|w| w.units_cut(6_701_250_000_000, 1)), "67012.5");
        assert_eq!(written(|w| w.units_cut(1_234_567, 8)), "0.01234567");
        assert_eq!(written(|w| w.wide_units(1 << 70)), "11805916207174.11303424");
        assert_eq!(written(|w| w.trimmed_units(6_701_250_000_000)), "67012.5");
        assert_eq!(written(|w| w.trimmed_units(1)), "0.00000001");
        assert_eq!(written(|w| w.trimmed_units(300_000_000)), "3");
        assert_eq!(written(|w| w.trimmed_units(0)), "0");
        assert_eq!(written(|w| w.thousandths(1227)), "1.227");
        assert_eq!(written(|w| w.trimmed_units(0)), "0");
        assert_eq!(written(|w| w.trimmed_units(6_701_250_000_000)), "67012.5");
        assert_eq!(written(|w| w.trimmed_units(6_701_100_000_000)), "67011");
        assert_eq!(written(|w| w.signed_trimmed_units(-25)), "-0.00000025");
        assert_eq!(written(|w| w.wide_trimmed_units(1 << 70)), "11805916207174.11303424");
        assert_eq!(
            written(|w| w.wide_trimmed_units(u128::from(u64::MAX) * 100_000_000)),
            u64::MAX.to_string()
        );
        assert_eq!(written(|w| w.thousandths(-5)), "-0.005");
        assert_eq!(written(|w| w.six_digits(17)), "000017");
        assert_eq!(written(|w| w.six_digits(77_001_042)), "77001042");
    }

    #[test]
    fn decimals_lose_the_zeros_at_their_end_but_not_those_before_the_point() {
        for units in [0, 1, 10, 1_000_000, 99_999_999, 100_000_000, 1_000_000_000, 6_701_250_000_000] {
            let trimmed = written(|w| {
                w.units(units);
                w.trim_zeros();
            });
            assert_eq!(trimmed, units_text(units.into()));
        }
    }

    #[test]
    fn decimals_are_read_with_any_number_of_places_up_to_eight() {
        for (text, units) in [
            ("1", 100_000_000),
            ("1.5", 150_000_000),
            ("-0.00000001", -1),
            ("007.000000000000", 700_000_000),
            ("67012.40000000", 6_701_240_000_000),
        ] {
            assert_eq!(parse_units(text), Some(units), "{text}");
            assert_eq!(parse_short_units(text), u64::try_from(units).ok(), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "+1",
            "1e5",
            "0.000000001",
            "1_0",
            "1 ",
            "--1",
            "9999999999999999999999999",
        ] {
            assert_eq!(parse_units(text), None, "{text:?}");
            assert_eq!(parse_short_units(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_cursor_refuses_numbers_that_json_does_not_allow_or_that_are_too_long() {
        for text in ["", "x", "01", "1234567890123456789", "-1"] {
            assert_eq!(Cursor::new(text.as_bytes(), 0).number(), None, "{text:?}");
        }
        assert_eq!(Cursor::new(b"0,", 0).number(), Some(0));
        assert_eq!(Cursor::new(b"123456789012345678,", 0).number(), Some(123_456_789_012_345_678));
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_the_standard_library_does(value in any_number()) {
            prop_assert_eq!(written(|w| w.number(value)), value.to_string());
            prop_assert_eq!(written(|w| w.six_digits(value)), format!("{value:06}"));
        }

        #[test]
        fn any_decimal_reads_back_both_ways(units in any_number()) {
            let text = written(|w| w.units(units));
            prop_assert_eq!(parse_units(&text), Some(i128::from(units)));
            prop_assert_eq!(parse_short_units(&text), Some(units));
            prop_assert_eq!(written(|w| w.trimmed_units(units)), units_text(units.into()));
            prop_assert_eq!(parse_short_units(&units_text(units.into())), Some(units));
            let read = Cursor::new(text.as_bytes(), 0).units();
            prop_assert_eq!(read, (units < 1_000_000_000_000_000_000).then_some(units));
            prop_assert_eq!(Cursor::new(text.as_bytes(), 0).wide_units(), Some(units.into()));
            prop_assert_eq!(written(|w| w.trimmed_units(units)), units_text(units.into()));
        }

        #[test]
        fn the_quick_reader_of_decimals_agrees_with_the_careful_one(text in "[0-9]{0,14}[.x-]{0,2}[0-9]{0,12}") {
            let careful = parse_units(&text).and_then(|units| u64::try_from(units).ok());
            prop_assert_eq!(parse_short_units(&text), careful.filter(|_| !text.starts_with('-')));
        }

        #[test]
        fn a_cursor_never_panics_and_agrees_with_the_careful_reader(text in "[0-9.x\"-]{0,24}") {
            let mut cursor = Cursor::new(text.as_bytes(), 0);
            if let Some(units) = cursor.units() {
                prop_assert_eq!(parse_units(&text[..cursor.at()]), Some(i128::from(units)));
            }
            let mut cursor = Cursor::new(text.as_bytes(), 0);
            if let Some(value) = cursor.number() {
                prop_assert_eq!(text[..cursor.at()].parse(), Ok(value));
            }
            Cursor::new(text.as_bytes(), 0).plain();
        }
    }
}
