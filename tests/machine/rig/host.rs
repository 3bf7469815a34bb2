//! A root of a machine's own, seen through namespaces of its own: what is common to all machines,
//! whatever they serve.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use super::namespace;

/// A root that is up. Dropped, all that runs in it ends.
pub(crate) struct Host {
    namespace: Child,
    /// The process id of its first process, as seen from outside.
    first: u32,
    /// What was started and stays: it ends with the namespace.
    daemons: Mutex<Vec<Child>>,
    pub(super) run: PathBuf,
}

impl Host {
    /// One of this root, in which `furnish` puts what it has besides: it gets the directory that has
    /// the host's own etc, run, var, srv and programs. `size`: as in mount's tmpfs, of an /etc that
    /// can be filled.
    pub(crate) fn furnished(base: &Path, size: Option<&str>, furnish: impl FnOnce(&Path)) -> Host {
        // libtest has begun a line with the test's name.
        println!();
        let run = namespace::lay_out(base);
        furnish(&run);
        let (namespace, first) = namespace::enter(base, &run, size);
        Host {
            namespace,
            first,
            daemons: Mutex::default(),
            run,
        }
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

impl Drop for Host {
    fn drop(&mut self) {
        // Killing `unshare` kills the first process, and that one takes all others along.
        let _ = self.namespace.kill();
        let _ = self.namespace.wait();
        for daemon in self.daemons.get_mut().unwrap() {
            let _ = daemon.wait();
        }
        let _ = namespace::remove(&self.run);
    }
}
