//! A whole profile: what a list manager looks like, for the admin's side.
//!
//! `profile` has the part that a delivery needs; here are the addresses of a list, how lists
//! are enumerated, how a release and a data version are read, and the direct aliases of
//! every era. `contrib/profile.toml` documents each key.
//!
//! **Invariants.** Looks at files, never runs anything and never writes: a newer release's
//! own list command would convert every list. An enumeration that failed is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use serde::Deserialize;
use toml::Spanned;

use crate::list::{ListName, Verb};
use crate::position::Position;
use crate::profile::{BadProfile, Case, Routing};
use crate::site::{Site, SiteError};
use crate::tree::Tree;

/// No probe looks further into a file than this, in bytes.
const LARGEST_PROBE: u64 = 64 * 1024 * 1024;

/// What a list manager looks like.
#[derive(Debug)]
pub struct Profile {
    /// One line for people: `GNU Mailman 2.1`.
    pub about: String,
    /// What a delivery needs.
    pub routing: Routing,
    addresses: Vec<(Verb, String)>,
    lists: Lists,
    release: Probe,
    data_version: Option<DataVersion>,
    direct: Vec<(Verb, Vec<String>)>,
    site: SiteWide,
}

/// Why a probe has no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// A file or directory cannot be read.
    Read(PathBuf, io::Error),
    /// The file does not hold what the profile looks for.
    NoMatch(PathBuf),
    /// The directory of lists holds none.
    NoLists(PathBuf),
    /// The profile of this tree cannot be used.
    NoProfile(String),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Read(path, error) => write!(f, "cannot read {path:?}: {error}"),
            ProbeError::NoMatch(path) => {
                write!(f, "{path:?} does not say what the profile looks for in it")
            }
            ProbeError::NoLists(path) => write!(f, "{path:?} holds no list"),
            ProbeError::NoProfile(tree) => {
                write!(f, "the profile of tree {tree} cannot be used")
            }
        }
    }
}

impl std::error::Error for ProbeError {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    directory: String,
    holds: Vec<String>,
}

/// What the list manager has once per site.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteWide {
    addresses: Vec<String>,
}

#[derive(Debug)]
struct Probe {
    file: String,
    regex: Regex,
}

