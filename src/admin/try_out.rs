//! `mm-parity try`: the whole thing for a newcomer, without root and without an MTA.
//!
//! Makes a complete site in a directory, then plays a story on it: every command is printed
//! and really run. The site stays, to be played with.
//!
//! **Invariants.** Nothing outside of the directory is touched, but for a link in the
//! temporary directory where the path cannot stand in an alias; nothing is removed that `try`
//! did not make itself.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::accounts;
use crate::admin::outcome::Done;
use crate::admin::terminal;
use crate::config;

/// The file by which `try` knows a directory as its own; it holds the link made for it.
const MARK: &str = ".made-by-mm-parity-try";
/// The programs that a site needs beside each other.
const PROGRAMS: [&str; 4] = ["mm-deliver", "mm-guard", "mm-parity", "mm-aliases"];
const LISTS: [&str; 3] = ["reallist1", "reallist2", "toylist"];
const TREES: [(&str, &str); 2] = [("a", "2.1.39"), ("b", "2.1.40")];
const TAILS: [&str; 9] = [
    "admin",
    "bounces",
    "confirm",
    "join",
    "leave",
    "owner",
    "request",
    "subscribe",
    "unsubscribe",
];
/// What an alias can hold: the MTA's limit, less the longest verb and list of the story.
const LONGEST_BASE: usize = 80;

/// Why the story could not be played: a sentence, and what to do.
pub type Fault = String;

/// Makes the site in `dir` and plays the story.
///
/// # Errors
/// A sentence that says what went wrong, with the path.
pub fn run(dir: &Path) -> Result<Done, Fault> {
    let programs = programs()?;
    let site = Site::make(dir, &programs)?;
    Story { site: &site }.play(dir)?;
    Ok(Done::default())
}

// ---- the programs ----

/// Where the programs stand; built first where cargo runs us.
fn programs() -> Result<PathBuf, Fault> {
    let own =
        std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let beside = own.parent().unwrap_or(Path::new("/")).to_owned();
    if let (Some(cargo), Some(source)) = (
        std::env::var_os("CARGO"),
        std::env::var_os("CARGO_MANIFEST_DIR"),
    ) {
        // `cargo run` builds the default program only, and leaves older siblings as they are.
        say(&format!(
            "building the other programs: {} build --bins\n\n",
            Path::new(&cargo).display()
        ));
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--bins", "--manifest-path"])
            .arg(Path::new(&source).join("Cargo.toml"));
        if beside.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        let done = build
            .status()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        if !done.success() {
            return Err("cargo could not build the other programs".to_owned());
        }
    }
    for name in PROGRAMS {
        if !beside.join(name).is_file() {
            return Err(format!(
                "{:?} is missing; build it with: cargo build --release",
                beside.join(name)
            ));
        }
    }
    Ok(beside)
}

// ---- the site ----

/// A site that stands.
struct Site {
    /// The directory under a path that can stand in an alias.
    base: PathBuf,
    /// The link's directory, if one was needed.
    link: Option<PathBuf>,
}

impl Site {
    fn make(dir: &Path, programs: &Path) -> Result<Site, Fault> {
        clear(dir)?;
        make_dir(dir)?;
        let real = dir
            .canonicalize()
            .map_err(|error| format!("{dir:?}: {error}"))?;
        let text = real.to_string_lossy();
        let fits = text.len() <= LONGEST_BASE && text.bytes().all(config::is_plain);
        let link = if fits { None } else { Some(link_to(&real)?) };
        let base = link.as_ref().map_or(real, |link| link.join("site"));
        let mark = link
            .as_ref()
            .map(|link| link.display().to_string())
            .unwrap_or_default();
        let site = Site { base, link };
        site.write(MARK, &mark, 0o644)?;
        site.fill(programs)?;
        Ok(site)
    }

    fn fill(&self, programs: &Path) -> Result<(), Fault> {
        for name in ["bin", "var", "var/lists"] {
            make_dir(&self.base.join(name))?;
        }
        for (tree, release) in TREES {
            for name in ["", "mail", "Mailman", "qfiles"] {
                make_dir(&self.base.join(tree).join(name))?;
            }
            self.write(
                &format!("{tree}/Mailman/Version.py"),
                &format!("VERSION = \"{release}\"\n"),
                0o644,
            )?;
            self.write(
                &format!("{tree}/mail/mailman"),
                &self.wrapper(tree, release),
                0o755,
            )?;
        }
        for list in LISTS {
            make_dir(&self.base.join("var/lists").join(list))?;
            // As much of Mailman's pickle as says which version its format has.
            self.write(
                &format!("var/lists/{list}/config.pck"),
                "}(U\u{c}data_versionK\u{70}u.",
                0o644,
            )?;
        }
        for name in PROGRAMS {
            let to = self.base.join("bin").join(name);
            fs::copy(programs.join(name), &to).map_err(|error| format!("{to:?}: {error}"))?;
            set_mode(&to, 0o755)?;
        }
        for name in &PROGRAMS[2..] {
            self.write(name, &self.shortcut(name), 0o755)?;
        }
        self.write("aliases", &self.aliases(), 0o644)?;
        self.write(
            "hello.eml",
            "From: alice@example.org\nTo: toylist@example.org\nSubject: hello\n\nHello, list!\n",
            0o644,
        )?;
        self.write("inbox", "", 0o644)?;
        self.write("site.toml", &self.site_toml()?, 0o644)
    }

