//! A site that cannot be opened: why, what that does to mail, and what to type.
//!
//! **Invariants.** Changes nothing. A refusal of the site's is told in the words that a delivery has for
//! it; what is added are hints.

use std::io::ErrorKind;
use std::path::Path;

use crate::admin::outcome::{Refused, shell_word, typed_at};
use crate::admin::selection::near_words;
use crate::ownership::{Fault, Unsafe};
use crate::site::{Site, SiteError};

/// What cannot be done then.
const ACT: &str = "open the site";
/// What a delivery makes of it.
const MAIL: &str = "until then the mail of all lists waits: nothing bounces for it";

/// Opens the site at `path`.
///
/// # Errors
/// It cannot be opened; with what mends that.
pub(super) fn open(path: &Path) -> Result<Site, Refused> {
    Site::open(path).map_err(|error| refusal(path, &error))
}

fn refusal(path: &Path, error: &SiteError) -> Refused {
    let refused = Refused::new(ACT, error);
    match error {
        SiteError::Read(_, cause) if cause.kind() == ErrorKind::NotFound => refused
            .hint("a site is in another file? say so: --site FILE")
            .hint(format!(
                "there is none yet? begin with: {}",
                typed_at(path, "init --from DIRECTORY --dry-run")
            )),
        SiteError::Read(_, cause) if cause.kind() == ErrorKind::PermissionDenied => {
            refused.hint("type it as root")
        }
        SiteError::Unsafe(_, unsound) => match mend(unsound) {
            Some(line) => refused.hint(line).hint(MAIL),
            None => refused.hint(MAIL),
        },
        SiteError::Config(_, bad) => match near(&bad.what) {
            Some(line) => refused.hint(line).hint(MAIL),
            None => refused.hint(MAIL),
        },
        _ => refused,
    }
}

/// What takes the right to change a file from whom it should not have.
fn mend(unsound: &Unsafe) -> Option<String> {
    let path = shell_word(&unsound.path.to_string_lossy());
    match unsound.fault {
        Fault::Owner(_) => Some(format!("if you know what is in it: chown root {path}")),
        Fault::Group(_) => Some(format!("if you know what is in it: chmod g-w {path}")),
        Fault::Everybody => Some(format!("if you know what is in it: chmod o-w {path}")),
        _ => None,
    }
}

/// Of the words that could stand there, those that nearly do: "unknown field `x`, expected one of
/// `y`, `z`".
fn near(what: &str) -> Option<String> {
    let mut words = what.split('`').skip(1).step_by(2);
    let word = words.next().filter(|_| what.starts_with("unknown "))?;
    let near = near_words(word, words);
    (!near.is_empty()).then(|| format!("near {}: {}", word.escape_debug(), near.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_was_mistyped_has_near_ones() {
        for (what, hint) in [
            (
                "unknown field `ownr`, expected one of `state`, `owner`, `group`",
                Some("near ownr: owner"),
            ),
            (
                "unknown variant `postfx`, expected `postfix` or `exim`",
                Some("near postfx: postfix"),
            ),
            ("unknown field `zzz`, expected `keep`", None),
            ("`a` is not `b`", None),
            ("missing field `state`", None),
        ] {
            assert_eq!(near(what).as_deref(), hint, "{what}");
        }
    }
}
