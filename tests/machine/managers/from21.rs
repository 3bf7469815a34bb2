//! From Mailman 2.1 to Mailman 3, list by list, by the hooks of contrib: the data file of the one
//! into the database of the other, and what is true of the way back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::deliver;
use super::mailman3::Mailman3;
use crate::guides::{commands, put_examples, typed};
use crate::rig::{HOST, programs, put, sender, source};

/// Lists of Mailman 2.1, each with the language of its data file.
const LISTS: [(&str, &str); 4] = [
    ("toyland", "en"),
    ("realland", "en"),
    // Mailman 3 does not know it, and says so after the list is created.
    ("strange", "xx"),
    // Somebody made a list of this name in Mailman 3.
    ("toylist", "en"),
];
/// Who gets posts, besides [`sender`]. Mailman 2.1 keeps an address that has capitals with them, and
/// so does Mailman 3, but that it writes to them in small letters.
const REGULAR: [&str; 2] = ["ann@member.example", "Bob@Member.example"];
const DIGEST: &str = "Carl@member.example";
/// The old tree's program keeps what it gets.
const WRAPPER: &str = "#!/bin/sh\ncat >>/srv/mailman/a/spool/$2\n";

/// The example of contrib, with the places of this machine.
fn site_toml(port: u16) -> String {
    let example = source("../../contrib/hooks/mailman2-to-mailman3/site.toml");
    let mut text = fs::read_to_string(example).unwrap();
    for (there, here) in [
        (
            "\"/usr/lib/mailman\"",
            "\"/srv/mailman/a\"\nrunners = \"none\"",
        ),
        ("/var/lib/mailman", "/srv/mailman/var"),
        ("\"/opt/mailman3\"", "\"/opt/mailman3/b\""),
        ("/srv/mailman3/", "/srv/mailman3/b/"),
        ("lists.example.org", HOST),
        ("8024", &port.to_string()),
    ] {
        assert!(text.contains(there), "{there}");
        text = text.replace(there, here);
    }
    text
}

fn site() -> Mailman3 {
    let site = Mailman3::new(|run, [_, b]| {
        programs(run);
        put(
            &run.join("etc/mm-deliver/site.toml"),
            site_toml(b).as_bytes(),
            0o644,
        );
        let hook = fs::read(source("../../contrib/hooks/mailman2-to-mailman3/hook")).unwrap();
        put(
            &run.join("etc/mm-deliver/hooks/mailman2-to-mailman3"),
            &hook,
            0o755,
        );
        let tree = run.join("srv/mailman/a");
        put(
            &tree.join("Mailman/Version.py"),
            b"VERSION = \"2.1.39\"\n",
            0o644,
        );
        put(&tree.join("mail/mailman"), WRAPPER.as_bytes(), 0o755);
        let spool = tree.join("spool");
        fs::create_dir(&spool).unwrap();
        fs::set_permissions(&spool, fs::Permissions::from_mode(0o1777)).unwrap();
        fs::create_dir_all(run.join("srv/mailman/var/qfiles")).unwrap();
        for (from, to) in [
            ("managers/from21.py", "from21.py"),
            ("mailman21/Mailman/Pickles.py", "Pickles.py"),
        ] {
            let text = fs::read(source(from)).unwrap();
            put(&run.join("srv/mailman").join(to), &text, 0o644);
        }
        let mut aliases = "postmaster: root\nroot: sender\n".to_owned();
        for (list, _) in LISTS {
            aliases += &format!("{list}: \"|/srv/mailman/a/mail/mailman post {list}\"\n");
        }
        put(&run.join("etc/aliases"), aliases.as_bytes(), 0o644);
    });
    let members = format!("{} {} {DIGEST}", sender(), REGULAR.join(" "));
    for (list, language) in LISTS {
        site.machine.expect(&format!(
            "python3 /srv/mailman/from21.py /srv/mailman/var {list} {language} {members}"
        ));
    }
    site.machine.expect("chown -R list:list /srv/mailman/var");
    site.machine
        .expect("chmod -R o= /srv/mailman/var/lists /srv/mailman/var/data");
    site.machine.expect("mm-parity init --current a");
    site.machine.expect("mm-aliases adopt");
    site
}

/// A post must come to the members of Mailman 3.
#[track_caller]
fn by_mailman3(site: &Mailman3, subject: &str) {
    deliver(&site.machine, "toyland", subject);
    let small = REGULAR.map(str::to_lowercase);
    let sender = sender();
    let members = [small[0].as_str(), small[1].as_str(), sender.as_str()];
    for copy in site.sink.expect_copies(subject, &members) {
        assert_eq!(copy.field("X-Mailman-Version"), Some("3.3.10"), "{copy:#?}");
        assert_eq!(
            copy.field("Subject"),
            Some(&*format!("[toyland] {subject}"))
        );
    }
}

/// A post must come to the program of Mailman 2.1.
#[track_caller]
fn by_mailman21(site: &Mailman3, subject: &str) {
    deliver(&site.machine, "toyland", subject);
    let spool = site.machine.path("/srv/mailman/a/spool/toyland");
    let kept = fs::read_to_string(spool).unwrap();
    assert!(kept.contains(&format!("Subject: {subject}\n")), "{kept}");
}

/// What `mm-parity` says, where it ends with this status.
#[track_caller]
fn parity(site: &Mailman3, words: &str, status: i32) -> String {
    let done = site.machine.run(&format!("mm-parity {words}"));
    assert_eq!(done.status.code(), Some(status), "{words}");
    String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap()
}

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not said: {said}");
    }
}

fn lists(site: &Mailman3) -> String {
    site.machine.expect(&Mailman3::mailman("b", "lists -q"))
}

