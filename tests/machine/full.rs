//! A full disk keeps nobody from taking back: lists are downgraded, paused, resumed and changes
//! undone while a state directory has no byte left, and whatever becomes free is taken at once by
//! somebody else. Only what moves lists ahead again is refused: their snapshots have no room.
//!
//! Here on a tmpfs; `power` has the same on ext4, with the power cut before each call.

use std::fs;
use std::path::PathBuf;

use crate::crash::smaller_future;
use crate::rig::Machine;

const STATE: &str = "/var/lib/mm-deliver";

/// A machine whose state is on a small disk, with all lists ahead.
struct Disk {
    machine: Machine,
}

impl Disk {
    fn new() -> Disk {
        let names: Vec<String> = (0..40).map(|n| format!("list{n:02}")).collect();
        let lists: Vec<&str> = names.iter().map(String::as_str).collect();
        let machine = Machine::new(&lists);
        machine.expect(&format!("mkdir -p {STATE}"));
        machine.expect(&format!("mount -t tmpfs -o size=8m,mode=755 none {STATE}"));
        machine.expect("mm-parity init --current a");
        machine.expect("mm-aliases adopt");
        machine.expect("mm-parity upgrade --all");
        Disk { machine }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.machine.inside(&format!("{STATE}/{name}"))
    }

    fn parity(&self) -> String {
        fs::read_to_string(self.file("parity.toml")).unwrap()
    }

    /// Takes every byte that is free.
    fn fill(&self) {
        let line = format!("dd if=/dev/zero of={STATE}/filler bs=4k oflag=append conv=notrunc");
        let filled = self.machine.command(&line).output().unwrap();
        let said = String::from_utf8_lossy(&filled.stderr).into_owned();
        assert!(said.contains("No space left"), "{said}");
        let more = format!("{STATE}/more");
        let room = fs::write(self.machine.inside(&more), "x");
        let _ = fs::remove_file(self.machine.inside(&more));
        assert!(room.is_err(), "the disk is not full");
    }

    /// Runs `mm-parity` on the full disk; returns its status and all that it said.
    fn change(&self, words: &str) -> (Option<i32>, String) {
        self.fill();
        let done = self.machine.run(&format!("mm-parity {words}"));
        let said = [&done.stdout[..], &done.stderr].concat();
        (done.status.code(), String::from_utf8(said).unwrap())
    }

    #[track_caller]
    fn expect(&self, words: &str) {
        let (status, said) = self.change(words);
        assert_eq!(status, Some(0), "{words}: {said}");
    }
}

#[test]
fn crash_on_a_full_disk_all_is_taken_back() {
    let disk = Disk::new();
    let begins = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("\"list"))
            .count()
    };
    assert_eq!(begins(&disk.parity()), 40);
    disk.expect("downgrade list07");
    assert_eq!(begins(&disk.parity()), 39);
    disk.expect("pause list08 list09");
    assert!(disk.parity().contains("[\"list08\", "));
    disk.expect("undo");
    disk.expect("pause list0*");
    disk.expect("resume --all");
    disk.expect("downgrade --all");
    assert_eq!(begins(&disk.parity()), 0);
    // Ahead again: that wants snapshots, as every move ahead does.
    let (status, said) = disk.change("undo");
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no room for the data of 39 lists"), "{said}");
    disk.machine.expect(&format!("rm {STATE}/filler"));
    disk.machine.expect("mm-parity undo");
    assert_eq!(begins(&disk.parity()), 39);
    disk.expect("downgrade list1*");
    for _ in 0..10 {
        disk.expect("pause list30");
        disk.expect("resume list30");
    }
    disk.expect("downgrade --all");
    disk.machine.expect("mm-deliver post list30");
    // What was taken back on the full disk is sealed as ever.
    let explained = disk.machine.expect("mm-deliver --explain post list30");
    assert!(explained.contains("sealed"), "{explained}");
    disk.machine.expect(&format!("rm {STATE}/filler"));
    // What the delivery left in the tree is no file of the release.
    disk.machine
        .expect("find /srv/mailman/a/spool -type f -delete");
    disk.machine.expect("mm-parity check --no-database");
}

#[test]
fn crash_on_a_full_disk_a_commit_is_taken_back_and_so_is_adopt() {
    let disk = Disk::new();
    // Tree b has no address `-admin`: a commit removes it from each list, and a revert adds it.
    smaller_future(&disk.machine);
    let aliases = || fs::read_to_string(disk.machine.path("/etc/aliases")).unwrap();
    let before = aliases();
    disk.machine.expect("mm-parity commit");
    disk.machine.expect("mm-parity pause list07");
    disk.machine.expect("mm-parity resume list07");
    assert_ne!(aliases(), before);
    disk.expect("commit --revert");
    let names = |text: &str| {
        let lines = text.lines().map(|line| line.to_owned() + "\n");
        lines.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&aliases()), names(&before));
    assert_eq!(disk.parity().matches("\"list").count(), 40);
    disk.expect("downgrade --all");
    disk.fill();
    let said = disk.machine.expect("mm-aliases unadopt");
    assert!(
        said.contains("these changes are not recorded there"),
        "{said}"
    );
    assert!(!aliases().contains("mm-deliver"), "{}", aliases());
    disk.machine.expect(&format!("rm {STATE}/filler"));
    disk.machine.expect("mm-aliases adopt");
    disk.machine.expect("mm-parity check --no-database");
}

