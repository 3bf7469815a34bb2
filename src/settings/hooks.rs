//! `[[hooks]]`: programs of the admin's that go with a change.
//!
//! **Invariants.** Words only: whether such a program is there, and safe to run, is looked at
//! when it is to be run. Never a line for a shell.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::span::Span;

/// How long a hook may run unless its row says otherwise.
const LIMIT: Span = Span::seconds(600);

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// With which change.
    pub on: On,
    /// How often.
    pub each: Each,
    /// Before anything of the change: program and arguments.
    pub prepare: Option<Vec<String>>,
    /// Takes back what `prepare` made, where the change is not made.
    pub undo: Option<Vec<String>>,
    /// Once the change stands.
    pub after: Option<Vec<String>>,
    /// How long each of them may run.
    pub limit: Span,
    /// The line of site.toml that it begins in, from 1.
    pub line: usize,
}

/// The changes that hooks go with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// Lists go to the future tree.
    Upgrade,
    /// Lists go back to the current tree.
    Downgrade,
    /// The future tree becomes the current one.
    Commit,
    /// A commit is taken back.
    Revert,
    /// A release is installed in the future tree.
    Install,
}

/// How often a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// For each list that moves.
    List,
    /// Once, with the lists' names on its standard input.
    Command,
}

impl On {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            On::Upgrade => "upgrade",
            On::Downgrade => "downgrade",
            On::Commit => "commit",
            On::Revert => "revert",
            On::Install => "install",
        }
    }

    /// Whether it takes something back: then no hook refuses it or holds it up.
    pub fn is_back(self) -> bool {
        matches!(self, On::Downgrade | On::Revert)
    }

    /// Whether lists move by it.
    fn moves_lists(self) -> bool {
        matches!(self, On::Upgrade | On::Downgrade)
    }
}

impl Hook {
    /// Every program of it, with the word for when it is run.
    pub fn programs(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        [
            ("prepare", &self.prepare),
            ("undo", &self.undo),
            ("after", &self.after),
        ]
        .into_iter()
        .filter_map(|(step, argv)| Some((step, argv.as_deref()?)))
    }
}

/// A row as it was typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    on: Spanned<On>,
    each: Option<Spanned<Each>>,
    prepare: Option<Spanned<Vec<String>>>,
    undo: Option<Spanned<Vec<String>>>,
    after: Option<Spanned<Vec<String>>>,
    limit: Option<Spanned<String>>,
}

/// A byte offset and what is wrong there.
type Wrong = (usize, String);

impl Raw {
    /// The row, where all of it is sound. `line_of`: the line of a byte offset.
    pub(super) fn cook(self, line_of: impl Fn(usize) -> usize) -> Result<Hook, Wrong> {
        let at = self.on.span().start;
        let on = *self.on.get_ref();
        let each = match (on.moves_lists(), self.each.map(Spanned::into_inner)) {
            (true, each) => each.unwrap_or(Each::List),
            (false, None | Some(Each::Command)) => Each::Command,
            (false, Some(Each::List)) => {
                let what = format!(
                    "no list moves by {}: `each` can be \"command\" only",
                    on.word()
                );
                return Err((at, what));
            }
        };
        let hook = Hook {
            on,
            each,
            prepare: self.prepare.map(argv).transpose()?,
            undo: self.undo.map(argv).transpose()?,
            after: self.after.map(argv).transpose()?,
            limit: self.limit.map_or(Ok(LIMIT), limit)?,
            line: line_of(at),
        };
        if hook.prepare.is_none() && hook.after.is_none() {
            return Err((
                at,
                "neither `prepare` nor `after` says what to run".to_owned(),
            ));
        }
        if hook.prepare.is_none() && hook.undo.is_some() {
            let what = "`undo` takes back what `prepare` made, and there is none";
            return Err((at, what.to_owned()));
        }
        Ok(hook)
    }
}

/// A program by its whole path, so that no PATH decides, and its arguments.
fn argv(words: Spanned<Vec<String>>) -> Result<Vec<String>, Wrong> {
    let at = words.span().start;
    let words = words.into_inner();
    match words.first() {
        Some(program) if Path::new(program).is_absolute() => {}
        Some(program) => return Err((at, format!("{program:?} is no path from /"))),
        None => return Err((at, "no program is named".to_owned())),
    }
    match words.iter().find(|word| word.contains('\0')) {
        Some(word) => Err((at, format!("{word:?} cannot be an argument"))),
        None => Ok(words),
    }
}

fn limit(text: Spanned<String>) -> Result<Span, Wrong> {
    let at = text.span().start;
    let span: Span = text.get_ref().parse().map_err(|bad| {
        let text = text.get_ref();
        (at, format!("{text:?} is {bad}"))
    })?;
    match span.duration().is_zero() {
        true => Err((at, "no program ends in no time".to_owned())),
        false => Ok(span),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn a_row_is_read_whole_with_the_line_that_it_stands_in() {
        let text = "x = 1\n\n[[hooks]]\non = \"upgrade\"\nprepare = [\"/p\", \"a b\"]\nundo = [\"/u\"]\n\
                    limit = \"2m\"\n[[hooks]]\non = \"commit\"\nafter = [\"/c\"]\n";
        let hooks = Settings::parse(text).unwrap().hooks;
        assert_eq!(hooks.len(), 2);
        assert_eq!(hooks[0].each, Each::List);
        assert_eq!(hooks[0].line, 4);
        assert_eq!(hooks[0].limit, Span::seconds(120));
        let programs: Vec<_> = hooks[0].programs().collect();
        assert_eq!(programs[0].1, ["/p", "a b"]);
        assert_eq!(programs[1].0, "undo");
        assert_eq!((hooks[1].each, hooks[1].limit), (Each::Command, LIMIT));
    }

    #[test]
    fn what_could_not_be_run_is_refused_with_its_place() {
        for (row, what) in [
            (
                "on = \"upgrade\"\nafter = [\"x\"]",
                "4:9: \"x\" is no path from /",
            ),
            ("on = \"upgrade\"\nafter = []", "4:9: no program is named"),
            ("on = \"upgrade\"", "3:6: neither `prepare` nor `after`"),
            (
                "on = \"upgrade\"\nundo = [\"/x\"]\nafter = [\"/x\"]",
                "3:6: `undo` takes back",
            ),
            (
                "on = \"commit\"\neach = \"list\"\nafter = [\"/x\"]",
                "3:6: no list moves by commit",
            ),
            (
                "on = \"upgrade\"\nafter = [\"/x\"]\nlimit = \"0s\"",
                "5:9: no program ends",
            ),
            (
                "on = \"upgrade\"\nafter = [\"/x\"]\nlimit = \"9\"",
                "5:9: \"9\" is not a span",
            ),
            ("on = \"upgrade\"\nafter = \"/x\"", "4:9: "),
            ("on = \"trust\"\nafter = [\"/x\"]", "3:6: "),
            ("on = \"upgrade\"\nafter = [\"/x\"]\nshell = true", "5:1: "),
        ] {
            let text = format!("x = 1\n[[hooks]]\n{row}\n");
            let bad = Settings::parse(&text).unwrap_err().to_string();
            assert!(bad.starts_with(what), "{row}: {bad}");
        }
    }
}
