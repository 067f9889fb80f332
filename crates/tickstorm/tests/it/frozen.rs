//! What generated streams must for ever hold, as hashes. The example `fingerprints` writes the file from here too.

use std::time::Duration;

use tickstorm::{Plan, PlanErrors, Rate, Spec, Target, WebSocketMessageGenerator};

/// From the workspace's root, where `cargo xtask` stands.
pub(crate) const FILE: &str = "testdata/fingerprints/binance.txt";

/// What stands in the file.
pub(crate) fn text() -> Result<String, PlanErrors> {
    let mut text = String::from(HEAD);
    for stream in ["endless", "VOLATILE"] {
        for seed in SEEDS {
            let messages = match stream {
                "endless" => WebSocketMessageGenerator::new(seed),
                _ => WebSocketMessageGenerator::of_plan(&volatile(seed)?),
            };
            let (count, hash) = fingerprint(messages.map(|message| (message.due, message.bytes)));
            text.push_str(&format!("{stream} {seed} {count} {hash}\n"));
        }
    }
    Ok(text)
}

/// Both the path of rates and the market in their wildest moods, arrivals bursty: a million messages and some.
pub(crate) fn volatile(seed: u64) -> Result<Plan, PlanErrors> {
    let spec = Spec {
        seed,
        profile: tickstorm::LoadProfile::VOLATILE,
        base_rate: Rate::per_second(1000).expect("1000/s is a rate"),
        duration: Some(Duration::from_secs(120)),
        ..Spec::default()
    };
    Plan::new(&spec, &Target::default())
}

/// How many messages there were, at most a million, and the hash of the due time, length and bytes of each.
pub(crate) fn fingerprint<B: AsRef<[u8]>>(
    messages: impl Iterator<Item = (Duration, B)>,
) -> (usize, blake3::Hash) {
    let mut hasher = blake3::Hasher::new();
    let mut count = 0;
    for (due, bytes) in messages.take(MILLION) {
        hasher.update(&(due.as_nanos() as u64).to_le_bytes());
        hasher.update(&(bytes.as_ref().len() as u64).to_le_bytes());
        hasher.update(bytes.as_ref());
        count += 1;
    }
    (count, hasher.finalize())
}

pub(crate) const SEEDS: [u64; 3] = [1, 2, 3];

const MILLION: usize = 1_000_000;

const HEAD: &str = "\
# stream, seed, messages, BLAKE3 of the due time (u64, ns), the length (u64) and the bytes of each; numbers little-endian.
# `cargo xtask fingerprints` writes this file. A line that changes means that a seed no longer gives the same bytes.
";
