//! Whether the programs run that a list manager needs besides the one that the MTA runs.
//!
//! A process is told by its command line, as the kernel shows it in /proc; a server by taking a
//! connection, which is closed at once.
//!
//! **Invariants.** No signal is sent, no name is looked up, and nothing waits longer than
//! [`PATIENCE`]; but for a path in a command line that ends as a wanted one does and begins otherwise,
//! which is followed to where it leads. Where /proc hides other users' processes, none found is not "none runs".

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::profiles::{Profile, Sign};
use crate::tree::{Runners, Tree};

/// How long an address may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A pid file is a number and a line's end.
const PID_FILE: u64 = 64;
/// No command line is read further than this, in bytes.
const COMMAND: u64 = 64 * 1024;

/// What is seen of a tree's running programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// The tree needs none.
    NotAsked,
    /// All of them run.
    Alive,
    /// These do not.
    Down(Vec<String>),
    /// Of none it is known that it does not run, and of these it is not known that they do.
    Unknown(Vec<String>),
}

impl Life {
    /// `true` or `false`; `None` where it was not asked, or cannot be told.
    pub fn is_alive(&self) -> Option<bool> {
        match self {
            Life::Alive => Some(true),
            Life::Down(_) => Some(false),
            Life::NotAsked | Life::Unknown(_) => None,
        }
    }
}

/// What is seen of the running programs of `tree`.
pub fn life(profile: &Profile, tree: &Tree) -> Life {
    if tree.runners == Runners::None || profile.life().is_empty() {
        return Life::NotAsked;
    }
    let processes = Processes::look();
    let (mut down, mut unknown, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for sign in profile.life() {
        match seen(sign, tree, &processes) {
            Seen::Yes => {}
            Seen::Absent(command) => absent.push(format!("{command:?}")),
            Seen::No(what) => down.push(what),
            Seen::Unknown(what) => unknown.push(what),
        }
    }
    if !absent.is_empty() {
        down.insert(0, format!("no process runs {}", absent.join(", ")));
    }
    match (down.is_empty(), unknown.is_empty()) {
        (true, true) => Life::Alive,
        (true, false) => Life::Unknown(unknown),
        (false, _) => Life::Down(down),
    }
}

/// Of one sign.
#[derive(Debug)]
enum Seen {
    Yes,
    /// No process runs this command.
    Absent(String),
    No(String),
    Unknown(String),
}

fn seen(sign: &Sign, tree: &Tree, processes: &Processes) -> Seen {
    match sign {
        Sign::Process(words) => {
            let wanted = commands(words, tree);
            match &processes.all {
                Ok(all)
                    if all
                        .iter()
                        .any(|line| wanted.iter().any(|words| has(line, words, &tree.root))) =>
                {
                    Seen::Yes
                }
                Ok(_) if processes.are_all => Seen::Absent(tree.expand(words, None)),
                Ok(_) => Seen::Unknown(
                    "this user does not see the processes of others in \"/proc\"".to_owned(),
                ),
                Err(error) => Seen::Unknown(format!("cannot read \"/proc\": {error}")),
            }
        }
        Sign::Pid { file, command } => {
            let path = PathBuf::from(tree.expand(file, None));
            match pid(&path).map(|pid| (pid, pid.and_then(command_of))) {
                Ok((_, Some(line)))
                    if commands(command, tree)
                        .iter()
                        .any(|w| has(&line, w, &tree.root)) =>
                {
                    Seen::Yes
                }
                Ok((Some(pid), None)) if !processes.are_all => {
                    Seen::Unknown(format!("whether process {pid} of {path:?} runs"))
                }
                Ok(_) => Seen::No(format!(
                    "{path:?} names no process {:?} that runs",
                    tree.expand(command, None)
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Seen::No(format!("{path:?} is not there"))
                }
                Err(error) => Seen::Unknown(format!("cannot read {path:?}: {error}")),
            }
        }
        Sign::Listens(address) => listens(address, tree),
    }
}

/// The words, with the tree's root as site.toml has it, and without links.
fn commands(words: &str, tree: &Tree) -> Vec<Vec<String>> {
    let expand = |tree: &Tree| -> Vec<String> {
        let words = words.split_whitespace();
        words.map(|word| tree.expand(word, None)).collect()
    };
    let mut all = vec![expand(tree)];
    if let Ok(root) = fs::canonicalize(&tree.root)
        && root != tree.root
    {
        all.push(expand(&Tree {
            root,
            ..tree.clone()
        }));
    }
    all
}

/// Whether a command line has these words in a row; of the last one its beginning counts.
fn has(line: &[Vec<u8>], words: &[String], root: &Path) -> bool {
    let Some((last, rest)) = words.split_last() else {
        return false;
    };
    line.windows(words.len()).any(|window| {
        let same = window
            .iter()
            .zip(rest)
            .all(|(word, wanted)| word == wanted.as_bytes() || leads_to(word, wanted, root));
        let end = &window[rest.len()];
        same && (end.starts_with(last.as_bytes()) || leads_to(end, last, root))
    })
}

/// Whether a word is the wanted path by another spelling of the tree's root: site.toml has it
/// without links, a command line as the admin typed it. What is below the root is compared by name:
/// two trees may have links to one interpreter. Only a word that ends alike is looked up.
fn leads_to(word: &[u8], wanted: &str, root: &Path) -> bool {
    let path = Path::new(OsStr::from_bytes(word));
    let Ok(rest) = Path::new(wanted).strip_prefix(root) else {
        return false;
    };
    let Some(front) = path.ancestors().nth(rest.components().count()) else {
        return false;
    };
    path.is_absolute()
        && path.ends_with(rest)
        && matches!((fs::canonicalize(front), fs::canonicalize(root)), (Ok(a), Ok(b)) if a == b)
}

/// The command lines of all processes that can be seen.
struct Processes {
    all: io::Result<Vec<Vec<Vec<u8>>>>,
    /// Whether those of other users are among them.
    are_all: bool,
}

impl Processes {
    fn look() -> Processes {
        Processes {
            all: lines(),
            // Everybody's first process is root's.
            are_all: Path::new("/proc/1/cmdline").exists(),
        }
    }
}

fn lines() -> io::Result<Vec<Vec<Vec<u8>>>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok());
        // One that ended meanwhile has none.
        lines.extend(pid.and_then(command_of));
    }
    Ok(lines)
}

