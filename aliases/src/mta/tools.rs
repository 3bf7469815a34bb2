//! Runs the tools of an MTA: from fixed directories, for a bounded time.
//!
//! **Invariants**: no shell; two variables of environment, none inherited: MAIL_CONFIG, say, could point
//! a tool elsewhere. Nothing waits for ever: a tool that is not done in time is killed by its process
//! id, and what it left is swept by who reserved its name. What a tool said becomes printable here.

use std::ffi::OsStr;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::mta::error::MtaError;

/// How long a tool may take: as long as Sendmail waits for its own builder (`AliasWait`).
const LIMIT: Duration = Duration::from_secs(600);

/// So much of a tool's output is read, in bytes: a listing of a million aliases is 100 MB.
const MOST: usize = 256 << 20;
/// So much of it is handed on at once, in bytes.
const PART: usize = 256 << 10;

/// The directories of one MTA's tools, and how long one of them may run.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    directories: Vec<PathBuf>,
    limit: Duration,
}

impl Tools {
    pub(crate) fn at(directories: impl IntoIterator<Item: Into<PathBuf>>) -> Self {
        Self {
            directories: directories.into_iter().map(Into::into).collect(),
            limit: LIMIT,
        }
    }

    pub(crate) fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Checks that each of the programs is installed.
    ///
    /// # Errors
    /// `NoTools` names the first that is in none of the directories.
    pub(crate) fn check(&self, programs: &[&'static str]) -> Result<(), MtaError> {
        programs
            .iter()
            .try_for_each(|program| self.path(program).map(drop))
    }

    fn path(&self, program: &'static str) -> Result<PathBuf, MtaError> {
        let in_it = |directory: &PathBuf| directory.join(program);
        let found = self.directories.iter().map(in_it).find(|it| it.is_file());
        found.ok_or_else(|| MtaError::NoTools {
            program,
            directories: self.directories.clone(),
        })
    }

    /// Runs a program to its end with `input` on its standard input.
    ///
    /// # Errors
    /// `NoTools`, `Start`, `Slow`. Any status is a result.
    pub(crate) fn run<I>(
        &self,
        program: &'static str,
        arguments: I,
        input: &[u8],
    ) -> Result<Output, MtaError>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let mut stdout = Vec::new();
        let take = |bytes: &[u8]| stdout.extend_from_slice(bytes);
        let output = self.hand_on(program, arguments, input, take)?;
        Ok(Output { stdout, ..output })
    }

    /// The same, with nothing on its standard input: hands on what it prints as it comes.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and `Tool` for any status but 0: then what was handed on is
    /// worth nothing.
    pub(crate) fn stream<I>(
        &self,
        program: &'static str,
        arguments: I,
        take: impl FnMut(&[u8]),
    ) -> Result<(), MtaError>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let output = self.hand_on(program, arguments, b"", take)?;
        match output.status.success() {
            true => Ok(()),
            false => Err(self.failed(program, &output)),
        }
    }

    /// Everything but its standard output, which `take` has.
    fn hand_on<I>(
        &self,
        program: &'static str,
        arguments: I,
        input: &[u8],
        take: impl FnMut(&[u8]),
    ) -> Result<Output, MtaError>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let path = self.path(program)?;
        let failed = |source| MtaError::Start {
            program: path.clone(),
            source,
        };
        let mut child = Command::new(&path)
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/")
            // Ctrl-C is for who started us: a tool that dies of it cannot put a map back.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let ended = converse(&mut child, input.to_vec(), take, self.limit);
        if !matches!(ended, Ok(Some(_))) {
            // It may have ended by itself meanwhile, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
        ended.map_err(failed)?.ok_or(MtaError::Slow {
            program: path.clone(),
            limit: self.limit,
        })
    }

    /// A program that must succeed.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and `Tool` for any status but 0.
    pub(crate) fn succeed<I>(
        &self,
        program: &'static str,
        arguments: I,
        input: &[u8],
    ) -> Result<Output, MtaError>
    where
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let output = self.run(program, arguments, input)?;
        if output.status.success() {
            Ok(output)
        } else {
            Err(self.failed(program, &output))
        }
    }

    /// What a tool that failed said, as an error.
    pub(crate) fn failed(&self, program: &'static str, output: &Output) -> MtaError {
        let mut said = printable(&output.stderr);
        if said.trim().is_empty() {
            said = printable(&output.stdout);
        }
        MtaError::Tool {
            program: self.path(program).unwrap_or_else(|_| program.into()),
            status: output.status,
            said: said.trim().replace('\n', "; "),
        }
    }
}

