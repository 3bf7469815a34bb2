//! The list and the verb that an address means: `mm-deliver --rcpt ADDRESS`, where no alias says them.
//!
//! Take the address apart as the profiles of the trees say; come in by the door of each list that
//! it could be, the one with the longest name first; find the tree that serves that list; look
//! whether the list is there. The first that is there has the message.
//!
//! WHOSE ADDRESS. `foo-admin` is the posting address of a list foo-admin before it is the
//! administrator's of foo: the longest name wins, and of two of one length the first in the
//! alphabet. What one list's address asks for, the list's own tree says; there what has no extension
//! comes first, then the order of the verbs.
//!
//! UNDER THE DOOR. A list is looked for while its floor is held: no list is missing there only
//! because it is being moved, or its data put back, at that moment.
//!
//! **Invariants.** Enumerates nothing, writes nothing. A name gets into a path only as a
//! `ListName`. "No such list" is said only where the data are known to be there; whatever cannot
//! be looked at makes the message wait.

use std::borrow::Cow;
use std::ffi::{OsStr, c_int};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::decision::Undecided;
use crate::doors::{DoorError, Pass};
use crate::handover::Command;
use crate::list::{ListName, Verb};
use crate::profile::{Case, Routing};
use crate::site::{Placement, Site, SiteError};
use crate::sysexits;
use crate::tree::Tree;

/// What an address means.
#[derive(Debug)]
pub struct Meant<'a> {
    /// The list.
    pub list: ListName,
    /// What is asked of it.
    pub verb: Verb,
    /// What stands behind the delimiter, if there is one.
    pub extension: Option<Vec<u8>>,
    /// The tree that serves the list, and why it is that one.
    pub place: Placement<'a>,
    /// Held until the message is handed over, where it was come in for.
    pub pass: Option<Pass>,
}

/// Why an address leads to no list.
#[derive(Debug)]
pub enum Unmeant {
    /// There is no such list: the one permanent answer.
    NoList,
    /// site.toml does not say that addresses are served.
    NotServed,
    /// The profile of this tree does not say how one sees whether there is a list.
    NoExists(String),
    /// It could not be looked whether a list is there.
    Look(PathBuf, io::Error),
    /// parity.toml has the list, and its tree has not.
    Gone(ListName, String),
    /// There is no such list, but the data may be elsewhere: they have no sentinel.
    NoSentinel(PathBuf),
    /// The site's files do not say.
    Site(SiteError),
    /// The door of a list that it could be is closed, or there is none.
    Door(DoorError),
    /// A list that it could be takes no mail.
    Undecided(Undecided),
}

impl Unmeant {
    /// What the MTA is told.
    pub fn status(&self) -> c_int {
        match self {
            Unmeant::NoList => sysexits::NOUSER,
            Unmeant::Undecided(undecided) => undecided.status(),
            _ => sysexits::TEMPFAIL,
        }
    }
}

impl fmt::Display for Unmeant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unmeant::NoList => f.write_str("no list has this address"),
            Unmeant::NotServed => {
                f.write_str("--rcpt: site.toml does not say `rcpt = true` in [deliver]")
            }
            Unmeant::NoExists(tree) => write!(
                f,
                "--rcpt: the profile of tree {tree} has no `exists`: whether it has a list \
                 cannot be seen"
            ),
            Unmeant::Look(path, error) => write!(f, "cannot look at {path:?}: {error}"),
            Unmeant::Gone(list, tree) => {
                write!(f, "{list} is on tree {tree}, and has no data there")
            }
            Unmeant::NoSentinel(path) => {
                write!(
                    f,
                    "no such list, but {path:?} is missing: the data may not be mounted"
                )
            }
            Unmeant::Site(error) => error.fmt(f),
            Unmeant::Door(error) => error.fmt(f),
            Unmeant::Undecided(undecided) => undecided.fmt(f),
        }
    }
}

impl std::error::Error for Unmeant {}

/// Comes in for a list, and says where it goes.
pub type ComeIn<'s, 'a> = &'s dyn Fn(&ListName) -> Result<(Placement<'a>, Option<Pass>), Unmeant>;

