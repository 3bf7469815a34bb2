//! What site.toml must say and the host tells: the MTA, what it reads, whom it runs programs as, and
//! whose an installation is.
//!
//! **Invariants.** Nothing is changed. Where two answers are possible there is none: the admin says
//! which. Postfix is asked by its own `postconf`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accounts::Account;
use crate::config::Mta;
use crate::running::Program;

/// How long Postfix may take to say what it reads.
const PATIENCE: Duration = Duration::from_secs(10);
/// What every MTA reads unless it is told otherwise.
const ALIASES: &str = "/etc/aliases";
const GROUP_WRITES: u32 = 0o020;

/// By which of these files an MTA is told; all of one row.
const MTAS: [(Mta, &[&str]); 5] = [
    (
        Mta::Postfix,
        &["/etc/postfix/main.cf", "/usr/sbin/postconf"],
    ),
    (Mta::Exim, &["/usr/sbin/exim4"]),
    (Mta::Exim, &["/usr/sbin/exim"]),
    (Mta::OpenSmtpd, &["/etc/smtpd.conf", "/usr/sbin/smtpctl"]),
    (Mta::Sendmail, &["/etc/mail/sendmail.cf"]),
];

/// The MTAs that are installed, each once.
pub fn mtas() -> Vec<Mta> {
    let mut there = Vec::new();
    for (mta, files) in MTAS {
        if files.iter().all(|file| Path::new(file).exists()) && !there.contains(&mta) {
            there.push(mta);
        }
    }
    there
}

/// The alias files that the MTA reads.
pub fn aliases(mta: Mta) -> Vec<PathBuf> {
    let named = match mta {
        Mta::Postfix => files_of(&postconf("alias_maps").unwrap_or_default()),
        _ => Vec::new(),
    };
    match named.is_empty() {
        true => vec![ALIASES.into()],
        false => named,
    }
}

/// The texts of the maps that Postfix names: `hash:/etc/aliases, nis:mail.aliases`.
fn files_of(maps: &str) -> Vec<PathBuf> {
    const TYPES: [&str; 6] = ["hash", "btree", "lmdb", "cdb", "dbm", "texthash"];
    let mut files: Vec<PathBuf> = Vec::new();
    for map in maps.split([',', ' ', '\t', '\n']) {
        let Some((kind, path)) = map.split_once(':') else {
            continue;
        };
        let path = PathBuf::from(path);
        if TYPES.contains(&kind) && path.is_absolute() && !files.contains(&path) {
            files.push(path);
        }
    }
    files
}

/// Whom the MTA runs the programs of these alias files as.
pub fn users(mta: Mta, aliases: &[PathBuf]) -> Vec<String> {
    let mut users = match mta {
        Mta::Postfix => aliases.iter().map(|file| map_owner(file)).collect(),
        Mta::Sendmail => vec![
            line_behind("/etc/mail/sendmail.cf", "O DefaultUser=")
                .and_then(|user| user.split(':').next().map(str::to_owned))
                .unwrap_or_else(|| "mail".to_owned()),
        ],
        Mta::Exim => vec![
            line_behind("/etc/exim4/exim4.conf.localmacros", "SYSTEM_ALIASES_USER =")
                .unwrap_or_else(|| "Debian-exim".to_owned()),
        ],
        Mta::OpenSmtpd => vec!["opensmtpd".to_owned()],
        Mta::None => vec!["nobody".to_owned()],
    };
    users.sort();
    users.dedup();
    users
}

/// The owner of an alias map; where that is root, Postfix runs programs as nobody.
fn map_owner(text: &Path) -> String {
    let map = |end: &str| PathBuf::from(format!("{}{end}", text.display()));
    let maps = [".lmdb", ".db", ".cdb", ".dir", ""].map(map);
    let owner = maps.iter().find_map(|map| fs::metadata(map).ok());
    match owner.map(|meta| meta.uid()) {
        None | Some(0) => postconf("default_privs").unwrap_or_else(|| "nobody".to_owned()),
        Some(uid) => user(uid),
    }
}

fn postconf(name: &str) -> Option<String> {
    let asked = Program::new(["/usr/sbin/postconf", "-h", name], PATIENCE).run();
    let asked = asked.ok().filter(crate::running::Ended::is_success)?;
    let value = String::from_utf8(asked.output).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// What stands behind `begin` in the last line of a file that begins so.
fn line_behind(file: &str, begin: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let last = text.lines().rev().find_map(|line| line.strip_prefix(begin));
    last.map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

/// The name of a user, or the number where /etc/passwd has none.
pub fn user(uid: u32) -> String {
    let known = Account::Number(uid).user();
    known.map_or_else(|_| uid.to_string(), |user| user.name)
}

/// The name of a group, or the number where /etc/group has none.
fn group(gid: u32) -> String {
    let text = fs::read_to_string("/etc/group").unwrap_or_default();
    let named = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == gid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| gid.to_string())
}

/// Whose these files and directories are: who owns one of them and is not root, else root; and the
/// group that may write one, if any may.
pub fn owner_and_group<'p>(
    paths: impl Iterator<Item = &'p Path> + Clone,
) -> (String, Option<String>) {
    let metas = paths.filter_map(|path| fs::metadata(path).ok());
    let owner = metas.clone().map(|meta| meta.uid()).find(|&uid| uid != 0);
    let mut writes = metas.filter(|meta| meta.mode() & GROUP_WRITES != 0);
    (
        owner.map_or_else(|| "root".to_owned(), user),
        writes.next().map(|meta| group(meta.gid())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postfix_names_is_told_from_what_is_no_file() {
        let files = files_of("hash:/etc/aliases, nis:mail.aliases\tlmdb:/srv/a,hash:/etc/aliases");
        assert_eq!(files, [PathBuf::from("/etc/aliases"), "/srv/a".into()]);
        assert!(files_of("").is_empty());
    }

    #[test]
    fn a_user_or_group_without_a_name_is_a_number() {
        assert_eq!(user(0), "root");
        assert_eq!(group(0), "root");
        assert_eq!(group(4_000_000_123), "4000000123");
    }
}
