//! Mail that was queued before adopt or unadopt changed its alias: Sendmail and OpenSMTPD
//! queue what the alias said, and run that however it looks now.

use std::collections::BTreeMap;

use crate::rig::{Agent, Exim, HOST, Machine, OpenSmtpd, Postfix, Sendmail, VERBS, sender};

fn message(number: usize) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: list@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{number}@client.example>\nSubject: {number}\n\nhello\n"
    )
    .into_bytes()
}

/// Sends to every address of both lists, and waits until all of it is deferred.
fn queue(machine: &Machine) {
    let mut ids = Vec::new();
    for list in ["quietlist", "toylist"] {
        for (suffix, _) in VERBS {
            ids.push(machine.send(&format!("{list}{suffix}"), &message(ids.len())));
        }
    }
    for id in &ids {
        println!("| {}", machine.wait_until_deferred(id));
    }
    assert_eq!(machine.take().len(), 0, "it was not deferred");
}

/// Has the MTA try again: all of it must arrive once, toylist's and quietlist's in these trees.
#[track_caller]
fn expect_all(machine: &Machine, what: &str, toylist: &str, quietlist: &str) {
    machine.flush();
    let mut found = BTreeMap::<(&str, String), Vec<String>>::new();
    for got in machine.take() {
        let [_, verb, list] = got.argv.try_into().unwrap();
        found.entry((got.tree, list)).or_default().push(verb);
    }
    for verbs in found.values_mut() {
        verbs.sort_unstable();
    }
    println!("| {what}: {found:?}");
    let verbs = VERBS.map(|(_, verb)| verb.to_owned());
    let mut sorted = verbs.to_vec();
    sorted.sort_unstable();
    let expected = [(toylist, "toylist"), (quietlist, "quietlist")]
        .map(|(tree, list)| ((tree, list.to_owned()), sorted.clone()));
    assert_eq!(found, BTreeMap::from(expected), "{what}");
    machine.expect_no_bounce();
}

/// `old_command`: whether the MTA runs what the alias said when the message came.
fn through_adopt_and_unadopt(agent: &'static dyn Agent, old_command: bool) {
    let machine = Machine::with(agent, &["quietlist", "toylist"]);
    println!("| ==== queued under direct aliases, delivered after adopt and upgrade");
    machine.rename("/srv/mailman/a/spool", "/srv/mailman/a/away");
    queue(&machine);
    machine.rename("/srv/mailman/a/away", "/srv/mailman/a/spool");
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-parity upgrade toylist");
    let toylist = if old_command { "a" } else { "b" };
    expect_all(&machine, "after adopt", toylist, "a");

    println!("| ==== queued through mm-deliver, delivered after downgrade and unadopt");
    machine.rename("/srv/mailman/a/spool", "/srv/mailman/a/away");
    machine.rename("/srv/mailman/b/spool", "/srv/mailman/b/away");
    queue(&machine);
    machine.rename("/srv/mailman/a/away", "/srv/mailman/a/spool");
    machine.rename("/srv/mailman/b/away", "/srv/mailman/b/spool");
    machine.expect("mm-parity downgrade --all");
    machine.expect("mm-aliases unadopt");
    expect_all(&machine, "after unadopt", "a", "a");
}

#[test]
fn mta_postfix_delivers_what_was_queued_before_adopt_and_unadopt() {
    through_adopt_and_unadopt(&Postfix { kind: "hash" }, false);
}

#[test]
fn mta_sendmail_delivers_what_was_queued_before_adopt_and_unadopt() {
    through_adopt_and_unadopt(&Sendmail, true);
}

#[test]
fn mta_exim_delivers_what_was_queued_before_adopt_and_unadopt() {
    through_adopt_and_unadopt(&Exim, false);
}

#[test]
fn mta_opensmtpd_delivers_what_was_queued_before_adopt_and_unadopt() {
    through_adopt_and_unadopt(&OpenSmtpd { table: "file" }, true);
}
