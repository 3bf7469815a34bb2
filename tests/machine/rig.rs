//! A machine with a real Postfix: a root of its own, one loopback port, no systemd.
//!
//! The root itself is made once (`postfix-root.sh`) and never changed. Each [`Machine`] sees
//! it through a mount namespace of its own with fresh copies of /etc, /var and /srv, and has
//! a PID namespace of its own: when the machine is dropped, or the test is killed, whatever
//! ran in it ends and no mount is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::smtp;

/// What Postfix calls itself.
pub(crate) const HOST: &str = "mx.lists.example";
/// The ten addresses of a Mailman 2.1 list and the word that each hands to its program.
pub(crate) const VERBS: [(&str, &str); 10] = [
    ("", "post"),
    ("-admin", "admin"),
    ("-bounces", "bounces"),
    ("-confirm", "confirm"),
    ("-join", "join"),
    ("-leave", "leave"),
    ("-owner", "owner"),
    ("-request", "request"),
    ("-subscribe", "subscribe"),
    ("-unsubscribe", "unsubscribe"),
];
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

const SITE: &str = r#"state = "/var/lib/mm-deliver"
owner = "root"
group = "list"

[trees.a]
root = "/srv/mailman/a"
profile = "mailman2"

[trees.b]
root = "/srv/mailman/b"
profile = "mailman2"

[data]
root = "/srv/mailman/var"

[aliases]
files = ["/etc/aliases"]
mta = "postfix"

[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["nobody"]
"#;

/// A running machine.
pub(crate) struct Machine {
    namespace: Child,
    /// The process id of the machine's first process, as seen from outside.
    first: u32,
    run: PathBuf,
    pub(crate) port: u16,
}

/// One message as a tree's program got it.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) tree: &'static str,
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) user: (u32, u32),
    pub(crate) stdin: Vec<u8>,
}