/// Writes all of the input while reading all of the output; none if the time is up.
///
/// The threads are not waited for when it is: a grandchild may hold their pipes open.
fn converse(
    child: &mut Child,
    input: Vec<u8>,
    mut take: impl FnMut(&[u8]),
    limit: Duration,
) -> io::Result<Option<Output>> {
    let start = Instant::now();
    let left = || limit.saturating_sub(start.elapsed());
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that does not read them all says why by its status.
        std::thread::spawn(move || stdin.write_all(&input));
    }
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    let mut said = Vec::new();
    if !hand_on(&stdout, &mut take, &left)?
        || !hand_on(&stderr, &mut |bytes| said.extend_from_slice(bytes), &left)?
    {
        return Ok(None);
    }
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if left().is_zero() => return Ok(None),
            // It has closed its output and is about to end.
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    Ok(Some(Output {
        status,
        stdout: Vec::new(),
        stderr: said,
    }))
}

/// Hands on all that comes to its end; not if the time is up.
fn hand_on(
    from: &Receiver<io::Result<Vec<u8>>>,
    take: &mut impl FnMut(&[u8]),
    left: &impl Fn() -> Duration,
) -> io::Result<bool> {
    loop {
        match from.recv_timeout(left()) {
            Ok(Ok(bytes)) if bytes.is_empty() => return Ok(true),
            Ok(bytes) => take(&bytes?),
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("a reader died")),
        }
    }
}

/// Reads in a thread of its own, part by part; an empty part is the end.
fn read_all(from: Option<impl Read + Send + 'static>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut all = 0;
        let mut from = from;
        loop {
            let part = from.as_mut().map_or(Ok(Vec::new()), read_part);
            all += part.as_ref().map_or(0, Vec::len);
            let part = match all > MOST {
                true => Err(io::Error::other(format!(
                    "it wrote more than {} MiB and was killed",
                    MOST >> 20
                ))),
                false => part,
            };
            let is_last = part.as_ref().map_or(true, Vec::is_empty);
            // Nobody listens once the time is up.
            if sender.send(part).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// What comes next, once there is enough of it to be worth handing on; nothing at the end.
fn read_part(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART);
    from.take(PART as u64).read_to_end(&mut part)?;
    Ok(part)
}

/// Bytes of a tool as text for a person: lines of printable characters.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let clean = |letter: char| {
        if letter.is_control() && letter != '\n' {
            '?'
        } else {
            letter
        }
    };
    String::from_utf8_lossy(bytes).chars().map(clean).collect()
}

/// Replaces the name of a temporary text by the one that people know.
pub(crate) fn renamed(said: &str, temporary: &Path, source: &Path) -> String {
    said.replace(&*temporary.to_string_lossy(), &source.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_not_reached_by_what_is_typed_at_the_terminal() {
        let look = "set -- $(cat /proc/$$/stat); echo $1 $5";
        let output = Tools::at(["/bin"]).succeed("sh", ["-c", look], b"");
        let said = output
            .map(|output| printable(&output.stdout))
            .unwrap_or_default();
        let (its, group) = said.trim().split_once(' ').unwrap_or(("", "none"));
        assert_eq!(its, group, "{said}");
    }
}
