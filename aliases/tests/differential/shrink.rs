//! Cuts a file down to the smallest one that is still read in two ways.
//!
//! First whole stretches of bytes go, from half of the file down to one byte; then what is left is
//! made ordinary, byte by byte. Each round's candidates are compared in one batch.
//!
//! **Invariants**: what is returned was compared, and differs. It ends: every step makes the file
//! shorter, or as long and more ordinary.

use super::Difference;

/// The most ordinary byte is the first; line ends are only made of other line ends.
const ORDINARY: &[u8] = b"ab1 ";

/// The smallest file that `compare` still says something about.
pub(crate) fn smallest(
    mut found: Difference,
    compare: &mut impl FnMut(&[Vec<u8>]) -> Vec<Option<String>>,
) -> Difference {
    let mut length = found.file.len() / 2;
    while length > 0 {
        let shorter = first(&without(&found.file, length), compare);
        match shorter {
            Some(shorter) => found = shorter,
            None => length /= 2,
        }
        length = length.min(found.file.len());
    }
    loop {
        let plainer = first(&plainer(&found.file), compare);
        match plainer {
            Some(plainer) => found = plainer,
            None => return found,
        }
    }
}

/// The first of the candidates that is still read in two ways.
fn first(
    candidates: &[Vec<u8>],
    compare: &mut impl FnMut(&[Vec<u8>]) -> Vec<Option<String>>,
) -> Option<Difference> {
    // Most candidates of a round differ, or none does: small batches save the rest.
    for batch in candidates.chunks(16) {
        let told = compare(batch);
        for (file, what) in batch.iter().zip(told) {
            if let Some(what) = what {
                let file = file.clone();
                return Some(Difference { file, what });
            }
        }
    }
    None
}

/// The file without each of its stretches of this length.
fn without(file: &[u8], length: usize) -> Vec<Vec<u8>> {
    let starts = (0..file.len()).step_by(length);
    starts
        .map(|start| {
            let end = (start + length).min(file.len());
            [&file[..start], &file[end..]].concat()
        })
        .collect()
}

/// The file with one byte made more ordinary, for each byte that can be.
fn plainer(file: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for (at, byte) in file.iter().enumerate() {
        let rank = ORDINARY.iter().position(|ordinary| ordinary == byte);
        let better = &ORDINARY[..rank.unwrap_or(ORDINARY.len())];
        // A newline is as ordinary as can be, and a colon is what an entry has.
        if matches!(byte, b'\n' | b':') {
            continue;
        }
        for ordinary in better {
            let mut candidate = file.to_vec();
            candidate[at] = *ordinary;
            found.push(candidate);
        }
    }
    found
}
