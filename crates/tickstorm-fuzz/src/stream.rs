//! Recordings of unknown origin.

use tickstorm::check::{CheckOptions, check as checked};
use tickstorm_venue::{Conduct, Decoder, Replica, Venue, sniff as sniffed};

use crate::instruments::work_with;

/// Whoever's messages they are taken for, an instrument that was told from them can be worked with.
pub(crate) fn sniff(data: &[u8]) {
    let lines = || data.split(|&byte| byte == b'\n');
    let _ = sniffed::venue(lines());
    for venue in Venue::ALL {
        let Some(listing) = sniffed::listing(venue, lines()) else { continue };
        work_with(venue, &listing);
        let (mut decoder, mut replica) = (Decoder::new(venue, &listing), Replica::new(venue, &listing));
        for line in lines() {
            decoder.decode_each(line, |said| {
                if let Ok(said) = said {
                    drop(replica.apply(&said));
                }
            });
        }
    }
}

/// Whatever it is, it is found to be something or nothing, and the findings can be shown.
pub(crate) fn check(data: &[u8]) {
    let found_out = CheckOptions { pictures: true, ..CheckOptions::default() };
    let told = Venue::ALL.map(|venue| CheckOptions {
        venue: Some(venue),
        conduct: Some(Conduct::Realtime),
        ..CheckOptions::default()
    });
    for options in [found_out].iter().chain(&told) {
        match checked(data, options) {
            Ok(report) => {
                assert!(report.span_s.is_finite() && report.span_s >= 0.0, "{} s", report.span_s);
                drop((report.verdict(), report.to_json().to_string()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
