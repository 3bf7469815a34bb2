//! The power is cut before every call of a change that matters to a disk: text, map and
//! parity.toml are each the old file or the new one, whole, and the same command again
//! finishes the job.
//!
//! The disk is an ext4 file system in a file, mounted with `noauto_da_alloc` and shut down by
//! EXT4_IOC_SHUTDOWN (power.sh): what was not synced is gone, or its name is there and its
//! bytes are not. Where the kernel has no loop devices there is nothing to see, and the test
//! says so by failing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::calls::{Call, calls_after_the_lock};
use crate::rig::{VERBS, base, deliver_program, source};

const LISTS: [&str; 2] = ["reallist1", "toylist"];

/// Takes every byte that is free; once is not enough, for what ext4 sets aside while it writes is
/// free again afterwards.
const FILL: &str = "#!/bin/sh
for round in 1 2 3; do
    sync
    for size in 64k 4k 1; do
        yes | dd of=/etc/filler bs=$size oflag=append conv=notrunc 2>/dev/null
    done
done
sync
! sh -c 'echo x >/etc/more && sync /etc/more' 2>/dev/null || { echo 'the disk is not full' >&2; exit 1; }
rm -f /etc/more
";

/// Everything that is written stands in /etc, which is the file system that is cut off.
const SITE: &str = r#"state = "/etc/mm-state"
owner = "root"
[trees.a]
root = "/etc/mailman/a"
profile = "mailman2"
queues = "/etc/mailman/a/qfiles"
runners = "none"
[trees.b]
root = "/etc/mailman/b"
profile = "mailman2"
queues = "/etc/mailman/b/qfiles"
runners = "none"
[data]
root = "/etc/mailman/var"
[aliases]
files = ["/etc/aliases"]
mta = "postfix"
[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["nobody"]
"#;

/// What the shutdown leaves: see power.sh.
const FLAGS: [(&str, &str); 2] = [("2", "nothing unsynced"), ("1", "names without bytes")];

#[test]
fn power_cut_while_a_list_is_upgraded() {
    cut("mm-parity upgrade toylist", &["mm-parity init --current a"]);
}

#[test]
fn power_cut_while_aliases_are_put_back() {
    cut(
        "mm-aliases unadopt",
        &["mm-parity init --current a", "mm-aliases adopt"],
    );
}

/// As nothing is free, the new parity.toml goes into the spare, time and again.
#[test]
fn power_cut_on_a_full_disk() {
    let before = [
        "mm-parity init --current a",
        "mm-aliases adopt",
        "mm-parity upgrade --all",
        "fill",
        "mm-parity pause reallist1",
        "fill",
        "mm-parity undo",
        "fill",
        "mm-parity downgrade reallist1",
        "fill",
        "mm-parity pause --all",
        "fill",
        "mm-parity undo",
        "fill",
    ];
    cut("mm-parity downgrade toylist", &before);
}

fn cut(command: &str, before: &[&str]) {
    let scene = Scene::new(command, before);
    let mut outcomes = BTreeMap::<String, usize>::new();
    for call in scene.calls.iter().filter(|call| call.changes()) {
        for (flag, meaning) in FLAGS {
            let outcome = scene.cut(command, call, flag);
            *outcomes.entry(format!("{meaning}: {outcome}")).or_default() += 1;
        }
    }
    println!(
        "| ==== {command}: power cut before {} calls, twice each",
        scene.matter()
    );
    println!("| what stood afterwards: {outcomes:?}");
    for (_, meaning) in FLAGS {
        for outcome in ["old", "new"] {
            let key = format!("{meaning}: {outcome}");
            assert!(
                outcomes.contains_key(&key),
                "never seen: {key}: {outcomes:?}"
            );
        }
    }
}

/// A file system before a change, and what stands before and after it.
struct Scene {
    work: PathBuf,
    base: PathBuf,
    calls: Vec<Call>,
    old: Shown,
    new: Shown,
}

/// What a reader can see.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    parity: String,
    aliases: String,
    map: BTreeMap<String, String>,
}

