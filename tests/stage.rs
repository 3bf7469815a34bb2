//! A throwaway site with two stub trees that write down their argv, environment and stdin.
//!
//! Everything lives in one directory, removed at the end. Programs are copied there, since a
//! delivering user may not be able to reach the build directory.

#![allow(dead_code, reason = "each test uses its own part of the harness")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lists of a fresh stage.
pub(crate) const LISTS: [&str; 3] = ["reallist1", "reallist2", "toylist"];
/// The local parts that a list of Mailman 2.1 has, without the list's own name.
pub(crate) const TAILS: [&str; 9] = [
    "admin",
    "bounces",
    "confirm",
    "join",
    "leave",
    "owner",
    "request",
    "subscribe",
    "unsubscribe",
];

pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
}

/// One run of a stub tree's program.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) tree: String,
    pub(crate) argv: Vec<String>,
    pub(crate) environment: Vec<String>,
    pub(crate) stdin: Vec<u8>,
}

/// What a program of ours did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    /// A directory with our programs in it, and nothing else.
    pub(crate) fn empty() -> Stage {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("mm-stage-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let stage = Stage { dir: dir.clone() };
        stage.make_dir("bin");
        let quiet = no_fork();
        for (name, path) in [
            ("mm-deliver", hot("mm-deliver")),
            ("mm-guard", hot("mm-guard")),
            ("mm-lmtp", hot("mm-lmtp")),
            ("mm-parity", PathBuf::from(env!("CARGO_BIN_EXE_mm-parity"))),
            (
                "mm-aliases",
                PathBuf::from(env!("CARGO_BIN_EXE_mm-aliases")),
            ),
        ] {
            stage.copy_program(name, &path);
        }
        drop(quiet);
        stage
    }

    /// Two ready trees, three lists, and aliases that pipe straight into tree a; no parity
    /// yet.
    pub(crate) fn bare() -> Stage {
        let stage = Stage::empty();
        let dir = stage.dir.clone();
        for directory in [
            "state",
            "var/lists",
            "ran",
            "a/mail",
            "b/mail",
            "a/Mailman",
            "b/Mailman",
            "a/qfiles",
            "b/qfiles",
        ] {
            stage.make_dir(directory);
        }
        fs::set_permissions(dir.join("ran"), fs::Permissions::from_mode(0o1777)).unwrap();
        for (tree, release) in [("a", "2.1.39"), ("b", "2.1.40")] {
            stage.write(
                &format!("{tree}/Mailman/Version.py"),
                format!("VERSION = \"{release}\"\n"),
                0o644,
            );
            stage.put_program(tree);
        }
        for list in LISTS {
            stage.add_list(list);
        }
        stage.write("var/.mm-deliver-data", "", 0o644);
        let mut aliases = String::from("# local aliases\npostmaster: root\nroot: alice\n");
        for list in LISTS {
            aliases += &format!(
                "\n## {list} mailing list\n{}",
                stage.direct_block("a", list)
            );
        }
        stage.write("aliases", &aliases, 0o644);
        stage.write_site("");
        stage
    }

    fn copy_program(&self, name: &str, path: &Path) {
        let place = self.path("bin").join(name);
        fs::copy(path, &place).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program of ours that few tests need: it is large as it is built for them.
    pub(crate) fn put_hot(&self, name: &str) {
        let _quiet = no_fork();
        self.copy_program(name, &hot(name));
    }

    /// As `bare`, with parity: current tree a, future tree b ready.
    pub(crate) fn new() -> Stage {
        let stage = Stage::bare();
        stage.parity(&["init", "--current", "a"]).expect(0);
        stage
    }

    /// As `new`, and deliveries are made, and counted, as whoever runs the tests.
    pub(crate) fn counted() -> Stage {
        let stage = Stage::bare();
        let own = fs::metadata("/proc/self").unwrap().uid();
        let site = stage.read("site.toml");
        let site = site.replace("users = [\"nobody\"]", &format!("users = [\"{own}\"]"));
        stage.write("site.toml", site, 0o644);
        stage.parity(&["init", "--current", "a"]).expect(0);
        stage
    }

    /// Writes parity.toml by hand: on current but for the lists named.
    pub(crate) fn hand_parity(&self, on_future: &[&str], paused: &[&str]) {
        let rows: String = on_future
            .iter()
            .map(|list| format!("\"{list}\",\n"))
            .collect();
        let paused: String = paused
            .iter()
            .map(|list| format!("[\"{list}\", 2026-11-20T10:02:00Z],\n"))
            .collect();
        let text = format!(
            "format = 1\ngeneration = 7\ncurrent = \"a\"\ncurrent_tree = {{ release = \"2.1.39\" }}\n\
             future_tree = {{ state = \"ready\", release = \"2.1.40\" }}\nguarded = []\npinned = []\n\
             paused = [\n{paused}]\non_future = [\n{rows}]\n"
        );
        self.write("state/parity.toml", &text, 0o644);
        if !self.path("state/lock").exists() {
            self.write("state/lock", "", 0o644);
        }
    }

    /// The ten lines by which an admin of Mailman 2.1 has a list piped straight into a tree.
    pub(crate) fn direct_block(&self, tree: &str, list: &str) -> String {
        let wrapper = self.path(&format!("{tree}/mail/mailman"));
        let mut text = format!("{list}: \"|{} post {list}\"\n", wrapper.display());
        for tail in TAILS {
            text += &format!("{list}-{tail}: \"|{} {tail} {list}\"\n", wrapper.display());
        }
        text
    }

    /// Who delivers: whoever runs the tests may be the only one who can reach the stage.
    pub(crate) fn user(&self) -> String {
        match fs::metadata(&self.dir).unwrap().uid() {
            0 => "nobody".to_owned(),
            user => user.to_string(),
        }
    }

    /// Writes site.toml; `more` is added at its top.
    pub(crate) fn write_site(&self, more: &str) {
        let dir = self.dir.display();
        let user = self.user();
        let text = format!(
            "state = \"{dir}/state\"\n{more}\n[trees.a]\nroot = \"{dir}/a\"\nprofile = \"mailman2\"\n\
             queues = \"{dir}/a/qfiles\"\nrunners = \"none\"\n\
             [trees.b]\nroot = \"{dir}/b\"\nprofile = \"mailman2\"\n\
             queues = \"{dir}/b/qfiles\"\nrunners = \"none\"\n[data]\nroot = \"{dir}/var\"\n\
             [aliases]\nfiles = [\"{dir}/aliases\"]\nmta = \"none\"\n\
             [deliver]\nprogram = \"{dir}/bin/mm-deliver\"\nusers = [\"{user}\"]\n"
        );
        self.write("site.toml", &text, 0o644);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) {
        let _quiet = no_fork();
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn make_dir(&self, name: &str) {
        let mut at = self.dir.clone();
        for part in std::iter::once("").chain(name.split('/')) {
            at = at.join(part);
            let _ = fs::create_dir(&at);
            fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    pub(crate) fn add_list(&self, list: &str) {
        self.make_dir(&format!("var/lists/{list}"));
        self.write(
            &format!("var/lists/{list}/config.pck"),
            b"}q\x01(U\x0cdata_versionq\x02K\x70U",
            0o644,
        );
    }

    /// Puts the stub that stands for a tree's mail wrapper in its place.
    pub(crate) fn put_program(&self, tree: &str) {
        let script = format!(
            "#!/bin/sh\nif [ \"$*\" = post ]; then echo \"post script got no listname.\" >&2; exit 1; fi\n\
             run=$(mktemp '{}/XXXXXXXX')\ncat > \"$run.stdin\"\n\
             {{ echo {tree}; for word in \"$0\" \"$@\"; do printf '%s\\n' \"$word\"; done; }} > \"$run.argv\"\n\
             env > \"$run.env\"\n[ ! -e '{}' ] || exit \"$(cat '{}')\"\n",
            self.path("ran").display(),
            self.path("status").display(),
            self.path("status").display(),
        );
        self.write(&format!("{tree}/mail/mailman"), script, 0o755);
        self.put_commands(tree);
    }

    /// Puts what the profile's tests of a fresh tree look for beside that.
    pub(crate) fn put_commands(&self, tree: &str) {
        for program in [
            "bin/mailmanctl",
            "bin/qrunner",
            "bin/list_members",
            "cron/senddigests",
            "cgi-bin/listinfo",
            "cgi-bin/admin",
        ] {
            let (directory, _) = program.split_once('/').unwrap();
            self.make_dir(&format!("{tree}/{directory}"));
            self.write(&format!("{tree}/{program}"), "#!/bin/sh\n", 0o755);
        }
        let version = "#!/bin/sh\nversion=$(cat \"${0%/*}/../Mailman/Version.py\")\n\
                       echo \"Using Mailman version: $(expr \"$version\" : 'VERSION = \"\\(.*\\)\"')\"\n";
        self.write(&format!("{tree}/bin/version"), version, 0o755);
    }

    pub(crate) fn remove_program(&self, tree: &str) {
        fs::remove_file(self.path(&format!("{tree}/mail/mailman"))).unwrap();
    }

    /// Runs `mm-deliver --site … WORDS` with `message` on stdin.
    pub(crate) fn deliver(&self, words: &[&str], message: &[u8]) -> Done {
        self.run(self.command("mm-deliver", words), message)
    }

    pub(crate) fn parity(&self, words: &[&str]) -> Done {
        self.run(self.command("mm-parity", words), b"")
    }

    pub(crate) fn aliases(&self, words: &[&str]) -> Done {
        self.run(self.command("mm-aliases", words), b"")
    }

    /// `PROGRAM --site SITE WORDS`, with next to no environment.
    pub(crate) fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin").join(program));
        command
            .arg("--site")
            .arg(self.path("site.toml"))
            .args(words);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&self.dir);
        command
    }

    pub(crate) fn run(&self, mut command: Command, stdin: &[u8]) -> Done {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn(&mut command);
        // A program that does not read its stdin is no fault here.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        Done::new(child.wait_with_output().unwrap())
    }

    /// What the stub trees ran, in no order; forgotten once it was asked for.
    pub(crate) fn ran(&self) -> Vec<Ran> {
        let list = || {
            fs::read_dir(self.path("ran"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
        };
        let mut runs = Vec::new();
        for path in list().filter(|path| path.extension().is_some_and(|ext| ext == "argv")) {
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::to_owned);
            runs.push(Ran {
                tree: lines.next().unwrap(),
                argv: lines.collect(),
                environment: lossy_lines(&path.with_extension("env")),
                stdin: fs::read(path.with_extension("stdin")).unwrap(),
            });
        }
        list().for_each(|path| fs::remove_file(path).unwrap());
        runs
    }

    /// Every file below `name` with its bytes and mtime, to see that nothing changed.
    pub(crate) fn snapshot(&self, name: &str) -> Vec<(PathBuf, Vec<u8>, i64, i64)> {
        let mut files = Vec::new();
        collect(&self.path(name), &mut files);
        files.sort();
        files
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Done {
    pub(crate) fn new(output: Output) -> Done {
        Done {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The status must be this one; with 0 nothing may stand on stderr.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Done {
        assert_eq!(self.status, Some(status), "{self:#?}");
        if status == 0 {
            assert_eq!(self.stderr, "", "unexpected words on stderr: {self:#?}");
        }
        self
    }

    /// Stdout must hold each of these.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Done {
        for word in words {
            assert!(
                self.stdout.contains(word),
                "stdout lacks {word:?}: {self:#?}"
            );
        }
        self
    }

    /// Stderr must hold each of these.
    #[track_caller]
    pub(crate) fn complains(self, words: &[&str]) -> Done {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "stderr lacks {word:?}: {self:#?}"
            );
        }
        self
    }
}

/// Starts a program. Not at a moment when another test writes one: the child would hold it
/// open for writing until its exec, and nobody can run a file that is.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let _quiet = no_fork();
    command.spawn().unwrap()
}

fn no_fork() -> MutexGuard<'static, ()> {
    static FORK: Mutex<()> = Mutex::new(());
    FORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program that is shipped where tests/run built it, else the one that cargo built.
pub(crate) fn hot(name: &str) -> PathBuf {
    match std::env::var_os("MM_HOT_DIR") {
        Some(dir) => PathBuf::from(dir).join(name),
        None => PathBuf::from(env!("CARGO_BIN_EXE_mm-deliver")).with_file_name(name),
    }
}

fn lossy_lines(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn collect(path: &Path, files: &mut Vec<(PathBuf, Vec<u8>, i64, i64)>) {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return;
    };
    if meta.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), files);
        }
    } else {
        files.push((
            path.to_owned(),
            fs::read(path).unwrap_or_default(),
            meta.mtime(),
            meta.mtime_nsec(),
        ));
    }
}
