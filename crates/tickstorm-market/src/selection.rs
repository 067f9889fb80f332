//! Which symbol acts next.

use tickstorm_random::Stream;

/// Draws symbols in proportion to their weights, in sticky runs: each symbol gets bursts of its own, while the
/// shares of the long run stay those of the weights.
pub(crate) struct Selection {
    /// The alias method: a column is drawn evenly, and within it either its own symbol or its alias.
    columns: Box<[Column]>,
    current: u32,
    stream: Stream,
}

#[derive(Clone, Copy)]
struct Column {
    /// Share of the column that is its own, in 2^-32.
    own: u32,
    alias: u32,
}

impl Selection {
    /// `weights` must have a positive sum below 2^63.
    pub(crate) fn new(weights: &[u64], mut stream: Stream) -> Self {
        let count = weights.len() as u128;
        let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        // Each column holds `total`; a weight fills `count` times itself.
        let mut fill: Vec<u128> = weights.iter().map(|&weight| u128::from(weight) * count).collect();
        let mut columns: Vec<Column> =
            (0..weights.len()).map(|symbol| Column { own: u32::MAX, alias: symbol as u32 }).collect();
        let (mut short, mut long): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|&symbol| fill[symbol] < total);
        while let (Some(poor), Some(&rich)) = (short.pop(), long.last()) {
            columns[poor] = Column { own: ((fill[poor] << 32) / total) as u32, alias: rich as u32 };
            fill[rich] -= total - fill[poor];
            if fill[rich] < total {
                long.pop();
                short.push(rich);
            }
        }
        let columns = columns.into_boxed_slice();
        let current = draw(&columns, stream.word());
        Self { columns, current, stream }
    }

    /// The symbol of the next event, and 15 random bits that had no part in choosing it.
    #[inline]
    pub(crate) fn next(&mut self) -> (usize, u16) {
        let word = self.stream.word();
        if word as u8 >= STAYS_OF_256 {
            self.current = draw(&self.columns, word);
        }
        (self.current as usize, (word >> 8) as u16 & 0x7fff)
    }
}

/// Uses the upper 32 bits of the word for the column, and what they leave for the place within it.
#[inline]
fn draw(columns: &[Column], word: u64) -> u32 {
    let place = (word >> 32) * columns.len() as u64;
    let column = columns[(place >> 32) as usize];
    if (place as u32) < column.own { (place >> 32) as u32 } else { column.alias }
}

/// Of 256 events, so many stay with the symbol of the one before without a draw: 59 %.
const STAYS_OF_256: u8 = 150;

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;

    #[test]
    fn shares_are_those_of_the_weights() {
        let weights = [1000, 500, 333, 250, 1];
        let mut selection = Selection::new(&weights, Seed::new(1).stream("test", 0));
        let draws = 1_000_000;
        let mut counts = [0u32; 5];
        for _ in 0..draws {
            counts[selection.next().0] += 1;
        }
        let total: u64 = weights.iter().sum();
        for (symbol, &weight) in weights.iter().enumerate() {
            let expected = weight as f64 / total as f64;
            let share = f64::from(counts[symbol]) / f64::from(draws);
            assert!((share - expected).abs() < 0.004, "symbol {symbol}: {share} of {expected}");
        }
        assert!(counts[4] > 0);
    }

    #[test]
    fn selection_is_sticky() {
        let mut selection = Selection::new(&[1; 100], Seed::new(1).stream("test", 0));
        let chosen: Vec<usize> = (0..100_000).map(|_| selection.next().0).collect();
        let stays = chosen.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!((58_500..60_500).contains(&stays), "{stays}");
    }

    #[test]
    fn a_single_symbol_is_always_chosen() {
        let mut selection = Selection::new(&[7], Seed::new(1).stream("test", 0));
        assert!((0..1000).all(|_| selection.next().0 == 0));
    }
}
