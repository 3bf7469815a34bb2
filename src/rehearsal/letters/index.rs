//! Where messages stand: one pass over a mailbox or a directory, of which the last ones are kept.
//!
//! **Invariants.** Memory grows with how many are wanted, not with how many there are. A mailbox that
//! grows meanwhile is read as far as it was when the pass came to its end.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{Found, messages, read, short};

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// By what people find it.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
    /// Whether it is one of a mailbox.
    pub is_mbox: bool,
}

/// The last messages of some places.
#[derive(Debug)]
pub struct Index {
    spots: VecDeque<Spot>,
    last: usize,
    since: Option<i64>,
    /// How many there were.
    pub seen: u64,
    /// How many of them were older than what is asked for.
    pub older: u64,
}

impl Index {
    /// Of what comes, the last so many that were sent since then, in seconds since 1970.
    pub fn new(last: usize, since: Option<i64>) -> Index {
        Index {
            spots: VecDeque::new(),
            last,
            since,
            seen: 0,
            older: 0,
        }
    }

    /// In the order in which they stand there.
    pub fn spots(&self) -> impl Iterator<Item = &Spot> {
        self.spots.iter()
    }

    /// Notes what is at `path`: a mailbox, a Maildir, or a directory of messages.
    ///
    /// # Errors
    /// The kernel's; it is something else.
    pub fn add(&mut self, path: &Path) -> io::Result<()> {
        let meta = fs::metadata(path)?;
        if meta.is_file() {
            return self.mailbox(path);
        }
        if !meta.is_dir() {
            return Err(io::Error::other("neither a mailbox nor a directory"));
        }
        let (current, new) = (path.join("cur"), path.join("new"));
        if !current.is_dir() {
            return self.directory(path, short(path));
        }
        for part in [current, new].iter().filter(|part| part.is_dir()) {
            self.directory(part, short(part))?;
        }
        Ok(())
    }

    fn push(&mut self, spot: Spot) -> io::Result<()> {
        self.seen += 1;
        if let Some(since) = self.since {
            // Only its beginning: where the headers are.
            let mut head = spot.clone();
            head.length = head.length.min(64 * 1024);
            let found = read(&head)?.and_then(|bytes| Found::parse(&bytes, spot.is_mbox));
            if found
                .and_then(|found| found.sent_at())
                .is_none_or(|sent| sent < since)
            {
                self.older += 1;
                return Ok(());
            }
        }
        if self.spots.len() == self.last {
            self.spots.pop_front();
        }
        if self.last > 0 {
            self.spots.push_back(spot);
        }
        Ok(())
    }

    fn directory(&mut self, directory: &Path, called: String) -> io::Result<()> {
        let mut all = messages(directory)?;
        // By number where they are numbers, by name else: 10 comes behind 9.
        all.sort_by(|(one, _), (other, _)| {
            let number =
                |name: &std::ffi::OsStr| name.to_str().and_then(|name| name.parse::<u64>().ok());
            (number(one), one).cmp(&(number(other), other))
        });
        for (name, path) in all {
            let length = fs::metadata(&path)?.len();
            self.push(Spot {
                name: format!("{called}/{}", name.to_string_lossy()),
                path,
                offset: 0,
                length,
                is_mbox: false,
            })?;
        }
        Ok(())
    }

