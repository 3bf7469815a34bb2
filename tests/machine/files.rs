//! Alias files and disks as they are met: odd bytes, links, attributes, no room, no right, and
//! another editor at the same time. Either the change is made and every name leads where it
//! should, or it is refused in words and nothing is different.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::rig::{Agent, Machine, Postfix, VERBS};

const LISTS: [&str; 2] = ["reallist1", "toylist"];
const ALIASES: &str = "/etc/aliases";

/// Everything of /etc/aliases that a change must not lose, and its map.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    text: Vec<u8>,
    owner: (u32, u32),
    mode: u32,
    attributes: String,
    map: BTreeMap<String, String>,
}

fn machine() -> Machine {
    let machine = Machine::new(&LISTS);
    machine.expect("mm-parity init --current a");
    machine
}

/// A shell's line, run in the machine as root.
#[track_caller]
fn shell(machine: &Machine, line: &str) -> String {
    let output = machine.command("sh -ec").arg(line).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The map's names, as Postfix finds them, and what they lead to.
fn map(machine: &Machine) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for list in LISTS {
        for (suffix, _) in VERBS {
            let name = format!("{list}{suffix}");
            let line = format!("postalias -q {name} hash:{ALIASES}");
            let said = machine.command(&line).output().unwrap().stdout;
            let said = String::from_utf8(said).unwrap();
            found.insert(name, said.trim_end().to_owned());
        }
    }
    found
}

fn standing(machine: &Machine) -> Standing {
    let meta = fs::metadata(machine.path(ALIASES)).unwrap();
    Standing {
        text: fs::read(machine.path(ALIASES)).unwrap(),
        owner: (meta.uid(), meta.gid()),
        mode: meta.mode() & 0o7777,
        attributes: shell(
            machine,
            &format!("getfacl -cp {ALIASES}; getfattr -d -m - {ALIASES} 2>/dev/null"),
        ),
        map: map(machine),
    }
}

/// Every name of every list leads to this program.
#[track_caller]
fn expect_all(standing: &Standing, program: &str) {
    for (name, value) in &standing.map {
        assert!(value.contains(program), "{name} leads to {value:?}");
    }
}

#[track_caller]
fn expect_refused(machine: &Machine, output: &Output, words: &[&str], before: &Standing) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    assert_eq!(
        &standing(machine),
        before,
        "refused, and yet something changed"
    );
}

/// Adopts and puts back again; the bytes, owner, mode and attributes are those of before.
#[track_caller]
fn expect_there_and_back(machine: &Machine) {
    machine.expect("newaliases");
    let before = standing(machine);
    machine.expect("mm-aliases adopt");
    let after = standing(machine);
    expect_all(&after, "/usr/lib/mm-deliver/mm-deliver");
    assert_eq!(
        (after.owner, after.mode, &after.attributes),
        (before.owner, before.mode, &before.attributes)
    );
    machine.expect("mm-aliases unadopt");
    assert_eq!(standing(machine), before);
}

#[test]
fn postfix_files_of_odd_bytes_come_back_as_they_were() {
    let machine = machine();
    let text = fs::read(machine.path(ALIASES)).unwrap();
    let crlf = text
        .split(|b| *b == b'\n')
        .collect::<Vec<_>>()
        .join(&b"\r\n"[..]);
    let mut latin = b"# caf\xe9\nluka\xe8: alice\n".to_vec();
    latin.extend_from_slice(&text);
    let mut nul = b"broken: a\0b\n\0\n".to_vec();
    nul.extend_from_slice(&text);
    let mut long = b"everybody: ".to_vec();
    long.extend(b"sender, ".repeat(10 * 1024 * 1024 / 8));
    long.extend_from_slice(b"sender\n");
    long.extend_from_slice(&text);
    for (what, bytes) in [
        ("no final newline", text.trim_ascii_end().to_vec()),
        ("CRLF", crlf),
        ("Latin-1", latin),
        ("NUL", nul),
        ("a line of 10 MB", long),
    ] {
        println!("| ==== {what}");
        fs::write(machine.path(ALIASES), bytes).unwrap();
        expect_there_and_back(&machine);
    }
}

#[test]
fn postfix_files_without_a_byte_are_filled() {
    let machine = machine();
    machine.expect("mm-aliases adopt");
    fs::write(machine.path(ALIASES), b"").unwrap();
    machine.expect("newaliases");
    machine.expect("mm-aliases sync");
    expect_all(&standing(&machine), "/usr/lib/mm-deliver/mm-deliver");
}

