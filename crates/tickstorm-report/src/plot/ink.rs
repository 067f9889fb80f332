//! Colours by what they stand for, in light and dark.

use plotters::style::RGBColor;

/// What something is drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// As text is.
    Text,
    /// The first of several things of one kind.
    First,
    /// The second.
    Second,
    /// The third.
    Third,
    /// Bids and buyers.
    Buy,
    /// Asks and sellers.
    Sell,
    /// What is only there for comparison; lines are dashed.
    Reference,
    /// What stands behind something of more interest.
    Shade,
}

impl Ink {
    const ALL: [Ink; 8] =
        [Ink::Text, Ink::First, Ink::Second, Ink::Third, Ink::Buy, Ink::Sell, Ink::Reference, Ink::Shade];

    pub(super) fn name(self) -> &'static str {
        match self {
            Ink::Text => "text",
            Ink::First => "first",
            Ink::Second => "second",
            Ink::Third => "third",
            Ink::Buy => "buy",
            Ink::Sell => "sell",
            Ink::Reference => "reference",
            Ink::Shade => "shade",
        }
    }

    /// On light pages and on dark ones. Blue beside orange, and green beside red of another lightness, also look
    /// different to those who cannot tell red from green.
    fn shades(self) -> (u32, u32) {
        match self {
            Ink::Text => (0x1F2933, 0xE4E9EF),
            Ink::First => (0x1F6FC2, 0x6FB1FF),
            Ink::Second => (0xC9610B, 0xFFA45E),
            Ink::Third => (0x7A4FB0, 0xC3A6FF),
            Ink::Buy => (0x00856A, 0x35D9AE),
            Ink::Sell => (0xD8362A, 0xFF8573),
            Ink::Reference => (0x66727F, 0x9AA7B5),
            Ink::Shade => (0xC4CCD5, 0x46515D),
        }
    }

    pub(super) fn color(self) -> RGBColor {
        color(self.shades().0)
    }

    /// As SVG writes it.
    pub(super) fn hex(self) -> String {
        format!("#{:06X}", self.shades().0)
    }
}

/// Lines of the grid.
pub(super) fn grid() -> RGBColor {
    color(GRID.0)
}

/// The two axes, and the marks on them.
pub(super) fn axis() -> RGBColor {
    color(AXIS.0)
}

fn color(rgb: u32) -> RGBColor {
    let [_, red, green, blue] = rgb.to_be_bytes();
    RGBColor(red, green, blue)
}

const PAGE: (u32, u32) = (0xFFFFFF, 0x11161C);
const GRID: (u32, u32) = (0xDDE3EA, 0x2B3540);
const AXIS: (u32, u32) = (0x8B96A2, 0x6B7784);

/// Shades of a surface, from little to much, on light pages and on dark ones. Lines and dots of every ink can be seen
/// on all of them.
pub(super) const HEAT: [(u32, u32); 8] = [
    (0xF3F6FB, 0x151D27),
    (0xE3EBF6, 0x192637),
    (0xD0DEF0, 0x1D3049),
    (0xBACFE9, 0x223C5D),
    (0xA1BDE0, 0x284A74),
    (0x86A9D6, 0x2F598C),
    (0x6B94CA, 0x3869A5),
    (0x527FBC, 0x437BBF),
];

/// The styles that give names to the colours. The drawings contain those of light pages as attributes, so that they
/// are right by themselves too; the page overrules them by name.
pub(super) fn style() -> String {
    let named = named();
    let mut style = format!(":root {{{}}}\n", variables(&named, |shades| shades.0));
    style += &format!(
        "@media screen and (prefers-color-scheme: dark) {{ :root {{{}}} }}\n",
        variables(&named, |shades| shades.1)
    );
    for (name, (light, _)) in &named {
        style += &format!("[fill=\"#{light:06X}\"] {{ fill: var(--{name}); }}\n");
        style += &format!("[stroke=\"#{light:06X}\"] {{ stroke: var(--{name}); }}\n");
    }
    for ink in Ink::ALL {
        style += &format!(".{0} {{ color: var(--{0}); }}\n", ink.name());
    }
    style += &format!("[stroke=\"{}\"] {{ stroke-dasharray: 10 8; }}\n", Ink::Reference.hex());
    style
}

/// Every colour of a page, with its name.
fn named() -> Vec<(String, (u32, u32))> {
    let mut named = vec![("page".to_owned(), PAGE), ("grid".to_owned(), GRID), ("axis".to_owned(), AXIS)];
    named.extend(Ink::ALL.map(|ink| (ink.name().to_owned(), ink.shades())));
    named.extend(HEAT.into_iter().enumerate().map(|(level, shades)| (format!("heat{level}"), shades)));
    named
}

fn variables(named: &[(String, (u32, u32))], of: fn((u32, u32)) -> u32) -> String {
    named.iter().map(|(name, shades)| format!(" --{name}: #{:06x};", of(*shades))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_colours_of_light_pages_are_the_same() {
        let mut light: Vec<u32> = named().iter().map(|(_, shades)| shades.0).collect();
        light.sort_unstable();
        light.dedup();
        assert_eq!(light.len(), named().len(), "they are told apart by their value");
    }
}
