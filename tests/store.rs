//! The state on disk: who can read it, and who writes it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::stage::Stage;

#[test]
fn the_state_is_readable_by_the_mta_under_any_umask() {
    for umask in ["000", "002", "022", "077", "777"] {
        let stage = Stage::bare();
        let mut shell = Command::new("/bin/sh");
        let site = stage.path("site.toml");
        shell.args(["-c", &format!("umask {umask}; \"$0\" --site \"$1\" init --current a && \"$0\" --site \"$1\" upgrade toylist")]);
        shell.arg(stage.path("bin/mm-parity")).arg(site);
        stage.run(shell, b"").expect(0);
        let mode =
            |name: &str| fs::metadata(stage.path(name)).unwrap().permissions().mode() & 0o7777;
        for (name, wanted) in [
            ("state", 0o755),
            ("state/parity.toml", 0o644),
            ("state/history.jsonl", 0o644),
            ("state/writer", 0o644),
            ("state/adopted.jsonl", 0o644),
        ] {
            assert_eq!(mode(name), wanted, "umask {umask}: {name}");
        }
    }
}

#[test]
fn an_older_parity_put_back_from_a_backup_is_an_edit_by_hand() {
    let stage = Stage::new();
    let backup = fs::read(stage.path("state/parity.toml")).unwrap();
    let time = fs::metadata(stage.path("state/parity.toml"))
        .unwrap()
        .modified()
        .unwrap();
    stage.parity(&["upgrade", "toylist"]).expect(0);
    // With its old mtime, so the seal of that day stands.
    stage.write("state/parity.toml", backup, 0o644);
    let file = fs::File::options()
        .write(true)
        .open(stage.path("state/parity.toml"))
        .unwrap();
    file.set_times(fs::FileTimes::new().set_modified(time))
        .unwrap();
    stage
        .parity(&["pause", "reallist1"])
        .expect(0)
        .says(&["edited by hand"]);
    let generations: Vec<String> = stage
        .read("state/history.jsonl")
        .lines()
        .map(|line| line.split(',').nth(1).unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (1..=4).map(|n| format!("\"generation\":{n}")).collect();
    assert_eq!(generations, expected, "a generation never repeats");
}
