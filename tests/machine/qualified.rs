//! `name@domain:` under the real Sendmail: with a domain of its own it is the name, past mm-deliver,
//! and what adopt, check and a move say of it is so.

use std::fs;

use crate::rig::{HOST, Machine, Sendmail, sender};

const DELIVER: &str = "/usr/lib/mm-deliver/mm-deliver";
const DIRECT: &str = "/srv/mailman/a/mail/mailman";

/// Posts to toylist: `program` must be run, and the mail be in `tree`.
#[track_caller]
fn check(machine: &Machine, program: &str, tree: &str) {
    let from = sender();
    let message = format!("From: {from}\nTo: toylist@{HOST}\nSubject: post\n\nhello\n");
    let (ran, got) = machine.send_and_take("toylist", message.as_bytes());
    assert_eq!(ran, program);
    let mailman = format!("/srv/mailman/{tree}/mail/mailman");
    assert_eq!(got.argv, [mailman.as_str(), "post", "toylist"]);
}

/// `command` must end with `status`, and say this.
#[track_caller]
fn says(machine: &Machine, command: &str, status: i32, told: &str) {
    let output = machine.run(command);
    assert_eq!(output.status.code(), Some(status), "{command}");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains(told), "{command} does not say {told:?}");
}

#[test]
fn mta_sendmail_takes_a_name_with_its_own_domain_and_nothing_turns_it() {
    let machine = Machine::with(&Sendmail, &["toylist"]);
    let aliases = machine.path("/etc/aliases");
    let text = fs::read_to_string(&aliases).unwrap();
    let with_domain = text.replace("\ntoylist:", &format!("\nToyList@{HOST}:"));
    assert_ne!(text, with_domain);
    fs::write(&aliases, with_domain).unwrap();
    machine.rebuild();
    check(&machine, DIRECT, "a");
    machine.expect("mm-parity init --current a");
    says(
        &machine,
        "mm-aliases adopt",
        0,
        "toylist: its name has a domain",
    );
    check(&machine, DIRECT, "a");
    // A warning and no more: the map has a name that no entry has, and is as its text.
    says(
        &machine,
        "mm-aliases check",
        1,
        "with a domain in the name, straight into a tree",
    );
    let map = fs::read(machine.path("/etc/mail/aliases.db")).unwrap();
    says(
        &machine,
        "mm-aliases sync",
        0,
        "toylist: wanted by list toylist, and not added",
    );
    let after = fs::read(machine.path("/etc/mail/aliases.db")).unwrap();
    assert!(map == after, "the map is built once more");
    says(&machine, "mm-parity upgrade toylist", 1, "posts would stay");
    check(&machine, DIRECT, "a");

    println!("| ==== the name alone");
    let text = fs::read_to_string(&aliases).unwrap();
    fs::write(
        &aliases,
        text.replace(&format!("ToyList@{HOST}:"), "toylist:"),
    )
    .unwrap();
    machine.expect("mm-aliases adopt");
    machine.expect("mm-aliases check");
    check(&machine, DELIVER, "a");
    machine.expect("mm-parity upgrade toylist");
    check(&machine, DELIVER, "b");
}
