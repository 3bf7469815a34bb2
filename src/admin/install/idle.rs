//! Whether nobody uses a tree: no process runs, stands or reads in it, and no message waits in it.
//!
//! **Invariants.** Looks only. Who called us is nobody's process: an admin may stand in the tree. What
//! cannot be looked at is a reason, never "idle".

use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::accounts;
use crate::admin::inside::{self, Inside};
use crate::admin::install::extent;
use crate::list::ListName;
use crate::profiles::Profile;
use crate::queues::{self, Queues};
use crate::tree::Tree;

use std::collections::BTreeSet;

/// How many processes and messages are named.
const MOST: usize = 5;

/// Why the tree is not idle, a line each. `other`: the tree beside it, with its profile.
pub fn reasons(
    (profile, tree): (&Profile, &Tree),
    other: Option<(&Profile, &Tree)>,
    lists: &BTreeSet<ListName>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    match fs::symlink_metadata(&tree.root) {
        // Nothing was ever there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        _ => match extent::extent(profile, tree) {
            Ok(places) => reasons.extend(busy(tree, &places)),
            Err(error) => reasons.push(error),
        },
    }
    let Some(own) = Queues::of(profile, tree) else {
        return reasons;
    };
    let other = other.and_then(|(profile, tree)| Queues::of(profile, tree));
    match queues::waiting(own, other, lists) {
        Ok(waiting) if waiting.is_empty() => {}
        Ok(waiting) => reasons.push(format!(
            "tree {} took {} and has not handled {}: {}",
            tree.name,
            counted(waiting.len(), "message"),
            if waiting.len() == 1 { "it" } else { "them" },
            named(waiting.iter().map(|path| format!("{path:?}")).collect())
        )),
        Err(error) => reasons.push(format!(
            "cannot tell what tree {} has to handle: {error}",
            tree.name
        )),
    }
    reasons
}

/// The processes in a tree, as one reason.
fn busy(tree: &Tree, places: &[PathBuf]) -> Option<String> {
    let found = processes(&tree.root, places);
    (!found.is_empty()).then(|| {
        format!(
            "{} in tree {}: {}",
            match found.len() {
                1 => "1 process".to_owned(),
                n => format!("{n} processes"),
            },
            tree.name,
            named(found.iter().map(Inside::to_string).collect())
        )
    })
}

/// Whether the processes of others can be seen.
pub fn sees_all() -> bool {
    accounts::runner() == 0
}

fn processes(root: &Path, places: &[PathBuf]) -> Vec<Inside> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids.into_iter()
        .filter(|&pid| uses(pid, root, places) && !inside::descends(own, pid))
        .filter_map(inside::of)
        .collect()
}

/// By what it runs, where it stands, what it was told, or what it has mapped.
fn uses(pid: u32, root: &Path, places: &[PathBuf]) -> bool {
    let of = |name: &str| format!("/proc/{pid}/{name}");
    let is_in = |path: &Path| places.iter().any(|place| path.starts_with(place));
    let leads = |name: &str| fs::read_link(of(name)).is_ok_and(|path| is_in(&without_mark(path)));
    if leads("exe") || leads("cwd") {
        return true;
    }
    // A word may have the root as site.toml has it, with links in it. One that holds the whole
    // system says nothing.
    let is_root_told =
        places.len() == 1 && fs::canonicalize(root).is_ok_and(|root| root == places[0]);
    let line = fs::read(of("cmdline")).unwrap_or_default();
    let told = line.split(|&byte| byte == 0).any(|word| {
        let path = Path::new(std::ffi::OsStr::from_bytes(word));
        is_in(path) || is_root_told && path.starts_with(root)
    });
    told || maps(&fs::read(of("maps")).unwrap_or_default()).any(is_in)
}

/// The files in /proc/PID/maps: what stands behind the fifth blank-separated word.
fn maps(text: &[u8]) -> impl Iterator<Item = &Path> {
    let lines = text.split(|&byte| byte == b'\n');
    lines.filter_map(|line| {
        let at = line.iter().position(|&byte| byte == b'/')?;
        Some(Path::new(std::ffi::OsStr::from_bytes(&line[at..])))
    })
}

/// The kernel marks a file that was removed or replaced since (proc(5)).
fn without_mark(path: PathBuf) -> PathBuf {
    let bytes = path.into_os_string().into_vec();
    let kept = bytes.strip_suffix(b" (deleted)").unwrap_or(&bytes);
    PathBuf::from(std::ffi::OsStr::from_bytes(kept))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn named(all: Vec<String>) -> String {
    let more = match all.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", all[..all.len().min(MOST)].join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_is_read_as_the_kernel_shows_it() {
        let text = b"7f00-7f01 r-xp 00000000 fe:01 42   /srv/b/lib/x y.so\n\
                     7f02-7f03 rw-p 00000000 00:00 0 \n7f04-7f05 rw-p 00000000 00:00 0 [heap]\n";
        let found: Vec<&Path> = maps(text).collect();
        assert_eq!(found, [Path::new("/srv/b/lib/x y.so")]);
    }
}
