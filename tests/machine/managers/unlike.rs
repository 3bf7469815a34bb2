//! From mlmmj to Mailman 3, list by list: one site, two list managers.

use std::fs;
use std::process::Command;

use super::mailman3::{Mailman3, site_toml, tree_toml};
use super::{deliver, mlmmj, post};
use crate::rig::{Answer, HOST, account, manager, programs, put, sender};

/// Where mlmmj is, and whose its lists are.
const MLMMJ: &str = "root = \"/srv/mlmmj/a\"\nprofile = \"mlmmj\"\ndata = \"/srv/mlmmj/spool\"\n";
const USER: &str = "list";

/// A site whose lists mlmmj serves, adopted; Mailman 3 has them too.
fn site() -> Mailman3 {
    let site = Mailman3::new(|run, [_, b]| {
        programs(run);
        let text = site_toml([MLMMJ, &tree_toml("b", b)], USER);
        put(
            &run.join("etc/mm-deliver/site.toml"),
            text.as_bytes(),
            0o644,
        );
        let from = manager("mlmmj").join("opt/mlmmj/a");
        fs::create_dir_all(run.join("srv/mlmmj")).unwrap();
        let to = run.join("srv/mlmmj/a");
        let copy = Command::new("cp").arg("-a").args([&from, &to]).status();
        assert!(copy.unwrap().success(), "cannot copy {from:?}");
        let texts = from.join("share/mlmmj/text.skel/en");
        let mut aliases = "postmaster: root\nroot: sender\n".to_owned();
        for list in ["quietlist", "toylist"] {
            let directory = run.join("srv/mlmmj/spool").join(list);
            mlmmj::make_list(&directory, &texts, sink_port(run));
            mlmmj::give_away(&directory, account(run, USER));
            aliases += &format!(
                "{list}: \"|/srv/mlmmj/a/bin/mlmmj-receive -L /srv/mlmmj/spool/{list}/\"\n"
            );
        }
        put(&run.join("etc/aliases"), aliases.as_bytes(), 0o644);
    });
    site.machine
        .expect(&format!("chown {USER} /etc/aliases.db"));
    site.machine.expect("mm-parity init --current a");
    site.machine.expect("mm-aliases adopt");
    site
}

/// Where the machine's list managers send, as Mailman is told.
fn sink_port(run: &std::path::Path) -> u16 {
    let text = fs::read_to_string(run.join("srv/mailman3/b/mailman.cfg")).unwrap();
    let port = text
        .lines()
        .find_map(|line| line.strip_prefix("smtp_port: "));
    port.unwrap().parse().unwrap()
}

/// Sends to an address of toylist, which must bounce as unknown.
#[track_caller]
fn is_unknown(site: &Mailman3, to: &str, bounces: usize) {
    let id = site.machine.send(to, &post(to, &sender(), "nobody there"));
    let line = site
        .machine
        .wait_for(&format!("{id}: to="), "status=bounced");
    println!("| {line}");
    assert!(line.contains("dsn=5.1.1"), "{line}");
    assert_eq!(site.machine.count_log("status=bounced"), bounces);
}

#[test]
fn managers_unlike_mlmmj_gives_its_lists_to_mailman3() {
    let site = site();
    let machine = &site.machine;
    let by_mlmmj = |list: &str, subject: &str| {
        deliver(machine, list, subject);
        let copies = site.sink.expect_copies(subject, &mlmmj::MEMBERS);
        assert_eq!(copies[0].field("X-Mailman-Version"), None, "{subject}");
    };
    let by_mailman = |list: &str, subject: &str| {
        deliver(machine, list, subject);
        let copies = site.expect_copies(subject);
        assert_eq!(
            copies[0].field("X-Mailman-Version"),
            Some("3.3.10"),
            "{subject}"
        );
    };
    by_mlmmj("toylist", "adopted");
    let is_there = |name: &str| matches!(machine.look_up(name), Answer::Found(_));
    assert!(!is_there("toylist-request"));

    println!("| ==== toylist goes ahead, and its addresses come");
    machine.expect("mm-parity upgrade toylist");
    by_mailman("toylist", "upgraded");
    by_mlmmj("quietlist", "stayed");
    assert!(is_there("toylist-request") && !is_there("quietlist-request"));

    println!("| ==== and back: an address of Mailman's alone is no address of mlmmj's");
    machine.expect("mm-parity downgrade toylist");
    by_mlmmj("toylist", "downgraded");
    is_unknown(&site, "toylist-request", 1);

    println!("| ==== all go, and stay");
    machine.expect("mm-parity upgrade --all");
    machine.expect("mm-parity commit");
    by_mailman("quietlist", "committed");
    machine.expect("mm-parity commit --revert");
    by_mailman("toylist", "reverted");
    machine.expect("mm-parity downgrade --all");
    by_mlmmj("quietlist", "back again");
    let reply = machine
        .connect()
        .ask(&format!("nosuchlist@{HOST}"))
        .unwrap();
    assert_eq!(reply.code, 550);
}
