//! What the maps of a file have whose text has nothing: what mail still goes by, and the last copy
//! of it, if the text was lost.
//!
//! **Invariants**: asks and writes nothing. A map that cannot be read has nothing to lose.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::disk::file::Original;
use crate::mta::error::MtaError;
use crate::mta::maps::{Map, Maps};

/// The head of a cdb: 256 pairs of position and count, 4 bytes each. Source: cdb(5).
const HEAD: usize = 2048;

/// A map of a text that has no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its type, or what the MTA calls it.
    pub kind: String,
    /// Its file.
    pub file: PathBuf,
    /// The names that it has.
    pub names: Vec<Vec<u8>>,
}

/// The maps that have names, of a text that has no entry.
///
/// # Errors
/// Those of [`Maps::of`]; if a tool cannot be asked.
pub(crate) fn left(maps: &dyn Maps, original: &Original) -> Result<Vec<Left>, MtaError> {
    let mut left = Vec::new();
    for map in maps.of(original)?.iter().filter(|map| map.image.is_some()) {
        let names = match maps.not_as_text(map, original, &[]) {
            Err(MtaError::Tool { .. }) => continue,
            names if map.kind == "cdb" => in_cdb(map).unwrap_or(names?),
            names => names?,
        };
        if !names.is_empty() {
            left.push(Left {
                kind: map.kind.clone(),
                file: map.file().to_owned(),
                names,
            });
        }
    }
    Ok(left)
}

/// The names in a cdb, which no tool lists, without those that postalias puts into each map.
fn in_cdb(map: &Map) -> io::Result<Vec<Vec<u8>>> {
    let bytes = fs::read(map.file())?;
    let mut names = keys(&bytes).unwrap_or_default();
    names.retain(|name| !is_the_tools_own(name));
    Ok(names)
}

fn is_the_tools_own(name: &[u8]) -> bool {
    [&b"@"[..], b"YP_LAST_MODIFIED", b"YP_MASTER_NAME"].contains(&name)
}

/// The keys of all records, which stand between the head and the first table; none if it is no cdb.
fn keys(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let number = |at: usize| {
        let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(four)).ok()
    };
    let tables: Option<Vec<usize>> = (0..HEAD).step_by(8).map(number).collect();
    let end = tables?.into_iter().min()?;
    let (mut at, mut keys) = (HEAD, Vec::new());
    while at < end {
        let (key, value) = (number(at)?, number(at + 4)?);
        let key = bytes.get(at + 8..(at + 8).checked_add(key)?)?;
        at = (at + 8).checked_add(key.len())?.checked_add(value)?;
        keys.push(key.strip_suffix(b"\0").unwrap_or(key).to_vec());
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cdb as postalias writes it, with these records.
    fn cdb(records: &[(&[u8], &[u8])]) -> Vec<u8> {
        let number = |n: usize| u32::try_from(n).map(u32::to_le_bytes).unwrap_or_default();
        let mut body = Vec::new();
        for (key, value) in records {
            body.extend(number(key.len()));
            body.extend(number(value.len()));
            body.extend([*key, *value].concat());
        }
        let end = number(HEAD + body.len());
        let head = [end, number(0)].concat().repeat(256);
        // The tables, of which nothing is asked.
        [head, body, vec![0xff; 16]].concat()
    }

    #[test]
    fn a_cdb_is_listed_by_its_records() {
        let made = cdb(&[(b"root", b"alice"), (b"bob\0", b"x\0"), (b"@", b"@")]);
        assert_eq!(
            keys(&made),
            Some(vec![b"root".to_vec(), b"bob".to_vec(), b"@".to_vec()])
        );
        assert_eq!(keys(&cdb(&[])), Some(Vec::new()));
        assert_eq!(keys(&made[..HEAD + 10]), None);
        assert_eq!(keys(b"torn"), None);
    }
}
