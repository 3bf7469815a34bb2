//! The whole story: a site that runs one installation of a list manager, through a real Postfix and
//! with mail flowing all the while, is taken to two trees, and its lists from release to release.
//!
//! 30 lists; init, the install of the next release, one list, three, all, and back; a release whose
//! wrapper ends with 1 and whose runners hang, taken back in under 20 s; a good one, the commit, and
//! the install after that in the tree that was the first. Every numbered message is then looked
//! for among what the members got.
//!
//! `MM_PLAY_MESSAGES` says how many messages a second are sent.

/// What became of every message.
mod account;
/// Init, and its undo, with no mail flowing.
mod quiet;
/// The machine, and what its admin does.
mod site;

use std::time::Duration;

use account::Account;
use site::Site;

use crate::mailman21::Release;
use crate::numbered::Mail;
use crate::random::Random;
use crate::readers::OnDrop;

const LISTS: usize = 30;
const SENDERS: u64 = 2;
/// What the contract says of taking a broken release back.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(20);

/// A message that no sender numbers so: the broken release takes it, and it must be rescued.
const TAKEN: usize = 1_000_000;

const FIRST: Release = Release::sound("2.1.14", 98);
const NEXT: Release = Release::sound("2.1.39", 112);
const BROKEN: Release = Release {
    exits_1: &["post"],
    runners_hang: true,
    ..Release::sound("2.1.40", 112)
};
const GOOD: Release = Release::sound("2.1.41", 112);
const LAST: Release = Release::sound("2.1.42", 112);

fn lists() -> Vec<String> {
    (0..LISTS).map(|n| format!("list{n:02}")).collect()
}

#[test]
fn play_thirty_lists_go_from_release_to_release_and_no_message_is_lost() {
    let lists = lists();
    let site = Site::new(&FIRST, &lists);
    let mail = Mail::new(&lists, usize::MAX);
    std::thread::scope(|scope| {
        let _end = OnDrop(&mail.done);
        scope.spawn(|| account::keep_allowing(&mail));
        for sender in 1..=SENDERS {
            let (mail, machine) = (&mail, &site.machine);
            scope.spawn(move || mail.keep_sending(machine, Random(sender)));
        }
        story(&site, &mail, &lists);
    });
    site.machine.flush();
    site.wait_for_members(&mail);
    let account = Account::of(&site.machine, &mail, &site.archived(&lists));
    account.print();
    account.expect_nothing_wrong();
}

fn story(site: &Site, mail: &Mail<'_>, lists: &[String]) {
    site.wait_for_mail(mail, "a", lists);
    site.becomes_two_trees();
    site.wait_for_mail(mail, "a", lists);

    site.refuses_what_converts_lists(&NEXT, lists);
    site.installs("b", &NEXT);
    for some in [&lists[..1], &lists[1..4], &["--all".to_owned()]] {
        site.expect_timed(&format!("mm-parity upgrade {}", some.join(" ")));
        let moved = if some.len() == 1 && some[0] == "--all" {
            lists
        } else {
            some
        };
        site.wait_for_mail(mail, "b", moved);
    }
    // Who reads a list converts it; 2.1.14 is known to read what 2.1.39 has made of it.
    assert_eq!(site.data_versions(lists), [112].into());
    site.expect_timed("mm-parity downgrade --all");
    site.wait_for_mail(mail, "a", lists);

    site.stops("b");
    site.installs("b", &BROKEN);
    site.expect_timed(&format!("mm-parity upgrade {}", lists[0]));
    site.wait_until_deferred(&lists[0]);
    site.hangs_with("b", TAKEN, &lists[0]);
    site.expect_timed("mm-parity upgrade --all");
    site.wait_until_deferred(&lists[LISTS - 1]);
    let took = site.expect_timed("mm-parity downgrade --all");
    assert!(took < TAKEN_BACK_WITHIN, "taken back in {took:?}");
    site.machine.expect("postqueue -f");
    site.wait_for_mail(mail, "a", lists);
    site.kills_what_hangs("b");

    site.rescues("b", "a", &GOOD);
    site.wait_for_message(TAKEN, "a");
    site.installs("b", &GOOD);
    site.expect_timed("mm-parity upgrade --all");
    site.wait_for_mail(mail, "b", lists);
    site.expect_timed("mm-parity commit");
    site.expect_timed("mm-parity trust b");
    site.stops("a");
    site.installs("a", &LAST);
    site.expect_timed(&format!("mm-parity upgrade {}", lists[0]));
    site.wait_for_mail(mail, "a", &lists[..1]);
    site.machine.expect("mm-parity check");
}