#[derive(Debug)]
struct DataVersion {
    probe: Probe,
    read: ReadAs,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReadAs {
    /// The first group is one byte, the number itself.
    Byte,
    /// The first group is decimal digits.
    Decimal,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "format")]
    _format: u32,
    about: String,
    #[serde(rename = "case")]
    _case: Case,
    verbs: BTreeMap<Spanned<String>, RawVerb>,
    lists: Lists,
    release: RawProbe,
    data_version: Option<RawDataVersion>,
    #[serde(default)]
    direct: Vec<RawDirect>,
    #[serde(default)]
    site: SiteWide,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVerb {
    addresses: Vec<Spanned<String>>,
    #[serde(rename = "argv")]
    _argv: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProbe {
    file: String,
    regex: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDataVersion {
    file: String,
    regex: Spanned<String>,
    read: ReadAs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirect {
    verb: Spanned<String>,
    argv: Vec<String>,
}

impl Profile {
    /// The profile of `tree`: the admin's own one, else the shipped one.
    ///
    /// # Errors
    /// There is none, or it cannot be used; with its file, line and column.
    pub fn of(site: &Site, tree: &Tree) -> Result<Profile, SiteError> {
        let own = site.own_profile(&tree.profile)?;
        let (path, text) = match (&own, Routing::shipped(&tree.profile)) {
            (Some((path, text)), _) => (path.clone(), text.as_str()),
            (None, Some(shipped)) => (PathBuf::from(shipped.name), shipped.text),
            (None, None) => {
                let path = site.profile_file(&tree.profile);
                return Err(SiteError::NoProfile(tree.profile.clone(), path));
            }
        };
        Profile::parse(text).map_err(|bad| {
            SiteError::Profile(path, bad.at.map(|at| Position::of(text, at)), bad.what)
        })
    }

    /// Reads the text of a profile.
    ///
    /// # Errors
    /// [`BadProfile`], with the byte offset where that is known.
    pub fn parse(text: &str) -> Result<Profile, BadProfile> {
        let raw: Raw = toml::from_str(text).map_err(|error| BadProfile {
            at: error.span().map(|span| span.start),
            what: error.message().to_owned(),
        })?;
        let routing = Routing::parse(text)?;
        let known = |verb: Verb| routing.argv(verb).is_some();
        let mut addresses = Vec::new();
        for (word, row) in &raw.verbs {
            let verb = verb(word)?;
            if !known(verb) {
                return Err(bad(
                    word,
                    "a verb stands after another section; verbs come first",
                ));
            }
            for template in &row.addresses {
                if template.get_ref().matches("{list}").count() != 1 {
                    return Err(bad(template, "an address has {list} once"));
                }
                // It becomes an alias's name: a blank or a colon in it would end the name.
                let rest = template.get_ref().replacen("{list}", "", 1);
                if let Some(byte) = rest.bytes().find(|&b| !is_address_byte(b)) {
                    let what = format!(
                        "an address has {{list}} and a-z 0-9 . _ + = - only, not \"{}\"",
                        byte.escape_ascii()
                    );
                    return Err(bad(template, &what));
                }
                addresses.push((verb, template.get_ref().clone()));
            }
        }
        addresses.sort_by_key(|&(verb, _)| verb);
        let mut direct: Vec<(Verb, Vec<String>)> = routing
            .routes
            .iter()
            .map(|route| {
                (
                    route.verb,
                    route.argv.iter().map(|word| word.to_string()).collect(),
                )
            })
            .collect();
        for form in raw.direct {
            direct.push((verb(&form.verb)?, form.argv));
        }
        Ok(Profile {
            about: raw.about,
            routing,
            addresses,
            lists: raw.lists,
            release: probe(raw.release.file, &raw.release.regex)?,
            data_version: raw
                .data_version
                .map(|raw| {
                    Ok(DataVersion {
                        probe: probe(raw.file, &raw.regex)?,
                        read: raw.read,
                    })
                })
                .transpose()?,
            direct,
            site: raw.site,
        })
    }

    /// Local parts that belong to the list manager as a whole, lower case: no list has them.
    pub fn site_addresses(&self) -> &[String] {
        &self.site.addresses
    }

    /// The addresses of a list, as local parts without its domain, each with its verb.
    pub fn addresses(&self, list: &ListName) -> Vec<(String, Verb)> {
        self.addresses
            .iter()
            .map(|(verb, template)| (template.replace("{list}", list.local_part()), *verb))
            .collect()
    }

    /// Every list whose data are there, by looking at directories.
    ///
    /// A directory whose name is no list's is passed over: no alias could name it.
    ///
    /// # Errors
    /// The directory cannot be read, or holds no list.
    pub fn enumerate(&self, tree: &Tree) -> Result<BTreeSet<ListName>, ProbeError> {
        let directory = PathBuf::from(tree.expand(&self.lists.directory, None));
        let read = |error| ProbeError::Read(directory.clone(), error);
        let mut lists = BTreeSet::new();
        for entry in fs::read_dir(&directory).map_err(read)? {
            let entry = entry.map_err(read)?;
            let Some(list) = entry
                .file_name()
                .to_str()
                .and_then(|name| ListName::parse(name).ok())
            else {
                continue;
            };
            for file in &self.lists.holds {
                if is_there(&entry.path().join(file))? {
                    lists.insert(list.within(tree.domain.as_deref()));
                    break;
                }
            }
        }
        if lists.is_empty() {
            return Err(ProbeError::NoLists(directory));
        }
        Ok(lists)
    }

    /// The release that is installed in `tree`.
    ///
    /// # Errors
    /// Its file cannot be read, or does not say.
    pub fn release(&self, tree: &Tree) -> Result<String, ProbeError> {
        let path = PathBuf::from(tree.expand(&self.release.file, None));
        let found = self.release.find(&path)?;
        Ok(String::from_utf8_lossy(&found).into_owned())
    }

    /// The version of the format of a list's data; `None` where the list manager has none.
    ///
    /// # Errors
    /// Its file cannot be read, or does not say.
    pub fn data_version(&self, tree: &Tree, list: &ListName) -> Result<Option<u64>, ProbeError> {
        let Some(version) = &self.data_version else {
            return Ok(None);
        };
        let path = tree.expand(&version.probe.file, Some((list, self.routing.case)));
        let path = PathBuf::from(path);
        let found = version.probe.find(&path)?;
        match version.read {
            ReadAs::Byte => Ok(found.first().map(|&byte| u64::from(byte))),
            ReadAs::Decimal => std::str::from_utf8(&found)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .map(Some)
                .ok_or(ProbeError::NoMatch(path)),
        }
    }

    /// The programs that deliveries run in `tree`, each once, with a verb that runs it.
    pub fn programs(&self, tree: &Tree) -> Vec<(Verb, PathBuf)> {
        let mut programs: Vec<(Verb, PathBuf)> = Vec::new();
        for route in self.routing.routes.iter() {
            let program = PathBuf::from(tree.expand(&route.argv[0], None));
            if !programs.iter().any(|(_, known)| *known == program) {
                programs.push((route.verb, program));
            }
        }
        programs
    }

    /// What a command in an alias asks for, if it pipes straight into `tree`: every verb
    /// that it could mean, and the list.
    ///
    /// `words` are the command's words, unquoted. An old list manager has one program word
    /// for several of our verbs; the alias's own name tells which.
    pub fn direct(&self, tree: &Tree, words: &[&str]) -> Option<(Vec<Verb>, ListName)> {
        let mut verbs = Vec::new();
        let mut named = None;
        for (verb, form) in &self.direct {
            if let Some(list) = match_form(tree, form, words) {
                verbs.push(*verb);
                named = Some(list);
            }
        }
        named.map(|list| (verbs, list))
    }

    /// The command by which an alias pipes `verb` for `list` straight into `tree`.
    pub fn direct_command(&self, tree: &Tree, verb: Verb, list: &ListName) -> Option<Vec<String>> {
        let argv = self.routing.argv(verb)?;
        Some(
            argv.iter()
                .map(|word| tree.expand(word, Some((list, self.routing.case))))
                .collect(),
        )
    }
}

/// Whether a plain file stands there. What cannot be looked at is not "no": a list would be
/// passed over.
fn is_there(path: &Path) -> Result<bool, ProbeError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(meta.is_file()),
        Err(error) => match error.kind() {
            // NotADirectory: a plain file among the lists' directories, a README perhaps.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(false),
            _ => Err(ProbeError::Read(path.to_owned(), error)),
        },
    }
}

/// The list that `words` name, if they are `form` in `tree`.
fn match_form(tree: &Tree, form: &[String], words: &[&str]) -> Option<ListName> {
    if form.len() != words.len() {
        return None;
    }
    let mut named = None;
    for (template, &word) in form.iter().zip(words) {
        match template.split_once("{list}") {
            Some((before, after)) => {
                let name = word
                    .strip_prefix(&*tree.expand(before, None))?
                    .strip_suffix(after)?;
                named = Some(ListName::parse(name).ok()?.within(tree.domain.as_deref()));
            }
            None if Path::new(&tree.expand(template, None)) == Path::new(word) => {}
            None => return None,
        }
    }
    named
}

impl Probe {
    /// What the first group of the regex matches in the file.
    fn find(&self, path: &Path) -> Result<Vec<u8>, ProbeError> {
        let read = |error| ProbeError::Read(path.to_owned(), error);
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(read)?;
        file.take(LARGEST_PROBE)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        self.regex
            .captures(&bytes)
            .and_then(|captures| captures.get(1))
            .map(|group| group.as_bytes().to_vec())
            .ok_or_else(|| ProbeError::NoMatch(path.to_owned()))
    }
}

fn probe(file: String, regex: &Spanned<String>) -> Result<Probe, BadProfile> {
    let compiled = Regex::new(regex.get_ref()).map_err(|error| bad(regex, &error.to_string()))?;
    if compiled.captures_len() != 2 {
        return Err(bad(
            regex,
            "the regex has exactly one group: what is looked for",
        ));
    }
    Ok(Probe {
        file,
        regex: compiled,
    })
}

/// What may stand in an alias's name that every MTA reads alike.
fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._+=-".contains(&byte)
}

