//! A stand-in for an installation of Mailman 2.1 as it stands on a host: three lists with data and
//! archives, held messages, templates of every era, queues, locks, logs, set-group-ID programs; a
//! sparse file, hard links and an extended attribute among them. And a listing of everything below a
//! directory that tells any difference but the inode's own time.

#![allow(dead_code, reason = "each test uses its own part")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};

/// The lists that it has.
pub(crate) const LISTS: [&str; 3] = ["reallist1", "reallist2", "toylist"];
/// Debian's user and group `list`.
const LIST: u32 = 38;
/// The host whose templates it has.
pub(crate) const HOST: &str = "lists.example.org";

/// Makes the installation at `prefix`, which must not be there. As root its data belong to `list`,
/// else all of it to who runs the test.
pub(crate) fn make(prefix: &Path) {
    fs::create_dir_all(prefix).unwrap();
    let put = |name: &str, bytes: &[u8], mode: u32| put(&prefix.join(name), bytes, mode);
    let here = prefix.display();
    put(
        "Mailman/Version.py",
        b"VERSION = '2.1.39'\nDATA_FILE_VERSION = 112\n",
        0o644,
    );
    let defaults = format!(
        "PREFIX = '{here}'\nVAR_PREFIX = '{here}'\nMTA = 'Manual'\n\
         QUEUE_DIR = os.path.join(VAR_PREFIX, 'qfiles')\n\
         PIDFILE = os.path.join(DATA_DIR, 'master-qrunner.pid')\n"
    );
    put("Mailman/Defaults.py", defaults.as_bytes(), 0o644);
    put("Mailman/mm_cfg.py", b"from Defaults import *\n", 0o644);
    put("mail/mailman", b"#!/bin/sh\ncat >/dev/null\n", 0o2755);
    put("cgi-bin/listinfo", b"#!/bin/sh\n", 0o2755);
    put("bin/mailmanctl", b"#! /usr/bin/python\n", 0o755);
    put("bin/qrunner", b"#! /usr/bin/python\n", 0o755);
    put("icons/mailman.jpg", &[0xff, 0xd8, 0xff], 0o644);
    for list in LISTS {
        list_data(prefix, list);
    }
    put("data/heldmsg-toylist-1.pck", b"\x80held", 0o660);
    put("data/adm.pw", b"secret\n", 0o640);
    put("data/aliases", b"# made by newlist\n", 0o664);
    put("data/last_mailman_version", b"0x20127f0", 0o664);
    for queue in ["in", "out", "bounces", "commands", "virgin", "shunt"] {
        directory(&prefix.join("qfiles").join(queue));
    }
    put(
        "qfiles/in/1700000000.5+0123456789012345678901234567890123456789.pck",
        b"x",
        0o660,
    );
    put("logs/post", b"one post\n", 0o664);
    put(
        "locks/toylist.lock.host.12.0",
        b"toylist.lock.host.12.0",
        0o664,
    );
    fs::hard_link(
        prefix.join("locks/toylist.lock.host.12.0"),
        prefix.join("locks/toylist.lock"),
    )
    .unwrap();
    directory(&prefix.join("spam"));
    templates(prefix);
    let note = prefix.join("lists/toylist/config.pck");
    // Not every file system has them; the listing tells which there are.
    let _ = rustix::fs::setxattr(&note, "user.note", b"kept", XattrFlags::empty());
    let _ = rustix::fs::setxattr(
        prefix.join("lists"),
        "user.note",
        b"of all",
        XattrFlags::empty(),
    );
    dress(prefix);
}

fn list_data(prefix: &Path, list: &str) {
    let put = |name: String, bytes: &[u8], mode: u32| put(&prefix.join(name), bytes, mode);
    put(
        format!("lists/{list}/config.pck"),
        b"}q\x01(U\x0cdata_versionq\x02K\x70U",
        0o660,
    );
    let own = prefix.join("lists").join(list);
    fs::hard_link(own.join("config.pck"), own.join("config.pck.last")).unwrap();
    put(
        format!("lists/{list}/en/listinfo.html"),
        b"<p>its own</p>\n",
        0o664,
    );
    put(
        format!("archives/private/{list}/index.html"),
        b"<html>\n",
        0o664,
    );
    // A large mbox with a hole in it.
    let mbox = prefix.join(format!("archives/private/{list}.mbox/{list}.mbox"));
    put(
        format!("archives/private/{list}.mbox/{list}.mbox"),
        b"From a@example.org\n",
        0o664,
    );
    let mbox = File::options().write(true).open(mbox).unwrap();
    mbox.set_len(4 << 20).unwrap();
    // Its blocks are counted from now on.
    mbox.sync_all().unwrap();
    directory(&prefix.join("archives/public"));
    symlink(
        prefix.join("archives/private").join(list),
        prefix.join("archives/public").join(list),
    )
    .unwrap();
}

