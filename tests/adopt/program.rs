//! Nothing is turned to a program that is not mm-deliver, or that somebody else could change.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::stage::Stage;

const PROGRAM: &str = "bin/mm-deliver";

/// The adoption is refused, and so are init and an upgrade; nothing has changed.
#[track_caller]
fn check(stage: &Stage, told: &str) {
    let before = stage.read("aliases");
    let told = told.replace("{dir}", &stage.dir.display().to_string());
    stage.aliases(&["adopt"]).expect(1).complains(&[
        "cannot adopt: what site.toml names as mm-deliver would not deliver: ",
        &told,
        "hint: install mm-deliver there, root's and mode 0755",
    ]);
    stage
        .parity(&["upgrade", "toylist"])
        .expect(1)
        .complains(&[&told]);
    stage.parity(&["check"]).says(&[&told]);
    assert_eq!(stage.read("aliases"), before);
    fs::remove_file(stage.path("state/parity.toml")).unwrap();
    stage
        .parity(&["init", "--current", "a"])
        .expect(1)
        .complains(&[&told]);
}

#[test]
fn a_program_that_takes_mail_and_says_nothing_or_something_else() {
    for (from, said) in [
        ("/bin/true", "\"\""),
        ("/bin/echo", "\"--site {dir}/site.toml --explain"),
    ] {
        let stage = Stage::new();
        let bytes = fs::read(from).unwrap();
        stage.write(PROGRAM, bytes, 0o755);
        let told = "\"{dir}/bin/mm-deliver\" is not mm-deliver: to --explain it says ";
        check(&stage, &(told.to_owned() + said));
    }
}

#[test]
fn a_program_with_a_set_id_bit() {
    for mode in [0o4755, 0o2755] {
        let stage = Stage::new();
        fs::set_permissions(stage.path(PROGRAM), fs::Permissions::from_mode(mode)).unwrap();
        check(
            &stage,
            "\"{dir}/bin/mm-deliver\": it is set-user-id or set-group-id",
        );
    }
}

#[test]
fn a_program_that_others_could_change() {
    let stage = Stage::new();
    fs::set_permissions(stage.path(PROGRAM), fs::Permissions::from_mode(0o757)).unwrap();
    check(&stage, "\"{dir}/bin/mm-deliver\": everybody may write it");
    let stage = Stage::new();
    fs::set_permissions(stage.path("bin"), fs::Permissions::from_mode(0o777)).unwrap();
    check(&stage, "\"{dir}/bin\": everybody may write it");
    let stage = Stage::new();
    // Only root can give a file away; the owner of a file is judged in any case.
    if chown(stage.path(PROGRAM), Some(1234), None).is_ok() {
        check(
            &stage,
            "\"{dir}/bin/mm-deliver\": it belongs to user 1234, who is not trusted",
        );
    }
}
