//! Mailman 3 in two releases, each with its own data and LMTP port, and minimal runners.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::post;
use super::sink::{Mail, Sink};
use crate::rig::{HOST, Machine, Postfix, free_port, manager, put, sender};
use crate::smtp;

/// The lists that both trees have.
pub(crate) const LISTS: [&str; 2] = ["quietlist", "toylist"];
/// Their members besides [`sender`], who gets a copy of what he posts.
pub(crate) const MEMBERS: [&str; 2] = ["m1@member.example", "m2@member.example"];
/// Whom everything of Mailman belongs to.
const USER: &str = "list";
/// How long a core may take until it answers, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// A machine with Postfix and both releases, and where their mail goes. Postfix knows nothing of
/// them yet.
pub(crate) struct Mailman3 {
    pub(crate) machine: Machine,
    pub(crate) sink: Sink,
    /// Where each tree takes mail: ports of 127.0.0.1.
    pub(crate) lmtp: [u16; 2],
}

impl Mailman3 {
    /// Both cores are up, and answer.
    pub(crate) fn new(furnish: impl FnOnce(&Path, [u16; 2])) -> Mailman3 {
        let sink = Sink::open();
        let lmtp = [free_port(), free_port()];
        let base = manager("mailman3");
        let machine = Machine::furnished(&Postfix { kind: "hash" }, &base, None, |run| {
            put(
                &run.join("etc/aliases"),
                b"postmaster: root\nroot: sender\n",
                0o644,
            );
            let site = base.join("opt/mailman3/site");
            let copy = Command::new("cp")
                .arg("-a")
                .args([&site, &run.join("srv/mailman3")])
                .status();
            assert!(copy.unwrap().success(), "cannot copy {site:?}");
            for (tree, port) in ["a", "b"].into_iter().zip(lmtp) {
                let file = run.join(format!("srv/mailman3/{tree}/mailman.cfg"));
                let text = fs::read_to_string(&file).unwrap();
                let text = text
                    .replace("LMTP_PORT", &port.to_string())
                    .replace("SMTP_PORT", &sink.port.to_string());
                fs::write(&file, text).unwrap();
            }
            furnish(run, lmtp);
        });
        let mailman3 = Mailman3 {
            machine,
            sink,
            lmtp,
        };
        for tree in ["a", "b"] {
            mailman3.start(tree);
        }
        for tree in ["a", "b"] {
            mailman3.wait_for(tree);
        }
        mailman3
    }

    /// A command line of a tree's `mailman`, as its own user.
    pub(crate) fn mailman(tree: &str, words: &str) -> String {
        format!(
            "setpriv --reuid={USER} --regid={USER} --clear-groups env HOME=/srv/mailman3 \
             /opt/mailman3/{tree}/bin/mailman -C /srv/mailman3/{tree}/mailman.cfg {words}"
        )
    }

    /// Starts a tree's core; it may not answer yet. It keeps its output open, so that nobody
    /// could wait for the end of that.
    pub(crate) fn start(&self, tree: &str) {
        let line = Mailman3::mailman(tree, "start --quiet");
        self.machine.start_daemon(&line);
    }

    /// Waits until a tree's core answers.
    #[track_caller]
    pub(crate) fn wait_for(&self, tree: &str) {
        let start = Instant::now();
        while let Err(error) = smtp::Client::lmtp(self.port(tree)) {
            assert!(
                start.elapsed() < PATIENCE,
                "tree {tree} does not answer: {error}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        println!(
            "| tree {tree} answers after {} ms",
            start.elapsed().as_millis()
        );
    }

    pub(crate) fn port(&self, tree: &str) -> u16 {
        self.lmtp[usize::from(tree == "b")]
    }

    /// Waits for the copies of a post by [`sender`], and asserts that every member got one;
    /// returns them.
    #[track_caller]
    pub(crate) fn expect_copies(&self, subject: &str) -> Vec<Mail> {
        let sender = sender();
        let members = [&MEMBERS[..], &[sender.as_str()]].concat();
        self.sink.expect_copies(subject, &members)
    }
}

/// site.toml with these two trees, whose pipes are run as `user`.
pub(crate) fn site_toml(trees: [&str; 2], user: &str) -> String {
    let [a, b] = trees;
    format!(
        "[trees.a]\n{a}\n[trees.b]\n{b}\n[aliases]\nfiles = [\"/etc/aliases\"]\n\
         mta = \"postfix\"\n[deliver]\nprogram = \"/usr/lib/mm-deliver/mm-deliver\"\n\
         users = [\"{user}\"]\n"
    )
}

/// What site.toml says of a tree of Mailman 3.
pub(crate) fn tree_toml(tree: &str, port: u16) -> String {
    format!(
        "root = \"/opt/mailman3/{tree}\"\nprofile = \"mailman3\"\n\
         data = \"/srv/mailman3/{tree}/var\"\ndomain = \"{HOST}\"\n\
         lmtp = \"127.0.0.1:{port}\"\n"
    )
}

#[test]
fn managers_mailman3_runs_in_two_releases() {
    let site = Mailman3::new(|_, _| {});
    let versions = ["a", "b"].map(|tree| {
        let said = site
            .machine
            .expect(&format!("/opt/mailman3/{tree}/bin/mailman --version"));
        said.split(' ').nth(2).unwrap().to_owned()
    });
    assert_eq!(versions, ["3.3.8", "3.3.10"]);
    for tree in ["a", "b"] {
        let mut client = smtp::Client::lmtp(site.port(tree)).unwrap();
        let unknown = client.ask(&format!("nosuchlist@{HOST}")).unwrap();
        println!("| tree {tree}: {unknown:?}");
        assert_eq!(unknown.code, 550);
        for list in LISTS {
            let subject = format!("tree {tree} {list}");
            let message = post(list, &sender(), &subject);
            let reply = client.send(&sender(), &format!("{list}@{HOST}"), &message);
            println!("| tree {tree}, {list}: {}", reply.unwrap());
            let copies = site.expect_copies(&subject);
            let release = versions[usize::from(tree == "b")].as_str();
            assert_eq!(copies[0].field("X-Mailman-Version"), Some(release));
        }
    }
    let rest = site.sink.rest();
    assert!(rest.is_empty(), "more was sent: {rest:#?}");
}
