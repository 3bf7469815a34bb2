//! The text of virtual aliases and its maps under the real Postfix: found by whatever name Postfix
//! reaches them, all new or all old, and like the map that each replaces.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use crate::maps::{said, shell, unwrap, wrap};
use crate::rig::{Machine, Postfix};

const FILE: &str = "/etc/postfix/virtual-lists";
const WRITE: &str = "mm-aliases virtual --output /etc/postfix/virtual-lists";
const KEY: &str = "newlist-owner@lists.far.example";

/// A machine whose lists are adopted and have a domain, and `maps` as virtual_alias_maps. The file
/// and what is made of it are of the time before `newlist` came.
fn machine(maps: &str) -> Machine {
    let machine = Machine::with(&Postfix { kind: "hash" }, &["toylist"]);
    let site = machine.path("/etc/mm-deliver/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    let domain = "[trees.b]\ndomain = \"lists.far.example\"\n";
    fs::write(&site, text.replace("[trees.b]\n", domain)).unwrap();
    shell(
        &machine,
        &format!("postconf -e 'virtual_alias_maps = {maps}'"),
    );
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect(WRITE);
    let lists = "/srv/mailman/var/lists";
    machine.expect(&format!("cp -a {lists}/toylist {lists}/newlist"));
    machine.expect("mm-aliases sync");
    machine
}

/// What the maps of these types have for the address of the new list, by the path `file`.
fn asked(machine: &Machine, kinds: &[&str], file: &str) -> Vec<String> {
    let ask = |kind: &&str| {
        let line = format!("postmap -q {KEY} {kind}:{file}");
        let output = machine.run(&line);
        assert!(output.stderr.is_empty(), "{line}");
        String::from_utf8(output.stdout).unwrap()
    };
    kinds.iter().map(ask).collect()
}

#[track_caller]
fn expect_no_leftover(machine: &Machine) {
    let left = shell(machine, "ls -A /etc/postfix | grep aliases- || :");
    assert_eq!(left, "", "temporary files are left");
}

#[test]
fn maps_virtual_are_found_by_every_name_that_postfix_has_for_them() {
    let machine = machine("hash:/etc/postfix/nothing");
    symlink("postfix", machine.path("/etc/linked")).unwrap();
    let spellings = [
        ("hash", "hash:/etc/linked/virtual-lists"),
        ("btree", "proxy:btree:/etc/postfix/../linked/virtual-lists"),
        (
            "lmdb",
            "hash:/etc/postfix/other, { lmdb:/etc/postfix/virtual-lists }",
        ),
        // Of default_database_type for the tools; a daemon of Postfix takes no name without a type.
        ("cdb", "/etc/linked/virtual-lists"),
    ];
    shell(&machine, "postconf -e default_database_type=cdb");
    for (kind, maps) in spellings {
        println!("| ==== virtual_alias_maps = {maps}");
        shell(
            &machine,
            &format!("rm -f {FILE}*; postconf -e 'virtual_alias_maps = {maps}'"),
        );
        let written = machine.expect(WRITE);
        assert!(written.contains("with [\""), "no map is built");
        assert_eq!(asked(&machine, &[kind], FILE), ["newlist-owner\n"]);
        let again = machine.expect(WRITE);
        assert_eq!(again, "nothing to change\n");
        expect_no_leftover(&machine);
    }
}

#[test]
fn maps_virtual_of_another_type_leave_the_file_as_it_was() {
    let machine = machine(&format!("hash:{FILE}"));
    let standing = || {
        let both = [FILE.to_owned(), format!("{FILE}.db")];
        both.map(|path| fs::read(machine.path(&path)).unwrap())
    };
    let before = standing();
    for (maps, told) in [
        (
            format!("hash:{FILE}, texthash:{FILE}"),
            "which cannot be built here",
        ),
        (format!("hash:{FILE}, btree:{FILE}"), "cannot be both"),
    ] {
        shell(
            &machine,
            &format!("postconf -e 'virtual_alias_maps = {maps}'"),
        );
        let output = machine.run(WRITE);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(told), "no {told:?} is said");
        assert!(standing() == before, "something has changed");
        expect_no_leftover(&machine);
    }
}

