//! The trees' CGI programs are tried as the web server's user before anything changes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::cgi::{furnish, put_programs, without_cgi};
use crate::stage::{LISTS, Stage};

/// Names the web server's user in site.toml: whoever runs the tests, or one that root can become.
fn name_web_user(stage: &Stage) {
    let site = stage.read("site.toml");
    let (_, users) = site.split_once("users = ").unwrap();
    let users = users.lines().next().unwrap();
    stage.write(
        "site.toml",
        format!("{site}[web]\nusers = {users}\n"),
        0o644,
    );
}

#[test]
fn programs_are_tried_as_the_web_servers_user_before_anything_changes() {
    let stage = Stage::bare();
    furnish(&stage);
    name_web_user(&stage);
    let broken = |tree: &str| {
        fs::set_permissions(
            stage.path(&format!("{tree}/cgi-bin/roster")),
            fs::Permissions::from_mode(0o600),
        )
        .unwrap();
    };
    broken("a");
    let reason = "web of tree a: as user ";
    let done = stage.parity(&["init", "--current", "a"]).expect(1);
    done.complains(&[reason, "cgi-bin/roster"]);
    put_programs(&stage, "a");
    stage.parity(&["init", "--current", "a"]).expect(0);
    broken("a");
    let before = stage.read("aliases");
    stage
        .aliases(&["adopt"])
        .expect(1)
        .complains(&["cgi-bin/roster"]);
    assert_eq!(stage.read("aliases"), before);
    put_programs(&stage, "a");
    stage.aliases(&["adopt"]).expect(0);
    broken("b");
    let parity = stage.read("state/parity.toml");
    let done = stage.parity(&["upgrade", "toylist"]).expect(1);
    done.complains(&["web of tree b: as user ", "cgi-bin/roster"]);
    stage
        .parity(&["verify"])
        .expect(1)
        .complains(&["web of tree b: "]);
    assert_eq!(stage.read("state/parity.toml"), parity);
    stage
        .parity(&["check"])
        .expect(1)
        .says(&["WARNING: web: web of tree b: "]);
    put_programs(&stage, "b");
    stage.parity(&["check"]).expect(0);
    // Back it goes, whatever is broken.
    stage.parity(&["upgrade", "toylist"]).expect(0);
    broken("a");
    stage.parity(&["downgrade", "toylist"]).expect(0);
    put_programs(&stage, "a");
    // Another program in the place of mm-cgi would answer all requests.
    fs::remove_file(stage.path("bin/mm-cgi")).unwrap();
    stage.write("bin/mm-cgi", "#!/bin/sh\necho hello\n", 0o755);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&["is not mm-cgi"]);
}

#[test]
fn a_tree_that_has_its_pages_elsewhere_must_say_where() {
    let stage = Stage::bare();
    furnish(&stage);
    stage.parity(&["init", "--current", "a"]).expect(0);
    name_web_user(&stage);
    let user = stage.read("site.toml");
    without_cgi(&stage, "");
    let done = stage.parity(&["upgrade", LISTS[0]]).expect(1);
    done.complains(&["web of tree b: ", "tree \"b\" has no `web`"]);
    stage.write("site.toml", user, 0o644);
    without_cgi(&stage, "web = \"https://l.example.org/{list}/\"\n");
    let done = stage.parity(&["upgrade", LISTS[0]]).expect(1);
    assert!(!done.stderr.contains("web of tree"), "{done:?}");
}