impl Scene {
    fn new(command: &str, before: &[&str]) -> Scene {
        let name = format!("mm-power-{}-{}", std::process::id(), command.len());
        let work = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&work);
        let fill = work.join("fill");
        lay_out(&work, &fill);
        let mut scene = Scene {
            base: base("postfix"),
            work,
            calls: Vec::new(),
            old: Shown::nothing(),
            new: Shown::nothing(),
        };
        let setup = [&["newaliases"], before].concat().join("\n");
        scene.run("make", "before", &[fill.to_str().unwrap(), &setup]);
        scene.reset();
        scene.run("record", "now", &["true"]);
        scene.old = Shown::of(&scene.work.join("out"));
        scene.reset();
        scene.run("record", "now", &[command]);
        scene.new = Shown::of(&scene.work.join("out"));
        assert_ne!(scene.old, scene.new, "{command}: nothing changed");
        let trace = fs::read_to_string(scene.work.join("out/trace")).unwrap();
        scene.calls = calls_after_the_lock(&trace);
        scene
    }

    fn matter(&self) -> usize {
        self.calls.iter().filter(|call| call.changes()).count()
    }

    fn reset(&self) {
        let status = Command::new("cp")
            .args(["--sparse=always", "--reflink=auto"])
            .args([self.work.join("before"), self.work.join("now")])
            .status();
        assert!(status.unwrap().success());
    }

    /// power.sh in a mount namespace of its own, which takes every mount along when it ends.
    fn run(&self, act: &str, image: &str, more: &[&str]) -> Output {
        let output = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child=KILL"])
            .args(["--propagation", "private"])
            .arg(source("power.sh"))
            .arg(act)
            .args([&self.base, &self.work, &self.work.join(image)])
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{act} {more:?}: {output:?}");
        output
    }

    /// Cuts the power once; returns "old", "new", or "between" where some files are new.
    fn cut(&self, command: &str, call: &Call, flag: &str) -> &'static str {
        let inject = format!("{}:signal=KILL:when={}", call.name, call.number);
        let what = format!("{command}: power cut before {inject}, flag {flag}");
        self.reset();
        self.run("cut", "now", &[command, &inject, flag]);
        let after = Shown::of(&self.work.join("cut"));
        let either = |one: &str, old: &str, new: &str| one == old || one == new;
        let (old, new) = (&self.old, &self.new);
        assert!(
            either(&after.parity, &old.parity, &new.parity),
            "{what}: parity.toml is neither old nor new:\n{}",
            after.parity
        );
        assert!(
            either(&after.aliases, &old.aliases, &new.aliases),
            "{what}: the alias file is neither old nor new:\n{}",
            after.aliases
        );
        assert!(
            after.map == old.map || after.map == new.map,
            "{what}: the map is neither old nor new: {:?}",
            after.map
        );
        let finished = Shown::of(&self.work.join("out"));
        assert_eq!(&finished, new, "{what}: after the same command again");
        match &after {
            after if after == new => "new",
            after if after == old => "old",
            _ => "between",
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.work);
    }
}

impl Shown {
    fn nothing() -> Shown {
        Shown {
            parity: String::new(),
            aliases: String::new(),
            map: BTreeMap::new(),
        }
    }

    /// What power.sh wrote down. The time in parity.toml's seal is another in each run, and so
    /// is the map's own.
    fn of(directory: &Path) -> Shown {
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        let parity = read("parity.toml");
        let (seal, rest) = parity.split_once('\n').unwrap();
        let time = seal.split(' ').nth(2).unwrap();
        let map = read("map");
        let map = map
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| !name.starts_with("YP_"))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        for line in read("deliver").lines() {
            assert!(
                line.ends_with(" 0") || line.ends_with(" 75"),
                "mm-deliver: {line}"
            );
        }
        Shown {
            parity: format!("{}\n{rest}", seal.replace(time, "TIME")),
            aliases: read("aliases"),
            map: map.collect(),
        }
    }
}

/// The programs, and what the file system holds beside the /etc of the root.
fn lay_out(work: &Path, fill: &Path) {
    let programs = [
        (deliver_program(), "mm-deliver"),
        (env!("CARGO_BIN_EXE_mm-guard").into(), "mm-guard"),
        (env!("CARGO_BIN_EXE_mm-parity").into(), "mm-parity"),
        (env!("CARGO_BIN_EXE_mm-aliases").into(), "mm-aliases"),
    ];
    for (from, name) in programs {
        put(
            &work.join("programs").join(name),
            &fs::read(from).unwrap(),
            0o755,
        );
    }
    put(&work.join("programs/fill"), FILL.as_bytes(), 0o755);
    put(&fill.join("mm-deliver/site.toml"), SITE.as_bytes(), 0o644);
    for (tree, release) in [("a", "2.1.39"), ("b", "2.1.40")] {
        let root = fill.join("mailman").join(tree);
        let version = format!("VERSION = \"{release}\"\n");
        put(&root.join("Mailman/Version.py"), version.as_bytes(), 0o644);
        fs::create_dir(root.join("qfiles")).unwrap();
        put(
            &root.join("mail/mailman"),
            b"#!/bin/sh\ncat >/dev/null\n",
            0o755,
        );
    }
    let mut aliases = String::from("# see aliases(5)\npostmaster:    root\n");
    for list in LISTS {
        let config = fill.join("mailman/var/lists").join(list).join("config.pck");
        put(&config, b"}q\x01(U\x0cdata_versionq\x02Kpu.", 0o660);
        for (suffix, verb) in VERBS {
            aliases += &format!("{list}{suffix}: \"|/etc/mailman/a/mail/mailman {verb} {list}\"\n");
        }
    }
    put(&fill.join("aliases"), aliases.as_bytes(), 0o644);
    // What the root has as a link would lead out of the file system that is cut off.
    let _ = symlink("/proc/mounts", fill.join("mtab"));
}

fn put(path: &Path, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
