//! Why an entry that pipes into a list manager is left as it is, and what to type about it.
//!
//! **Invariants.** Words only. What comes from a file stands in them escaped.

use std::fmt;
use std::path::PathBuf;

use super::leads::Odd;
use super::pipe::{Trees, Unwritable};
use super::typed::typed;

/// Why an entry that pipes into a tree is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// A quote, a shell character or another program: it is more than a program and its words.
    Shell,
    /// A second program stands beside it.
    SecondProgram,
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
    /// What the admin may do about it; `None` if there is nothing to be done.
    pub(super) fn advice(&self, trees: &Trees<'_>) -> Option<String> {
        let again = typed(trees.site, "adopt");
        Some(match self {
            Why::Shell => {
                format!("write the program and its words alone, then {again}")
            }
            Why::SecondProgram => format!(
                "give the other program an alias of its own, name that alias here, then {again}"
            ),
            Why::Double => format!("leave one of them, then {again}"),
            Why::Odd(tree, Odd::Words) => format!(
                "write it as `mm-aliases unadopt` would, or teach tree {tree}'s profile that form \
                 ([[direct]])"
            ),
            Why::Odd(tree, Odd::Foreign(_)) => {
                format!("it stays on tree {tree}, which site.toml has for one `domain`")
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

    /// The reason, and what to type.
    pub(super) fn told(&self, trees: &Trees<'_>) -> String {
        match self.advice(trees) {
            Some(advice) => format!("{self}; {advice}"),
            None => self.to_string(),
        }
    }
}
