//! What generated streams must for ever hold, as hashes. The example `fingerprints` writes the file from here too.

use std::{fmt::Write as _, time::Duration};

use tickstorm::{
    Arrivals, Export, ExportFormat, Plan, PlanErrors, Rate, RegimeChoice, Scenario, Spec, Target, Venue,
    WebSocketMessageGenerator,
};

/// From the workspace's root, where `cargo xtask` stands.
pub(crate) const FOLDER: &str = "testdata/fingerprints";

/// Files of the folder and what stands in them: one for each venue, and one for the market's own messages.
pub(crate) fn files() -> Result<Vec<(String, String)>, PlanErrors> {
    let mut files = Vec::new();
    for venue in Venue::ALL {
        let text = if venue == Venue::Binance { binance()? } else { streams(venue, ExportFormat::Jsonl)? };
        files.push((format!("{venue}.txt"), text));
    }
    files.push(("normalised.txt".to_owned(), streams(Venue::Binance, ExportFormat::MessagePack)?));
    Ok(files)
}

/// The first frozen streams, of message by message.
fn binance() -> Result<String, PlanErrors> {
    let mut text = String::from(HEAD);
    for stream in ["endless", "VOLATILE"] {
        for seed in SEEDS {
            let messages = match stream {
                "endless" => WebSocketMessageGenerator::new(seed),
                _ => WebSocketMessageGenerator::of_plan(&volatile(seed)?),
            };
            let (count, hash) = fingerprint(messages.map(|message| (message.due, message.bytes)));
            let _ = writeln!(text, "{stream} {seed} {count} {hash}");
        }
    }
    Ok(text)
}

/// Whole streams as they are written to files: instruments and books first.
fn streams(venue: Venue, format: ExportFormat) -> Result<String, PlanErrors> {
    let mut text = String::from(STREAMS_HEAD);
    for stream in ["NORMAL", "VOLATILE", "flash-crash"] {
        for seed in SEEDS {
            let mut export = Export::new(&plan(venue, stream, seed)?, format);
            let (mut hasher, mut count, mut bytes) = (blake3::Hasher::new(), 0, Vec::new());
            export.head(&mut bytes);
            while count < MILLION as u64 && export.next(&mut bytes).is_some() {
                count += 1;
                if bytes.len() > 1 << 20 {
                    hasher.update(&bytes);
                    bytes.clear();
                }
            }
            hasher.update(&bytes);
            let _ = writeln!(text, "{stream} {seed} {count} {}", hasher.finalize());
        }
    }
    Ok(text)
}

fn plan(venue: Venue, stream: &str, seed: u64) -> Result<Plan, PlanErrors> {
    let volatile = stream == "VOLATILE";
    let spec = Spec {
        venue,
        seed,
        regime: if volatile { RegimeChoice::Volatile } else { RegimeChoice::Auto },
        scenario: if stream == "flash-crash" { Scenario::FlashCrash } else { Scenario::None },
        base_rate: Rate::per_second(20_000).expect("20k/s is a rate"),
        multiplier: tickstorm::Factor::ONE,
        arrivals: Some(Arrivals::BURSTY),
        duration: Some(Duration::from_secs(51)),
        ..Spec::default()
    };
    Plan::new(&spec, &Target::default())
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

const STREAMS_HEAD: &str = "\
# stream, seed, messages, BLAKE3 of instruments, books and messages, one behind the other as in a file.
# `cargo xtask fingerprints` writes this file. A line that changes means that a seed no longer gives the same bytes.
";
