//! A machine's root: the base that all are copies of, the directories that one may change,
//! and the namespaces that end with it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The root that every machine with this MTA is a copy of; made if there is none.
pub(crate) fn base(mta: &str) -> PathBuf {
    made_by("root/make.sh", mta)
}

/// The root with Postfix and this list manager, in two releases; made if there is none.
pub(crate) fn manager(name: &str) -> PathBuf {
    made_by("root/manager.sh", name)
}

fn made_by(maker: &str, name: &str) -> PathBuf {
    let output = Command::new(source(maker))
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "there is no root");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
}

/// Makes the directories that this machine may change. Their names begin with our process
/// id; what a process left that is gone is removed.
pub(super) fn lay_out(base: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let machines = base.with_file_name("machines");
    fs::create_dir_all(&machines).unwrap();
    for entry in fs::read_dir(&machines).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let pid = name.split('-').next().unwrap();
        if !Path::new("/proc").join(pid).exists() {
            let _ = remove(&entry.path());
        }
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let run = machines.join(format!("{}-{count}", std::process::id()));
    for directory in ["root", "srv", "programs", "dev", "tmp"] {
        fs::create_dir_all(run.join(directory)).unwrap();
    }
    for directory in [".", "root", "srv", "programs", "dev"] {
        set_mode(&run.join(directory), 0o755);
    }
    set_mode(&run.join("tmp"), 0o1777);
    for directory in ["etc", "run", "var"] {
        copy(&base.join(directory), &run);
    }
    run
}

/// Brings the machine up, with an /etc of this size if one is given; returns what holds it, and the id of its first process as seen
/// from outside.
pub(super) fn enter(base: &Path, run: &Path, size: Option<&str>) -> (Child, u32) {
    // The namespace ends with this thread, whatever ends it.
    let mut namespace = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid"])
        .args(["--propagation", "private", "--fork", "--kill-child=KILL"])
        .arg(source("up.sh"))
        .args([base, run])
        .args(size)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let stdout = namespace.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n", "the machine did not come up");
    let id = namespace.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    (namespace, children.trim().parse().unwrap())
}

/// A file of tests/machine.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/machine")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success(), "cannot copy {from:?} to {to:?}");
}

/// Removes what a machine could change.
pub(super) fn remove(run: &Path) -> std::io::Result<()> {
    // Its namespace may take a moment to end; nothing of it is mounted here.
    for _ in 0..50 {
        if fs::remove_dir_all(run).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    fs::remove_dir_all(run)
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A port of 127.0.0.1 that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