#[test]
fn crash_on_a_full_disk_a_history_without_room_gets_its_lines_later() {
    let disk = Disk::new();
    // A copy has no room behind its end.
    let history = format!("{STATE}/history.jsonl");
    disk.machine.expect(&format!("cp {history} {history}.copy"));
    disk.machine.expect(&format!("mv {history}.copy {history}"));
    let mut waiting = 0;
    for n in 0..40 {
        let (status, said) = disk.change(&format!("pause list{n:02}"));
        assert!(matches!(status, Some(0 | 3)), "{said}");
        if status == Some(3) {
            assert!(
                said.contains("its line in") && said.contains("No space left"),
                "{said}"
            );
            waiting += 1;
        }
    }
    assert!(waiting > 5, "the history had room");
    let (status, said) = disk.change("undo");
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("\"pause list39\""), "{said}");
    disk.machine.expect(&format!("rm {STATE}/filler"));
    let said = disk.machine.expect("mm-parity undo");
    assert!(said.contains("the history has it now"), "{said}");
    assert!(said.contains("\"pause list38\""), "{said}");
    let text = fs::read_to_string(disk.file("history.jsonl")).unwrap();
    let generations = text.lines().map(|line| line.split(',').nth(1).unwrap());
    let expected: Vec<String> = (1..=44).map(|n| format!("\"generation\":{n}")).collect();
    assert_eq!(generations.collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn crash_on_a_full_disk_without_a_spare_nothing_is_changed_and_the_mend_is_said() {
    let disk = Disk::new();
    fs::remove_file(disk.file("parity.toml.spare")).unwrap();
    let before = disk.parity();
    let (status, said) = disk.change("downgrade list07");
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("No space left") && said.contains("make room"),
        "{said}"
    );
    assert_eq!(disk.parity(), before);
    let checked = disk.machine.run("mm-parity check --no-database");
    let said = String::from_utf8(checked.stdout).unwrap();
    assert!(said.contains("parity.toml.spare"), "{said}");
    disk.machine.expect(&format!("rm {STATE}/filler"));
    disk.machine.expect("mm-parity downgrade list07");
    disk.machine.expect("mm-parity check --no-database");
}

#[test]
fn crash_on_a_full_disk_no_data_are_put_back_where_todays_have_no_room_beside_them() {
    let disk = Disk::new();
    // A release has made much of little; the lists' own disk has room for both.
    let data = disk.machine.path("/srv/mailman/var/lists/list07");
    fs::write(data.join("much"), vec![b'x'; 20 << 20]).unwrap();
    let line = "mm-parity downgrade list07 --restore";
    let refused = disk.machine.run(line);
    let said = String::from_utf8([refused.stdout, refused.stderr].concat()).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for words in [
        "no room for the data of 1 list",
        "/var/lib/mm-deliver/snapshots",
        "today's data",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(data.join("much").exists());
    assert!(!disk.file("snapshots/restoring.json").exists());
    disk.machine
        .expect(&format!("mount -o remount,size=64m {STATE}"));
    disk.machine.expect(line);
    assert!(!data.join("much").exists());
    // With what it made set aside, whole.
    let aside = disk.file("snapshots/3/list07/data/0/list07/much");
    assert_eq!(fs::metadata(aside).unwrap().len(), 20 << 20);
    disk.machine.expect("mm-parity undo");
    assert!(data.join("much").exists());
}

/// What was set aside is whole from the first moment at which it counts: a kill while what is left
/// over is removed must not leave an empty one, which an undo would put in the place of the data.
#[test]
fn crash_a_kill_while_a_restore_cleans_up_loses_nothing() {
    let machine = Machine::new(&["toylist"]);
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    let list = machine.path("/srv/mailman/var/lists/toylist");
    let (mut killed_after, mut killed_before) = (0, 0);
    for call in 1..=8 {
        machine.expect("mm-parity upgrade toylist");
        let text = format!("of the new release, {call}\n");
        fs::write(list.join("new"), &text).unwrap();
        let kill = format!("-e trace=unlinkat -e inject=unlinkat:signal=KILL:when={call}");
        machine.run(&format!(
            "strace -o /tmp/trace {kill} mm-parity downgrade toylist --restore"
        ));
        if call % 2 == 0 {
            // What comes next brings it to an end, and this removes what may go.
            machine.expect("mm-parity snapshots prune --keep 1");
        }
        let parity = machine.path("/var/lib/mm-deliver/parity.toml");
        let is_ahead = fs::read_to_string(parity).unwrap().contains("\"toylist\"");
        match is_ahead {
            true => killed_before += 1,
            false => {
                killed_after += 1;
                machine.expect("mm-parity undo");
            }
        }
        let kept = fs::read_to_string(list.join("new"));
        assert_eq!(kept.unwrap_or_default(), text, "call {call}");
        machine.expect("mm-parity downgrade toylist --keep-data");
        fs::remove_file(list.join("new")).unwrap();
    }
    println!("| killed {killed_before} times before the change and {killed_after} times after it");
    assert!(killed_after > 3, "{killed_after}");
}