#[test]
fn postfix_files_keep_links_and_attributes() {
    let machine = machine();
    shell(
        &machine,
        "mkdir /etc/mail; mv /etc/aliases /etc/mail/real; ln -s mail/real /etc/aliases
         chgrp adm /etc/mail/real; chmod 0640 /etc/mail/real
         setfacl -m u:postfix:r,u:sender:r /etc/mail/real
         setfattr -n security.selinux -v system_u:object_r:etc_aliases_t:s0 /etc/mail/real
         setfattr -n user.note -v kept /etc/mail/real",
    );
    expect_there_and_back(&machine);
    assert_eq!(shell(&machine, "readlink /etc/aliases"), "mail/real\n");
    let label = shell(
        &machine,
        "getfattr -n security.selinux --only-values /etc/mail/real",
    );
    assert_eq!(
        label.trim_end_matches('\0'),
        "system_u:object_r:etc_aliases_t:s0"
    );
}

#[test]
fn postfix_files_that_cannot_be_replaced_are_left() {
    let machine = machine();
    machine.expect("newaliases");
    let before = standing(&machine);
    let refused = |words: &[&str]| {
        let output = machine.run("mm-aliases adopt");
        expect_refused(&machine, &output, words, &before);
    };

    shell(&machine, "ln /etc/aliases /etc/second");
    refused(&["/etc/aliases", "hard link"]);
    shell(&machine, "rm /etc/second; chattr +i /etc/aliases");
    refused(&["/etc/aliases", "nothing has changed", "lsattr"]);
    shell(&machine, "chattr -i /etc/aliases; chattr +a /etc/aliases");
    refused(&["/etc/aliases"]);
    shell(&machine, "chattr -a /etc/aliases; chattr +i /etc");
    refused(&["/etc", "nothing has changed"]);
    shell(&machine, "chattr -i /etc; chattr +i /etc/aliases.db");
    refused(&["/etc/aliases.db", "as before"]);
    shell(
        &machine,
        "chattr -i /etc/aliases.db; mount -o remount,bind,ro /etc",
    );
    refused(&["/etc", "Read-only", "nothing has changed", "rw"]);
    shell(&machine, "mount -o remount,bind,rw /etc");
    machine.expect("mm-aliases adopt");
    expect_all(&standing(&machine), "/usr/lib/mm-deliver/mm-deliver");
}

/// The file and its map on a disk of their own that has room for this many KiB more.
fn small_disk(machine: &Machine, room: u32) {
    shell(
        machine,
        &format!(
            "mkdir -p /srv/small; mount -t tmpfs -o mode=755,size=4m none /srv/small
             cp -p /etc/aliases /srv/small/aliases; rm -f /etc/aliases /etc/aliases.db
             ln -s /srv/small/aliases /etc/aliases
             postconf -e alias_maps=hash:/srv/small/aliases alias_database=hash:/srv/small/aliases
             sed -i s,/etc/aliases,/srv/small/aliases, /etc/mm-deliver/site.toml
             newaliases
             free=$(df --output=avail -k /srv/small | tail -n 1)
             dd if=/dev/zero of=/srv/small/fill bs=1024 count=$((free - {room})) 2>/dev/null"
        ),
    );
}

