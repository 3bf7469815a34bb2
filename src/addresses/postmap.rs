//! A lookup table of Postfix on disk: its text, and its maps as postconf names them.
//!
//! | step | on disk | what Postfix looks up | the next run |
//! |---|---|---|---|
//! | 1. maps built beside, and every key asked of them | as before, and files beside | as before | sweeps them |
//! | 2. text replaced | new text, old maps | as before | finds the maps out of line, goes on |
//! | 3. maps renamed into place | all new | each key as before or as wanted | nothing to do |
//!
//! If step 3 fails, the text goes back.
//!
//! **Invariants.** Only with the writer's lock. A file that somebody else wrote is not replaced.
//! Map types are found out, never assumed.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use super::disk;
use super::domains::{HEADER, Map};
use super::error::AddressError;
use crate::config::Mta;
use crate::site::Site;
use crate::store::Writer;

/// Where Postfix' tools may be.
const DIRECTORIES: [&str; 3] = ["/usr/sbin", "/usr/bin", "/usr/local/sbin"];

/// postconf and postmap, by the directories where they may be.
#[derive(Debug)]
pub(super) struct Postmap {
    directories: Vec<PathBuf>,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// Text and maps were as wanted.
    Nothing,
    /// Text or maps were replaced: these maps were built.
    Written(Vec<PathBuf>),
}

/// One map of the text: its type, and the file that postmap makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Built {
    kind: &'static str,
    suffix: &'static str,
}

/// The types that postmap writes into one file.
const TYPES: [Built; 4] = [
    Built {
        kind: "hash",
        suffix: ".db",
    },
    Built {
        kind: "btree",
        suffix: ".db",
    },
    Built {
        kind: "lmdb",
        suffix: ".lmdb",
    },
    Built {
        kind: "cdb",
        suffix: ".cdb",
    },
];

impl Postmap {
    /// Those of this site's Postfix; none where another MTA, or none, reads the aliases: the text
    /// is then all there is.
    pub(super) fn of(site: &Site) -> Postmap {
        let directories = match site.config.mta {
            Mta::Postfix => DIRECTORIES.map(PathBuf::from).to_vec(),
            _ => Vec::new(),
        };
        Postmap { directories }
    }

    /// Brings the text at `path` and its maps in line with `map`.
    ///
    /// # Errors
    /// `File` if it is somebody else's or cannot be written; `Database` if a tool fails; `Half`
    /// if the text could not be put back. Else nothing has changed.
    pub(super) fn publish(
        &self,
        path: &Path,
        map: &Map,
        _writer: &Writer,
    ) -> Result<Done, AddressError> {
        let types = self.types(path)?;
        let is_new = make(path)?;
        let done = self.publish_made(path, map, &types);
        if is_new && done.is_err() {
            let _ = fs::remove_file(path);
        }
        done
    }

    /// What Postfix has otherwise than `map`, which is what the text at `path` has.
    ///
    /// # Errors
    /// `NoMap`; the tools cannot be asked.
    pub(super) fn wrong(&self, path: &Path, map: &Map) -> Result<Option<String>, AddressError> {
        let types = self.types(path)?;
        if types.is_empty() && !self.directories.is_empty() {
            return Err(AddressError::NoMap(path.to_owned()));
        }
        let mut wrong = types.iter().map(|built| self.verify(built, path, map));
        Ok(wrong.find_map(Result::err).map(|error| error.to_string()))
    }

