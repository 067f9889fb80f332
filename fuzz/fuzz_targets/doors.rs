#![no_main]

use libfuzzer_sys::fuzz_target;
use tickstorm_fuzz::Target;

fuzz_target!(|data: &[u8]| Target::Doors.run(data));
