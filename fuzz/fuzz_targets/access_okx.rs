#![no_main]

use libfuzzer_sys::fuzz_target;
use tickstorm_fuzz::Target;
use tickstorm_venue::Venue;

fuzz_target!(|data: &[u8]| Target::Access(Venue::Okx).run(data));