/// Finds the list and the verb of `address`.
///
/// # Errors
/// [`Unmeant`].
pub fn find<'a>(
    site: &'a Site,
    address: &[u8],
    come_in: ComeIn<'_, 'a>,
) -> Result<Meant<'a>, Unmeant> {
    if !site.config.rcpt {
        return Err(Unmeant::NotServed);
    }
    let readers = readers(site);
    let readings = readings(&readers, address);
    let mut looked_at: Vec<&str> = Vec::new();
    let mut before: Option<&ListName> = None;
    for reading in &readings {
        // Another reading of the same list: it was not there.
        if before.replace(&reading.list) == Some(&reading.list) {
            continue;
        }
        let (place, pass) = come_in(&reading.list)?;
        let routing = site.routing(place.tree).map_err(Unmeant::Site)?;
        if is_there(place.tree, &routing, &reading.list)? {
            let same = readings.iter().filter(|other| other.list == reading.list);
            // The list's own tree says what its addresses mean; the other one's alone may know it.
            let own = same.clone().find(|other| other.tree == place.tree.name);
            let meant = own.unwrap_or(reading);
            return Ok(Meant {
                list: meant.list.clone(),
                verb: meant.verb,
                extension: meant.extension.map(<[u8]>::to_vec),
                place,
                pass,
            });
        }
        if place.standing.on_future {
            let tree = place.tree.name.clone();
            return Err(Unmeant::Gone(reading.list.clone(), tree));
        }
        looked_at.push(&place.tree.name);
    }
    Err(nobodys(readers, &looked_at))
}

/// A tree and how its list manager reads an address.
struct Reader<'a> {
    tree: &'a Tree,
    routing: Result<Cow<'static, Routing>, SiteError>,
}

/// A list that an address could be of, and what it then asks for.
#[derive(Debug)]
struct Reading<'a> {
    list: ListName,
    verb: Verb,
    extension: Option<&'a [u8]>,
    /// The tree whose profile says so.
    tree: &'a str,
}

fn readers(site: &Site) -> Vec<Reader<'_>> {
    let trees = site.config.trees.iter();
    let mut readers: Vec<Reader<'_>> = Vec::new();
    for tree in trees {
        let known = readers
            .iter()
            .find(|reader| reader.tree.profile == tree.profile);
        let routing = match known.map(|reader| &reader.routing) {
            Some(Ok(routing)) => Ok(routing.clone()),
            _ => site.routing(tree),
        };
        readers.push(Reader { tree, routing });
    }
    readers
}

/// Everything that `address` could be, longest name first. A profile that is broken reads nothing.
fn readings<'a>(readers: &'a [Reader<'a>], address: &'a [u8]) -> Vec<Reading<'a>> {
    let mut all = Vec::new();
    // No MTA should let one in, and a program may write it into a header.
    if address.iter().any(u8::is_ascii_control) {
        return all;
    }
    for Reader { tree, routing } in readers {
        let Ok(routing) = routing else { continue };
        read(routing, address, &mut |list, verb, extension| {
            let Some(list) = named(tree, list, address) else {
                return;
            };
            all.push(Reading {
                list,
                verb,
                extension,
                tree: &tree.name,
            });
        });
    }
    // Stable: what is left is in the order of the trees and of their verbs. By name as well, or two
    // readings of one list could have another one between them.
    let key = |reading: &Reading<'_>| {
        (
            std::cmp::Reverse(reading.list.local_part().len()),
            reading.list.as_str().to_owned(),
            reading.extension.is_some(),
        )
    };
    all.sort_by_cached_key(key);
    all
}

/// The local part and the domain: parted at the last `@`, since one in quotes may stand before it.
fn parts(address: &[u8]) -> (&[u8], Option<&[u8]>) {
    match address.iter().rposition(|&b| b == b'@') {
        Some(at) => (&address[..at], Some(&address[at + 1..])),
        None => (address, None),
    }
}

/// Each list's name that the verbs of a profile see in the local part, with what is asked for.
fn read<'a>(
    routing: &Routing,
    address: &'a [u8],
    tell: &mut dyn FnMut(&'a [u8], Verb, Option<&'a [u8]>),
) {
    let (local, _) = parts(address);
    for route in routing.routes.iter() {
        for template in route.addresses.iter() {
            let Some((before, after)) = template.split_once("{list}") else {
                continue;
            };
            let within = |text| between(text, before.as_bytes(), after.as_bytes());
            if let Some(list) = within(local) {
                tell(list, route.verb, None);
            }
            let is_delimiter = |at: &usize| Some(local[*at]) == route.extension;
            for at in (0..local.len()).filter(is_delimiter) {
                if let Some(list) = within(&local[..at]) {
                    tell(list, route.verb, Some(&local[at + 1..]));
                }
            }
        }
    }
}

