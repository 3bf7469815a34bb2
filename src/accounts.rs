//! Users and groups by name, from /etc/passwd and /etc/group alone.
//!
//! A static program cannot load the modules that know LDAP or systemd's users, and a
//! delivery must not wait for them. Who is not in these files is written as a number.
//!
//! **Invariants.** Reads, never writes; no environment; a name that is not found is an
//! error of the caller's, never a default.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A user or a group as site.toml names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// The id itself.
    Number(u32),
    /// A name, looked up when it is needed.
    Name(String),
}

/// What a delivery needs to know of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name, or the number where /etc/passwd has none.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// The primary group's id.
    pub gid: u32,
    /// The home directory; `/` where /etc/passwd has none.
    pub home: PathBuf,
}

impl Account {
    /// A number if it is one, else a name.
    pub fn new(text: &str) -> Account {
        text.parse()
            .map_or_else(|_| Account::Name(text.to_owned()), Account::Number)
    }

    /// The user of this name or number.
    ///
    /// A number that /etc/passwd does not know stands for itself, with the group of the
    /// same number.
    ///
    /// # Errors
    /// /etc/passwd cannot be read; `NotFound` if it has no such name.
    pub fn user(&self) -> io::Result<User> {
        let file = fs::read(PASSWD)?;
        let number = |field: Option<&[u8]>| number(field?);
        for line in file.split(|&b| b == b'\n') {
            let mut fields = line.split(|&b| b == b':');
            let Some(name) = fields.next() else { continue };
            let (uid, gid) = (number(fields.nth(1)), number(fields.next()));
            let (Some(uid), Some(gid)) = (uid, gid) else {
                continue;
            };
            if self.is(name, uid) {
                let home = fields.nth(1).filter(|home| home.starts_with(b"/"));
                return Ok(User {
                    name: String::from_utf8_lossy(name).into_owned(),
                    uid,
                    gid,
                    home: OsString::from_vec(home.unwrap_or(b"/").to_vec()).into(),
                });
            }
        }
        match *self {
            Account::Number(uid) => Ok(User {
                name: uid.to_string(),
                uid,
                gid: uid,
                home: PathBuf::from("/"),
            }),
            Account::Name(_) => Err(not_found(PASSWD)),
        }
    }

    /// The user's id; a number needs no look-up.
    ///
    /// # Errors
    /// As [`Account::user`].
    pub fn uid(&self) -> io::Result<u32> {
        match *self {
            Account::Number(uid) => Ok(uid),
            Account::Name(_) => self.user().map(|user| user.uid),
        }
    }

    /// The id of the group of this name or number.
    ///
    /// # Errors
    /// /etc/group cannot be read; `NotFound` if it has no such name.
    pub fn gid(&self) -> io::Result<u32> {
        if let Account::Number(gid) = *self {
            return Ok(gid);
        }
        let file = fs::read(GROUP)?;
        file.split(|&b| b == b'\n')
            .find_map(|line| {
                let mut fields = line.split(|&b| b == b':');
                let name = fields.next()?;
                let gid = number(fields.nth(1)?)?;
                self.is(name, gid).then_some(gid)
            })
            .ok_or_else(|| not_found(GROUP))
    }

    fn is(&self, name: &[u8], id: u32) -> bool {
        match self {
            Account::Number(own) => *own == id,
            Account::Name(own) => own.as_bytes() == name,
        }
    }
}

impl User {
    /// The ids of the groups that /etc/group has this user in, besides the primary one.
    ///
    /// # Errors
    /// /etc/group cannot be read.
    pub fn groups(&self) -> io::Result<Vec<u32>> {
        let file = fs::read(GROUP)?;
        let groups = file.split(|&b| b == b'\n').filter_map(|line| {
            let mut fields = line.split(|&b| b == b':');
            let gid = number(fields.nth(2)?)?;
            let mut members = fields.next()?.split(|&b| b == b',');
            members
                .any(|member| member == self.name.as_bytes())
                .then_some(gid)
        });
        Ok(groups.collect())
    }

    /// Makes this process that user, for good, with the primary group and no other, as an
    /// MTA does before it runs us.
    ///
    /// # Errors
    /// The kernel's: only root may become somebody else.
    #[expect(unsafe_code, reason = "std changes users for a child only")]
    pub fn assume(&self) -> io::Result<()> {
        if self.uid == runner() {
            return Ok(());
        }
        // SAFETY: an empty list of groups is read nowhere; the ids are plain numbers.
        let done = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0
                && libc::setgid(self.gid) == 0
                && libc::setuid(self.uid) == 0
        };
        if done {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Number(id) => write!(f, "{id}"),
            Account::Name(name) => f.pad(name),
        }
    }
}

/// The user id by which the kernel judges this process.
#[expect(unsafe_code, reason = "std has no geteuid")]
pub fn runner() -> u32 {
    // SAFETY: takes nothing, touches no memory, never fails.
    unsafe { libc::geteuid() }
}

fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

fn not_found(file: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("not in {file}; write its number instead"),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn root_is_user_and_group_nought() {
        assert_eq!(Account::new("root").user().unwrap().uid, 0);
        assert_eq!(Account::new("root").gid().unwrap(), 0);
        let root = Account::new("0").user().unwrap();
        assert_eq!(root.name, "root");
        assert_eq!(root.home, PathBuf::from("/root"));
    }

    #[test]
    fn an_unknown_name_is_an_error_and_an_unknown_number_is_not() {
        let error = Account::new("no-such-user-here").user().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(
            Account::new("4000000000").user().unwrap().uid,
            4_000_000_000
        );
    }
}
