#![no_main]

use libfuzzer_sys::fuzz_target;
use tickstorm_fuzz::Target;
use tickstorm_venue::normalised::Format;

fuzz_target!(|data: &[u8]| Target::Reader(Format::Protobuf).run(data));
