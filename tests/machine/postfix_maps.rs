//! Maps of the real Postfix that only an odd configuration has, and what a new map keeps of the old.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::maps::{said, shell, wrap};
use crate::rig::{HOST, Machine, Postfix, sender};

const OURS: &str = "\"|/usr/lib/mm-deliver/mm-deliver post toylist\"\n";

fn machine() -> Machine {
    let machine = Machine::with(&Postfix { kind: "hash" }, &["toylist"]);
    machine.expect("mm-parity init --current a");
    machine
}

/// Posts to toylist, and returns the program that was run.
fn ran(machine: &Machine) -> String {
    let from = sender();
    let message = format!("From: {from}\nTo: toylist@{HOST}\nSubject: post\n\nhello\n");
    machine.send_and_take("toylist", message.as_bytes()).0
}

/// newaliases takes such a name; a daemon that finds one in alias_maps ends.
#[test]
fn maps_postfix_without_a_type_are_of_the_default_one() {
    let machine = machine();
    shell(
        &machine,
        "postconf -e default_database_type=lmdb alias_database=/etc/aliases
         postfix reload; newaliases",
    );
    let before = machine.expect("postalias -q toylist lmdb:/etc/aliases");
    assert_ne!(before, OURS);
    machine.expect("mm-aliases adopt");
    for kind in ["hash", "lmdb"] {
        let asked = machine.expect(&format!("postalias -q toylist {kind}:/etc/aliases"));
        assert_eq!(asked, OURS, "{kind}");
    }
    machine.expect("mm-aliases check");
    assert_eq!(ran(&machine), "/usr/lib/mm-deliver/mm-deliver");
}

#[test]
fn maps_postfix_of_one_service_are_built_and_one_without_them_is_told() {
    let machine = machine();
    shell(
        &machine,
        "postconf -P 'local/unix/alias_maps=lmdb:$alias_file' && postconf -e alias_file=/etc/aliases
         postalias lmdb:/etc/aliases; postfix reload",
    );
    machine.expect("mm-aliases adopt");
    for kind in ["lmdb", "hash"] {
        let asked = machine.expect(&format!("postalias -q toylist {kind}:/etc/aliases"));
        assert_eq!(asked, OURS, "{kind}");
    }
    machine.expect("mm-aliases check");
    assert_eq!(ran(&machine), "/usr/lib/mm-deliver/mm-deliver");

    println!("| ==== local(8) reads another file");
    shell(
        &machine,
        "echo 'toylist: \"|/srv/mailman/a/mail/mailman post toylist\"' >/etc/other; postalias hash:/etc/other
         postconf -P 'local/unix/alias_maps=hash:/etc/other'; postfix reload",
    );
    assert_eq!(ran(&machine), "/srv/mailman/a/mail/mailman");
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(2));
    for told in [
        "CRITICAL: aliases: Postfix' service local/unix does not read it",
        "-o alias_maps=hash:/etc/other",
        "name /etc/aliases in it too, then postfix reload",
    ] {
        assert!(said(&check).contains(told), "no {told:?} is said");
    }
    shell(
        &machine,
        "postconf -P 'local/unix/alias_maps=hash:/etc/aliases,hash:/etc/other'; postfix reload",
    );
    machine.expect("mm-aliases check");
    assert_eq!(ran(&machine), "/usr/lib/mm-deliver/mm-deliver");
}

