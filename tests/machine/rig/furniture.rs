//! What stands in a machine: our programs, two trees, their lists, and the aliases of an
//! admin who has never heard of us.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespace::{set_mode, source};
use super::{Agent, Machine};

/// The ten addresses of a Mailman 2.1 list and the word that each hands to its program.
pub(crate) const VERBS: [(&str, &str); 10] = [
    ("", "post"),
    ("-admin", "admin"),
    ("-bounces", "bounces"),
    ("-confirm", "confirm"),
    ("-join", "join"),
    ("-leave", "leave"),
    ("-owner", "owner"),
    ("-request", "request"),
    ("-subscribe", "subscribe"),
    ("-unsubscribe", "unsubscribe"),
];
const SITE: &str = r#"state = "/var/lib/mm-deliver"
owner = "root"
group = "list"

[trees.a]
root = "/srv/mailman/a"
profile = "mailman2"
queues = "/srv/mailman/a/qfiles"
runners = "none"

[trees.b]
root = "/srv/mailman/b"
profile = "mailman2"
queues = "/srv/mailman/b/qfiles"
runners = "none"

[data]
root = "/srv/mailman/var"

[aliases]
files = ["/etc/aliases"]
mta = "MTA"

[deliver]
program = "/usr/lib/mm-deliver/mm-deliver"
users = ["USER"]
"#;

/// Our programs, and where cargo built them.
const PROGRAMS: [(&str, &str); 6] = [
    ("mm-deliver", env!("CARGO_BIN_EXE_mm-deliver")),
    ("mm-guard", env!("CARGO_BIN_EXE_mm-guard")),
    ("mm-lmtp", env!("CARGO_BIN_EXE_mm-lmtp")),
    ("mm-cgi", env!("CARGO_BIN_EXE_mm-cgi")),
    ("mm-parity", env!("CARGO_BIN_EXE_mm-parity")),
    ("mm-aliases", env!("CARGO_BIN_EXE_mm-aliases")),
];

/// Puts our programs, two trees, their lists and the aliases of an admin who has never heard
/// of us into the machine.
pub(super) fn install(run: &Path, agent: &dyn Agent, lists: &[&str]) {
    let site = SITE
        .replace("MTA", agent.name())
        .replace("USER", agent.user());
    let user = account(run, agent.user()).0;
    programs(run);
    put(
        &run.join("etc/mm-deliver/site.toml"),
        site.as_bytes(),
        0o644,
    );
    let mailman = run.join("srv/mailman");
    for (tree, release) in [("a", "2.1.39"), ("b", "2.1.40")] {
        let root = mailman.join(tree);
        let version = format!("VERSION = \"{release}\"\n");
        put(&root.join("Mailman/Version.py"), version.as_bytes(), 0o644);
        fs::create_dir(root.join("qfiles")).unwrap();
        let spool = root.join("spool");
        fs::create_dir(&spool).unwrap();
        chown(&spool, Some(user), None).unwrap();
        let program = root.join("mail/mailman");
        fs::create_dir(root.join("mail")).unwrap();
        let status = Command::new("gcc")
            .args(["-O2", "-Wall", "-Werror", "-static", "-o"])
            .arg(&program)
            .arg(format!("-DSPOOL=\"/srv/mailman/{tree}/spool\""))
            .arg(source("tree.c"))
            .status();
        assert!(status.unwrap().success(), "gcc failed");
        set_mode(&program, 0o755);
    }
    let mut aliases =
        String::from("# see aliases(5)\npostmaster:    root\nroot:          sender\n");
    for list in lists {
        // A pickle as far as anybody looks: the key data_version, then 112.
        let pickle = b"}q\x01(U\x0cdata_versionq\x02Kpu.";
        let config = mailman.join("var/lists").join(list).join("config.pck");
        put(&config, pickle, 0o660);
        aliases += &format!("\n## {list} mailing list\n");
        for (suffix, verb) in VERBS {
            let name = format!("{list}{suffix}:");
            aliases += &format!("{name:<24} \"|/srv/mailman/a/mail/mailman {verb} {list}\"\n");
        }
    }
    put(&run.join("etc/aliases"), aliases.as_bytes(), 0o644);
}

/// Puts our programs into the machine.
pub(crate) fn programs(run: &Path) {
    for (name, built) in PROGRAMS {
        let bytes = fs::read(program(name, built)).unwrap();
        put(&run.join("programs").join(name), &bytes, 0o755);
    }
}

/// Writes a file, its directories with it.
pub(crate) fn put(path: &Path, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    set_mode(path, mode);
}

/// A program of ours as it is shipped or released, where `tests/run` built it so; else as cargo
/// built it for this test.
fn program(name: &str, built: &str) -> PathBuf {
    let directory = match name {
        "mm-parity" | "mm-aliases" => "MM_RELEASE_DIR",
        _ => "MM_HOT_DIR",
    };
    match std::env::var_os(directory) {
        Some(directory) => PathBuf::from(directory).join(name),
        None => {
            if directory == "MM_HOT_DIR" {
                println!("{directory} is not set: {name} as cargo built it, not as it is shipped");
            }
            built.into()
        }
    }
}

/// mm-deliver, as [`program`] finds it.
pub(crate) fn deliver_program() -> PathBuf {
    program("mm-deliver", env!("CARGO_BIN_EXE_mm-deliver"))
}

/// The numbers of a user of the machine and of its group.
pub(crate) fn account(run: &Path, name: &str) -> (u32, u32) {
    let accounts = fs::read_to_string(run.join("etc/passwd")).unwrap();
    let begin = format!("{name}:");
    let line = accounts.lines().find(|line| line.starts_with(&begin));
    let mut numbers = line.unwrap().split(':').skip(2).map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

impl Machine {
    /// Whom the MTA runs pipes as: user and group.
    pub(crate) fn pipe_user(&self) -> (u32, u32) {
        account(&self.run, self.agent.user())
    }
}
