//! What an admin types on this site: the program's name, and `--site` where it is not the
//! default one.
//!
//! **Invariants.** Changes words of ours only, never text from a file.

use std::path::Path;

use crate::site::{DEFAULT_SITE, Site};

/// `words` after `mm-aliases`, as they are typed on this site.
pub(super) fn typed(site: &Site, words: &str) -> String {
    on_site(&site.path, &format!("mm-aliases {words}"))
}

/// A sentence of ours, with `--site` behind each of our programs that it names.
pub(super) fn on_site(path: &Path, sentence: &str) -> String {
    if path == Path::new(DEFAULT_SITE) {
        return sentence.to_owned();
    }
    let path = quoted(&path.to_string_lossy());
    let mut text = sentence.to_owned();
    for program in ["mm-aliases ", "mm-parity "] {
        text = text.replace(program, &format!("{program}--site {path} "));
    }
    text
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+=:@%,".contains(&b);
    match word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_the_site_unless_it_is_the_default_one() {
        let hint = "mm-parity downgrade them, or `mm-aliases sync` again";
        assert_eq!(on_site(Path::new(DEFAULT_SITE), hint), hint);
        assert_eq!(
            on_site(Path::new("/a b/s.toml"), hint),
            "mm-parity --site '/a b/s.toml' downgrade them, or `mm-aliases --site '/a b/s.toml' \
             sync` again"
        );
    }
}
