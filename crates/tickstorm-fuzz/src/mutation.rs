//! Bytes that are nearly right.

use tickstorm_random::Stream;

/// One of the seeds with a few random changes, some of them made of another seed. The same stream gives the same.
pub(crate) fn mutated(seeds: &[&[u8]], stream: &mut Stream) -> Vec<u8> {
    let mut bytes = pick(seeds, stream).to_vec();
    // Mostly one or two: a message with many is refused at the first.
    let changes = 1 + stream.word().trailing_zeros().min(5);
    for _ in 0..changes {
        change(&mut bytes, seeds, stream);
    }
    bytes.truncate(LONGEST);
    bytes
}

/// Long enough that work which grows with the square of the length is felt.
const LONGEST: usize = 1 << 16;

fn change(bytes: &mut Vec<u8>, seeds: &[&[u8]], stream: &mut Stream) {
    match stream.below(16) {
        0 => {
            let at = position(bytes, stream);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << stream.below(8);
            }
        }
        1 => {
            let at = position(bytes, stream);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = stream.word() as u8;
            }
        }
        2 => {
            let range = range(bytes, stream);
            bytes.drain(range);
        }
        3 => {
            let at = position(bytes, stream);
            bytes.truncate(at);
        }
        4 => {
            let copy = bytes[range(bytes, stream)].to_vec();
            insert(bytes, &copy, stream);
        }
        5 => {
            let other = pick(seeds, stream);
            let copy = other[range(other, stream)].to_vec();
            insert(bytes, &copy, stream);
        }
        // As the stream of one connection.
        6 => {
            let other = pick(seeds, stream);
            bytes.push(b'\n');
            bytes.extend(other);
        }
        7 => {
            let copy = bytes[range(bytes, stream)].to_vec();
            let times = 1 << stream.below(12);
            let many = copy.repeat(times.min(LONGEST / copy.len().max(1)));
            insert(bytes, &many, stream);
        }
        8 => {
            let word = WORDS[stream.below(WORDS.len() as u32) as usize];
            insert(bytes, word.as_bytes(), stream);
        }
        9 => {
            let range = string_near(bytes, position(bytes, stream));
            let word = WORDS[stream.below(WORDS.len() as u32) as usize];
            bytes.splice(range, word.bytes());
        }
        10 => {
            let (one, other) = (position(bytes, stream), position(bytes, stream));
            if one < bytes.len() && other < bytes.len() {
                bytes.swap(one, other);
            }
        }
        11 => {
            let number = BINARY[stream.below(BINARY.len() as u32) as usize];
            let at = position(bytes, stream);
            let end = (at + 1 + stream.below(8) as usize).min(bytes.len());
            bytes.splice(at..end, number.iter().copied());
        }
        // Numbers are where values live.
        _ => {
            let range = number_near(bytes, position(bytes, stream));
            let number = match stream.below(8) {
                0 => stream.word().to_string(),
                _ => NUMBERS[stream.below(NUMBERS.len() as u32) as usize].to_owned(),
            };
            bytes.splice(range, number.bytes());
        }
    }
}

fn pick<'a>(seeds: &[&'a [u8]], stream: &mut Stream) -> &'a [u8] {
    if seeds.is_empty() { &[] } else { seeds[stream.below(seeds.len() as u32) as usize] }
}

/// From zero to the length.
fn position(bytes: &[u8], stream: &mut Stream) -> usize {
    stream.below(bytes.len() as u32 + 1) as usize
}

/// Short ones are as likely as long ones.
fn range(bytes: &[u8], stream: &mut Stream) -> std::ops::Range<usize> {
    let start = position(bytes, stream);
    let longest = (bytes.len() - start) as u32;
    let length = stream.below(longest + 1) >> stream.below(10);
    start..start + length as usize
}

fn insert(bytes: &mut Vec<u8>, what: &[u8], stream: &mut Stream) {
    let at = position(bytes, stream);
    bytes.splice(at..at, what.iter().copied());
}

/// The number at or behind a place.
fn number_near(bytes: &[u8], place: usize) -> std::ops::Range<usize> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    run_near(bytes, place, is_part)
}

