//! The way of an address through the alias files, as the MTA walks it.
//!
//! **Invariants.** Looks names up, never runs or sends anything. Ends, whatever the files
//! say: no name is followed twice.

use std::collections::BTreeSet;

use super::found::{Found, Means, Place};

/// What separates a local part from its extension (Postfix' `recipient_delimiter`).
const DELIMITER: char = '+';

/// One entry on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// How many aliases lead here; 0 for the address itself.
    pub(super) depth: usize,
    /// The alias's name, lower case.
    pub(super) name: String,
    /// What followed the `+` that the alias was found without.
    pub(super) extension: Option<String>,
    /// Where it stands: the one that the MTA takes.
    pub(super) place: Place,
    /// Its destinations.
    pub(super) ends: Vec<End>,
}

/// One destination, as far as the alias files lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// A program is run: the command without its bar.
    Pipe(Vec<u8>),
    /// Another alias, followed in a step of its own.
    Alias(String),
    /// An alias that was followed already.
    Loop(String),
    /// A local name that no alias has: a mailbox.
    Mailbox(String),
    /// An address elsewhere.
    Outside(String),
    /// A file.
    File(String),
    /// Destinations in a file, which the MTA reads.
    Include(String),
    /// What the MTA does itself, in its own words.
    Verdict(String),
}

/// The name of an alias, and what was cut off to find it.
pub(super) fn find<'n>(found: &Found, local: &'n str) -> Option<(&'n str, Option<&'n str>)> {
    if !found.places(local).is_empty() {
        return Some((local, None));
    }
    let (name, extension) = local.split_once(DELIMITER)?;
    (!found.places(name).is_empty()).then_some((name, Some(extension)))
}

/// Every entry that mail for `local`, in lower case, passes through, in the MTA's order.
pub(super) fn expand(found: &Found, local: &str) -> Vec<Step> {
    expand_behind(found, local, None)
}

/// As [`expand`], where the alias `first` led to `local`: it is not followed again.
pub(super) fn expand_behind(found: &Found, local: &str, first: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut seen: BTreeSet<String> = first.map(str::to_owned).into_iter().collect();
    let mut waiting = vec![(0, local.to_owned())];
    while let Some((depth, local)) = waiting.pop() {
        let Some((name, extension)) = find(found, &local) else {
            continue;
        };
        // The first one wins in Postfix and Exim.
        let Some(&place) = found.places(name).first() else {
            continue;
        };
        if !seen.insert(name.to_owned()) {
            continue;
        }
        let mut next = Vec::new();
        let ends = found
            .destinations(place)
            .into_iter()
            .map(|means| end(found, means, &seen, &mut next))
            .collect();
        waiting.extend(next.into_iter().rev().map(|name| (depth + 1, name)));
        steps.push(Step {
            depth,
            name: name.to_owned(),
            extension: extension.map(str::to_owned),
            place,
            ends,
        });
    }
    steps
}

fn end(found: &Found, means: Means, seen: &BTreeSet<String>, next: &mut Vec<String>) -> End {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match means {
        Means::Pipe(command) => End::Pipe(command),
        Means::File(path) => End::File(text(&path)),
        Means::Include(path) => End::Include(text(&path)),
        Means::Verdict(words) => End::Verdict(text(&words)),
        Means::Address(address) => {
            let address = text(&address);
            let local = address.to_ascii_lowercase();
            if address.contains('@') {
                End::Outside(address)
            } else if seen.contains(&local) {
                // A name that leads to itself is the user's own mailbox.
                End::Loop(local)
            } else if find(found, &local).is_some() {
                next.push(local.clone());
                End::Alias(local)
            } else {
                End::Mailbox(address)
            }
        }
    }
}

/// Names that are spelled much like `local`, at most five.
pub(super) fn near(found: &Found, local: &str) -> Vec<String> {
    let bound = (local.len() / 3).clamp(1, 3);
    let mut close: Vec<(usize, String)> = found
        .all()
        .map(|place| found.folded(place))
        .filter(|name| name.len().abs_diff(local.len()) <= bound)
        .map(|name| (distance(name.as_bytes(), local.as_bytes()), name.to_owned()))
        .filter(|(distance, _)| *distance <= bound)
        .collect();
    close.sort();
    close.dedup();
    close.into_iter().take(5).map(|(_, name)| name).collect()
}

/// How many bytes must be added, dropped or replaced to make one of the other.
pub(super) fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_cut_off_only_where_no_alias_has_the_whole_name() {
        let found = Found::of_text("toy: x\ntoy-bounces: \"|p\"\na+b: y\n");
        assert_eq!(
            find(&found, "toy-bounces+x=y"),
            Some(("toy-bounces", Some("x=y")))
        );
        assert_eq!(find(&found, "a+b"), Some(("a+b", None)));
        assert_eq!(find(&found, "a+c"), None);
        assert_eq!(find(&found, "toy"), Some(("toy", None)));
    }

    #[test]
    fn aliases_are_followed_and_a_loop_ends() {
        let found = Found::of_text("a: b, \"|p\", x@y.z\nb: c, a\nc: /var/f, nobody\n");
        let steps = expand(&found, "a");
        let names: Vec<(usize, &str)> = steps
            .iter()
            .map(|step| (step.depth, step.name.as_str()))
            .collect();
        assert_eq!(names, [(0, "a"), (1, "b"), (2, "c")]);
        assert_eq!(
            steps[0].ends,
            [
                End::Alias("b".into()),
                End::Pipe(b"p".to_vec()),
                End::Outside("x@y.z".into())
            ]
        );
        assert_eq!(
            steps[1].ends,
            [End::Alias("c".into()), End::Loop("a".into())]
        );
        assert_eq!(
            steps[2].ends,
            [End::File("/var/f".into()), End::Mailbox("nobody".into())]
        );
        assert!(expand(&found, "nobody").is_empty());
    }

    #[test]
    fn names_with_a_slip_are_near() {
        let found = Found::of_text("toylist: x\ntoylist-owner: x\nalice: x\n");
        assert_eq!(near(&found, "tyolist"), ["toylist"]);
        assert!(near(&found, "quite-else").is_empty());
    }
}
