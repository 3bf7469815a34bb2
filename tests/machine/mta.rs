//! Mail through each of the four MTAs: what an alias pipes to gets the words, the user and the
//! message that it should, a message that is deferred waits, and an unknown name is refused.

use std::fs;

use crate::rig::{Agent, Answer, Exim, HOST, Machine, OpenSmtpd, Postfix, Sendmail, VERBS, sender};

const LISTS: [&str; 2] = ["quietlist", "toylist"];
const DELIVER: &str = "/usr/lib/mm-deliver/mm-deliver";
const DIRECT: &str = "/srv/mailman/a/mail/mailman";

fn message(subject: &str) -> Vec<u8> {
    let from = sender();
    format!(
        "From: {from}\nTo: list@{HOST}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
         Message-ID: <{}@client.example>\nSubject: {subject}\n\nhello\n.\nFrom here on\n",
        subject.replace(' ', ".")
    )
    .into_bytes()
}

/// Sends to every address of a list: `program` must have been run, and the mail be in `tree`.
#[track_caller]
fn check(machine: &Machine, stage: &str, program: &str, tree: &str) {
    println!("| ==== {stage}: {program}, tree {tree}");
    for (suffix, verb) in VERBS {
        let message = message(stage);
        let (ran, got) = machine.send_and_take(&format!("toylist{suffix}"), &message);
        let mailman = format!("/srv/mailman/{tree}/mail/mailman");
        assert_eq!(ran, program, "{stage}, {verb}: the alias");
        assert_eq!(got.argv, [mailman.as_str(), verb, "toylist"], "{stage}");
        assert_eq!(got.user, machine.pipe_user(), "{stage}, {verb}: the user");
        let text = String::from_utf8_lossy(got.message());
        assert_eq!(text, String::from_utf8_lossy(&message), "{stage}, {verb}");
    }
    for known in ["toylist", "toylist-request", "quietlist", "ToyList"] {
        let answer = machine.look_up(known);
        println!("| {known}: {answer:?}");
        assert!(matches!(answer, Answer::Found(_)), "{stage}, {known}");
    }
    let answer = machine.look_up("nosuchlist");
    println!("| nosuchlist: {answer:?}");
    assert!(matches!(answer, Answer::Missing(_)), "{stage}: {answer:?}");
    let reply = machine.connect().ask(&format!("nosuchlist@{HOST}"));
    let reply = reply.unwrap();
    println!(
        "| RCPT TO:<nosuchlist@{HOST}> -> {} {}",
        reply.code, reply.text
    );
    assert_eq!(reply.code, 550, "{stage}");
}

/// Mail through direct aliases, and what happens to it while the program is not there.
fn direct(agent: &'static dyn Agent) {
    let machine = Machine::with(agent, &LISTS);
    check(&machine, "direct", DIRECT, "a");

    println!("| ==== the program says 75 for a while");
    machine.rename("/srv/mailman/a/spool", "/srv/mailman/a/away");
    let id = machine.send("toylist", &message("deferred"));
    println!("| {}", machine.wait_until_deferred(&id));
    machine.flush_in_vain(&id);
    machine.rename("/srv/mailman/a/away", "/srv/mailman/a/spool");
    machine.flush();
    machine.wait_until_delivered(&id);
    machine.show_events(&id);
    assert_eq!(machine.take_one().message(), message("deferred"));

    println!("| ==== an admin adds a list");
    let aliases = machine.path("/etc/aliases");
    let mut text = fs::read_to_string(&aliases).unwrap();
    text += &format!("added: \"|{DIRECT} post added\"\n");
    assert!(matches!(machine.look_up("added"), Answer::Missing(_)));
    fs::write(&aliases, text).unwrap();
    machine.rebuild();
    println!("| added: {:?}", machine.look_up("added"));
    let (_, got) = machine.send_and_take("added", &message("added"));
    assert_eq!(got.argv[1..], ["post", "added"]);
    machine.expect_no_bounce();
}

