//! What a shell offers for a word that is typed half: commands, options, and the names of lists, trees
//! and profiles.
//!
//! The shell runs the program with `MM_COMPLETE` in its environment (`manual/` writes the files that say
//! so), by the path by which it was asked for its script, and the words so far behind `--`. What cannot
//! be read is not offered: nothing is said about it, and nobody waits.
//!
//! **Invariants.** Looks only; runs nothing of a list manager's.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Command;
use clap_complete::env::CompleteEnv;
use clap_complete::{ArgValueCompleter, CompletionCandidate};

use crate::profiles::Profile;
use crate::site::{DEFAULT_SITE, Site};

/// The variable by which a shell asks. Not the usual `COMPLETE`: a cron job that finds that in its
/// environment must do its work.
const VARIABLE: &str = "MM_COMPLETE";

/// Answers a shell and ends, where one asks; returns where none does.
pub fn answer(name: &str, factory: impl Fn() -> Command) {
    CompleteEnv::with_factory(factory)
        .var(VARIABLE)
        .bin(name)
        .complete();
}

/// Names of lists.
pub fn lists() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| offered(begun, known_lists))
}

/// Names of trees.
pub fn trees() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let names = |site: Site| {
            site.config
                .trees
                .into_iter()
                .map(|tree| tree.name)
                .collect()
        };
        offered(begun, names)
    })
}

/// Names of shipped profiles.
pub fn profiles() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let begun = begun.to_string_lossy();
        let names = crate::profile::SHIPPED.iter().map(|shipped| shipped.name);
        let its = names.filter(|name| name.starts_with(&*begun));
        its.map(CompletionCandidate::new).collect()
    })
}

fn offered(begun: &OsStr, names: impl Fn(Site) -> BTreeSet<String>) -> Vec<CompletionCandidate> {
    let site = site_of(env::args_os().collect());
    let Ok(site) = Site::open(&site) else {
        return Vec::new();
    };
    let begun = begun.to_string_lossy().to_ascii_lowercase();
    let its = names(site)
        .into_iter()
        .filter(|name| name.starts_with(&begun));
    its.map(CompletionCandidate::new).collect()
}

/// The lists of all trees.
fn known_lists(site: Site) -> BTreeSet<String> {
    let trees = site.config.trees.iter();
    let found = trees.filter_map(|tree| Profile::of(&site, tree).ok()?.enumerate(tree).ok());
    let lists = found.flatten();
    lists.map(|list| list.as_str().to_owned()).collect()
}

/// The site that the words so far name.
fn site_of(words: Vec<OsString>) -> PathBuf {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--site" {
            return words.next().map_or(DEFAULT_SITE.into(), PathBuf::from);
        }
        if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--site=")) {
            return path.into();
        }
    }
    DEFAULT_SITE.into()
}
