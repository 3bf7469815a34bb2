//! Mailman 3's lists by mm-deliver and mm-lmtp: posts, what is asked by mail, and what comes back
//! reach the release that the list is on.

use super::mailman3::{LISTS, Mailman3};
use super::post;
use super::sink::Mail;
use crate::rig::{HOST, programs, put, sender};

const SITE: &str = r#"[trees.a]
root = "/opt/mailman3/a"
profile = "mailman3"
data = "/srv/mailman3/a/var"
domain = "DOMAIN"
lmtp = "127.0.0.1:PORT_A"

[trees.b]
root = "/opt/mailman3/b"
profile = "mailman3"
data = "/srv/mailman3/b/var"
domain = "DOMAIN"
lmtp = "127.0.0.1:PORT_B"

[aliases]
files = ["/etc/aliases"]
mta = "postfix"

[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["nobody"]
"#;
const WHO: &str = "newcomer@member.example";

/// Both releases, and every list on tree a by way of mm-deliver.
pub(crate) fn site() -> Mailman3 {
    let site = Mailman3::new(|run, [a, b]| {
        programs(run);
        let text = SITE.replace("DOMAIN", HOST);
        let text = text.replace("PORT_A", &a.to_string());
        let text = text.replace("PORT_B", &b.to_string());
        put(
            &run.join("etc/mm-deliver/site.toml"),
            text.as_bytes(),
            0o644,
        );
    });
    site.machine.expect("mm-parity init --current a");
    site.machine.expect("mm-aliases sync");
    site.machine.expect("postconf -e recipient_delimiter=+");
    site.machine.expect("postfix reload");
    site
}

/// Posts to both lists; every member must get each post once, from the release that its list is
/// on.
#[track_caller]
fn check_posts(site: &Mailman3, stage: &str, releases: [&str; 2]) {
    for (list, release) in LISTS.into_iter().zip(releases) {
        let subject = format!("{stage} {list}");
        let id = site.machine.send(list, &post(list, &sender(), &subject));
        println!("| {}", site.machine.wait_until_delivered(&id));
        for copy in site.expect_copies(&subject) {
            assert_eq!(copy.field("X-Mailman-Version"), Some(release), "{copy:#?}");
            assert!(copy.text.contains("\nhello\n"), "{copy:#?}");
        }
    }
    let rest = site.sink.rest();
    assert!(rest.is_empty(), "{stage}: more was sent: {rest:#?}");
}

/// Sends an empty message by [`WHO`] to a local part, and takes the answer.
#[track_caller]
fn ask(site: &Mailman3, to: &str) -> Mail {
    let message = post(to, WHO, "please");
    let recipient = format!("{to}@{HOST}");
    println!(
        "| {}",
        site.machine
            .connect()
            .send(WHO, &recipient, &message)
            .unwrap()
    );
    let mut answers = site.sink.take(to, 1, |mail| mail.to == [WHO]);
    assert_eq!(answers.len(), 1, "{to}: {answers:#?}");
    answers.remove(0)
}

/// Subscribes [`WHO`] to toylist: what is asked by mail is confirmed by the address with the
/// token in it.
#[track_caller]
fn subscribe(site: &Mailman3) {
    let question = ask(site, "toylist-join");
    let begin = question.text.find("toylist-confirm+").unwrap();
    let token = question.text[begin..].split('@').next().unwrap();
    println!("| {token}");
    let answer = ask(site, token);
    assert!(
        answer.field("Subject").unwrap().contains("elcome"),
        "{answer:#?}"
    );
}

#[test]
fn managers_mailman3_lists_move_and_their_mail_with_them() {
    let site = site();
    let (a, b) = ("3.3.8", "3.3.10");
    check_posts(&site, "current", [a, a]);
    site.machine.expect("mm-parity upgrade --all");
    site.machine.expect("mm-parity commit");
    check_posts(&site, "committed", [b, b]);
    site.machine.expect("mm-parity commit --revert");
    site.machine.expect("mm-parity downgrade --all");
    check_posts(&site, "all downgraded", [a, a]);
    subscribe(&site);
    site.machine.expect("mm-parity upgrade toylist");
    check_posts(&site, "upgraded", [a, b]);
    // Each release has members of its own: in this one he is none yet.
    subscribe(&site);
    site.machine.expect("mm-parity downgrade toylist");
    site.machine.expect("mm-parity status");
    site.machine.expect_no_bounce();
}

#[test]
fn managers_mailman3_refuses_what_it_has_not_for_good() {
    let site = site();
    let server = format!("127.0.0.1:{}", site.port("a"));
    let message = site.machine.path("/etc/message");
    let text = post("toylist", &sender(), "by hand");
    put(&message, &text, 0o644);
    for (recipient, status) in [
        ("toylist-owner", 0),
        ("toylist-bounces", 0),
        ("toylist-admin", 67),
        ("nosuchlist", 67),
    ] {
        let line = format!("mm-lmtp {server} {recipient}@{HOST}");
        let mut command = site.machine.command(&format!(
            "SENDER={} EXTENSION=anne..b=member.example {line}",
            sender()
        ));
        let input = std::fs::File::open(&message).unwrap();
        let done = command.stdin(input).output().unwrap();
        println!("| {line}: {done:?}");
        assert_eq!(done.status.code(), Some(status), "{line}");
    }
    let refused = site.machine.run("mm-aliases unadopt");
    assert_eq!(refused.status.code(), Some(1));
    let lines = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(lines.lines().count(), 9 * LISTS.len(), "{lines}");
}