/// What stands between the two, whose case does not matter.
fn between<'a>(text: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(before.len())?;
    let (middle, tail) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
    let is_it = head.eq_ignore_ascii_case(before) && tail.eq_ignore_ascii_case(after);
    (is_it && !middle.is_empty()).then_some(middle)
}

/// The list of this tree, in lower case: whoever sends chooses the case of an address. The domain is cut
/// where it is the tree's, or the tree has none, as an alias file has none; else it is the list's.
fn named(tree: &Tree, local: &[u8], address: &[u8]) -> Option<ListName> {
    // Before it is copied: an address is as long as its sender likes.
    if local.len() > ListName::LONGEST {
        return None;
    }
    let mut name = local.to_ascii_lowercase();
    if let (Some(_), (_, Some(domain))) = (&tree.domain, parts(address)) {
        name.push(b'@');
        name.extend(domain.to_ascii_lowercase());
    } else if name.contains(&b'@') {
        return None;
    }
    let list = ListName::parse(name).ok()?;
    Some(list.within(tree.domain.as_deref()))
}

/// Whether the tree has the list.
///
/// # Errors
/// `NoExists`; `Look`: it cannot be told.
pub fn is_there(tree: &Tree, routing: &Routing, list: &ListName) -> Result<bool, Unmeant> {
    if routing.exists.is_empty() {
        return Err(Unmeant::NoExists(tree.name.clone()));
    }
    for template in routing.exists.iter() {
        let path = tree.expand(template, Some((list, Case::Lower)));
        if look(Path::new(&path))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether something is there. That it cannot be told is no answer.
fn look(path: &Path) -> Result<bool, Unmeant> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
        Err(error) => Err(Unmeant::Look(path.to_owned(), error)),
    }
}

/// What is said of an address of no list: that there is none, if that is sure.
fn nobodys(readers: Vec<Reader<'_>>, looked_at: &[&str]) -> Unmeant {
    for Reader { tree, routing } in readers {
        match routing {
            Err(error) => return Unmeant::Site(error),
            Ok(routing) if routing.exists.is_empty() => {
                return Unmeant::NoExists(tree.name.clone());
            }
            Ok(_) => {}
        }
        if looked_at.contains(&tree.name.as_str()) {
            let path = tree.sentinel();
            match look(&path) {
                Ok(true) => {}
                Ok(false) => return Unmeant::NoSentinel(path),
                Err(error) => return error,
            }
        }
    }
    Unmeant::NoList
}

