//! What stands in a file that an alias includes (`:include:/path`).
//!
//! The MTA reads it when mail comes, and it is no alias file of ours: it is looked at to say what
//! happens, never edited. An included file may include others.
//!
//! **Invariants.** Reads, and no more than a bounded number of bytes of plain files, each once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aliases::Dialect;

use super::found::{Means, means_of};
use crate::config::Mta;
use crate::site::Site;

/// How much of such a file is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// How many files one include leads to, at most.
const MOST_FILES: usize = 64;

/// A program in such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    /// The file that it stands in.
    pub(super) file: PathBuf,
    /// The line, from 1.
    pub(super) line: usize,
    /// The command, without its bar.
    pub(super) command: Vec<u8>,
}

/// The programs that stand in the file and in those that it includes, in their order.
///
/// # Errors
/// It cannot be read, or is no plain file. What it includes and cannot be read is passed over.
pub(super) fn programs(path: &[u8], dialect: Dialect) -> io::Result<Vec<Program>> {
    let first = PathBuf::from(OsStr::from_bytes(path));
    let mut seen = BTreeSet::from([first.clone()]);
    let mut found = Vec::new();
    let mut waiting = look(&first, dialect, &mut found)?;
    while let Some(next) = waiting.pop() {
        if seen.len() < MOST_FILES && seen.insert(next.clone()) {
            waiting.extend(look(&next, dialect, &mut found).unwrap_or_default());
        }
    }
    Ok(found)
}

/// What is wrong with a program of a list in a file that is included as `path`.
pub(super) fn into_a_tree(site: &Site, path: &[u8], program: &Program) -> String {
    let does = match site.config.mta {
        Mta::Postfix => "Postfix bounces that",
        Mta::Sendmail => "Sendmail may refuse that",
        Mta::Exim => "Exim may refuse that",
        Mta::OpenSmtpd => "OpenSMTPD may refuse that",
        Mta::None => "Postfix would bounce that",
    };
    format!(
        "it includes {:?}, and {}, line {}, pipes to a list: {does}",
        String::from_utf8_lossy(path),
        program.file.to_string_lossy().escape_debug(),
        program.line
    )
}

/// Adds the programs of one file to `found`; returns what it includes, the last one first.
fn look(path: &Path, dialect: Dialect, found: &mut Vec<Program>) -> io::Result<Vec<PathBuf>> {
    let mut includes = Vec::new();
    let bytes = read(path)?;
    for (number, line) in bytes.split(|&b| b == b'\n').enumerate() {
        if line.starts_with(b"#") || !(line.contains(&b'|') || line.contains(&b':')) {
            continue;
        }
        for means in means_of(&[b"x: ", line].concat(), dialect) {
            match means {
                Means::Pipe(command) => found.push(Program {
                    file: path.to_owned(),
                    line: number + 1,
                    command,
                }),
                Means::Include(path) => includes.push(PathBuf::from(OsStr::from_bytes(&path))),
                _ => {}
            }
        }
    }
    includes.reverse();
    Ok(includes)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn programs_of_included_files_have_their_line_and_a_circle_ends() {
        let directory = std::env::temp_dir().join(format!("mm-include-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let (one, two) = (directory.join("one"), directory.join("two"));
        std::fs::write(
            &one,
            format!(
                "alice\n# \"|/no\"\n:include:{}\nbob, \"|/p 1\"\n:include:/none\n",
                two.display()
            ),
        )
        .unwrap();
        std::fs::write(&two, format!("\n|/q\n:include:{}", one.display())).unwrap();
        let path = one.as_os_str().as_bytes();
        let found: Vec<_> = programs(path, Dialect::Postfix)
            .unwrap()
            .into_iter()
            .map(|one| (one.file, one.line, one.command))
            .collect();
        assert_eq!(
            found,
            [
                (one.clone(), 4, b"/p 1".to_vec()),
                (two.clone(), 2, b"/q".to_vec())
            ]
        );
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(programs(path, Dialect::Postfix).is_err());
        assert!(programs(b"/dev/null", Dialect::Postfix).is_err());
    }
}
