//! The part of a profile that a web request needs: where a tree's CGI programs are, and what
//! each is asked about.
//!
//! A list manager's URL is PROGRAM/LIST/…: the web server has PROGRAM from the name of the file
//! that it runs, and what follows is PATH_INFO.
//!
//! **Invariants.** No I/O. What the tree's own program would take as its list is what is taken
//! here, or the request goes nowhere: the one must never serve a list that the other was not
//! asked about.

use std::borrow::Cow;

use serde::Deserialize;

use crate::list::{BadName, ListName};

/// What a web request needs to know of a list manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// The file of a program in a tree, with `{program}` in it; `None` for a list manager without
    /// CGI programs, whose pages are elsewhere.
    pub program: Option<Cow<'static, str>>,
    /// The programs that are asked about a list.
    pub lists: Cow<'static, [Cow<'static, str>]>,
    /// The programs that are asked about no list, or load all of them, whatever the URL says.
    pub site: Cow<'static, [Cow<'static, str>]>,
    /// Programs for which LIST and an ending stand twice, and this ending.
    pub doubled: Cow<'static, [Doubled]>,
}

/// A program whose PATH_INFO may be `/LISTending/LISTending`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubled {
    /// The program.
    pub program: Cow<'static, str>,
    /// What follows the list's name.
    pub ending: Cow<'static, str>,
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One list.
    List(ListName),
    /// None in particular: the current tree answers.
    Site,
}

/// Why a request is about nothing that there can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadPath {
    /// PATH_INFO has a byte outside `!` to `~`.
    Byte(u8),
    /// Its first part is not the name of a list.
    Name(BadName),
}

impl std::fmt::Display for BadPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BadPath::Byte(byte) => write!(f, "\"{}\" is not allowed in it", byte.escape_ascii()),
            BadPath::Name(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for BadPath {}

/// `[web]` of a profile, as it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWeb {
    program: Option<String>,
    lists: Vec<String>,
    #[serde(default)]
    site: Vec<String>,
    #[serde(default)]
    doubled: std::collections::BTreeMap<String, String>,
}

impl RawWeb {
    /// Judges what was typed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn cook(self) -> Result<Web, String> {
        if let Some(program) = &self.program {
            let sound = program.starts_with("{tree}/") && program.matches("{program}").count() == 1;
            if !sound || program.matches('{').count() != 2 {
                return Err(
                    "`program` begins with \"{tree}/\" and has {program} once, and nothing else in braces"
                        .to_owned(),
                );
            }
        }
        if self.lists.is_empty() {
            return Err("`lists` names no program".to_owned());
        }
        let all = || self.lists.iter().chain(&self.site);
        if let Some(word) = all().find(|word| !is_program(word)) {
            return Err(format!(
                "{word:?} is not the name of a program: a-z 0-9 - _"
            ));
        }
        if let Some(word) = self.site.iter().find(|word| self.lists.contains(word)) {
            return Err(format!("{word:?} stands in `lists` and in `site`"));
        }
        if let Some(word) = self.doubled.keys().find(|word| !self.lists.contains(word)) {
            return Err(format!("{word:?} stands in `doubled` and not in `lists`"));
        }
        let ending = |text: &&String| {
            text.len() > 1
                && text.starts_with('.')
                && text[1..].bytes().all(|b| b.is_ascii_lowercase())
        };
        if let Some(text) = self.doubled.values().find(|text| !ending(text)) {
            return Err(format!("{text:?} is no ending: a dot and a-z"));
        }
        let words =
            |words: Vec<String>| words.into_iter().map(Cow::Owned).collect::<Vec<_>>().into();
        let doubled = self.doubled.into_iter().map(|(program, ending)| Doubled {
            program: program.into(),
            ending: ending.into(),
        });
        Ok(Web {
            program: self.program.map(Cow::Owned),
            lists: words(self.lists),
            site: words(self.site),
            doubled: doubled.collect::<Vec<_>>().into(),
        })
    }
}

/// Whether a program of a profile may be called so.
pub fn is_program(word: &str) -> bool {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=32).contains(&word.len()) && word.bytes().all(sound)
}

impl Web {
    /// Whether the list manager has this program.
    pub fn knows(&self, program: &str) -> bool {
        self.takes_list(program) || self.site.iter().any(|known| known == program)
    }

    fn takes_list(&self, program: &str) -> bool {
        self.lists.iter().any(|known| known == program)
    }

    /// What `program` is asked about with this PATH_INFO; `None` if the list manager has no such
    /// program.
    ///
    /// Parts without a byte are passed over, and the first one that is left names the list.
    ///
    /// # Errors
    /// [`BadPath`]: the tree would take something else, or what nobody can be called.
    pub fn subject(&self, program: &str, path: &[u8]) -> Result<Option<Subject>, BadPath> {
        if !self.knows(program) {
            return Ok(None);
        }
        // WHERE A PATH ENDS. Some releases cut it at such a byte, others take all of it.
        if let Some(&byte) = path.iter().find(|byte| !(b'!'..=b'~').contains(byte)) {
            return Err(BadPath::Byte(byte));
        }
        let mut parts = path.split(|&b| b == b'/').filter(|part| !part.is_empty());
        let Some(first) = parts.next().filter(|_| self.takes_list(program)) else {
            return Ok(Some(Subject::Site));
        };
        let name = self.without_ending(program, first, parts.next());
        // NO DOMAIN IS CUT. To the tree `toylist@lists.example.org` is another list than toylist.
        let list = ListName::parse(name).map_err(BadPath::Name)?;
        Ok(Some(Subject::List(list)))
    }

