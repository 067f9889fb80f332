//! Runs of a target over its corpus and over what comes of it by chance.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use tickstorm_random::Seed;

use crate::mutation::mutated;
use crate::{Target, fuzz_folder};

/// The inputs that are kept for a target.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// With their file names, in the order of these.
    pub inputs: Vec<(String, Vec<u8>)>,
}

impl Corpus {
    /// Reads the target's folder.
    pub fn of(target: Target) -> io::Result<Self> {
        let mut inputs = Vec::new();
        for entry in fs::read_dir(fuzz_folder().join("corpus").join(target.name()))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            inputs.push((name, fs::read(path)?));
        }
        inputs.sort();
        Ok(Self { inputs })
    }
}

/// Which mutations a target is tried with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Campaign {
    /// Everything follows from it.
    pub seed: Seed,
    /// How many.
    pub mutations: u64,
    /// Inputs that take longer are reported as slow.
    pub slow: Duration,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whose.
    pub target: Target,
    /// A file of the corpus, or the number of a mutation.
    pub input: String,
    /// What the panic said, and where.
    pub panic: String,
    /// Where the bytes were put.
    pub artifact: PathBuf,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, input, panic, artifact } = self;
        write!(f, "{}: {input}: {panic} [{}]", target.name(), artifact.display())
    }
}

impl Campaign {
    /// Runs the corpus and its mutations to the end. Of those that break a promise it returns the first for each place
    /// in the source. `slow` is called with what took long.
    pub fn run(
        &self,
        target: Target,
        corpus: &Corpus,
        mut slow: impl FnMut(&str, &[u8], Duration),
    ) -> Vec<Broken> {
        let mut places = BTreeMap::new();
        let mut attempt = |input: &str, bytes: &[u8]| {
            if let Err(panic) = attempt(target, bytes) {
                places.entry(panic.place.clone()).or_insert_with(|| broken(target, input, bytes, &panic));
            }
        };
        for (name, bytes) in &corpus.inputs {
            attempt(name, bytes);
        }
        let seeds: Vec<&[u8]> = corpus.inputs.iter().map(|(_, bytes)| &**bytes).collect();
        for number in 0..self.mutations {
            let bytes = mutated(&seeds, &mut self.seed.stream(&target.name(), number));
            let input = format!("mutation {number} of seed {}", self.seed.value());
            let mut timed = || {
                let started = Instant::now();
                attempt(&input, &bytes);
                started.elapsed()
            };
            let mut took = timed();
            // What else runs on the machine may have slowed it down.
            for _ in 0..3 {
                if took > self.slow {
                    took = took.min(timed());
                }
            }
            if took > self.slow {
                slow(&input, &bytes, took);
            }
        }
        places.into_values().collect()
    }
}

struct Panicked {
    place: String,
    message: String,
}

fn attempt(target: Target, bytes: &[u8]) -> Result<(), Panicked> {
    static HOOK: Once = Once::new();
    thread_local!(static LAST: RefCell<Option<Panicked>> = const { RefCell::new(None) });
    // Only a hook learns where a panic came from.
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let message = info.payload_as_str().unwrap_or("a panic without words").to_owned();
            LAST.set(Some(Panicked { place, message }));
            if !ATTEMPTING.get() {
                before(info);
            }
        }));
    });
    ATTEMPTING.set(true);
    let result = catch_unwind(AssertUnwindSafe(|| target.run(bytes)));
    ATTEMPTING.set(false);
    result.map_err(|_| LAST.take().expect("the hook runs before a panic is caught"))
}

thread_local! {
    /// Whether a panic of this thread is caught and told in another way.
    static ATTEMPTING: Cell<bool> = const { Cell::new(false) };
}

fn broken(target: Target, input: &str, bytes: &[u8], panic: &Panicked) -> Broken {
    let folder = fuzz_folder().join("artifacts").join(target.name());
    let artifact = folder.join(input.replace(' ', "_"));
    // What cannot be kept can be made again from its number.
    drop(fs::create_dir_all(&folder).and_then(|()| fs::write(&artifact, bytes)));
    let panic = format!("{} at {}", panic.message, panic.place);
    Broken { target, input: input.to_owned(), panic, artifact }
}
