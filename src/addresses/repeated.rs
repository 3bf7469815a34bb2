//! Where an entry leads besides mm-deliver, and Postfix would deliver again.
//!
//! ONE RECIPIENT, ONE STATUS. For Postfix' local(8) an alias is one recipient, whatever it
//! expands to. When mm-deliver asks it to try again, the whole entry is tried again: mailboxes,
//! files and programs get the message once more each time, also through further aliases. What
//! goes to another host, and to whomever an include names, becomes mail of its own once all else
//! is done, and so is sent once.
//!
//! Source: measured with a real Postfix, `tests/machine/repeated.rs`.
//!
//! **Invariants.** Judges text: no file but the alias files is looked at.

use super::expansion::{self, End};
use super::found::{Found, Means, Place};
use crate::config::Mta;
use crate::list::Verb;
use crate::site::Site;

/// What a destination beside mm-deliver comes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Beside {
    /// A program: its command, without the bar.
    Pipe(String),
    /// A name, which leads to a program.
    Program(String),
    /// A name, which leads to a mailbox or a file.
    Name(String),
    /// A file.
    File(String),
}

/// The destinations of an entry, without number `n`, to which Postfix delivers again whenever
/// that one asks it to try again; none where another MTA reads the entry.
pub(super) fn beside(site: &Site, found: &Found, place: Place, n: usize) -> Vec<Beside> {
    if site.config.mta != Mta::Postfix || found.plain_pipe(place).is_some() {
        return Vec::new();
    }
    let first = found.folded(place);
    let destinations = found.destinations(place);
    // Postfix runs one command once, however often it stands in an entry.
    let is_other =
        |(other, means): &(usize, &Means)| *other != n && destinations.get(n) != Some(means);
    let others = destinations.iter().enumerate().filter(is_other);
    others
        .filter_map(|(_, means)| judge(found, &first, means.clone()))
        .collect()
}

fn judge(found: &Found, first: &str, means: Means) -> Option<Beside> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match means {
        Means::Include(_) | Means::Verdict(_) => None,
        Means::Pipe(command) => Some(Beside::Pipe(text(&command))),
        Means::File(path) => is_kept(&text(&path)).then(|| Beside::File(text(&path))),
        Means::Address(address) => {
            let name = text(&address);
            let local = match name.rsplit_once('@') {
                None => name.to_ascii_lowercase(),
                Some((local, host)) if host.eq_ignore_ascii_case("localhost") => {
                    local.to_ascii_lowercase()
                }
                Some(_) => return None,
            };
            named(found, first, &local, name)
        }
    }
}

/// What comes of a local name.
fn named(found: &Found, first: &str, local: &str, name: String) -> Option<Beside> {
    let steps = expansion::expand_behind(found, local, Some(first));
    if steps.is_empty() {
        // No alias has it, or it is the entry itself: a mailbox.
        return Some(Beside::Name(name));
    }
    let mut ends = steps.iter().flat_map(|step| &step.ends);
    if ends.clone().any(|end| matches!(end, End::Pipe(_))) {
        return Some(Beside::Program(name));
    }
    let is_here = |end: &End| match end {
        End::Mailbox(_) | End::Loop(_) => true,
        End::File(path) => is_kept(path),
        End::Outside(address) => address.to_ascii_lowercase().ends_with("@localhost"),
        End::Pipe(_) | End::Alias(_) | End::Include(_) | End::Verdict(_) => false,
    };
    ends.any(is_here).then_some(Beside::Name(name))
}

fn is_kept(path: &str) -> bool {
    path != "/dev/null"
}

impl Beside {
    /// The destination as it stands in the entry, escaped.
    pub(super) fn shown(&self) -> String {
        match self {
            Beside::Pipe(command) => format!("the program {command:?}"),
            Beside::Program(text) | Beside::Name(text) | Beside::File(text) => format!("{text:?}"),
        }
    }

    /// That it is so, the effect and the advice.
    pub(super) fn told(&self, name: &str, verb: Verb) -> String {
        let (effect, advice) = (self.effect(), self.advice(name, verb));
        format!("also goes to {}: {effect}; {advice}", self.shown())
    }

    /// What happens to mail.
    pub(super) fn effect(&self) -> &'static str {
        match self {
            Beside::Pipe(_) => {
                "while mail to it waits, Postfix runs that program again at each retry"
            }
            Beside::Program(_) => {
                "while mail to it waits, Postfix runs the program behind that again at each retry"
            }
            _ => "while mail to it waits, Postfix delivers it there again at each retry",
        }
    }

    /// What to do about it in the entry `name`, by which mm-deliver is asked for `verb`.
    pub(super) fn advice(&self, name: &str, verb: Verb) -> String {
        let (take, other) = match self {
            Beside::Program(other) | Beside::Name(other) => ("take it out of this entry", other),
            Beside::File(_) | Beside::Pipe(_) => (
                "give it an alias of its own, take it out of this entry",
                &"ALIAS".to_owned(),
            ),
        };
        let line = line(name, other);
        let mut advice =
            format!("{take}, and let both be recipients: {line} in virtual_alias_maps");
        if verb == Verb::Post {
            advice += ", or subscribe it to the list";
        }
        advice
    }
}

/// The line of virtual_alias_maps that makes two recipients of one.
pub(super) fn line(name: &str, other: &str) -> String {
    format!("{:?}", format!("{name} {name}, {other}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_on_this_host_is_delivered_again_and_what_leaves_it_is_not() {
        let text = "l: x\nroot: alice\nfar: a@b.example, c@d.example\nloop: l\nback: far, loop\n\
                    filter: kept\nkept: \"|/p\"\nnull: /dev/null\nbox: /var/box\ninc: :include:/i\n";
        let found = Found::of_text(text);
        let name = |name: &str| Some(Beside::Name(name.to_owned()));
        let file = |path: &str| Some(Beside::File(path.to_owned()));
        for (means, expected) in [
            (Means::Address(b"carl".to_vec()), name("carl")),
            (Means::Address(b"Root".to_vec()), name("Root")),
            (Means::Address(b"l".to_vec()), name("l")),
            (Means::Address(b"back".to_vec()), name("back")),
            (Means::Address(b"box".to_vec()), name("box")),
            (Means::Address(b"inc".to_vec()), None),
            (
                Means::Address(b"root@LocalHost".to_vec()),
                name("root@LocalHost"),
            ),
            (Means::Address(b"far".to_vec()), None),
            (Means::Address(b"null".to_vec()), None),
            (Means::Address(b"x@y.example".to_vec()), None),
            (
                Means::Address(b"filter".to_vec()),
                Some(Beside::Program("filter".to_owned())),
            ),
            (Means::File(b"/var/f".to_vec()), file("/var/f")),
            (Means::File(b"/dev/null".to_vec()), None),
            (Means::Include(b"/i".to_vec()), None),
            (
                Means::Pipe(b"/p".to_vec()),
                Some(Beside::Pipe("/p".to_owned())),
            ),
        ] {
            assert_eq!(judge(&found, "l", means.clone()), expected, "{means:?}");
        }
    }
}