/// The word at or behind a place.
fn string_near(bytes: &[u8], place: usize) -> std::ops::Range<usize> {
    run_near(bytes, place, |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'@')
    })
}

fn run_near(bytes: &[u8], place: usize, is_part: impl Fn(&u8) -> bool) -> std::ops::Range<usize> {
    let place = bytes[place..].iter().position(&is_part).map_or(bytes.len(), |behind| place + behind);
    let start = place - bytes[..place].iter().rev().take_while(|byte| is_part(byte)).count();
    let end = place + bytes[place..].iter().take_while(|byte| is_part(byte)).count();
    start..end
}

/// The ends of the integers that values are kept in, as they are and as 1e-8 units, and texts at the edge of being a
/// number.
const NUMBERS: [&str; 44] = [
    "0",
    "1",
    "-1",
    "2",
    "9",
    "10",
    "127",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211455",
    "340282366920938463463374607431768211456",
    "99999999999999999999999999999999999999999999999999",
    "92233720368.54775807",
    "-92233720368.54775808",
    "184467440737.09551615",
    "184467440737.09551616",
    "42949672.95",
    "42949672950000000",
    "0.00000001",
    "0.000000001",
    "0.00000000",
    "-0.0",
    "1.",
    ".5",
    "00",
    "1e5",
    "1E-8",
    "1e400",
    "1795420800104",
    "18446744073709",
    "253402300799999",
];

/// What has a meaning to some reader.
const WORDS: [&str; 40] = [
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    ",",
    ":",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "\"\"",
    "\n",
    "\r\n",
    " ",
    "\t",
    "\0",
    "\u{feff}",
    "é",
    "%",
    "%2F",
    "%zz",
    "&",
    "=",
    "?",
    "/",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:60.999999999Z",
    "1969-12-31T23:59:59Z",
    "2262-04-11T23:47:16.854775808Z",
    "BTCUSDT",
    "ISLEUSDT",
    "snapshot",
];

/// The same as bytes: MessagePack's and protobuf's integers and lengths, WebSocket's headers.
const BINARY: [&[u8]; 16] = [
    &[0xff; 8],
    &[0],
    &[0x7f],
    &[0x80],
    &[0xcc, 0xff],
    &[0xcd, 0xff, 0xff],
    &[0xce, 0xff, 0xff, 0xff, 0xff],
    &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0xdd, 0xff, 0xff, 0xff, 0xff],
    &[0xdb, 0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x81, 0x7e, 0xff, 0xff],
    &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
    &[0x88, 0x02, 0x03, 0xe8],
];

#[cfg(test)]
mod tests {
    use tickstorm_random::Seed;

    use super::*;

    #[test]
    fn mutations_follow_from_their_seed_and_differ() {
        let seeds: [&[u8]; 2] = [br#"{"price":"67012.5","time":1795420800104}"#, b"[1,2]"];
        let some = |seed: u64| -> Vec<Vec<u8>> {
            let stream = |number| Seed::new(seed).stream("test", number);
            (0..200).map(|number| mutated(&seeds, &mut stream(number))).collect()
        };
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let changed = some(1).iter().filter(|bytes| !seeds.contains(&bytes.as_slice())).count();
        assert!(changed > 150, "{changed} of 200 differ from their seeds");
        assert!(some(1).iter().all(|bytes| bytes.len() <= LONGEST));
    }

    #[test]
    fn a_number_is_replaced_whole() {
        let text = br#"{"p":"-67012.5","t":7}"#;
        assert_eq!(&text[number_near(text, 3)], b"-67012.5");
        assert_eq!(&text[number_near(text, 9)], b"-67012.5");
        assert_eq!(&text[number_near(text, 15)], b"7");
        assert!(number_near(text, text.len()).is_empty());
    }

    #[test]
    fn nothing_to_start_from_is_no_fault() {
        assert!(mutated(&[], &mut Seed::new(1).stream("test", 0)).len() <= LONGEST);
        assert!(mutated(&[b""], &mut Seed::new(1).stream("test", 0)).len() <= LONGEST);
    }
}