/// The words of a process's command line; none of one that is gone or ended (a zombie has none).
fn command_of(pid: u32) -> Option<Vec<Vec<u8>>> {
    let mut bytes = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/cmdline")).ok()?;
    file.take(COMMAND).read_to_end(&mut bytes).ok()?;
    let words = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
    (!words.is_empty()).then(|| words.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect())
}

/// The number in a pid file; `None` if it holds none.
fn pid(path: &Path) -> io::Result<Option<u32>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut text = String::new();
    let read = file.take(PID_FILE).read_to_string(&mut text);
    Ok(read.ok().and_then(|_| text.trim().parse().ok()))
}

/// Connects to a socket by its path. That waits while a server takes no connections: a thread is
/// left behind then.
fn knock(path: PathBuf) -> io::Result<()> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(UnixStream::connect(path).map(drop)));
    told.recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn listens(address: &str, tree: &Tree) -> Seen {
    let endpoint = match address {
        "{lmtp}" => tree.lmtp.clone(),
        _ => Endpoint::parse(&tree.expand(address, None)).ok(),
    };
    let (place, connected) = match endpoint {
        Some(Endpoint::Unix(path)) => (format!("{path:?}"), knock(path)),
        Some(Endpoint::Tcp(address)) => (
            address.to_string(),
            TcpStream::connect_timeout(&address, PATIENCE).map(drop),
        ),
        None => return Seen::Unknown(format!("{address:?} is no address")),
    };
    match connected {
        Ok(()) => Seen::Yes,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Seen::Unknown(format!("cannot connect to {place}: {error}"))
        }
        Err(error) => Seen::No(format!("nobody answers at {place}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_that_runs_by_a_link_to_the_root_is_the_trees() {
        let dir = std::env::temp_dir().join(format!("mm-life-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let dir = dir.canonicalize().unwrap();
        for root in ["real", "other"] {
            fs::create_dir_all(dir.join(root).join("bin")).unwrap();
            // One program for both, as an interpreter is.
            symlink("/bin/true", dir.join(root).join("bin/run")).unwrap();
        }
        symlink("real", dir.join("link")).unwrap();
        let of = |root: &str| dir.join(root).join("bin/run").to_str().unwrap().to_owned();
        let line = |root: &str| {
            let words = ["python".to_owned(), of(root), "--all".to_owned()];
            words.map(String::into_bytes).to_vec()
        };
        // As a word before others, and as the last one.
        for wanted in [vec![of("real"), "--all".to_owned()], vec![of("real")]] {
            assert!(has(&line("link"), &wanted, &dir.join("real")));
            assert!(has(&line("real"), &wanted, &dir.join("real")));
            assert!(!has(&line("other"), &wanted, &dir.join("real")));
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
