//! The forms of a command that pipes straight into a tree, as patterns of its words.
//!
//! A profile says them as an argv with `{tree}`, `{data}`, `{url}`, `{domain}` and the list's
//! name in it (`{list}`, or `{local}` without its domain). [`Words::parse`] judges that once;
//! [`Form::of`] puts a tree's paths in, so that a file of a million entries is read with plain
//! comparisons.
//!
//! **Invariants.** No I/O: whether two paths are the same place is asked of who calls. A form
//! matches all words of a command or none; what a word has besides is never dropped.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::list::{BadName, ListName, Verb};
use crate::tree::Tree;

/// An argv of a profile, judged: the program below the tree, and the words behind it.
#[derive(Debug, Clone)]
pub struct Words {
    /// What follows `{tree}`: `/mail/mailman`.
    program: String,
    words: Vec<Word>,
}

/// One word behind the program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// What stands before the list's name; all of the word if it has none.
    before: String,
    /// What stands before it behind the last of `{tree}`, `{data}` and `{url}`, if it has one.
    loose: Option<String>,
    /// What stands behind the list's name.
    after: Option<String>,
    /// Whether `@` and a domain end the word.
    domain: bool,
}

/// The forms by which one verb is piped straight into one tree.
#[derive(Debug, Clone)]
pub struct Form {
    /// What it asks for.
    pub verb: Verb,
    /// The program, from `/`.
    pub program: PathBuf,
    /// The program below the tree's root, with its slash.
    tail: String,
    words: Vec<Word>,
    domain: Option<String>,
}

/// What the words of a command say of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// This one.
    List(ListName),
    /// One of a domain that is not the tree's.
    Foreign(ListName),
    /// Something that is no name of a list of ours.
    Bad(String, BadName),
}

/// Whether two paths, from `/`, are one place.
pub type Same<'s> = &'s dyn Fn(&Path, &Path) -> bool;

impl Words {
    /// Judges an argv; `None` if it names no list, so that no command can be told by it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(argv: &[impl AsRef<str>]) -> Result<Option<Words>, String> {
        let Some((program, words)) = argv.split_first() else {
            return Err("argv is empty".to_owned());
        };
        let program = match program.as_ref().strip_prefix("{tree}") {
            Some(tail) if tail.starts_with('/') && !tail.contains('{') => tail.to_owned(),
            _ => return Err("argv does not begin with \"{tree}/\"".to_owned()),
        };
        let words: Vec<Word> = words
            .iter()
            .map(|word| Word::parse(word.as_ref()))
            .collect::<Result<_, _>>()?;
        match words.iter().filter(|word| word.after.is_some()).count() {
            0 => Ok(None),
            1 => Ok(Some(Words { program, words })),
            _ => Err("only one word of an argv may have the list's name".to_owned()),
        }
    }
}

impl Word {
    fn parse(template: &str) -> Result<Word, String> {
        let (rest, domain) = match template.strip_suffix("@{domain}") {
            Some(rest) => (rest, true),
            None => (template, false),
        };
        let name = ["{list}", "{local}"]
            .into_iter()
            .find_map(|name| rest.split_once(name));
        let (before, after) = match name {
            Some((before, after)) => (before, Some(after.to_owned())),
            None => (rest, None),
        };
        let again = after.as_deref().unwrap_or_default();
        if again.contains('{') || before.contains("{domain}") || (domain && name.is_none()) {
            return Err(format!(
                "{template:?}: a word has {{list}} or {{local}} once, with nothing in braces behind \
                 it but @{{domain}} at its end"
            ));
        }
        let places = ["{tree}", "{data}", "{url}"];
        let ends = places
            .iter()
            .filter_map(|place| before.rfind(place).map(|at| at + place.len()));
        let loose = ends.max().map(|end| before[end..].to_owned());
        Ok(Word {
            before: before.to_owned(),
            loose,
            after,
            domain,
        })
    }

    /// Whether `word` is this one, and what it has in the place of the list's name.
    fn read(&self, word: &str, same: Same<'_>) -> Option<Option<String>> {
        let word = tidy(word);
        let Some((rest, domain)) = self.ends(&word) else {
            let is_it = self.after.is_none() && is_place(&self.before, &word, same);
            return is_it.then_some(None);
        };
        let name = match rest.strip_prefix(self.before.as_str()) {
            Some(name) => name,
            None => {
                // The same directory by another path.
                let (directory, name) = rest.rsplit_once('/')?;
                let wanted = self.before.strip_suffix('/')?;
                is_place(wanted, directory, same).then_some(name)?
            }
        };
        Some(Some(format!("{name}{domain}")))
    }

