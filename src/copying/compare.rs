//! A copy compared with what stands there now.
//!
//! **Invariants.** Only reads.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::place::{Place, is_there, open_own_directory, read_names};
use super::tree::open_below;
use super::{CopyError, Rules};

/// The files, by the path of what stands there now, that are others than in the copy: by kind, size
/// or time of the last write; those that only one of them has count.
///
/// # Errors
/// A directory cannot be read.
pub fn differences(
    copy: &Place,
    now: &Place,
    rules: &Rules<'_>,
) -> Result<Vec<PathBuf>, CopyError> {
    let mut found = Vec::new();
    let sides = [copy, now].map(|side| Some((side.directory.as_fd(), &*side.name)));
    compare(sides, &now.path, rules, &mut found)?;
    Ok(found)
}

/// A name in an open directory; none where there is no such directory.
type Side<'a> = Option<(BorrowedFd<'a>, &'a OsStr)>;

fn compare(
    sides: [Side<'_>; 2],
    path: &Path,
    rules: &Rules<'_>,
    found: &mut Vec<PathBuf>,
) -> Result<(), CopyError> {
    if (rules.without)(path) {
        return Ok(());
    }
    let failed = |error: Errno| CopyError::kernel(path, error);
    let stat = |(directory, name)| is_there(directory, name);
    let [was, is] = sides.map(|side| side.map_or(Ok(None), stat));
    let (was, is) = (was.map_err(failed)?, is.map_err(failed)?);
    let is_directory = |stat: &Option<Stat>| {
        stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    };
    match (is_directory(&was), is_directory(&is)) {
        (false, false) if was.map(|stat| look(&stat)) == is.map(|stat| look(&stat)) => Ok(()),
        (false, false) => {
            found.push(path.to_owned());
            Ok(())
        }
        (a, b) => {
            if was.is_some() && !a || is.is_some() && !b {
                found.push(path.to_owned());
            }
            let mut names = BTreeSet::<OsString>::new();
            let mut inside = Vec::new();
            for (is_one, side) in [(a, sides[0]), (b, sides[1])] {
                let side = side.filter(|_| is_one);
                let open = side.map(|(directory, name)| open_own_directory(directory, name));
                let open = open.transpose().map_err(failed)?;
                if let Some(open) = &open {
                    names.extend(read_names(open).map_err(failed)?);
                }
                inside.push(open);
            }
            for name in &names {
                let side = |n: usize| inside[n].as_ref().map(|open| (open.as_fd(), &**name));
                compare([side(0), side(1)], &path.join(name), rules, found)?;
            }
            Ok(())
        }
    }
}

fn look(stat: &Stat) -> (u32, i64, i64, i64) {
    let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
    let kind = stat.st_mode & 0o170_000;
    (kind, stat.st_size, stat.st_mtime, nanos)
}

/// How many bytes the plain file `below` a place has; `None` if there is none.
///
/// # Errors
/// The kernel's.
pub fn size(top: &Place, below: &Path) -> Result<Option<u64>, CopyError> {
    let Some(file) = open_below(top, below)? else {
        return Ok(None);
    };
    let meta = File::from(file).metadata();
    meta.map(|meta| Some(meta.len()))
        .map_err(|error| CopyError::kernel(&top.path, error))
}

/// How many lines of the plain file `below` a place begin with `word`, from byte `begin` on, where a
/// line begins.
///
/// # Errors
/// The kernel's.
pub fn count_lines(top: &Place, below: &Path, begin: u64, word: &[u8]) -> Result<u64, CopyError> {
    let Some(file) = open_below(top, below)? else {
        return Ok(0);
    };
    let failed = |error: std::io::Error| CopyError::kernel(&top.path, error);
    let mut file = File::from(file);
    file.seek(SeekFrom::Start(begin)).map_err(failed)?;
    let mut reader = BufReader::new(file);
    let mut count = 0;
    let mut head = Vec::new();
    loop {
        head.clear();
        let length = u64::try_from(word.len()).unwrap_or_default();
        let got = reader
            .by_ref()
            .take(length)
            .read_until(b'\n', &mut head)
            .map_err(failed)?;
        if got == 0 {
            return Ok(count);
        }
        count += u64::from(head == word);
        if head.last() != Some(&b'\n') {
            skip_line(&mut reader).map_err(failed)?;
        }
    }
}

/// Reads to the end of the line, however long it is.
fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|&b| b == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}