    fn publish_made(&self, path: &Path, map: &Map, types: &[Built]) -> Result<Done, AddressError> {
        let original = disk::read(path)?;
        let before = original.bytes().to_vec();
        if !before.is_empty() && !before.starts_with(HEADER.as_bytes()) {
            let what = format!("{path:?} was not made by mm-aliases virtual");
            let hint = "name another file, and add it to virtual_alias_maps";
            return Err(AddressError::File(what, Some(hint)));
        }
        let text = map.text();
        let is_text_new = before != text.as_bytes();
        let wrong: Vec<&Built> = types
            .iter()
            .filter(|built| is_text_new || self.verify(built, path, map).is_err())
            .collect();
        if !is_text_new && wrong.is_empty() {
            return Ok(Done::Nothing);
        }
        let beside = Beside::write(path, text.as_bytes())?;
        for built in &wrong {
            self.build(built, &beside.path)?;
            self.verify(built, &beside.path, map)?;
        }
        if is_text_new {
            disk::replace(&original, path, text.as_bytes())?;
        }
        let mut maps = Vec::new();
        for built in wrong {
            let at = with_suffix(path, built.suffix);
            if let Err(error) = put(&with_suffix(&beside.path, built.suffix), &at) {
                return Err(back(path, &before, &at, &error));
            }
            maps.push(at);
        }
        Ok(Done::Written(maps))
    }

    /// The maps of virtual_alias_maps that are made of this file; none where none is.
    fn types(&self, path: &Path) -> Result<Vec<Built>, AddressError> {
        if self.directories.is_empty() {
            return Ok(Vec::new());
        }
        let words = ["-xh", "virtual_alias_maps"].map(OsString::from);
        let told = self.succeed("postconf", &words, b"")?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let mut types: Vec<Built> = Vec::new();
        for word in told.split([',', ' ', '\t', '\n', '{', '}']) {
            let word = word.strip_prefix("proxy:").unwrap_or(word);
            let Some((kind, source)) = word.split_once(':') else {
                continue;
            };
            if Path::new(source) != path {
                continue;
            }
            let known = TYPES.iter().find(|built| built.kind == kind);
            let built = known.ok_or_else(|| {
                AddressError::Database(format!("no map of type {kind:?} can be built: {word:?}"))
            })?;
            if !types.contains(built) {
                types.push(built.clone());
            }
        }
        Ok(types)
    }

    fn build(&self, built: &Built, text: &Path) -> Result<(), AddressError> {
        let done = self.succeed("postmap", &[query(built, text)], b"")?;
        // Its status is 0 for a line that it skips, too.
        let said = String::from_utf8_lossy(&done.stderr);
        match said.lines().find(|line| line.contains("warning: ")) {
            None => Ok(()),
            Some(line) => Err(AddressError::Database(format!(
                "postmap skips a line: {}",
                crate::syslog::printable(line)
            ))),
        }
    }

    /// Asks the map made of `text` for every key.
    fn verify(&self, built: &Built, text: &Path, map: &Map) -> Result<(), AddressError> {
        let keys: String = map
            .lines
            .iter()
            .map(|(key, _)| format!("{key}\n"))
            .collect();
        let expected: String = map
            .lines
            .iter()
            .map(|(key, value)| format!("{key}\t{value}\n"))
            .collect();
        let words = ["-q".into(), "-".into(), query(built, text)];
        let answered = match map.lines.is_empty() {
            true => Vec::new(),
            false => self.succeed("postmap", &words, keys.as_bytes())?.stdout,
        };
        match answered == expected.as_bytes() && with_suffix(text, built.suffix).exists() {
            true => Ok(()),
            false => Err(AddressError::Database(format!(
                "the map of type {} does not have what {text:?} has",
                built.kind
            ))),
        }
    }

    fn succeed(
        &self,
        program: &str,
        words: &[OsString],
        input: &[u8],
    ) -> Result<Output, AddressError> {
        let mut all = self
            .directories
            .iter()
            .map(|directory| directory.join(program));
        let path = all.find(|path| path.is_file()).ok_or_else(|| {
            AddressError::Database(format!("{program} is in none of {:?}", self.directories))
        })?;
        let failed = |error: io::Error| AddressError::Io("run", path.clone(), error);
        let mut child = Command::new(&path)
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        // Both ways at once: it answers while it is still being asked.
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // A tool that does not read them all says why by its status.
                stdin.map(|mut stdin| stdin.write_all(input))
            });
            child.wait_with_output()
        });
        let output = output.map_err(failed)?;
        match output.status.success() {
            true => Ok(output),
            false => Err(AddressError::Database(format!(
                "{program} failed ({}): {}",
                output.status,
                crate::syslog::printable(&String::from_utf8_lossy(&output.stderr))
            ))),
        }
    }
}

