//! Asks a real program about generated files, and tells where it reads one otherwise than we do.
//!
//! Order of events: [`search`] makes files by the thousand ([`generator`]), hands them to the
//! caller in batches, and cuts each file that the caller found a difference in down to the smallest
//! one that still has a difference ([`shrink`]). The same seed gives the same files.
//!
//! Usable from any test of the workspace: `#[path = "…/aliases/tests/differential/mod.rs"] mod …`.
//!
//! **Invariants**: no MTA is known here, nothing is started, nothing is written.

pub(crate) mod cases;
pub(crate) mod generator;
pub(crate) mod shrink;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How many different differences are told: enough to work on.
const MOST_DIFFERENCES: usize = 8;
/// How many are cut down to see whether they are different ones.
const MOST_CUT_DOWN: usize = 32;

/// How long a search goes on: until it had `files` files or took `time`, whatever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) seed: u64,
    pub(crate) files: usize,
    pub(crate) time: Duration,
}

impl Bounds {
    /// These, unless `MM_DIFFERENTIAL_FILES`, `_SECONDS` or `_SEED` (decimal numbers) say otherwise.
    pub(crate) fn from_environment(files: usize, time: Duration) -> Self {
        let number = |name: &str| {
            let text = std::env::var(format!("MM_DIFFERENTIAL_{name}")).ok()?;
            let number = text.parse::<u64>();
            Some(number.unwrap_or_else(|_| panic!("MM_DIFFERENTIAL_{name} is no number: {text:?}")))
        };
        Self {
            seed: number("SEED").unwrap_or(1998),
            files: number("FILES").map_or(files, |files| usize::try_from(files).unwrap()),
            time: number("SECONDS").map_or(time, Duration::from_secs),
        }
    }
}

/// A file that is read in two ways.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// The smallest file found.
    pub(crate) file: Vec<u8>,
    /// What the caller said about it.
    pub(crate) what: String,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) bounds: Bounds,
    /// How many files were compared, without those of the cutting down.
    pub(crate) files: usize,
    pub(crate) took: Duration,
    pub(crate) differences: Vec<Difference>,
}

impl Outcome {
    /// How much was compared, on one line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} files in {:.1} s, seed {}: {} differences",
            self.files,
            self.took.as_secs_f64(),
            self.bounds.seed,
            self.differences.len(),
        )
    }

    /// Panics with each smallest file, escaped, unless there is none.
    #[track_caller]
    pub(crate) fn expect_none(&self) {
        let mut text = String::new();
        for difference in &self.differences {
            let file = difference.file.escape_ascii();
            writeln!(text, "file: {file}\n{}", difference.what).unwrap();
        }
        assert!(text.is_empty(), "{}\n{text}", self.summary());
    }
}

/// Generates files and has them compared, `batch` at a time.
///
/// `compare` gets files and says for each, in their order, what is read otherwise; none if nothing.
pub(crate) fn search(
    bounds: Bounds,
    batch: usize,
    mut compare: impl FnMut(&[Vec<u8>]) -> Vec<Option<String>>,
) -> Outcome {
    let start = Instant::now();
    let mut files = generator::Files::new(bounds.seed);
    let mut outcome = Outcome {
        bounds,
        files: 0,
        took: Duration::ZERO,
        differences: Vec::new(),
    };
    let mut cut_down = 0;
    while outcome.files < bounds.files && start.elapsed() < bounds.time {
        let count = batch.min(bounds.files - outcome.files);
        let asked: Vec<Vec<u8>> = files.by_ref().take(count).collect();
        let told = compare(&asked);
        assert_eq!(told.len(), asked.len(), "a file was not compared");
        outcome.files += count;
        for (file, what) in asked.into_iter().zip(told) {
            let Some(what) = what else { continue };
            cut_down += 1;
            let smallest = shrink::smallest(Difference { file, what }, &mut compare);
            let known = &mut outcome.differences;
            if known.iter().all(|other| other.file != smallest.file) {
                known.push(smallest);
            }
            if known.len() == MOST_DIFFERENCES || cut_down == MOST_CUT_DOWN {
                outcome.took = start.elapsed();
                return outcome;
            }
        }
    }
    outcome.took = start.elapsed();
    outcome
}
