//! The part of a profile that a delivery needs: verbs, and the way into a tree for each.
//!
//! A shipped profile is a static table, made from its TOML at build time; an admin's own
//! one is read from its file, and of that only what stands before the first table that is
//! neither a verb nor `[web]`.
//!
//! **Invariants.** No regex is compiled here; no list manager's name stands in this code.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::list::{ListName, Verb};
use crate::web::{Doubled, RawWeb, Web};

/// How a list manager wants its lists spelled in argv.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// Always in lower case.
    Lower,
    /// As it stands in the alias.
    AsWritten,
}

impl Case {
    /// The list's name in this spelling.
    pub fn spell(self, list: &ListName) -> &str {
        match self {
            Case::Lower => list.as_str(),
            Case::AsWritten => list.spelling(),
        }
    }
}

/// What becomes of messages for one verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The verb that is served.
    pub verb: Verb,
    /// The local parts that ask for it, `{list}` in each.
    pub addresses: Cow<'static, [Cow<'static, str>]>,
    /// The byte behind which more may follow in such a local part: `+`.
    pub extension: Option<u8>,
    /// How they get into a tree.
    pub way: Way,
}

/// How a message gets into a tree. What stands in braces is still in the texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By a program of the tree: it and its arguments; never empty.
    Run(Cow<'static, [Cow<'static, str>]>),
    /// By LMTP, to the tree's server: for this recipient, `{local}-bounces@{domain}`.
    Lmtp(Cow<'static, str>),
}

/// What a delivery knows of a list manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The spelling of lists in argv.
    pub case: Case,
    /// Files or directories of which every list has one: a delivery that is told an address, and no
    /// list, looks there. Empty: such deliveries cannot be served.
    pub exists: Cow<'static, [Cow<'static, str>]>,
    /// One row for each verb that the list manager knows.
    pub routes: Cow<'static, [Route]>,
    /// What a web request needs, if the list manager has pages that are its lists'.
    pub web: Option<Web>,
}

/// A profile that comes with mm-deliver.
#[derive(Debug)]
pub struct Shipped {
    /// Its name in site.toml.
    pub name: &'static str,
    /// Its hot part.
    pub routing: Routing,
    /// The TOML that it was made from.
    #[cfg(feature = "admin")]
    pub text: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

impl Routing {
    /// The shipped profile of this name.
    pub fn shipped(name: &str) -> Option<&'static Shipped> {
        SHIPPED.iter().find(|profile| profile.name == name)
    }

    /// The way for `verb`, if the list manager knows it.
    pub fn way(&self, verb: Verb) -> Option<&Way> {
        let mut routes = self.routes.iter();
        Some(&routes.find(|route| route.verb == verb)?.way)
    }

    /// Whether the list manager knows `verb`.
    pub fn knows(&self, verb: Verb) -> bool {
        self.way(verb).is_some()
    }

    /// Reads the first part of a profile.
    ///
    /// # Errors
    /// [`BadProfile`], with the byte offset where that is known.
    pub fn parse(text: &str) -> Result<Routing, BadProfile> {
        let raw: First = toml::from_str(first_part(text)).map_err(|error| BadProfile {
            at: error.span().map(|span| span.start),
            what: error.message().to_owned(),
        })?;
        raw.cook()
    }
}

/// Why a profile cannot be used.
#[derive(Debug)]
pub struct BadProfile {
    /// Byte offset in the file, if known.
    pub at: Option<usize>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for BadProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for BadProfile {}

/// Everything before the first table header that is neither a verb's nor the web's.
fn first_part(text: &str) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') && !["[verbs.", "[web]"].iter().any(|own| line.starts_with(own)) {
            break;
        }
        end += line.len();
    }
    &text[..end]
}

/// The first part as it is typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: toml::Spanned<u32>,
    #[serde(rename = "about")]
    _about: String,
    case: Case,
    #[serde(rename = "needs", default)]
    _needs: Vec<String>,
    exists: Option<toml::Spanned<Vec<Cow<'static, str>>>>,
    verbs: BTreeMap<toml::Spanned<String>, Row>,
    web: Option<toml::Spanned<RawWeb>>,
}

/// One `[verbs.VERB]` table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    addresses: Vec<Cow<'static, str>>,
    extension: Option<String>,
    argv: Option<Vec<Cow<'static, str>>>,
    recipient: Option<Cow<'static, str>>,
}

impl First {
    fn cook(self) -> Result<Routing, BadProfile> {
        let bad = |at: usize, what: String| BadProfile { at: Some(at), what };
        if *self.format.get_ref() != 1 {
            return Err(bad(self.format.span().start, "format is not 1".to_owned()));
        }
        let mut routes = Vec::new();
        for (word, row) in self.verbs {
            let at = word.span().start;
            let verb = Verb::parse(word.get_ref().as_bytes())
                .ok_or_else(|| bad(at, format!("not a verb: {:?}", word.get_ref())))?;
            let route = row.cook(verb);
            routes.push(route.map_err(|what| bad(at, format!("verb {verb}: {what}")))?);
        }
        routes.sort_by_key(|route| route.verb);
        let web = self.web.map(|raw| {
            let at = raw.span().start;
            let cooked = raw.into_inner().cook();
            cooked.map_err(|what| bad(at, format!("[web]: {what}")))
        });
        let exists = match self.exists {
            None => Vec::new(),
            Some(paths) if paths.get_ref().iter().all(|path| is_one_lists(path)) => {
                paths.into_inner()
            }
            Some(paths) => {
                let what = "exists: each begins with \"{data}/\" and has {list} or {local} in it";
                return Err(bad(paths.span().start, what.to_owned()));
            }
        };
        Ok(Routing {
            case: self.case,
            exists: exists.into(),
            routes: routes.into(),
            web: web.transpose()?,
        })
    }
}