    fn mailbox(&mut self, path: &Path) -> io::Result<()> {
        let called = short(path);
        let mut input = BufReader::with_capacity(1 << 20, super::open(path)?);
        // Where the message that is being read begins: byte and line.
        let mut begin: Option<(u64, u64)> = None;
        let (mut offset, mut number, mut is_blank) = (0_u64, 0_u64, true);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line of any length: what is beyond this is no beginning of a message.
            let mut part = (&mut input as &mut dyn BufRead).take_line(&mut line)?;
            number += u64::from(part > 0);
            let is_begin = is_blank && is_from_line(&line);
            if (part == 0 || is_begin)
                && let Some((from, at)) = begin
            {
                self.push(Spot {
                    name: format!("{called}:{at}"),
                    path: path.to_owned(),
                    offset: from,
                    length: offset - from,
                    is_mbox: true,
                })?;
            }
            if part == 0 {
                return Ok(());
            }
            if is_begin {
                begin = Some((offset, number));
            }
            is_blank = matches!(line.as_slice(), b"\n" | b"\r\n");
            while part > 0 {
                offset += part;
                if line.last() == Some(&b'\n') {
                    break;
                }
                line.clear();
                part = (&mut input as &mut dyn BufRead).take_line(&mut line)?;
            }
        }
    }
}

/// Whether a line begins a message: "From ", and a time and a year behind it. A sentence can begin so, too.
fn is_from_line(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    let rest = String::from_utf8_lossy(rest);
    let is_number = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    let is_time = |word: &str| {
        word.len() >= 4
            && word.split(':').count() >= 2
            && word
                .split(':')
                .all(|part| part.len() <= 2 && !part.is_empty() && is_number(part))
    };
    let is_year = |word: &str| word.len() == 4 && is_number(word);
    rest.split_whitespace().any(is_time) && rest.split_whitespace().any(is_year)
}

/// A line, or as much of it as is read at once.
trait TakeLine {
    /// Its length in bytes; 0 at the end.
    fn take_line(&mut self, line: &mut Vec<u8>) -> io::Result<u64>;
}

impl TakeLine for dyn BufRead + '_ {
    fn take_line(&mut self, line: &mut Vec<u8>) -> io::Result<u64> {
        use std::io::Read;
        let mut limited = Read::take(self, 1 << 20);
        Ok(limited.read_until(b'\n', line)? as u64)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mm-letters-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn of_a_mailbox_the_last_ones_are_found_by_their_lines() {
        let place = scratch("mbox");
        let mut text = String::new();
        for day in 1..=9 {
            text += &format!(
                "From a@x  Mon Nov  2 10:00:00 2026\nDate: {day} Nov 2026 10:00:00 +0000\nSubject: {day}\n\n\
                 body\n\nFrom the inside, at noon\n>From here\n\n"
            );
        }
        let path = place.join("toylist.mbox");
        fs::write(&path, &text).unwrap();
        let mut index = Index::new(2, None);
        index.add(&path).unwrap();
        assert_eq!(index.seen, 9);
        let names: Vec<&str> = index.spots().map(|spot| spot.name.as_str()).collect();
        assert_eq!(names, ["toylist.mbox:64", "toylist.mbox:73"]);
        let last = read(index.spots().last().unwrap()).unwrap().unwrap();
        assert!(last.starts_with(b"From a@x"));
        assert!(last.ends_with(b">From here\n\n"));
        // 7 November 2026.
        let mut index = Index::new(100, Some(1_794_009_600));
        index.add(&path).unwrap();
        assert_eq!((index.spots().count(), index.older), (3, 6));
        fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn directories_are_read_by_number_and_maildirs_by_their_parts() {
        let place = scratch("directory");
        for name in ["1", "2", "10", ".hidden"] {
            fs::write(place.join(name), "Subject: x\n\n").unwrap();
        }
        let mut index = Index::new(100, None);
        index.add(&place).unwrap();
        let names: Vec<&str> = index
            .spots()
            .map(|spot| spot.name.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["1", "2", "10"]);
        let maildir = scratch("maildir");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir(maildir.join(part)).unwrap();
            fs::write(maildir.join(part).join("1792.x:2,S"), "Subject: x\n\n").unwrap();
        }
        let mut index = Index::new(100, None);
        index.add(&maildir).unwrap();
        assert_eq!(index.spots().count(), 2);
        assert!(index.add(Path::new("/dev/null")).is_err());
        fs::remove_dir_all(place).unwrap();
        fs::remove_dir_all(maildir).unwrap();
    }
}
