//! What goes wrong for a while, one thing at a time: the program of a tree crashes, hangs, is
//! slow or is missing, the disk is full, or an editor leaves parity.toml in another layout.
//!
//! **Invariants**: nothing here changes what parity.toml says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use super::stage::on_disk;
use crate::random::Random;
use crate::rig::Machine;

/// What is wrong now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The program of this tree is in this mood.
    Mood(&'static str, &'static str),
    /// The program of this tree is not there.
    Missing(&'static str),
    DiskFull,
    /// parity.toml says the same in other words.
    Edited(Layout),
}

/// How an editor may leave parity.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// Rows in the other order.
    Reversed,
    /// Lines that end in CR and LF.
    Crlf,
    /// Each array on one line.
    Inline,
    /// A comment, a blank line and indentation at each row.
    Spaced,
}

/// The faults of a run.
pub(super) struct Faults<'a> {
    machine: &'a Machine,
    /// What is wrong, and for how many acts more.
    now: Option<(Fault, usize)>,
    /// How often each was tried.
    pub(super) seen: BTreeMap<Fault, usize>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(machine: &'a Machine) -> Faults<'a> {
        Faults {
            machine,
            now: None,
            seen: BTreeMap::new(),
        }
    }

    /// Time goes by: what is wrong ends, or something begins.
    pub(super) fn turn(&mut self, random: &mut Random) {
        match &mut self.now {
            Some((_, 0)) => self.end(),
            Some((_, left)) => *left -= 1,
            None if random.percent(30) => {
                let tree = random.pick(&[(1, "a"), (1, "b")]);
                let layout = random.pick(&[
                    (1, Layout::Reversed),
                    (1, Layout::Crlf),
                    (1, Layout::Inline),
                    (1, Layout::Spaced),
                ]);
                let fault = random.pick(&[
                    (5, Fault::Mood(tree, "crash")),
                    (2, Fault::Mood(tree, "hang")),
                    (4, Fault::Mood(tree, "slow")),
                    (3, Fault::Missing(tree)),
                    (3, Fault::DiskFull),
                    (6, Fault::Edited(layout)),
                ]);
                self.begin(fault, random);
                let acts = match fault {
                    // The next command puts its own layout in place.
                    Fault::Edited(_) => 0,
                    _ => 2 + random.below(7),
                };
                self.now = Some((fault, acts));
            }
            None => {}
        }
    }

    fn begin(&mut self, fault: Fault, random: &mut Random) {
        println!("  now: {fault:?}");
        *self.seen.entry(fault).or_default() += 1;
        match fault {
            Fault::Mood(tree, mood) => fs::write(self.mood(tree), mood).unwrap(),
            Fault::Missing(tree) => fs::rename(self.program(tree), self.away(tree)).unwrap(),
            Fault::DiskFull => fill(&self.filler()),
            Fault::Edited(layout) => self.edit(layout, random),
        }
        // Some mail meets it.
        std::thread::sleep(Duration::from_millis(100 + random.below(400) as u64));
    }

    /// All is well again.
    pub(super) fn end(&mut self) {
        let Some((fault, _)) = self.now.take() else {
            return;
        };
        println!("  over: {fault:?}");
        match fault {
            Fault::Mood(tree, _) => fs::remove_file(self.mood(tree)).unwrap(),
            Fault::Missing(tree) => fs::rename(self.away(tree), self.program(tree)).unwrap(),
            Fault::DiskFull => fs::remove_file(self.filler()).unwrap(),
            Fault::Edited(_) => {}
        }
    }

    /// In place, as some editors write, or beside and renamed; half of the time the bytes that
    /// were there come back before any command sees it.
    fn edit(&self, layout: Layout, random: &mut Random) {
        let parity = on_disk(self.machine, "state/parity.toml");
        let before = fs::read_to_string(&parity).unwrap();
        let write = |text: &str, in_place: bool| {
            if in_place {
                return fs::write(&parity, text).unwrap();
            }
            let beside = parity.with_extension("toml~");
            fs::write(&beside, text).unwrap();
            fs::set_permissions(&beside, PermissionsExt::from_mode(0o644)).unwrap();
            fs::rename(&beside, &parity).unwrap();
        };
        write(&layout.of(&before), random.percent(50));
        if random.percent(50) {
            std::thread::sleep(Duration::from_millis(300));
            write(&before, random.percent(50));
        }
    }

    fn mood(&self, tree: &str) -> PathBuf {
        on_disk(self.machine, &format!("{tree}/mood"))
    }

    fn program(&self, tree: &str) -> PathBuf {
        on_disk(self.machine, &format!("{tree}/mail/mailman"))
    }

    fn away(&self, tree: &str) -> PathBuf {
        on_disk(self.machine, &format!("{tree}/mail/away"))
    }

    fn filler(&self) -> PathBuf {
        on_disk(self.machine, "filler")
    }
}

/// Writes until the last page is taken.
fn fill(path: &PathBuf) {
    let mut file = File::create(path).unwrap();
    for size in [1 << 20, 1 << 12] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
}

impl Layout {
    /// The same in this layout. `text` is as mm-parity writes it: one row a line.
    fn of(self, text: &str) -> String {
        let mut out = String::new();
        let mut rows: Option<Vec<&str>> = None;
        for line in text.lines() {
            match &mut rows {
                None if line.ends_with(" = [") => {
                    out += line;
                    rows = Some(Vec::new());
                }
                None => out += &format!("{line}\n"),
                Some(_) if line == "]" => {
                    out += &self.array(&rows.take().unwrap());
                }
                Some(rows) => rows.push(line),
            }
        }
        match self {
            Layout::Crlf => out.replace('\n', "\r\n"),
            _ => out,
        }
    }

    fn array(self, rows: &[&str]) -> String {
        let lines = |rows: &mut dyn Iterator<Item = &str>| {
            let rows = rows.map(|row| format!("{row}\n"));
            format!("\n{}]\n", rows.collect::<String>())
        };
        match self {
            Layout::Reversed => lines(&mut rows.iter().rev().copied()),
            Layout::Crlf => lines(&mut rows.iter().copied()),
            Layout::Inline => format!("{}]\n", rows.concat()),
            Layout::Spaced => {
                let rows = rows.iter().map(|row| format!("# by hand\n\n  {row}\n"));
                format!("\n{}]\n", rows.collect::<String>())
            }
        }
    }
}
