//! Whether an installation is the package manager's.
//!
//! **Invariants.** Reads dpkg's own lists of files, runs nothing.

use std::fs;
use std::path::Path;

/// Where dpkg keeps a list of each package's files.
pub const DPKG: &str = "/var/lib/dpkg/info";

/// The package whose files include one of these paths, by the lists in `lists`.
pub fn owner(lists: &Path, paths: &[std::path::PathBuf]) -> Option<String> {
    let entries = fs::read_dir(lists).ok()?.flatten();
    let files = entries.map(|entry| entry.path());
    let mut files: Vec<_> = files
        .filter(|file| file.extension().is_some_and(|ext| ext == "list"))
        .collect();
    files.sort();
    files.into_iter().find_map(|file| {
        let text = fs::read(&file).ok()?;
        let mut lines = text.split(|&byte| byte == b'\n');
        let is_it = |line: &[u8]| {
            paths
                .iter()
                .any(|path| std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) == line)
        };
        // `mailman:amd64.list`: the architecture is no part of its name.
        let name = file.file_stem()?.to_str()?.split(':').next()?.to_owned();
        lines.any(is_it).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn a_package_is_told_by_a_whole_line_of_its_list() {
        let lists = std::env::temp_dir().join(format!("mm-dpkg-{}", std::process::id()));
        fs::create_dir(&lists).unwrap();
        fs::write(
            lists.join("other.list"),
            "/.\n/usr/lib/mailman/mail/mailman-x\n",
        )
        .unwrap();
        fs::write(
            lists.join("mailman:amd64.list"),
            "/.\n/usr/lib/mailman/mail/mailman\n",
        )
        .unwrap();
        let owner = |path: &str| owner(&lists, &[path.into()]);
        assert_eq!(
            owner("/usr/lib/mailman/mail/mailman").as_deref(),
            Some("mailman")
        );
        assert_eq!(owner("/usr/lib/mailman/mail"), None);
        fs::remove_dir_all(&lists).unwrap();
    }
}
