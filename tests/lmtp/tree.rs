//! Lists on a tree that takes mail by LMTP: delivered, guarded, traced, kept in line, and not
//! unadopted.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::stage::{LISTS, Stage, TAILS};

/// A stage whose tree b is a Mailman 3 that answers at `server`; toylist is on it.
fn stage(server: &str) -> Stage {
    let stage = Stage::bare();
    let package = "b/lib/python3.11/site-packages/mailman";
    stage.make_dir(package);
    let text = "__version__ = '3.3.10'\nVERSION = __version__\nCODENAME = 'Tom Sawyer'\n";
    stage.write(&format!("{package}/version.py"), text, 0o644);
    for list in LISTS {
        stage.make_dir(&format!("var3/lists/{list}.lists.example.org"));
    }
    let site = stage.read("site.toml");
    let (before, after) = site.split_once("[trees.b]").unwrap();
    let mut after = after.replacen("mailman2", "mailman3", 1);
    let data = stage.path("var3");
    let more = format!(
        "profile = \"mailman3\"\ndata = {data:?}\ndomain = \"lists.example.org\"\nlmtp = \"{server}\""
    );
    after = after.replacen("profile = \"mailman3\"", &more, 1);
    stage.write("site.toml", format!("{before}[trees.b]{after}"), 0o644);
    stage.hand_parity(&["toylist"], &[]);
    stage
}

/// `mm-deliver VERB LIST` as an MTA runs it that says who sends, and what stands behind the `+`.
fn deliver(stage: &Stage, verb: &str, list: &str, tail: &str) -> Done {
    let mut command = stage.command("mm-deliver", &[verb, list]);
    command
        .env("SENDER", "al@example.org")
        .env("EXTENSION", tail);
    stage.run(command, MESSAGE)
}

#[test]
fn a_list_on_such_a_tree_gets_its_mail_by_lmtp() {
    for (verb, tail, wanted) in [
        ("post", "", "toylist"),
        (
            "bounces",
            "anne=example.com",
            "toylist-bounces+anne=example.com",
        ),
        (
            "confirm",
            "0123456789abcdef",
            "toylist-confirm+0123456789abcdef",
        ),
        ("join", "", "toylist-join"),
        ("leave", "", "toylist-leave"),
        ("owner", "", "toylist-owner"),
        ("request", "", "toylist-request"),
        ("subscribe", "", "toylist-subscribe"),
        ("unsubscribe", "x y", "toylist-unsubscribe"),
    ] {
        let (address, server) = serve("none", Act::Close);
        let stage = stage(&address);
        ends(&deliver(&stage, verb, "ToyList", tail), 0, verb);
        let seen = server.join().unwrap();
        assert_eq!(
            seen.commands[2],
            format!("RCPT TO:<{wanted}@lists.example.org>\r\n")
        );
        assert_eq!(seen.message.unwrap(), RECEIVED, "{verb}");
        // Nothing but this list has moved.
        deliver(&stage, verb, "reallist1", tail).expect(0);
        assert_eq!(stage.ran()[0].tree, "a");
    }
}

#[test]
fn an_address_that_only_the_other_tree_has_does_not_exist() {
    let stage = stage("127.0.0.1:9");
    let done = deliver(&stage, "admin", "toylist", "").complains(&["5.1.1 mm-deliver: "]);
    assert_eq!(done.status, Some(67));
}

#[test]
fn what_a_server_refuses_for_good_waits_while_the_tree_is_guarded() {
    for (guarded, status) in [(false, 67), (true, 75)] {
        let (address, server) = serve("RCPT", say("550 no\r\n"));
        let stage = stage(&address);
        let parity = stage.read("state/parity.toml");
        let names = if guarded {
            "guarded = [\"b\"]"
        } else {
            "guarded = []"
        };
        stage.write(
            "state/parity.toml",
            parity.replace("guarded = []", names),
            0o644,
        );
        let done = deliver(&stage, "post", "toylist", "");
        assert_eq!(done.status, Some(status), "{done:#?}");
        server.join().unwrap();
    }
}

#[test]
fn explain_tells_server_and_recipient() {
    let stage = stage("127.0.0.1:8024");
    let done = stage
        .deliver(&["--explain", "bounces", "toylist"], b"")
        .expect(0);
    let lmtp = format!("{:?} \"127.0.0.1:8024\"", stage.path("bin/mm-lmtp"));
    done.says(&[
        "tree         b (future)",
        &lmtp,
        "\"toylist-bounces@lists.example.org\"",
    ]);
}

