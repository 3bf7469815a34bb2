//! The handover: the only exec of the hot path.
//!
//! The program gets the argv that the profile says, the MTA's standard descriptors, its
//! user and groups and signal dispositions unchanged, the floor's lock and no other descriptor,
//! and of the environment what a list manager needs.
//!
//! **Invariants.** Never chooses a tree, never spawns, never returns after success. No shell.

#![expect(
    unsafe_code,
    reason = "std's exec resets SIGPIPE and the signal mask, which the MTA's program would have kept"
)]

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::doors::Pass;
use crate::ownership::{Trusted, Unsafe};
use crate::sysexits;

/// Our own: an MTA's may be empty, missing, or somebody else's.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What passes of the environment: what Postfix, Sendmail, Exim, OpenSMTPD and qmail tell a
/// program about the message (local(8), exim's pipe transport, smtpd.conf(5), qmail-command(8)).
const PASSED: &[&str] = &[
    "AGENT",
    "CLIENT_ADDRESS",
    "CLIENT_HELO",
    "CLIENT_HOSTNAME",
    "CLIENT_PROTOCOL",
    "DEFAULT",
    "DOMAIN",
    "DTLINE",
    "EXT",
    "EXT2",
    "EXT3",
    "EXT4",
    "EXTENSION",
    "HOME",
    "HOST",
    "LANG",
    "LC_ALL",
    "LOCAL",
    "LOCAL_PART",
    "LOCAL_PART_PREFIX",
    "LOCAL_PART_SUFFIX",
    "LOGNAME",
    "MAIL_CONFIG",
    "MESSAGE_ID",
    "NEWSENDER",
    "ORIGINAL_RECIPIENT",
    "QUALIFY_DOMAIN",
    "RECIPIENT",
    "RPLINE",
    "SASL_METHOD",
    "SASL_SENDER",
    "SASL_USERNAME",
    "SENDER",
    "SHELL",
    "TZ",
    "UFLINE",
    "USER",
];

/// A program that is ready to be run.
#[derive(Debug)]
pub struct Command {
    /// The file, and argv[0].
    pub program: PathBuf,
    /// argv[1] and on.
    pub arguments: Vec<String>,
    /// The whole environment, sorted by name.
    pub environment: Vec<(OsString, OsString)>,
    /// Who runs it for us, if we do not become it.
    pub guard: Option<Guard>,
}

/// The program that stands before a guarded one.
#[derive(Debug)]
pub struct Guard {
    /// The file, and argv[0].
    pub program: PathBuf,
    /// argv[1] and on; the lock and what is guarded follow.
    pub arguments: Vec<OsString>,
}

/// Why a message could not be handed to its tree. Every variant defers the mail.
#[derive(Debug)]
pub enum HandoverError {
    /// Somebody who is not trusted could change the program, or it is no plain file.
    Unsafe(PathBuf, Unsafe),
    /// The user who delivers may not execute it.
    NotExecutable(PathBuf, io::Error),
    /// It is neither ELF nor a script with `#!`.
    NotProgram(PathBuf),
    /// It is a script, and its interpreter cannot be run.
    NoInterpreter(PathBuf, PathBuf, io::Error),
    /// The kernel refused. Returning from exec is always failure.
    Exec(PathBuf, io::Error),
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandoverError::Unsafe(program, fault) if *program == fault.path => {
                write!(f, "cannot run {fault}")
            }
            HandoverError::Unsafe(program, fault) => write!(f, "cannot run {program:?}: {fault}"),
            HandoverError::NotProgram(program) => {
                write!(
                    f,
                    "cannot run {program:?}: it is neither ELF nor a script with #!"
                )
            }
            HandoverError::NoInterpreter(program, interpreter, error) => {
                write!(
                    f,
                    "cannot run {program:?}: its interpreter {interpreter:?}: {error}"
                )
            }
            HandoverError::NotExecutable(program, error) | HandoverError::Exec(program, error) => {
                write!(f, "cannot run {program:?}: {error}")
            }
        }
    }
}

impl std::error::Error for HandoverError {}