/// alias_database names /etc/aliases unless somebody sets it, and no mail goes by it.
#[test]
fn maps_postfix_that_newaliases_builds_and_no_mail_goes_by_are_told() {
    let machine = machine();
    shell(
        &machine,
        "echo 'other: root' >/etc/other; postalias hash:/etc/other
         postconf -e alias_maps=hash:/etc/other alias_database=hash:/etc/aliases; postfix reload",
    );
    let before = machine.expect("cat /etc/aliases");
    let mend = "postconf -e 'alias_maps=hash:/etc/other, hash:/etc/aliases' && postfix reload";
    for act in ["mm-aliases adopt", "mm-aliases sync"] {
        let output = machine.run(act);
        assert_eq!(output.status.code(), Some(1), "{act}");
        assert!(said(&output).contains(mend), "{act}");
        assert_eq!(machine.expect("cat /etc/aliases"), before, "{act}");
    }
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(2));
    let told = "CRITICAL: aliases: \"/etc/aliases\": Postfix does not read this file";
    for told in [told, "bounces (unknown user)", mend] {
        assert!(said(&check).contains(told), "no {told:?} is said");
    }
    shell(&machine, mend);
    machine.expect("mm-aliases adopt");
    machine.expect("mm-aliases check");
    assert_eq!(ran(&machine), "/usr/lib/mm-deliver/mm-deliver");
}

/// The first map of alias_maps that has a name wins.
#[test]
fn maps_postfix_that_are_asked_before_ours_are_told_with_what_they_take() {
    let machine = machine();
    machine.expect("mm-aliases adopt");
    shell(
        &machine,
        "printf '%s\\n' 'toylist: sender' 'other: root' >/etc/first; postalias hash:/etc/first
         postconf -e 'alias_maps=hash:/etc/first, hash:/etc/aliases'; postfix reload",
    );
    let taken = "hash:/etc/first, which alias_maps has before /etc/aliases: \"toylist\" leads to \
                 \"sender\"";
    let check = machine.run("mm-aliases check");
    assert_eq!(check.status.code(), Some(1));
    for told in [
        &format!("WARNING: address-taken: 1 address is taken by {taken}"),
        "follows no move",
        "let /etc/aliases stand before it in alias_maps",
    ] {
        assert!(said(&check).contains(told), "no {told:?} is said");
    }
    let trace = machine.expect("mm-aliases trace toylist");
    assert!(trace.starts_with(&format!("before this: {taken}; Postfix takes that")));
    let trace = machine.expect("mm-aliases trace toylist-owner");
    assert!(!trace.contains("before this"), "{trace}");

    println!("| ==== it has the very line, or stands behind");
    shell(
        &machine,
        "cp /etc/aliases /etc/first; postalias hash:/etc/first",
    );
    machine.expect("mm-aliases check");
    shell(
        &machine,
        "echo 'toylist: sender' >/etc/first; postalias hash:/etc/first
         postconf -e 'alias_maps=hash:/etc/aliases, hash:/etc/first'; postfix reload",
    );
    machine.expect("mm-aliases check");
    assert_eq!(ran(&machine), "/usr/lib/mm-deliver/mm-deliver");

    println!("| ==== of a type that is not asked");
    shell(
        &machine,
        "postconf -e 'alias_maps=nis:mail.aliases, hash:/etc/aliases'",
    );
    let told = "nis:mail.aliases, which alias_maps has before /etc/aliases, is of a type that is not \
                looked at";
    for asked in ["mm-aliases check", "mm-aliases trace toylist"] {
        assert!(said(&machine.run(asked)).contains(told), "{asked}");
    }
}

/// The text is copied for the builder, who runs as the owner of what he reads.
#[test]
fn maps_postfix_keep_their_acl_and_the_copy_of_the_text_belongs_to_the_directorys_owner() {
    let machine = machine();
    shell(
        &machine,
        "mkdir /etc/mine; mv /etc/aliases /etc/mine/; chown list:adm /etc/mine; rm /etc/aliases.db
         postconf -e alias_maps=hash:/etc/mine/aliases alias_database=hash:/etc/mine/aliases
         sed -i s:/etc/aliases:/etc/mine/aliases: /etc/mm-deliver/site.toml
         postalias hash:/etc/mine/aliases; postfix reload
         setfacl -m u:sender:rw /etc/mine/aliases.db",
    );
    let script = "case $1 in hash:*aliases-map) stat -c '%U:%G %a' \"${1#*:}\" >/tmp/copy ;; esac; exec $REAL \"$@\"";
    wrap(&machine, "/usr/sbin/postalias", script);
    let acl = || {
        shell(
            &machine,
            "getfacl -cp /etc/mine/aliases.db; stat -c %a /etc/mine/aliases.db",
        )
    };
    let before = acl();
    assert!(before.contains("user:sender:rw-"), "{before}");
    machine.expect("mm-aliases adopt");
    assert_eq!(acl(), before);
    assert_eq!(shell(&machine, "cat /tmp/copy"), "list:adm 600\n");
    assert_eq!(
        machine.expect("postalias -q toylist hash:/etc/mine/aliases"),
        OURS
    );
}