/// A text beside the one that it is to replace, with whatever maps are made of it. Both go when
/// this does.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn write(path: &Path, text: &[u8]) -> Result<Beside, AddressError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // One writer: what is left of this name is a killed one's.
        let beside = Beside {
            path: path.with_file_name(format!(".{name}.mm-aliases")),
        };
        beside.sweep();
        let error = |error| AddressError::Io("write", beside.path.clone(), error);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&beside.path)
            .map_err(error)?;
        file.write_all(text).map_err(error)?;
        // The map takes the mode of the text, and a umask may have cut it.
        file.set_permissions(fs::Permissions::from_mode(0o644))
            .map_err(error)?;
        Ok(beside)
    }

    fn sweep(&self) {
        let _ = fs::remove_file(&self.path);
        for built in &TYPES {
            let _ = fs::remove_file(with_suffix(&self.path, built.suffix));
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.sweep();
    }
}

/// Makes an empty file where there is none; whether it did.
fn make(path: &Path) -> Result<bool, AddressError> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o644).open(path) {
        Ok(file) => {
            let mode = fs::Permissions::from_mode(0o644);
            let done = file.set_permissions(mode);
            done.map_err(|error| AddressError::Io("write", path.to_owned(), error))?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(AddressError::Io("make", path.to_owned(), error)),
    }
}

/// Renames a map into place, durably, and not older than its text: Postfix warns of one that is.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(from)?;
    file.set_modified(SystemTime::now())?;
    file.sync_all()?;
    fs::rename(from, to)?;
    let directory = to.parent().unwrap_or(Path::new("/"));
    fs::File::open(directory)?.sync_all()
}

/// A map could not be put in place: the text goes back.
fn back(path: &Path, before: &[u8], map: &Path, error: &io::Error) -> AddressError {
    let what = format!("cannot replace {map:?}: {error}");
    let put_back = disk::read(path).and_then(|now| disk::replace(&now, path, before));
    match put_back {
        Ok(()) => AddressError::Database(what),
        Err(worse) => {
            AddressError::Half(vec![path.to_owned()], format!("{what}; and then {worse}"))
        }
    }
}

