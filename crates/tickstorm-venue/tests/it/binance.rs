//! What Binance's data can show of damage, and what nobody can see.

use std::collections::BTreeMap;

use tickstorm_market::{Kind, Regime};

use crate::wire::Wire;

/// Where damage was done, by event and field, and whether each digit was found.
type Findings = BTreeMap<(&'static str, String), Vec<bool>>;

/// Changes every digit of a message, one after another, and has a consumer read it and what follows.
fn flip_every_digit(
    wire: &Wire,
    kind: Kind,
    message: &[u8],
    following: &[(Kind, Vec<u8>)],
    findings: &mut Findings,
) {
    for at in (0..message.len()).filter(|&at| message[at].is_ascii_digit()) {
        let mut damaged = message.to_vec();
        damaged[at] = b'0' + (damaged[at] - b'0' + 1) % 10;
        let (mut decoder, mut replica) = (wire.decoder.clone(), wire.replica.clone());
        let mut found = false;
        for bytes in std::iter::once(&damaged).chain(following.iter().map(|(_, bytes)| bytes)) {
            decoder.decode_each(bytes, |said| {
                found |= said.map_or(true, |said| replica.apply(&said).is_err());
            });
            if found {
                break;
            }
        }
        if let Some(field) = field_at(message, at) {
            findings.entry((kind.name(), field)).or_default().push(found);
        }
    }
}

/// The name of the field that a byte belongs to; none if it is part of a name.
fn field_at(message: &[u8], at: usize) -> Option<String> {
    let before = std::str::from_utf8(&message[..at]).expect("messages are text");
    let end = before.rfind("\":")?;
    let start = before[..end].rfind('"')? + 1;
    Some(before[start..end].to_owned())
}

#[test]
fn what_a_flipped_digit_reveals() {
    let mut wire = Wire::binance(1, 2, Regime::NORMAL);
    wire.run(20_000);
    let stream: Vec<(Kind, Vec<u8>)> = std::iter::repeat_with(|| {
        let message = wire.next();
        let mut bytes = Vec::new();
        wire.encoder.encode(&message, &mut wire.numbering, &mut bytes);
        (message.body.kind(), bytes)
    })
    .take(20_000)
    .collect();
    let mut findings = Findings::new();
    let mut seen = BTreeMap::<Kind, u32>::new();
    for (at, (kind, bytes)) in stream[..stream.len() - AHEAD].iter().enumerate() {
        let seen = seen.entry(*kind).or_default();
        *seen += 1;
        if *seen <= 10 {
            flip_every_digit(&wire, *kind, bytes, &stream[at + 1..][..AHEAD], &mut findings);
        }
        wire.bytes.clone_from(bytes);
        assert_eq!(wire.receive(), None);
    }
    let fields = |wanted: fn(&[bool]) -> bool| {
        let mut lines = BTreeMap::<&str, String>::new();
        for ((kind, field), _) in findings.iter().filter(|(_, found)| wanted(found)) {
            let line = lines.entry(kind).or_insert_with(|| format!("{kind}:"));
            *line += &format!(" {field}");
        }
        lines.into_values().collect::<Vec<String>>()
    };
    assert_eq!(fields(|found| found.iter().all(|&found| found)), ALWAYS_FOUND);
    assert_eq!(fields(|found| !found.iter().any(|&found| found)), NEVER_FOUND);
}

#[test]
fn swapped_trades_are_a_gap_and_an_old_one() {
    let mut wire = Wire::binance(5, 1, Regime::NORMAL);
    wire.run(500);
    let first = wire.run_until(Kind::Trade);
    let mut between = Vec::new();
    let second = loop {
        let message = wire.next();
        match message.body.kind() {
            Kind::Trade => break message,
            _ => between.push(message),
        }
    };
    let found: Vec<_> = [second]
        .iter()
        .chain(&between)
        .chain([&first])
        .filter_map(|message| {
            wire.send(message).filter(|kind| kind.ends_with("_trade") || kind.starts_with("trade_"))
        })
        .collect();
    assert_eq!(found, ["trade_gap", "old_trade"]);
}

/// Fields of which every digit counts: another message says the same, or a sum does.
const ALWAYS_FOUND: [&str; 6] = [
    "balance: f l",
    "book: U u",
    "execution: Y Z l z",
    "quote: A B a b",
    "ticker: A B F L Q a b c e n o p v",
    "trade: p q t",
];

/// Times, numbers that nothing refers to, and what a consumer has no use for.
const NEVER_FOUND: [&str; 5] =
    ["balance: E u", "book: E", "execution: C E F I O P Q T W c g t", "ticker: C E O", "trade: E T"];

/// Messages that may reveal the damage.
const AHEAD: usize = 1_000;
