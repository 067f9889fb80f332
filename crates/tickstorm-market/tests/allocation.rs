//! After its start a market takes its messages out of memory it has.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tickstorm_market::{Listing, MarketSpec, Regime, ShardMarket};
use tickstorm_random::Seed;

/// The system's allocator, with a count of what it is asked for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: both functions hand the caller's arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size() as u64, Relaxed);
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test, because the count is the process's.
#[test]
fn messages_are_made_without_allocating_and_symbols_are_small() {
    let mut spec = MarketSpec::new(Seed::new(1), Listing::synthetic(100, Seed::new(1)));
    spec.shards = 1;
    spec.regime = Regime::VOLATILE;
    // The tables are made once for the process; the first market pays for them.
    drop(ShardMarket::new(&spec, 0).unwrap());

    let before = BYTES.load(Relaxed);
    let mut market = ShardMarket::new(&spec, 0).unwrap();
    let bytes_per_symbol = (BYTES.load(Relaxed) - before) / 100;
    assert!(bytes_per_symbol < 5_000, "{bytes_per_symbol} bytes a symbol with everything that shards share");

    let before = ALLOCATIONS.load(Relaxed);
    for number in 0..300_000 {
        // All within a quarter of an hour: later ones make the 24 h statistics grow.
        std::hint::black_box(market.next(number * 1_000));
    }
    assert_eq!(ALLOCATIONS.load(Relaxed) - before, 0);
}
