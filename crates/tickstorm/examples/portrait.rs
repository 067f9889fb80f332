//! Writes pictures of a market: `portrait FILE.html [SEED] [normal|volatile|flash-crash] [MESSAGES]`.

use std::time::Duration;

use tickstorm::portrait::{Portrait, page, realism_rows};
use tickstorm_load::{Factor, Path, Rate, Schedule, ScheduleSpec};
use tickstorm_market::realism::{Expectation, Mood, Realism};
use tickstorm_market::{FlashCrash, Listing, MarketSpec, Regime, ShardMarket};
use tickstorm_random::Seed;
use tickstorm_report::plot::plot_html;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("where to write: FILE.html [SEED] [REGIME] [MESSAGES]")?;
    let number: u64 = arguments.next().map_or(Ok(1), |seed| seed.parse())?;
    let seed = Seed::new(number);
    let regime = arguments.next().unwrap_or_else(|| "normal".to_owned());
    let messages: u64 = arguments.next().map_or(Ok(1_200_000), |count| count.parse())?;

    // A minute of a hundred symbols.
    let run = Duration::from_secs(60);
    let mut market = MarketSpec {
        shards: 1,
        ..MarketSpec::new(seed.child("market", 0), Listing::synthetic(100, seed.child("listing", 0)))
    };
    let schedule = Schedule::new(ScheduleSpec {
        arrivals: if regime == "normal" { "bursty" } else { "bursty:volatile" }.parse()?,
        seed: seed.child("schedule", 0),
        shard_weights: market.shard_weights(),
        ..ScheduleSpec::new(Rate::per_second(messages / 60)?, Path::constant(Factor::ONE, run)?)
    })?;
    match regime.as_str() {
        "normal" => {}
        "volatile" => market.regime = Regime::VOLATILE,
        "flash-crash" => {
            market.regime_path = FlashCrash::default().path(run, |at_ns| schedule.due_by(at_ns))?.into();
        }
        other => return Err(format!("the regime is normal, volatile or flash-crash, got {other}").into()),
    }

    let mut shard = ShardMarket::new(&market, 0)?;
    let symbols = market.listing.instruments.len();
    let mut portrait = Portrait::new(symbols, &shard.snapshots());
    let mut realism = Realism::new(symbols, &shard.snapshots());
    let (mut clock, mut slots) = (schedule.clock(|_| true), Vec::new());
    while clock.next_cell(&mut slots).is_some() {
        for slot in slots.drain(..) {
            let message = shard.next(slot.due_ns());
            portrait.observe(message);
            realism.observe(message);
        }
    }
    let mut page = page(
        &format!("Market: {}", regime.replace('-', " ")),
        &format!("{messages} messages about {symbols} symbols in a minute, seed {number}."),
        &portrait.finish(),
        &market.listing,
    );
    if regime != "flash-crash" {
        let mood = if regime == "normal" { Mood::Normal } else { Mood::Volatile };
        page.table = Some(realism_rows(&realism.finish(Expectation { mood, ..Expectation::default() })));
    }
    std::fs::write(file, plot_html(&page))?;
    Ok(())
}
