//! mlmmj's two releases: a list's old text breaks under the newer one, and a rehearsal says so before
//! the list moves.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::Value;

use crate::listing::Listing;
use crate::managers::mlmmj::{MEMBERS, Site};
use crate::rig::HOST;

/// What a rehearsal must leave as it is: data, trees, configuration, and the state.
const PLACES: [&str; 4] = ["/srv/mlmmj", "/opt/mlmmj", "/etc", "/var/lib/mm-deliver"];

fn site() -> Site {
    let site = Site::adopted();
    let path = site.machine.path("/etc/mm-deliver/site.toml");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    write!(
        file,
        "\n[rehearse]\nsmtp = [{}]\ndomain = \"{HOST}\"\n",
        site.sink.port
    )
    .unwrap();
    site
}

#[test]
fn rehearsal_of_mlmmj_finds_the_old_text_that_the_newer_release_sends_as_it_stands() {
    let site = site();
    let machine = &site.machine;
    machine.expect("mkdir /var/saved");
    for (n, from) in MEMBERS.iter().enumerate() {
        let text = format!(
            "From: {from}\nTo: toylist@{HOST}\nSubject: saved {n}\nDate: Sun, 22 Nov 2026 10:02:00 +0000\n\
             Message-ID: <saved{n}@member.example>\n\nhello\n"
        );
        std::fs::write(machine.path(&format!("/var/saved/{n}")), text).unwrap();
    }
    let before = Listing::of(machine, &PLACES);
    let output =
        machine.run("mm-parity rehearse toylist --mail /var/saved --report /var/report.html");
    println!(
        "| {}",
        String::from_utf8_lossy(&output.stdout).replace('\n', "\n| ")
    );
    println!("| {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(10));
    let json = machine.run("mm-parity rehearse toylist --mail /var/saved --format json");
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    println!("| {json:#}");
    assert!(
        Listing::of(machine, &PLACES) == before,
        "something was written"
    );
    assert!(site.sink.rest().is_empty(), "something was sent");
}
