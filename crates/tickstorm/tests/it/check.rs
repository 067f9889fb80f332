//! What is exported is found to be in order, and what is wrong with it afterwards is found and named.

use std::time::Duration;

use tickstorm::check::{
    CheckError, CheckOptions, CheckReport, CheckVerdict, Compression, Conduct, StreamExpectation, StreamKind,
    check,
};
use tickstorm::{
    Arrivals, Export, ExportCadence, ExportFormat, Factor, Plan, Rate, RegimeChoice, Scenario, Spec, Target,
    Venue,
};

const VENUES: &[Venue] = &Venue::ALL;

fn plan(change: impl FnOnce(&mut Spec), messages: u64) -> Plan {
    let mut spec = Spec {
        seed: 7,
        symbols: 20,
        base_rate: Rate::per_second(20_000).unwrap(),
        multiplier: Factor::ONE,
        arrivals: Some(Arrivals::BURSTY),
        duration: Some(Duration::from_secs_f64(messages as f64 / 20_000.0)),
        ..Spec::default()
    };
    change(&mut spec);
    Plan::new(&spec, &Target::default()).unwrap()
}

/// A stream, the beginning apart and each message apart.
fn parts(plan: &Plan, format: ExportFormat, cadence: ExportCadence) -> Vec<Vec<u8>> {
    let mut export = Export::with(plan, format, cadence, plan.spec().venue.rules().whole_depth());
    let mut parts = vec![Vec::new()];
    export.head(&mut parts[0]);
    loop {
        let mut part = Vec::new();
        if export.next(&mut part).is_none() {
            break;
        }
        parts.push(part);
    }
    let mut last = Vec::new();
    export.finish(&mut last);
    parts.push(last);
    parts
}

fn stream(plan: &Plan, format: ExportFormat, cadence: ExportCadence) -> Vec<u8> {
    parts(plan, format, cadence).concat()
}

/// Without judging the market: most streams here are too short for that.
fn look(stream: &[u8]) -> CheckReport {
    check(stream, &CheckOptions::default()).unwrap()
}

#[test]
fn every_format_of_a_short_stream_is_in_order() {
    for &venue in VENUES {
        for format in ExportFormat::ALL {
            let plan = plan(|spec| spec.venue = venue, 40_000);
            let report = look(&stream(&plan, format, ExportCadence::Realtime));
            assert!(report.faults.is_clean(), "{venue} {format}: {:?}", report.faults);
            assert_eq!((report.instruments, report.format), (20, format), "{venue}");
            assert!((1.9..2.1).contains(&report.span_s), "{venue} {format}: {}", report.span_s);
            if format.is_of_venue() {
                assert_eq!(report.stream, StreamKind::Venue(venue, Conduct::Realtime));
            } else {
                assert_eq!(report.messages.values().sum::<u64>(), 40_000, "{:?}", report.messages);
            }
        }
    }
}