    /// What stands for a tree's mail wrapper: it takes the message and notes that it did.
    fn wrapper(&self, tree: &str, release: &str) -> String {
        format!(
            "#!/bin/sh\n# Stands for Mailman's wrapper in this toy site: takes the message, notes that in `inbox`.\n\
             subject=$(sed -n 's/^Subject: //p')\n\
             echo \"tree {tree}, release {release}: $1 for $2, subject: $subject\" >> {}\n",
            quote(&self.base.join("inbox"))
        )
    }

    /// `./mm-parity`: the program with this site, to save typing.
    fn shortcut(&self, name: &str) -> String {
        let program = quote(&self.base.join("bin").join(name));
        let site = quote(&self.base.join("site.toml"));
        format!("#!/bin/sh\nexec {program} --site {site} \"$@\"\n")
    }

    /// An aliases file as Mailman 2.1 tells an admin to write it.
    fn aliases(&self) -> String {
        let wrapper = self.base.join("a/mail/mailman");
        let mut text = String::from("# Local aliases\npostmaster: root\nroot: alice\n");
        for list in LISTS {
            let _ = write!(
                text,
                "\n## {list} mailing list\n{list}: \"|{} post {list}\"\n",
                wrapper.display()
            );
            for tail in TAILS {
                let _ = writeln!(
                    text,
                    "{list}-{tail}: \"|{} {tail} {list}\"",
                    wrapper.display()
                );
            }
        }
        text
    }

    fn site_toml(&self) -> Result<String, Fault> {
        let base = self.base.display();
        let own = fs::metadata(&self.base).map_err(|error| format!("{:?}: {error}", self.base))?;
        let (user, group) = (own.uid(), own.gid());
        Ok(format!(
            "# A toy site, made by mm-parity try. contrib/site.toml explains every key.\n\
             state = \"{base}/state\"\nowner = \"{user}\"\ngroup = \"{group}\"\n\n\
             [trees.a]\nroot = \"{base}/a\"\nprofile = \"mailman2\"\n\
             queues = \"{base}/a/qfiles\"\nrunners = \"none\"\n\n\
             [trees.b]\nroot = \"{base}/b\"\nprofile = \"mailman2\"\n\
             queues = \"{base}/b/qfiles\"\nrunners = \"none\"\n\n\
             [data]\nroot = \"{base}/var\"\n\n\
             [aliases]\nfiles = [\"{base}/aliases\"]\nmta = \"none\"\n\n\
             [deliver]\nprogram = \"{base}/bin/mm-deliver\"\nusers = [\"{user}\"]\n"
        ))
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), Fault> {
        let path = self.base.join(name);
        fs::write(&path, text).map_err(|error| format!("{path:?}: {error}"))?;
        set_mode(&path, mode)
    }
}

/// Removes an earlier site of ours; refuses anything else that stands there.
fn clear(dir: &Path) -> Result<(), Fault> {
    let meta = match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{dir:?}: {error}")),
        Ok(meta) => meta,
    };
    if !meta.is_dir() || !is_ours(&meta) || !is_marked(dir) {
        return Err(format!(
            "{dir:?} is there, and mm-parity try did not make it; name another directory"
        ));
    }
    remove_link_to(dir);
    fs::remove_dir_all(dir).map_err(|error| format!("{dir:?}: {error}"))
}

fn is_ours(meta: &fs::Metadata) -> bool {
    meta.uid() == accounts::runner()
}

/// Whether the mark stands there, as a plain file of ours.
fn is_marked(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(MARK)).is_ok_and(|mark| mark.is_file() && is_ours(&mark))
}

/// Removes the link that the mark names, if it is one of ours and leads to `dir`.
fn remove_link_to(dir: &Path) {
    let Ok(link) = fs::read_to_string(dir.join(MARK)) else {
        return;
    };
    let (link, site) = (PathBuf::from(&link), PathBuf::from(link).join("site"));
    let ours = [&link, &site]
        .iter()
        .all(|path| fs::symlink_metadata(path).is_ok_and(|meta| is_ours(&meta)));
    let leads_here = fs::read_link(&site).ok() == dir.canonicalize().ok();
    if ours && leads_here {
        let _ = fs::remove_file(site);
        let _ = fs::remove_dir(link);
    }
}

