//! The alias file of a large site is rewritten while the MTA is asked for its names without a
//! pause: no look-up misses, none waits longer than a second, and no entry is lost; also when
//! the writer is killed in the middle, and when the disk is full.
//!
//! Asked are the running daemon (RCPT, in connections that stay open for a while) and, where
//! the MTA has a tool for it, a new process for each name.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::readers::{Readers, Seen};
use crate::rig::{Agent, Answer, Exim, Machine, OpenSmtpd, Postfix, Sendmail, VERBS};

/// Ten addresses each: 200,000 entries.
const LISTS: usize = 20_000;
/// How often the file is rewritten undisturbed; in fours, after which it is as it was. For
/// another type of map of an MTA that has been under fire with one it is half as often.
/// `MM_FIRE_REWRITES` says otherwise.
const REWRITES: usize = 8;
/// What one look-up may take, beyond what the machine takes to start a process or to answer
/// at all.
const LONGEST: Duration = Duration::from_secs(1);
/// The list that goes back to its direct form and is adopted again.
const TURNED: &str = "list01000";
/// A list that is born and dies.
const BORN: &str = "born";
/// The size of the file system that the alias files lie on.
const ETC_SIZE: &str = "400m";

/// Tests start in the order of their names, and this one takes as long as all others.
#[test]
fn fire_begins_with_sendmail() {
    under_fire(&Sendmail, rewrites());
}

#[test]
fn fire_postfix_hash() {
    under_fire(&Postfix { kind: "hash" }, rewrites());
}

#[test]
fn fire_postfix_lmdb() {
    under_fire(&Postfix { kind: "lmdb" }, rewrites() / 2);
}

#[test]
fn fire_postfix_cdb() {
    under_fire(&Postfix { kind: "cdb" }, rewrites() / 2);
}

#[test]
fn fire_exim() {
    under_fire(&Exim, rewrites());
}

#[test]
fn fire_opensmtpd_file() {
    under_fire(&OpenSmtpd { table: "file" }, rewrites());
}

#[test]
fn fire_opensmtpd_db() {
    under_fire(&OpenSmtpd { table: "db" }, rewrites() / 2);
}

fn rewrites() -> usize {
    let Ok(text) = std::env::var("MM_FIRE_REWRITES") else {
        return REWRITES;
    };
    let number: usize = text.parse().unwrap_or(0);
    // Half of them are fours, too.
    assert!(
        number > 0 && number.is_multiple_of(8),
        "MM_FIRE_REWRITES is no multiple of 8: {text:?}"
    );
    number
}

fn under_fire(agent: &'static dyn Agent, rewrites: usize) {
    let names: Vec<String> = (0..LISTS).map(|n| format!("list{n:05}")).collect();
    let lists: Vec<&str> = names.iter().map(String::as_str).collect();
    let machine = Machine::with_small_etc(agent, &lists, ETC_SIZE);
    // An admin has said once that the lists' data are all there.
    fs::write(machine.path("/srv/mailman/var/.mm-deliver-data"), "").unwrap();
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    let site = Site::new(&machine, &lists);
    println!("| ==== {agent:?}: {} entries", site.always.len());
    let seen = Readers::run(&machine, &site.always, |readers| {
        let seen = |stage: &str| println!("| asked so far, {stage}: {}", readers.so_far());
        for n in 0..rewrites {
            site.rewrite(n);
            seen(&format!("rewrite {}", n + 1));
        }
        site.killed();
        seen("killed");
        site.disk_full();
        seen("disk full");
    });
    report(&seen);
    for reader in &seen {
        assert!(reader.asked > 100, "hardly asked: {reader:?}");
        assert_eq!(reader.failures, Vec::<String>::new(), "{}", reader.name);
        assert!(
            reader.longest <= LONGEST + reader.longest_nothing,
            "a look-up waited: {reader:?}"
        );
    }
    site.nothing_is_lost();
}

fn report(seen: &[Seen]) {
    for reader in seen {
        println!(
            "| {}: {} look-ups, {} failed, longest {} ms (asking for nothing: {} ms)",
            reader.name,
            reader.asked,
            reader.failed,
            reader.longest.as_millis(),
            reader.longest_nothing.as_millis()
        );
    }
}

/// The machine's alias file and those who write it.
struct Site<'a> {
    machine: &'a Machine,
    /// The names that stand in it from the first to the last moment.
    always: Vec<String>,
}