impl Command {
    /// The program and arguments `argv`, and of `environment` what may pass.
    pub fn new(
        argv: impl IntoIterator<Item = String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Command {
        let mut argv = argv.into_iter();
        let mut passed: Vec<(OsString, OsString)> = environment
            .into_iter()
            .filter(|(name, _)| PASSED.iter().any(|&known| OsStr::new(known) == name))
            .collect();
        passed.push(("PATH".into(), PATH.into()));
        passed.sort_by(|a, b| a.0.cmp(&b.0));
        passed.dedup_by(|a, b| a.0 == b.0);
        Command {
            program: argv.next().unwrap_or_default().into(),
            arguments: argv.collect(),
            environment: passed,
            guard: None,
        }
    }

    /// The same, run by `guard`.
    pub fn under(self, guard: Guard) -> Command {
        Command {
            guard: Some(guard),
            ..self
        }
    }

    /// Judges the program, and its guard: only trusted users can change it, and we may execute it.
    ///
    /// # Errors
    /// `Unsafe`, `NotExecutable`.
    pub fn check(&self, trusted: &Trusted<'_>, tree: &Path) -> Result<(), HandoverError> {
        may_run(trusted, &self.program, Some(tree))?;
        match &self.guard {
            Some(guard) => may_run(trusted, &guard.program, None),
            None => Ok(()),
        }
    }

    /// Judges what exec would find in the program: ELF, or `#!` and an interpreter that we
    /// may execute. A delivery does not ask: its exec answers.
    ///
    /// # Errors
    /// `NotExecutable`, `NotProgram`, `NoInterpreter`.
    pub fn check_format(&self) -> Result<(), HandoverError> {
        // As much of a line as the kernel reads (execve(2)).
        let mut head = Vec::new();
        let read = File::open(&self.program).and_then(|file| file.take(255).read_to_end(&mut head));
        match read {
            // Executable and not readable: only exec can tell.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(HandoverError::NotExecutable(self.program.clone(), error)),
            Ok(_) => {}
        }
        if head.starts_with(b"\x7fELF") {
            return Ok(());
        }
        let Some(line) = head.strip_prefix(b"#!") else {
            return Err(HandoverError::NotProgram(self.program.clone()));
        };
        let line = line
            .split(|&b| b == b'\n')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        let word = line
            .split(u8::is_ascii_whitespace)
            .next()
            .unwrap_or_default();
        let interpreter = OsStr::from_bytes(word);
        executable(&c_string(interpreter)).map_err(|error| {
            HandoverError::NoInterpreter(self.program.clone(), interpreter.into(), error)
        })
    }

    /// Becomes the program, which keeps the lock of `pass` for as long as it or a child of its
    /// lives. Returns only why that failed.
    pub fn exec(&self, pass: &Pass) -> HandoverError {
        sysexits::close_others(pass.as_fd());
        let words = self.words(pass);
        let program = &words[0];
        let failed = |error| HandoverError::Exec(program.into(), error);
        let arguments: Vec<CString> = words.iter().map(|word| c_string(word)).collect();
        let environment: Vec<CString> = self
            .environment
            .iter()
            .map(|(name, value)| {
                let mut pair = name.clone();
                pair.push("=");
                pair.push(value);
                c_string(&pair)
            })
            .collect();
        let argv = pointers(&arguments);
        let envp = pointers(&environment);
        // SAFETY: both arrays end in null and point at NUL-terminated strings that outlive
        // the call.
        unsafe { libc::execve(argv[0], argv.as_ptr(), envp.as_ptr()) };
        failed(io::Error::last_os_error())
    }

    /// The whole argv of what we become.
    fn words(&self, pass: &Pass) -> Vec<OsString> {
        let mut words = Vec::new();
        if let Some(guard) = &self.guard {
            words.push(guard.program.clone().into());
            words.extend(guard.arguments.iter().cloned());
            let lock = pass.as_fd().as_raw_fd().to_string();
            words.extend(["--lock".into(), lock.into(), "--".into()]);
        }
        words.push(self.program.clone().into());
        words.extend(self.arguments.iter().map(OsString::from));
        words
    }
}

/// Whether only trusted users can change the file, and we may execute it.
fn may_run(
    trusted: &Trusted<'_>,
    program: &Path,
    strict: Option<&Path>,
) -> Result<(), HandoverError> {
    trusted
        .check(program, strict)
        .map_err(|fault| HandoverError::Unsafe(program.to_owned(), fault))?;
    executable(&c_string(program.as_os_str()))
        .map_err(|error| HandoverError::NotExecutable(program.to_owned(), error))
}

/// Whether we may execute the file.
fn executable(path: &CString) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and lives through the call.
    match unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn pointers<'a>(strings: impl IntoIterator<Item = &'a CString>) -> Vec<*const libc::c_char> {
    strings
        .into_iter()
        .map(|text| text.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// Nothing that comes here can hold a NUL: argv is made of parsed words, and the kernel
/// ends an environment's strings at the first. Were there one, the text ends before it.
fn c_string(text: &OsStr) -> CString {
    let bytes = text
        .as_bytes()
        .split(|&b| b == 0)
        .next()
        .unwrap_or_default();
    CString::new(OsString::from_vec(bytes.to_vec()).into_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_list_manager_needs_passes() {
        let hostile = [
            ("SENDER", "x@y"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("PATH", "/tmp"),
            ("PYTHONPATH", "/tmp"),
            ("BASH_FUNC_x%%", "() { :; }"),
            ("IFS", "/"),
            ("SENDER", "second"),
            ("EXTENSION", "a b;c"),
        ];
        let environment = hostile.map(|(name, value)| (name.into(), value.into()));
        let command = Command::new(["/p".to_owned(), "post".to_owned()], environment);
        let names: Vec<_> = command
            .environment
            .iter()
            .map(|(name, _)| name.to_string_lossy())
            .collect();
        assert_eq!(names, ["EXTENSION", "PATH", "SENDER"]);
        assert_eq!(command.environment[1].1, PATH);
        assert_eq!(command.arguments, ["post"]);
    }
}