#[test]
fn maps_virtual_of_one_text_are_all_new_or_all_old() {
    let machine = machine(&format!("hash:{FILE}, lmdb:{FILE}, cdb:{FILE}"));
    let standing = || {
        let all = ["", ".db", ".lmdb", ".cdb"].map(|suffix| format!("{FILE}{suffix}"));
        all.map(|path| fs::read(machine.path(&path)).unwrap())
    };
    let before = standing();
    let refused = |command: &str, told: &str| {
        let output = machine.run(command);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(told), "no {told:?} is said");
        assert!(standing() == before, "something has changed");
        expect_no_leftover(&machine);
    };

    println!("| ==== one map after another cannot be moved in");
    for nth in 1..=4 {
        let strace = format!("strace -f -o /tmp/trace -e inject=renameat2:error=EIO:when={nth}");
        refused(&format!("{strace} {WRITE}"), "Input/output error");
        let trace = fs::read_to_string(machine.path("/tmp/trace")).unwrap();
        assert!(trace.contains("(INJECTED)"), "nothing was injected");
    }

    println!("| ==== the last one cannot be built");
    let fails =
        "case $1 in cdb:*) echo 'postmap: fatal: no' >&2; exit 1 ;; esac; exec $REAL \"$@\"";
    wrap(&machine, "/usr/sbin/postmap", fails);
    refused(WRITE, "fatal: no");
    unwrap(&machine, "/usr/sbin/postmap");

    println!("| ==== the last one leads elsewhere once it stands");
    let lies = format!(
        "case \"$*\" in -q*cdb:{FILE}) $REAL \"$@\" | sed s/newlist-owner$/liar/ ;; *) exec $REAL \"$@\" ;; esac"
    );
    wrap(&machine, "/usr/sbin/postmap", &lies);
    refused(WRITE, "as before");
    unwrap(&machine, "/usr/sbin/postmap");

    machine.expect(WRITE);
    assert_eq!(
        asked(&machine, &["hash", "lmdb", "cdb"], FILE),
        ["newlist-owner\n"; 3]
    );
    println!("| ==== one of them is gone, and one is of before");
    fs::remove_file(machine.path(&format!("{FILE}.lmdb"))).unwrap();
    fs::write(machine.path(&format!("{FILE}.db")), &before[1]).unwrap();
    machine.expect(WRITE);
    assert_eq!(
        asked(&machine, &["hash", "lmdb", "cdb"], FILE),
        ["newlist-owner\n"; 3]
    );
    expect_no_leftover(&machine);
}

#[test]
fn maps_virtual_look_like_the_ones_that_they_replace() {
    let machine = machine(&format!("hash:{FILE}, lmdb:{FILE}"));
    shell(
        &machine,
        &format!(
            "chown list:adm {FILE}.db; chmod 604 {FILE}.db; chown list:adm {FILE}; chmod 640 {FILE}"
        ),
    );
    let looks = |path: &str| {
        let metadata = fs::metadata(machine.path(path)).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    let all = || ["", ".db", ".lmdb"].map(|suffix| looks(&format!("{FILE}{suffix}")));
    let before = all();
    machine.expect(WRITE);
    println!("| owner, group, mode: {before:?}");
    assert_eq!(all(), before);
    assert_eq!(
        asked(&machine, &["hash", "lmdb"], FILE),
        ["newlist-owner\n"; 2]
    );

    println!("| ==== the first map: the text's owner, and readable by whom that is");
    fs::remove_file(machine.path(&format!("{FILE}.lmdb"))).unwrap();
    machine.expect(WRITE);
    assert_eq!(looks(&format!("{FILE}.lmdb")), before[0]);
}

/// What a map has more than its text is told, and goes.
#[test]
fn maps_virtual_have_nothing_that_the_text_has_not() {
    let machine = machine(&format!("hash:{FILE}"));
    machine.expect(WRITE);
    let site = machine.path("/etc/mm-deliver/site.toml");
    let text = fs::read_to_string(&site).unwrap();
    let named = format!("virtual = \"{FILE}\"\n[deliver]");
    fs::write(&site, text.replace("[deliver]", &named)).unwrap();
    machine.expect("mm-aliases check");
    shell(
        &machine,
        &format!("echo 'gone@lists.far.example carl' | postmap -i hash:{FILE}"),
    );
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(2));
    assert!(said(&check).contains("has them: gone@lists.far.example"));
    machine.expect("mm-aliases sync");
    machine.expect("mm-aliases check");
    let gone = format!("postmap -q gone@lists.far.example hash:{FILE}");
    assert_eq!(machine.run(&gone).status.code(), Some(1));
}
