//! The handover: the only exec of the hot path.
//!
//! The program gets the argv that the profile says, the standard descriptors of the MTA or the web
//! server, its user and groups and signal dispositions unchanged, the floor's lock and no other
//! descriptor, and of the environment what a list manager needs.
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

/// The same of a web server: what RFC 3875 has (4.1), what the wrapper of an old list manager lets
/// through, what Apache and nginx add, and the headers that a page can depend on. Never HTTP_PROXY,
/// which a request's header `Proxy:` becomes, and by which libraries choose a proxy (httpoxy).
const PASSED_BY_WEB: &[&str] = &[
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "CONTEXT_DOCUMENT_ROOT",
    "CONTEXT_PREFIX",
    "DOCUMENT_ROOT",
    "DOCUMENT_URI",
    "GATEWAY_INTERFACE",
    "HOME",
    "HOST",
    "HTTPS",
    "HTTP_ACCEPT",
    "HTTP_ACCEPT_CHARSET",
    "HTTP_ACCEPT_ENCODING",
    "HTTP_ACCEPT_LANGUAGE",
    "HTTP_AUTHORIZATION",
    "HTTP_CACHE_CONTROL",
    "HTTP_COOKIE",
    "HTTP_FORWARDED",
    "HTTP_FORWARDED_FOR",
    "HTTP_HOST",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_NONE_MATCH",
    "HTTP_ORIGIN",
    "HTTP_PRAGMA",
    "HTTP_RANGE",
    "HTTP_REFERER",
    "HTTP_USER_AGENT",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REDIRECT_STATUS",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_IDENT",
    "REMOTE_PORT",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "SCRIPT_URI",
    "SCRIPT_URL",
    "SERVER_ADDR",
    "SERVER_ADMIN",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SIGNATURE",
    "SERVER_SOFTWARE",
    "TZ",
    "UNIQUE_ID",
    "USER",
];

/// Who runs us, and so tells the program what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An MTA, about a message.
    Mta,
    /// A web server, about a request.
    Web,
}

impl Caller {
    /// Whether a variable of the environment passes.
    fn passes(self, name: &OsStr, value: &OsStr) -> bool {
        let is_named = |names: &[&str]| names.iter().any(|&known| OsStr::new(known) == name);
        match self {
            Caller::Mta => is_named(PASSED),
            // A line break would end a header of whoever repeats it.
            Caller::Web => {
                is_named(PASSED_BY_WEB) && !value.as_bytes().iter().any(|b| b"\r\n".contains(b))
            }
        }
    }
}

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
    /// Where it is run, if not where we are.
    pub directory: Option<PathBuf>,
}

/// The program that stands before a guarded one.
#[derive(Debug)]
pub struct Guard {
    /// The file, and argv[0].
    pub program: PathBuf,
    /// argv[1] and on; the lock and what is guarded follow.
    pub arguments: Vec<OsString>,
}

/// Why a message or a request could not be handed to its tree. Every variant defers the mail, and
/// answers the request with 503.
#[derive(Debug)]
pub enum HandoverError {
    /// Somebody who is not trusted could change the program, or it is no plain file.
    Unsafe(PathBuf, Unsafe),
    /// The user who delivers, or serves the web, may not execute it.
    NotExecutable(PathBuf, io::Error),
    /// It is neither ELF nor a script with `#!`.
    NotProgram(PathBuf),
    /// It is a script, and its interpreter cannot be run.
    NoInterpreter(PathBuf, PathBuf, io::Error),
    /// The directory in which it is run cannot be entered.
    Directory(PathBuf, io::Error),
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
            HandoverError::Directory(path, error) => write!(f, "cannot enter {path:?}: {error}"),
            HandoverError::NotExecutable(program, error) | HandoverError::Exec(program, error) => {
                write!(f, "cannot run {program:?}: {error}")
            }
        }
    }
}

impl std::error::Error for HandoverError {}

impl Command {
    /// The program and arguments `argv`, and of `environment` what `caller` may pass on.
    pub fn new(
        caller: Caller,
        argv: impl IntoIterator<Item = String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Command {
        let mut argv = argv.into_iter();
        let mut passed: Vec<(OsString, OsString)> = environment
            .into_iter()
            .filter(|(name, value)| caller.passes(name, value))
            .collect();
        passed.push(("PATH".into(), PATH.into()));
        passed.sort_by(|a, b| a.0.cmp(&b.0));
        passed.dedup_by(|a, b| a.0 == b.0);
        Command {
            program: argv.next().unwrap_or_default().into(),
            arguments: argv.collect(),
            environment: passed,
            guard: None,
            directory: None,
        }
    }

    /// The same as a CGI program wants it: run in its own directory (RFC 3875, 7.2), and told its
    /// own file, where the web server tells any.
    pub fn as_cgi(mut self) -> Command {
        self.directory = self.program.parent().map(Path::to_owned);
        for (name, value) in &mut self.environment {
            if name == "SCRIPT_FILENAME" {
                *value = self.program.clone().into();
            }
        }
        self
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

    /// Becomes the program, which keeps the lock of `pass`, if there is one, for as long as it or a
    /// child of its lives. Returns only why that failed.
    pub fn exec(&self, pass: Option<&Pass>) -> HandoverError {
        sysexits::close_others(pass.map(AsFd::as_fd));
        if let Some(directory) = &self.directory
            && let Err(error) = std::env::set_current_dir(directory)
        {
            return HandoverError::Directory(directory.clone(), error);
        }
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
    fn words(&self, pass: Option<&Pass>) -> Vec<OsString> {
        let mut words = Vec::new();
        if let (Some(guard), Some(pass)) = (&self.guard, pass) {
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
        let argv = ["/p".to_owned(), "post".to_owned()];
        let command = Command::new(Caller::Mta, argv, environment);
        let names: Vec<_> = command
            .environment
            .iter()
            .map(|(name, _)| name.to_string_lossy())
            .collect();
        assert_eq!(names, ["EXTENSION", "PATH", "SENDER"]);
        assert_eq!(command.environment[1].1, PATH);
        assert_eq!(command.arguments, ["post"]);
    }

    #[test]
    fn a_request_can_set_nothing_but_what_pages_are_made_of() {
        let hostile = [
            ("HTTP_PROXY", "http://evil.example/"),
            ("HTTP_X_EVIL", "x"),
            ("HTTP_COOKIE", "a=b\r\nSet-Cookie: c"),
            ("HTTP_REFERER", "x\ny"),
            ("HTTP_HOST", "lists.example.org"),
            ("QUERY_STRING", "--site+x"),
            ("SENDER", "x@y"),
            ("MM_SITE", "/etc/site.toml"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("PATH", "/tmp"),
            ("SCRIPT_FILENAME", "/usr/lib/cgi-bin/listinfo"),
        ];
        let environment = hostile.map(|(name, value)| (name.into(), value.into()));
        let argv = ["/t/cgi-bin/listinfo".to_owned()];
        let command = Command::new(Caller::Web, argv, environment).as_cgi();
        let passed: Vec<_> = command
            .environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
            .collect();
        let path = format!("PATH={PATH}");
        assert_eq!(
            passed,
            [
                "HTTP_HOST=lists.example.org",
                path.as_str(),
                "QUERY_STRING=--site+x",
                "SCRIPT_FILENAME=/t/cgi-bin/listinfo"
            ]
        );
        assert_eq!(command.directory.as_deref(), Some(Path::new("/t/cgi-bin")));
    }
}
