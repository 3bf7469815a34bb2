//! mlmmj's two releases: a list's old text breaks under the newer one, and a rehearsal says so before
//! the list moves.

use std::fs::{self, OpenOptions};
use std::io::Write;

use serde_json::Value;

use crate::listing::Listing;
use crate::managers::mlmmj::{MEMBERS, Site};
use crate::rig::{HOST, Machine};

/// What a rehearsal must leave as it is: data, trees, configuration.
const PLACES: [&str; 3] = ["/srv/mlmmj", "/opt/mlmmj", "/etc"];

fn site() -> Site {
    let site = Site::adopted();
    let path = site.machine.path("/etc/mm-deliver/site.toml");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let port = site.sink.port;
    write!(file, "\n[rehearse]\nsmtp = [{port}]\ndomain = \"{HOST}\"\n").unwrap();
    site
}

/// A post of each member, saved in a directory.
fn save(machine: &Machine, directory: &str) {
    for (n, from) in MEMBERS.iter().enumerate() {
        let text = format!(
            "From: {from}\nTo: toylist@{HOST}\nSubject: saved {n}\nMessage-ID: <saved{n}@member.example>\n\
             Date: Sun, 22 Nov 2026 10:02:00 +0000\n\nhello\n"
        );
        fs::write(machine.path(&format!("{directory}/{}", n + 1)), text).unwrap();
    }
}

#[test]
fn rehearsal_of_mlmmj_finds_the_old_text_that_the_newer_release_sends_as_it_stands() {
    let site = site();
    let machine = &site.machine;
    machine.expect("mkdir /var/saved");
    save(machine, "/var/saved");
    let before = Listing::of(machine, &PLACES);
    let command =
        "mm-parity rehearse toylist --mail /var/saved --report /var/report.html --format json";
    let output = machine.run(command);
    assert_eq!(output.status.code(), Some(10));
    let after = Listing::of(machine, &PLACES);
    assert!(after == before, "something was written");
    let sent = site.sink.rest();
    assert!(sent.is_empty(), "something was sent: {sent:#?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = &said["lists"][0];
    assert_eq!(list["own"], 2, "{list:#}");
    let groups = list["groups"].as_array().unwrap();
    let text = groups
        .iter()
        .find(|group| group["verdict"] == "text differs");
    let example = &text.unwrap()["examples"][0];
    assert_eq!(example["message"], "built in: subscribe");
    let [old, new] = ["old", "new"].map(|side| example[side].as_str().unwrap());
    assert!(new.contains("<$confaddr$>"), "{new}");
    assert!(old.contains("toylist+confsub-"), "{old}");
    // All but the request whose text it is, and what else 1.5 does otherwise.
    assert!(list["verdicts"]["same"].as_u64().unwrap() >= 20, "{list:#}");
    let page = fs::read_to_string(machine.path("/var/report.html")).unwrap();
    assert!(page.contains("$confaddr$") && !page.contains("<script"));
    let left = machine.expect("ls -A /var/lib/mm-deliver/rehearsals");
    assert_eq!(left, "");
}

#[test]
fn rehearsal_of_one_release_in_two_trees_is_the_same_and_only_then_a_list_moves() {
    let site = site();
    let machine = &site.machine;
    machine.expect("cp -a /opt/mlmmj/a /srv/other");
    machine.expect("sed -i s:/opt/mlmmj/b:/srv/other: /etc/mm-deliver/site.toml");
    machine.expect("mm-parity verify");
    // No mail of the list's own: nothing moves, and the page says why.
    let refused = machine.run("mm-parity upgrade quietlist --rehearse");
    assert_eq!(refused.status.code(), Some(1));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    let page = "/var/lib/mm-deliver/rehearsals/quietlist.html";
    for word in ["no mail of the list's own", page] {
        assert!(words.contains(word), "no {word:?} in {words}");
    }
    assert!(machine.path(page).exists());
    save(machine, "/srv/mlmmj/toylist/archive");
    let moved = machine.expect("mm-parity upgrade toylist --rehearse");
    let same = "rehearsed toylist: 24 messages the same with both releases";
    assert!(moved.contains(same), "{moved}");
    let sent = site.sink.rest();
    assert!(sent.is_empty(), "something was sent: {sent:#?}");
    let status = machine.expect("mm-parity status toylist");
    assert!(status.contains("toylist  future"), "{status}");
}