#[test]
fn postfix_files_on_a_full_disk_are_left() {
    // No room for the text; for the text and not for the map; for both, once they are two.
    for room in [0, 4, 8, 16] {
        let machine = machine();
        small_disk(&machine, room);
        let look = || {
            let text = fs::read_to_string(machine.path("/etc/aliases"));
            text.or_else(|_| Ok::<_, ()>(shell(&machine, "cat /srv/small/aliases")))
                .unwrap()
        };
        let query = || shell(&machine, "postalias -s hash:/srv/small/aliases");
        let (text, map) = (look(), query());
        println!("| ==== room for {room} KiB");
        let output = machine.run("mm-aliases adopt");
        if output.status.success() {
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!((look(), query()), (text, map), "{output:?}");
        let left = shell(&machine, "ls -A /srv/small");
        assert_eq!(left, "aliases\naliases.db\nfill\n");
        shell(&machine, "rm /srv/small/fill");
        machine.expect("mm-aliases adopt");
        assert!(query().contains("/mm-deliver post toylist"));
    }
}

/// What another editor does between our reading and our exchange.
#[test]
fn postfix_files_that_someone_edits_meanwhile_keep_the_edit() {
    for (how, edit) in [
        ("in place", "printf 'newcomer: sender\\n' >>/etc/aliases"),
        (
            "by rename",
            "cp -p /etc/aliases /etc/aliases~; printf 'newcomer: sender\\n' >>/etc/aliases~
             mv /etc/aliases~ /etc/aliases",
        ),
    ] {
        let machine = machine();
        machine.expect("newaliases");
        println!("| ==== an editor saves {how} while mm-aliases adopt runs");
        // The first exchange waits for two seconds: that is when the editor saves.
        let mut adopt = machine
            .command("strace -f -o /tmp/trace -e trace=renameat2")
            .args(["-e", "inject=renameat2:delay_enter=2000000:when=1"])
            .args(["mm-aliases", "adopt"])
            .spawn()
            .unwrap();
        let start = Instant::now();
        let trace = machine.path("/tmp/trace");
        while !fs::read_to_string(&trace)
            .unwrap_or_default()
            .contains("renameat2(")
        {
            assert!(start.elapsed() < Duration::from_secs(30), "no exchange");
            std::thread::sleep(Duration::from_millis(5));
        }
        shell(&machine, edit);
        let status = adopt.wait().unwrap();
        println!("| mm-aliases adopt: {status}");
        let text = fs::read_to_string(machine.path(ALIASES)).unwrap();
        assert!(
            text.contains("newcomer: sender\n"),
            "the edit is lost:\n{text}"
        );
        // Whatever it said, typed again it is done, and the edit is in the map too.
        machine.expect("mm-aliases adopt");
        machine.expect("mm-aliases sync");
        expect_all(&standing(&machine), "/usr/lib/mm-deliver/mm-deliver");
        let newcomer = shell(&machine, "postalias -q newcomer hash:/etc/aliases");
        assert_eq!(newcomer, "sender\n");
        let left = shell(&machine, "ls -A /etc | grep aliases");
        assert_eq!(left, "aliases\naliases.db\n");
    }
}

/// A power cut, a full disk, or an editor that was killed leave a text without an entry; mail goes by
/// the map as ever. Built anew of what stands, it would have the lists alone.
fn lost(kind: &'static dyn Agent, asked: &str) {
    let machine = Machine::with(kind, &LISTS);
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-parity upgrade toylist");
    let root = || shell(&machine, &format!("postalias -q root {asked}:{ALIASES}"));
    let (text, before) = (shell(&machine, &format!("cat {ALIASES}")), root());
    for lost in ["", "# all gone\n\n"] {
        fs::write(machine.path(ALIASES), lost).unwrap();
        for act in ["sync", "adopt", "adopt toylist", "sync --dry-run"] {
            let output = machine.run(&format!("mm-aliases {act}"));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(said.contains("has no entry, and its database"), "{said}");
            assert!(said.contains("put the file back"), "{said}");
            assert!(
                said.contains(&format!("postalias {asked}:{ALIASES}")),
                "{said}"
            );
        }
        let output = machine.run("mm-aliases check");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("nothing bounces yet"), "{said}");
        for untrue in [
            "address-missing",
            "mend: mm-aliases sync\n",
            "bounces (no such user)\n",
        ] {
            assert!(!said.contains(untrue), "{untrue}: {said}");
        }
        // No way back needs the text.
        machine.expect("mm-parity downgrade --all");
        machine.expect("mm-aliases unadopt");
        assert_eq!(fs::read_to_string(machine.path(ALIASES)).unwrap(), lost);
        assert_eq!(root(), before, "the last copy is gone");
    }
    fs::write(machine.path(ALIASES), text).unwrap();
    machine.expect("mm-aliases sync");
    machine.expect("mm-parity upgrade toylist");
    assert_eq!(root(), before);
    // It is meant.
    fs::write(machine.path(ALIASES), "").unwrap();
    shell(&machine, &format!("postalias {asked}:{ALIASES}"));
    machine.expect("mm-aliases sync");
    shell(&machine, &format!("postalias -q toylist {asked}:{ALIASES}"));
}

#[test]
fn postfix_files_that_were_lost_leave_the_hash_as_it_is() {
    lost(&Postfix { kind: "hash" }, "hash");
}

#[test]
fn postfix_files_that_were_lost_leave_the_cdb_as_it_is() {
    lost(&Postfix { kind: "cdb" }, "cdb");
}

/// Somebody writes the text in place, slowly, while a new list comes: neither text nor map may be
/// made of his first half.
#[test]
fn postfix_files_that_someone_writes_slowly_are_waited_for() {
    let machine = machine();
    machine.expect("mm-aliases adopt");
    let people = "root: sender\nuser1: sender\n";
    let text = shell(&machine, "grep -v ^root: /etc/aliases");
    fs::write(machine.path("/etc/lists"), &text).unwrap();
    fs::write(machine.path("/etc/people"), people).unwrap();
    let mut editor = machine.command("sh -ec");
    editor.arg("(cat /etc/lists; sleep 2; cat /etc/people) > /etc/aliases");
    let mut editor = editor.spawn().unwrap();
    let start = Instant::now();
    while fs::read_to_string(machine.path(ALIASES)).unwrap() != text {
        assert!(start.elapsed() < Duration::from_secs(30), "no editor");
        std::thread::sleep(Duration::from_millis(5));
    }
    machine.expect("mm-aliases sync");
    assert!(editor.wait().unwrap().success());
    assert_eq!(
        fs::read_to_string(machine.path(ALIASES)).unwrap(),
        text + people
    );
    assert_eq!(
        shell(&machine, "postalias -q user1 hash:/etc/aliases"),
        "sender\n"
    );
}
