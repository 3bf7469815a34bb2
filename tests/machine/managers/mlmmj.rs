//! mlmmj in two releases on one shared spool: posts reach the members and sub-addresses their
//! list, whichever release serves it, and what one release began the other one ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;

use super::sink::Sink;
use super::{deliver, post};
use crate::rig::{HOST, Machine, Postfix, account, manager, programs, put};

const LISTS: [&str; 2] = ["quietlist", "toylist"];
pub(crate) const MEMBERS: [&str; 2] = ["m1@member.example", "m2@member.example"];
/// Where the lists are, and whose.
const SPOOL: &str = "/srv/mlmmj";
const USER: &str = "mlmmj";

const SITE: &str = r#"[trees.a]
root = "/opt/mlmmj/a"
profile = "mlmmj"

[trees.b]
root = "/opt/mlmmj/b"
profile = "mlmmj"

[data]
root = "/srv/mlmmj"

[aliases]
files = ["/etc/aliases"]
mta = "postfix"

[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["mlmmj"]
"#;

/// A machine with both releases, and where their mail goes.
pub(crate) struct Site {
    pub(crate) machine: Machine,
    pub(crate) sink: Sink,
}

impl Site {
    /// Lists as mlmmj's own documentation sets them up: an alias each, which Postfix runs as
    /// the owner of the alias map, who owns the lists.
    fn new() -> Site {
        let sink = Sink::open();
        let machine =
            Machine::furnished(&Postfix { kind: "hash" }, &manager("mlmmj"), None, |run| {
                furnish(run, sink.port)
            });
        machine.expect(&format!("chown {USER} /etc/aliases.db"));
        Site { machine, sink }
    }

    /// As [`Site::new`], adopted.
    pub(crate) fn adopted() -> Site {
        let site = Site::new();
        site.machine.expect("mm-parity init --current a");
        site.machine.expect("mm-aliases adopt");
        site
    }

    /// Posts to both lists; each member must get each post once.
    #[track_caller]
    fn check_posts(&self, stage: &str) {
        for list in LISTS {
            let subject = format!("{stage}, {list}");
            deliver(&self.machine, list, &subject);
            self.sink.expect_copies(&subject, &MEMBERS);
        }
        let rest = self.sink.rest();
        assert!(rest.is_empty(), "{stage}: more was sent: {rest:#?}");
    }

    /// Asks toylist for a subscription; returns the local part that confirms it.
    #[track_caller]
    fn ask_to_join(&self, who: &str) -> String {
        let reply = self.write("toylist+subscribe", who);
        println!("| {reply}");
        let local = reply.strip_suffix(&format!("@{HOST}"));
        local
            .unwrap_or_else(|| panic!("not ours: {reply}"))
            .to_owned()
    }

    /// Sends to a sub-address; returns where the answer to `who` wants its replies to go.
    #[track_caller]
    fn write(&self, to: &str, who: &str) -> String {
        let recipient = format!("{to}@{HOST}");
        let message = post(to, who, "please");
        let reply = self
            .machine
            .connect()
            .send(who, &recipient, &message)
            .unwrap();
        println!("| {recipient}: {reply}");
        let answers = self.sink.take(to, 1, |mail| mail.to == [who]);
        assert_eq!(answers.len(), 1, "{to}: {answers:#?}");
        let answer = &answers[0];
        let reply = answer.field("Reply-To").or(answer.field("From"));
        reply.unwrap_or_else(|| panic!("{answer:#?}")).to_owned()
    }

    fn is_member(&self, who: &str) -> bool {
        let file = format!("{SPOOL}/toylist/subscribers.d/{}", &who[..1]);
        let members = fs::read_to_string(self.machine.path(&file)).unwrap_or_default();
        members.lines().any(|line| line == who)
    }

    /// The release that serves toylist, as its own answers tell: 1.3.0 puts the subscriber
    /// behind its cookies.
    #[track_caller]
    fn serves(&self) -> &'static str {
        let cookie = self.ask_to_join("nobody@member.example");
        match cookie.contains("=member.example") {
            true => "1.3.0",
            false => "1.5.2",
        }
    }
}

fn furnish(run: &Path, port: u16) {
    programs(run);
    put(
        &run.join("etc/mm-deliver/site.toml"),
        SITE.as_bytes(),
        0o644,
    );
    let texts = manager("mlmmj").join("opt/mlmmj/a/share/mlmmj/text.skel/en");
    let user = account(run, USER);
    let mut aliases = "postmaster: root\nroot: sender\n".to_owned();
    for list in LISTS {
        let directory = run.join(SPOOL.trim_start_matches('/')).join(list);
        make_list(&directory, &texts, port);
        give_away(&directory, user);
        aliases += &format!("{list}: \"|/opt/mlmmj/a/bin/mlmmj-receive -L {SPOOL}/{list}/\"\n");
    }
    put(&run.join("etc/aliases"), aliases.as_bytes(), 0o644);
}

