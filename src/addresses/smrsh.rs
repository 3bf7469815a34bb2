//! Whether Sendmail runs programs through its restricted shell, and where that looks.
//!
//! smrsh drops the directory of a command and runs what its own directory has under that name;
//! where that has none the message bounces at once (status 69).
//!
//! **Invariants.** Reads sendmail.cf; asks nothing of Sendmail.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Mta;
use crate::site::Site;

/// Where Sendmail reads what it is.
pub const CONFIGURATION: &str = "/etc/mail/sendmail.cf";
/// Where Debian's and most other smrsh look; it is compiled in.
const LINKS: &str = "/etc/mail/smrsh";

/// The directory of smrsh, if this site's MTA runs programs through it: as site.toml says, else
/// as sendmail.cf does.
pub(super) fn directory(site: &Site) -> Option<PathBuf> {
    let named = site.config.smrsh.clone();
    named.or_else(|| {
        let text = match site.config.mta {
            Mta::Sendmail => fs::read(CONFIGURATION).ok()?,
            _ => return None,
        };
        restricted(&String::from_utf8_lossy(&text)).map(|_| links(site))
    })
}

/// Where smrsh looks, if it is used at all.
pub fn links(site: &Site) -> PathBuf {
    let named = site.config.smrsh.as_deref();
    named.unwrap_or(Path::new(LINKS)).to_owned()
}

/// The line, from 1, of the mailer of programs, if that is the restricted shell.
pub fn restricted(text: &str) -> Option<usize> {
    let mut mailer = None;
    for (n, line) in text.lines().enumerate() {
        let goes_on = line.starts_with([' ', '\t']);
        if !goes_on {
            mailer = line.starts_with("Mprog,").then_some(n + 1);
        }
        let path = line
            .split([',', ' ', '\t'])
            .find_map(|word| word.strip_prefix("P="));
        if mailer.is_some()
            && let Some(path) = path
        {
            let is_smrsh = Path::new(path)
                .file_name()
                .is_some_and(|name| name == "smrsh");
            return mailer.filter(|_| is_smrsh);
        }
    }
    None
}