    /// The list in the first part: that without the ending if the second part is the same, with
    /// the list in lower case.
    fn without_ending<'p>(
        &self,
        program: &str,
        first: &'p [u8],
        second: Option<&[u8]>,
    ) -> &'p [u8] {
        let mut doubled = self
            .doubled
            .iter()
            .filter(|doubled| doubled.program == program);
        let cut = doubled.find_map(|doubled| {
            let ending = doubled.ending.as_bytes();
            let name = first.len().checked_sub(ending.len())?;
            let is_its = first[name..].eq_ignore_ascii_case(ending)
                && second?.strip_suffix(ending)? == first[..name].to_ascii_lowercase();
            is_its.then_some(name)
        });
        &first[..cut.unwrap_or(first.len())]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn web() -> Web {
        let raw: RawWeb = toml::from_str(
            "program = \"{tree}/cgi-bin/{program}\"\nlists = [\"listinfo\", \"private\"]\n\
             site = [\"create\"]\ndoubled = { private = \".mbox\" }\n",
        )
        .unwrap();
        raw.cook().unwrap()
    }

    fn list(name: &str) -> Result<Option<Subject>, BadPath> {
        Ok(Some(Subject::List(ListName::parse(name).unwrap())))
    }

    #[test]
    fn the_first_part_that_is_not_empty_is_the_list() {
        let web = web();
        for (program, path, expected) in [
            ("listinfo", "/toylist", list("toylist")),
            ("listinfo", "//toylist//x", list("toylist")),
            ("listinfo", "/ToyList/", list("toylist")),
            ("listinfo", "toylist", list("toylist")),
            (
                "listinfo",
                "/toylist.mbox/toylist.mbox",
                list("toylist.mbox"),
            ),
            ("private", "/toylist.mbox/toylist.mbox", list("toylist")),
            ("private", "/ToyList.MBOX/toylist.mbox", list("toylist")),
            (
                "private",
                "/ToyList.mbox/ToyList.mbox",
                list("toylist.mbox"),
            ),
            ("private", "/toylist.mbox/other.mbox", list("toylist.mbox")),
            ("private", "/toylist.mbox", list("toylist.mbox")),
            ("private", "/toylist/toylist", list("toylist")),
            (
                "listinfo",
                "/toylist@lists.example.org",
                list("toylist@lists.example.org"),
            ),
            ("listinfo", "", Ok(Some(Subject::Site))),
            ("listinfo", "///", Ok(Some(Subject::Site))),
            ("create", "/toylist", Ok(Some(Subject::Site))),
            ("other", "/toylist", Ok(None)),
            ("listinfo", "/toylist/a b", Err(BadPath::Byte(b' '))),
            (
                "listinfo",
                "/toylist\r\nSet-Cookie: x",
                Err(BadPath::Byte(b'\r')),
            ),
            ("create", "/\u{7f}", Err(BadPath::Byte(0x7f))),
            ("listinfo", "/toylist/\u{e9}", Err(BadPath::Byte(0xc3))),
            (
                "listinfo",
                "/../toylist",
                Err(BadPath::Name(BadName::Start(b'.'))),
            ),
            (
                "listinfo",
                "/./toylist",
                Err(BadPath::Name(BadName::Start(b'.'))),
            ),
            (
                "listinfo",
                "/toy%2flist",
                Err(BadPath::Name(BadName::Byte(b'%'))),
            ),
            (
                "private",
                "/.mbox/.mbox",
                Err(BadPath::Name(BadName::Empty)),
            ),
        ] {
            let found = web.subject(program, path.as_bytes());
            assert_eq!(found, expected, "{program} {path:?}");
        }
    }

    #[test]
    fn each_mistake_in_a_profile_is_named() {
        for (text, what) in [
            ("lists = []", "names no program"),
            (
                "program = \"/cgi-bin/{program}\"\nlists = [\"x\"]",
                "begins with",
            ),
            (
                "program = \"{tree}/cgi-bin\"\nlists = [\"x\"]",
                "has {program} once",
            ),
            (
                "program = \"{tree}/{list}/{program}\"\nlists = [\"x\"]",
                "nothing else",
            ),
            ("lists = [\"a/b\"]", "not the name of a program"),
            (
                "lists = [\"x\"]\nsite = [\"x\"]",
                "in `lists` and in `site`",
            ),
            (
                "lists = [\"x\"]\ndoubled = { y = \".m\" }",
                "not in `lists`",
            ),
            ("lists = [\"x\"]\ndoubled = { x = \"/m\" }", "no ending"),
        ] {
            let raw: RawWeb = toml::from_str(text).unwrap();
            let error = raw.cook().unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
