//! What still starts programs of a tree that a commit left, where a machine really has it.

use std::fs;

use crate::rig::{Machine, put};

const LISTS: [&str; 2] = ["reallist1", "toylist"];

#[test]
fn postfix_cron_and_units_of_the_old_tree_are_told_after_a_commit() {
    let machine = Machine::new(&LISTS);
    for line in [
        "mm-parity init --current a",
        "mm-aliases adopt",
        "mm-parity upgrade toylist",
    ] {
        machine.expect(line);
    }
    let crontab = machine.path("/etc/cron.d/mailman");
    fs::create_dir_all(crontab.parent().unwrap()).unwrap();
    let lines = "# from the package\n0 12 * * * list /srv/mailman/a/cron/senddigests\n";
    put(&crontab, lines.as_bytes(), 0o644);
    // While lists are on both trees.
    let check = |status: i32| {
        let output = machine.run("mm-parity check");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "{text}");
        text
    };
    let split = check(1);
    assert!(
        split.contains("WARNING: pointing: cron runs programs of tree a itself"),
        "{split}"
    );
    assert!(split.contains("/etc/cron.d/mailman:2"), "{split}");
    let unit = machine.path("/etc/systemd/system/mailman.service");
    let wanted = machine.path("/etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wanted).unwrap();
    let text = "[Service]\nExecStart=/srv/mailman/a/bin/mailmanctl start\n[Install]\nWantedBy=x\n";
    put(&unit, text.as_bytes(), 0o644);
    put(&wanted.join("mailman.service"), text.as_bytes(), 0o644);
    let committed = machine.expect("mm-parity commit --all");
    for text in [&committed, &machine.expect("mm-parity status")] {
        assert!(
            text.contains("tree a has nothing left in its queues: its programs may stop"),
            "{text}"
        );
        assert!(text.contains("\"/etc/cron.d/mailman\" line 2"), "{text}");
        assert!(
            text.contains("\"/etc/systemd/system/mailman.service\" line 2"),
            "{text}"
        );
    }
    let retired = check(1);
    assert!(retired.contains("no list is on it"), "{retired}");
    // As mm-parity runs the jobs, all is well; a unit that is disabled starts nothing.
    put(
        &crontab,
        b"0 12 * * * root mm-parity cron senddigests\n",
        0o644,
    );
    fs::remove_file(wanted.join("mailman.service")).unwrap();
    check(0);
    let status = machine.expect("mm-parity status");
    assert!(!status.contains("note: "), "{status}");
}
