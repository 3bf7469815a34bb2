//! Local parts that are somebody's already: a list must not take them over.
//!
//! Whoever can make a list's directory decides what addresses are wanted. He must not get
//! the mail of a user of this host, or that which every host's admin is to receive.
//!
//! **Invariants.** Reads /etc/passwd; knows nothing of aliases. A user who is in LDAP alone
//! is not seen here.

use std::collections::BTreeSet;
use std::{fmt, fs, io};

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
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Holder::User => "a local user has this name",
            Holder::Everybody => "every host has this address (RFC 2142)",
        })
    }
}

/// The names that are not to be taken.
#[derive(Debug)]
pub(super) struct Reserved {
    users: BTreeSet<String>,
}

impl Reserved {
    /// Reads the users of this host.
    ///
    /// # Errors
    /// /etc/passwd cannot be read.
    pub(super) fn read() -> io::Result<Reserved> {
        Ok(Reserved::of(&fs::read("/etc/passwd")?))
    }

    fn of(passwd: &[u8]) -> Reserved {
        let names = passwd.split(|&b| b == b'\n').filter_map(|line| {
            let name = line.split(|&b| b == b':').next()?;
            Some(String::from_utf8_lossy(name).to_ascii_lowercase())
        });
        Reserved {
            users: names.filter(|name| !name.is_empty()).collect(),
        }
    }

    /// Whose `name`, in lower case, is.
    pub(super) fn holder(&self, name: &str) -> Option<Holder> {
        if WELL_KNOWN.contains(&name) {
            Some(Holder::Everybody)
        } else if self.users.contains(name) {
            Some(Holder::User)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_and_a_well_known_one_are_held() {
        let reserved = Reserved::of(b"root:x:0:0::/:/bin/sh\nAlice:x:1:1::/:\n\n");
        assert_eq!(reserved.holder("alice"), Some(Holder::User));
        assert_eq!(reserved.holder("postmaster"), Some(Holder::Everybody));
        assert_eq!(reserved.holder("toylist"), None);
        assert_eq!(reserved.holder(""), None);
    }
}
