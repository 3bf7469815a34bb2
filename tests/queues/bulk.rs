//! What doors are closed for: a long queue is read before, and only what is new or has changed
//! since is read then.

use std::collections::BTreeSet;
use std::fs;

use super::{base, put, taken};
use crate::closing::{begin, is_closed, let_go, with_one_inside};
use crate::doors::until;
use crate::readings::Watch;

/// So many messages of other lists.
const BULK: usize = 150;

fn name(n: usize) -> String {
    format!("{}.pck", base(n))
}

#[test]
fn no_door_is_closed_for_what_was_read_before() {
    let (stage, running) = with_one_inside("a");
    for n in 0..BULK {
        put(&stage, "a", "in", n, "reallist1");
    }
    let watch = Watch::on(&stage, "a/qfiles/in");
    let upgrade = begin(&stage, &["upgrade", "toylist"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    // It waits for the one inside, and has read everything.
    let read: BTreeSet<String> = watch.names().into_iter().collect();
    assert!((0..BULK).all(|n| read.contains(&name(n))), "{read:?}");
    // New; written on in its place; another file of the same name; renamed, as when handled.
    put(&stage, "a", "in", BULK, "reallist2");
    let longer = [taken("reallist1", "x"), vec![b' '; 10]].concat();
    stage.write(&format!("a/qfiles/in/{}", name(1)), longer, 0o660);
    stage.write("a/other", taken("reallist2", "From: a@b\n\nhi\n"), 0o660);
    let at = |name: &str| stage.path("a/qfiles/in").join(name);
    fs::rename(stage.path("a/other"), at(&name(2))).unwrap();
    let renamed = name(3).replace(".pck", ".bak");
    fs::rename(at(&name(3)), at(&renamed)).unwrap();
    watch.names();
    let_go(&stage, running);
    let output = upgrade.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut read = watch.names();
    read.retain(|name| !name.is_empty());
    read.sort();
    let mut expected = [name(BULK), name(1), name(2), renamed];
    expected.sort();
    assert_eq!(read, expected);
}

#[test]
fn what_became_one_of_the_lists_after_it_was_read_is_waited_for() {
    let (stage, running) = with_one_inside("a");
    let changed = put(&stage, "a", "in", 1, "another");
    let upgrade = begin(&stage, &["upgrade", "toylist", "--closed", "4s"]);
    until("a closed door", || is_closed(&stage, "toylist"));
    // As many bytes as before, in the same file: nothing but its time tells.
    let bytes = taken("toylist", "From: a@b\n\nhi\n");
    assert_eq!(fs::metadata(&changed).unwrap().len(), bytes.len() as u64);
    fs::write(&changed, bytes).unwrap();
    let_go(&stage, running);
    let output = upgrade.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("tree a took 1 message"), "{told}");
    fs::remove_file(changed).unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
}
