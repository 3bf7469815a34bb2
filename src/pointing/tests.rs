//! What points to a tree, in a root of its own.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::os::unix::fs::symlink;

use super::*;

/// A root with two trees, removed at the end.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let root = std::env::temp_dir().join(format!("mm-pointing-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let root = Root(root);
        for tree in ["a", "b"] {
            fs::create_dir_all(root.0.join("srv").join(tree)).unwrap();
        }
        root
    }

    fn put(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let here = self.0.join("srv").display().to_string();
        fs::write(path, text.replace("/SRV", &here)).unwrap();
    }

    fn target(&self) -> Target {
        let root = self.0.join("srv/a");
        Target {
            real: real(&root),
            root,
            within: Vec::new(),
            programs: None,
        }
    }

    /// Kind, file and line of all that is found.
    fn found(&self, target: &Target) -> Vec<String> {
        let found = look(&self.0, target);
        assert!(found.unread.is_empty(), "{:?}", found.unread);
        let row = |pointer: &Pointer| {
            let file = pointer.file.strip_prefix(&self.0).unwrap().display();
            let line = pointer
                .line
                .map_or(String::new(), |line| format!(":{line}"));
            format!("{} {file}{line}", pointer.kind.word())
        };
        found.pointers.iter().map(row).collect()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn lines_of_crontabs_and_init_scripts_point_to_a_tree_by_any_path_into_it() {
    let root = Root::new("cron");
    assert_eq!(root.found(&root.target()), [""; 0]);
    symlink(root.0.join("srv/a"), root.0.join("srv/link")).unwrap();
    root.put("srv/a/cron/checkdbs", "");
    root.put(
        "etc/crontab",
        "# /SRV/a/x\n0 8 * * * list [ -x /SRV/a/cron/checkdbs ] && x\n",
    );
    root.put(
        "etc/cron.d/mailman",
        "* * * * * list python -S /SRV/link/cron/checkdbs\n",
    );
    root.put("etc/cron.d/mailman.dpkg-old", "* * * * * list /SRV/a/x\n");
    root.put(
        "etc/cron.d/other",
        "* * * * * list /SRV/b/x; /SRV/ab/x; cat /x/SRV/a/x\n",
    );
    root.put("etc/cron.daily/tidy", "#!/bin/sh\nMM=/SRV/a\n");
    root.put(
        "var/spool/cron/crontabs/list",
        "\n\n0 9 * * * \"/SRV/a/cron/disabled\"\n",
    );
    root.put(
        "etc/init.d/mailman",
        "#!/bin/sh\n   # /SRV/a\nDAEMON='/SRV/a/bin/mailmanctl'\n",
    );
    assert_eq!(
        root.found(&root.target()),
        [
            "cron etc/crontab:2",
            "cron etc/cron.d/mailman:1",
            "cron etc/cron.daily/tidy:2",
            "cron var/spool/cron/crontabs/list:3",
            "init etc/init.d/mailman:3",
        ]
    );
}

#[test]
fn a_unit_points_to_a_tree_only_while_it_is_enabled_and_as_the_instance_that_is() {
    let root = Root::new("units");
    let unit = "[Service]\nExecStart=-/SRV/a/bin/mailmanctl start\n[Install]\nWantedBy=x\n";
    root.put("lib/systemd/system/mailman.service", unit);
    root.put(
        "lib/systemd/system/static.service",
        "[Service]\nExecStart=/SRV/a/bin/x\n",
    );
    root.put(
        "etc/systemd/system/runner@.service",
        "[Service]\nExecStart=/SRV/%i/bin/mailmanctl start\n[Install]\nWantedBy=x\n",
    );
    root.put(
        "etc/systemd/system/multi-user.target.wants/runner@b.service",
        "",
    );
    let is_static = "unit lib/systemd/system/static.service:2";
    assert_eq!(root.found(&root.target()), [is_static]);
    root.put(
        "etc/systemd/system/multi-user.target.wants/runner@a.service",
        "",
    );
    root.put(
        "etc/systemd/system/multi-user.target.wants/mailman.service",
        "",
    );
    assert_eq!(
        root.found(&root.target()),
        [
            "unit etc/systemd/system/runner@.service:2",
            "unit lib/systemd/system/mailman.service:2",
            is_static,
        ]
    );
    // What is masked, or hidden by another one, is not started.
    symlink(
        "/dev/null",
        root.0.join("etc/systemd/system/mailman.service"),
    )
    .unwrap();
    root.put(
        "etc/systemd/system/static.service",
        "[Service]\nExecStart=/bin/x\n",
    );
    root.put(
        "etc/systemd/system/static.service.d/x.conf",
        "[Service]\nRoot=/SRV/a\n",
    );
    assert_eq!(
        root.found(&root.target()),
        [
            "unit etc/systemd/system/runner@.service:2",
            "unit etc/systemd/system/static.service.d/x.conf:2",
        ]
    );
}

#[test]
fn a_process_points_to_the_tree_whose_program_it_runs() {
    let root = Root::new("proc");
    root.put(
        "proc/7/cmdline",
        "/usr/bin/python2\0/SRV/a/bin/qrunner\0--runner=All:0:1\0",
    );
    root.put("proc/8/cmdline", "/usr/bin/python2\0/SRV/b/bin/qrunner\0");
    root.put("proc/self/cmdline", "/SRV/a/x\0");
    assert_eq!(root.found(&root.target()), ["process proc/7"]);
}

#[test]
fn in_a_root_that_the_system_shares_the_programs_alone_count() {
    let root = Root::new("shared");
    root.put(
        "etc/crontab",
        "0 8 * * * list /SRV/a/bin/known\n0 8 * * * x /SRV/a/bin/other\n",
    );
    let target = Target {
        programs: Some(BTreeSet::from([root.0.join("srv/a/bin/known")])),
        ..root.target()
    };
    assert_eq!(root.found(&target), ["cron etc/crontab:1"]);
    // Nor is another tree within this one its own.
    let target = Target {
        within: vec![root.0.join("srv/a/bin")],
        ..root.target()
    };
    assert_eq!(root.found(&target), [""; 0]);
}

#[test]
fn what_cannot_be_read_is_told() {
    let root = Root::new("unread");
    root.put("etc/init.d/x", "");
    fs::create_dir_all(root.0.join("etc/crontab")).unwrap();
    let found = cron(&root.0, &root.target());
    assert_eq!(found.unread.len(), 1, "{found:?}");
    assert_eq!(found.unread[0].0, root.0.join("etc/crontab"));
}