fn query(built: &Built, text: &Path) -> OsString {
    OsString::from_vec([built.kind.as_bytes(), b":", text.as_os_str().as_bytes()].concat())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    /// A directory with a postconf and a postmap that do as the real ones are seen to do; the map
    /// is the text itself.
    struct Bench {
        directory: PathBuf,
    }

    const POSTCONF: &str = "#!/bin/sh\necho 'hash:/etc/v, cdb:DIR/v proxy:hash:DIR/v'\n";
    const POSTMAP: &str = "#!/bin/sh\n[ ! -e DIR/broken ] || { echo 'postmap: fatal: no' >&2; exit 1; }\n\
        case $1 in\n-q) f=${3#*:}; while read k; do grep -h \"^$k\t\" $f.$( [ ${3%%:*} = cdb ] && echo cdb || echo db ); done;;\n\
        cdb:*) f=${1#*:}; cp $f $f.cdb;;\n*) f=${1#*:}; cp $f $f.db;;\nesac\n";

    impl Bench {
        fn new(name: &str) -> Bench {
            let name = format!("mm-postmap-{}-{name}", std::process::id());
            let bench = Bench {
                directory: std::env::temp_dir().join(name),
            };
            fs::create_dir_all(&bench.directory).unwrap();
            for (tool, text) in [("postconf", POSTCONF), ("postmap", POSTMAP)] {
                let text = text.replace("DIR", &bench.directory.to_string_lossy());
                // Written by another process: a test that forks meanwhile would hold it open for
                // writing, and nobody can run a file that is.
                fs::write(bench.path("post.text"), text).unwrap();
                let mut install = Command::new("/usr/bin/install");
                install.args(["-m", "755"]).arg(bench.path("post.text"));
                assert!(install.arg(bench.path(tool)).status().unwrap().success());
            }
            bench
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.join(name)
        }

        fn publish(&self, names: &[&str]) -> Result<Done, AddressError> {
            let postmap = Postmap {
                directories: vec![self.directory.clone()],
            };
            let lines = names
                .iter()
                .map(|name| (format!("{name}@a.example"), (*name).to_owned()));
            let map = Map {
                lines: lines.collect(),
                left: Vec::new(),
            };
            let path = self.path("v");
            let types = postmap.types(&path)?;
            let is_new = make(&path)?;
            let done = postmap.publish_made(&path, &map, &types);
            if is_new && done.is_err() {
                fs::remove_file(&path).unwrap();
            }
            done
        }

        fn all(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.directory).unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .filter(|name| !name.starts_with("post"))
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    #[test]
    fn text_and_every_map_of_it_are_replaced_and_nothing_is_left_beside() {
        let bench = Bench::new("whole");
        let maps = vec![bench.path("v.cdb"), bench.path("v.db")];
        assert_eq!(bench.publish(&["x"]).unwrap(), Done::Written(maps.clone()));
        assert_eq!(bench.publish(&["x"]).unwrap(), Done::Nothing);
        assert_eq!(bench.publish(&["x", "y"]).unwrap(), Done::Written(maps));
        assert_eq!(bench.all(), ["v", "v.cdb", "v.db"]);
        let text = fs::read_to_string(bench.path("v")).unwrap();
        assert_eq!(text, format!("{HEADER}\nx@a.example\tx\ny@a.example\ty\n"));
        for map in ["v.db", "v.cdb"] {
            assert_eq!(fs::read_to_string(bench.path(map)).unwrap(), text);
            let mode = fs::metadata(bench.path(map)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o644);
        }
        // A map that is out of line or gone is built anew though the text is as it should be.
        fs::remove_file(bench.path("v.db")).unwrap();
        let mended = Done::Written(vec![bench.path("v.db")]);
        assert_eq!(bench.publish(&["x", "y"]).unwrap(), mended);
    }

    #[test]
    fn a_tool_that_fails_leaves_everything_as_it_was() {
        let bench = Bench::new("broken");
        fs::write(bench.path("broken"), "").unwrap();
        assert!(matches!(
            bench.publish(&["x"]),
            Err(AddressError::Database(_))
        ));
        assert_eq!(bench.all(), ["broken"]);
        fs::remove_file(bench.path("broken")).unwrap();
        bench.publish(&["x"]).unwrap();
        let before = fs::read(bench.path("v")).unwrap();
        fs::write(bench.path("broken"), "").unwrap();
        assert!(matches!(
            bench.publish(&["y"]),
            Err(AddressError::Database(_))
        ));
        assert_eq!(fs::read(bench.path("v")).unwrap(), before);
        assert_eq!(fs::read(bench.path("v.db")).unwrap(), before);
    }

    #[test]
    fn a_map_that_cannot_be_put_in_place_takes_the_text_back() {
        let bench = Bench::new("back");
        bench.publish(&["x"]).unwrap();
        let before = fs::read(bench.path("v")).unwrap();
        // No file is renamed over a directory.
        fs::remove_file(bench.path("v.cdb")).unwrap();
        fs::create_dir(bench.path("v.cdb")).unwrap();
        assert!(matches!(
            bench.publish(&["y"]),
            Err(AddressError::Database(_))
        ));
        assert_eq!(fs::read(bench.path("v")).unwrap(), before);
    }

    #[test]
    fn a_file_that_somebody_else_made_is_refused() {
        let bench = Bench::new("others");
        fs::write(bench.path("v"), "postmaster@a.example root\n").unwrap();
        assert!(matches!(bench.publish(&["x"]), Err(AddressError::File(..))));
        assert_eq!(bench.all(), ["v"]);
    }
}
