//! A file on disk: read, replaced whole, and what must not change by that.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use aliases::{FileError, Method, Original, Stands, replace};
use rustix::fs::{Mode, XattrFlags};

/// A directory of its own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aliases-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("aliases"), b"a: u1\n").unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("aliases")
    }

    #[track_caller]
    fn expect_only(&self, names: &[&str]) {
        let mut found: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        assert_eq!(found, names);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn check_bytes(path: &Path, bytes: &[u8]) {
    assert_eq!(
        fs::read(path).unwrap().escape_ascii().to_string(),
        bytes.escape_ascii().to_string()
    );
}

fn a_name_of(process: u32, own: u64, original: u64) -> String {
    format!(".aliases.{process}.{own}-{original}.aliases-new")
}

/// A process number that nobody has.
fn nobody() -> u32 {
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn the_new_bytes_stand_and_nothing_else_is_left() {
    let scratch = Scratch::new("plain");
    let original = Original::read(scratch.file()).unwrap();
    assert_eq!(original.bytes(), b"a: u1\n");
    let replaced = replace(&original, b"a: u2\n").unwrap();
    assert_eq!(replaced.method(), Method::Exchanged);
    check_bytes(&scratch.file(), b"a: u2\n");
    scratch.expect_only(&["aliases"]);
    assert!(replaced.is(&Original::read(scratch.file()).unwrap()));
    fs::write(scratch.file(), b"a: u3\n").unwrap();
    assert!(!replaced.is(&Original::read(scratch.file()).unwrap()));
}

#[test]
fn the_mode_stays_whatever_the_umask() {
    for umask in [0o077, 0o002, 0o000] {
        for mode in [0o600, 0o644, 0o664, 0o666, 0o4640] {
            let scratch = Scratch::new("mode");
            fs::set_permissions(scratch.file(), fs::Permissions::from_mode(mode)).unwrap();
            let original = Original::read(scratch.file()).unwrap();
            let before = rustix::process::umask(Mode::from_raw_mode(umask));
            let replaced = replace(&original, b"a: u2\n");
            rustix::process::umask(before);
            replaced.unwrap();
            check_bytes(&scratch.file(), b"a: u2\n");
            assert_eq!(
                fs::metadata(scratch.file()).unwrap().mode() & 0o7777,
                mode,
                "{mode:o} {umask:o}"
            );
        }
    }
}

#[test]
fn the_owner_stays() {
    let scratch = Scratch::new("owner");
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give files away.
    }
    std::os::unix::fs::chown(scratch.file(), Some(1234), Some(4321)).unwrap();
    replace(&Original::read(scratch.file()).unwrap(), b"a: u2\n").unwrap();
    let metadata = fs::metadata(scratch.file()).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321));
}

#[test]
fn extended_attributes_stay_and_none_comes_from_the_directory() {
    let scratch = Scratch::new("xattr");
    let set = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::setxattr(path, name, value, XattrFlags::empty())
    };
    if set(&scratch.file(), "user.note", b"keep me").is_err() {
        return; // This file system has none.
    }
    // A default ACL: user::rwx user:1234:rwx group::rwx mask::rwx other::rwx.
    let entry = |tag: u16, id: u32| {
        [
            &tag.to_le_bytes()[..],
            &7u16.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    };
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, id) in [
        (1, u32::MAX),
        (2, 1234),
        (4, u32::MAX),
        (0x10, u32::MAX),
        (0x20, u32::MAX),
    ] {
        acl.extend(entry(tag, id));
    }
    let with_acl = set(&scratch.0, "system.posix_acl_default", &acl).is_ok();
    replace(&Original::read(scratch.file()).unwrap(), b"a: u2\n").unwrap();
    let mut value = [0; 64];
    let read = |name: &str, value: &mut [u8]| rustix::fs::getxattr(scratch.file(), name, value);
    let size = read("user.note", &mut value).unwrap();
    assert_eq!(&value[..size], b"keep me");
    if with_acl {
        assert!(
            read("system.posix_acl_access", &mut value).is_err(),
            "the file got an ACL"
        );
        set(&scratch.file(), "system.posix_acl_access", &acl).unwrap();
        replace(&Original::read(scratch.file()).unwrap(), b"a: u3\n").unwrap();
        assert_eq!(
            read("system.posix_acl_access", &mut value),
            Ok(acl.len()),
            "the file lost its ACL"
        );
    }
}

#[test]
fn a_symbolic_link_stays_one() {
    let scratch = Scratch::new("symlink");
    let link = scratch.0.join("link");
    symlink("aliases", &link).unwrap();
    let original = Original::read(&link).unwrap();
    assert_eq!(original.path(), link);
    assert_eq!(
        original.real_path(),
        fs::canonicalize(scratch.file()).unwrap()
    );
    replace(&original, b"a: u2\n").unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("aliases"));
    check_bytes(&scratch.file(), b"a: u2\n");
    scratch.expect_only(&["aliases", "link"]);
}

#[test]
fn a_link_that_leads_elsewhere_now_is_another_editors_work() {
    let scratch = Scratch::new("relinked");
    let link = scratch.0.join("link");
    symlink("aliases", &link).unwrap();
    let original = Original::read(&link).unwrap();
    fs::write(scratch.0.join("other"), b"a: u9\n").unwrap();
    fs::remove_file(&link).unwrap();
    symlink("other", &link).unwrap();
    assert!(matches!(
        replace(&original, b"a: u2\n"),
        Err(FileError::Changed { .. })
    ));
    check_bytes(&scratch.file(), b"a: u1\n");
}

