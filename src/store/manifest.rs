//! manifests/TREE.jsonl: the files of a tree, as they were when it was looked at last.
//!
//! One line about the whole, then one line a file, sorted. It is replaced as a whole, by the one who
//! holds the writer's lock (`Writer::replace_beside`): whatever dies, the old or the new one stands.
//!
//! **Invariants.** A path is a key and nothing else: it is written with all odd bytes escaped, and
//! never made a path of again. What cannot be read is no manifest, and never "nothing changed".

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::site::Site;

/// All of a tree's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is of.
    pub head: Head,
    /// By its path below the tree's root, odd bytes escaped.
    pub files: BTreeMap<String, Row>,
}

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of the lines' format: 1.
    pub format: u32,
    /// The tree's name.
    pub tree: String,
    /// The release that was in it.
    pub release: String,
    /// When it was looked at, as RFC 3339 in UTC.
    pub when: String,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or pipe.
    Other,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    pub what: What,
    /// Its permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, and when anything of it changed: seconds and nanoseconds of each.
    pub times: [i64; 4],
    /// The inode.
    pub inode: u64,
    /// SHA-256 of a plain file's bytes, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a link leads, odd bytes escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A line about one file.
#[derive(Serialize, Deserialize)]
struct Line<R> {
    path: String,
    #[serde(flatten)]
    row: R,
}

impl Manifest {
    /// Where that of the tree of this name stands.
    pub fn path(site: &Site, tree: &str) -> PathBuf {
        let directory = site.config.state.join("manifests");
        directory.join(format!("{tree}.jsonl"))
    }

    /// That of the tree of this name; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(site: &Site, tree: &str) -> io::Result<Option<Manifest>> {
        let file = match File::open(Manifest::path(site, tree)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Manifest::from_lines(BufReader::new(file)).map(Some)
    }

    fn from_lines(mut lines: impl BufRead) -> io::Result<Manifest> {
        let mut first = String::new();
        lines.read_line(&mut first)?;
        let head: Head = serde_json::from_str(&first)?;
        if head.format != 1 {
            return Err(io::Error::other(format!("format {} is not 1", head.format)));
        }
        let mut files = BTreeMap::new();
        for line in lines.lines() {
            let Line { path, row } = serde_json::from_str(&line?)?;
            files.insert(path, row);
        }
        Ok(Manifest { head, files })
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None that could be met: what is in it can be written.
    pub fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(&self.head)?;
        for (path, row) in &self.files {
            text.push(b'\n');
            let path = path.clone();
            serde_json::to_writer(&mut text, &Line { path, row })?;
        }
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_torn_one_is_an_error() {
        let row = |sha256: Option<&str>, target: Option<&str>| Row {
            what: What::File,
            mode: 0o755,
            uid: 0,
            gid: 38,
            size: 7,
            times: [1, 2, 3, 4],
            inode: 9,
            sha256: sha256.map(str::to_owned),
            target: target.map(str::to_owned),
        };
        let manifest = Manifest {
            head: Head {
                format: 1,
                tree: "b".into(),
                release: "2.1.40".into(),
                when: "2026-11-22T10:02:11Z".into(),
            },
            files: [
                ("bin/version".to_owned(), row(Some("00ff"), None)),
                ("caf\\xe9".to_owned(), row(None, Some("bin"))),
            ]
            .into(),
        };
        let text = manifest.text().unwrap();
        assert_eq!(Manifest::from_lines(&text[..]).unwrap(), manifest);
        for cut in [0, 10, text.len() - 5] {
            assert!(Manifest::from_lines(&text[..cut]).is_err(), "{cut}");
        }
        let other = String::from_utf8(text).unwrap().replacen(":1", ":2", 1);
        assert!(Manifest::from_lines(other.as_bytes()).is_err());
    }
}
