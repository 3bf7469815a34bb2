//! Mailman 3's two releases: three cores in three rooms, each on a copy of its tree's database, while the
//! live ones run on.

use std::fs::{self, OpenOptions};
use std::io::Write;

use serde_json::Value;

use crate::listing::Listing;
use crate::managers::lmtp;
use crate::rig::{HOST, sender};

/// What a rehearsal must leave as it is: both releases, their data, and the configuration.
const PLACES: [&str; 3] = ["/srv/mailman3", "/opt/mailman3", "/etc"];

#[test]
fn rehearsal_of_mailman3_plays_both_releases_on_copies_of_their_databases() {
    let site = lmtp::site();
    let machine = &site.machine;
    let path = machine.path("/etc/mm-deliver/site.toml");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let port = site.sink.port;
    let seen = [
        "a/mailman.cfg",
        "a/postfix.cfg",
        "b/mailman.cfg",
        "b/postfix.cfg",
    ];
    let seen = seen
        .map(|name| format!("\"/srv/mailman3/{name}\""))
        .join(", ");
    write!(
        file,
        "[jobs]\nuser = \"list\"\nenvironment.a.MAILMAN_CONFIG_FILE = \"/srv/mailman3/a/mailman.cfg\"\n\
         environment.b.MAILMAN_CONFIG_FILE = \"/srv/mailman3/b/mailman.cfg\"\n\
         [rehearse]\nsmtp = [{port}]\nseen = [{seen}]\n"
    )
    .unwrap();
    machine.expect("mkdir /var/saved");
    for n in 1..=2 {
        let text = format!(
            "From: {}\nTo: toylist@{HOST}\nSubject: saved {n}\nMessage-ID: <saved{n}@member.example>\n\
             Date: Sun, 22 Nov 2026 10:02:00 +0000\n\nhello\n",
            sender()
        );
        fs::write(machine.path(&format!("/var/saved/{n}")), text).unwrap();
    }
    let before = Listing::of(machine, &PLACES);
    let command = "mm-parity rehearse toylist --mail /var/saved --only post --format json";
    let output = machine.run(command);
    assert_eq!(output.status.code(), Some(10));
    let after = Listing::of(machine, &PLACES);
    // The live cores write what they wrote before: their locks and logs.
    let mut other = before.differences(&after);
    other.retain(|line| !line.contains("/var/locks") && !line.contains("/var/logs"));
    assert!(other.is_empty(), "something was written: {other:#?}");
    let sent = site.sink.rest();
    assert!(sent.is_empty(), "something was sent: {sent:#?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = &said["lists"][0];
    println!("| {}: {}", list["verdicts"], list["seconds"]);
    assert_eq!(list["own"], 2, "{list:#}");
    assert_eq!(list["not_judged"], 0, "{list:#}");
    // What 3.3.10 does otherwise: the rules are looked at in another order, and owners are shown them.
    let groups = list["groups"].as_array().unwrap();
    let is_known = |group: &&Value| {
        group["verdict"] == "text differs"
            && group["about"]
                .as_str()
                .unwrap()
                .starts_with("message/rfc822")
    };
    assert!(groups.iter().all(|group| is_known(&group)), "{list:#}");
    assert!(
        groups[0].to_string().contains("X-Mailman-Rule-Misses"),
        "{list:#}"
    );
    assert!(list["verdicts"]["same"].as_u64().unwrap() >= 9, "{list:#}");
}