#[test]
fn a_venues_own_rhythm_is_told_and_in_order() {
    for &venue in VENUES {
        let plan = plan(|spec| spec.venue = venue, 40_000);
        for format in [ExportFormat::Jsonl, ExportFormat::Frames] {
            let report = look(&stream(&plan, format, ExportCadence::Venue));
            assert!(report.faults.is_clean(), "{venue} {format}: {:?}", report.faults);
            // Kraken has no rhythm: it sends every change at once.
            let folds = venue.rules().cadence.book_ns > 0;
            let conduct = if folds { Conduct::Batched } else { Conduct::Realtime };
            assert_eq!(report.stream, StreamKind::Venue(venue, conduct));
            let hidden = report.notes.iter().any(|note| note.contains("cannot be told"));
            assert_eq!(hidden, folds, "{venue} {:?}", report.notes);
        }
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes_and_another_seed_gives_others() {
    for format in ExportFormat::ALL {
        let of_seed = |seed| stream(&plan(|spec| spec.seed = seed, 2_000), format, ExportCadence::Realtime);
        assert!(of_seed(7) == of_seed(7), "{format}");
        assert!(of_seed(7) != of_seed(8), "{format}");
    }
}

/// What may happen to a stream on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Dropped,
    Doubled,
    Swapped,
    Truncated,
    Corrupted,
}

/// A book change in the middle of a stream after which the next message of its symbol is a book change too.
fn book_changes(parts: &[Vec<u8>]) -> (usize, usize) {
    let symbol = |part: &[u8]| -> Option<String> {
        let text = std::str::from_utf8(part).ok()?;
        text.starts_with("{\"e\":\"depthUpdate\"").then_some(())?;
        Some(text.split("\"s\":\"").nth(1)?.split('"').next()?.to_owned())
    };
    let any = |part: &[u8], name: &str| String::from_utf8_lossy(part).contains(name);
    (parts.len() / 2..parts.len())
        .find_map(|one| {
            let name = symbol(&parts[one])?;
            let next = (one + 1..parts.len()).find(|&next| any(&parts[next], &name))?;
            (symbol(&parts[next])? == name).then_some((one, next))
        })
        .expect("books change often")
}

#[test]
fn harm_to_a_message_is_found_in_its_line() {
    let plan = plan(|_| {}, 4_000);
    let lines = parts(&plan, ExportFormat::Jsonl, ExportCadence::Realtime);
    let (one, next) = book_changes(&lines);
    for format in ExportFormat::ALL {
        let parts = parts(&plan, format, ExportCadence::Realtime);
        // A venue tells fewer kinds, so that its messages are others.
        let (one, next) = if format.is_of_venue() { (one, next) } else { (2_000, 2_001) };
        let line_of = |part: usize| look(&parts[..=part].concat()).lines;
        for harm in [Harm::Dropped, Harm::Doubled, Harm::Swapped, Harm::Truncated, Harm::Corrupted] {
            let mut harmed = parts.clone();
            let mut expected = line_of(one)..=line_of(next);
            match harm {
                Harm::Dropped => drop(harmed.remove(one)),
                Harm::Doubled => harmed.insert(one, parts[one].clone()),
                Harm::Swapped => harmed.swap(one, next),
                Harm::Truncated => {
                    let half = parts[one].len() / 2;
                    harmed[one].truncate(half);
                    if format == ExportFormat::Jsonl || format == ExportFormat::Csv {
                        harmed[one].push(b'\n');
                    }
                    expected = line_of(one)..=line_of(one) + 1;
                }
                Harm::Corrupted => {
                    let middle = parts[one].len() / 2;
                    let places = middle..parts[one].len();
                    let place =
                        places.into_iter().find(|&it| parts[one][it].is_ascii_digit() || !format.is_text());
                    harmed[one][place.unwrap()] ^= 0x55;
                }
            }
            let what = format!("{format} {harm:?}, expected in {expected:?}");
            let report = match check(harmed.concat().as_slice(), &CheckOptions::default()) {
                Ok(report) => report,
                Err(CheckError::Frame { number, .. }) => {
                    assert!(expected.contains(&number), "{what}: {number}");
                    continue;
                }
                Err(error) => panic!("{what}: {error}"),
            };
            assert_eq!(report.verdict(), CheckVerdict::Fail, "{what}");
            let first = &report.faults.first[0];
            let slack = if format.is_of_venue() { 0 } else { 200 };
            assert!((*expected.start()..=*expected.end() + slack).contains(&first.line), "{what}: {first:?}");
        }
    }
}

#[test]
fn times_of_receipt_in_front_are_read() {
    let plan = plan(|_| {}, 4_000);
    let bytes = stream(&plan, ExportFormat::Jsonl, ExportCadence::Realtime);
    let text = String::from_utf8(bytes).unwrap();
    let timed = |(index, line): (usize, &str)| {
        format!("{}.{:03} {line}\n", 1_795_420_800 + index / 1_000, index % 1_000)
    };
    let recorded: String = text.lines().enumerate().map(timed).collect();
    let report = look(recorded.as_bytes());
    assert!(report.faults.is_clean(), "{:?}", report.faults);
    assert!((3.9..4.1).contains(&report.span_s), "{}", report.span_s);
}

#[test]
fn a_recording_without_its_instruments_is_still_followed() {
    for &venue in VENUES {
        let plan = plan(|spec| spec.venue = venue, 20_000);
        let bytes = stream(&plan, ExportFormat::Jsonl, ExportCadence::Realtime);
        let first = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let report = look(&bytes[first..]);
        assert!(report.faults.is_clean(), "{venue}: {:?}", report.faults);
        assert_eq!(report.instruments, 20, "{venue}");
        assert!(report.notes.iter().any(|note| note.contains("no message lists")), "{:?}", report.notes);
    }
}

#[test]
fn what_is_no_stream_is_refused_with_a_reason() {
    let refusal = |bytes: &[u8]| check(bytes, &CheckOptions::default()).unwrap_err();
    assert!(matches!(refusal(b""), CheckError::Empty));
    assert!(matches!(refusal(b"\x1f\x8b\x08\0"), CheckError::Compressed { with: Compression::Gzip }));
    assert!(matches!(
        refusal(b"\x28\xb5\x2f\xfd\0"),
        CheckError::Compressed { with: Compression::Zstandard }
    ));
    assert!(matches!(refusal(b"<html>"), CheckError::Foreign { .. }));
    assert!(matches!(refusal(b"\x7fELF\x02\x01\x01"), CheckError::Foreign { .. }));
    assert!(matches!(refusal(b"{\"a\":1}\n{\"b\":2}\n"), CheckError::UnknownVenue { lines: 2 }));
    assert!(matches!(refusal(b"\n\n"), CheckError::Foreign { .. } | CheckError::Empty));
    let quiet = b"{\"result\":null,\"id\":1,\"status\":200}\n";
    assert!(matches!(refusal(quiet), CheckError::NoInstruments { venue: Venue::Binance, lines: 1 }));
}

#[test]
fn arbitrary_bytes_never_panic() {
    let plan = plan(|_| {}, 200);
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for format in ExportFormat::ALL {
        let sound = stream(&plan, format, ExportCadence::Realtime);
        for _ in 0..100 {
            let mut bytes = sound.clone();
            for _ in 0..1 + random() % 20 {
                let place = random() as usize % bytes.len();
                match random() % 3 {
                    0 => bytes[place] = random() as u8,
                    1 if bytes.len() > 1 => drop(bytes.remove(place)),
                    _ => bytes.truncate(place.max(1)),
                }
            }
            if let Ok(report) =
                check(bytes.as_slice(), &CheckOptions { pictures: true, ..CheckOptions::default() })
            {
                assert!(report.page("", "").is_some() && !report.to_json().is_null());
            }
        }
    }
}

fn assert_passes(plan: &Plan, format: ExportFormat, cadence: ExportCadence) {
    let expectation = Some(StreamExpectation::of_plan(plan));
    let stream = stream(plan, format, cadence);
    let report = check(stream.as_slice(), &CheckOptions { expectation, ..CheckOptions::default() }).unwrap();
    assert_eq!(report.verdict(), CheckVerdict::Pass, "{format}: {:#}", report.to_json());
}

#[test]
fn a_long_stream_meets_every_band() {
    for (regime, arrivals) in [(RegimeChoice::Normal, "bursty"), (RegimeChoice::Volatile, "bursty:volatile")]
    {
        let change = |spec: &mut Spec| (spec.regime, spec.arrivals) = (regime, arrivals.parse().ok());
        let plan = plan(change, 1_200_000);
        for format in [ExportFormat::MessagePack, ExportFormat::Jsonl] {
            assert_passes(&plan, format, ExportCadence::Realtime);
        }
    }
}

#[test]
fn every_venues_long_stream_meets_every_band_that_it_shows() {
    for &venue in VENUES {
        for (regime, arrivals) in
            [(RegimeChoice::Normal, "bursty"), (RegimeChoice::Volatile, "bursty:volatile")]
        {
            let change = |spec: &mut Spec| {
                (spec.venue, spec.regime, spec.arrivals) = (venue, regime, arrivals.parse().ok());
            };
            assert_passes(&plan(change, 1_200_000), ExportFormat::Jsonl, ExportCadence::Realtime);
        }
    }
}

#[test]
fn what_a_venues_rhythm_does_not_hide_lies_in_its_bands() {
    for (regime, arrivals) in [(RegimeChoice::Normal, "bursty"), (RegimeChoice::Volatile, "bursty:volatile")]
    {
        let change = |spec: &mut Spec| (spec.regime, spec.arrivals) = (regime, arrivals.parse().ok());
        assert_passes(&plan(change, 1_200_000), ExportFormat::Jsonl, ExportCadence::Venue);
    }
}

#[test]
fn books_of_every_depth_are_followed() {
    for &venue in VENUES {
        for &depth in venue.rules().depths {
            let plan = plan(|spec| spec.venue = venue, 60_000);
            let mut export = Export::with(&plan, ExportFormat::Jsonl, ExportCadence::Realtime, depth);
            let mut stream = Vec::new();
            export.head(&mut stream);
            while export.next(&mut stream).is_some() {}
            let report = look(&stream);
            assert!(report.faults.is_clean(), "{venue} {depth}: {:#?}", report.faults);
        }
    }
}

#[test]
fn a_flash_crash_is_what_its_plan_says() {
    let plan = plan(|spec| spec.scenario = Scenario::FlashCrash, 1_200_000);
    assert_passes(&plan, ExportFormat::MessagePack, ExportCadence::Realtime);
}

#[test]
fn a_market_of_another_mood_than_expected_fails() {
    let calm = plan(|_| {}, 400_000);
    let upset = plan(|spec| spec.regime = RegimeChoice::Volatile, 400_000);
    let expectation = Some(StreamExpectation::of_plan(&calm));
    let stream = stream(&upset, ExportFormat::MessagePack, ExportCadence::Realtime);
    let report = check(stream.as_slice(), &CheckOptions { expectation, ..CheckOptions::default() }).unwrap();
    assert!(report.faults.is_clean());
    assert_eq!(report.verdict(), CheckVerdict::Fail, "{:#}", report.to_json());
}
