//! Storms a WebSocket server; without an address, the built-in target. Prints the summary.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::time::Duration;

use tickstorm::{AckMode, LoadGenerator, LoadProfile, Target};
use tickstorm_report::{Style, summary};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1);
    let generator = match address {
        // The n-th reply of this server answers the n-th message of the connection.
        Some(address) => {
            LoadGenerator::builder().target(address.parse()?).configure(|spec| spec.ack = Some(AckMode::Fifo))
        }
        None => LoadGenerator::builder().target(Target::default()),
    };
    let generator = generator.base_rate(1000.0).build()?;
    let report = generator.run_load_test(Duration::from_secs(2), 10.0, LoadProfile::SPIKE).await?;
    println!("{}", summary(&report, Style::default()));
    Ok(())
}
