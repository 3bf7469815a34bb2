//! That the stand-in behaves as Mailman 2.1 was seen to.

use std::fs;

use super::{PREFIX, Release, data_version, installed, posts, running};
use crate::rig::{Machine, sender};

const OLD: Release = Release::sound("2.1.14", 98);
const NEW: Release = Release::sound("2.1.39", 112);

fn lists() -> Vec<String> {
    ["reallist1", "toylist"].map(str::to_owned).to_vec()
}

fn message(number: usize) -> Vec<u8> {
    let from = sender();
    format!("From: {from}\nTo: toylist\nSubject: {number}\nX-Number: {number}\n\nhello\n").into()
}

fn version_of(machine: &Machine, list: &str) -> u8 {
    data_version(&machine.path(&format!("{PREFIX}/lists/{list}/config.pck")))
}

/// Waits until the members got this message.
fn wait_for_post(machine: &Machine, number: usize) -> super::Post {
    for _ in 0..600 {
        if let Some(got) = posts(machine).get(&number) {
            assert_eq!(got.len(), 1, "{got:?}");
            return got[0].clone();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("message {number} did not reach the members");
}

#[test]
fn play_the_stand_in_is_like_mailman() {
    let machine = running(&OLD, &lists());
    let id = machine.send("toylist", &message(1));
    machine.wait_until_delivered(&id);
    let post = wait_for_post(&machine, 1);
    assert_eq!((post.list.as_str(), post.data_version), ("toylist", 98));
    let mbox = format!("{PREFIX}/archives/private/toylist.mbox/toylist.mbox");
    let archive = fs::read_to_string(machine.path(&mbox)).unwrap();
    assert!(archive.contains("X-Number: 1\n"), "{archive}");
    let id = machine.send("toylist-request", &message(2));
    machine.wait_until_delivered(&id);
    wait_for_post(&machine, 2);

    // Statuses, in the wrapper's order.
    let nobody = "setpriv --reuid nobody --regid nogroup --clear-groups";
    for (words, status) in [
        ("", 5),
        ("unknown toylist", 6),
        ("post", 1),
        ("post nolist", 1),
        ("post toylist", 0),
    ] {
        let done = machine.run(&format!("{nobody} {PREFIX}/mail/mailman {words}"));
        assert_eq!(done.status.code(), Some(status), "{words:?}");
    }
    let done = machine.run(&format!("{PREFIX}/mail/mailman post toylist"));
    assert_eq!(done.status.code(), Some(2), "the group is root's");

    // A second master is not started, and says so with 0.
    let said = machine.expect(&format!("{PREFIX}/bin/mailmanctl start"));
    assert!(said.contains("already running"), "{said}");
    machine.expect(&format!("{PREFIX}/bin/mailmanctl stop"));
    machine.expect_no_bounce();
}

#[test]
fn play_the_stand_in_converts_what_it_reaches() {
    let next = "/usr/local/next";
    let machine = installed(&OLD, &lists(), &[(NEW, next)]);
    // As a second tree has the lists of the first.
    machine.expect(&format!("mkdir {next}"));
    for data in ["archives", "data", "lists", "locks"] {
        machine.expect(&format!("ln -s {PREFIX}/{data} {next}/{data}"));
    }
    let make = NEW.make();
    machine.expect(&format!("{make} doinstall"));
    assert_eq!(
        version_of(&machine, "toylist"),
        98,
        "doinstall loads no list"
    );
    machine.expect(&format!("{next}/bin/list_members toylist"));
    let found = ["toylist", "reallist1"].map(|list| version_of(&machine, list));
    assert_eq!(found, [112, 98], "who reads a list converts it");
    let last = machine.path(&format!("{PREFIX}/lists/toylist/config.pck.last"));
    assert_eq!(data_version(&last), 98);
    // Older code takes it as it is.
    machine.expect(&format!("{PREFIX}/bin/list_members toylist"));
    assert_eq!(version_of(&machine, "toylist"), 112);
    machine.expect(&format!("{make} install"));
    assert_eq!(
        version_of(&machine, "reallist1"),
        112,
        "install converts all"
    );
    let update = machine.run(&format!("{PREFIX}/bin/update"));
    assert_eq!(update.status.code(), Some(1), "a downgrade is detected");
}
