//! What of an installation and of lists' data is changed, to be disturbed by [`whole`].

use super::LISTS;
use super::whole::{Whole, failing, killed};
use crate::mailman21::{Release, data_version, installed};
use crate::rig::{Machine, put};

const FIRST: Release = Release::sound("2.1.14", 98);
const NEXT: Release = Release::sound("2.1.39", 112);
const FUTURE: &str = "/usr/local/mailman-b";
/// A delivery before mm-deliver is there, and after; the one without a site does not count.
const PROGRAMS: [&str; 2] = [
    "/usr/local/mailman/mail/mailman",
    "/usr/lib/mm-deliver/mm-deliver",
];

/// One installation, nothing running.
fn one_installation() -> Machine {
    installed(&FIRST, &LISTS.map(str::to_owned), &[(NEXT, FUTURE)])
}

const INIT: Whole = Whole {
    name: "init --from",
    machine: one_installation,
    before: &[],
    command: "mm-parity init --from /usr/local/mailman",
    undo: Some("mm-parity init --undo"),
    begins: ".init.jsonl",
    places: &["/usr/local", "/etc/mm-deliver", "/var/lib/mm-deliver"],
    data: &["/usr/local/mailman", "/usr/local/mailman-data"],
    apart: &[
        "/usr/local/mailman/qfiles",
        "/usr/local/mailman-data/.mm-deliver-data",
        "/var/lib/mm-deliver",
    ],
    mail: &PROGRAMS,
    done: |machine| {
        let status = machine.command("mm-parity status").output().unwrap();
        assert!(status.status.success(), "{status:?}");
    },
};

const INSTALL: Whole = Whole {
    name: "install",
    before: &[
        "mm-parity init --from /usr/local/mailman",
        "mm-aliases adopt",
    ],
    command: "mm-parity install -- /usr/local/src/mailman-2.1.39/make doinstall",
    undo: None,
    begins: "LOCK_EX",
    places: &["/usr/local", "/var/lib/mm-deliver"],
    apart: &["/usr/local/mailman/qfiles", "/var/lib/mm-deliver"],
    done: |machine| {
        let status = machine.command("mm-parity status").output().unwrap();
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(said.contains("2.1.39"), "{status:?}");
        let versions = LISTS.map(|list| {
            let file = format!("/usr/local/mailman-data/lists/{list}/config.pck");
            data_version(&machine.path(&file))
        });
        assert_eq!(versions, [98; 2], "lists were converted");
    },
    ..INIT
};

/// Two trees on one set of data, with some of each kind that a list has.
fn lists_with_data() -> Machine {
    let machine = Machine::new(&LISTS);
    let post = format!("From post\nSubject: toys\n\n{}\n", "ball\n".repeat(1000));
    for list in LISTS {
        let var = |inside: &str| machine.path(&format!("/srv/mailman/var/{inside}"));
        for (file, text) in [
            (format!("lists/{list}/request.pck"), "}q\x01."),
            (format!("lists/{list}/en/listinfo.html"), "<p>theirs</p>\n"),
            (
                format!("archives/private/{list}/index.html"),
                "<p>posts</p>\n",
            ),
            (format!("data/heldmsg-{list}-1.pck"), "held"),
            // Large enough not to be copied: of what only grows the length is noted.
            (
                format!("archives/private/{list}.mbox/{list}.mbox"),
                &post.repeat(300),
            ),
        ] {
            put(&var(&file), text.as_bytes(), 0o660);
        }
    }
    // What a newer release makes of a list.
    let newer = b"}q\x01(U\x0cdata_versionq\x02K\xc8U\x03newq\x03K\x01u.";
    put(
        &machine.path("/srv/newer/lists/toylist/config.pck"),
        newer,
        0o660,
    );
    put(
        &machine.path("/srv/newer/data/heldmsg-toylist-2.pck"),
        b"held too",
        0o660,
    );
    put(&machine.path("/srv/more"), post.as_bytes(), 0o660);
    machine
}

const SNAPSHOT: Whole = Whole {
    name: "upgrade with snapshots",
    machine: lists_with_data,
    before: &["mm-parity init --current a", "mm-aliases adopt"],
    command: "mm-parity upgrade toylist",
    undo: None,
    begins: "LOCK_EX",
    places: &["/srv/mailman/var", "/var/lib/mm-deliver"],
    data: &["/srv/mailman/var"],
    apart: &["/var/lib/mm-deliver"],
    mail: &["/usr/lib/mm-deliver/mm-deliver"],
    done: |machine| {
        let known = machine
            .command("mm-parity snapshots toylist")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&known.stdout).into_owned();
        assert!(
            known.status.success() && said.contains("toylist"),
            "{known:?}"
        );
    },
};

const RESTORE: Whole = Whole {
    name: "downgrade --restore",
    before: &[
        "mm-parity init --current a",
        "mm-aliases adopt",
        "mm-parity upgrade toylist",
        "cp -rT /srv/newer /srv/mailman/var",
        "dd if=/srv/more of=/srv/mailman/var/archives/private/toylist.mbox/toylist.mbox oflag=append conv=notrunc status=none",
    ],
    command: "mm-parity downgrade --restore toylist",
    ..SNAPSHOT
};

#[test]
fn crash_a_killed_init_leaves_an_installation() {
    killed(&INIT);
}

#[test]
fn crash_a_killed_install_leaves_the_tree_installing() {
    killed(&INSTALL);
}

#[test]
fn crash_an_install_with_a_failing_call_touches_no_list() {
    failing(&INSTALL);
}

#[test]
fn crash_a_killed_upgrade_leaves_the_lists_data_alone() {
    killed(&SNAPSHOT);
}

#[test]
fn crash_an_upgrade_with_a_failing_call_leaves_the_lists_data_alone() {
    failing(&SNAPSHOT);
}

#[test]
fn crash_a_killed_restore_leaves_old_or_new_data() {
    killed(&RESTORE);
}

#[test]
fn crash_a_restore_with_a_failing_call_leaves_old_or_new_data() {
    failing(&RESTORE);
}
