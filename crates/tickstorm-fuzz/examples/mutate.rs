//! Tries targets with many mutations: `cargo run -p tickstorm-fuzz --example mutate -- [COUNT [SEED [TARGET]]]`.

#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tickstorm_fuzz::{Campaign, Corpus, Target};
use tickstorm_random::Seed;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mutations = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let seed = Seed::new(arguments.next().map_or(Ok(1), |seed| seed.parse())?);
    let wanted = arguments.next().unwrap_or_default();
    let campaign = Campaign { seed, mutations, slow: Duration::from_millis(100) };
    let mut broken = 0;
    for target in Target::all().into_iter().filter(|target| target.name().contains(&wanted)) {
        let corpus = Corpus::of(target)?;
        let slow = |input: &str, bytes: &[u8], took: Duration| {
            println!("{}: {input}: {} bytes took {took:?}", target.name(), bytes.len());
        };
        let found = campaign.run(target, &corpus, slow);
        println!("{}: {} broken promises", target.name(), found.len());
        found.iter().for_each(|one| println!("{one}"));
        broken += found.len();
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
