//! Why an entry that pipes into a list manager is left as it is, and what to type about it.
//!
//! **Invariants.** Words only. What comes from a file stands in them escaped.

use std::fmt;
use std::path::PathBuf;

use super::found::{Found, Means, Place};
use super::leads::Odd;
use super::pipe::{Trees, Unwritable};
use super::repeated;
use super::typed::typed;
use crate::config::Mta;

/// Why an entry that pipes into a tree is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// A quote, a shell character or another program: it is more than a program and its words.
    Shell,
    /// A second program stands beside it.
    SecondProgram,
    /// A name beside it leads to a second program, and Postfix reads it.
    Behind(String),
    /// The name stands more than once.
    Double,
    /// It is for no list of ours.
    Odd(String, Odd),
    /// It leads into no tree of this site.
    Third(PathBuf),
    /// The MTA would run it through smrsh, which has not this link to mm-deliver.
    Smrsh(PathBuf),
    /// Our command would not pass every MTA.
    Unwritable(Unwritable),
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Odd::Words => {
                f.write_str("the words behind the program are none that its profile knows")
            }
            Odd::Name(name, bad) => write!(f, "{name:?} is no list name: {bad}"),
            Odd::Foreign(list) => {
                write!(
                    f,
                    "list {:?} is of a domain that is not the tree's",
                    list.as_str()
                )
            }
            Odd::SiteWide(name) => {
                write!(
                    f,
                    "{name:?} belongs to the list manager as a whole, and is no list"
                )
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Shell => f.write_str(
                "its command has quotes, shell characters or another program around the tree's",
            ),
            Why::SecondProgram => f.write_str(
                "it runs a second program, which Postfix would run again whenever mm-deliver \
                 asks it to try again",
            ),
            Why::Behind(name) => write!(
                f,
                "it also goes to {name:?}, which leads to a second program: Postfix would run that \
                 again whenever mm-deliver asks it to try again"
            ),
            Why::Double => f.write_str("the name stands more than once"),
            Why::Odd(_, odd) => odd.fmt(f),
            Why::Third(root) => write!(f, "it pipes into {root:?}, which is no tree of this site"),
            Why::Smrsh(link) => write!(
                f,
                "smrsh would run it, and {link:?} does not lead to mm-deliver: mail would bounce"
            ),
            Why::Unwritable(why) => why.fmt(f),
        }
    }
}

impl Why {
    /// What the admin may do about it in its entry; `None` if there is nothing to be done.
    pub(super) fn advice(&self, trees: &Trees<'_>, found: &Found, place: Place) -> Option<String> {
        let name = &found.folded(place);
        let again = typed(trees.site, "adopt");
        Some(match self {
            Why::Shell => {
                format!("write the program and its words alone, then {again}")
            }
            // For Postfix an alias of its own would be the same recipient, tried again with it.
            Why::SecondProgram if trees.site.config.mta == Mta::Postfix => format!(
                "take the other program out, into an alias of its own, and let both be recipients: \
                 {} in virtual_alias_maps; then {again}",
                repeated::line(name, "ALIAS")
            ),
            Why::SecondProgram => format!(
                "give the other program an alias of its own, name that alias here, then {again}"
            ),
            Why::Behind(other) => format!(
                "take it out, and let both be recipients: {} in virtual_alias_maps; then {again}",
                repeated::line(name, other)
            ),
            Why::Double => format!("leave one of them, then {again}"),
            Why::Odd(tree, Odd::Words) => match plain(trees, found, place, tree) {
                Some(line) => format!("write {line}, then {again}"),
                None => format!(
                    "write it as {}, or teach tree {tree}'s profile that form ([[direct]]), then \
                     {again}",
                    example(trees, tree)?
                ),
            },
            Why::Odd(tree, Odd::Foreign(list)) => {
                let domain = list
                    .as_str()
                    .split_once('@')
                    .map_or("", |(_, domain)| domain);
                format!(
                    "it stays on tree {tree}; for that domain's lists write a second site.toml, with \
                     a `state` of its own and domain = {domain:?}, then mm-parity --site THAT init \
                     and mm-aliases --site THAT adopt"
                )
            }
            Why::Odd(tree, Odd::Name(..) | Odd::SiteWide(_)) => {
                format!("it stays on tree {tree}")
            }
            Why::Third(_) => {
                format!("if it is this site's, name that root in site.toml, then {again}")
            }
            Why::Smrsh(link) => format!(
                "ln -s {} {}, then {again}",
                trees.site.config.program.display(),
                link.display()
            ),
            Why::Unwritable(_) => return None,
        })
    }

    /// The reason, and what to type, of the entry at `place`.
    pub(super) fn told(&self, trees: &Trees<'_>, found: &Found, place: Place) -> String {
        match self.advice(trees, found, place) {
            Some(advice) => format!("{self}; {advice}"),
            None => self.to_string(),
        }
    }
}

/// The line in the tree's own form that asks for what an odd command asks for: the form whose
/// words all stand in it, and most of them.
fn plain(trees: &Trees<'_>, found: &Found, place: Place, tree: &str) -> Option<String> {
    let (tree, profile) = trees.all().find(|(one, _)| one.name == tree)?;
    let mut best: Option<Vec<String>> = None;
    for means in found.destinations(place) {
        let Means::Pipe(command) = means else {
            continue;
        };
        let text = String::from_utf8(command).ok()?;
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        for list in words.iter().filter_map(|word| trees.site.list(word).ok()) {
            for route in profile.routing.routes.iter() {
                let form = profile.direct_command(tree, route.verb, &list)?;
                let longest = best.as_ref().map_or(0, Vec::len);
                if form.len() > longest && stand_in(&form, &words) {
                    best = Some(form);
                }
            }
        }
    }
    let name = found.folded(place);
    best.map(|form| format!("{}: \"|{}\"", name.escape_debug(), form.join(" ")))
}

/// The tree's own form of its first address, for a list that is called so.
fn example(trees: &Trees<'_>, tree: &str) -> Option<String> {
    let (tree, profile) = trees.all().find(|(one, _)| one.name == tree)?;
    let route = profile.routing.routes.iter().next()?;
    let list = trees.site.list("LIST").ok()?;
    let form = profile.direct_command(tree, route.verb, &list)?;
    Some(format!("\"|{}\"", form.join(" ")))
}

/// Whether each word stands in `words`, as often.
fn stand_in(form: &[String], words: &[&str]) -> bool {
    let count = |all: &mut dyn Iterator<Item = &str>, word: &str| {
        all.filter(|one| one.eq_ignore_ascii_case(word)).count()
    };
    form.iter().all(|word| {
        let wanted = count(&mut form.iter().map(String::as_str), word);
        count(&mut words.iter().copied(), word) >= wanted
    })
}
