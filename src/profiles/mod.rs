//! A whole profile: what a list manager looks like, for the admin's side.
//!
//! `profile` has the part that a delivery needs; here are the addresses of a list, how lists
//! are enumerated, how a release and a data version are read, what on disk is one list's,
//! the direct aliases of every era, its queues and signs of life, and its programs for people and for cron. `contrib/profile.toml` documents each key.
//!
//! **Invariants.** Looks at files, never runs anything and never writes: a newer release's
//! own list command would convert every list. An enumeration that failed is an error.

mod data;
mod form;
mod fresh;
mod jobs;
mod layout;
mod queues;
mod read;
mod rehearsal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use rustix::fs::{AtFlags, FileType, statat};
use rustix::io::Errno;
use serde::Deserialize;

use crate::list::{ListName, Verb};
use crate::parts::in_parts;
use crate::position::Position;
use crate::profile::{Case, Routing, Way};
use crate::site::{Site, SiteError};
use crate::tree::Tree;

pub use data::{ListData, Place};
pub use form::{Form, Named, Same, Words};
pub use fresh::{Files, Fresh, Run};
pub use jobs::{BadWords, Loads, Program, Programs};
pub use layout::{Apart, Layout, Regenerates, Templates};
pub use queues::{Queues, Sign, is_per_list};
pub use rehearsal::{Entrance, Rehearsal, Request};

/// No probe looks further into a file than this, in bytes.
const LARGEST_PROBE: u64 = 64 * 1024 * 1024;

/// What a list manager looks like.
#[derive(Debug)]
pub struct Profile {
    /// One line for people: `GNU Mailman 2.1`.
    pub about: String,
    /// What a delivery needs.
    pub routing: Routing,
    /// What the MTA must tell its programs.
    pub needs: Vec<Need>,
    addresses: Vec<Address>,
    lists: Lists,
    release: Probe,
    data_version: Option<DataVersion>,
    data: Option<data::Data>,
    /// What of a list belongs to the one user, besides root, whom its programs serve.
    owned: Option<String>,
    direct: Vec<(Verb, Words)>,
    site: SiteWide,
    queues: Option<Queues>,
    life: Vec<Sign>,
    files: Files,
    fresh: Vec<Fresh>,
    bin: Programs,
    cron: Programs,
    layout: Option<Layout>,
    rehearsal: Option<Rehearsal>,
}

/// Something of the envelope that a list manager goes by, and that not every MTA tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The envelope sender.
    Sender,
}

/// One address that a list has: what stands before and behind its local part.
#[derive(Debug)]
struct Address {
    verb: Verb,
    before: String,
    after: String,
}

/// Why a probe has no answer.
#[derive(Debug)]
pub enum ProbeError {
    /// A file or directory cannot be read.
    Read(PathBuf, io::Error),
    /// The file does not hold what the profile looks for.
    NoMatch(PathBuf),
    /// Several files are there of which one is meant: two of them.
    Several(PathBuf, PathBuf),
    /// The directory of lists holds none.
    NoLists(PathBuf),
    /// A list's directory has another domain in its name than the tree's.
    Foreign(PathBuf),
    /// The profile of this tree cannot be used.
    NoProfile(String),
    /// The list manager's data are no directories: only the alias files name its lists, and
    /// they name none, or were not asked.
    InAliases,
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Read(path, error) => write!(f, "cannot read {path:?}: {error}"),
            ProbeError::NoMatch(path) => {
                write!(f, "{path:?} does not say what the profile looks for in it")
            }
            ProbeError::Several(one, other) => {
                write!(f, "{one:?} and {other:?} are there, and one is expected")
            }
            ProbeError::NoLists(path) => write!(f, "{path:?} holds no list"),
            ProbeError::Foreign(path) => {
                write!(f, "{path:?} is of a list in another domain than the tree's")
            }
            ProbeError::NoProfile(tree) => {
                write!(f, "the profile of tree {tree} cannot be used")
            }
            ProbeError::InAliases => f.write_str(
                "the list manager keeps its lists in a database, and the alias files name none",
            ),
        }
    }
}

impl std::error::Error for ProbeError {}