/// What an MTA that was told no alias says otherwise than by one: the whole address, and what stands
/// behind its delimiter. A sender is told where the MTA's own words are not in the environment.
pub fn tell(
    command: &mut Command,
    address: &OsStr,
    extension: Option<&[u8]>,
    sender: Option<&OsStr>,
) {
    // Parted otherwise than by the profile, or by another MTA's rules.
    const OTHERS: [&str; 8] = [
        "DEFAULT",
        "EXT",
        "EXTENSION",
        "LOCAL",
        "LOCAL_PART_PREFIX",
        "LOCAL_PART_SUFFIX",
        "ORIGINAL_RECIPIENT",
        "RECIPIENT",
    ];
    let told = [
        ("RECIPIENT", Some(address)),
        ("EXTENSION", extension.map(OsStr::from_bytes)),
        ("SENDER", sender),
    ];
    let environment = &mut command.environment;
    environment.retain(|(name, _)| {
        let is_told = told
            .iter()
            .any(|(word, value)| name == word && value.is_some());
        !is_told && !OTHERS.iter().any(|word| name == word)
    });
    let told = told.into_iter();
    environment.extend(told.filter_map(|(name, value)| Some((name.into(), value?.to_owned()))));
    environment.sort_by(|a, b| a.0.cmp(&b.0));
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// What a profile and a tree with this domain make of an address, in their order.
    fn read_as(profile: &str, domain: Option<&str>, address: &str) -> Vec<String> {
        let site = format!(
            "[trees.a]\nroot = \"/a\"\nprofile = \"x\"\ndata = \"/d\"\n{}\n\
             [aliases]\nfiles = [\"/f\"]\nmta = \"none\"\n\
             [deliver]\nprogram = \"/p\"\nusers = [\"0\"]\n",
            domain.map_or_else(String::new, |domain| format!("domain = \"{domain}\""))
        );
        let config = crate::config::Config::parse(&site).unwrap();
        let readers = [Reader {
            tree: &config.trees[0],
            routing: Ok(Cow::Borrowed(&Routing::shipped(profile).unwrap().routing)),
        }];
        let readings = readings(&readers, address.as_bytes());
        let told = readings.iter().map(|reading| {
            let extension = reading.extension.map(String::from_utf8_lossy);
            let extension = extension.map_or_else(String::new, |text| format!("+{text}"));
            format!("{} {}{extension}", reading.verb, reading.list)
        });
        told.collect()
    }

    #[test]
    fn the_longest_name_comes_first() {
        let two = |address| read_as("mailman2", None, address);
        assert_eq!(two("toylist"), ["post toylist"]);
        assert_eq!(two("Foo-ADMIN@x.org"), ["post foo-admin", "admin foo"]);
        let all = ["post a-owner-bounces", "bounces a-owner"];
        assert_eq!(two("a-owner-bounces"), all);
        assert_eq!(two("-admin"), Vec::<String>::new());
        let one = ["post owner-a-owner", "owner a-owner", "owner owner-a"];
        assert_eq!(read_as("mailman1", None, "owner-a-owner"), one);
    }

    #[test]
    fn what_stands_behind_a_plus_is_for_the_verbs_that_say_so() {
        let two = |address| read_as("mailman2", None, address);
        assert_eq!(
            two("toy-bounces+Al=B.org@x.org"),
            ["post toy-bounces+al=b.org", "bounces toy+Al=B.org"],
            "the extension keeps its case"
        );
        assert_eq!(
            two("c++-confirm+0a"),
            ["post c++-confirm+0a", "confirm c+++0a"]
        );
        assert_eq!(two("toy+x"), ["post toy+x"]);
        let more = ["post a+b+c", "post a+b+c", "post a+b+c"];
        let lists = read_as("mlmmj", None, "a+b+c");
        assert_eq!(lists, more, "a+b+c, a+b with c, a with b+c");
        assert_eq!(two("toy-bounces+a/b\u{e9}"), ["bounces toy+a/b\u{e9}"]);
    }

    #[test]
    fn hostile_addresses_are_no_lists() {
        let long = "x".repeat(129);
        let many = "+".repeat(100_000);
        for bad in [
            "",
            "@",
            "@x.org",
            "../etc",
            "a/b",
            "/",
            ".",
            "..",
            "a b",
            "a\tb",
            "a\nb",
            "\u{e9}",
            "a\0b",
            "-x",
            "\"a@b\"@x.org",
            "a@b@x.org",
            "a\r\n-bounces+x",
            "toy-bounces+a\nb",
            "toy@x\ny",
            &long,
            &many,
            "$(id)",
            "`id`",
            "a|b",
            "a;b",
            "a%2fb",
            "--help",
        ] {
            for profile in ["mailman1", "mailman2", "mlmmj", "sympa"] {
                assert_eq!(read_as(profile, None, bad), Vec::<String>::new(), "{bad:?}");
            }
        }
    }

    #[test]
    fn a_domain_is_cut_unless_the_tree_has_another() {
        let domain = Some("lists.example.org");
        let three = |address| read_as("mailman3", domain, address);
        assert_eq!(three("toy@Lists.Example.ORG"), ["post toy"]);
        assert_eq!(three("toy"), ["post toy"]);
        assert_eq!(three("toy@other.org"), ["post toy@other.org"]);
        assert_eq!(three("toy@../x"), Vec::<String>::new());
        assert_eq!(read_as("mailman2", None, "toy@other.org"), ["post toy"]);
    }

    #[test]
    fn the_environment_says_what_the_profile_parted() {
        let variables = [
            "EXTENSION",
            "LOCAL_PART_SUFFIX",
            "RECIPIENT",
            "SENDER",
            "USER",
        ];
        let environment = variables.map(|name| (name.into(), "old".into()));
        let new = || Command::new(crate::handover::Caller::Mta, [], environment.clone());
        let told = |command: &Command| -> Vec<String> {
            let rows = command
                .environment
                .iter()
                .filter(|(name, _)| name != "PATH");
            rows.map(|(name, value)| format!("{}={}", name.display(), value.display()))
                .collect()
        };
        let mut command = new();
        tell(
            &mut command,
            "l-x+e@d".as_ref(),
            Some(b"e"),
            Some("".as_ref()),
        );
        let all = ["EXTENSION=e", "RECIPIENT=l-x+e@d", "SENDER=", "USER=old"];
        assert_eq!(told(&command), all);
        let mut command = new();
        tell(&mut command, "l".as_ref(), None, None);
        assert_eq!(told(&command), ["RECIPIENT=l", "SENDER=old", "USER=old"]);
    }
}
