//! Every corpus, and what comes of it by chance.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tickstorm_fuzz::{Campaign, Corpus, Target, fuzz_folder};
use tickstorm_random::Seed;

/// The system's allocator, which remembers the largest piece that it was asked for.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: both functions hand the caller's arguments on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Relaxed);
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Inputs have at most 64 KiB, but to keep a record beside its text, a picture or a table takes more than these.
const LARGEST_ALLOWED: usize = 16 << 20;

const CAMPAIGN: Campaign = Campaign { seed: Seed::new(2026), mutations: 300, slow: Duration::MAX };

#[test]
fn every_parser_keeps_its_promises_over_its_corpus_and_mutations_of_it() {
    let mut broken = Vec::new();
    for target in Target::all() {
        LARGEST.store(0, Relaxed);
        let corpus = Corpus::of(target).unwrap();
        assert!(!corpus.inputs.is_empty(), "{} has no corpus", target.name());
        broken.extend(CAMPAIGN.run(target, &corpus, |_, _, _| {}).iter().map(ToString::to_string));
        let largest = LARGEST.load(Relaxed);
        assert!(largest <= LARGEST_ALLOWED, "{} asked for {largest} bytes at once", target.name());
    }
    assert!(broken.is_empty(), "{CAMPAIGN:?} broke:\n{}", broken.join("\n"));
}

#[test]
fn every_target_is_a_program_and_has_a_corpus() {
    let names: BTreeSet<String> = Target::all().into_iter().map(Target::name).collect();
    let of_folder = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz_folder().join(folder)).unwrap();
        let stem = |path: std::path::PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    assert_eq!(of_folder("fuzz_targets"), names);
    assert_eq!(of_folder("corpus"), names);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(
            manifest.contains(&format!("name = \"{name}\"\n")),
            "{name} is no program of fuzz/Cargo.toml"
        );
    }
}
