//! Which of the records of adopted.jsonl may still be asked for.
//!
//! Three ask: `unadopt` (what stood where our bytes stand now), `commit --revert` (what the last
//! commit removed) and `check` (where mail that is still queued may lead to).
//!
//! **Invariants.** Judges records, writes nothing. Where it cannot be told, a record is needed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::found::Found;
use super::record::{Record, trimmed};
use crate::clock::Timestamp;

/// How long mail may wait in a queue with a command that was expanded before, in seconds.
///
/// Source: measured defaults; five days at most.
pub(super) const QUEUED: i64 = 5 * 86_400;

/// For each record whether it is needed, with the alias files as they were found at `now`.
pub(super) fn needed(all: &[Record<'_>], found: &Found, now: Timestamp) -> Vec<bool> {
    let mut newest = HashMap::new();
    for (n, record) in all.iter().enumerate() {
        newest.insert((record.file(), record.name()), n);
    }
    let is_removal = |n: usize, record: &Record<'_>| {
        let last = newest.get(&(record.file(), record.name())) == Some(&n);
        last && record.written.is_none() && record.by == "commit"
    };
    // What a revert would put back is to be as good as what stands.
    let removed: HashSet<_> = all
        .iter()
        .enumerate()
        .filter(|&(n, record)| is_removal(n, record))
        .filter_map(|(_, record)| Some((record.file(), trimmed(&record.before.as_ref()?.0))))
        .collect();
    let mut later = HashSet::new();
    let mut needed: Vec<bool> = all
        .iter()
        .enumerate()
        .rev()
        .map(|(n, record)| {
            let what = (
                record.file(),
                record.name(),
                text(&record.before),
                text(&record.written),
            );
            let told_again = !later.insert(what);
            // What unadopt wrote is nobody's of ours, and is not asked for.
            let stands = record.by != "unadopt"
                && record.before.is_some()
                && record.written.as_ref().is_some_and(|written| {
                    let written = trimmed(&written.0);
                    stands(found, record, written) || removed.contains(&(record.file(), written))
                });
            !told_again
                && (stands
                    || is_removal(n, record)
                    || is_young(record, now)
                    || is_afar(found, record))
        })
        .collect();
    needed.reverse();
    needed
}

fn text<'t>(text: &'t Option<super::record::Text<'_>>) -> Option<&'t [u8]> {
    text.as_ref().map(|text| text.0.as_ref())
}

/// Whether these bytes are an entry's now.
fn stands(found: &Found, record: &Record<'_>, written: &[u8]) -> bool {
    let name = String::from_utf8_lossy(record.name());
    found.places(&name).iter().any(|&place| {
        found.path(place) == Path::new(record.file()) && trimmed(found.raw(place)) == written
    })
}

/// Whether mail may still be queued for what stood there before.
fn is_young(record: &Record<'_>, now: Timestamp) -> bool {
    let since = now.0 - QUEUED;
    record.before.is_some() && Timestamp::parse(&record.when).is_none_or(|when| when.0 >= since)
}

/// Whether its file is none of those that were read: nobody can say what stands there.
fn is_afar(found: &Found, record: &Record<'_>) -> bool {
    let path = Path::new(record.file());
    !found.files.iter().any(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::super::record::Text;
    use super::*;

    const LATER: Timestamp = Timestamp(4_000_000_000);

    fn record<'r>(
        found: &'r Found,
        by: &'r str,
        before: Option<&'r str>,
        written: Option<&'r str>,
    ) -> Record<'r> {
        let now = Timestamp::now().to_string();
        let mut record = Record::new((by, 1), "", &found.files[0].path, &b"toy"[..]);
        record.when = now.into();
        record.before = before.map(|text| Text::of(text.as_bytes()));
        record.written = written.map(|text| Text::of(text.as_bytes()));
        record
    }

    #[test]
    fn what_stands_and_what_a_revert_would_put_back_is_needed_and_nothing_else() {
        let found = Found::of_text("toy: \"|new\"");
        let (old, new, other) = (
            Some("toy: old\n"),
            Some("toy: \"|new\"\n"),
            Some("toy: x\n"),
        );
        let row = |by, before, written| record(&found, by, before, written);
        for (records, wanted) in [
            (vec![row("adopt", old, new)], &[true][..]),
            (
                vec![row("adopt", old, new), row("adopt", old, new)],
                &[false, true],
            ),
            (
                vec![row("adopt", old, other), row("unadopt", other, old)],
                &[false, false],
            ),
            (vec![row("sync", None, new)], &[false]),
            (vec![row("unadopt", old, new)], &[false]),
            (
                vec![row("adopt", old, other), row("commit", other, None)],
                &[true, true],
            ),
            (
                vec![row("commit", other, None), row("revert", None, other)],
                &[false, false],
            ),
            (vec![row("sync", new, None)], &[false]),
        ] {
            assert_eq!(needed(&records, &found, LATER), wanted, "{records:?}");
            // As long as mail may be queued, what it may lead to is known.
            let now = needed(&records, &found, Timestamp::now());
            let has_before = |n: usize| records[n].before.is_some();
            let told_once = |n: usize| {
                !records[n + 1..]
                    .iter()
                    .any(|r| (&r.before, &r.written) == (&records[n].before, &records[n].written))
            };
            for (n, &young) in now.iter().enumerate() {
                assert_eq!(
                    young,
                    wanted[n] || (has_before(n) && told_once(n)),
                    "{records:?}"
                );
            }
        }
        let mut afar = row("adopt", old, other);
        afar.when = "1998-06-01T00:00:00Z".into();
        assert_eq!(needed(&[afar], &Found::of_text("x: y\n"), LATER), [true]);
    }
}
