//! Local parts that are somebody's already: a list must not take them over.
//!
//! Whoever can make a list's directory decides what addresses are wanted. He must not get
//! the mail of a user of this host, or that which every host's admin is to receive.
//!
//! A user who is in LDAP alone is not in /etc/passwd. Where mail already goes to him (`root:
//! alice`) his name stands as a destination in an alias file, and is held for that.
//!
//! An address of the list manager as a whole (a profile's `[site]`) is no list's either.
//!
//! **Invariants.** Reads /etc/passwd, and looks at the entries that were found.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, fs, io};

use super::found::{Found, Means};
use super::pipe::Trees;

/// Source: RFC 2142, sections 3 to 5, and what aliases(5) files are shipped with.
const WELL_KNOWN: &[&str] = &[
    "abuse",
    "ftp",
    "hostmaster",
    "info",
    "mailer-daemon",
    "marketing",
    "news",
    "noc",
    "postmaster",
    "root",
    "sales",
    "security",
    "support",
    "usenet",
    "uucp",
    "webmaster",
    "www",
];

/// Whose address it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A user in /etc/passwd.
    User,
    /// Every host's, by RFC 2142.
    Everybody,
    /// Somebody to whom an alias sends mail on.
    Destination,
    /// The list manager's own, once per site.
    Site,
    /// Whoever's the line `name@domain: …` is, which Sendmail takes for `name` where the domain is
    /// one of its own; which those are, only Sendmail knows.
    Domain,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Holder::User => "a local user has this name",
            Holder::Everybody => "every host has this address (RFC 2142)",
            Holder::Destination => "another alias sends its mail to this name",
            Holder::Site => "it is an address of the list manager as a whole",
            Holder::Domain => {
                "a line has it with a domain, and Sendmail takes that for this name if the domain is \
                 its own: write that line without the domain, or remove it"
            }
        })
    }
}

/// The names that are not to be taken.
#[derive(Debug)]
pub(super) struct Reserved<'f> {
    users: BTreeSet<String>,
    /// Addresses of the list managers as a whole.
    site: BTreeSet<String>,
    found: &'f Found,
    /// Local names that stand as destinations, each with the names of their entries; found out
    /// when it is first asked for.
    destinations: OnceCell<BTreeMap<String, BTreeSet<String>>>,
    /// Names that stand with a domain, as far as the MTA may take them without.
    qualified: OnceCell<BTreeSet<String>>,
}

impl<'f> Reserved<'f> {
    /// Reads the users of this host, and whom the entries `found` send mail to.
    ///
    /// # Errors
    /// /etc/passwd cannot be read.
    pub(super) fn read(trees: &Trees<'_>, found: &'f Found) -> io::Result<Reserved<'f>> {
        let mut reserved = Reserved::of(&fs::read("/etc/passwd")?, found);
        let names = trees
            .all()
            .flat_map(|(_, profile)| profile.site_addresses());
        reserved.site = names.cloned().collect();
        Ok(reserved)
    }

    fn of(passwd: &[u8], found: &'f Found) -> Reserved<'f> {
        let names = passwd.split(|&b| b == b'\n').filter_map(|line| {
            let name = line.split(|&b| b == b':').next()?;
            Some(String::from_utf8_lossy(name).to_ascii_lowercase())
        });
        Reserved {
            users: names.filter(|name| !name.is_empty()).collect(),
            site: BTreeSet::new(),
            found,
            destinations: OnceCell::new(),
            qualified: OnceCell::new(),
        }
    }

    fn destinations(&self) -> &BTreeMap<String, BTreeSet<String>> {
        self.destinations.get_or_init(|| destinations(self.found))
    }

    /// Whose `name`, in lower case, is. What the list's own addresses, `siblings`, send on to
    /// is the list's: `owner-toylist: toylist-admin`.
    pub(super) fn holder(&self, name: &str, siblings: &BTreeSet<String>) -> Option<Holder> {
        let by_others = |by: &BTreeSet<String>| by.iter().any(|name| !siblings.contains(name));
        if WELL_KNOWN.contains(&name) {
            Some(Holder::Everybody)
        } else if self.site.contains(name) {
            Some(Holder::Site)
        } else if self.users.contains(name) {
            Some(Holder::User)
        } else if self.destinations().get(name).is_some_and(by_others) {
            Some(Holder::Destination)
        } else if self
            .qualified
            .get_or_init(|| qualified(self.found))
            .contains(name)
        {
            Some(Holder::Domain)
        } else {
            None
        }
    }
}

/// The names that stand with a domain in the files of a Sendmail, in lower case.
fn qualified(found: &Found) -> BTreeSet<String> {
    let lines = found.files.iter().flat_map(|it| it.document.qualified());
    lines
        .map(|line| String::from_utf8_lossy(&line.name).into_owned())
        .collect()
}

/// To whom the entries send mail on, each with the names of these entries.
fn destinations(found: &Found) -> BTreeMap<String, BTreeSet<String>> {
    let mut destinations: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for place in found
        .all()
        .filter(|&place| found.plain_pipe(place).is_none())
    {
        for means in found.destinations(place) {
            let Means::Address(address) = means else {
                continue;
            };
            if let Some(local) = local_name(&address) {
                let by = found.folded(place);
                destinations.entry(local).or_default().insert(by);
            }
        }
    }
    destinations
}

/// The local name that mail for `address` goes to, in lower case; `None` for one elsewhere.
fn local_name(address: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(address).to_ascii_lowercase();
    let text = text.trim_start_matches('\\');
    let local = match text.split_once('@') {
        None => text,
        Some((local, "localhost" | "localhost.localdomain")) => local,
        Some(_) => return None,
    };
    // An extension leads to the same user.
    let local = local.split('+').next().unwrap_or(local);
    Some(local.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_and_a_well_known_one_are_held() {
        let nobody = Found::of_text("");
        let reserved = Reserved::of(b"root:x:0:0::/:/bin/sh\nAlice:x:1:1::/:\n\n", &nobody);
        let holder = |name| reserved.holder(name, &BTreeSet::new());
        assert_eq!(holder("alice"), Some(Holder::User));
        assert_eq!(holder("postmaster"), Some(Holder::Everybody));
        assert_eq!(holder("toylist"), None);
        assert_eq!(holder(""), None);
    }

    #[test]
    fn a_name_that_mail_is_sent_on_to_is_held_unless_by_the_list_itself() {
        let found = Found::of_text(
            "root: Alice, bob@example.org\nops: \\carol, dave+ops, eve@localhost\n\
             toylist-owner: toylist-admin\n",
        );
        let reserved = Reserved::of(b"", &found);
        let siblings = BTreeSet::from(["toylist-owner".to_owned()]);
        for name in ["alice", "carol", "dave", "eve"] {
            assert_eq!(reserved.holder(name, &siblings), Some(Holder::Destination));
        }
        for name in ["bob", "toylist-admin", "root"] {
            let held = reserved.holder(name, &siblings);
            assert_ne!(held, Some(Holder::Destination), "{name}");
        }
    }
}
