//! Storms an async function in this process: a step-up loop that stops at the first multiplier the function fails.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::time::Duration;

use tickstorm::{LoadGenerator, LoadProfile, Message, Target};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Your processing logic; false or an error is a failed message.
    async fn process_message(message: Message) -> bool {
        tokio::time::sleep(Duration::from_millis(1)).await;
        !message.bytes.is_empty()
    }

    let generator =
        LoadGenerator::builder().target(Target::call(process_message)).base_rate(100.0).build()?;
    for multiplier in [1.0, 10.0, 50.0] {
        let report = generator.run_load_test(Duration::from_secs(1), multiplier, LoadProfile::NORMAL).await?;
        println!(
            "{multiplier:>4}x: {} messages, {:?}, p99 {:.2} ms",
            report.total_messages,
            report.verdict.outcome,
            report.p99_latency_ms.unwrap_or_default()
        );
        if generator.metrics().error_rate > 0.01 {
            break;
        }
    }
    Ok(())
}