#[test]
fn mail_waits_without_a_server_named_or_a_program_to_be_trusted() {
    let stage = stage("127.0.0.1:8024");
    let program = stage.path("bin/mm-lmtp");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o757)).unwrap();
    ends_waiting(&deliver(&stage, "post", "toylist", ""));
    stage
        .deliver(&["--explain", "post", "toylist"], b"")
        .expect(75)
        .complains(&["mm-lmtp"]);
    fs::remove_file(program).unwrap();
    ends_waiting(&deliver(&stage, "post", "toylist", ""));
    let site = stage.read("site.toml").replace("lmtp = ", "#lmtp = ");
    stage.write("site.toml", site, 0o644);
    ends_waiting(&deliver(&stage, "post", "toylist", ""));
    let done = stage
        .deliver(&["--explain", "post", "toylist"], b"")
        .expect(75);
    done.complains(&["tree \"b\" has no `lmtp`, and its profile asks for it"]);
    // The other tree's lists know nothing of that.
    deliver(&stage, "post", "reallist1", "").expect(0);
}

#[track_caller]
fn ends_waiting(done: &Done) {
    assert_eq!(done.status, Some(75), "{done:#?}");
    assert!(done.stderr.starts_with("4.3.0 mm-deliver: "), "{done:#?}");
}

/// Tree b is the current one, and every list has its addresses.
fn committed() -> Stage {
    let stage = stage("127.0.0.1:8024");
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage.write("aliases", "postmaster: root\n", 0o644);
    stage
        .parity(&["init", "--current", "b"])
        .expect(0)
        .says(&["3.3.10"]);
    stage.aliases(&["sync"]).expect(0);
    stage
}

#[test]
fn sync_adds_the_addresses_of_every_list_and_none_that_the_tree_has_not() {
    let stage = committed();
    let aliases = stage.read("aliases");
    for list in LISTS {
        for tail in TAILS {
            let entry = format!("\n{list}-{tail}: \"|");
            assert_eq!(
                aliases.contains(&entry),
                tail != "admin",
                "{entry}:\n{aliases}"
            );
        }
    }
    assert_eq!(aliases.matches("/mm-deliver ").count(), 9 * LISTS.len());
    let done = stage.aliases(&["trace", "toylist-owner"]).expect(0);
    done.says(&["mm-lmtp\" \"127.0.0.1:8024\" \"toylist-owner@lists.example.org\""]);
    stage.aliases(&["check"]).expect(0);
}

#[test]
fn a_directory_of_another_domain_is_no_list_that_could_be_named() {
    let stage = committed();
    stage.make_dir("var3/lists/toy.list.other.example");
    let done = stage.aliases(&["sync"]);
    assert_eq!(done.status, Some(1));
    done.complains(&["toy.list.other.example", "another domain"]);
}

#[test]
fn two_releases_in_one_tree_are_none() {
    let stage = committed();
    stage.make_dir("b/lib/python3.12/site-packages/mailman");
    stage.write(
        "b/lib/python3.12/site-packages/mailman/version.py",
        "VERSION = '3'\n",
        0o644,
    );
    let done = stage.parity(&["check"]);
    assert_eq!(done.status, Some(1), "{done:#?}");
    done.says(&["python3.11", "python3.12", "one is expected"]);
}

#[test]
fn unadopt_prints_what_the_mta_would_have_to_be_told() {
    let stage = committed();
    let before = stage.read("aliases");
    let done = stage.aliases(&["unadopt", "toylist"]);
    assert_eq!(done.status, Some(1), "{done:#?}");
    assert_eq!(done.stdout.lines().count(), 9, "{done:#?}");
    let done = done.says(&[
        "toylist@lists.example.org\tlmtp:[127.0.0.1]:8024\n",
        "toylist-bounces@lists.example.org\tlmtp:[127.0.0.1]:8024\n",
    ]);
    done.complains(&[
        "cannot unadopt: tree b takes mail by LMTP",
        "hint: ",
        "transport_maps",
    ]);
    assert_eq!(stage.read("aliases"), before);
}

#[test]
fn a_list_goes_from_one_list_manager_to_the_other_and_back() {
    let (address, server) = serve("none", Act::Close);
    let stage = stage(&address);
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage.parity(&["init", "--current", "a"]).expect(0);
    stage.aliases(&["adopt"]).expect(0);
    stage.parity(&["upgrade", "toylist"]).expect(0);
    ends(&deliver(&stage, "post", "toylist", ""), 0, "upgraded");
    assert_eq!(server.join().unwrap().message.unwrap(), RECEIVED);
    stage.parity(&["downgrade", "toylist"]).expect(0);
    deliver(&stage, "post", "toylist", "").expect(0);
    assert_eq!(stage.ran()[0].tree, "a");
    // Back to what stood there before us.
    stage.aliases(&["unadopt"]).expect(0);
    assert!(!stage.read("aliases").contains("mm-deliver"));
}
