//! mm-guard: whatever a guarded program does, the message is delivered by it or kept.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod deliver;
mod kill;
mod log;
mod words;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::stage::{Done, Stage, spawn};

/// Longer than anything here takes: a test that waits so long has failed.
const LONGEST: Duration = Duration::from_secs(60);

/// A stage with one program that is run under guard.
struct Guarded {
    stage: Stage,
}

impl Guarded {
    /// `body` are the program's lines of shell.
    fn new(body: &str) -> Guarded {
        Guarded::with(body, "")
    }

    /// `keys` are lines of `[deliver]`, and what follows that part.
    fn with(body: &str, keys: &str) -> Guarded {
        let stage = Stage::bare();
        // The program may be anybody's, and so may the guard.
        stage.write("program", format!("#!/bin/sh\n{body}\n"), 0o755);
        stage.write("lockfile", "", 0o644);
        stage.make_dir("state/probation");
        let guarded = Guarded { stage };
        guarded.stage.write(&guarded.log(), "", 0o644);
        let site = guarded.stage.read("site.toml") + keys;
        guarded.stage.write("site.toml", site, 0o644);
        guarded
    }

    /// The log of whoever runs the tests, below the stage.
    fn log(&self) -> String {
        let uid = mm_deliver::accounts::runner();
        format!("state/probation/{uid}.log")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage.path(name)
    }

    /// The guard with the lock open as descriptor 9; `before` is shell that is run first.
    fn command(&self, before: &str, words: &[&str]) -> Command {
        let script = format!("{before}\nexec \"$0\" \"$@\" 9<lockfile");
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).arg(self.path("bin/mm-guard"));
        command.args(words).env_clear().env("PATH", "/usr/bin:/bin");
        command.current_dir(&self.stage.dir);
        command
    }

    /// The words that mm-deliver types, for a program with these arguments.
    fn line(&self, arguments: &[&str]) -> Vec<String> {
        let site = self.path("site.toml").to_str().unwrap().to_owned();
        let program = self.path("program").to_str().unwrap().to_owned();
        let words = format!(
            "--site {site} --tree b --release 2.1.40 --list toylist --verb post --lock 9 -- {program}"
        );
        let words = words.split(' ').chain(arguments.iter().copied());
        words.map(str::to_owned).collect()
    }

    /// One delivery of `message`; `before` is shell that is run ahead of the guard.
    fn run_after(&self, before: &str, arguments: &[&str], message: &[u8]) -> Done {
        let line = self.line(arguments);
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        self.stage.run(self.command(before, &words), message)
    }

    fn run(&self, message: &[u8]) -> Done {
        self.run_after("", &[], message)
    }

    /// A delivery that goes on while the test does.
    fn begin(&self, before: &str) -> std::process::Child {
        let line = self.line(&[]);
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        let mut command = self.command(before, &words);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        spawn(&mut command)
    }

    /// Waits until a file of the stage says something whole, and returns that.
    #[track_caller]
    fn told(&self, name: &str) -> String {
        let text = || std::fs::read_to_string(self.path(name)).unwrap_or_default();
        until(name, || text().ends_with('\n'));
        text().trim().to_owned()
    }
}

/// Waits until it is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONGEST, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process runs: one that nobody has buried does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

impl Done {
    /// A deferral: 75, and the first line is the guard's, printable and without a path.
    #[track_caller]
    fn expect_kept(self) -> Done {
        let done = self.expect(75);
        let first = done.stderr.lines().next().unwrap_or_default();
        assert!(first.starts_with("4.3.0 mm-guard: "), "{done:#?}");
        assert!(
            first.ends_with("message kept by the mail system"),
            "{done:#?}"
        );
        let is_plain = |b: u8| (b' '..=b'~').contains(&b) && b != b'/';
        assert!(first.bytes().all(is_plain), "{done:#?}");
        assert_eq!(done.stdout, "", "{done:#?}");
        done
    }
}
