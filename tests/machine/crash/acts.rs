//! What of an installation and of lists' data is changed, to be disturbed by [`whole`].

use super::LISTS;
use super::whole::{Whole, failing, killed};
use crate::mailman21::{Release, data_version, installed};
use crate::rig::Machine;

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

const UNDO: Whole = Whole {
    name: "init --undo",
    before: &["mm-parity init --from /usr/local/mailman"],
    command: "mm-parity init --undo",
    undo: None,
    done: |_| {},
    ..INIT
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

#[test]
fn crash_a_killed_init_leaves_an_installation() {
    killed(&INIT);
}

#[test]
fn crash_an_init_with_a_failing_call_leaves_an_installation() {
    failing(&INIT);
}

#[test]
fn crash_a_killed_undo_of_an_init_leaves_an_installation() {
    killed(&UNDO);
}

#[test]
fn crash_a_killed_install_leaves_the_tree_installing() {
    killed(&INSTALL);
}

#[test]
fn crash_an_install_with_a_failing_call_touches_no_list() {
    failing(&INSTALL);
}