#[test]
fn hard_links_directories_and_missing_files_are_refused() {
    let scratch = Scratch::new("refused");
    assert!(matches!(
        Original::read(&scratch.0),
        Err(FileError::NotRegular { .. })
    ));
    assert!(matches!(
        Original::read(scratch.0.join("none")),
        Err(FileError::Read { .. })
    ));
    fs::hard_link(scratch.file(), scratch.0.join("second")).unwrap();
    // It may be read; to replace it would part the two names.
    let original = Original::read(scratch.file()).unwrap();
    assert_eq!(original.bytes(), b"a: u1\n");
    let error = replace(&original, b"a: u2\n").unwrap_err();
    assert!(matches!(error, FileError::HardLinked { .. }));
    assert!(error.to_string().contains("aliases"), "{error}");
    check_bytes(&scratch.file(), b"a: u1\n");
}

#[test]
fn an_editor_that_saved_since_keeps_its_bytes() {
    let edits: [fn(&Path); 4] = [
        |path| fs::write(path, b"a: u1, u3\n").unwrap(),
        |path| fs::write(path, b"a: u9\n").unwrap(),
        |path| {
            let saved = path.with_extension("editor");
            fs::write(&saved, b"a: u1\n").unwrap();
            fs::rename(&saved, path).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for edit in edits {
        let scratch = Scratch::new("faster");
        let original = Original::read(scratch.file()).unwrap();
        let prepared = original.prepare(b"a: u2\n").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        edit(&scratch.file());
        let theirs = fs::read(scratch.file()).ok();
        let error = prepared.exchange().map(drop).unwrap_err();
        assert!(matches!(error, FileError::Changed { .. }), "{error}");
        assert_eq!(error.stands(), Stands::Old);
        assert_eq!(fs::read(scratch.file()).ok(), theirs);
        scratch.expect_only(if theirs.is_some() { &["aliases"] } else { &[] });
    }
}

#[test]
fn what_was_exchanged_can_be_put_back_as_the_same_file() {
    let scratch = Scratch::new("back");
    let inode = fs::metadata(scratch.file()).unwrap().ino();
    let original = Original::read(scratch.file()).unwrap();
    let exchanged = original.prepare(b"a: u2\n").unwrap().exchange().unwrap();
    check_bytes(&scratch.file(), b"a: u2\n");
    exchanged.put_back().unwrap();
    check_bytes(&scratch.file(), b"a: u1\n");
    assert_eq!(fs::metadata(scratch.file()).unwrap().ino(), inode);
    scratch.expect_only(&["aliases"]);
}

#[test]
fn putting_back_never_undoes_another_editor() {
    let scratch = Scratch::new("backlate");
    let original = Original::read(scratch.file()).unwrap();
    let exchanged = original.prepare(b"a: u2\n").unwrap().exchange().unwrap();
    let saved = scratch.0.join("saved");
    fs::write(&saved, b"a: u2, u3\n").unwrap();
    fs::rename(&saved, scratch.file()).unwrap();
    assert!(matches!(
        exchanged.put_back(),
        Err(FileError::Changed { .. })
    ));
    check_bytes(&scratch.file(), b"a: u2, u3\n");
    scratch.expect_only(&["aliases"]);
}

#[test]
fn a_file_that_is_not_exchanged_leaves_nothing() {
    let scratch = Scratch::new("dropped");
    drop(
        Original::read(scratch.file())
            .unwrap()
            .prepare(b"a: u2\n")
            .unwrap(),
    );
    check_bytes(&scratch.file(), b"a: u1\n");
    scratch.expect_only(&["aliases"]);
}

#[test]
fn what_a_killed_run_left_is_removed_and_nothing_else() {
    let scratch = Scratch::new("leftover");
    let inode = |name: &str| fs::metadata(scratch.0.join(name)).unwrap().ino();
    let put = |name: &str| fs::write(scratch.0.join(name), b"left\n").unwrap();
    let dead = nobody();
    let unfinished = a_name_of(dead, 0, 7);
    put(&unfinished);
    put("own");
    fs::rename(
        scratch.0.join("own"),
        scratch.0.join(a_name_of(dead, inode("own"), 7)),
    )
    .unwrap();
    put("old");
    fs::rename(
        scratch.0.join("old"),
        scratch.0.join(a_name_of(dead, 7, inode("old"))),
    )
    .unwrap();
    put("theirs");
    let theirs = inode("theirs");
    fs::rename(
        scratch.0.join("theirs"),
        scratch.0.join(a_name_of(dead, 7, 8)),
    )
    .unwrap();
    let living = a_name_of(1, 0, 7);
    put(&living);
    let directory = a_name_of(dead, 0, 9);
    fs::create_dir(scratch.0.join(&directory)).unwrap();
    let link = a_name_of(dead, 0, 10);
    symlink("aliases", scratch.0.join(&link)).unwrap();
    let others = [
        ".aliases.x.0-7.aliases-new",
        ".aliases.1.aliases-new",
        ".other.1.0-7.aliases-new",
    ];
    others.iter().for_each(|name| put(name));

    replace(&Original::read(scratch.file()).unwrap(), b"a: u2\n").unwrap();
    let kept = format!("aliases.kept-{theirs}");
    let mut stay = vec!["aliases", &kept, &living, &directory, &link];
    stay.extend(others);
    stay.sort_unstable();
    scratch.expect_only(&stay);
    check_bytes(&scratch.0.join(&kept), b"left\n");
}
