//! What Postfix does with the other destinations of an alias while mm-deliver asks it to try
//! again, and what adopt and check say of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::rig::{HOST, Machine, sender};

/// Debian's number of a user who has nothing to do with mail.
const NEWS: u32 = 9;
const PIPE: &str = "\"|/srv/mailman/a/mail/mailman post toylist\"";

fn message(subject: &str) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: toylist@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{subject}@client.example>\nSubject: {subject}\n\nhello\n"
    )
    .into_bytes()
}

/// A machine on which what is posted to toylist goes to `others` as well, adopted; what adopt
/// said.
fn adopted(others: &str, more: &str) -> (Machine, String) {
    let machine = Machine::new(&["toylist"]);
    write_entry(&machine, PIPE, &format!("{PIPE}, {others}"));
    let aliases = machine.path("/etc/aliases");
    let text = fs::read_to_string(&aliases).unwrap() + more;
    fs::write(&aliases, text).unwrap();
    machine.expect("newaliases");
    machine.expect("mm-parity init --current a");
    let said = machine.expect("mm-aliases adopt");
    (machine, said)
}

fn write_entry(machine: &Machine, from: &str, to: &str) {
    let aliases = machine.path("/etc/aliases");
    let text = fs::read_to_string(&aliases).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(&aliases, text.replace(from, to)).unwrap();
}

