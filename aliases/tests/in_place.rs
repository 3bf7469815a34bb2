//! Somebody who has the file open for writing: he loses nothing, and half of his text is never taken
//! for the text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use aliases::{FileError, Original, Stands, replace};

const OLD: &str = "root: alice\nlist: u1\n";
const NEW: &[u8] = b"root: alice\nlist: u2\n";

/// A directory of its own with an aliases file, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aliases-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("aliases"), OLD).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("aliases")
    }

    fn append(&self) -> File {
        OpenOptions::new().append(true).open(self.file()).unwrap()
    }

    /// The one file beside the aliases file.
    fn other(&self) -> PathBuf {
        let mut paths = fs::read_dir(&self.0).unwrap().map(|it| it.unwrap().path());
        paths.find(|path| *path != self.file()).unwrap()
    }

    #[track_caller]
    fn expect(&self, text: &str, names: &[&str]) {
        assert_eq!(fs::read_to_string(self.file()).unwrap(), text);
        let found = fs::read_dir(&self.0).unwrap();
        let mut found: Vec<_> = found.map(|it| it.unwrap().file_name()).collect();
        found.sort();
        assert_eq!(found, names);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_being_written_is_read_when_it_is_whole() {
    let scratch = Scratch::new("whole");
    // Truncated, and no byte of it there yet; then half a line.
    for half in ["", "root: alice\nli"] {
        let mut editor = File::create(scratch.file()).unwrap();
        editor.write_all(half.as_bytes()).unwrap();
        let path = scratch.file();
        let reader = thread::spawn(move || Original::read(path).unwrap());
        thread::sleep(Duration::from_millis(300));
        assert!(!reader.is_finished(), "half a text was read");
        editor.write_all(&OLD.as_bytes()[half.len()..]).unwrap();
        drop(editor);
        assert_eq!(reader.join().unwrap().bytes(), OLD.as_bytes());
    }
}

#[test]
fn what_stays_open_for_writing_is_refused_and_it_is_told_by_whom() {
    let scratch = Scratch::new("stays");
    let editor = || {
        Command::new("sleep")
            .arg("60")
            .stdout(scratch.append())
            .spawn()
    };
    let child = Ended(editor().unwrap());
    let error = Original::read(scratch.file()).unwrap_err();
    assert_eq!(error.stands(), Stands::Old);
    let text = error.to_string();
    let FileError::Held { by, .. } = error else {
        panic!("{text}");
    };
    let told: Vec<_> = by.iter().map(|it| (it.process, &it.command[..])).collect();
    assert_eq!(told, [(child.0.id(), "sleep 60")]);
    assert!(
        text.contains(&format!("process {} of ", child.0.id())),
        "{text}"
    );
    scratch.expect(OLD, &["aliases"]);
}

#[test]
fn who_only_reads_is_no_hindrance() {
    let scratch = Scratch::new("reads");
    let reader = File::open(scratch.file()).unwrap();
    replace(&Original::read(scratch.file()).unwrap(), NEW).unwrap();
    scratch.expect(std::str::from_utf8(NEW).unwrap(), &["aliases"]);
    drop(reader);
}

#[test]
fn who_opened_it_before_the_exchange_writes_into_what_stands() {
    let scratch = Scratch::new("before");
    let inode = fs::metadata(scratch.file()).unwrap().ino();
    let original = Original::read(scratch.file()).unwrap();
    let prepared = original.prepare(NEW).unwrap();
    let mut editor = scratch.append();
    let error = prepared.exchange().map(drop).unwrap_err();
    assert!(matches!(error, FileError::Changed { .. }), "{error}");
    editor.write_all(b"late: u3\n").unwrap();
    scratch.expect(&format!("{OLD}late: u3\n"), &["aliases"]);
    assert_eq!(fs::metadata(scratch.file()).unwrap().ino(), inode);
}

#[test]
fn what_is_put_back_leaves_who_opened_the_new_text_in_it() {
    let scratch = Scratch::new("putback");
    let original = Original::read(scratch.file()).unwrap();
    let exchanged = original.prepare(NEW).unwrap().exchange().unwrap();
    let mut editor = scratch.append();
    let error = exchanged.put_back().unwrap_err();
    assert!(matches!(error, FileError::Changed { .. }), "{error}");
    editor.write_all(b"late: u3\n").unwrap();
    let text = [NEW, b"late: u3\n"].concat();
    scratch.expect(std::str::from_utf8(&text).unwrap(), &["aliases"]);
}

#[test]
fn an_old_text_in_which_somebody_writes_on_is_never_removed() {
    let scratch = Scratch::new("writeson");
    let original = Original::read(scratch.file()).unwrap();
    let exchanged = original.prepare(NEW).unwrap().exchange().unwrap();
    let old = OpenOptions::new().append(true).open(scratch.other());
    let error = exchanged.keep().map(drop).unwrap_err();
    assert_eq!(error.stands(), Stands::New);
    old.unwrap().write_all(b"late: u3\n").unwrap();
    let inode = fs::metadata(scratch.other()).unwrap().ino();
    let kept = format!("aliases.kept-{inode}");
    assert!(error.to_string().contains(&kept), "{error}");
    scratch.expect(std::str::from_utf8(NEW).unwrap(), &["aliases", &kept]);
    let text = fs::read_to_string(scratch.other()).unwrap();
    assert_eq!(text, format!("{OLD}late: u3\n"));
}

#[test]
fn nor_is_it_by_the_run_after_a_kill() {
    let scratch = Scratch::new("killed");
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let old = scratch.0.join("old");
    let mut editor = File::create(&old).unwrap();
    let inode = editor.metadata().unwrap().ino();
    let left = format!(".aliases.{}.7-{inode}.aliases-new", dead.id());
    fs::rename(&old, scratch.0.join(left)).unwrap();
    replace(&Original::read(scratch.file()).unwrap(), NEW).unwrap();
    editor.write_all(b"late: u3\n").unwrap();
    assert_eq!(fs::read_to_string(scratch.other()).unwrap(), "late: u3\n");
    let kept = format!("aliases.kept-{inode}");
    scratch.expect(std::str::from_utf8(NEW).unwrap(), &["aliases", &kept]);
}
