//! adopted.jsonl: what we wrote into alias files, and the bytes that stood there before.
//!
//! One line an entry: when, the generation, what wrote it (`adopt`, `sync`, `upgrade`, …), the
//! file, the alias's name, the entry's bytes `before` (null: there was none) and as `written`
//! (null: it was removed), and for a removed one the name of the entry that it `followed`. An
//! entry's bytes are a string where they are UTF-8, else `{"latin1": "…"}`: each byte as the
//! character of that number.
//!
//! | step | on disk | the next reader |
//! |---|---|---|
//! | 1. where half of it is needed no more (`needed`), replaced by the rest | all, or the rest | finds the same: what went asks nobody for |
//! | 2. lines appended, synced | records without their change | finds other bytes in the alias file: no effect |
//! | 3. alias file replaced | both | uses them |
//!
//! A kill within step 2 leaves half a last line: passed over with a notice, cut off by the
//! next append.
//!
//! **Invariants.** Written only under the writer's lock: appended to, or replaced as a whole by
//! the store. Only a plain file is opened. A damaged line in the middle is an error: without it
//! an entry's own bytes would be lost silently.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::error::AddressError;
use crate::site::Site;
use crate::store::Writer;

/// Bytes of somebody's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub(super) struct Text<'t>(#[serde(serialize_with = "written")] pub(super) Cow<'t, [u8]>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Utf8(String),
    Other { latin1: String },
}

impl From<Written> for Text<'_> {
    fn from(written: Written) -> Self {
        match written {
            Written::Utf8(text) => Text(text.into_bytes().into()),
            // A character above U+00FF was never written; it becomes one that matches nothing.
            Written::Other { latin1 } => Text(
                latin1
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
                    .collect(),
            ),
        }
    }
}

/// As [`Written`], without a copy of what is UTF-8.
fn written<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => {
            let latin1 = bytes.iter().map(|&b| char::from(b)).collect();
            Written::Other { latin1 }.serialize(serializer)
        }
    }
}

impl<'t> Text<'t> {
    pub(super) fn of(bytes: &'t [u8]) -> Text<'t> {
        Text(Cow::Borrowed(bytes))
    }
}

/// One entry that was written or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record<'r> {
    /// Of the line's format: 1.
    pub(super) format: u32,
    /// When, as RFC 3339 in UTC.
    pub(super) when: Cow<'r, str>,
    /// The generation of parity.toml that it was written for.
    pub(super) generation: u64,
    /// What wrote it: `adopt`.
    pub(super) by: Cow<'r, str>,
    file: Text<'r>,
    name: Text<'r>,
    /// The entry's bytes before; `None`: there was none.
    pub(super) before: Option<Text<'r>>,
    /// The entry's bytes now; `None`: it was removed.
    pub(super) written: Option<Text<'r>>,
    /// The name of the entry after which a removed one stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) followed: Option<Text<'r>>,
}

impl<'r> Record<'r> {
    /// A record that `by` wrote for `generation`, at `when`.
    pub(super) fn new(
        (by, generation): (&'r str, u64),
        when: &'r str,
        file: &'r Path,
        name: impl Into<Cow<'r, [u8]>>,
    ) -> Record<'r> {
        Record {
            format: 1,
            when: when.into(),
            generation,
            by: by.into(),
            file: Text::of(file.as_os_str().as_bytes()),
            name: Text(name.into()),
            before: None,
            written: None,
            followed: None,
        }
    }

    /// The alias file.
    pub(super) fn file(&self) -> &OsStr {
        OsStr::from_bytes(&self.file.0)
    }

    /// The alias's name, as it stood.
    pub(super) fn name(&self) -> &[u8] {
        &self.name.0
    }
}

/// An entry's bytes without its last newline: a file's last entry gets one only when another
/// comes behind it, and is the same entry.
pub(super) fn trimmed(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}

/// What was written so far.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Oldest first.
    pub(super) all: Vec<Record<'static>>,
    /// Whether half a last line was passed over.
    pub(super) torn: bool,
}

/// Where the records of a site are.
pub(super) fn path(site: &Site) -> PathBuf {
    site.config.state.join("adopted.jsonl")
}

/// Reads every record; a missing file holds none.
///
/// # Errors
/// It cannot be read, or is no plain file; `Record` with the line that is damaged.
pub(super) fn read(path: &Path) -> Result<Records, AddressError> {
    let failed = |error| AddressError::Io("read", path.to_owned(), error);
    let mut bytes = Vec::new();
    match open(OpenOptions::new().read(true), path) {
        Ok(mut file) => file.read_to_end(&mut bytes).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::default()),
        Err(error) => return Err(failed(error)),
    };
    let whole = whole_lines(&bytes);
    let bad = |line: usize, what: String| AddressError::Record(path.to_owned(), line + 1, what);
    let mut all = Vec::new();
    for (number, line) in whole.split_inclusive(|&b| b == b'\n').enumerate() {
        let record: Record<'static> =
            serde_json::from_slice(line).map_err(|error| bad(number, error.to_string()))?;
        if record.format != 1 {
            return Err(bad(number, format!("format {} is not 1", record.format)));
        }
        all.push(record);
    }
    Ok(Records {
        all,
        torn: whole.len() < bytes.len(),
    })
}

/// Appends `records` and waits until they are on disk. Half a last line is cut off first. They
/// are written as they come: those of a whole site are several times its alias files.
///
/// `readable`: the permission bits that every alias file has. The records hold their bytes, and
/// nobody reads here what he may not read there.
///
/// # Errors
/// It cannot be written; nothing that stood there is lost.
pub(super) fn append<'r>(
    path: &Path,
    records: impl IntoIterator<Item = Record<'r>>,
    readable: u32,
) -> Result<(), AddressError> {
    let failed = |error| AddressError::Io("write", path.to_owned(), error);
    let is_new = !path.exists();
    append_lines(path, records, readable).map_err(failed)?;
    if is_new && let Some(directory) = path.parent() {
        fs::File::open(directory)
            .and_then(|held| held.sync_all())
            .map_err(failed)?;
    }
    Ok(())
}