impl<'a> Site<'a> {
    fn new(machine: &'a Machine, lists: &[&str]) -> Site<'a> {
        let addresses = |list: &&str| VERBS.map(|(suffix, _)| format!("{list}{suffix}"));
        Site {
            machine,
            always: lists.iter().flat_map(addresses).collect(),
        }
    }

    /// One undisturbed rewrite: a list goes back to its direct form and is adopted again, another is born and dies.
    fn rewrite(&self, n: usize) {
        let born = self.machine.path(&format!("/srv/mailman/var/lists/{BORN}"));
        let command = match n % 4 {
            0 => format!("mm-aliases unadopt {TURNED}"),
            1 => {
                fs::create_dir(&born).unwrap();
                fs::write(born.join("config.pck"), "U\u{c}data_versionK\u{70}").unwrap();
                "mm-aliases sync".to_owned()
            }
            2 => {
                fs::remove_dir_all(&born).unwrap();
                "mm-aliases sync --remove".to_owned()
            }
            _ => format!("mm-aliases adopt {TURNED}"),
        };
        let before = self.inode();
        self.machine.expect(&command);
        assert_ne!(
            self.inode(),
            before,
            "{command}: the file was not rewritten"
        );
    }

    /// A writer that is killed while it writes: the same command again finishes the job.
    fn killed(&self) {
        let unadopt = format!("mm-aliases unadopt {TURNED}");
        println!("| ==== killed: {unadopt}");
        let before = self.text();
        let mut command = self.machine.command(&unadopt);
        let mut writer = command.stdout(Stdio::null()).spawn().unwrap();
        self.wait_for_a_temporary_file(&mut writer);
        kill_inner(&writer);
        let status = writer.wait().unwrap();
        let left = self.temporary_files();
        println!("|   [{status}], left behind: {left:?}");
        assert!(!status.success(), "it was not killed");
        assert!(!left.is_empty(), "it was not killed in the middle");
        assert!(self.text() == before, "killed before the file was replaced");
        self.machine.expect(&unadopt);
        self.machine.expect(&format!("mm-aliases adopt {TURNED}"));
        assert_eq!(self.temporary_files(), Vec::<String>::new());
    }

    /// No space for the new files: nothing changes, and it is said.
    fn disk_full(&self) {
        println!("| ==== the disk is full");
        let unadopt = format!("mm-aliases unadopt {TURNED}");
        let before = self.text();
        self.machine.run("dd if=/dev/zero of=/etc/filler bs=64k");
        let refused = self.machine.run(&unadopt);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("No space left"), "{said}");
        assert!(self.text() == before, "refused, and yet changed");
        assert_eq!(self.temporary_files(), Vec::<String>::new());
        self.machine.expect("rm /etc/filler");
        self.machine.expect(&unadopt);
    }

    /// Every name stands in the text and in the database, and nothing else does.
    fn nothing_is_lost(&self) {
        let others = ["postmaster", "root"].map(str::to_owned);
        let expected: BTreeSet<String> = self.always.iter().cloned().chain(others).collect();
        let text = String::from_utf8(self.text()).unwrap();
        let names: Vec<&str> = text.lines().filter_map(name_of).collect();
        let in_text: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(names.len(), in_text.len(), "a name stands twice");
        same("the text", &in_text, &expected);
        match self.machine.agent.names(self.machine) {
            Some(names) => {
                println!("| names in the database: {}", names.len());
                same("the database", &names, &expected);
            }
            None => self.sample_is_found(),
        }
    }

    /// Where no database can be printed, names from all over the file are asked for.
    fn sample_is_found(&self) {
        let sample = self.always.iter().step_by(self.always.len() / 200);
        let mut asked = 0;
        for name in sample {
            let answer = self.machine.look_up(name);
            assert!(matches!(answer, Answer::Found(_)), "{name}: {answer:?}");
            asked += 1;
        }
        println!("| names in the database: cannot be printed; {asked} asked for, all found");
    }

    fn etc(&self) -> PathBuf {
        self.machine.inside("/etc")
    }

    fn text(&self) -> Vec<u8> {
        fs::read(self.etc().join("aliases")).unwrap()
    }

    fn inode(&self) -> u64 {
        fs::metadata(self.etc().join("aliases")).unwrap().ino()
    }

    /// What a writer has made and not yet moved or removed.
    fn temporary_files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.etc()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".aliases")).collect()
    }

    fn wait_for_a_temporary_file(&self, writer: &mut Child) {
        while self.temporary_files().is_empty() {
            let ended = writer.try_wait().unwrap();
            assert_eq!(ended, None, "it ended, and no temporary file was seen");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Into the building of the map.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Kills what `nsenter` started, by its process id as we see it.
fn kill_inner(nsenter: &Child) {
    let id = nsenter.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let inner = children.trim();
    assert!(
        Path::new("/proc").join(inner).exists(),
        "no child: {inner:?}"
    );
    let status = Command::new("kill").args(["-KILL", inner]).status();
    assert!(status.unwrap().success());
}

/// The name of an entry on a line of its own.
fn name_of(line: &str) -> Option<&str> {
    let (name, _) = line.split_once(':')?;
    let is_name = !name.is_empty() && !name.starts_with(['#', ' ', '\t']);
    is_name.then_some(name)
}

#[track_caller]
fn same(what: &str, found: &BTreeSet<String>, expected: &BTreeSet<String>) {
    let lost: Vec<_> = expected.difference(found).take(5).collect();
    let more: Vec<_> = found.difference(expected).take(5).collect();
    assert!(
        lost.is_empty() && more.is_empty(),
        "{what}: lost {lost:?}, and too many {more:?}"
    );
}