impl Row {
    fn cook(mut self, verb: Verb) -> Result<Route, &'static str> {
        let addresses = std::mem::take(&mut self.addresses).into();
        let extension = match self.extension.take().as_deref().map(str::as_bytes) {
            None => None,
            Some(&[byte]) if b"+-=._".contains(&byte) => Some(byte),
            Some(_) => return Err("extension is one of + - = . _"),
        };
        Ok(Route {
            verb,
            addresses,
            extension,
            way: self.way()?,
        })
    }

    fn way(self) -> Result<Way, &'static str> {
        let is_program = |argv: &Vec<Cow<'_, str>>| {
            let mut words = argv.iter();
            words
                .next()
                .is_some_and(|program| program.starts_with("{tree}/"))
        };
        match (self.argv, self.recipient) {
            (Some(argv), None) if is_program(&argv) => Ok(Way::Run(argv.into())),
            (Some(_), None) => Err("argv does not begin with \"{tree}/\""),
            (None, Some(recipient)) if is_recipient(&recipient) => Ok(Way::Lmtp(recipient)),
            (None, Some(_)) => {
                Err("a recipient is {local} once, with a-z 0-9 . _ + = - around it, and @{domain}")
            }
            _ => Err("either `argv` or `recipient` says where its messages go"),
        }
    }
}

/// Whether this is a path of one list, below the data.
fn is_one_lists(template: &str) -> bool {
    let below = template.strip_prefix("{data}/").unwrap_or_default();
    let named = ["{list}", "{local}"]
        .iter()
        .any(|name| below.contains(name));
    named && !below.split('/').any(|part| part.is_empty() || part == "..")
}

/// Whether this is the address of a list, whichever list it is.
fn is_recipient(template: &str) -> bool {
    let is_sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._+=-".contains(&b);
    let parts = template
        .strip_suffix("@{domain}")
        .and_then(|local| local.split_once("{local}"));
    parts.is_some_and(|(before, after)| before.bytes().chain(after.bytes()).all(is_sound))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    #[cfg(feature = "admin")]
    fn the_static_tables_are_what_their_toml_says() {
        assert!(SHIPPED.len() >= 2);
        for shipped in SHIPPED {
            assert_eq!(
                shipped.routing,
                Routing::parse(shipped.text).unwrap(),
                "{}",
                shipped.name
            );
        }
    }

    #[test]
    fn a_delivery_reads_no_further_than_the_verbs() {
        let first = "format = 1\nabout = \"x\"\ncase = \"lower\"\n[verbs.post]\naddresses = [\"{list}\"]\n\
                     argv = [\"{tree}/p\", \"{list}\"]\n";
        let routing = Routing::parse(&format!("{first}[release]\nthis is not TOML")).unwrap();
        let argv = ["{tree}/p", "{list}"].map(Cow::Borrowed);
        assert_eq!(
            routing.way(Verb::Post),
            Some(&Way::Run(argv.to_vec().into()))
        );
        assert_eq!(routing.way(Verb::Owner), None);
        for (from, to, at) in [
            ("format = 1", "format = 2", Some(9)),
            ("verbs.post", "verbs.posts", Some(45)),
            ("{tree}/p", "/bin/p", Some(45)),
            ("case", "caze", Some(23)),
            ("argv", "recipient = \"{local}@{domain}\"\nargv", Some(45)),
            ("argv = [\"{tree}/p\", \"{list}\"]", "", Some(45)),
        ] {
            let error = Routing::parse(&first.replace(from, to)).unwrap_err();
            assert_eq!(error.at, at, "{from}: {error}");
        }
    }

    #[test]
    fn a_recipient_is_an_address_of_the_list() {
        let routing = |recipient: &str| {
            Routing::parse(&format!(
                "format = 1\nabout = \"x\"\ncase = \"lower\"\n[verbs.bounces]\n\
                 addresses = [\"{{list}}-bounces\"]\nrecipient = \"{recipient}\"\n"
            ))
        };
        let good = "{local}-bounces@{domain}";
        let way = Way::Lmtp(Cow::Borrowed(good));
        assert_eq!(routing(good).unwrap().way(Verb::Bounces), Some(&way));
        for bad in [
            "",
            "{local}",
            "{list}@{domain}",
            "{local}@lists.example.org",
            "bounces@{domain}",
            "{local}{local}@{domain}",
            "{local} x@{domain}",
            "{local}>x@{domain}",
            "{tree}{local}@{domain}",
            "{local}@{domain}@{domain}",
        ] {
            let error = routing(bad).unwrap_err();
            assert_eq!(error.at, Some(45), "{bad}: {error}");
        }
    }
}