/// Keeps those of `records` that `keep` says, once half or more of them are not kept; returns
/// whether it did. `records` are all of the file.
///
/// # Errors
/// It cannot be replaced: it stands as it was, whole.
pub(super) fn compact(
    writer: &Writer,
    path: &Path,
    records: &Records,
    keep: &[bool],
    readable: u32,
) -> Result<bool, AddressError> {
    let kept: Vec<&Record<'_>> = records
        .all
        .iter()
        .zip(keep)
        .filter_map(|(record, &keep)| keep.then_some(record))
        .collect();
    if kept.len() * 2 > records.all.len() || records.all.is_empty() {
        return Ok(false);
    }
    let mut text = Vec::new();
    for record in kept {
        let done = line(&mut text, record);
        done.map_err(|error| AddressError::Io("write", path.to_owned(), error))?;
    }
    writer.replace_beside(path, &text, mode(readable))?;
    Ok(true)
}

fn line(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

fn mode(readable: u32) -> u32 {
    0o600 | (readable & 0o044)
}

/// Opens a plain file; anything else, such as a FIFO, would make who asks wait for ever.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<fs::File> {
    let file = options
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            // The kernel's words, "Too many levels of symbolic links", say nothing of one link.
            Some(libc::ELOOP) => io::Error::other("a symbolic link, and must be a plain file"),
            _ => error,
        })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a plain file")),
    }
}

fn append_lines<'r>(
    path: &Path,
    records: impl IntoIterator<Item = Record<'r>>,
    readable: u32,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = open(options.mode(0o600), path)?;
    file.set_permissions(fs::Permissions::from_mode(mode(readable)))?;
    let whole = whole_length(&mut file)?;
    file.set_len(whole)?;
    file.seek(io::SeekFrom::Start(whole))?;
    let mut out = BufWriter::with_capacity(256 * 1024, &file);
    let mut records = records.into_iter();
    let done = records
        .try_for_each(|record| line(&mut out, &record))
        .and_then(|()| out.flush());
    drop(out.into_parts());
    if done.is_err() {
        // A full disk gets back what it gave; what cannot be cut off matches nothing.
        let _ = file.set_len(whole);
    }
    done?;
    file.sync_all()
}

/// How many bytes there are up to the last newline. Read from the end: the file may be large.
fn whole_length(file: &mut fs::File) -> io::Result<u64> {
    const STEP: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut bytes = Vec::new();
        file.seek(io::SeekFrom::Start(start))?;
        Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut bytes)?;
        match bytes.iter().rposition(|&b| b == b'\n') {
            Some(newline) => return Ok(start + newline as u64 + 1),
            None => end = start,
        }
    }
    Ok(0)
}

/// Everything up to the last newline.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |newline| newline + 1);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn record(before: &[u8]) -> Record<'_> {
        let file = Path::new("/etc/aliases");
        let when = "2026-11-22T10:02:11Z";
        let mut record = Record::new(("adopt", 7), when, file, &b"toylist"[..]);
        record.before = Some(Text::of(before));
        record.written = Some(Text::of(b"toylist: x\n"));
        record
    }

    #[test]
    fn every_byte_survives_the_records() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [
            &all[..],
            b"plain \"q\" \\ \r\n\t",
            "é and \u{0}".as_bytes(),
            b"\xe9",
        ] {
            let text = serde_json::to_string(&record(bytes)).unwrap();
            assert_eq!(
                serde_json::from_str::<Record<'_>>(&text).unwrap(),
                record(bytes),
                "{text}"
            );
        }
    }

    #[test]
    fn half_a_last_line_is_passed_over_and_cut_by_the_next_append() {
        let path = std::env::temp_dir().join(format!("mm-adopted-{}", std::process::id()));
        append(&path, [record(b"a"), record(b"b")], 0o644).unwrap();
        let whole = fs::read(&path).unwrap();
        for cut in [1, 20, whole.len() / 2 - 1] {
            fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let records = read(&path).unwrap();
            assert!(records.torn && records.all.len() == 1, "{cut}");
            append(&path, [record(b"c")], 0o644).unwrap();
            let records = read(&path).unwrap();
            assert!(!records.torn && records.all[1] == record(b"c"), "{cut}");
        }
        fs::write(&path, b"{}\n").unwrap();
        assert!(matches!(read(&path), Err(AddressError::Record(_, 1, _))));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_last_whole_line_is_found_however_long_what_follows_is() {
        let path = std::env::temp_dir().join(format!("mm-whole-{}", std::process::id()));
        for (whole, torn) in [(0, 0), (0, 9), (1, 0), (7, 200_000), (200_000, 65_536)] {
            let mut bytes = vec![b'x'; whole];
            if let Some(last) = bytes.last_mut() {
                *last = b'\n';
            }
            bytes.extend(vec![b'y'; torn]);
            fs::write(&path, &bytes).unwrap();
            let mut file = fs::File::open(&path).unwrap();
            assert_eq!(whole_length(&mut file).unwrap(), whole as u64);
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("mm-fifo-{}", std::process::id()));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(read(&path), Err(AddressError::Io("read", ..))));
        let error = append(&path, [record(b"a")], 0o644).unwrap_err();
        assert!(error.to_string().contains("not a plain file"), "{error}");
        fs::remove_file(&path).unwrap();
    }
}