#[test]
fn maps_postfix_with_a_second_name_are_replaced_and_that_is_said() {
    let machine = machine();
    machine.expect("ln /etc/aliases.db /etc/second.db");
    let adopted = machine.expect("mm-aliases adopt");
    let told = "\"/etc/aliases.db\" has another name (ls -i): under that one the old map stays";
    assert!(adopted.contains(told), "no word of it");
    assert_eq!(
        machine.expect("postalias -q toylist hash:/etc/aliases"),
        OURS
    );
    assert_ne!(
        machine.expect("postalias -q toylist hash:/etc/second"),
        OURS
    );
    assert_eq!(
        fs::metadata(machine.path("/etc/aliases.db"))
            .unwrap()
            .nlink(),
        1
    );
}

/// Text and map of what was put back, and of what somebody edited during the wait.
#[test]
fn maps_postfix_follow_an_upgrade_that_is_taken_back_entry_by_entry() {
    let machine = machine();
    let asked = |name: &str| machine.expect(&format!("postalias -q {name} hash:/etc/aliases"));
    let before = ["toylist", "toylist-join"].map(asked);
    // An edit that the admin tells Postfix of, one that he does not, and one that takes ours back.
    let said = shell(
        &machine,
        "cp -p /srv/mailman/a/mail/mailman /tmp/mailman; cp /etc/aliases /tmp/aliases
         printf '#!/bin/sh\\nexec sleep 60\\n' >/srv/mailman/a/mail/mailman
         mm-deliver post toylist </dev/null >/dev/null 2>&1 & inside=$!
         until grep -q sleep /proc/$inside/cmdline || ! kill -0 $inside; do sleep 0.05; done
         mm-parity upgrade toylist --closed 6s >/tmp/said 2>&1 & upgrade=$!
         until postalias -q toylist hash:/etc/aliases | grep -q mm-deliver || ! kill -0 $upgrade
         do sleep 0.05; done
         until grep -q '\"gives_way\":true' /var/lib/mm-deliver/writer || ! kill -0 $upgrade
         do sleep 0.05; done
         kill -0 $upgrade || echo not waiting
         sed -i 's/^toylist-owner:.*/toylist-owner: root/' /etc/aliases; newaliases
         sed -i 's/^toylist-leave:.*/toylist-leave: sender/' /etc/aliases
         join=$(grep ^toylist-join: /tmp/aliases)
         sed -i \"s#^toylist-join:.*#$join#\" /etc/aliases
         status=0; wait $upgrade || status=$?
         kill $inside; cp -p /tmp/mailman /srv/mailman/a/mail/mailman
         echo status $status; cat /tmp/said",
    );
    println!("| {}", said.replace('\n', "\n| "));
    assert!(!said.contains("not waiting"));
    for words in [
        "status 1\n",
        "no list has moved",
        "what somebody edited meanwhile stays as it was edited: /etc/aliases:",
        ":1: toylist-owner",
        ":1: toylist-leave",
    ] {
        assert!(said.contains(words), "no {words:?}");
    }
    assert_eq!(["toylist", "toylist-join"].map(asked), before);
    assert_eq!(asked("toylist-owner"), "root\n");
    assert_eq!(asked("toylist-leave"), "sender\n");
    assert_eq!(ran(&machine), "/srv/mailman/a/mail/mailman");
    machine.expect("mm-parity upgrade toylist");
    assert_eq!(asked("toylist"), OURS);
    machine.expect("mm-parity downgrade toylist");
    machine.expect("mm-aliases unadopt");
    assert_eq!(["toylist", "toylist-join"].map(asked), before);
}