fn verb(word: &Spanned<String>) -> Result<Verb, BadProfile> {
    Verb::parse(word.get_ref().as_bytes())
        .ok_or_else(|| bad(word, &format!("not a verb: {:?}", word.get_ref())))
}

fn bad(at: &Spanned<String>, what: &str) -> BadProfile {
    BadProfile {
        at: Some(at.span().start),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::profile::SHIPPED;

    fn tree() -> Tree {
        Tree {
            name: "a".into(),
            root: "/srv/a".into(),
            profile: "mailman2".into(),
            data: "/srv/var".into(),
            domain: None,
        }
    }

    fn shipped(name: &str) -> Profile {
        Profile::parse(Routing::shipped(name).unwrap().text).unwrap()
    }

    #[test]
    fn every_shipped_profile_is_sound() {
        for profile in SHIPPED {
            Profile::parse(profile.text).unwrap_or_else(|bad| panic!("{}: {bad}", profile.name));
        }
    }

    #[test]
    fn a_list_of_mailman_2_has_ten_addresses() {
        let list = ListName::parse("toylist").unwrap();
        let names: Vec<String> = shipped("mailman2")
            .addresses(&list)
            .into_iter()
            .map(|row| row.0)
            .collect();
        assert_eq!(
            names,
            [
                "toylist",
                "toylist-admin",
                "toylist-bounces",
                "toylist-confirm",
                "toylist-join",
                "toylist-leave",
                "toylist-owner",
                "toylist-request",
                "toylist-subscribe",
                "toylist-unsubscribe",
            ]
        );
    }

    #[test]
    fn direct_aliases_of_every_era_are_known() {
        let list = |words: &[&str], profile: &str| {
            shipped(profile)
                .direct(&tree(), words)
                .map(|(verbs, list)| {
                    (
                        verbs
                            .iter()
                            .map(|verb| verb.as_str())
                            .collect::<Vec<_>>()
                            .join(" "),
                        list.as_str().to_owned(),
                    )
                })
        };
        let found = |verbs: &str, name: &str| Some((verbs.to_owned(), name.to_owned()));
        assert_eq!(
            list(&["/srv/a/mail/mailman", "request", "toylist"], "mailman2"),
            found("request", "toylist")
        );
        assert_eq!(
            list(&["/srv/a/mail/wrapper", "mailcmd", "toylist"], "mailman2"),
            found("request", "toylist")
        );
        assert_eq!(
            list(&["/srv/a/mail/wrapper", "mailowner", "toylist"], "mailman1"),
            found("admin owner", "toylist")
        );
        assert_eq!(
            list(&["/srv/b/mail/mailman", "request", "toylist"], "mailman2"),
            None
        );
        assert_eq!(list(&["/srv/a/mail/mailman", "request"], "mailman2"), None);
        assert_eq!(
            list(&["/srv/a/mail/mailman", "post", "../x"], "mailman2"),
            None
        );
    }

    #[test]
    fn a_data_version_is_one_byte_after_its_key() {
        let profile = shipped("mailman2");
        let version = profile.data_version.as_ref().unwrap();
        for bytes in [
            &b"}q\x01(U\x0cdata_versionq\x02K\x70U"[..],
            b"U\x0cdata_versionK\x70",
            b"X\x0c\x00\x00\x00data_versionr\x00\x01\x00\x00K\x70\xff",
        ] {
            let found = version.probe.regex.captures(bytes).unwrap();
            assert_eq!(found[1], [112], "{bytes:?}");
        }
    }

    #[test]
    fn an_address_that_would_not_be_one_name_is_refused_at_its_place() {
        let text = Routing::shipped("mailman2").unwrap().text;
        for wrong in [
            "{list} owner",
            "{list}:",
            "{list}-Owner",
            "{list}-owner,",
            "{list}\\n-owner",
            "\\\"{list}",
            "{list}-{tree}",
            "#{list}",
            "{list}@x",
        ] {
            let at = text.find("\"{list}-owner\"").unwrap();
            let bad = text.replacen("\"{list}-owner\"", &format!("\"{wrong}\""), 1);
            let error = Profile::parse(&bad).unwrap_err();
            assert_eq!(error.at, Some(at), "{wrong}: {error}");
            assert!(error.what.contains("a-z 0-9"), "{wrong}: {error}");
        }
        let fine = text.replacen("{list}-owner", "own.er_+=-{list}9", 1);
        Profile::parse(&fine).unwrap();
    }

    #[test]
    fn a_verb_after_another_section_is_refused() {
        let text = Routing::shipped("mailman1").unwrap().text;
        let late = format!("{text}\n[verbs.join]\naddresses = []\nargv = [\"{{tree}}/x\"]\n");
        assert!(
            Profile::parse(&late)
                .unwrap_err()
                .what
                .contains("verbs come first")
        );
    }
}
