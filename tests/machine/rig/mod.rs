//! A machine with a real MTA: a root of its own, one loopback port, no systemd.
//!
//! The root itself is made once per MTA (`root/make.sh`) and never changed. Each [`Machine`]
//! sees it through a mount namespace of its own with fresh copies of /etc, /run, /var and
//! /srv, and has a PID namespace of its own: when the machine is dropped, or the test is
//! killed, whatever ran in it ends and no mount is left behind.
//!
//! What differs between MTAs is told by an [`Agent`]; nothing else here knows which one runs.

/// What an MTA must tell of itself.
mod agent;
/// What the tree's program wrote down.
mod delivery;
/// Programs, trees, lists and aliases of a machine.
mod furniture;
/// The MTA's log.
mod log;
/// Sending, waiting, trying again.
mod mail;
/// The root, the copies of it, the namespaces.
mod namespace;

mod exim;
mod opensmtpd;
mod postfix;
mod sendmail;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub(crate) use agent::{Agent, Answer, Event};
pub(crate) use delivery::Delivery;
pub(crate) use exim::Exim;
pub(crate) use furniture::{VERBS, account, deliver_program, programs, put};
pub(crate) use namespace::{base, free_port, manager, source};
pub(crate) use opensmtpd::OpenSmtpd;
pub(crate) use postfix::Postfix;
pub(crate) use sendmail::Sendmail;

/// What every MTA calls itself.
pub(crate) const HOST: &str = "mx.lists.example";
/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a test that fails prints of the machine's log: more would bury why it failed.
const LOG_LINES: usize = 40;

/// A running machine.
pub(crate) struct Machine {
    pub(crate) agent: &'static dyn Agent,
    namespace: Child,
    /// The process id of the machine's first process, as seen from outside.
    first: u32,
    /// What was started and stays: it ends with the namespace.
    daemons: Mutex<Vec<Child>>,
    run: PathBuf,
    pub(crate) port: u16,
}

impl Machine {
    /// A machine whose aliases pipe straight into tree `a`, for these lists; Postfix runs,
    /// with Debian's type of map.
    pub(crate) fn new(lists: &[&str]) -> Machine {
        Machine::with(&Postfix { kind: "hash" }, lists)
    }

    /// As [`Machine::new`], with this MTA.
    pub(crate) fn with(agent: &'static dyn Agent, lists: &[&str]) -> Machine {
        Machine::on(agent, lists, None)
    }

    /// As [`Machine::with`], with a file system for /etc that can be filled: `size` as in
    /// mount's tmpfs. Its files are reached by [`Machine::inside`] alone.
    pub(crate) fn with_small_etc(agent: &'static dyn Agent, lists: &[&str], size: &str) -> Machine {
        Machine::on(agent, lists, Some(size))
    }

    fn on(agent: &'static dyn Agent, lists: &[&str], size: Option<&str>) -> Machine {
        let base = namespace::base(agent.name());
        Machine::furnished(agent, &base, size, |run| {
            furniture::install(run, agent, lists);
        })
    }

    /// A machine of this root, in which `furnish` puts what it has besides the MTA: it gets the
    /// directory that has the machine's own etc, run, var, srv and programs.
    pub(crate) fn furnished(
        agent: &'static dyn Agent,
        base: &Path,
        size: Option<&str>,
        furnish: impl FnOnce(&Path),
    ) -> Machine {
        // libtest has begun a line with the test's name.
        println!();
        let run = namespace::lay_out(base);
        let port = namespace::free_port();
        furnish(&run);
        agent.configure(&run, port);
        let (namespace, first) = namespace::enter(base, &run, size);
        let machine = Machine {
            agent,
            namespace,
            first,
            daemons: Mutex::default(),
            run,
            port,
        };
        agent.start(&machine);
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
        for (place, copy) in [("usr/lib/mm-deliver", "programs"), ("usr/local", "local")] {
            if let Some(rest) = rest.strip_prefix(place) {
                return self.run.join(copy).join(rest.trim_start_matches('/'));
            }
        }
        self.run.join(rest)
    }

    /// A path of the machine as its own processes see it, whatever is mounted there.
    pub(crate) fn inside(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Starts what stays. What it says goes to a file of /var/log that bears its name.
    pub(crate) fn start_daemon(&self, line: &str) {
        let name = line.split_whitespace().next().unwrap();
        let name = name.rsplit('/').next().unwrap();
        let said = fs::File::create(self.path(&format!("/var/log/{name}.out"))).unwrap();
        println!("| # {line} &");
        let mut command = self.command(line);
        command.stdout(said.try_clone().unwrap()).stderr(said);
        self.daemons.lock().unwrap().push(command.spawn().unwrap());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            println!("the machine's mail log ends so:\n{}", last.join("\n"));
        }
        // Killing `unshare` kills the first process, and that one takes all others along.
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
        for daemon in self.daemons.get_mut().unwrap() {
            let _ = daemon.wait();
        }
        let _ = namespace::remove(&self.run);
    }
}

/// The envelope sender of every message; a local user, so a bounce would be seen.
pub(crate) fn sender() -> String {
    format!("sender@{HOST}")
}

/// What a program said, as text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