/// Mail while lists are adopted, move, and go back.
fn moves(agent: &'static dyn Agent) {
    let machine = Machine::with(agent, &LISTS);
    let aliases = fs::read(machine.path("/etc/aliases")).unwrap();
    machine.expect("mm-parity init --current a");
    let steps = [
        ("mm-aliases adopt", DELIVER, "a"),
        ("mm-parity upgrade toylist", DELIVER, "b"),
        ("mm-parity downgrade toylist", DELIVER, "a"),
        ("mm-parity upgrade --all", DELIVER, "b"),
        ("mm-parity commit", DELIVER, "b"),
        ("mm-parity commit --revert", DELIVER, "b"),
        ("mm-parity downgrade --all", DELIVER, "a"),
        ("mm-aliases unadopt", DIRECT, "a"),
    ];
    for (command, program, tree) in steps {
        machine.expect(command);
        // Of lists that are not adopted it warns.
        let status = if program == DELIVER { 0 } else { 1 };
        let said = machine.run("mm-aliases check");
        assert_eq!(said.status.code(), Some(status), "{command}");
        check(&machine, command, program, tree);
    }
    let after = fs::read(machine.path("/etc/aliases")).unwrap();
    assert!(
        after == aliases,
        "unadopt left another file than adopt found"
    );
    machine.expect_no_bounce();
}

#[test]
fn mta_postfix_lmdb_hands_mail_to_direct_aliases() {
    direct(&Postfix { kind: "lmdb" });
}

#[test]
fn mta_postfix_cdb_hands_mail_to_direct_aliases() {
    direct(&Postfix { kind: "cdb" });
}

#[test]
fn mta_sendmail_hands_mail_to_direct_aliases() {
    direct(&Sendmail);
}

#[test]
fn mta_exim_hands_mail_to_direct_aliases() {
    direct(&Exim);
}

#[test]
fn mta_opensmtpd_file_hands_mail_to_direct_aliases() {
    direct(&OpenSmtpd { table: "file" });
}

#[test]
fn mta_opensmtpd_db_hands_mail_to_direct_aliases() {
    direct(&OpenSmtpd { table: "db" });
}

#[test]
fn mta_postfix_lmdb_follows_lists_from_tree_to_tree() {
    moves(&Postfix { kind: "lmdb" });
}

#[test]
fn mta_postfix_cdb_follows_lists_from_tree_to_tree() {
    moves(&Postfix { kind: "cdb" });
}

#[test]
fn mta_sendmail_follows_lists_from_tree_to_tree() {
    moves(&Sendmail);
}

#[test]
fn mta_exim_follows_lists_from_tree_to_tree() {
    moves(&Exim);
}

#[test]
fn mta_opensmtpd_file_follows_lists_from_tree_to_tree() {
    moves(&OpenSmtpd { table: "file" });
}

#[test]
fn mta_opensmtpd_db_follows_lists_from_tree_to_tree() {
    moves(&OpenSmtpd { table: "db" });
}

/// Sendmail with FEATURE(smrsh): the directory of a command counts for nothing, and what has
/// no link bounces.
#[test]
fn mta_sendmail_with_smrsh_needs_a_link() {
    let machine = Machine::with(&Sendmail, &LISTS);
    machine.expect("mv /etc/mail/smrsh.cf /etc/mail/sendmail.cf");
    let pid = machine.expect("head -n 1 /run/sendmail/mta/sendmail.pid");
    machine.expect(&format!("kill {}", pid.trim_end()));
    machine.expect("/usr/libexec/sendmail/sendmail -Am -L sm-mta -bd");
    machine.expect(&format!("ln -s {DIRECT} /etc/mail/smrsh/mailman"));
    machine.expect("mm-parity init --current a");
    let (_, got) = machine.send_and_take("toylist", &message("direct"));
    assert_eq!(got.argv, ["/etc/mail/smrsh/mailman", "post", "toylist"]);

    println!("| ==== without a link nothing is adopted");
    let aliases = fs::read(machine.path("/etc/aliases")).unwrap();
    let output = machine.run("mm-aliases adopt");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(
        said.contains("ln -s"),
        "it does not say what to type: {said}"
    );
    assert_eq!(fs::read(machine.path("/etc/aliases")).unwrap(), aliases);

    machine.expect("/usr/local/sbin/smrsh-link");
    machine.expect("mm-aliases adopt");
    check(&machine, "adopted", DELIVER, "a");
    machine.expect("mm-parity upgrade toylist");
    check(&machine, "upgraded", DELIVER, "b");
    machine.expect("rm /etc/mail/smrsh/mm-deliver");
    let output = machine.run("mm-parity check");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("smrsh"), "{said}");
    machine.expect_no_bounce();
}
