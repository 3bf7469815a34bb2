//! The machine of the soak: fifty lists adopted, both trees and the state on one small file
//! system, tree b guarded, and a Postfix that tries again within seconds.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::rig::{Machine, source};

/// Trees and state: what becomes full.
const DISK: &str = "/srv/mailman";
const SITE: &str = "/etc/mm-deliver/site.toml";
/// How long the mail that waits at the end may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A path on the disk, as it is reached from outside.
pub(super) fn on_disk(machine: &Machine, path: &str) -> PathBuf {
    machine.inside(DISK).join(path)
}

/// Makes it. The disk holds the trees, and a record and a line of a log for each message.
pub(super) fn set(lists: &[String], messages: usize) -> Machine {
    let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
    let machine = Machine::new(&lists);
    let size = 12 * 1024 + messages;
    machine.expect("mkdir /srv/disk");
    machine.expect(&format!(
        "mount -t tmpfs -o mode=0755,size={size}k tmpfs /srv/disk"
    ));
    machine.expect("cp -a /srv/mailman/. /srv/disk");
    machine.expect("mount --bind /srv/disk /srv/mailman");
    for (tree, guarded) in [("a", 0), ("b", 1)] {
        let program = on_disk(&machine, &format!("{tree}/mail/mailman"));
        let status = Command::new("gcc")
            .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
            .arg(&program)
            .arg(format!("-DHOME=\"{DISK}/{tree}\""))
            .arg(format!("-DGUARDED={guarded}"))
            .arg(source("soak/program.c"))
            .status();
        assert!(status.unwrap().success(), "gcc failed");
        let handled = on_disk(&machine, &format!("{tree}/handled"));
        File::create(&handled).unwrap();
        let (user, group) = machine.pipe_user();
        chown(&handled, Some(user), Some(group)).unwrap();
        fs::set_permissions(&handled, PermissionsExt::from_mode(0o600)).unwrap();
    }
    edit(
        &machine.path(SITE),
        "/var/lib/mm-deliver",
        &format!("{DISK}/state"),
    );
    // Far above what the program takes when it is slow: one that has written must not be ended.
    edit(
        &machine.path(SITE),
        "[deliver]",
        "[deliver]\ndeadline = \"15s\"",
    );
    for setting in [
        "minimal_backoff_time=2s",
        "maximal_backoff_time=4s",
        "queue_run_delay=2s",
    ] {
        machine.expect(&format!("postconf {setting}"));
    }
    machine.expect("postfix reload");
    machine.expect("mm-parity init --current a");
    machine.expect("mm-aliases adopt");
    let parity = fs::read_to_string(on_disk(&machine, "state/parity.toml")).unwrap();
    assert!(parity.contains("guarded = [\"b\"]"), "{parity}");
    machine
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{path:?}: {text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Waits until Postfix has no message any more, and has it try again what waits.
pub(super) fn drain(machine: &Machine) {
    let start = Instant::now();
    loop {
        machine.agent.retry(machine, None);
        std::thread::sleep(Duration::from_secs(1));
        let queue = machine.agent.queue(machine);
        if queue.is_empty() {
            return;
        }
        if start.elapsed() > PATIENCE {
            machine.show_log("status=deferred");
            panic!("still in the queue:\n{queue}");
        }
    }
}