impl ProbeError {
    /// The file or directory at fault, where it is one of the list manager's.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ProbeError::Read(path, _)
            | ProbeError::NoMatch(path)
            | ProbeError::Several(path, _)
            | ProbeError::NoLists(path)
            | ProbeError::Foreign(path) => Some(path),
            ProbeError::NoProfile(_) | ProbeError::InAliases => None,
        }
    }
}

/// What the list manager has once per site.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteWide {
    addresses: Vec<String>,
}

/// How lists are enumerated.
#[derive(Debug)]
enum Lists {
    /// Each is a directory in `directory` that holds one of `holds`, if any are named, and is
    /// called as `name` says: the list's name, and what follows it.
    Directory {
        directory: String,
        holds: Vec<String>,
        after: String,
    },
    /// Nothing on disk says it but the alias files.
    Aliases,
}

#[derive(Debug)]
struct Probe {
    /// The first of these that is there.
    files: Vec<String>,
    regex: Regex,
}

#[derive(Debug)]
struct DataVersion {
    probe: Probe,
    read: ReadAs,
    reads: Vec<data::Reads>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReadAs {
    /// The first group is one byte, the number itself.
    Byte,
    /// The first group is decimal digits.
    Decimal,
}

impl Address {
    /// That of this list, in `name`.
    fn of<'n>(&self, list: &ListName, name: &'n mut String) -> &'n str {
        name.clear();
        name.push_str(&self.before);
        name.push_str(list.local_part());
        name.push_str(&self.after);
        name
    }

    fn is(&self, list: &ListName, name: &str) -> bool {
        // Most are of another length, and need no look at their bytes.
        let local = list.local_part();
        name.len() == self.before.len() + local.len() + self.after.len()
            && name.starts_with(self.before.as_str())
            && name.ends_with(self.after.as_str())
            && name[self.before.len()..].starts_with(local)
    }
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
        let profile = Profile::parse(text).map_err(|bad| {
            SiteError::Profile(path, bad.at.map(|at| Position::of(text, at)), bad.what)
        })?;
        match profile.lacks(tree) {
            Some(key) => Err(SiteError::Lacks(site.path.clone(), tree.name.clone(), key)),
            None => Ok(profile),
        }
    }

    /// The key of site.toml that some command of this profile asks for and `tree` has not.
    fn lacks(&self, tree: &Tree) -> Option<&'static str> {
        let mut routes = self.routing.routes.iter();
        routes.find_map(|route| tree.lacks(&route.way))
    }

    /// Local parts that belong to the list manager as a whole, lower case: no list has them.
    pub fn site_addresses(&self) -> &[String] {
        &self.site.addresses
    }

    /// The addresses of a list, as local parts without its domain, each with its verb.
    pub fn addresses(&self, list: &ListName) -> Vec<(String, Verb)> {
        let mut name = String::new();
        let addresses = self.addresses.iter();
        addresses
            .map(|address| (address.of(list, &mut name).to_owned(), address.verb))
            .collect()
    }

    /// Whether `is_it` says so of every address of a list and its verb. The names are put into
    /// `name`, one after the other: a file of a million entries asks for no memory here.
    pub fn every_address(
        &self,
        list: &ListName,
        name: &mut String,
        mut is_it: impl FnMut(&str, Verb) -> bool,
    ) -> bool {
        let mut addresses = self.addresses.iter();
        addresses.all(|address| is_it(address.of(list, name), address.verb))
    }

    /// The verbs that `name` has as an address of `list`.
    pub fn verbs_of<'p>(
        &'p self,
        list: &'p ListName,
        name: &'p str,
    ) -> impl Iterator<Item = Verb> + 'p {
        let its = self.addresses.iter();
        its.filter(|address| address.is(list, name))
            .map(|address| address.verb)
    }

    /// Every list whose data are there, by looking at directories.
    ///
    /// A directory whose name is no list's is passed over: no alias could name it.
    ///
    /// # Errors
    /// The directory cannot be read, or holds no list, or one whose name cannot be told from
    /// its domain; `InAliases` if no directory says it.
    pub fn enumerate(&self, tree: &Tree) -> Result<BTreeSet<ListName>, ProbeError> {
        let Lists::Directory {
            directory,
            holds,
            after,
        } = &self.lists
        else {
            return Err(ProbeError::InAliases);
        };
        let directory = PathBuf::from(tree.expand(directory, None));
        let after = tree.expand(after, None);
        let read = |error| ProbeError::Read(directory.clone(), error);
        let mut called = Vec::new();
        for entry in fs::read_dir(&directory).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name();
            let list = name.to_str().and_then(|name| name.strip_suffix(&*after));
            if list.is_none() && holds.is_empty() && entry.path().is_dir() {
                return Err(ProbeError::Foreign(entry.path()));
            }
            let list = list.and_then(|list| ListName::parse(list).ok());
            called.extend(list.map(|list| (name, list.within(tree.domain.as_deref()))));
        }
        let beneath = Beneath::open(&directory)?;
        let is_there = |(name, list): &(OsString, ListName)| {
            let there = beneath.is_list(name, holds);
            there.map(|there| there.then(|| list.clone())).transpose()
        };
        let there: Vec<Result<Vec<ListName>, ProbeError>> =
            in_parts(&called, |part| part.iter().filter_map(is_there).collect());
        // They come in no order; a set is made of all at once in less time than one by one.
        let lists: Vec<Vec<ListName>> = there.into_iter().collect::<Result<_, _>>()?;
        let lists: BTreeSet<ListName> = lists.into_iter().flatten().collect();
        match lists.is_empty() {
            true => Err(ProbeError::NoLists(directory)),
            false => Ok(lists),
        }
    }

    /// What of a list must belong to who runs its programs, unless that is root; `None` where
    /// they do not ask.
    pub fn owned(&self, tree: &Tree, list: &ListName) -> Option<PathBuf> {
        let owned = self.owned.as_ref()?;
        Some(PathBuf::from(
            tree.expand(owned, Some((list, self.routing.case))),
        ))
    }

    /// The directories that hold a list's data under a name that no list of ours can have, in
    /// their order; none where the lists cannot be told.
    pub fn refused(&self, tree: &Tree) -> Vec<OsString> {
        let Lists::Directory {
            directory,
            holds,
            after,
        } = &self.lists
        else {
            return Vec::new();
        };
        let directory = PathBuf::from(tree.expand(directory, None));
        let after = tree.expand(after, None);
        let Ok(beneath) = Beneath::open(&directory) else {
            return Vec::new();
        };
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        let is_refused = |name: &OsString| {
            let called = name.as_bytes().strip_suffix(after.as_bytes());
            called.is_none_or(|name| ListName::parse(name).is_err())
        };
        let mut refused: Vec<OsString> = entries
            .map(|entry| entry.file_name())
            .filter(is_refused)
            .filter(|name| beneath.is_list(name, holds).unwrap_or(false))
            .collect();
        refused.sort();
        refused
    }

    /// The release that is installed in `tree`.
    ///
    /// # Errors
    /// Its file cannot be read, or does not say.
    pub fn release(&self, tree: &Tree) -> Result<String, ProbeError> {
        let found = self.release.find(&self.release.place(tree, None)?, true)?;
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
        let path = version.probe.place(tree, Some((list, self.routing.case)))?;
        // NO LINK IS FOLLOWED: root looks, and who owns a list's directory may put anything there.
        let found = version.probe.find(&path, false)?;
        match version.read {
            ReadAs::Byte => Ok(found.first().map(|&byte| u64::from(byte))),
            ReadAs::Decimal => std::str::from_utf8(&found)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .map(Some)
                .ok_or(ProbeError::NoMatch(path)),
        }
    }

    /// The programs that deliveries to `tree` run, each once, with a verb that runs it.
    pub fn programs(&self, site: &Site, tree: &Tree) -> Vec<(Verb, PathBuf)> {
        let mut programs: Vec<(Verb, PathBuf)> = Vec::new();
        for route in self.routing.routes.iter() {
            let program = match &route.way {
                Way::Run(argv) => PathBuf::from(tree.expand(&argv[0], None)),
                Way::Lmtp(_) => site.config.lmtp(),
            };
            if !programs.iter().any(|(_, known)| *known == program) {
                programs.push((route.verb, program));
            }
        }
        programs
    }

    /// Every program of `tree` that the profile names, whoever runs it.
    pub fn all_programs(&self, tree: &Tree) -> BTreeSet<PathBuf> {
        let routes = self.routing.routes.iter();
        let routed = routes.filter_map(|route| match &route.way {
            Way::Run(argv) => argv.first().map(|word| word.as_ref()),
            Way::Lmtp(_) => None,
        });
        let jobs = self.bin.values().chain(self.cron.values());
        let alive = self.life.iter().filter_map(|sign| match sign {
            Sign::Process(words) | Sign::Pid { command: words, .. } => words
                .split_whitespace()
                .find(|word| word.starts_with("{tree}")),
            Sign::Listens(_) => None,
        });
        let all = routed.chain(jobs.map(Program::program)).chain(alive);
        all.map(|word| PathBuf::from(tree.expand(word, None)))
            .collect()
    }

    /// The forms of the commands that pipe straight into `tree`. An old list manager has one
    /// program word for several of our verbs; the alias's own name tells which.
    pub fn forms(&self, tree: &Tree) -> Vec<Form> {
        let forms = self.direct.iter();
        forms
            .map(|(verb, words)| Form::of(*verb, words, tree))
            .collect()
    }

    /// Where it keeps messages that it took, if it does.
    pub fn queues(&self) -> Option<&Queues> {
        self.queues.as_ref()
    }

    /// By what one sees that it lives; all of these.
    pub fn life(&self) -> &[Sign] {
        &self.life
    }

    /// What is known of a tree's files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The tests of a tree in which a release was just installed, in their order.
    pub fn fresh(&self) -> &[Fresh] {
        &self.fresh
    }

    /// Its programs for people, by name.
    pub fn bin(&self) -> &Programs {
        &self.bin
    }

    /// Its programs for cron, by name.
    pub fn cron(&self) -> &Programs {
        &self.cron
    }

    /// The directory that holds a list's data; without a list, the one that holds all lists'.
    /// `None` where no directory says which lists there are.
    pub fn directory(&self, tree: &Tree, list: Option<&ListName>) -> Option<PathBuf> {
        let Lists::Directory {
            directory, after, ..
        } = &self.lists
        else {
            return None;
        };
        let directory = PathBuf::from(tree.expand(directory, None));
        let case = self.routing.case;
        Some(match list {
            None => directory,
            Some(list) => {
                let after = tree.expand(after, Some((list, case)));
                directory.join(format!("{}{after}", case.spell(list)))
            }
        })
    }

    /// How an installation of it is laid out, if the profile says so.
    pub fn layout(&self) -> Option<&Layout> {
        self.layout.as_ref()
    }

    /// The verbs that it knows, each once, in their order.
    pub fn verbs(&self) -> Vec<Verb> {
        let verbs: BTreeSet<Verb> = self.addresses.iter().map(|address| address.verb).collect();
        verbs.into_iter().collect()
    }

    /// What a rehearsal needs to know of it, if the profile says so.
    pub fn rehearsal(&self) -> Option<&Rehearsal> {
        self.rehearsal.as_ref()
    }

    /// Whether nothing but the alias files says which lists there are.
    pub fn lists_are_in_aliases(&self) -> bool {
        matches!(self.lists, Lists::Aliases)
    }

    /// The command by which an alias pipes `verb` for `list` straight into `tree`; `None` if
    /// there is no such address, or no such command.
    pub fn direct_command(&self, tree: &Tree, verb: Verb, list: &ListName) -> Option<Vec<String>> {
        let Way::Run(argv) = self.routing.way(verb)? else {
            return None;
        };
        Some(
            argv.iter()
                .map(|word| tree.expand(word, Some((list, self.routing.case))))
                .collect(),
        )
    }

    /// The address to which an MTA may send messages for `verb` of `list` by LMTP, if that is
    /// how `tree` takes them.
    pub fn recipient(&self, tree: &Tree, verb: Verb, list: &ListName) -> Option<String> {
        match self.routing.way(verb)? {
            Way::Lmtp(recipient) => Some(tree.expand(recipient, Some((list, self.routing.case)))),
            Way::Run(_) => None,
        }
    }
}