/// A link to `real` in a directory of our own, under a short and plain path.
fn link_to(real: &Path) -> Result<PathBuf, Fault> {
    let temp = std::env::temp_dir();
    let plain = temp.is_absolute() && temp.to_string_lossy().bytes().all(config::is_plain);
    let temp = if plain && temp.as_os_str().len() < 40 {
        temp
    } else {
        PathBuf::from("/tmp")
    };
    for number in 0..100 {
        let link = temp.join(format!("mm-try-{}-{number}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&link) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(format!("{link:?}: {error}")),
        }
        set_mode(&link, 0o700)?;
        symlink(real, link.join("site")).map_err(|error| format!("{link:?}: {error}"))?;
        return Ok(link);
    }
    Err(format!("{temp:?}: no free name for a link"))
}

fn make_dir(path: &Path) -> Result<(), Fault> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("{path:?}: {error}"));
        }
        _ => {}
    }
    set_mode(path, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Fault> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| format!("{path:?}: {error}"))
}

/// For a shell, in quotes where it needs them.
fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    if text.bytes().all(config::is_plain) {
        return text;
    }
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

// ---- the story ----

/// What is played: a title, and lines for a shell. They end well, but for those that begin
/// with `75`, whose message is kept.
const ACTS: [(&str, &[&str]); 6] = [
    (
        "Today: one tree serves all lists, and each alias pipes straight into it.",
        &[
            "grep '^toylist' aliases | head -n 3",
            "./mm-parity init --current a",
        ],
    ),
    (
        "adopt turns these aliases to mm-deliver, which asks for each message: which tree?",
        &[
            "./mm-aliases adopt",
            "grep '^toylist:' aliases",
            "./mm-aliases deliver toylist < hello.eml",
            "tail -n 1 inbox",
        ],
    ),
    (
        "One list moves to the future tree. The others stay.",
        &[
            "./mm-parity upgrade toylist",
            "./mm-aliases deliver toylist < hello.eml",
            "./mm-aliases deliver reallist1 < hello.eml",
            "tail -n 2 inbox",
            "./mm-parity status",
        ],
    ),
    (
        "And back, whenever you like.",
        &[
            "./mm-parity downgrade toylist",
            "./mm-aliases deliver toylist < hello.eml",
            "tail -n 1 inbox",
        ],
    ),
    (
        "All is well: everything moves, and the system commits.",
        &[
            "./mm-parity upgrade --all",
            "./mm-parity commit",
            "./mm-aliases deliver reallist2 < hello.eml",
            "tail -n 1 inbox",
        ],
    ),
    (
        "What if a tree is missing? The message waits in the MTA's queue; nothing is lost.",
        &[
            "mv b b.away",
            "75 ./mm-aliases deliver toylist < hello.eml",
            "mv b.away b",
            "./mm-aliases deliver toylist < hello.eml",
            "tail -n 1 inbox",
        ],
    ),
];

struct Story<'a> {
    site: &'a Site,
}

impl Story<'_> {
    fn play(&self, dir: &Path) -> Result<(), Fault> {
        self.begin(dir);
        for (title, lines) in ACTS {
            self.act(title, lines)?;
        }
        self.end(dir);
        Ok(())
    }

    fn begin(&self, dir: &Path) {
        let mut text = format!(
            "A site in {dir:?}: trees a (release {}) and b (release {}), lists {}.\n\
             ./mm-parity and ./mm-aliases there are the programs in bin/ with this site; with\n\
             bin/ in PATH what they tell you to type can be typed as it stands.\n",
            TREES[0].1,
            TREES[1].1,
            LISTS.join(", "),
        );
        if let Some(link) = &self.site.link {
            let _ = writeln!(
                text,
                "Its path cannot stand in an alias (too long, or a blank): it is reached through {:?}.",
                link.join("site")
            );
        }
        let _ = write!(text, "\n$ cd {} && PATH=$PWD/bin:$PATH\n", quote(dir));
        say(&text);
    }

    fn end(&self, dir: &Path) {
        say(&format!(
            "\nThe site stays. Go on in it:\n\n    cd {} && PATH=$PWD/bin:$PATH\n    ./mm-parity status --all\n    ./mm-parity history\n    \
             ./mm-parity undo\n    ./mm-aliases trace toylist-request\n    ./mm-parity check\n\n\
             Another `mm-parity try` replaces it; README.md tells the rest.\n",
            quote(dir)
        ));
    }

    /// Prints what happens now, then runs each line and prints what it says.
    fn act(&self, title: &str, lines: &[&str]) -> Result<(), Fault> {
        say(&format!("\n# {title}\n"));
        for &line in lines {
            let (expected, line) = match line.strip_prefix("75 ") {
                Some(line) => (75, line),
                None => (0, line),
            };
            say(&format!("$ {line}\n"));
            let done = Command::new("/bin/sh")
                .args(["-c", line])
                .current_dir(&self.site.base)
                .stdin(Stdio::null())
                .stderr(Stdio::inherit())
                .output()
                .map_err(|error| format!("cannot run /bin/sh: {error}"))?;
            say(&String::from_utf8_lossy(&done.stdout));
            if done.status.code() != Some(expected) {
                return Err(format!(
                    "{line:?} ended with {}, not with {expected}",
                    done.status
                ));
            }
        }
        Ok(())
    }
}

/// Prints; a reader that went away is no fault.
fn say(text: &str) {
    let _ = terminal::out(text);
}
