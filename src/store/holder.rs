//! The file `writer`: who holds its lock, and the lines that the history is to get.
//!
//! One line with a checksum behind it, written over the one before in blocks that are kept, and
//! never cut off first: a full disk must not keep anybody from taking back. What follows the
//! first line is what is left of a longer one.
//!
//! **Invariants.** A line that is torn says nothing: no part of it is taken for a change.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::history::Entry;
use super::replace::is_no_room;
use crate::doors::fnv_1a;
use crate::row::read_at;

/// Who holds the writer's lock, as the file `writer` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// By name, or number where there is none.
    pub user: String,
    /// The process.
    pub pid: u32,
    /// What was typed.
    pub command: String,
    /// Since when, as RFC 3339.
    pub since: String,
    /// Whether it only waits, has moved nothing, and gives way when it is told to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) gives_way: bool,
    /// Lines of changes that stand, for which the history had no room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) waiting: Vec<Entry>,
    /// The line that the history gets once the next rename has happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<Entry>,
}

impl Holder {
    pub(super) fn lives(&self) -> bool {
        Path::new("/proc").join(self.pid.to_string()).exists()
    }

    /// What stands in the file; `None` if it is empty, torn or not ours. A line without a
    /// checksum, as older releases wrote it, says who holds the lock and tells of no change.
    pub(super) fn read(file: &File) -> Option<Holder> {
        let mut bytes = vec![0; usize::try_from(file.metadata().ok()?.len()).ok()?];
        let read = read_at(file, &mut bytes, 0).ok()?;
        let line = bytes[..read].split(|&b| b == b'\n').next()?;
        let at = line.iter().rposition(|&b| b == b' ').unwrap_or(0);
        let (text, sum) = line.split_at(at);
        if sum.trim_ascii() == checksum(text).as_bytes() {
            return serde_json::from_slice(text).ok();
        }
        let holder: Holder = serde_json::from_slice(line).ok()?;
        Some(Holder {
            waiting: Vec::new(),
            history: None,
            ..holder
        })
    }

    /// Writes it into the file, and waits until it is on disk.
    ///
    /// NO ROOM is no error: a writer who is killed then leaves a change that is recorded as one
    /// by hand, which is less than a way back that is refused.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let mut text = serde_json::to_string(self)?;
        text = format!("{text} {}\n", checksum(text.as_bytes()));
        let written = file
            .write_all_at(text.as_bytes(), 0)
            .and_then(|()| file.sync_all());
        match written {
            // What stood there is of no change that is under way.
            Err(error) if is_no_room(&error) => {
                let _ = file.set_len(0);
                Ok(())
            }
            written => written,
        }
    }
}

fn checksum(text: &[u8]) -> String {
    format!("{:016x}", fnv_1a(text))
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "user {}, process {}, running {:?} since {},",
            self.user.escape_debug(),
            self.pid,
            self.command,
            self.since.escape_debug()
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::fs;

    use super::*;

    fn holder(command: &str) -> Holder {
        let line = format!(
            "{{\"format\":1,\"generation\":2,\"when\":\"\",\"user\":\"root\",\"uid\":0,\"command\":{command:?},\
             \"reason\":null,\"undoes\":null,\"before\":{{}},\"after\":{{}}}}"
        );
        Holder {
            user: "root".into(),
            pid: 7,
            command: command.into(),
            since: "2026-11-22T10:02:11Z".into(),
            gives_way: false,
            waiting: Vec::new(),
            history: Some(serde_json::from_str(&line).unwrap()),
        }
    }

    /// The file with these bytes in it.
    fn read(bytes: &[u8]) -> Option<Holder> {
        let path = std::env::temp_dir().join(format!("mm-holder-{}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let found = Holder::read(&File::open(&path).unwrap());
        fs::remove_file(&path).unwrap();
        found
    }

    #[test]
    fn a_line_written_over_another_is_read_whole_or_not_at_all() {
        let path = std::env::temp_dir().join(format!("mm-holders-{}", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        // Longer and shorter than what stands there, and as long.
        let texts = [
            "pause reallist1",
            "upgrade toylist",
            "undo",
            "downgrade --all",
        ];
        let mut before = Vec::new();
        for text in texts {
            holder(text).write(&file).unwrap();
            assert_eq!(Holder::read(&file), Some(holder(text)));
            let after = fs::read(&path).unwrap();
            let end = after.iter().position(|&b| b == b'\n').unwrap() + 1;
            for cut in 1..end {
                let torn = [&after[..cut], before.get(cut..).unwrap_or_default()].concat();
                let line = |bytes: &[u8]| bytes.split(|&b| b == b'\n').next().unwrap().to_vec();
                let is_whole = [&after, &before]
                    .map(|text| line(text))
                    .contains(&line(&torn));
                let change = read(&torn).and_then(|holder| holder.history);
                assert_eq!(change.is_some(), is_whole, "{text}, cut at {cut}");
            }
            before = after;
        }
        fs::remove_file(&path).unwrap();
    }
}