/// A list as mlmmj-make-ml leaves it, with its members; what it sends goes to this port.
pub(super) fn make_list(directory: &Path, texts: &Path, port: u16) {
    for part in [
        "archive",
        "bounce",
        "digesters.d",
        "incoming",
        "moderation",
        "nomailsubs.d",
        "queue/discarded",
        "requeue",
        "subconf",
        "text",
        "unsubconf",
    ] {
        fs::create_dir_all(directory.join(part)).unwrap();
    }
    let name = directory.file_name().unwrap().to_str().unwrap();
    for (file, text) in [
        ("index", String::new()),
        ("mlmmj.operation.log", String::new()),
        ("control/listaddress", format!("{name}@{HOST}\n")),
        ("control/owner", format!("postmaster@{HOST}\n")),
        ("control/relayhost", "127.0.0.1\n".to_owned()),
        ("control/smtpport", format!("{port}\n")),
        (
            "subscribers.d/m",
            MEMBERS.map(|member| format!("{member}\n")).concat(),
        ),
    ] {
        put(&directory.join(file), text.as_bytes(), 0o644);
    }
    for text in fs::read_dir(texts).unwrap() {
        let text = text.unwrap().path();
        fs::copy(
            &text,
            directory.join("text").join(text.file_name().unwrap()),
        )
        .unwrap();
    }
}

/// Makes everything below somebody's own.
pub(super) fn give_away(path: &Path, (user, group): (u32, u32)) {
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path(), (user, group));
        }
    }
}

/// What a tree's program says of itself.
fn version(machine: &Machine, tree: &str) -> String {
    let said = machine.expect(&format!("/opt/mlmmj/{tree}/bin/mlmmj-receive -V"));
    said.rsplit(' ').next().unwrap().trim().to_owned()
}

#[test]
fn managers_mlmmj_serves_its_lists_from_either_release() {
    let site = Site::new();
    let machine = &site.machine;
    assert_eq!(
        ["a", "b"].map(|tree| version(machine, tree)),
        ["1.3.0", "1.5.2"]
    );
    site.check_posts("direct");
    let aliases = fs::read(machine.path("/etc/aliases")).unwrap();
    machine.expect("mm-parity init --current a");
    for (command, release) in [
        ("mm-aliases adopt", "1.3.0"),
        ("mm-parity upgrade toylist", "1.5.2"),
        ("mm-parity downgrade toylist", "1.3.0"),
        ("mm-parity upgrade --all", "1.5.2"),
        ("mm-parity commit", "1.5.2"),
        ("mm-parity commit --revert", "1.5.2"),
        ("mm-parity downgrade --all", "1.3.0"),
        ("mm-aliases unadopt", "1.3.0"),
    ] {
        println!("| ==== {command}");
        machine.expect(command);
        site.check_posts(command);
        assert_eq!(site.serves(), release, "{command}");
    }
    assert_eq!(fs::read(machine.path("/etc/aliases")).unwrap(), aliases);
    // The posts are numbered in one row, whoever took them.
    for list in LISTS {
        let index = machine.path(&format!("{SPOOL}/{list}/index"));
        assert_eq!(fs::read_to_string(index).unwrap().trim(), "9", "{list}");
    }
    machine.expect_no_bounce();
}

#[test]
fn managers_mlmmj_ends_in_one_release_what_began_in_the_other() {
    let site = Site::adopted();
    for (who, begins, ends) in [
        ("ahead@member.example", "downgrade --all", "upgrade toylist"),
        (
            "back@member.example",
            "upgrade toylist",
            "downgrade toylist",
        ),
    ] {
        println!("| ==== begun after {begins}, ended after {ends}");
        site.machine.expect(&format!("mm-parity {begins}"));
        let confirm = site.ask_to_join(who);
        assert!(confirm.starts_with("toylist+confsub-"), "{confirm}");
        assert!(!site.is_member(who));
        site.machine.expect(&format!("mm-parity {ends}"));
        // What welcomes the member tells where one leaves the list.
        site.write(&confirm, who);
        assert!(site.is_member(who), "{who} is no member");
    }
    let members = [
        &MEMBERS[..],
        &["ahead@member.example", "back@member.example"],
    ]
    .concat();
    deliver(&site.machine, "toylist", "to all");
    site.sink.expect_copies("to all", &members);
    site.machine.expect_no_bounce();
}

/// What stands behind the list's name, as each MTA tells it to a program: the message has no
/// field that would.
#[test]
fn managers_mlmmj_is_told_the_sender_and_the_sub_address() {
    let site = Site::adopted();
    for (command, release) in [("downgrade --all", "1.3.0"), ("upgrade --all", "1.5.2")] {
        site.machine.expect(&format!("mm-parity {command}"));
        for told in ["EXTENSION=help", "DEFAULT=help", "LOCAL_PART_SUFFIX=+help"] {
            println!("| ==== {release}: {told}");
            let who = "asker@member.example";
            let line = format!(
                "setpriv --reuid={USER} --regid={USER} --clear-groups env SENDER={who} {told} \
                 /usr/lib/mm-deliver/mm-deliver post toylist"
            );
            let mut command = site.machine.command(&line);
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            let message = format!("From: <{who}>\nSubject: please\n\nhelp\n");
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(message.as_bytes()).unwrap();
            drop(stdin);
            assert!(child.wait().unwrap().success(), "{told}");
            let answers = site.sink.take(told, 1, |mail| mail.to == [who]);
            assert_eq!(answers.len(), 1, "{told}: {answers:#?}");
        }
    }
    let rest = site.sink.rest();
    assert!(rest.is_empty(), "more was sent: {rest:#?}");
}
