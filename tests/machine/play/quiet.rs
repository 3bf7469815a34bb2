//! With no mail flowing: what init changes of an installation, and that its undo gives back every
//! byte, owner, mode and time.

use super::site::Site;
use super::{FIRST, lists};
use std::path::Path;

use crate::listing::Listing;
use crate::mailman21::PREFIX;

/// Everything that an installation has, and that a site of ours would have.
const PLACES: [&str; 5] = [
    "/usr/local",
    "/etc",
    "/var/lib/mm-deliver",
    "/srv",
    "/var/members",
];
/// What init moves, and where to.
const DATA: &str = "/usr/local/mailman-data";
/// Where else a name was changed, and the site's own templates, which are the lists' data too.
const CHANGED: [&str; 7] = [
    "/etc",
    "/usr/local",
    PREFIX,
    "/usr/local/mailman/templates",
    "/usr/local/mailman/templates/site",
    "/usr/local/mailman/templates/site/en",
    "/usr/local/mailman/templates/site/en/listinfo.html",
];
/// What it makes.
const OURS: [&str; 4] = [
    DATA,
    "/usr/local/mailman-b",
    "/etc/mm-deliver",
    "/var/lib/mm-deliver",
];
const MOVED: [&str; 5] = ["archives", "data", "lists", "locks", "spam"];

#[test]
fn play_init_moves_what_it_says_and_its_undo_gives_every_byte_back() {
    let site = Site::new(&FIRST, &lists());
    site.stops("a");
    let before = Listing::of(&site.machine, &PLACES);
    println!(
        "| ==== before: {} paths, hash {:016x}",
        before.0.len(),
        before.hash()
    );

    site.machine
        .expect(&format!("mm-parity init --from {PREFIX} --dry-run"));
    expect_same("a dry run", &before, &Listing::of(&site.machine, &PLACES));

    site.expect_timed(&format!("mm-parity init --from {PREFIX}"));
    let after = Listing::of(&site.machine, &PLACES);
    println!(
        "| ==== after init: {} paths, hash {:016x}",
        after.0.len(),
        after.hash()
    );
    for name in MOVED {
        let [from, to] = [PREFIX, DATA].map(|place| format!("{place}/{name}"));
        let [was, is] =
            [(&before, &from), (&after, &to)].map(|(listing, place)| listing.part(&[place], true));
        assert!(!was.0.is_empty(), "{from}");
        expect_same(&from, &was.moved(&from, &to), &is);
    }
    let rest = |listing: &Listing| {
        let moved = MOVED.map(|name| format!("{PREFIX}/{name}"));
        let moved: Vec<&str> = moved.iter().map(String::as_str).collect();
        listing.part(&moved, false).part(&OURS, false)
    };
    let changed = rest(&before).differing(&rest(&after));
    let changed: Vec<&str> = changed.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(changed, CHANGED);
    for name in MOVED {
        let link = std::fs::read_link(site.path(&format!("{PREFIX}/{name}"))).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("{DATA}/{name}"));
    }

    site.expect_timed("mm-parity init --undo");
    let undone = Listing::of(&site.machine, &PLACES);
    println!(
        "| ==== after its undo: {} paths, hash {:016x}",
        undone.0.len(),
        undone.hash()
    );
    // site.toml's directory was made in /etc and removed from there, which its time tells.
    let changed = before.differing(&undone);
    assert!(
        changed.iter().all(|path| path == Path::new("/etc")),
        "{changed:?}"
    );
}

#[track_caller]
fn expect_same(what: &str, before: &Listing, after: &Listing) {
    let differences = before.differences(after);
    assert!(
        differences.is_empty(),
        "{what}: {} paths are not as they were:\n{}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}