#[test]
fn managers_from21_lists_go_to_mailman3_with_their_members() {
    let site = site();
    by_mailman21(&site, "before");

    println!("| ==== what README has one type before the first list, and then");
    put_examples(&site.machine);
    let (typed_now, then): (Vec<String>, Vec<String>) = commands("Moving to Mailman 3")
        .into_iter()
        .partition(|line| !line.starts_with("mm-parity "));
    assert_eq!(typed_now.len(), 3);
    for line in &typed_now {
        let line = line
            .replace("/var/lib/mailman", "/srv/mailman/var")
            .replace("toylist", "toyland")
            .replace("lists.example.org", HOST);
        let (status, said) = typed(&site.machine, &line);
        assert_eq!(status, Some(0), "{line}: {said}");
        if line.contains(" look ") {
            says(&said, &["held messages: 1", "the archive, 1 KiB"]);
        }
    }
    assert_eq!(
        then,
        ["mm-parity upgrade toylist", "mm-parity downgrade toylist"]
    );

    println!("| ==== a list goes, with its members, and it is said what stays");
    let said = parity(&site, "upgrade toyland", 0);
    says(
        &said,
        &[
            "4 members are in Mailman 3",
            "stays behind in Mailman 2.1",
            "held messages: 1",
            "subscriptions that wait for a moderator: 1",
            "confirmations that members have not sent: 2",
            "the archive, 1 KiB: mailman-web hyperkitty_import -l toyland@",
            "passwords",
            "upgraded 1 list: toyland",
        ],
    );
    by_mailman3(&site, "upgraded");
    let list = format!("toyland@{HOST}");
    let digest = site
        .machine
        .expect(&Mailman3::mailman("b", &format!("members -d mime {list}")));
    assert_eq!(digest.trim(), DIGEST);
    let owners = site
        .machine
        .expect(&Mailman3::mailman("b", &format!("members -R owner {list}")));
    assert!(
        owners.to_lowercase().contains("owner@member.example"),
        "{owners}"
    );
    says(&parity(&site, "history", 0), &["hooks: 2 ran"]);

    println!("| ==== back: as it was in 2.1 on the day of the switch");
    put(
        &site.machine.path("/srv/mailman/newcomer"),
        b"dora@member.example\n",
        0o644,
    );
    site.machine.expect(&Mailman3::mailman(
        "b",
        &format!("addmembers /srv/mailman/newcomer {list}"),
    ));
    let said = parity(&site, "downgrade toyland", 0);
    says(
        &said,
        &[
            "it stays in Mailman 3",
            "not members in 2.1: dora@member.example",
        ],
    );
    by_mailman21(&site, "downgraded");

    println!("| ==== again: nothing is made twice");
    site.machine.expect(&Mailman3::mailman(
        "b",
        &format!("delmembers -l {list} -m dora@member.example"),
    ));
    says(
        &parity(&site, "upgrade toyland", 0),
        &["as it was imported"],
    );
    let rest = site.sink.rest();
    let to_dora = |mail: &super::sink::Mail| mail.to == ["dora@member.example"];
    assert!(rest.iter().all(to_dora), "{rest:#?}");
    by_mailman3(&site, "upgraded again");
    site.machine.expect_no_bounce();
}

#[test]
fn managers_from21_what_cannot_be_imported_is_taken_back() {
    let site = site();
    let before = lists(&site);

    println!("| ==== an import that fails takes all lists of the command back");
    let said = parity(&site, "upgrade realland strange", 1);
    says(
        &said,
        &[
            "for strange: ended with status 1: failed: mailman import21",
            "Missing language: xx",
            "taken back by its undo hook",
            "realland@mx.lists.example: removed from Mailman 3 again",
        ],
    );
    assert_eq!(lists(&site), before);

    println!("| ==== half a data file");
    let file = site
        .machine
        .path("/srv/mailman/var/lists/realland/config.pck");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    says(
        &parity(&site, "upgrade realland", 1),
        &["it is no whole pickle"],
    );
    // A word of Latin-1 in it: Mailman 3 would drop its letter without a word.

    let at = whole.windows(4).position(|it| it == b"toys").unwrap();
    let latin = [&whole[..at], b"toy\xe4", &whole[at + 4..]].concat();
    fs::write(&file, latin).unwrap();
    says(&parity(&site, "upgrade realland", 1), &["--charset en="]);

    println!("| ==== a list that somebody else made is not touched");
    let said = parity(&site, "upgrade toylist", 1);
    says(
        &said,
        &[
            "toylist@mx.lists.example is in Mailman 3 already",
            "left as it is",
        ],
    );
    assert_eq!(lists(&site), before);

    println!("| ==== a kill while it is imported");
    fs::write(&file, &whole).unwrap();
    site.machine.expect("mm-parity pin toyland");
    let mut upgrade = site.machine.command("mm-parity upgrade realland");
    let mut upgrade = upgrade.stdout(Stdio::null()).spawn().unwrap();
    let mark = format!("/srv/mailman3/b/var/mm-deliver/realland@{HOST}.json");
    let begin = Instant::now();
    while !site.machine.path(&mark).exists() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no mark");
        std::thread::sleep(Duration::from_millis(10));
    }
    // nsenter's child, by its id out here.
    let nsenter = upgrade.id();
    let children = fs::read_to_string(format!("/proc/{nsenter}/task/{nsenter}/children")).unwrap();
    let kill = Command::new("kill")
        .args(["-KILL", children.trim()])
        .status();
    assert!(kill.unwrap().success());
    upgrade.wait().unwrap();
    says(
        &parity(&site, "undo --prepared", 0),
        &["taken back by its undo hook"],
    );
    assert_eq!(lists(&site), before);
    assert!(!site.machine.path(&mark).exists());
    says(
        &parity(&site, "upgrade realland", 0),
        &["4 members are in Mailman 3"],
    );
}