    /// As [`Word::read`], wherever the tree, its data and its server are.
    fn read_elsewhere(&self, word: &str) -> Option<Option<String>> {
        let Some(loose) = &self.loose else {
            return self.read(word, &|_, _| false);
        };
        let word = tidy(word);
        let Some((rest, domain)) = self.ends(&word) else {
            return (self.after.is_none() && word.ends_with(loose.as_str())).then_some(None);
        };
        let name = match loose.as_str() {
            "" => rest,
            loose => rest.rsplit_once(loose)?.1,
        };
        Some(Some(format!("{name}{domain}")))
    }

    /// A word with a name, without what follows that: and its `@domain`.
    fn ends<'w>(&self, word: &'w str) -> Option<(&'w str, &'w str)> {
        let after = self.after.as_deref()?;
        let (rest, domain) = match self.domain {
            true => word.split_at(word.rfind('@')?),
            false => (word, ""),
        };
        Some((rest.strip_suffix(after)?, domain))
    }
}

impl Form {
    /// The form of `verb` in `tree`.
    pub fn of(verb: Verb, words: &Words, tree: &Tree) -> Form {
        let bound = |word: &Word| {
            let mut before = tidy(&tree.expand(&word.before, None)).into_owned();
            // The name follows this slash.
            if word.before.ends_with('/') && !before.ends_with('/') {
                before.push('/');
            }
            Word {
                before,
                ..word.clone()
            }
        };
        Form {
            verb,
            program: PathBuf::from(tree.expand("{tree}", None) + &words.program),
            tail: words.program.clone(),
            words: words.words.iter().map(bound).collect(),
            domain: tree.domain.clone(),
        }
    }

    /// How many bytes of the word with the list's name are given: of several forms that match,
    /// the one with the most is meant.
    pub fn fixed(&self) -> usize {
        let mut named = self.words.iter().filter(|word| word.after.is_some());
        named.next().map_or(0, |word| {
            word.before.len() + word.after.as_ref().map_or(0, String::len)
        })
    }

    /// What these words say, if they pipe into the tree.
    pub fn read(&self, words: &[&str], same: Same<'_>) -> Option<Named> {
        let (&program, rest) = words.split_first()?;
        let raw = self.raw(rest, |word, text| word.read(text, same))?;
        let is_it = self.program.as_os_str() == program
            || Path::new(program) == self.program
            || same(Path::new(program), &self.program);
        is_it.then(|| self.named(raw))
    }

    /// Which other tree these words pipe into, and what they say.
    pub fn read_elsewhere(&self, words: &[&str]) -> Option<(PathBuf, Named)> {
        let (&program, rest) = words.split_first()?;
        let root = program.strip_suffix(&self.tail)?;
        if !program.starts_with('/') {
            return None;
        }
        let raw = self.raw(rest, Word::read_elsewhere)?;
        let root = if root.is_empty() { "/" } else { root };
        Some((PathBuf::from(root), self.named(raw)))
    }

    fn raw(
        &self,
        words: &[&str],
        read: impl Fn(&Word, &str) -> Option<Option<String>>,
    ) -> Option<String> {
        if words.len() != self.words.len() {
            return None;
        }
        let mut raw = None;
        for (word, text) in self.words.iter().zip(words) {
            raw = read(word, text)?.or(raw);
        }
        raw
    }

    fn named(&self, raw: String) -> Named {
        match ListName::parse(&raw) {
            Err(bad) => Named::Bad(raw, bad),
            Ok(list) => match list.within(self.domain.as_deref()) {
                list if list.as_str().contains('@') && self.has_domain() => Named::Foreign(list),
                list => Named::List(list),
            },
        }
    }

    fn has_domain(&self) -> bool {
        self.words.iter().any(|word| word.domain)
    }
}

/// Whether `word` is `place`, or another path to it.
fn is_place(place: &str, word: &str, same: Same<'_>) -> bool {
    let is_path = place.starts_with('/') && word.starts_with('/');
    place == word || is_path && same(Path::new(place), Path::new(word))
}

/// A path without doubled slashes, `/./` and a last slash; any other word as it is.
fn tidy(word: &str) -> Cow<'_, str> {
    let is_untidy = || word.contains("//") || word.contains("/.") || word.ends_with('/');
    if !word.starts_with('/') || !is_untidy() {
        return Cow::Borrowed(word);
    }
    let tidied: PathBuf = Path::new(word).components().collect();
    Cow::Owned(tidied.to_string_lossy().into_owned())
}