impl Machine {
    /// A machine whose aliases pipe straight into tree `a`, for these lists; Postfix runs.
    pub(crate) fn new(lists: &[&str]) -> Machine {
        // libtest has begun a line with the test's name.
        println!();
        let base = base();
        let run = lay_out(&base);
        let port = free_port();
        let master = run.join("etc/postfix/master.cf");
        let mut services = fs::read_to_string(&master).unwrap();
        services += &format!("127.0.0.1:{port} inet n - n - - smtpd\n");
        fs::write(&master, services).unwrap();
        install(&run, lists);

        // The namespace ends with this thread, whatever ends it.
        let mut namespace = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid"])
            .args(["--propagation", "private", "--fork", "--kill-child=KILL"])
            .arg(source("up.sh"))
            .args([&base, &run])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = namespace.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "the machine did not come up");
        let id = namespace.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let machine = Machine {
            namespace,
            first: children.trim().parse().unwrap(),
            run,
            port,
        };
        machine.expect("newaliases");
        machine.expect("postfix start");
        machine
    }

    /// A command line to be run on the machine, as root.
    pub(crate) fn command(&self, line: &str) -> Command {
        // Never a command of this kind outside: the first process must be in its root.
        let root = fs::read_link(format!("/proc/{}/root", self.first)).unwrap();
        assert_eq!(root, self.run.join("root"), "the machine is not up");
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.first))
            .args(["--mount", "--pid", "--root", "env", "-C", "/", "-i"])
            .args(["HOME=/root", "LC_ALL=C"])
            .arg("PATH=/usr/lib/mm-deliver:/usr/sbin:/usr/bin:/sbin:/bin")
            .args(line.split_whitespace())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command line and prints it with what it said.
    pub(crate) fn run(&self, line: &str) -> Output {
        let start = Instant::now();
        let output = self.command(line).output().unwrap();
        let mut text = format!("| # {line}\n");
        for stream in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(stream).lines() {
                text += &format!("|   {line}\n");
            }
        }
        let time = start.elapsed().as_millis();
        println!("{text}|   [{}, {time} ms]", output.status);
        std::io::stdout().flush().unwrap();
        output
    }

    /// Runs a command line that must succeed; returns its standard output.
    #[track_caller]
    pub(crate) fn expect(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// A path of the machine as it is reached from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        let rest = inside.strip_prefix('/').unwrap();
        match rest.strip_prefix("usr/lib/mm-deliver") {
            Some(rest) => self.run.join("programs").join(rest.trim_start_matches('/')),
            None => self.run.join(rest),
        }
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    // ---- mail ----

    pub(crate) fn connect(&self) -> smtp::Client {
        let start = Instant::now();
        loop {
            match smtp::Client::connect(self.port) {
                Ok(client) => return client,
                Err(error) if start.elapsed() > PATIENCE => panic!("no SMTP: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Sends a message; returns its queue id.
    #[track_caller]
    pub(crate) fn send(&self, to: &str, message: &[u8]) -> String {
        let to = format!("{to}@{HOST}");
        self.connect().send(&sender(), &to, message).unwrap()
    }

    /// Sends a message, waits until it was handed over, and returns the first word of the
    /// command that Postfix ran, and what arrived.
    #[track_caller]
    pub(crate) fn send_and_take(&self, to: &str, message: &[u8]) -> (String, Delivery) {
        let id = self.send(to, message);
        self.wait_for(&id, ": removed");
        let line = self.wait_for(&format!("{id}: to="), "status=");
        println!("| {line}");
        let ran = line.split_once("(delivered to command: ");
        let ran = ran.and_then(|(_, command)| command.split(' ').next());
        let ran = ran.unwrap_or_else(|| panic!("not delivered to a command: {line}"));
        (ran.to_owned(), self.take_one())
    }

    /// Everything that arrived since the last call, oldest first; then it is gone.
    pub(crate) fn take(&self) -> Vec<Delivery> {
        let mut found = Vec::new();
        for tree in ["a", "b"] {
            let Ok(spool) = fs::read_dir(self.path(&format!("/srv/mailman/{tree}/spool"))) else {
                continue;
            };
            for entry in spool {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_owned();
                let partial = name.as_encoded_bytes().starts_with(b".");
                assert!(!partial, "half a message arrived: {path:?}");
                found.push((name, Delivery::parse(tree, &fs::read(&path).unwrap())));
                fs::remove_file(path).unwrap();
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.into_iter().map(|(_, delivery)| delivery).collect()
    }

    /// As [`Machine::take`], of exactly one.
    #[track_caller]
    pub(crate) fn take_one(&self) -> Delivery {
        let mut found = self.take();
        assert_eq!(found.len(), 1, "messages arrived: {}", found.len());
        found.remove(0)
    }

    // ---- Postfix' log and queue ----

    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.path("/var/log/mail.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Waits for a line of the log that has both; returns it.
    #[track_caller]
    pub(crate) fn wait_for(&self, one: &str, other: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if let Some(line) = log
                .lines()
                .find(|line| line.contains(one) && line.contains(other))
            {
                return line.to_owned();
            }
            if start.elapsed() > PATIENCE {
                print!("{log}");
                panic!("no line with {one:?} and {other:?} in the log");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Prints the lines of the log that have this in them.
    pub(crate) fn show_log(&self, word: &str) {
        for line in self.log().lines().filter(|line| line.contains(word)) {
            println!("| {line}");
        }
    }

    /// How many lines of the log have this in them.
    pub(crate) fn count_log(&self, word: &str) -> usize {
        self.log()
            .lines()
            .filter(|line| line.contains(word))
            .count()
    }

    /// Tries everything that was deferred again, until Postfix has no message any more.
    ///
    /// One `postqueue -f` is not enough: it passes over a message that is being tried, or
    /// that was logged as deferred and does not lie in that queue yet.
    #[track_caller]
    pub(crate) fn flush(&self) {
        self.expect("postqueue -f");
        let start = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let output = self.command("postqueue -j").output().unwrap();
            if output.status.success() && output.stdout.is_empty() {
                return;
            }
            if start.elapsed() > PATIENCE {
                let queue = String::from_utf8_lossy(&output.stdout).into_owned();
                panic!("still in the queue:\n{queue}");
            }
            let _ = self.command("postqueue -f").output();
        }
    }

    /// Tries this message again, until it was deferred once more.
    pub(crate) fn flush_in_vain(&self, id: &str) {
        let line = format!("{id}: to=");
        let before = self.count_log(&line);
        let start = Instant::now();
        while self.count_log(&line) == before {
            assert!(start.elapsed() < PATIENCE, "not tried again: {id}");
            self.command(&format!("postqueue -i {id}"))
                .output()
                .unwrap();
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Asserts that no message was bounced.
    #[track_caller]
    pub(crate) fn expect_no_bounce(&self) {
        self.show_log("status=bounced");
        assert_eq!(self.count_log("status=bounced"), 0, "mail bounced");
        let box_ = self.path("/var/mail/sender");
        assert!(!box_.exists(), "the sender got mail: {box_:?}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the machine's mail log:\n{}", self.log());
        }
        // Killing `unshare` kills the first process, and that one takes all others along.
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
        let _ = remove(&self.run);
    }
}

impl Delivery {
    /// Reads what `tree.c` wrote.
    fn parse(tree: &'static str, file: &[u8]) -> Delivery {
        let mut rest = file;
        let mut word = || {
            let end = rest.iter().position(|&b| b == 0).unwrap();
            let text = String::from_utf8(rest[..end].to_vec()).unwrap();
            rest = &rest[end + 1..];
            text
        };
        let argc = word().parse().unwrap();
        let argv = (0..argc).map(|_| word()).collect();
        let envc: usize = word().parse().unwrap();
        let environment = (0..envc)
            .map(|_| {
                let variable = word();
                let (name, value) = variable.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let user = (word().parse().unwrap(), word().parse().unwrap());
        Delivery {
            tree,
            argv,
            environment,
            user,
            stdin: rest.to_vec(),
        }
    }

    /// The message without what Postfix put before it: the From_ line and its own fields.
    pub(crate) fn message(&self) -> &[u8] {
        let mut rest = self.stdin.as_slice();
        let from = format!("From {} ", sender());
        assert!(rest.starts_with(from.as_bytes()), "no From_ line");
        rest = after_line(rest);
        for field in [
            "Return-Path:",
            "X-Original-To:",
            "Delivered-To:",
            "Received:",
        ] {
            assert!(rest.starts_with(field.as_bytes()), "{field} is missing");
            rest = after_line(rest);
            while rest.starts_with(b"\t") {
                rest = after_line(rest);
            }
        }
        rest
    }
}

fn after_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&b| b == b'\n').unwrap();
    &bytes[end + 1..]
}

/// The envelope sender of every message; a local user, so a bounce would be seen.
pub(crate) fn sender() -> String {
    format!("sender@{HOST}")
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/machine")
        .join(name)
}

/// The root that every machine is a copy of; made if there is none.
fn base() -> PathBuf {
    let output = Command::new(source("postfix-root.sh"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "there is no root");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// Makes the directories that this machine may change. Their names begin with our process
/// id; what a process left that is gone is removed.
fn lay_out(base: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let machines = base.with_file_name("machines");
    fs::create_dir_all(&machines).unwrap();
    for entry in fs::read_dir(&machines).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let pid = name.split('-').next().unwrap();
        if !Path::new("/proc").join(pid).exists() {
            let _ = remove(&entry.path());
        }
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let run = machines.join(format!("{}-{count}", std::process::id()));
    for directory in ["root", "srv", "programs", "dev", "tmp"] {
        fs::create_dir_all(run.join(directory)).unwrap();
    }
    for directory in [".", "root", "srv", "programs", "dev"] {
        set_mode(&run.join(directory), 0o755);
    }
    set_mode(&run.join("tmp"), 0o1777);
    for directory in ["etc", "var"] {
        copy(&base.join(directory), &run);
    }
    run
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success(), "cannot copy {from:?} to {to:?}");
}

fn remove(run: &Path) -> std::io::Result<()> {
    // Its namespace may take a moment to end; nothing of it is mounted here.
    for _ in 0..50 {
        if fs::remove_dir_all(run).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_dir_all(run)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn put(path: &Path, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    set_mode(path, mode);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Puts our programs, two trees, their lists and the aliases of an admin who has never heard
/// of us into the machine.
fn install(run: &Path, lists: &[&str]) {
    let programs = [
        (deliver_program(), "mm-deliver"),
        (env!("CARGO_BIN_EXE_mm-parity").into(), "mm-parity"),
        (env!("CARGO_BIN_EXE_mm-aliases").into(), "mm-aliases"),
    ];
    for (from, name) in programs {
        put(
            &run.join("programs").join(name),
            &fs::read(from).unwrap(),
            0o755,
        );
    }
    put(
        &run.join("etc/mm-deliver/site.toml"),
        SITE.as_bytes(),
        0o644,
    );
    let mailman = run.join("srv/mailman");
    for (tree, release) in [("a", "2.1.39"), ("b", "2.1.40")] {
        let root = mailman.join(tree);
        let version = format!("VERSION = \"{release}\"\n");
        put(&root.join("Mailman/Version.py"), version.as_bytes(), 0o644);
        let spool = root.join("spool");
        fs::create_dir(&spool).unwrap();
        chown(&spool, Some(NOBODY), None).unwrap();
        let program = root.join("mail/mailman");
        fs::create_dir(root.join("mail")).unwrap();
        let status = Command::new("gcc")
            .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
            .arg(&program)
            .arg(format!("-DSPOOL=\"/srv/mailman/{tree}/spool\""))
            .arg(source("tree.c"))
            .status();
        assert!(status.unwrap().success(), "gcc failed");
        set_mode(&program, 0o755);
    }
    let mut aliases =
        String::from("# see aliases(5)\npostmaster:    root\nroot:          sender\n");
    for list in lists {
        // A pickle as far as anybody looks: the key data_version, then 112.
        let pickle = b"}q\x01(U\x0cdata_versionq\x02Kpu.";
        let config = mailman.join("var/lists").join(list).join("config.pck");
        put(&config, pickle, 0o660);
        aliases += &format!("\n## {list} mailing list\n");
        for (suffix, verb) in VERBS {
            let name = format!("{list}{suffix}:");
            aliases += &format!("{name:<24} \"|/srv/mailman/a/mail/mailman {verb} {list}\"\n");
        }
    }
    put(&run.join("etc/aliases"), aliases.as_bytes(), 0o644);
}

/// mm-deliver as it is shipped, where `tests/run` built it; else as cargo built it.
fn deliver_program() -> PathBuf {
    match std::env::var_os("MM_HOT_DIR") {
        Some(directory) => PathBuf::from(directory).join("mm-deliver"),
        None => {
            println!("MM_HOT_DIR is not set: mm-deliver as cargo built it, not as it is shipped");
            env!("CARGO_BIN_EXE_mm-deliver").into()
        }
    }
}
