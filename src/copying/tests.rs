#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, XattrFlags, mknodat, renameat_with, setxattr};

use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mm-copying-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        for name in ["from/tree/deep", "to"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        Scratch(path.canonicalize().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn never(_: &Path) -> bool {
    false
}

const PLAIN: Rules<'static> = Rules {
    grows: &never,
    without: &never,
    ends: None,
    is_closed: false,
    is_over: &|| false,
};

/// Copies from/tree to to/tree.
fn bring(scratch: &Scratch, known: &mut Known, rules: &Rules<'_>) -> Result<Told, CopyError> {
    let from = Place::find(&scratch.path("from/tree")).unwrap();
    let to = open_directory(&scratch.path("to")).unwrap();
    Copy::bring(&from, &to, OsStr::new("tree"), known, rules)
}

#[test]
fn a_copy_has_contents_links_modes_times_and_attributes_of_the_original() {
    let scratch = Scratch::new();
    scratch.write("from/tree/plain", "text");
    fs::set_permissions(
        scratch.path("from/tree/plain"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    fs::hard_link(
        scratch.path("from/tree/plain"),
        scratch.path("from/tree/deep/same"),
    )
    .unwrap();
    symlink("/nowhere", scratch.path("from/tree/link")).unwrap();
    fs::set_permissions(
        scratch.path("from/tree/deep"),
        fs::Permissions::from_mode(0o2755),
    )
    .unwrap();
    let past = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::open(scratch.path("from/tree/plain"))
        .unwrap()
        .set_times(fs::FileTimes::new().set_modified(past).set_accessed(past))
        .unwrap();
    let attribute = setxattr(
        scratch.path("from/tree/plain"),
        "user.colour",
        b"green",
        XattrFlags::empty(),
    );
    mknodat(
        CWD,
        scratch.path("from/tree/pipe"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    let mut sparse = File::create(scratch.path("from/tree/sparse")).unwrap();
    sparse.seek(SeekFrom::Start(8 * 1024 * 1024)).unwrap();
    sparse.write_all(b"end").unwrap();
    let told = bring(&scratch, &mut Known::new(), &PLAIN).unwrap();
    assert_eq!(
        told.files, 6,
        "the second name of a file is not counted: {told:?}"
    );
    let copy = |name: &str| fs::symlink_metadata(scratch.path(&format!("to/tree/{name}"))).unwrap();
    let plain = copy("plain");
    assert_eq!(fs::read(scratch.path("to/tree/plain")).unwrap(), b"text");
    assert_eq!(plain.mode() & 0o7777, 0o640);
    assert_eq!(plain.modified().unwrap(), past);
    assert_eq!(plain.accessed().unwrap(), past);
    assert_eq!(plain.ino(), copy("deep/same").ino());
    assert_eq!(copy("deep").mode() & 0o7777, 0o2755);
    assert_eq!(
        fs::read_link(scratch.path("to/tree/link")).unwrap(),
        Path::new("/nowhere")
    );
    assert!(copy("pipe").file_type().is_fifo());
    assert_eq!(copy("sparse").size(), 8 * 1024 * 1024 + 3);
    assert!(
        copy("sparse").blocks() <= 64,
        "{} blocks",
        copy("sparse").blocks()
    );
    assert_eq!(
        fs::read(scratch.path("from/tree/sparse")).unwrap(),
        fs::read(scratch.path("to/tree/sparse")).unwrap()
    );
    if attribute.is_ok() {
        let mut value = [0; 16];
        let length =
            rustix::fs::getxattr(scratch.path("to/tree/plain"), "user.colour", &mut value).unwrap();
        assert_eq!(&value[..length], b"green");
    }
}

#[test]
fn no_set_id_bit_of_a_plain_file_is_copied() {
    let scratch = Scratch::new();
    scratch.write("from/tree/program", "#!/bin/sh\n");
    fs::set_permissions(
        scratch.path("from/tree/program"),
        fs::Permissions::from_mode(0o6755),
    )
    .unwrap();
    bring(&scratch, &mut Known::new(), &PLAIN).unwrap();
    let copy = fs::metadata(scratch.path("to/tree/program")).unwrap();
    assert_eq!(copy.mode() & 0o7777, 0o755);
}

#[test]
fn the_second_round_copies_what_changed_and_drops_what_is_gone() {
    let scratch = Scratch::new();
    for name in ["stays", "changes", "goes"] {
        scratch.write(&format!("from/tree/{name}"), "before");
    }
    // Older than a tick, or all of it is copied again.
    thread::sleep(Duration::from_millis(150));
    let mut known = Known::new();
    bring(&scratch, &mut known, &PLAIN).unwrap();
    let number = |name: &str| fs::metadata(scratch.path(name)).unwrap().ino();
    let before = number("to/tree/stays");
    // Of the same length, and with the old time put back: the change of the inode tells.
    let time = fs::metadata(scratch.path("from/tree/changes"))
        .unwrap()
        .modified()
        .unwrap();
    scratch.write("from/tree/changes", "behind");
    File::open(scratch.path("from/tree/changes"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    fs::remove_file(scratch.path("from/tree/goes")).unwrap();
    scratch.write("from/tree/deep/new", "new");
    let closed = Rules {
        is_closed: true,
        ..PLAIN
    };
    bring(&scratch, &mut known, &closed).unwrap();
    assert_eq!(number("to/tree/stays"), before, "copied twice");
    assert_eq!(
        fs::read(scratch.path("to/tree/changes")).unwrap(),
        b"behind"
    );
    assert_eq!(fs::read(scratch.path("to/tree/deep/new")).unwrap(), b"new");
    assert!(!scratch.path("to/tree/goes").exists());
}

#[test]
fn a_stamp_that_a_second_write_could_leave_again_is_not_relied_on() {
    let scratch = Scratch::new();
    scratch.write("from/tree/young", "one");
    let mut known = Known::new();
    bring(&scratch, &mut known, &PLAIN).unwrap();
    assert!(!known.stamps.contains_key(Path::new("young")), "{known:?}");
}

#[test]
fn what_is_changed_without_a_pause_is_an_error_only_when_all_should_be_quiet() {
    let scratch = Scratch::new();
    scratch.write("from/tree/busy", vec![b'x'; 2_000_000]);
    let busy = scratch.path("from/tree/busy");
    // Asked of a large file while it is open: each time somebody writes.
    let grows = |_: &Path| {
        let mut file = File::options().append(true).open(&busy).unwrap();
        file.write_all(b"more").unwrap();
        false
    };
    let open = Rules {
        grows: &grows,
        ..PLAIN
    };
    let mut known = Known::new();
    bring(&scratch, &mut known, &open).unwrap();
    let closed = Rules {
        is_closed: true,
        ..open
    };
    let error = bring(&scratch, &mut known, &closed).unwrap_err();
    assert!(matches!(error.cause, Cause::Changing), "{error}");
    let quiet = Rules {
        is_closed: true,
        ..PLAIN
    };
    bring(&scratch, &mut known, &quiet).unwrap();
    assert!(fs::read(&busy).unwrap() == fs::read(scratch.path("to/tree/busy")).unwrap());
}

#[test]
fn no_link_that_somebody_swaps_in_is_followed() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("secret")).unwrap();
    scratch.write("secret/file", "secret");
    scratch.write("from/tree/deep/file", "public");
    scratch.write("from/tree/name", "public");
    symlink(scratch.path("secret"), scratch.path("from/link")).unwrap();
    symlink(
        scratch.path("secret/file"),
        scratch.path("from/link-to-file"),
    )
    .unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let at = |name: &str| scratch.path(&format!("from/{name}"));
            let swap = |one: &str, other: &str| {
                renameat_with(CWD, at(one), CWD, at(other), RenameFlags::EXCHANGE).unwrap();
            };
            while !done.load(Ordering::Relaxed) {
                swap("link", "tree/deep");
                swap("link-to-file", "tree/name");
            }
        });
        let mut copied = 0;
        for _ in 0..400 {
            // It may be given up; what it copied holds nothing of the other place.
            copied += u32::from(bring(&scratch, &mut Known::new(), &PLAIN).is_ok());
            for name in ["to/tree/name", "to/tree/deep/file"] {
                let is_link =
                    fs::symlink_metadata(scratch.path(name)).is_ok_and(|at| at.is_symlink());
                let is_below_link = fs::symlink_metadata(scratch.path("to/tree/deep"))
                    .is_ok_and(|at| at.is_symlink());
                if !is_link
                    && !is_below_link
                    && let Ok(text) = fs::read(scratch.path(name))
                {
                    assert_ne!(text, b"secret");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
        assert!(copied > 0);
    });
}

#[test]
fn a_link_on_the_way_is_followed_only_if_root_or_we_made_it() {
    let scratch = Scratch::new();
    scratch.write("from/tree/file", "text");
    symlink("from", scratch.path("way")).unwrap();
    assert!(
        Place::find(&scratch.path("way/tree"))
            .unwrap()
            .look()
            .unwrap()
            .is_some()
    );
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::lchown(scratch.path("way"), Some(65534), None).unwrap();
        let error = Place::find(&scratch.path("way/tree")).unwrap_err();
        assert!(matches!(error.cause, Cause::Link), "{error}");
    }
    symlink("circle", scratch.path("circle")).unwrap();
    assert!(Place::find(&scratch.path("circle/tree")).is_err());
}

#[test]
fn of_what_grows_the_ends_are_kept_and_the_rest_comes_from_what_it_grew_to() {
    let scratch = Scratch::new();
    let old: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    scratch.write("from/tree/mbox", &old);
    let grows = |path: &Path| path.ends_with("mbox");
    let told = bring(
        &scratch,
        &mut Known::new(),
        &Rules {
            grows: &grows,
            ..PLAIN
        },
    )
    .unwrap();
    assert_eq!(told.ends, BTreeSet::from([PathBuf::from("mbox")]));
    let copy = fs::metadata(scratch.path("to/tree/mbox")).unwrap();
    assert_eq!(copy.len(), 3_000_000);
    assert!(copy.blocks() * 512 <= 4 * ENDS, "{} blocks", copy.blocks());
    // It grew; the copy is put somewhere, and has what stood there before.
    let back = |expected: &[u8], other: usize, gone: usize| {
        let live = Place::find(&scratch.path("from/tree")).unwrap();
        let copy = Place::find(&scratch.path("to/tree")).unwrap();
        let to = open_directory(&scratch.path("to")).unwrap();
        let rules = Rules {
            ends: Some((&told.ends, &live)),
            ..PLAIN
        };
        let mut known = Known::new();
        let told = Copy::bring(&copy, &to, OsStr::new("back"), &mut known, &rules).unwrap();
        assert_eq!((told.other.len(), told.gone.len()), (other, gone));
        let text = fs::read(scratch.path("to/back/mbox")).unwrap_or_default();
        assert!(text == expected, "{} bytes", text.len());
        remove(to.as_fd(), OsStr::new("back")).unwrap();
    };
    let grown = [&old[..], b"From somebody\n"].concat();
    scratch.write("from/tree/mbox", &grown);
    back(&old, 0, 0);
    // Shorter, or with another beginning: what is there now is kept.
    scratch.write("from/tree/mbox", &old[..10]);
    back(&old[..10], 1, 0);
    let other = [&b"other"[..], &old[5..]].concat();
    scratch.write("from/tree/mbox", &other);
    back(&other, 1, 0);
    fs::remove_file(scratch.path("from/tree/mbox")).unwrap();
    back(b"", 0, 1);
}

#[test]
fn what_grew_is_read_by_nobody_who_could_not_read_it() {
    let scratch = Scratch::new();
    let old = vec![b'x'; 3_000_000];
    scratch.write("from/tree/mbox", &old);
    let mode = |name: &str, mode: u32| {
        fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("from/tree/mbox", 0o644);
    let grows = |path: &Path| path.ends_with("mbox");
    let rules = Rules {
        grows: &grows,
        ..PLAIN
    };
    let told = bring(&scratch, &mut Known::new(), &rules).unwrap();
    // Whoever may write the directory puts a link to a secret there.
    scratch.write("secret", b"secret\n");
    mode("secret", 0o600);
    fs::remove_file(scratch.path("from/tree/mbox")).unwrap();
    fs::hard_link(scratch.path("secret"), scratch.path("from/tree/mbox")).unwrap();
    let live = Place::find(&scratch.path("from/tree")).unwrap();
    let copy = Place::find(&scratch.path("to/tree")).unwrap();
    let to = open_directory(&scratch.path("to")).unwrap();
    let rules = Rules {
        ends: Some((&told.ends, &live)),
        ..PLAIN
    };
    let told = Copy::bring(&copy, &to, OsStr::new("back"), &mut Known::new(), &rules).unwrap();
    assert_eq!(told.other.len(), 1);
    let back = fs::metadata(scratch.path("to/back/mbox")).unwrap();
    assert_eq!(back.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_left_out_is_not_in_the_copy() {
    let scratch = Scratch::new();
    scratch.write("from/tree/lock", "");
    scratch.write("from/tree/data", "");
    let without = |path: &Path| path.ends_with("lock");
    bring(
        &scratch,
        &mut Known::new(),
        &Rules {
            without: &without,
            ..PLAIN
        },
    )
    .unwrap();
    assert!(!scratch.path("to/tree/lock").exists());
    assert!(scratch.path("to/tree/data").exists());
}