fn put(machine: &Machine, path: &str, text: &str, mode: u32) {
    let path = machine.path(path);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes several recipients of one, as the notes advise.
fn recipients(machine: &Machine, line: &str) {
    put(machine, "/etc/postfix/virtual", line, 0o644);
    machine.expect("postmap hash:/etc/postfix/virtual");
    machine.expect("postconf virtual_alias_maps=hash:/etc/postfix/virtual");
    machine.expect("postfix reload");
}

/// How often the message must stand in each of the files that mail is appended to.
#[track_caller]
fn expect_times(machine: &Machine, files: &[&str], subject: &str, expected: usize) {
    machine.flush();
    let line = format!("Subject: {subject}");
    let times = files.iter().map(|file| {
        let bytes = fs::read(machine.path(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines().filter(|one| **one == line).count()
    });
    let times: Vec<usize> = times.collect();
    println!("| {line:?} in {files:?}: {times:?}");
    assert_eq!(times, vec![expected; files.len()], "{files:?}");
}

/// Sends a message that waits through three tries; then the tree is back, and takes it once.
fn through_three_tries(machine: &Machine, subject: &str) {
    machine.rename("/srv/mailman/a", "/srv/mailman/away");
    let id = machine.send("toylist", &message(subject));
    machine.wait_until_deferred(&id);
    machine.flush_in_vain(&id);
    machine.flush_in_vain(&id);
    machine.rename("/srv/mailman/away", "/srv/mailman/a");
    machine
        .command(&format!("postqueue -i {id}"))
        .output()
        .unwrap();
    machine.wait_for(&id, ": removed");
    machine.show_log(&format!("{id}: to="));
    machine.take_one();
}

#[test]
fn postfix_repeats_what_ends_on_this_host_and_the_advice_ends_that() {
    let others = "daemon, /var/spool/kept, nick, :include:/etc/members, subscribers";
    let more = "nick: games\nprinter: lp\nsubscribers: :include:/etc/more\n";
    let (machine, said) = adopted(others, more);
    put(&machine, "/etc/members", "man\nprinter\n", 0o644);
    put(&machine, "/etc/more", "news\n", 0o644);
    // The MTA reads it as its owner then.
    chown(machine.path("/etc/more"), Some(NEWS), None).unwrap();
    put(&machine, "/var/spool/kept", "", 0o666);
    for other in ["daemon", "/var/spool/kept", "nick"] {
        let told = format!("toylist: also goes to {other:?}: while mail to it waits, Postfix");
        assert!(said.contains(&told), "{told}: {said}");
    }
    assert_eq!(said.matches("also goes to").count(), 3, "{said}");
    assert!(said.contains("\"toylist toylist, daemon\" in virtual_alias_maps"));
    through_three_tries(&machine, "repeated");
    let again = ["/var/mail/daemon", "/var/spool/kept", "/var/mail/games"];
    // What an include names goes into the queue as new mail, once the rest is done.
    let once = ["/var/mail/man", "/var/mail/lp", "/var/mail/news"];
    // Three tries in vain, and the one that went through.
    expect_times(&machine, &again, "repeated", 4);
    expect_times(&machine, &once, "repeated", 1);
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        said.contains("1 address goes to mm-deliver and to \"daemon\""),
        "{said}"
    );

    // As the notes have it: what is no name gets one, and all become recipients.
    write_entry(&machine, "daemon, /var/spool/kept, nick, ", "");
    write_entry(&machine, "printer: lp", "printer: lp\nbox: /var/spool/kept");
    machine.expect("newaliases");
    recipients(&machine, "toylist toylist, daemon, box, nick\n");
    machine.expect("mm-aliases check");
    through_three_tries(&machine, "once");
    expect_times(&machine, &again, "once", 1);
    expect_times(&machine, &once, "once", 1);
    machine.expect_no_bounce();
}

#[test]
fn postfix_sends_what_leaves_this_host_once() {
    let (machine, said) = adopted("far, alice@far.example", "far: bob@far.example\n");
    assert!(!said.contains("also goes to"), "{said}");
    machine.expect("mm-aliases check");
    // It leaves by a transport that takes everything and keeps nothing.
    machine.expect("postconf transport_maps=inline:{far.example=discard:}");
    machine.expect("postfix reload");
    through_three_tries(&machine, "far");
    machine.flush();
    for to in ["alice", "bob"] {
        let sent = machine.count_log(&format!("to=<{to}@far.example>"));
        assert_eq!(sent, 1, "{to}");
    }
    machine.expect_no_bounce();
}

#[test]
fn postfix_an_alias_of_a_second_program_is_left_and_the_advice_serves_both() {
    let more = "archive: \"|/bin/sh -c 'cat >> /var/spool/archived'\"\n";
    let (machine, said) = adopted("archive", more);
    put(&machine, "/var/spool/archived", "", 0o666);
    assert!(
        said.contains(
            "toylist: it also goes to \"archive\", which leads to a second program: Postfix would \
             run that again"
        ),
        "{said}"
    );
    assert!(
        said.contains("\"toylist toylist, archive\" in virtual_alias_maps"),
        "{said}"
    );
    write_entry(&machine, ", archive", "");
    recipients(&machine, "toylist toylist, archive\n");
    machine.expect("mm-aliases adopt");
    machine.expect("mm-aliases check");
    through_three_tries(&machine, "both");
    expect_times(&machine, &["/var/spool/archived"], "both", 1);
    machine.expect_no_bounce();
}

/// In an entry that is ours already; one command that stands there twice is run once each time.
#[test]
fn postfix_runs_the_second_program_of_an_entry_at_each_try_and_check_says_so() {
    let machine = Machine::new(&["toylist"]);
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    put(&machine, "/var/spool/archived", "", 0o666);
    let ours = "\"|/usr/lib/mm-deliver/mm-deliver post toylist\"";
    let archive = "\"|/bin/sh -c 'cat >> /var/spool/archived'\"";
    write_entry(&machine, ours, &format!("{ours}, {archive}, {archive}"));
    machine.expect("newaliases");
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    for told in [
        "1 address goes to mm-deliver and to the program \"/bin/sh -c 'cat >> /var/spool/archived'\"",
        "while mail to it waits, Postfix runs that program again at each retry",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    through_three_tries(&machine, "second");
    expect_times(&machine, &["/var/spool/archived"], "second", 4);
    machine.expect_no_bounce();
}