/// Those of the release, of the site, of a host, and a list's of 1998.
fn templates(prefix: &Path) {
    let put = |name: &str| put(&prefix.join("templates").join(name), name.as_bytes(), 0o644);
    put("en/listinfo.html");
    put("pt_BR/listinfo.html");
    put("site/en/listinfo.html");
    put(&format!("{HOST}/en/options.html"));
    put("toylist/listinfo.html");
    put("toylist/options.html");
}

fn directory(path: &Path) {
    fs::create_dir_all(path).unwrap();
}

fn put(path: &Path, bytes: &[u8], mode: u32) {
    directory(path.parent().unwrap());
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Owners, modes of directories, and times long ago, each another one.
fn dress(prefix: &Path) {
    let is_root = fs::metadata(prefix).unwrap().uid() == 0;
    let mut paths = vec![prefix.to_owned()];
    gather(prefix, &mut paths);
    for (number, path) in paths.iter().enumerate().rev() {
        let meta = fs::symlink_metadata(path).unwrap();
        if is_root {
            let is_data = ["lists", "archives", "data", "locks", "qfiles", "logs"]
                .iter()
                .any(|name| path.starts_with(prefix.join(name)));
            let owner = if is_data && path.parent() != Some(prefix) {
                LIST
            } else {
                0
            };
            lchown(path, Some(owner), Some(LIST)).unwrap();
        }
        if meta.is_dir() {
            let mode = match path.ends_with("private") {
                true => 0o2771,
                false => 0o2775,
            };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        } else if meta.is_file() {
            // A change of owner takes the set-group-ID bit away.
            fs::set_permissions(path, meta.permissions()).unwrap();
        }
        let time = UNIX_EPOCH + Duration::new(1_500_000_000 + number as u64 * 3600, 123_456_789);
        if meta.is_symlink() {
            let stamp = Timespec {
                tv_sec: 1_400_000_000,
                tv_nsec: 5,
            };
            let stamps = Timestamps {
                last_access: stamp,
                last_modification: stamp,
            };
            rustix::fs::utimensat(CWD, path, &stamps, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        } else {
            let times = FileTimes::new().set_modified(time);
            File::open(path).unwrap().set_times(times).unwrap();
        }
    }
}

fn gather(path: &Path, paths: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for entry in entries {
        let is_directory = fs::symlink_metadata(&entry).unwrap().is_dir();
        paths.push(entry.clone());
        if is_directory {
            gather(&entry, paths);
        }
    }
}

/// Everything at and below `root`, by its path below it: kind, mode, owner, group, size, whether it
/// has holes, time of the last write, a link's end, hash of the contents, extended attributes, and who else is
/// the same file.
pub(crate) fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    listing_without(root, "")
}

/// The same without what is below this name in `root`.
pub(crate) fn listing_without(root: &Path, name: &str) -> BTreeMap<PathBuf, String> {
    let mut paths = vec![root.to_owned()];
    gather(root, &mut paths);
    paths.retain(|path| name.is_empty() || !path.starts_with(root.join(name)));
    let mut first = BTreeMap::new();
    let mut all = BTreeMap::new();
    for path in paths {
        let meta = fs::symlink_metadata(&path).unwrap();
        let below = path.strip_prefix(root).unwrap().to_owned();
        let mut line = format!(
            "{:o} {}:{} {}.{:09}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec()
        );
        if meta.is_symlink() {
            line += &format!(" -> {:?}", fs::read_link(&path).unwrap());
        } else if meta.is_file() {
            let same = first
                .entry((meta.dev(), meta.ino()))
                .or_insert_with(|| below.clone());
            let mut hasher = DefaultHasher::new();
            fs::read(&path).unwrap().hash(&mut hasher);
            let is_sparse = meta.blocks() * 512 < meta.size() / 2;
            line += &format!(
                " {} bytes, sparse: {is_sparse}, {} names, as {same:?}, {:016x}",
                meta.size(),
                meta.nlink(),
                hasher.finish()
            );
        }
        all.insert(below, line + &attributes(&path));
    }
    all
}

fn attributes(path: &Path) -> String {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else {
        return String::new();
    };
    let mut text = String::new();
    for name in names[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 4096];
        let length = rustix::fs::lgetxattr(path, name, &mut value).unwrap_or(0);
        text += &format!(
            " {}={}",
            name.escape_ascii(),
            value[..length].escape_ascii()
        );
    }
    text
}

/// What differs between two listings, a line each.
pub(crate) fn differences(
    before: &BTreeMap<PathBuf, String>,
    after: &BTreeMap<PathBuf, String>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, line) in before {
        match after.get(path) {
            None => lines.push(format!("- {path:?} {line}")),
            Some(other) if other != line => {
                lines.push(format!("- {path:?} {line}\n+ {path:?} {other}"));
            }
            Some(_) => {}
        }
    }
    let new = after.iter().filter(|(path, _)| !before.contains_key(*path));
    lines.extend(new.map(|(path, line)| format!("+ {path:?} {line}")));
    lines
}