/// The directory that holds the lists' own ones.
struct Beneath<'a> {
    path: &'a Path,
    directory: File,
}

impl<'a> Beneath<'a> {
    fn open(path: &'a Path) -> Result<Self, ProbeError> {
        let directory = File::open(path);
        let directory = directory.map_err(|error| ProbeError::Read(path.to_owned(), error))?;
        Ok(Self { path, directory })
    }

    /// Whether `name` is a list's directory: one of `holds` is in it, if any are named.
    fn is_list(&self, name: &OsStr, holds: &[String]) -> Result<bool, ProbeError> {
        let name = Path::new(name);
        if holds.is_empty() {
            return Ok(matches!(self.kind(name), Ok(Some(FileType::Directory))));
        }
        for file in holds {
            if self.kind(&name.join(file))? == Some(FileType::RegularFile) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What stands at `path`, or where a link leads; `None` where nothing does. What cannot be
    /// looked at is not "nothing": a list would be passed over.
    fn kind(&self, path: &Path) -> Result<Option<FileType>, ProbeError> {
        match statat(&self.directory, path, AtFlags::empty()) {
            Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
            // NOTDIR: a plain file among the lists' directories, a README perhaps.
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(ProbeError::Read(self.path.join(path), error.into())),
        }
    }
}

impl Probe {
    /// The first of its files that is there; the first one if none is.
    ///
    /// # Errors
    /// `Several`: a `*` stands for more than one part of a path.
    fn place(&self, tree: &Tree, list: Option<(&ListName, Case)>) -> Result<PathBuf, ProbeError> {
        let mut first = None;
        for file in &self.files {
            let place = the_one(PathBuf::from(tree.expand(file, list)))?;
            if place.exists() {
                return Ok(place);
            }
            first = first.or(Some(place));
        }
        Ok(first.unwrap_or_default())
    }

    /// What the first group of the regex matches in the file.
    fn find(&self, path: &Path, follow: bool) -> Result<Vec<u8>, ProbeError> {
        let read = |error| ProbeError::Read(path.to_owned(), error);
        let bytes = plain(path, follow).map_err(read)?;
        self.regex
            .captures(&bytes)
            .and_then(|captures| captures.get(1))
            .map(|group| group.as_bytes().to_vec())
            .ok_or_else(|| ProbeError::NoMatch(path.to_owned()))
    }
}

/// The bytes of a plain file, as far as a probe looks. A pipe in its place would be waited for, and
/// a device do who knows what.
fn plain(path: &Path, follow: bool) -> io::Result<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let flags = if follow {
        flags
    } else {
        flags | libc::O_NOFOLLOW
    };
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_PROBE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The path with its `*` replaced by what makes it one that is there; itself if nothing does.
fn the_one(pattern: PathBuf) -> Result<PathBuf, ProbeError> {
    let mut parts = pattern.iter();
    let mut holder = PathBuf::new();
    let Some((before, after)) = parts.find_map(|part| {
        let halves = part.to_str().and_then(|part| part.split_once('*'));
        if halves.is_none() {
            holder.push(part);
        }
        halves
    }) else {
        return Ok(pattern);
    };
    let rest = parts.as_path();
    let is_one = |name: &OsString| {
        let rest = name.as_bytes().strip_prefix(before.as_bytes());
        rest.is_some_and(|rest| rest.ends_with(after.as_bytes()))
    };
    let entries = fs::read_dir(&holder).into_iter().flatten().flatten();
    let mut there: Vec<PathBuf> = entries
        .map(|entry| entry.file_name())
        .filter(is_one)
        .map(|name| holder.join(name).join(rest))
        .filter(|path| path.exists())
        .collect();
    there.sort();
    match <[PathBuf; 2]>::try_from(there.drain(..there.len().min(2)).collect::<Vec<_>>()) {
        Ok([one, other]) => Err(ProbeError::Several(one, other)),
        Err(mut one) => Ok(one.pop().unwrap_or(pattern)),
    }
}
