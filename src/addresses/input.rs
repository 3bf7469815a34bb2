//! An aliases file that was named on the command line, and whose reading of it is meant.
//!
//! **Invariants.** Reads, and no more than a bounded number of bytes; from a name only what is a
//! plain file. Needs no site where the dialect is given.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aliases::Dialect;

use super::cli::Reader;
use super::error::AddressError;
use super::source;
use crate::site::Site;

/// How much is read, in bytes: five times an aliases file of a million lists.
const LARGEST: u64 = 512 * 1024 * 1024;

/// The bytes of this file; `-` is standard input.
///
/// # Errors
/// It cannot be read, is no plain file, or is larger than anybody's.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, AddressError> {
    let failed = |error| AddressError::Io("read", path.to_owned(), error);
    if path == Path::new("-") {
        return bounded(io::stdin()).map_err(failed);
    }
    // Whoever named a pipe would wait for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a plain file")));
    }
    bounded(file).map_err(failed)
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= LARGEST => Ok(bytes),
        _ => Err(io::Error::other(format!(
            "larger than {} MiB",
            LARGEST / 1024 / 1024
        ))),
    }
}

/// The dialect that was given, else that of the site's MTA.
///
/// # Errors
/// None was given, and site.toml cannot be used.
pub(super) fn dialect(given: Option<Reader>, site: &Path) -> Result<Dialect, AddressError> {
    if let Some(reader) = given {
        return Ok(reader.dialect());
    }
    match Site::open(site) {
        Ok(site) => Ok(source::dialect(&site)),
        Err(error) => Err(AddressError::File(
            format!("whose reading is meant: {error}"),
            Some("give --dialect postfix, sendmail, exim, opensmtpd or opensmtpd-db"),
        )),
    }
}

/// What became of writing to standard output. Who reads may go away: `mm-aliases show F | head`.
///
/// # Errors
/// It cannot be written.
pub(super) fn written(outcome: io::Result<()>) -> Result<(), AddressError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(AddressError::Io("write", "/dev/stdout".into(), error))
        }
        _ => Ok(()),
    }
}

/// Text of a file for a terminal: on one line, without control characters, what is no UTF-8 as
/// `\xHH`, and a backslash doubled.
pub(super) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\'' => text.push(letter),
                _ => text.extend(letter.escape_debug()),
            }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_one_line_without_control_characters() {
        let shown = shown(b"a \"b\" \\ \x1b[31m\n\xc3\xa9\xe9\xe2\x80\xae");
        assert_eq!(shown, r#"a "b" \\ \u{1b}[31m\né\xe9\u{202e}"#);
    }
}
