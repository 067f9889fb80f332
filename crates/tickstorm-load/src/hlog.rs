use std::io;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};

use crate::Histogram;

/// One interval of a histogram log, kept compressed (some kilobytes at most), so that a run can hold one for each
/// of its intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HlogInterval {
    start: Duration,
    length: Duration,
    beyond: u64,
    encoded: Vec<u8>,
}

impl HlogInterval {
    /// What `histogram` holds now, as the interval that began at run time `start` and took `length`.
    pub fn new(start: Duration, length: Duration, histogram: &Histogram) -> Self {
        Self { start, length, beyond: histogram.beyond(), encoded: histogram.encode_v2_deflate() }
    }
}

/// Writes `intervals` as a standard histogram log (`.hlog`), which HdrHistogram's readers, processors and plotters
/// take. `started` is the wall-clock time of run time zero; values are nanoseconds, the readable maximum of each
/// line is in milliseconds. Values beyond the top of a histogram have no place in the format: a comment above
/// their interval says how many there were.
pub fn write_hlog(
    mut writer: impl io::Write,
    started: SystemTime,
    intervals: &[HlogInterval],
) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut writer, &mut serializer)?;

    let mut deserializer = Deserializer::new();
    for interval in intervals {
        if interval.beyond > 0 {
            log.write_comment(&format!("[Beyond an hour, not in the next line: {}]", interval.beyond))?;
        }
        let buckets: hdrhistogram::Histogram<u64> = deserializer
            .deserialize(&mut interval.encoded.as_slice())
            .expect("the bytes were written by the same library");
        log.write_histogram(&buckets, interval.start, interval.length, None).map_err(
            |error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn the_log_reads_back_as_what_was_recorded() {
        let mut first = Histogram::new();
        (1..=1000).for_each(|millis| first.record(millis * 1_000_000));
        let mut second = Histogram::new();
        second.record_n(250_000, 7);
        let intervals = [
            HlogInterval::new(Duration::ZERO, Duration::from_secs(10), &first),
            HlogInterval::new(Duration::from_secs(10), Duration::from_millis(2_500), &second),
        ];

        let text = written(&intervals);
        let read: Vec<_> = IntervalLogIterator::new(text.as_bytes())
            .map(|entry| entry.unwrap())
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                LogEntry::StartTime(start) => {
                    assert_eq!(start, Duration::from_millis(1_700_000_000_250));
                    None
                }
                _ => None,
            })
            .collect();

        assert_eq!(read.len(), 2);
        assert_eq!(
            (read[0].start_timestamp(), read[0].duration()),
            (Duration::ZERO, Duration::from_secs(10))
        );
        assert_eq!(read[1].start_timestamp(), Duration::from_secs(10));
        assert_eq!(read[1].duration(), Duration::from_millis(2_500));
        // The longest is a second; the format gives the upper end of its bucket.
        assert!((read[0].max() - 1_000.0).abs() < 1.0);
        for (interval, histogram) in read.iter().zip([first, second]) {
            let bytes = from_base64(interval.encoded_histogram());
            assert_eq!(bytes, histogram.encode_v2_deflate());
            let buckets: hdrhistogram::Histogram<u64> =
                Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
            assert_eq!(buckets.len(), histogram.count());
            for p in [1.0, 50.0, 99.0] {
                assert_eq!(
                    buckets.value_at_percentile(p).min(histogram.max_ns()),
                    histogram.percentile_ns(p)
                );
            }
        }
    }

    #[test]
    fn the_head_is_the_one_that_other_readers_look_for() {
        let text = written(&[]);
        assert_eq!(
            text,
            "#[Histogram log format version 1.3]\n\
             #[StartTime: 1700000000.250 (seconds since epoch)]\n\
             #[BaseTime: 1700000000.250 (seconds since epoch)]\n\
             #[MaxValueDivisor: 1000000.000]\n"
        );
    }

    #[test]
    fn values_that_the_format_cannot_hold_are_mentioned() {
        let mut histogram = Histogram::new();
        histogram.record(5);
        histogram.record_n(Histogram::TOP_NS + 1, 3);
        let text = written(&[HlogInterval::new(Duration::ZERO, Duration::from_secs(1), &histogram)]);
        assert!(text.contains("#[Beyond an hour, not in the next line: 3]\n0.000,1.000,"), "{text}");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let interval = HlogInterval::new(Duration::ZERO, Duration::from_secs(1), &Histogram::new());
        let mut room = [0; 200];
        let error = write_hlog(&mut room[..], started(), &[interval]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    fn started() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
    }

    fn written(intervals: &[HlogInterval]) -> String {
        let mut bytes = Vec::new();
        write_hlog(&mut bytes, started(), intervals).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn from_base64(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = Vec::new();
        let (mut bits, mut held) = (0u32, 0);
        for symbol in text.bytes().take_while(|&symbol| symbol != b'=') {
            let value = ALPHABET.iter().position(|&known| known == symbol).unwrap();
            bits = bits << 6 | value as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
                bits &= (1 << held) - 1;
            }
        }
        bytes
    }
}
