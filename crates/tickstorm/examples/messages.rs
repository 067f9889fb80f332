//! Prints the first messages of a seed, one JSON a line, and then the best prices of the busiest book.
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use tickstorm::WebSocketMessageGenerator;

fn main() {
    let mut messages = WebSocketMessageGenerator::new(1);
    for message in messages.by_ref().take(20) {
        println!("{:>9} {}", message.kind.name(), String::from_utf8_lossy(&message.bytes));
    }
    if let Some(book) = messages.snapshot(0) {
        println!("best bid {:?}, best ask {:?} (ticks, lots)", book.bids.first(), book.asks.first());
    }
}
